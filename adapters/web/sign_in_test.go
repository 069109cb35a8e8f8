package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/domain/journal"
)

// provide puts the sandbox's identity provider beside the pages: its accounts are the personas.
func (p *pages) provide(t *testing.T, mux *http.ServeMux) {
	t.Helper()
	config := auth.SandboxConfig{Sandbox: true, Address: p.server.Listener.Addr().String(), Clock: p.clock.Now}
	for _, one := range p.config.Personas {
		config.Accounts = append(config.Accounts, auth.Account{
			ID: one.ID, Subject: one.Actor.ID, Role: one.Role, Name: one.Name, Ministry: one.Actor.Ministry,
		})
	}
	idp, err := auth.NewSandbox(config)
	require.NoError(t, err)
	mux.Handle(auth.SandboxPath+"/", idp)
	provider, err := auth.NewProvider(idp.Configure(auth.OIDCConfig{
		Clock:  p.clock.Now,
		Source: "sandbox",
		Citizen: func(_ context.Context, _, reference string) (uuid.UUID, error) {
			for _, one := range p.config.Personas {
				if one.Role == journal.RoleCitizen && one.Actor.ID == reference {
					return one.Actor.Citizen, nil
				}
			}
			return uuid.Nil, nil
		},
	}))
	require.NoError(t, err)
	p.config.SignIn, p.config.Chooser = provider, idp
}

// toChooser goes by the links to the page on which one chooses, and returns it.
func (b *browser) toChooser(lang, query string) *sheet {
	b.t.Helper()
	page := b.get("/"+lang+"/sign-in/start"+query, http.StatusOK)
	require.Regexp(b.t, `^/`+lang+`/sandbox-idp/[A-Z2-7]{26}$`, page.path)
	return page
}

// signsIn signs in as a persona, as a person does.
func (b *browser) signsIn(lang, persona, acr string) *sheet {
	b.t.Helper()
	return b.post(b.toChooser(lang, "").path, url.Values{"persona": {persona}, "acr": {acr}}, http.StatusOK)
}

// token is the session's token that the browser holds.
func (b *browser) token() string {
	for _, c := range b.client.Jar.Cookies(mustParse(b.t, b.base)) {
		if c.Name == "tellonce-session" {
			return c.Value
		}
	}
	return ""
}

// holds gives the browser a cookie.
func (b *browser) holds(name, value string) {
	b.client.Jar.SetCookies(mustParse(b.t, b.base), []*http.Cookie{{Name: name, Value: value}})
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	start := b.get("/en/sign-in", http.StatusOK).says("You sign in with your identity provider")
	require.Contains(t, start.body, `href="/en/sign-in/start"`)
	chooser := b.toChooser("en", "")
	chooser.says("Who do you want to be?", "A resident", "A ministry", "A privacy officer", "Lives in Sudbury")
	none := b.post(chooser.path, nil, http.StatusUnprocessableEntity)
	none.says("There is a problem", "Choose who you want to be")
	require.Contains(t, none.body, `<a href="#persona-0-0">`)
	b.post(chooser.path, url.Values{"persona": {"nobody"}, "acr": {"1"}}, http.StatusUnprocessableEntity)
	for persona, home := range map[string]string{"zoe": "/en/me", "moh": "/en/streams", "officer": "/en/looks"} {
		page := b.signsIn("en", persona, "1")
		require.Equal(t, home, page.path)
		require.Equal(t, home, b.get("/en/", http.StatusOK).path)
	}
	b.get("/fr/looks", http.StatusOK).says("Dominique")
	require.Equal(t, "/fr/signed-out", b.post("/fr/sign-out", nil, http.StatusOK).says("Votre session est fermée").path)
	require.Equal(t, "/en/sign-in", b.get("/en/looks", http.StatusOK).path)
	require.NotContains(t, p.logs.String(), canary)
	require.NotContains(t, p.urls.String(), canary)
	require.NotContains(t, p.urls.String(), p.zoe.String())
}

