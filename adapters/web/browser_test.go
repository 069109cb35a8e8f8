package web_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// chrome is one browser for all tests of this package, started when the first asks for it.
var chrome struct {
	once   sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(chrome.cancel) - 1; i >= 0; i-- {
		chrome.cancel[i]()
	}
	os.Exit(code)
}

func startChrome() {
	path := ""
	for _, name := range []string{"chromium-headless-shell", "chromium", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		chrome.err = fmt.Errorf("no browser: install chromium-headless-shell (Debian)")
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("log-level", "3"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closing := chromedp.NewContext(allocator)
	chrome.ctx, chrome.cancel = ctx, []context.CancelFunc{stop, closing}
	chrome.err = chromedp.Do(ctx, chromedp.Navigate("about:blank"))
}

// tab is a person at a real browser, without JavaScript.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string
	name string // of its screenshots
	shot int
}

// tab opens a page of its own cookies, of a size, with scripts off.
func (p *pages) tab(t *testing.T, width, height int64) *tab {
	t.Helper()
	b := p.scripted(t, width, height)
	b.do(func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})
	return b
}

// scripted is a tab with scripts on.
func (p *pages) scripted(t *testing.T, width, height int64) *tab {
	t.Helper()
	return p.lasting(t, 2*time.Minute, width, height)
}

// lasting is a tab that has its time.
func (p *pages) lasting(t *testing.T, life time.Duration, width, height int64) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a real browser takes its time")
	}
	chrome.once.Do(startChrome)
	if chrome.err != nil {
		require.Empty(t, os.Getenv("CI"), "CI needs a browser: %v", chrome.err)
		t.Skip(chrome.err)
	}
	ctx, cancel := chromedp.NewContext(chrome.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, done := context.WithTimeout(ctx, life)
	t.Cleanup(done)
	b := &tab{t: t, ctx: ctx, base: p.server.URL, name: strings.ReplaceAll(t.Name(), "/", "-")}
	b.do(chromedp.EmulateViewport(width, height))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return v
}

// open goes to a path; press does something that loads a page. Both then look at what came.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
	b.look()
}

func (b *tab) press(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.LoadEventFired, func(page.EventLoadEventFired) bool { return true }, action))
	require.NoError(b.t, err)
	b.look()
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.press(chromedp.Click(chromedp.CSS(selector)))
}

// look is what every page must be, at every size: no sideways scroll, nothing wider than the window.
func (b *tab) look() {
	b.t.Helper()
	b.picture()
	require.LessOrEqual(b.t, evaluate[int](b, `document.scrollingElement.scrollWidth`), evaluate[int](b, `window.innerWidth`), "the page scrolls sideways")
	require.Empty(b.t, evaluate[string](b, `Array.from(document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea')).filter(e => {
		const box = e.getBoundingClientRect(), region = e.closest('[role=region]');
		return !region && !e.classList.contains('skip') && box.width > 0 && (box.left < 0 || box.right > innerWidth + 0.5);
	}).map(e => e.outerHTML).join('\n')`), "cut off at the side")
	require.Empty(b.t, evaluate[string](b, `Array.from(document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary')).filter(e => {
		const box = e.getBoundingClientRect();
		const inline = e.tagName === 'A' && getComputedStyle(e).display === 'inline';
		return !inline && box.width > 0 && (box.width < 24 || box.height < 24);
	}).map(e => e.outerHTML).join('\n')`), "too small to hit (24 by 24 px, WCAG 2.2)")
}

// picture keeps a screenshot where TELLONCE_SCREENSHOTS names a folder.
func (b *tab) picture() {
	b.t.Helper()
	dir := os.Getenv("TELLONCE_SCREENSHOTS")
	if dir == "" {
		return
	}
	b.shot++
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.MkdirAll(dir, 0o755)) //nolint:gosec // pictures of invented people
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%02d.png", b.name, b.shot)), png, 0o600))
}

func (b *tab) text() string {
	b.t.Helper()
	return evaluate[string](b, `document.body.innerText`)
}

func (b *tab) says(texts ...string) {
	b.t.Helper()
	body := b.text()
	for _, text := range texts {
		require.Contains(b.t, body, text)
	}
}

