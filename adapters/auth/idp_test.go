package auth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

// sandbox is the sandbox's provider on a listener of its own, and a hub that trusts it.
type sandbox struct {
	*auth.Sandbox
	t      *testing.T
	hub    *auth.Provider
	config auth.OIDCConfig
	server *httptest.Server
	ahead  atomic.Int64 // of the clock
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	s := &sandbox{t: t}
	clock := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, r) }))
	var err error
	s.Sandbox, err = auth.NewSandbox(auth.SandboxConfig{
		Sandbox: true, Address: s.server.Listener.Addr().String(), Clock: clock,
		Accounts: []auth.Account{
			{ID: "ann", Subject: ann.String(), Role: journal.RoleCitizen, Name: "Ann"},
			{ID: "moh", Subject: "moh", Role: journal.RoleMinistry, Name: "Health", Ministry: "moh"},
		},
	})
	require.NoError(t, err)
	s.server.Start()
	t.Cleanup(s.server.Close)
	s.config = s.Configure(auth.OIDCConfig{
		Source: "sandbox", Clock: clock,
		Citizen: func(_ context.Context, source, reference string) (uuid.UUID, error) {
			require.Equal(t, "sandbox", source)
			return uuid.Parse(reference)
		},
	})
	s.hub, err = auth.NewProvider(s.config)
	require.NoError(t, err)
	return s
}

// get asks the provider, without going on to where it leads.
func (s *sandbox) get(address string) *http.Response {
	s.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(address)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response
}

// chooser begins a sign-in and goes to the chooser: its request's id, and the secret of the browser.
func (s *sandbox) chooser(lang string, acr int) (id, secret string) {
	s.t.Helper()
	address, secret, err := s.hub.Begin(context.Background(), lang, acr, "/en/me")
	require.NoError(s.t, err)
	response := s.get(address)
	require.Equal(s.t, http.StatusSeeOther, response.StatusCode)
	path, ok := strings.CutPrefix(response.Header.Get("Location"), s.server.URL+"/"+lang+"/sandbox-idp/")
	require.True(s.t, ok, response.Header.Get("Location"))
	return path, secret
}

// TestTheSandboxsProviderIsAProvider, found and judged as any other.
func TestTheSandboxsProviderIsAProvider(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	for _, acr := range []int{1, 2} {
		for account, want := range map[string]journal.Actor{
			"ann": {Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: ann.String(), Citizen: ann, Source: "sandbox", ACR: acr},
			"moh": {Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: "moh", Ministry: "moh", Source: "sandbox", ACR: acr},
		} {
			id, secret := s.chooser("fr", acr)
			asked, ok := s.Asked(id)
			require.True(t, ok)
			require.Equal(t, acr, asked)
			_, ok = s.Choose(id, "nobody", acr)
			require.False(t, ok)
			_, ok = s.Choose(id, account, 3)
			require.False(t, ok)
			address, ok := s.Choose(id, account, acr)
			require.True(t, ok)
			_, ok = s.Choose(id, account, acr)
			require.False(t, ok, "a request is answered once")
			u, err := url.Parse(address)
			require.NoError(t, err)
			require.Equal(t, s.config.RedirectURL, u.Scheme+"://"+u.Host+u.Path)
			actor, _, carry, err := s.hub.Finish(context.Background(), secret, u.Query())
			require.NoError(t, err)
			require.True(t, actor == want)
			require.Equal(t, "/en/me", carry)
			_, _, _, err = s.hub.Finish(context.Background(), secret, u.Query())
			require.ErrorContains(t, err, "invalid_grant", "a code is redeemed once")
		}
	}
}

// TestWhereThereIsNoSandboxsProvider.
func TestWhereThereIsNoSandboxsProvider(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "localhost:8080"} {
		_, err := auth.NewSandbox(auth.SandboxConfig{Sandbox: true, Address: address})
		require.NoError(t, err, address)
		_, err = auth.NewSandbox(auth.SandboxConfig{Sandbox: false, Address: address})
		require.ErrorContains(t, err, "sandboxes only")
	}
	for _, address := range []string{"", "0.0.0.0:8080", "[::]:8080", ":8080", "192.168.0.1:8080", "10.0.0.1:80", "localhost.evil.example:80", "evil.example:80"} {
		_, err := auth.NewSandbox(auth.SandboxConfig{Sandbox: true, Address: address})
		require.ErrorContains(t, err, "loopback", address)
	}
	s := newSandbox(t)
	for host, status := range map[string]int{s.Host(): http.StatusOK, "localhost:1": http.StatusOK, "rebound.example": http.StatusNotFound, "192.168.0.1": http.StatusNotFound} {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+"/sandbox-idp/jwks", nil)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, host)
		require.NotContains(t, w.Body.String(), `"d"`, "no private key")
	}
}