// TestASignInGoesWhereOneWantedTo, in the language in which one came back, if it is a page of one's own.
func TestASignInGoesWhereOneWantedTo(t *testing.T) {
	t.Parallel()
	p := setup(t)
	receipt := p.tell(t)
	b := p.browser(t)
	require.Equal(t, "/en/sign-in", b.get("/en/receipts/"+receipt, http.StatusOK).path, "nothing of it in the address")
	require.Equal(t, "/fr/receipts/"+receipt, b.signsIn("fr", "zoe", "1").path)
	require.Equal(t, "/fr/me", b.signsIn("fr", "zoe", "1").path, "once")

	b = p.browser(t)
	refused := p.count(t, journal.TypeAccessRefused)
	b.get("/en/me", http.StatusOK)
	require.Equal(t, "/en/looks", b.signsIn("en", "officer", "1").path, "somebody else's page is not gone to")
	require.Equal(t, refused, p.count(t, journal.TypeAccessRefused))

	b = p.browser(t)
	b.get("/en/streams/moh.health-card/0?read=0", http.StatusOK)
	require.Equal(t, "/en/streams/moh.health-card/0?read=0", b.signsIn("en", "moh", "1").path)

	b = p.browser(t)
	b.post("/en/erasure", url.Values{"sure": {"yes"}}, http.StatusOK)
	require.Equal(t, "/en/erasure", b.signsIn("en", "zoe", "1").path, "a form's page, not its post")
	require.Equal(t, "/en/sign-in", p.browser(t).get("/en/receipts/"+receipt+"/live", http.StatusOK).path)
}

// TestASignInLeadsNowhereElse, whatever stands in the cookie that remembers the way.
func TestASignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for _, way := range []string{
		"//evil.example", "/en//evil.example", "https://evil.example/en/me", "/en/../../evil", "/en/\\evil.example", "\\\\evil.example", "/en/me\r\nX: y", "/\t/evil.example",
		"", "/", "x", "/en", "///", "/en/nonsense", "/en/sign-out", "/en/sign-in", "/en/performance", "/assets/x", "/v1/me", "/sign-in/callback", "/en/streams", "/en/me/../me",
		"javascript:alert(1)", "/en/@evil.example", "%2F%2Fevil.example", "%", "/en/%2e%2e//evil.example", "/fr//evil.example/en/me",
	} {
		b := p.browser(t)
		b.holds("tellonce-return", url.QueryEscape(way))
		require.Equal(t, "/en/me", b.signsIn("en", "zoe", "1").path, "%q", way)
	}
}

// TestASignInIsTheBrowsersThatBeganIt: no other can come back with its answer (log-in CSRF), and no answer counts twice.
func TestASignInIsTheBrowsersThatBeganIt(t *testing.T) {
	t.Parallel()
	p := setup(t)
	attacker, victim := p.browser(t), p.browser(t)
	chooser := attacker.toChooser("en", "")
	attacker.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := attacker.client.PostForm(attacker.base+chooser.path, url.Values{"persona": {"luc"}, "acr": {"1"}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	answer := response.Header.Get("Location")
	path, ok := strings.CutPrefix(answer, p.server.URL)
	require.True(t, ok)
	for range 2 {
		require.Equal(t, "/en/sign-in/problem/again", victim.get(path, http.StatusOK).says("Please sign in again").path)
		victim.toChooser("en", "") // with a sign-in of their own under way it is the same
	}
	require.Empty(t, victim.token())
	attacker.client.CheckRedirect = nil
	require.Equal(t, "/en/me", attacker.get(path, http.StatusOK).path, "it was good")
	attacker.post("/en/sign-out", nil, http.StatusOK)
	require.Equal(t, "/en/sign-in/problem/again", attacker.get(path, http.StatusOK).path)
	require.Equal(t, "/en/sign-in", attacker.get("/en/me", http.StatusOK).path)
}

// TestEachSignInHasItsOwnToken, and the one that the browser had before ends: who gave it to the browser is not signed in by it.
func TestEachSignInHasItsOwnToken(t *testing.T) {
	t.Parallel()
	p := setup(t)
	attacker, b := p.as(t, "en", "luc"), p.browser(t)
	fixed := attacker.token()
	b.holds("tellonce-session", fixed)
	b.get("/en/me", http.StatusOK).says("Luc Fournier")
	seen := map[string]bool{fixed: true}
	for range 2 {
		before := b.token()
		b.signsIn("en", "zoe", "1").says(canary)
		require.False(t, seen[b.token()])
		seen[b.token()] = true
		stands, err := p.config.Sessions.Stands(context.Background(), before)
		require.NoError(t, err)
		require.False(t, stands)
	}
	require.Equal(t, "/en/sign-in", attacker.get("/en/me", http.StatusOK).path)

	b = p.browser(t)
	b.holds("tellonce-session", "made up")
	b.signsIn("en", "zoe", "1")
	require.NotEqual(t, "made up", b.token())
}

// TestASignOutEndsTheSession on the server: the token is worth nothing, whoever has it.
func TestASignOutEndsTheSession(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b, thief := p.browser(t), p.browser(t)
	b.signsIn("en", "zoe", "1")
	thief.holds("tellonce-session", b.token())
	thief.get("/en/me", http.StatusOK).says(canary)
	b.post("/en/sign-out", nil, http.StatusOK)
	require.Equal(t, "/en/sign-in", thief.get("/en/me", http.StatusOK).path)
	b.get("/en/sign-out", http.StatusNotFound) // no link and no picture signs anybody out
}

// TestCookies: only over https, but in a sandbox on this machine; and there no other host of the domain can set the session's.
func TestCookies(t *testing.T) {
	t.Parallel()
	p := setup(t) // its base URL is https
	for origin, secure := range map[string]bool{
		"http://127.0.0.1:8080": false, "http://[::1]": false, "http://localhost:8080": false, "http://tellonce.example": true, "https://127.0.0.1": true,
	} {
		name := "tellonce-session"
		if secure {
			name = "__Host-" + name
		}
		p.config.SignIn = landing{p.config.Personas[0].Actor}
		response := p.ask(t, http.MethodGet, origin+"/sign-in/callback", func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: "tellonce-sign-in", Value: "fr.x"})
		})
		require.Equal(t, http.StatusSeeOther, response.StatusCode, origin)
		require.Equal(t, "/fr/me", response.Header.Get("Location"))
		require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
		set := map[string]*http.Cookie{}
		for _, c := range response.Cookies() {
			set[c.Name] = c
			require.True(t, c.HttpOnly)
			require.Equal(t, http.SameSiteLaxMode, c.SameSite)
			require.Equal(t, "/", c.Path)
			require.Empty(t, c.Domain)
			require.Equal(t, secure, c.Secure, origin)
		}
		require.NotEmpty(t, set[name].Value)
		require.Negative(t, set["tellonce-sign-in"].MaxAge, "it is over")
	}
}

