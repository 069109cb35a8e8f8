package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

const (
	base   = "https://tellonce.example"
	canary = "Canary-Ünderhill"
)

var now = time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)

// hub is one hub's issuer and verifier with their key.
type hub struct {
	*auth.Issuer
	*auth.Verifier
	key ed25519.PrivateKey
}

func setup(t testing.TB) hub { return setupAt(t, base) }

func setupAt(t testing.TB, base string) hub {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	issuer, err := auth.NewIssuer(key, base)
	require.NoError(t, err)
	verifier, err := auth.NewVerifier(base, public)
	require.NoError(t, err)
	return hub{issuer, verifier, key}
}

func (h hub) issue(t testing.TB, claims auth.Claims) string {
	token, err := h.Issue(claims)
	require.NoError(t, err)
	return token
}

func officer() auth.Claims {
	return auth.Claims{Role: journal.RoleOfficer, Subject: canary, Source: "crm", Issued: now, Expires: now.Add(time.Hour), ID: "token-1"}
}

func ofRole(role journal.Role) auth.Claims {
	claims := officer()
	claims.Role = role
	switch role {
	case journal.RoleCitizen:
		claims.Subject = uuid.NewString()
	case journal.RoleMinistry:
		claims.Subject, claims.Ministry = "", "moh"
	default:
	}
	return claims
}

func TestEveryRoleRoundTrips(t *testing.T) {
	t.Parallel()
	h := setup(t)
	kinds := map[journal.ActorKind]bool{}
	for _, role := range journal.Roles() {
		claims := ofRole(role)
		got, err := h.Verify(h.issue(t, claims), now)
		require.NoError(t, err, role)
		require.True(t, claims == got, role)
		actor := got.Actor()
		require.Equal(t, role, actor.Role)
		require.Equal(t, "crm", actor.Source)
		kinds[actor.Kind] = true
		switch role {
		case journal.RoleCitizen:
			require.Equal(t, claims.Subject, actor.Citizen.String())
			require.Equal(t, claims.Subject, actor.ID)
		case journal.RoleMinistry:
			require.Equal(t, "moh", actor.Ministry)
			require.Equal(t, "moh", actor.ID)
		default:
			require.Equal(t, canary, actor.ID)
			require.Equal(t, uuid.Nil, actor.Citizen)
			require.Empty(t, actor.Ministry)
		}
	}
	require.Len(t, kinds, 8, "each role is a kind of its own on the log")
	require.NotContains(t, kinds, journal.ActorHub)
}

func TestTokensHaveIdsOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := setup(t)
	seen := map[string]bool{}
	for range 10 {
		claims := officer()
		claims.ID = ""
		got, err := h.Verify(h.issue(t, claims), now)
		require.NoError(t, err)
		require.NotEmpty(t, got.ID)
		require.False(t, seen[got.ID])
		seen[got.ID] = true
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for name, change := range map[string]func(*auth.Claims){
		"no role":                       func(c *auth.Claims) { c.Role = "" },
		"an unknown role":               func(c *auth.Claims) { c.Role = "king" },
		"nobody":                        func(c *auth.Claims) { c.Subject = "" },
		"an officer with a ministry":    func(c *auth.Claims) { c.Ministry = "moh" },
		"a ministry without its id":     func(c *auth.Claims) { c.Role, c.Subject = journal.RoleMinistry, "" },
		"a ministry with a subject":     func(c *auth.Claims) { c.Role, c.Ministry = journal.RoleMinistry, "moh" },
		"a citizen by name":             func(c *auth.Claims) { c.Role = journal.RoleCitizen },
		"a citizen of no id":            func(c *auth.Claims) { c.Role, c.Subject = journal.RoleCitizen, uuid.Nil.String() },
		"a citizen in another spelling": func(c *auth.Claims) { c.Role, c.Subject = journal.RoleCitizen, "{"+uuid.NewString()+"}" },
		"a subject with control":        func(c *auth.Claims) { c.Subject = "a\nb" },
		"a subject that is not UTF-8":   func(c *auth.Claims) { c.Subject = "a\xff" },
		"a long subject":                func(c *auth.Claims) { c.Subject = strings.Repeat("a", 201) },
		"a long source":                 func(c *auth.Claims) { c.Source = strings.Repeat("a", 201) },
		"a long id":                     func(c *auth.Claims) { c.ID = strings.Repeat("a", 201) },
		"no time at all":                func(c *auth.Claims) { c.Expires = c.Issued },
		"less than a second":            func(c *auth.Claims) { c.Expires = c.Issued.Add(999 * time.Millisecond) },
		"backwards":                     func(c *auth.Claims) { c.Expires = c.Issued.Add(-time.Hour) },
		"for ever":                      func(c *auth.Claims) { c.Expires = c.Issued.Add(auth.MaxLifetime + time.Second) },
		"no time of issue":              func(c *auth.Claims) { c.Issued, c.Expires = time.Time{}, time.Time{}.Add(time.Hour) },
	} {
		claims := officer()
		change(&claims)
		token, err := h.Issue(claims)
		require.Error(t, err, name)
		require.Empty(t, token)
		require.NotContains(t, err.Error(), "Canary")
	}
	long := officer()
	long.Subject, long.Source, long.ID = strings.Repeat("<", 200), strings.Repeat("<", 200), strings.Repeat("<", 200)
	_, err := h.Issue(long)
	require.ErrorContains(t, err, "longer than")
}

