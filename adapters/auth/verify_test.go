package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/auth"
)

func enc(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func dec(t testing.TB, s string) []byte {
	out, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	return out
}

// forge signs any header and payload with the hub's own key.
func (h hub) forge(header, payload string) string {
	input := enc([]byte(header)) + "." + enc([]byte(payload))
	return input + "." + enc(ed25519.Sign(h.key, []byte(input)))
}

// parts takes a token apart.
func parts(t testing.TB, token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	require.Len(t, p, 3)
	return p[0], p[1], p[2]
}

func TestForgeMakesGoodTokens(t *testing.T) {
	t.Parallel()
	h := setup(t)
	header, payload, _ := parts(t, h.issue(t, officer()))
	_, err := h.Verify(h.forge(string(dec(t, header)), string(dec(t, payload))), now)
	require.NoError(t, err, "else the refusals below prove nothing")
}

// Whatever is wrong with a token's form, head or signature, it is refused, though its claims are good.
func TestVerifyRefusesForms(t *testing.T) {
	t.Parallel()
	h, stranger := setup(t), setup(t)
	good := h.issue(t, officer())
	header, payload, signature := parts(t, good)
	head, claims := string(dec(t, header)), string(dec(t, payload))
	require.JSONEq(t, head, head)
	member := func(add string) string { return strings.TrimSuffix(head, "}") + "," + add + "}" }
	other := func(alg string) string { return strings.Replace(head, `"EdDSA"`, `"`+alg+`"`, 1) }
	public := h.key.Public().(ed25519.PublicKey)
	hs256 := func(secret []byte) string {
		input := enc([]byte(other("HS256"))) + "." + payload
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + enc(mac.Sum(nil))
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(enc([]byte(other("ES256"))) + "." + payload))
	es256, err := ecdsa.SignASN1(rand.Reader, ec, digest[:])
	require.NoError(t, err)
	jwk := fmt.Sprintf(`"jwk":{"kty":"OKP","crv":"Ed25519","x":%q}`, enc(stranger.key.Public().(ed25519.PublicKey)))
	flipped := dec(t, signature)
	flipped[10] ^= 1
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", signature[len(signature)-1])
	loose := signature[:len(signature)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
	require.Equal(t, dec(t, signature), dec(t, loose), "the same signature in another spelling")

	for name, token := range map[string]string{
		"empty":                         "",
		"dots":                          "..",
		"no signature":                  header + "." + payload + ".",
		"two parts":                     header + "." + payload,
		"four parts":                    good + "." + signature,
		"alg none, no signature":        enc([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + payload + ".",
		"alg none, the good signature":  enc([]byte(other("none"))) + "." + payload + "." + signature,
		"alg None":                      h.forge(other("None"), claims),
		"HS256 with the public key":     hs256(public),
		"HS256 with an empty key":       hs256(nil),
		"HS384":                         h.forge(other("HS384"), claims),
		"RS256":                         h.forge(other("RS256"), claims),
		"ES256 with a stranger's key":   enc([]byte(other("ES256"))) + "." + payload + "." + enc(es256),
		"the right key, other alg name": h.forge(other("Ed25519"), claims),
		"a critical header":             h.forge(member(`"crit":["exp"],"exp":1`), claims),
		"an empty critical header":      h.forge(member(`"crit":[]`), claims),
		"b64":                           h.forge(member(`"b64":true,"crit":["b64"]`), claims),
		"a key in the header":           stranger.forge(member(jwk), claims),
		"a key's address in the header": stranger.forge(member(`"jku":"https://evil.example/keys"`), claims),
		"one more header":               h.forge(member(`"x":1`), claims),
		"a header twice":                h.forge(member(`"alg":"EdDSA"`), claims),
		"another type":                  h.forge(strings.Replace(head, "JWT", "JWS", 1), claims),
		"another key's name":            h.forge(strings.Replace(head, `"kid":"`, `"kid":"x`, 1), claims),
		"headers in another order":      h.forge(`{"typ":"JWT",`+strings.TrimPrefix(head, "{"), claims),
		"a header with spaces":          h.forge(" "+head, claims),
		"a stranger's signature":        header + "." + payload + "." + strings.Split(stranger.forge(head, claims), ".")[2],
		"a stranger's token":            stranger.issue(t, officer()),
		"a flipped signature":           header + "." + payload + "." + enc(flipped),
		"a short signature":             header + "." + payload + "." + signature[:len(signature)-2],
		"a long signature":              header + "." + payload + "." + signature + "AA",
		"a loose last character":        header + "." + payload + "." + loose,
		"padding":                       good + "==",
		"padding inside":                header + "." + payload + "=." + signature,
		"a line feed at the end":        good + "\n",
		"a line feed inside":            header + "." + payload[:8] + "\n" + payload[8:] + "." + signature,
		"a space before":                " " + good,
		"a space after":                 good + " ",
		"standard base64":               header + "." + payload + "." + strings.NewReplacer("-", "+", "_", "/").Replace(signature+"-_"),
		"a changed claim":               header + "." + enc([]byte(strings.Replace(claims, "officer", "auditor", 1))) + "." + signature,
		"the JSON form":                 fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, payload, header, signature),
		"oversize":                      header + "." + payload + "." + signature + strings.Repeat("A", auth.MaxToken),
		"oversize and signed":           h.forge(head, strings.TrimSuffix(claims, "}")+strings.Repeat(" ", auth.MaxToken)+"}"),
	} {
		got, err := h.Verify(token, now)
		require.ErrorIs(t, err, auth.ErrToken, name)
		require.True(t, got == auth.Claims{}, name)
		require.NotContains(t, err.Error(), "Canary", name)
		require.Less(t, len(err.Error()), 100, name)
	}
}

// Signed by the hub's own key, yet not good: each claim is judged.
func TestVerifyRefusesClaims(t *testing.T) {
	t.Parallel()
	h := setup(t)
	header, payload, _ := parts(t, h.issue(t, officer()))
	head := string(dec(t, header))
	var good map[string]any
	require.NoError(t, json.Unmarshal(dec(t, payload), &good))
	for name, c := range map[string]struct {
		set  map[string]any // nil deletes
		want error
	}{
		"another audience":           {map[string]any{"aud": "https://other.example"}, auth.ErrAudience},
		"audience with a slash":      {map[string]any{"aud": base + "/"}, auth.ErrAudience},
		"no audience":                {map[string]any{"aud": nil}, auth.ErrAudience},
		"a list of audiences":        {map[string]any{"aud": []string{base, "https://other.example"}}, auth.ErrToken},
		"another issuer":             {map[string]any{"iss": "https://other.example"}, auth.ErrAudience},
		"no issuer":                  {map[string]any{"iss": nil}, auth.ErrAudience},
		"expired":                    {map[string]any{"iat": now.Unix() - 10, "exp": now.Unix()}, auth.ErrExpired},
		"expired long ago":           {map[string]any{"iat": 1000, "exp": 2000}, auth.ErrExpired},
		"no expiry":                  {map[string]any{"exp": nil}, auth.ErrToken},
		"expiry as text":             {map[string]any{"exp": "never"}, auth.ErrToken},
		"expiry with a fraction":     {map[string]any{"exp": float64(now.Unix()) + 0.5}, auth.ErrToken},
		"expiry beyond all time":     {map[string]any{"exp": 1e18}, auth.ErrToken},
		"expiry beyond numbers":      {map[string]any{"exp": 1e30}, auth.ErrToken},
		"issued in the future":       {map[string]any{"iat": now.Unix() + 61}, auth.ErrTooEarly},
		"no time of issue":           {map[string]any{"iat": nil}, auth.ErrToken},
		"no role":                    {map[string]any{"role": nil}, auth.ErrToken},
		"another role":               {map[string]any{"role": "king"}, auth.ErrToken},
		"roles":                      {map[string]any{"role": []string{"officer"}}, auth.ErrToken},
		"the hub itself":             {map[string]any{"role": ""}, auth.ErrToken},
		"no id":                      {map[string]any{"jti": nil}, auth.ErrToken},
		"nobody":                     {map[string]any{"sub": nil}, auth.ErrToken},
		"a citizen by name":          {map[string]any{"role": "citizen"}, auth.ErrToken},
		"an officer of a ministry":   {map[string]any{"ministry": "moh"}, auth.ErrToken},
		"a claim that we don't know": {map[string]any{"scope": "read"}, auth.ErrToken},
		"not before":                 {map[string]any{"nbf": now.Unix() + 1000}, auth.ErrToken},
	} {
		claims := map[string]any{}
		for k, v := range good {
			claims[k] = v
		}
		for k, v := range c.set {
			if v == nil {
				delete(claims, k)
			} else {
				claims[k] = v
			}
		}
		text, err := json.Marshal(claims)
		require.NoError(t, err)
		got, err := h.Verify(h.forge(head, string(text)), now)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorIs(t, err, auth.ErrToken, name)
		require.True(t, got == auth.Claims{}, name)
		require.NotContains(t, err.Error(), "Canary", name)
	}
	for _, text := range []string{"", "null", "[]", "{}", `"x"`, string(dec(t, payload)) + "{}", string(dec(t, payload))[1:]} {
		_, err := h.Verify(h.forge(head, text), now)
		require.ErrorIs(t, err, auth.ErrToken, text)
	}
}
