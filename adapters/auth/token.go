// Package auth says who is calling: it issues and verifies the hub's own tokens, and puts the caller into the context as a journal.Actor.
// What a caller may do is not decided here but in the first line of each use case.
//
// A token is a JWS in compact form, signed with Ed25519 by the hub, for the hub. As nobody else issues one, everything about it but the
// claims is fixed: Verify accepts one header per key, byte for byte, so that no algorithm, critical header or key inside a token is ever
// looked at.
package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/tellonce/hub/domain/journal"
)

const (
	// MaxToken is the length of the longest token that is looked at, in bytes.
	MaxToken = 4096
	// MaxLifetime is the longest time for which a token is issued: ten years.
	MaxLifetime = 3660 * 24 * time.Hour
	// maxName is the length of the longest subject, ministry or source, in bytes.
	maxName = 200
	// clockSkew is how far another replica's clock may run ahead when it issues a token.
	clockSkew = time.Minute
	tokenType = "JWT"
	// minACR and maxACR are the levels of a log-in: one factor, two factors.
	minACR, maxACR = 1, 2
)

// The reasons for which a token is refused, each an ErrToken. Test with errors.Is.
var (
	ErrToken    = errors.New("auth: not a token of this hub")
	ErrExpired  = fmt.Errorf("%w: it has expired", ErrToken)
	ErrTooEarly = fmt.Errorf("%w: it was issued in the future", ErrToken)
	ErrAudience = fmt.Errorf("%w: it is for another hub", ErrToken)
)

// Claims is what a token says about its bearer. It prints as its role alone.
type Claims struct {
	Role journal.Role
	// Subject is a citizen's uuid in a citizen's token; for a ministry empty; for all others who it is, by the name the organisation
	// uses, 1 to 200 bytes.
	Subject string
	// Ministry is the ministry's id in a ministry's token; empty in all others.
	Ministry string
	// Source is the authenticated client, if the token was given to one; else empty.
	Source string
	// ACR is how the bearer proved who they are (RFC 9470): 1 with one factor, 2 with two. Issue takes 0 for 2: whoever is at the hub's own
	// terminal vouches for whom they give a token.
	ACR int
	// Issued and Expires are whole seconds, UTC: valid from the one up to, not including, the other.
	Issued, Expires time.Time
	// ID is the token's own id; Issue makes a random one where it is empty.
	ID string
}

// Format prints the role alone, whatever the verb.
func (c Claims) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "claims(%s)", c.printable()) }

// LogValue is the role alone.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.printable()) }

// MarshalJSON gives the role alone.
func (c Claims) MarshalJSON() ([]byte, error) { return json.Marshal(c.printable()) }

func (c Claims) printable() string {
	if _, ok := c.Role.Kind(); !ok {
		return "no role"
	}
	return string(c.Role)
}

// Actor is the caller whom the claims describe.
func (c Claims) Actor() journal.Actor {
	kind, _ := c.Role.Kind()
	actor := journal.Actor{Kind: kind, Role: c.Role, ID: c.Subject, Ministry: c.Ministry, Source: c.Source, ACR: c.ACR}
	if c.Role == journal.RoleCitizen {
		actor.Citizen, _ = uuid.Parse(c.Subject) // check has parsed it
	}
	if c.Role == journal.RoleMinistry {
		actor.ID = c.Ministry
	}
	return actor
}

// check refuses claims that no token may hold. The error shows none of them.
func (c Claims) check() error {
	if _, ok := c.Role.Kind(); !ok {
		return errors.New("auth: no such role")
	}
	for _, name := range []string{c.Subject, c.Ministry, c.Source, c.ID} {
		if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("auth: a subject, ministry or source is text of at most %d bytes", maxName)
		}
	}
	if (c.Role == journal.RoleMinistry) != (c.Ministry != "") {
		return errors.New("auth: a ministry's token, and no other, names a ministry")
	}
	if (c.Role == journal.RoleMinistry) != (c.Subject == "") {
		return errors.New("auth: a token names who bears it, a ministry's the ministry alone")
	}
	if c.Role == journal.RoleCitizen {
		if id, err := uuid.Parse(c.Subject); err != nil || id == uuid.Nil || id.String() != c.Subject {
			return errors.New("auth: a citizen's token names the citizen by uuid")
		}
	}
	if c.ACR < minACR || c.ACR > maxACR {
		return errors.New("auth: acr is 1 or 2")
	}
	if lifetime := c.Expires.Sub(c.Issued); c.Issued.Unix() <= 0 || lifetime <= 0 || lifetime > MaxLifetime {
		return fmt.Errorf("auth: a token is valid for more than nothing and at most %d days", MaxLifetime/(24*time.Hour))
	}
	return nil
}

// wire is the payload of a token.
type wire struct {
	Issuer   string       `json:"iss"`
	Audience string       `json:"aud"`
	Role     journal.Role `json:"role"`
	Subject  string       `json:"sub,omitempty"`
	Ministry string       `json:"ministry,omitempty"`
	Source   string       `json:"source,omitempty"`
	ACR      string       `json:"acr,omitempty"`
	Issued   int64        `json:"iat"`
	Expires  int64        `json:"exp"`
	ID       string       `json:"jti"`
}

// Issuer signs tokens for one hub. Safe for concurrent use.
type Issuer struct {
	key     ed25519.PrivateKey
	base    string
	headers jws.Headers
}