// landing is a provider from which somebody has just come back, or did not.
type landing struct{ actor journal.Actor }

func (landing) Begin(context.Context, string, int, string) (string, string, error) {
	return "", "", refusal("away")
}

func (l landing) Finish(context.Context, string, url.Values) (journal.Actor, string, string, error) {
	if l.actor.Role == journal.RoleNone {
		return l.actor, "", "", refusal("unknown")
	}
	return l.actor, canary, "/fr/", nil
}

func (landing) EndSession(lang string) string { return "https://id.example/out?lang=" + lang }

type refusal string

func (r refusal) Error() string   { return "refused: " + string(r) }
func (r refusal) Refusal() string { return string(r) }

// comesFrom serves the pages with a provider from which this actor comes.
func (p *pages) comesFrom(t *testing.T, actor journal.Actor) {
	t.Helper()
	mux := http.NewServeMux()
	p.server, p.config.SignIn, p.config.Chooser = httptest.NewUnstartedServer(mux), landing{actor}, nil
	p.start(t, mux)
}

// TestWhoIsUnknownIsToldWhatToDo, and is not signed in; who was, stays.
func TestWhoIsUnknownIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.comesFrom(t, journal.Actor{})
	b := p.browser(t)
	b.holds("tellonce-sign-in", "fr.x")
	page := b.get("/sign-in/callback?code=x&state=y", http.StatusOK)
	require.Equal(t, "/fr/sign-in/problem/unknown", page.path)
	page.says("Nous ne vous connaissons pas encore ici", "comptoir de service", "lui attribuer un rôle")
	require.Contains(t, page.body, `href="/fr/signed-out/provider"`)
	require.Empty(t, b.token())
	b.get("/en/sign-in/problem/unknown", http.StatusOK).says("We don’t know you here yet")

	signedIn := p.as(t, "en", "zoe")
	before := signedIn.token()
	signedIn.holds("tellonce-sign-in", "en.x")
	signedIn.get("/sign-in/callback", http.StatusOK)
	require.Equal(t, before, signedIn.token())
	require.Equal(t, "/en/sign-in/problem/away", b.get("/en/sign-in/start", http.StatusOK).says("We can’t reach your identity provider").path)
	require.Contains(t, p.logs.String(), "refused: unknown")
	require.NotContains(t, p.logs.String(), "code=")
}