// TestRequestsThatTheSandboxRefuses: what is not ours leads nowhere; what lacks PKCE, a state or a nonce comes back as an error.
func TestRequestsThatTheSandboxRefuses(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	address, _, err := s.hub.Begin(context.Background(), "en", 1, "")
	require.NoError(t, err)
	good, err := url.Parse(address)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"client_id": "other", "redirect_uri": "https://evil.example/sign-in/callback", "response_type": "token", "scope": "profile", "state": "", "nonce": "",
		"code_challenge": "", "code_challenge_method": "plain",
	} {
		query := good.Query()
		query.Set(name, value)
		response := s.get(s.server.URL + good.Path + "?" + query.Encode())
		switch name {
		case "client_id", "redirect_uri":
			require.Equal(t, http.StatusBadRequest, response.StatusCode, name)
			require.Empty(t, response.Header.Get("Location"))
		default:
			u, err := url.Parse(response.Header.Get("Location"))
			require.NoError(t, err)
			require.Equal(t, "invalid_request", u.Query().Get("error"), name)
			require.Equal(t, "/sign-in/callback", u.Path)
		}
	}
}

// TestCodesOfTheSandbox are good once, for a minute, for who asked.
func TestCodesOfTheSandbox(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	redeem := func(form url.Values, id, secret string) (int, string) {
		r, err := http.NewRequest(http.MethodPost, s.server.URL+"/sandbox-idp/token", strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(id, secret)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		var answer struct {
			Error string `json:"error"`
		}
		require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		require.NoError(t, response.Body.Close())
		return response.StatusCode, answer.Error
	}
	fresh := func() url.Values {
		id, _ := s.chooser("en", 1)
		address, ok := s.Choose(id, "ann", 1)
		require.True(t, ok)
		u, err := url.Parse(address)
		require.NoError(t, err)
		return url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {s.config.RedirectURL}, "code_verifier": {"x"}}
	}
	status, says := redeem(fresh(), s.config.ClientID, s.config.ClientSecret)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid_grant", says, "another verifier")
	for _, wrong := range []string{"", "x"} {
		status, says = redeem(fresh(), s.config.ClientID, wrong)
		require.Equal(t, http.StatusUnauthorized, status)
		require.Equal(t, "invalid_client", says)
	}
	form := fresh()
	form.Set("grant_type", "password")
	_, says = redeem(form, s.config.ClientID, s.config.ClientSecret)
	require.Equal(t, "invalid_request", says)

	id, secret := s.chooser("en", 1)
	address, ok := s.Choose(id, "ann", 1)
	require.True(t, ok)
	u, err := url.Parse(address)
	require.NoError(t, err)
	_, says = redeem(url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {s.config.RedirectURL}, "code_verifier": {"stolen"},
	}, s.config.ClientID, s.config.ClientSecret)
	require.Equal(t, "invalid_grant", says)
	_, _, _, err = s.hub.Finish(context.Background(), secret, u.Query())
	require.ErrorContains(t, err, "invalid_grant", "a code that was shown wrongly is worth nothing")

	id, secret = s.chooser("en", 1)
	address, ok = s.Choose(id, "ann", 1)
	require.True(t, ok)
	u, err = url.Parse(address)
	require.NoError(t, err)
	s.ahead.Store(int64(time.Minute))
	_, _, _, err = s.hub.Finish(context.Background(), secret, u.Query())
	require.ErrorContains(t, err, "invalid_grant", "late")

	id, _ = s.chooser("en", 1)
	s.ahead.Store(int64(17 * time.Minute))
	_, ok = s.Asked(id)
	require.False(t, ok, "a request waits a quarter of an hour")
	_, ok = s.Choose(id, "ann", 1)
	require.False(t, ok)
}