// tabTo presses Tab until an element has the focus, which must be seen.
func (b *tab) tabTo(id string) {
	b.t.Helper()
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if evaluate[string](b, `document.activeElement.id || document.activeElement.name || document.activeElement.textContent.trim()`) == id {
			style := evaluate[string](b, `getComputedStyle(document.activeElement).outlineStyle + " " + getComputedStyle(document.activeElement).outlineWidth`)
			require.Equal(b.t, "solid 4px", style, "the focus is seen on %s", id)
			box := evaluate[[]float64](b, `(r => [r.left, r.top, r.right - innerWidth, r.bottom - innerHeight])(document.activeElement.getBoundingClientRect())`)
			require.True(b.t, box[0] > -1 && box[1] > -1 && box[2] < 1 && box[3] < 1, "%s is in view: %v", id, box)
			return
		}
	}
	require.Fail(b.t, "Tab does not come to "+id)
}

func (b *tab) typed(id, text string) {
	b.t.Helper()
	b.tabTo(id)
	b.do(chromedp.KeyEvent(text))
}

// sizes are a small phone and a desktop.
var sizes = []struct {
	name          string
	width, height int64
}{{"phone", 320, 640}, {"desktop", 1280, 900}}

func TestBrowserResidentByMouse(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for _, lang := range []string{"en", "fr"} {
			t.Run(size.name+"-"+lang, func(t *testing.T) {
				t.Parallel()
				p := setup(t)
				b := p.tab(t, size.width, size.height)
				b.open("/" + lang + "/sign-in")
				b.click("main a.ontario-button")
				b.do(chromedp.Click(chromedp.ID("persona-0-0")))
				b.click("main button")
				b.open("/" + lang + "/address/home")
				b.click("main button") // nothing filled in
				require.True(t, evaluate[bool](b, `document.activeElement.matches('.error-summary')`), "the summary takes the focus")
				b.do(chromedp.Click(chromedp.CSS(`.error-summary a[href="#postal_code"]`)))
				require.Equal(t, "postal_code", evaluate[string](b, `document.activeElement.id`), "its links lead to the fields")
				for id, value := range map[string]string{
					"street": "12 rue de l’Église, Łódź Ave", "unit": "102", "city": "Sault Ste. Marie", "postal_code": "P6A 1B2", "date-year": "2026", "date-month": "12", "date-day": "1",
				} {
					b.do(chromedp.SendKeys(chromedp.ID(id), value))
				}
				b.click("main button")
				require.Zero(t, evaluate[int](b, `document.querySelectorAll('input:checked').length`), "nothing is ticked beforehand")
				b.do(chromedp.Click(chromedp.ID("agree-library-membership")))
				b.click("main button")
				b.click("a.language") // the language link keeps the page, and the form
				b.says("Sault Ste. Marie")
				b.click("a.language")
				b.click("main button")
				require.Equal(t, 2, p.changes(t, p.zoe))
				b.says(map[string]string{"en": "We have your new address", "fr": "Nous avons votre nouvelle adresse"}[lang])
				p.answers(t, "moh.health-card", "applied")
				b.click(`main a[href*="/receipts/"]`) // Refresh
				b.says(map[string]string{"en": "Applied", "fr": "Appliqué"}[lang])
				b.open("/" + lang + "/me")
			})
		}
	}
}

func TestBrowserResidentByKeyboard(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			b := p.tab(t, size.width, size.height)
			b.open("/en/sign-in")
			b.do(chromedp.KeyEvent(kb.Tab))
			require.Equal(t, "Skip to main content", evaluate[string](b, `document.activeElement.textContent`), "the first stop is the skip link")
			b.tabTo("Go to the sign-in page")
			b.press(chromedp.KeyEvent(kb.Enter))
			b.tabTo("persona-0-0")
			b.do(chromedp.KeyEvent(" "))
			b.tabTo("acr") // the first button
			b.press(chromedp.KeyEvent(kb.Enter))
			b.tabTo("Change: Home address")
			b.press(chromedp.KeyEvent(kb.Enter))
			b.typed("street", "12 Paris Street")
			b.typed("city", "Sudbury")
			b.typed("postal_code", "p3e4h5")
			b.typed("date-year", "2026")
			b.typed("date-month", "12")
			b.typed("date-day", "1")
			b.press(chromedp.KeyEvent(kb.Enter)) // Enter in a field goes on, and does nothing else
			b.tabTo("agree-outdoors-card")
			b.do(chromedp.KeyEvent(" "))
			b.tabTo("Continue")
			b.press(chromedp.KeyEvent(kb.Enter))
			b.says("12 Paris Street", "Sudbury ON\u00a0\u00a0P3E\u00a04H5", "Confirm and tell 4 organizations")
			b.tabTo("Confirm and tell 4 organizations")
			b.press(chromedp.KeyEvent(" "))
			b.says("We have your new address")
			require.Equal(t, 2, p.changes(t, p.zoe))
		})
	}
}