// NewIssuer signs with key, for the hub at base, an absolute URL: it is issuer and audience of every token.
func NewIssuer(key ed25519.PrivateKey, base string) (*Issuer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("auth: the token key is not an Ed25519 private key")
	}
	if err := checkBase(base); err != nil {
		return nil, err
	}
	public, _ := key.Public().(ed25519.PublicKey)
	headers := jws.NewHeaders()
	if err := errors.Join(headers.Set(jws.TypeKey, tokenType), headers.Set(jws.KeyIDKey, keyID(public))); err != nil {
		return nil, fmt.Errorf("auth: token header: %w", err)
	}
	return &Issuer{key: key, base: base, headers: headers}, nil
}

// Format prints [token issuer], whatever the verb: the key is never printed.
func (*Issuer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[token issuer]")) }

// Issue returns a signed token for claims. Issued and Expires are cut to whole seconds.
func (i *Issuer) Issue(claims Claims) (string, error) {
	if claims.ID == "" {
		id, err := uuid.NewRandom()
		if err != nil {
			return "", fmt.Errorf("auth: random numbers: %w", err)
		}
		claims.ID = id.String()
	}
	if claims.ACR == 0 {
		claims.ACR = maxACR
	}
	claims.Issued, claims.Expires = claims.Issued.Truncate(time.Second), claims.Expires.Truncate(time.Second)
	if err := claims.check(); err != nil {
		return "", err
	}
	payload, err := json.Marshal(wire{
		Issuer: i.base, Audience: i.base, Role: claims.Role, Subject: claims.Subject, Ministry: claims.Ministry, Source: claims.Source,
		ACR: strconv.Itoa(claims.ACR), Issued: claims.Issued.Unix(), Expires: claims.Expires.Unix(), ID: claims.ID,
	})
	if err != nil {
		return "", fmt.Errorf("auth: encode a token: %w", err)
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.EdDSA(), i.key, jws.WithProtectedHeaders(i.headers)))
	if err != nil {
		return "", fmt.Errorf("auth: sign a token: %w", err)
	}
	if len(token) > MaxToken {
		return "", fmt.Errorf("auth: the token would be longer than %d bytes", MaxToken)
	}
	return string(token), nil
}

// Verifier verifies the tokens of one hub. Safe for concurrent use.
type Verifier struct {
	base string
	keys map[string]ed25519.PublicKey // by the encoded header
}

// NewVerifier accepts tokens for the hub at base, signed with any of keys: more than one while the token key is being replaced.
func NewVerifier(base string, keys ...ed25519.PublicKey) (*Verifier, error) {
	if err := checkBase(base); err != nil {
		return nil, err
	}
	v := &Verifier{base: base, keys: make(map[string]ed25519.PublicKey, len(keys))}
	for _, key := range keys {
		if len(key) != ed25519.PublicKeySize {
			return nil, errors.New("auth: not an Ed25519 public key")
		}
		header := fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":%q}`, keyID(key), tokenType)
		v.keys[base64.RawURLEncoding.EncodeToString([]byte(header))] = key
	}
	return v, nil
}

// Verify returns the claims of a token that this hub issued and that is valid at now. An error is an ErrToken and shows nothing of the
// token.
func (v *Verifier) Verify(token string, now time.Time) (Claims, error) {
	if len(token) > MaxToken {
		return Claims{}, ErrToken
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	key, known := v.keys[header]
	if !known || !canonical(payload) || !canonical(signature) {
		return Claims{}, ErrToken
	}
	signed, err := jws.Verify([]byte(token), jws.WithKey(jwa.EdDSA(), key), jws.WithCompact())
	if err != nil {
		return Claims{}, ErrToken // the library's own error may show the token
	}
	return v.claims(signed, now)
}

// claims reads the payload of a token whose signature is right: it is ours, but maybe not for now, or not for this hub.
func (v *Verifier) claims(payload []byte, now time.Time) (Claims, error) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	// A claim that we don't know may limit what the token is good for.
	decoder.DisallowUnknownFields()
	var w wire
	if err := decoder.Decode(&w); err != nil || decoder.More() {
		return Claims{}, ErrToken
	}
	if w.Issuer != v.base || w.Audience != v.base {
		return Claims{}, ErrAudience
	}
	claims := Claims{
		Role: w.Role, Subject: w.Subject, Ministry: w.Ministry, Source: w.Source, ACR: acrOf(w.ACR),
		Issued: time.Unix(w.Issued, 0).UTC(), Expires: time.Unix(w.Expires, 0).UTC(), ID: w.ID,
	}
	switch err := claims.check(); {
	case err != nil || claims.ID == "":
		return Claims{}, ErrToken
	case !now.Before(claims.Expires):
		return Claims{}, ErrExpired
	case now.Add(clockSkew).Before(claims.Issued):
		return Claims{}, ErrTooEarly
	}
	return claims, nil
}

// acrOf reads the level of a token. One without any is from before levels were named, and from a terminal: it goes on to be good for
// everything. Anything but a level is 0, which check refuses.
func acrOf(text string) int {
	switch text {
	case "", "2":
		return maxACR
	case "1":
		return minACR
	}
	return 0
}

// canonical says whether text is base64url without padding in its one spelling: the decoders let line feeds and loose bits pass.
func canonical(text string) bool {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(decoded) > 0 && base64.RawURLEncoding.EncodeToString(decoded) == text
}

// keyID names a key by its hash.
func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func checkBase(base string) error {
	if u, err := url.Parse(base); err != nil || u.Scheme == "" || u.Host == "" || len(base) > maxName {
		return errors.New("auth: the hub's base is not an absolute URL")
	}
	return nil
}
