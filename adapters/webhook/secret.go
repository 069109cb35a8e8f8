package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

// How secrets are spelt, by Standard Webhooks.
const (
	prefixHMAC    = "whsec_"
	prefixPrivate = "whsk_"
	prefixPublic  = "whpk_"
)

// The bytes of an HMAC secret: by the standard, and of one that the hub makes.
const (
	minHMAC  = 24
	maxHMAC  = 64
	madeHMAC = 32
)

// secret signs. It prints as nothing but its kind.
type secret struct {
	hmac    []byte             // of v1
	private ed25519.PrivateKey // of v1a
	until   time.Time          // when it ends; zero: it is the current one
}

// newSecret is a random secret for a signature.
func newSecret(signature string) (secret, error) {
	if signature == journal.SignatureEd25519 {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return secret{}, fmt.Errorf("webhook: random numbers: %w", err)
		}
		return secret{private: private}, nil
	}
	key := make([]byte, madeHMAC)
	if _, err := rand.Read(key); err != nil {
		return secret{}, fmt.Errorf("webhook: random numbers: %w", err)
	}
	return secret{hmac: key}, nil
}

var errSecret = errors.New("must be whsec_ and the base64 of 24 to 64 random bytes")

// parseSecret reads one secret's text. The error never holds any of it.
func parseSecret(text string) (secret, error) {
	if encoded, ok := strings.CutPrefix(text, prefixPrivate); ok {
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(key) != ed25519.PrivateKeySize || !bytes.Equal(ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]), key) {
			return secret{}, errors.New("no Ed25519 key")
		}
		return secret{private: key}, nil
	}
	encoded, ok := strings.CutPrefix(text, prefixHMAC)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil || len(key) < minHMAC || len(key) > maxHMAC {
		return secret{}, errSecret
	}
	return secret{hmac: key}, nil
}

// text is the secret as it is kept.
func (s secret) text() string {
	if s.private != nil {
		return prefixPrivate + base64.StdEncoding.EncodeToString(s.private)
	}
	return prefixHMAC + base64.StdEncoding.EncodeToString(s.hmac)
}

// verifier is what a ministry verifies with: the HMAC secret itself, or the public half of an Ed25519 key.
func (s secret) verifier() string {
	if s.private == nil {
		return s.text()
	}
	return prefixPublic + base64.StdEncoding.EncodeToString(s.private[ed25519.SeedSize:])
}

// signature is which one it makes.
func (s secret) signature() string {
	if s.private != nil {
		return journal.SignatureEd25519
	}
	return journal.SignatureHMAC
}

// sign signs content as one item of webhook-signature.
func (s secret) sign(content []byte) string {
	if s.private != nil {
		return journal.SignatureEd25519 + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(s.private, content))
	}
	mac := hmac.New(sha256.New, s.hmac)
	mac.Write(content)
	return journal.SignatureHMAC + "," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Format prints the kind alone, whatever the verb.
func (s secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "secret(%s)", s.signature()) }

// heading begins the text of an endpoint's secrets.
const heading = "# Signing secrets of a webhook endpoint. The first one is current; one with a time signs beside it until then.\n"

// formatSecrets is the text that is kept under a name, the current secret first. A text never changes: a rotation makes another name.
func formatSecrets(secrets []secret) []byte {
	var b bytes.Buffer
	b.WriteString(heading)
	for _, s := range secrets {
		b.WriteString(s.text())
		if !s.until.IsZero() {
			b.WriteString(" " + s.until.UTC().Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

var errDamaged = errors.New("webhook: an endpoint's secrets are damaged: restore the keys directory from its backup, or rotate the secret")

// parseSecrets reads such a text. The error never holds any of it.
func parseSecrets(text []byte) ([]secret, error) {
	var out []secret
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		s, err := parseSecret(fields[0])
		if err == nil && len(fields) == 2 {
			s.until, err = time.Parse(time.RFC3339, fields[1])
		}
		if err != nil || len(fields) > 2 || s.until.IsZero() != (len(out) == 0) {
			return nil, fmt.Errorf("%w (line %d)", errDamaged, n)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, errDamaged
	}
	return out, nil
}

// valid are the secrets that sign at a time.
func valid(secrets []secret, now time.Time) []secret {
	var out []secret
	for _, s := range secrets {
		if s.until.IsZero() || now.Before(s.until) {
			out = append(out, s)
		}
	}
	return out
}
