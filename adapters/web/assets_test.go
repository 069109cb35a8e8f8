package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// asset fetches a file of the look.
func (b *browser) asset(path string) (kind string, body []byte) {
	b.t.Helper()
	response, err := b.client.Get(b.base + path) // the client unpacks
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, response.StatusCode, path)
	require.Equal(b.t, "public, max-age=31536000, immutable", response.Header.Get("Cache-Control"))
	body, err = io.ReadAll(response.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, response.Body.Close())
	return response.Header.Get("Content-Type"), body
}

var fetched = regexp.MustCompile(`url\("?\./([^")]+)"?\)`)

// TestStyleSheets: in both looks each page links two, and what they fetch is there and is ours.
func TestStyleSheets(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for _, plain := range []bool{false, true} {
		p.config.PlainLook = plain
		p.serve(t)
		b := p.browser(t)
		for _, sheet := range b.get("/en/performance", http.StatusOK).sheets() {
			kind, body := b.asset(sheet)
			require.Equal(t, "text/css; charset=utf-8", kind)
			for _, file := range fetched.FindAllSubmatch(body, -1) {
				kind, _ := b.asset("/assets/" + string(file[1]))
				require.Equal(t, "font/woff2", kind)
			}
			if strings.HasPrefix(sheet, "/assets/ods.") {
				require.False(t, plain)
				require.NotRegexp(t, `url\("?(https?:)?//`, string(body), "nothing of another site")
				continue
			}
			require.NotContains(t, string(body), "http", "nothing of another site")
			require.Less(t, len(body), 20<<10)
		}
	}
	_, own := p.browser(t).asset(p.browser(t).get("/en/performance", http.StatusOK).sheets()[1])
	for _, must := range []string{"forced-colors: active", "prefers-reduced-motion: reduce", ":focus-visible", "@media print"} {
		require.Contains(t, string(own), must)
	}
}

// maxPage is how many bytes a page may have, packed, with its sheets, its script and the typefaces of every page (UX.md).
const maxPage = 110 << 10

// TestPagesAreSmall: typefaces with more letters are left out, few pages need them.
func TestPagesAreSmall(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	common := 0
	for _, sheet := range b.get("/en/performance", http.StatusOK).sheets() {
		_, body := b.asset(sheet)
		common += packed(t, body)
		for _, file := range fetched.FindAllSubmatch(body, -1) {
			if name := string(file[1]); !strings.Contains(name, "latin-ext") && !strings.Contains(name, "vietnamese") {
				_, font := b.asset("/assets/" + name)
				common += len(font)
			}
		}
	}
	largest, name := 0, ""
	for _, s := range shots(t) {
		size := packed(t, []byte(s.sheet.body))
		if size > largest {
			largest, name = size, s.name()
		}
		require.Less(t, common+size, maxPage, s.name())
	}
	t.Logf("sheets and typefaces: %d bytes; the largest page, %s: %d more", common, name, largest)
}

func packed(t *testing.T, body []byte) int {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(body)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Len()
}

// TestLettersOfEveryName: a page whose names have letters that the system's typefaces lack fetches those that have them; another does not.
func TestLettersOfEveryName(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.scripted(t, 1280, 900)
	const faces = `document.fonts.ready.then(all => Array.from(all).filter(f => f.status === 'loaded' && f.unicodeRange !== 'U+0-10FFFF').length)`
	b.open("/en/performance")
	if !strings.HasPrefix(path.Base(evaluate[string](b, `document.styleSheets[0].href`)), "ods.") {
		t.Skip("the pages' full look is not built in: deploy/dev/web")
	}
	require.Zero(t, wait[int](b, faces))
	require.NotZero(t, wait[int](b, `document.fonts.ready.then(all => Array.from(all).filter(f => f.status === 'loaded').length)`))
	b.signIn("en", "zoe")
	require.NotZero(t, wait[int](b, faces))
}

// wait evaluates a promise.
func wait[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return v
}