// TestRolesWithoutPages are signed in, and told so.
func TestRolesWithoutPages(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.comesFrom(t, journal.Actor{Kind: journal.ActorAuditor, Role: journal.RoleAuditor, ID: "a", ACR: 1})
	b := p.browser(t)
	b.holds("tellonce-sign-in", "fr.x")
	require.Equal(t, "/fr/", b.get("/sign-in/callback", http.StatusOK).says("Il n’y a pas encore de pages pour votre rôle").path)
	b.get("/en/me", http.StatusNotFound)
	out := b.post("/en/sign-out", nil, http.StatusOK).says("Your identity provider may still remember you")
	require.Contains(t, out.body, `href="/en/signed-out/provider"`)
	require.Equal(t, "https://id.example/out?lang=en", p.ask(t, http.MethodGet, "http://127.0.0.1/en/signed-out/provider", nil).Header.Get("Location"))
}

// TestSignInByAnotherNameOfThisMachine goes on under the one that the sandbox's provider knows.
func TestSignInByAnotherNameOfThisMachine(t *testing.T) {
	t.Parallel()
	p := setup(t)
	host := strings.TrimPrefix(p.server.URL, "http://")
	response := p.ask(t, http.MethodGet, "http://localhost:1/fr/sign-in/start?acr=2", nil)
	require.Equal(t, "http://"+host+"/fr/sign-in/start?acr=2", response.Header.Get("Location"))
	for _, origin := range []string{"http://rebound.example", "http://192.168.0.1"} {
		response = p.ask(t, http.MethodGet, origin+"/fr/sandbox-idp/x", nil)
		require.Equal(t, http.StatusNotFound, response.StatusCode)
		response = p.ask(t, http.MethodPost, origin+"/fr/sandbox-idp/x", nil)
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	}
	require.Equal(t, "/en/sign-in/problem/again", p.browser(t).get("/en/sandbox-idp/x", http.StatusOK).path)
}

// TestAStrongerLogInIsAskedFor (RFC 9470) where a kind of change needs it, and one comes back to the form, with what was typed.
func TestAStrongerLogInIsAskedFor(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	b.signsIn("en", "zoe", "1")
	b.get("/en/address/home", http.StatusOK)
	page := b.get("/en/name", http.StatusForbidden).says("Confirm that it’s you", "What you typed is kept")
	require.Contains(t, page.body, `href="/en/sign-in/start?acr=2"`)
	chooser := b.toChooser("en", "?acr=2").says("You are asked to confirm with a second factor")
	require.Equal(t, "zoe", checked(chooser), "who is signed in already is chosen")
	require.Equal(t, "/en/name", b.post(chooser.path, url.Values{"persona": {"zoe"}, "acr": {"2"}}, http.StatusOK).path)

	typed := url.Values{"given_names": {"Zoé"}, "family_name": {"Łapointe"}, "reason": {"marriage"}, "date-year": {"2026"}, "date-month": {"12"}, "date-day": {"1"}}
	require.Equal(t, "/en/name/who", b.post("/en/name", typed, http.StatusOK).path)
	// The strong session ends, and a weak one begins: what was typed is not told, and not lost.
	b.signsIn("en", "zoe", "1")
	b.get("/en/name/check", http.StatusForbidden).says("Confirm that it’s you")
	chooser = b.toChooser("en", "?acr=2")
	page = b.post(chooser.path, url.Values{"persona": {"zoe"}, "acr": {"1"}}, http.StatusForbidden)
	page.says("If you come back and see this page again")
	chooser = b.toChooser("en", "?acr=2")
	require.Contains(t, b.post(chooser.path, url.Values{"persona": {"zoe"}, "acr": {"2"}}, http.StatusOK).path, "/en/name/")
	require.Equal(t, "Zoé", b.get("/en/name", http.StatusOK).field("given_names", "value"))

	// Somebody else who confirms in one's place finds nothing of it.
	b.signsIn("en", "zoe", "1")
	b.get("/en/name", http.StatusForbidden)
	chooser = b.toChooser("en", "?acr=2")
	b.post(chooser.path, url.Values{"persona": {"luc"}, "acr": {"2"}}, http.StatusOK)
	require.NotEqual(t, "Zoé", b.get("/en/name", http.StatusOK).field("given_names", "value"))
}

// checked is the value of the radio that is chosen.
func checked(s *sheet) string {
	for n := range s.root.Descendants() {
		if n.Type == html.ElementNode && attr(n, "type") == "radio" && has(n, "checked") {
			return attr(n, "value")
		}
	}
	return ""
}
