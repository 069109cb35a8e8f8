package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
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
	return auth.Claims{Role: journal.RoleOfficer, Subject: canary, Source: "crm", ACR: 1, Issued: now, Expires: now.Add(time.Hour), ID: "token-1"}
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

// TestLevelsOfLogIn: a token names one; the terminal's default is the strongest; one from before levels were named stays good for everything.
func TestLevelsOfLogIn(t *testing.T) {
	t.Parallel()
	h := setup(t)
	header, _, _ := parts(t, h.issue(t, officer()))
	for acr, want := range map[int]int{0: 2, 1: 1, 2: 2} {
		claims := officer()
		claims.ACR = acr
		token := h.issue(t, claims)
		got, err := h.Verify(token, now)
		require.NoError(t, err)
		require.Equal(t, want, got.ACR)
		require.Equal(t, want, got.Actor().ACR)
		_, payload, _ := parts(t, token)
		require.Contains(t, string(dec(t, payload)), fmt.Sprintf(`"acr":"%d"`, want))
		old := strings.Replace(string(dec(t, payload)), fmt.Sprintf(`"acr":"%d",`, want), "", 1)
		got, err = h.Verify(h.forge(string(dec(t, header)), old), now)
		require.NoError(t, err)
		require.Equal(t, 2, got.ACR)
		for _, bad := range []string{`"0"`, `"3"`, `"02"`, `2`, `" 2"`} {
			other := strings.Replace(string(dec(t, payload)), fmt.Sprintf(`"acr":"%d"`, want), `"acr":`+bad, 1)
			_, err = h.Verify(h.forge(string(dec(t, header)), other), now)
			require.ErrorIs(t, err, auth.ErrToken, bad)
		}
	}
	for _, acr := range []int{-1, 3} {
		claims := officer()
		claims.ACR = acr
		_, err := h.Issue(claims)
		require.Error(t, err)
	}
}
