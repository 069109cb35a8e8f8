package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

// seen is what a route behind the middleware found.
type seen struct {
	called              bool
	claims              auth.Claims
	actor               journal.Actor
	hasClaims, hasActor bool
}

func route(s *seen) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.called = true
		s.claims, s.hasClaims = auth.From(r.Context())
		s.actor, s.hasActor = journal.ActorFrom(r.Context())
		w.WriteHeader(http.StatusNoContent)
	})
}

func call(h http.Handler, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/v1/me", nil)
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func clock() time.Time { return now }

func requireProblem(t *testing.T, w *httptest.ResponseRecorder, challenge string) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, challenge, w.Header().Get("WWW-Authenticate"))
	var body map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	require.Equal(t, "unauthenticated", body["code"])
	require.EqualValues(t, http.StatusUnauthorized, body["status"])
	require.Equal(t, "Unauthorized", body["title"])
	require.NotEmpty(t, body["detail"])
	require.NotContains(t, w.Body.String(), "Canary")
}

func TestMiddlewareSaysWhoIsCalling(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for _, role := range journal.Roles() {
		claims := ofRole(role)
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER "} {
			var s seen
			w := call(auth.Middleware(h.Verifier, clock)(auth.Demand(route(&s))), scheme+h.issue(t, claims))
			require.Equal(t, http.StatusNoContent, w.Code)
			require.True(t, s.hasClaims && s.hasActor)
			require.True(t, s.claims == claims)
			require.True(t, s.actor == claims.Actor())
		}
	}
}

func TestMiddlewareLetsNobodyPass(t *testing.T) {
	t.Parallel()
	h := setup(t)
	var s seen
	require.Equal(t, http.StatusNoContent, call(auth.Middleware(h.Verifier, clock)(route(&s))).Code)
	require.True(t, s.called)
	require.False(t, s.hasClaims || s.hasActor)
}

func TestDemand(t *testing.T) {
	t.Parallel()
	h := setup(t)
	var s seen
	requireProblem(t, call(auth.Middleware(h.Verifier, clock)(auth.Demand(route(&s)))), `Bearer realm="tellonce"`)
	require.False(t, s.called)
}

func TestMiddlewareRefuses(t *testing.T) {
	t.Parallel()
	h, stranger := setup(t), setup(t)
	good := "Bearer " + h.issue(t, officer())
	expired := officer()
	expired.Issued, expired.Expires = now.Add(-2*time.Hour), now.Add(-time.Hour)
	early := officer()
	early.Issued = now.Add(30 * time.Minute)
	const request, token = `Bearer realm="tellonce", error="invalid_request"`, `Bearer realm="tellonce", error="invalid_token"`
	for name, c := range map[string]struct {
		header    []string
		challenge string
		detail    string
	}{
		"empty":            {[]string{""}, request, "Send one token"},
		"the scheme alone": {[]string{"Bearer"}, request, "Send one token"},
		"no token":         {[]string{"Bearer "}, request, "Send one token"},
		"another scheme":   {[]string{"Basic dXNlcjpwYXNz"}, request, "Send one token"},
		"two spaces":       {[]string{"Bearer  x"}, request, "Send one token"},
		"two tokens":       {[]string{good, good}, request, "Send one token"},
		"two in one":       {[]string{good + " x"}, request, "Send one token"},
		"garbage":          {[]string{"Bearer x"}, token, "not a token of this hub"},
		"a stranger's":     {[]string{"Bearer " + stranger.issue(t, officer())}, token, "not a token of this hub"},
		"expired":          {[]string{"Bearer " + h.issue(t, expired)}, token, "expired"},
		"not yet":          {[]string{"Bearer " + h.issue(t, early)}, token, "future"},
	} {
		var s seen
		w := call(auth.Middleware(h.Verifier, clock)(route(&s)), c.header...)
		requireProblem(t, w, c.challenge)
		require.Contains(t, w.Body.String(), c.detail, name)
		require.False(t, s.called, name)
	}
	other, err := auth.NewIssuer(h.key, "https://other.example")
	require.NoError(t, err)
	foreign, err := other.Issue(officer())
	require.NoError(t, err)
	w := call(auth.Middleware(h.Verifier, clock)(route(&seen{})), "Bearer "+foreign)
	requireProblem(t, w, token)
	require.Contains(t, w.Body.String(), "another hub")
}