func TestSetupRefuses(t *testing.T) {
	t.Parallel()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for _, base := range []string{"", "tellonce", "/v1", "https://", "http://[::1", "https://" + strings.Repeat("a", 200)} {
		_, err := auth.NewIssuer(key, base)
		require.Error(t, err, base)
		_, err = auth.NewVerifier(base, public)
		require.Error(t, err, base)
	}
	_, err = auth.NewIssuer(key[:63], base)
	require.Error(t, err)
	_, err = auth.NewVerifier(base, public[:31])
	require.Error(t, err)
}

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

func TestTimeIsTheCallers(t *testing.T) {
	t.Parallel()
	h := setup(t)
	token := h.issue(t, officer())
	for offset, want := range map[time.Duration]error{
		-61 * time.Second:           auth.ErrTooEarly,
		-60 * time.Second:           nil,
		0:                           nil,
		time.Hour - time.Nanosecond: nil,
		time.Hour:                   auth.ErrExpired,
		1000 * 24 * time.Hour:       auth.ErrExpired,
		-50 * 365 * 24 * time.Hour:  auth.ErrTooEarly,
		200 * 365 * 24 * time.Hour:  auth.ErrExpired,
		time.Hour - time.Second:     nil,
	} {
		_, err := h.Verify(token, now.Add(offset))
		if want == nil {
			require.NoError(t, err, offset)
		} else {
			require.ErrorIs(t, err, want, offset)
		}
	}
}

func TestAnotherHubsTokensAreRefused(t *testing.T) {
	t.Parallel()
	h := setup(t)
	issuer, err := auth.NewIssuer(h.key, "https://other.example")
	require.NoError(t, err)
	token, err := issuer.Issue(officer())
	require.NoError(t, err)
	_, err = h.Verify(token, now)
	require.ErrorIs(t, err, auth.ErrAudience, "the same key, another base")
}

func TestKeysCanBeReplaced(t *testing.T) {
	t.Parallel()
	old, next := setup(t), setup(t)
	both, err := auth.NewVerifier(base, old.key.Public().(ed25519.PublicKey), next.key.Public().(ed25519.PublicKey))
	require.NoError(t, err)
	for _, h := range []hub{old, next} {
		_, err := both.Verify(h.issue(t, officer()), now)
		require.NoError(t, err)
	}
	_, err = next.Verify(old.issue(t, officer()), now)
	require.ErrorIs(t, err, auth.ErrToken)
	none, err := auth.NewVerifier(base)
	require.NoError(t, err)
	_, err = none.Verify(old.issue(t, officer()), now)
	require.ErrorIs(t, err, auth.ErrToken)
}

func TestNothingPrints(t *testing.T) {
	t.Parallel()
	h := setup(t)
	claims := officer()
	claims.Role = journal.RoleOfficer
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("call", "claims", claims, "actor", claims.Actor(), "pointer", &claims, "issuer", h.Issuer)
	}
	encoded, err := json.Marshal(map[string]any{"claims": claims, "pointer": &claims})
	require.NoError(t, err)
	printed := []string{log.String(), string(encoded), errors.Join(fmt.Errorf("call by %v", claims)).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, claims), fmt.Sprintf(verb, claims.Actor()),
			fmt.Sprintf(verb, struct{ C auth.Claims }{claims}), fmt.Sprintf(verb, []any{claims, claims.Actor()}))
	}
	for _, text := range printed {
		require.Contains(t, text, "officer")
		for _, secret := range []string{"Canary", "crm", "token-1", fmt.Sprintf("%x", "Canary")} {
			require.NotContains(t, text, secret)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		require.Equal(t, "[token issuer]", fmt.Sprintf(verb, h.Issuer))
	}
	require.Equal(t, "claims(no role)", fmt.Sprint(auth.Claims{Role: canary}), "an unknown role may be anything")
}

// Only what was issued is accepted, whatever is sent: a token is accepted if and only if it is one of ours, byte for byte.
func FuzzVerify(f *testing.F) {
	h := setup(f)
	good := h.issue(f, officer())
	header, payload, signature := parts(f, good)
	f.Add(good)
	f.Add(header + "." + payload + ".")
	f.Add("." + payload + "." + signature)
	f.Add(enc([]byte(`{"alg":"none"}`)) + "." + payload + ".")
	f.Add(strings.Repeat(".", 100))
	f.Add(`{"payload":"` + payload + `","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		for _, sent := range []string{token, header + "." + token, header + "." + payload + "." + token} {
			claims, err := h.Verify(sent, now)
			if sent == good {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, auth.ErrToken)
			require.True(t, claims == auth.Claims{})
		}
	})
}

// What is signed by our own key is still judged: no payload makes Verify panic or return claims that Issue would refuse.
func FuzzClaims(f *testing.F) {
	h := setup(f)
	header, payload, _ := parts(f, h.issue(f, officer()))
	head := string(dec(f, header))
	f.Add(string(dec(f, payload)))
	f.Add(`{"iss":"https://tellonce.example","aud":"https://tellonce.example","role":"citizen","sub":"x","iat":1,"exp":9999999999,"jti":"a"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		claims, err := h.Verify(h.forge(head, payload), now)
		if err != nil {
			require.ErrorIs(t, err, auth.ErrToken)
			return
		}
		_, err = h.Issue(claims)
		require.NoError(t, err)
	})
}

func BenchmarkVerify(b *testing.B) {
	h := setup(b)
	token := h.issue(b, officer())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Verify(token, now); err != nil {
			b.Fatal(err)
		}
	}
}
