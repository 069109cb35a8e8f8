package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

func TestPersonasExistInASandboxOnly(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.config.Journal = journaltest.New(t, journaltest.Options{Wall: true, Mode: journal.ModeProduction})
	_, err := web.New(p.config)
	require.ErrorContains(t, err, "sandbox only")
	p.config.Personas = nil
	_, err = web.New(p.config)
	require.ErrorContains(t, err, "sandbox only", "nor does their provider")

	p.serve(t)
	b := p.browser(t)
	b.get("/en/sign-in", http.StatusOK).says("Sign-in isn’t set up yet").saysNot("invented")
	b.get("/fr/sign-in", http.StatusOK).says("L’ouverture de session n’est pas encore prête")
	for _, path := range []string{"/en/sign-in/start", "/en/sandbox-idp/x", "/en/signed-out"} {
		b.get(path, http.StatusNotFound)
	}
	b.post("/en/sign-out", nil, http.StatusNotFound)
	require.Equal(t, "/en/sign-in", b.get("/en/me", http.StatusOK).path)
}

func TestPersonasOfOtherRolesAreRefused(t *testing.T) {
	t.Parallel()
	p := setup(t)
	good := p.config
	for _, role := range []journal.Role{journal.RoleNone, "king"} {
		p.config.Personas = []web.Persona{{ID: "x", Role: role, Actor: journal.Actor{Role: role}}}
		_, err := web.New(p.config)
		require.Error(t, err, role)
	}
	p.config.Personas = []web.Persona{{ID: "x", Role: journal.RoleCitizen, Actor: journal.Actor{Role: journal.RoleOfficer}}}
	_, err := web.New(p.config)
	require.Error(t, err)
	good.Sessions = nil
	_, err = web.New(good)
	require.ErrorContains(t, err, "Sessions")
}

// ask sends one request to the handler itself.
func (p *pages) ask(t *testing.T, method, target string, change func(*http.Request)) *http.Response {
	t.Helper()
	handler, err := web.New(p.config)
	require.NoError(t, err)
	r := httptest.NewRequest(method, target, strings.NewReader(""))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for name, change := range map[string]func(*http.Request){
		"by Sec-Fetch-Site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"by a sister site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"by Origin":         func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		response := p.ask(t, http.MethodPost, "http://tellonce.example/fr/sign-out", change)
		require.Equal(t, http.StatusForbidden, response.StatusCode, name)
		require.Empty(t, response.Cookies(), name)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), "Vous ne pouvez pas faire cela ici")
	}
	same := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }
	require.Equal(t, http.StatusSeeOther, p.ask(t, http.MethodPost, "http://tellonce.example/en/sign-out", same).StatusCode)
}

func TestLanguageOfTheFirstPage(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for header, path := range map[string]string{
		"": "/en/", "fr-CA,fr;q=0.9,en;q=0.5": "/fr/", "en-US,fr;q=0.5": "/en/", "de": "/en/", "fr;q=0.1, en;q=0.9": "/en/", ";;;": "/en/",
	} {
		response := p.ask(t, http.MethodGet, "/", func(r *http.Request) { r.Header.Set("Accept-Language", header) })
		require.Equal(t, path, response.Header.Get("Location"), header)
	}
}

func TestLanguageLinkKeepsThePage(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "moh")
	page := b.get("/en/streams/moh.health-card/0?read=0", http.StatusOK)
	require.Contains(t, page.body, `<a class="language" href="/fr/streams/moh.health-card/0?read=0" lang="fr" hreflang="fr">Français</a>`)
	b.get("/fr/streams/moh.health-card/0?read=0", http.StatusOK).says("Il n’y a pas de nouvel événement.")
}

func TestPagesThatAreNotThere(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	b.get("/en/nonsense", http.StatusNotFound).says("Page not found")
	b.get("/fr/n/importe", http.StatusNotFound).says("Page introuvable")
	b.post("/en/me", nil, http.StatusNotFound)
	z := p.as(t, "en", "zoe")
	refused := p.count(t, journal.TypeAccessRefused)
	for _, path := range []string{"/en/streams", "/en/looks", "/en/looks/3", "/en/streams/moh.health-card/0", "/en/receipts/NONSENSE", "/en/address/other"} {
		z.get(path, http.StatusNotFound).says("Page not found")
	}
	z.post("/en/looks", url.Values{"reason": {"curious"}, "person": {"luc"}}, http.StatusNotFound)
	require.Equal(t, refused+5, p.count(t, journal.TypeAccessRefused), "another role's pages are refused on the record")
	require.Zero(t, p.count(t, journal.TypeAccessed))
}

func TestFormsOverTheLimit(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", with(address(), "street", strings.Repeat("a", 70_000)), http.StatusRequestEntityTooLarge).says("We could not read the form")
	b.post("/en/address/home", with(address(), "street", strings.Repeat("a", 10_000)), http.StatusUnprocessableEntity).says("at most 200 characters")
	long := address()
	for _, field := range []string{"street", "city", "unit"} {
		long.Set(field, strings.Repeat("\U00011107", 200)) // the longest letters there are
	}
	b.post("/en/address/home", long, http.StatusOK).says("Who should we tell?")
}
