package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// visitor is somebody with a browser, at a hub of its own or another on the same store.
type visitor struct {
	t      *testing.T
	hub    *hubProcess
	client *http.Client
}

func newVisitor(t *testing.T, hub *hubProcess) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &visitor{t: t, hub: hub, client: &http.Client{Jar: jar}}
}

// page is where a request ends, and what is read there.
func (r *visitor) page(response *http.Response, err error) (path, text string) {
	r.t.Helper()
	require.NoError(r.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	return response.Request.URL.Path, string(body)
}

func (r *visitor) get(path string) (string, string) {
	r.t.Helper()
	return r.page(r.client.Get(r.hub.url + path))
}

func (r *visitor) post(path string, form url.Values) (string, string) {
	r.t.Helper()
	return r.page(r.client.PostForm(r.hub.url+path, form))
}

// signsIn goes by the sandbox's identity provider as the first persona whose id begins so.
func (r *visitor) signsIn(persona, acr string) (path, text string) {
	r.t.Helper()
	chooser, page := r.get("/en/sign-in/start")
	found := regexp.MustCompile(`value="(` + persona + `[^"]*)"`).FindStringSubmatch(page)
	require.NotEmpty(r.t, found, "no persona %s", persona)
	return r.post(chooser, url.Values{"persona": {found[1]}, "acr": {acr}})
}

// TestSignInToThePages: by the sandbox's provider, as people of each role; a session outlives the process, and its end does, too.
func TestSignInToThePages(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
	hub := p.serve()
	r := newVisitor(t, hub)
	path, text := r.signsIn("resident-", "1")
	require.Equal(t, "/en/me", path)
	require.Contains(t, text, "Signed in as")
	for persona, home := range map[string]string{
		"ministry-moh": "/en/streams", "officer": "/en/looks", "clerk": "/en/", "registrar": "/en/", "protector": "/en/", "auditor": "/en/",
	} {
		path, text := newVisitor(t, hub).signsIn(persona, "2")
		require.Contains(t, text, "Signed in as", persona)
		if path != home { // a role that got pages since
			require.Contains(t, []string{"/en/counter"}, path, persona)
		}
	}

	require.Zero(t, hub.stop(t))
	r.hub = p.serve()
	path, _ = r.get("/en/me")
	require.Equal(t, "/en/me", path, "the session stands in the store")
	stolen := newVisitor(t, r.hub)
	at, err := url.Parse(r.hub.url)
	require.NoError(t, err)
	stolen.client.Jar.SetCookies(at, r.client.Jar.Cookies(at))
	path, _ = r.post("/en/sign-out", nil)
	require.Equal(t, "/en/signed-out", path)
	r.hub.kill()
	stolen.hub = p.serve()
	path, _ = stolen.get("/en/me")
	require.Equal(t, "/en/sign-in", path)
	require.NotContains(t, hub.stderr.String()+r.hub.stderr.String(), "code=")
}

// TestWhereNobodyCanSignIn: a sandbox that others can reach has no provider of its own; a provider that is away keeps no hub from starting.
func TestWhereNobodyCanSignIn(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	hub := p.serve("--listen", "0.0.0.0:0")
	status, _ := hub.call(t, "", "GET", "/sandbox-idp/.well-known/openid-configuration", "")
	require.Equal(t, http.StatusNotFound, status)
	_, text := newVisitor(t, hub).get("/en/sign-in")
	require.Contains(t, text, "Sign-in isn’t set up yet")
	require.Contains(t, hub.stderr.String(), "nobody can sign in to the pages")
	require.Zero(t, hub.stop(t))

	hub = p.serve("--oidc-issuer", "http://127.0.0.1:1", "--oidc-client-id", "hub")
	status, _ = hub.call(t, "", "GET", "/sandbox-idp/.well-known/openid-configuration", "")
	require.Equal(t, http.StatusNotFound, status, "one provider, not two")
	path, _ := newVisitor(t, hub).get("/fr/sign-in/start")
	require.Equal(t, "/fr/sign-in/problem/away", path)
	require.Zero(t, hub.stop(t))

	for _, flags := range [][]string{
		{"--oidc-client-id", "hub"}, {"--oidc-issuer", "https://id.example"}, {"--session-idle", "0s"},
		{"--oidc-issuer", "https://id.example", "--oidc-client-id", "hub", "--oidc-claims", "king=sub"},
		{"--oidc-issuer", "https://id.example", "--oidc-client-id", "hub", "--oidc-roles", "boss=king"},
	} {
		p.fails(exitUsage, append([]string{"serve"}, flags...)...)
	}
	p.fails(exitFailure, "serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--oidc-issuer", "http://id.example", "--oidc-client-id", "hub")
	p.fails(exitFailure, "serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--oidc-issuer", "https://id.example", "--oidc-client-id", "hub",
		"--oidc-client-secret-file", "missing")
	p.fails(exitUsage, "token", "issue", "--role", "officer", "--acr", "3")
}
