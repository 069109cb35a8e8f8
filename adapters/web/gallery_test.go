package web_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/web"
)

// gallery shows pages as they were served, with the very headers that they had: a browser can look at a state as often as it likes, and
// nothing happens at the hub. It lives as long as the process.
var gallery struct {
	once   sync.Once
	server *httptest.Server
	shots  map[string]*shot // by name
}

// path is where the gallery shows a shot.
func (s *shot) path() string { return "/shots/" + s.name() }

// openGallery gives every state in each language, and a browser's tab that can go to their paths.
func openGallery(t *testing.T) []*shot {
	t.Helper()
	all := shots(t)
	gallery.once.Do(func() {
		gallery.shots = map[string]*shot{}
		for _, s := range all {
			gallery.shots[s.path()] = s
		}
		assets, err := web.New(setup(t).config) // the style sheets and scripts, which need no store
		require.NoError(t, err)
		gallery.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch s, ok := gallery.shots[r.URL.Path]; {
			case ok:
				maps.Copy(w.Header(), s.sheet.header)
				w.Header().Del("Content-Length")
				_, _ = w.Write([]byte(s.sheet.body))
			case strings.HasPrefix(r.URL.Path, "/assets/"):
				assets.ServeHTTP(w, r)
			default:
				http.NotFound(w, r)
			}
		}))
	})
	return all
}

// planted is a page on which everything is wrong that a checker must find.
func planted(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/faults.html")
	require.NoError(t, err)
	return text
}

// openFaults serves that page.
func openFaults(t *testing.T) *pages {
	t.Helper()
	text := planted(t)
	p := &pages{server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(text)
	}))}
	t.Cleanup(p.server.Close)
	return p
}

// visitor is a tab that walks through the gallery, with a script that each page gets before its own.
func visitor(t *testing.T, script string) *tab {
	t.Helper()
	b := (&pages{server: gallery.server}).lasting(t, 20*time.Minute, 1280, 900)
	if script != "" {
		b.do(everywhere(script))
	}
	return b
}

// walk is how many shots a visitor looks at before another takes over: a tab's memory only grows.
const walk = 16

// each lets as many visitors as there are processors look at every shot. What one of them can't get over ends the test.
func each(t *testing.T, script string, look func(b *tab, s *shot)) {
	t.Helper()
	all := openGallery(t)
	walks := make(chan []*shot, len(all))
	for part := range slices.Chunk(all, walk) {
		walks <- part
	}
	close(walks)
	var visitors sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		visitors.Go(func() {
			for part := range walks {
				b := visitor(t, script)
				for _, s := range part {
					b.do(chromedp.Navigate(b.base + s.path()))
					look(b, s)
				}
				require.NoError(t, chromedp.Cancel(b.ctx))
			}
		})
	}
	visitors.Wait()
}

// tool is a file of a checker that npm supplies. Where it is missing its test is skipped, but not in CI.
func tool(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"ui", "node_modules"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		require.Empty(t, os.Getenv("CI"), "CI needs the checkers: %v", err)
		t.Skipf("no %s: run npm ci --ignore-scripts in adapters/web/ui", parts[0])
	}
	return path
}