func TestBrowserMinistryAndOfficer(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for _, lang := range []string{"en", "fr"} {
			t.Run(size.name+"-"+lang, func(t *testing.T) {
				t.Parallel()
				p := setup(t)
				number := p.tell(t)
				b := p.tab(t, size.width, size.height)
				b.signIn(lang, "moh")
				b.click(`main table a`) // the stream, then its lane
				b.click(`main table a`)
				b.click(`main button[value="read"]`)
				b.do(chromedp.Click(chromedp.CSS("summary")))
				b.picture()
				b.click(`main .ontario-button--secondary`)
				b.says(map[string]string{"en": "2 events are marked as applied.", "fr": "2\u00a0événements sont marqués comme appliqués."}[lang])
				b.signIn(lang, "officer")
				b.click("main button")
				b.do(chromedp.SendKeys(chromedp.ID("reason"), "You asked who has your new address"), chromedp.SendKeys(chromedp.ID("case"), "C-88213"))
				b.do(chromedp.SendKeys(chromedp.ID("receipt"), number))
				b.click("main button")
				b.says(number, "C-88213")
				b.open("/" + lang + "/looks/0")
			})
		}
	}
}

// signIn signs in as a persona, with a second factor, at the sandbox's identity provider.
func (b *tab) signIn(lang, persona string) {
	b.t.Helper()
	b.open("/" + lang + "/sign-in")
	b.click("main a.ontario-button")
	b.do(chromedp.Click(chromedp.CSS(`input[value="` + persona + `"]`)))
	b.click(`main button[value="2"]`)
}

// until waits in the page until an expression holds.
func (b *tab) until(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`new Promise(done => {
		const look = () => (`+expression+`) ? done(true) : requestAnimationFrame(look);
		look();
	})`, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
}

// TestBrowserReceiptKeepsItselfUpToDate by script, without loading the page again; it says so, and only lines that changed are touched.
func TestBrowserReceiptKeepsItselfUpToDate(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for lang, words := range map[string][]string{"en": {"Applied", "It keeps itself up to date."}, "fr": {"Appliqué", "Elle se met à jour d’elle-même."}} {
			t.Run(size.name+"-"+lang, func(t *testing.T) {
				t.Parallel()
				p := setup(t)
				number := p.tell(t)
				b := p.scripted(t, size.width, size.height)
				b.signIn(lang, "zoe")
				b.open("/" + lang + "/receipts/" + number)
				b.until(`!document.getElementById('live-note').hidden`)
				b.says(words[1])
				require.NotContains(t, b.text(), words[0])
				evaluate[int](b, `window.same = document.querySelectorAll('.statuses li').forEach(line => line.firstElementChild.mark = 1) || 1`)
				p.answers(t, "moh.health-card", "applied")
				b.until(`document.body.innerText.includes('` + words[0] + `')`)
				require.Equal(t, 1, evaluate[int](b, `window.same`), "the page was not loaded again")
				touched := `Array.from(document.querySelectorAll('li[id^=told-]')).filter(line => !line.firstElementChild.mark).length`
				require.Equal(t, 1, evaluate[int](b, touched), "one line changed")
				b.look()
				for _, stream := range p.toldStreams(t, number) {
					p.answers(t, stream, "applied")
				}
				b.until(`document.getElementById('live-note').hidden`) // nothing is awaited any more
			})
		}
	}
}

func TestBrowserForcedColoursReducedMotionAndZoom(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.tab(t, 320, 256) // 1280 px at 400 %
	b.do(func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "forced-colors", Value: "active"}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return chromedp.Void{}, err
	})
	b.signIn("en", "zoe")
	b.open("/en/address/home")
	b.click("main button")
	require.NotEqual(t, "0px", evaluate[string](b, `getComputedStyle(document.querySelector('main button')).borderTopWidth`), "buttons keep an edge")
	require.Equal(t, "none", evaluate[string](b, `getComputedStyle(document.querySelector('main button')).transitionProperty`))
	require.Equal(t, "solid", evaluate[string](b, `getComputedStyle(document.querySelector('.error-summary')).borderTopStyle`))
}

func TestBrowserTextTwiceAsLarge(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.tell(t)
	b := p.tab(t, 640, 512)
	b.signIn("fr", "zoe")
	for _, path := range []string{"/fr/me", "/fr/address/home", "/fr/sign-in"} {
		b.do(chromedp.Navigate(b.base + path))
		evaluate[string](b, `document.documentElement.style.fontSize = '200%'`)
		require.Equal(t, "32px", evaluate[string](b, `getComputedStyle(document.documentElement).fontSize`))
		b.look()
	}
}
