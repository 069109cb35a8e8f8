package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

type object = map[string]any

// tiny is somebody else's provider: RS256, claims by other names, and whatever fault a test wants.
type tiny struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey
	now    func() time.Time

	mu        sync.Mutex
	discovery object // what it says of itself beyond the usual
	codes     map[string]code
	sign      func(claims object) string
	down      bool
	asked     []string // how clients proved who they are
}

type code struct {
	claims    object // nil: no ID token
	challenge string
}

func newTiny(t *testing.T) *tiny {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := &tiny{t: t, key: key, now: time.Now, codes: map[string]code{}, discovery: object{}}
	p.sign = func(claims object) string { return signed(t, jwa.RS256(), p.key, claims) }
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

// signed is a token of any algorithm.
func signed(t *testing.T, alg jwa.SignatureAlgorithm, key any, claims object) string {
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	token, err := jws.Sign(payload, jws.WithKey(alg, key))
	require.NoError(t, err)
	return string(token)
}

func (p *tiny) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	at := p.server.URL
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		all := object{
			"issuer": at, "authorization_endpoint": at + "/go", "token_endpoint": at + "/redeem", "jwks_uri": at + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"pairwise"},
			"id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"},
		}
		maps.Copy(all, p.discovery)
		_ = json.NewEncoder(w).Encode(all)
	case "/keys":
		public, _ := jwk.Import(p.key.Public())
		set := jwk.NewSet()
		_ = set.AddKey(public)
		_ = json.NewEncoder(w).Encode(set)
	case "/redeem":
		_ = r.ParseForm()
		id, _, _ := r.BasicAuth()
		p.asked = append(p.asked, id)
		got, ok := p.codes[r.PostForm.Get("code")]
		delete(p.codes, r.PostForm.Get("code"))
		if !ok || oauth2.S256ChallengeFromVerifier(r.PostForm.Get("code_verifier")) != got.challenge {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(object{"error": "invalid_grant", "error_description": canary})
			return
		}
		answer := object{"access_token": "x", "token_type": "Bearer"}
		if got.claims != nil {
			answer["id_token"] = p.sign(got.claims)
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// change changes the provider while nobody asks it.
func (p *tiny) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// relying is a hub that trusts this provider, and knows one resident by another claim than sub.
func (p *tiny) relying(change func(*auth.OIDCConfig)) *auth.Provider {
	p.t.Helper()
	config := auth.OIDCConfig{
		Issuer: p.server.URL, ClientID: "hub", ClientSecret: "s3cret", RedirectURL: "https://tellonce.example/sign-in/callback",
		Claims:    auth.ClaimNames{Subject: "upn", Reference: "person_ref", Role: "realm_access.roles", Ministry: "https://gov.example/ministry", Name: "given"},
		Roles:     map[string]journal.Role{"TO_CLERK": journal.RoleClerk, "TO_MIN": journal.RoleMinistry, "TO_OFFICER": journal.RoleOfficer, "TO_RES": journal.RoleCitizen},
		StrongACR: []string{"urn:gov:loa3", "urn:gov:loa2"}, Source: "crm", Key: [32]byte{1}, Clock: p.now,
		Citizen: func(_ context.Context, source, reference string) (uuid.UUID, error) {
			if source == "crm" && reference == "P-1" {
				return ann, nil
			}
			return uuid.Nil, nil
		},
	}
	if change != nil {
		change(&config)
	}
	provider, err := auth.NewProvider(config)
	require.NoError(p.t, err)
	return provider
}

var ann = uuid.MustParse("5f0f1d3e-1111-4222-8333-944455556666")

// signIn is one sign-in under way.
type signIn struct {
	*tiny
	provider *auth.Provider
	secret   string
	asked    url.Values // of the provider's page
	answer   url.Values // to the callback
}

// begin begins a sign-in; the provider will answer with claims, good ones but for what is given.
func (p *tiny) begin(provider *auth.Provider, acr int, claims object) *signIn {
	p.t.Helper()
	address, secret, err := provider.Begin(context.Background(), "fr", acr, "/fr/me")
	require.NoError(p.t, err)
	u, err := url.Parse(address)
	require.NoError(p.t, err)
	s := &signIn{tiny: p, provider: provider, secret: secret, asked: u.Query()}
	all := object{
		"iss": p.server.URL, "aud": "hub", "sub": "opaque", "exp": p.now().Add(time.Minute).Unix(), "iat": p.now().Unix(), "nonce": s.asked.Get("nonce"),
		"person_ref": "P-1", "given": "Ann",
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	s.answer = url.Values{"code": {rand.Text()}, "state": {s.asked.Get("state")}}
	p.change(func() {
		p.codes[s.answer.Get("code")] = code{claims: all, challenge: s.asked.Get("code_challenge")}
	})
	return s
}

func (s *signIn) finish() (journal.Actor, string, error) {
	actor, name, carry, err := s.provider.Finish(context.Background(), s.secret, s.answer)
	if err == nil {
		require.Equal(s.t, "/fr/me", carry)
	}
	return actor, name, err
}

// refused requires that a sign-in fails, for a reason, without a word about the person.
func (s *signIn) refused(why, text, name string) {
	s.t.Helper()
	actor, shown, err := s.finish()
	var refusal *auth.Refusal
	require.ErrorAs(s.t, err, &refusal, name)
	require.Equal(s.t, why, refusal.Refusal(), "%s: %v", name, err)
	require.ErrorContains(s.t, err, text, name)
	require.Less(s.t, len(err.Error()), 400, name)
	for _, secret := range []string{canary, "opaque", "P-1", "Ann", "s3cret"} {
		require.NotContains(s.t, err.Error(), secret, name)
	}
	require.True(s.t, actor == journal.Actor{}, name)
	require.Empty(s.t, shown)
}

// unsigned is a token with the algorithm none.
func unsigned(claims object) string {
	payload, _ := json.Marshal(claims) //nolint:errchkjson // texts and numbers
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}
