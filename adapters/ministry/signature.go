package ministry

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verifier checks signatures of Standard Webhooks (https://www.standardwebhooks.com).
type Verifier struct {
	hmac    [][]byte
	ed25519 []ed25519.PublicKey
}

// NewVerifier takes what the hub gave out for an endpoint: `whsec_` and the base64 of a secret (v1, HMAC-SHA256), or `whpk_` and the base64 of
// a public key (v1a, Ed25519). While a secret is being replaced, both the old and the new one are given. The error holds nothing of them.
func NewVerifier(secrets ...string) (*Verifier, error) {
	v := &Verifier{}
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		public, isPublic := strings.CutPrefix(secret, "whpk_")
		shared, isShared := strings.CutPrefix(secret, "whsec_")
		encoded := shared
		if isPublic {
			encoded = public
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		switch {
		case err == nil && isPublic && len(key) == ed25519.PublicKeySize:
			v.ed25519 = append(v.ed25519, key)
		case err == nil && isShared && len(key) >= minSecret:
			v.hmac = append(v.hmac, key)
		default:
			return nil, errors.New("ministry: a webhook's secret is whsec_ or whpk_ and base64, as the hub gave it out")
		}
	}
	if len(secrets) == 0 {
		return nil, errors.New("ministry: a webhook needs a secret")
	}
	return v, nil
}

const (
	minSecret   = 24 // bytes, by the standard
	tolerance   = 5 * time.Minute
	headerID    = "webhook-id"
	headerTime  = "webhook-timestamp"
	headerSigns = "webhook-signature"
)

// ErrSignature refuses a request that the hub did not sign, or not lately.
var ErrSignature = errors.New("ministry: the webhook's signature is missing, wrong or too old")

// Verify checks a request's headers against its body. Old requests and those from the future are refused (five minutes), lest one that somebody
// has overheard is sent again. Errors: ErrSignature, which says nothing more.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) error {
	id, timestamp := h.Get(headerID), h.Get(headerTime)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" || strconv.FormatInt(seconds, 10) != timestamp {
		return ErrSignature
	}
	if away := now.Unix() - seconds; away > int64(tolerance/time.Second) || -away > int64(tolerance/time.Second) {
		return ErrSignature
	}
	content := slices.Concat([]byte(id+"."+timestamp+"."), body)
	for _, signature := range strings.Fields(h.Get(headerSigns)) {
		version, encoded, _ := strings.Cut(signature, ",")
		sum, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && v.signed(version, content, sum) {
			return nil
		}
	}
	return ErrSignature
}

func (v *Verifier) signed(version string, content, sum []byte) bool {
	switch version {
	case "v1":
		return slices.ContainsFunc(v.hmac, func(key []byte) bool {
			mac := hmac.New(sha256.New, key)
			mac.Write(content)
			return hmac.Equal(mac.Sum(nil), sum) // in constant time
		})
	case "v1a":
		return slices.ContainsFunc(v.ed25519, func(key ed25519.PublicKey) bool { return ed25519.Verify(key, content, sum) })
	}
	return false
}

// Format prints no key, whatever the verb.
func (v *Verifier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("verifier")) }
