package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// The traps of pages like these that no checker sees. Those that any page can fall into are rules of every state: Enter presses the first button,
// words in drawings, inline styles, tables outside of a region (rules_test.go); no edge in forced colours, motion, what the policy stops, what is
// painted over, a focus that is not seen (modes_test.go).

// elsewhere is another site's server: it answers with what a test puts into a page, and tells what it was asked.
func elsewhere(t *testing.T, body string) (base string, asked <-chan *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		requests <- r
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, "<!DOCTYPE html><title>Elsewhere</title>"+body)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// TestBrowserAnotherSitesFormIsRefused, be it of another port, to which the browser sends our cookies, or of another name, to which it doesn't.
func TestBrowserAnotherSitesFormIsRefused(t *testing.T) {
	t.Parallel()
	p := setup(t)
	base, _ := elsewhere(t, `<form method="post" action="`+p.server.URL+`/en/erasure"><input name="sure" value="yes"><input name="command" value="`+uuid.NewString()+`"><button>Win</button></form>`)
	for _, site := range []string{base, strings.Replace(base, "127.0.0.1", "localhost", 1)} {
		b := p.tab(t, 1280, 900)
		b.signIn("en", "zoe")
		b.do(chromedp.Navigate(site + "/"))
		b.press(chromedp.Click(chromedp.CSS("button")))
		b.says("You can’t do this here")
		require.Zero(t, p.count(t, journal.TypeErased), site)
	}
}

// TestBrowserNobodyFramesUs, so that nobody's page can lie over ours.
func TestBrowserNobodyFramesUs(t *testing.T) {
	t.Parallel()
	p := setup(t)
	base, _ := elsewhere(t, `<iframe src="`+p.server.URL+`/en/me"></iframe><iframe src="about:blank"></iframe>`)
	b := p.tab(t, 1280, 900)
	b.signIn("en", "zoe")
	b.do(chromedp.Navigate(base + "/"))
	got, err := chromedp.Call(b.ctx, page.GetFrameTree, cdp.Empty{})
	require.NoError(t, err)
	require.Len(t, got.FrameTree.ChildFrames, 2)
	require.True(t, strings.HasPrefix(got.FrameTree.ChildFrames[0].Frame.URL, "chrome-error:"), "%s is shown", got.FrameTree.ChildFrames[0].Frame.URL)
	require.Equal(t, "about:blank", got.FrameTree.ChildFrames[1].Frame.URL, "other frames are")
}

// TestBrowserBackAfterSigningOut shows nothing of who was there: no page is kept.
func TestBrowserBackAfterSigningOut(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.tab(t, 1280, 900)
	b.signIn("en", "zoe")
	b.open("/en/my-data")
	b.open("/en/me")
	b.says(canary)
	b.click(`form[action$="/sign-out"] button`)
	for range 3 {
		b.do(chromedp.NavigateBack())
		require.NotContains(t, b.text(), "Canary")
		require.NotContains(t, b.text(), "Elm St")
	}
}

// TestBrowserSaysNothingToOtherSites: not even from which page somebody came.
func TestBrowserSaysNothingToOtherSites(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	base, asked := elsewhere(t, "Hello")
	b := s.tab(t, 1280, 900)
	b.signIn("en", "zoe")
	b.open("/en/receipts/" + s.receipt)
	evaluate[string](b, `document.querySelector('main').insertAdjacentHTML('beforeend', '<a id="out" href="`+base+`/">Out</a>') || ''`)
	b.press(chromedp.Click(chromedp.ID("out")))
	request := <-asked
	require.Empty(t, request.Header.Get("Referer"))
}

// TestBrowserFormsOverTheLimit are answered by a page that says so, and with nothing else.
func TestBrowserFormsOverTheLimit(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	b := p.tab(t, 1280, 900)
	b.signIn("fr", "zoe")
	b.open("/fr/address/home")
	evaluate[string](b, `document.getElementById('street').removeAttribute('maxlength') || ''`)
	b.do(chromedp.SetValue(chromedp.ID("street"), strings.Repeat("a", 70_000)))
	b.click("main button")
	b.says("Nous n’avons pas pu lire le formulaire")

	big := filepath.Join(t.TempDir(), "clients.ndjson")
	require.NoError(t, os.WriteFile(big, make([]byte, 5<<20), 0o600))
	b.signIn("en", "moh")
	b.open("/en/streams/moh.health-card/links")
	b.do(chromedp.SetUploadFiles(chromedp.CSS("input[type=file]"), []string{big}))
	b.click("main form[enctype] button")
	b.says("We could not read the form")
}

// TestSignInIsALink: a form may lead to ourselves alone, so one that the provider answers by going elsewhere would be stopped.
func TestSignInIsALink(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for _, lang := range []string{"en", "fr"} {
		page := p.browser(t).get("/"+lang+"/sign-in", http.StatusOK)
		starts := 0
		for n := range page.elements() {
			require.NotEqual(t, "form", n.Data)
			if n.Data == "a" && attr(n, "href") == "/"+lang+"/sign-in/start" {
				starts++
			}
		}
		require.Equal(t, 1, starts)
	}
}

// TestNoSpacesFromStyleSheets: readers of a page's text, and people without its style, would not get them.
func TestNoSpacesFromStyleSheets(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	for n := range b.get("/en/sign-in", http.StatusOK).elements() {
		if n.Data == "link" && attr(n, "rel") == "stylesheet" && !strings.Contains(attr(n, "href"), "/ods.") { // the spaces of its flags stand in our markup, too
			text := b.fetch(attr(n, "href"))
			require.NotEmpty(t, text)
			require.Empty(t, regexp.MustCompile(`content:[^;}]*(\\a0|\\00a0|\x{a0})`).FindString(text))
		}
	}
}

// fetch is what stands at a path that is no page.
func (b *browser) fetch(path string) string {
	b.t.Helper()
	response, err := b.client.Get(b.base + path)
	require.NoError(b.t, err)
	defer response.Body.Close() //nolint:errcheck // only read
	require.Equal(b.t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return string(text)
}
