package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// TestEitherTheBuiltSheetOrTheOneThatStandsForIt, never both: they collide.
func TestEitherTheBuiltSheetOrTheOneThatStandsForIt(t *testing.T) {
	t.Parallel()
	built := fstest.MapFS{"dist/ods.ABCD1234.css": {Data: []byte("a{}")}, "dist/x.EFGH5678.woff2": {Data: []byte("font")}, "dist/.keep": {}}
	for name, c := range map[string]struct {
		built fstest.MapFS
		plain bool
		first string
		files int
	}{
		"built":                  {built, false, "/assets/ods.ABCD1234.css", 4},
		"built, but not wanted":  {built, true, "/assets/fallback.", 3},
		"a bare checkout":        {fstest.MapFS{"dist/.keep": {}}, false, "/assets/fallback.", 3},
		"fonts without a sheet":  {fstest.MapFS{"dist/x.EFGH5678.woff2": {}}, false, "/assets/fallback.", 4},
		"a sheet without a hash": {fstest.MapFS{"dist/ods.css": {}}, false, "/assets/fallback.", 3},
	} {
		l, err := loadLook(c.built, c.plain)
		require.NoError(t, err)
		require.Len(t, l.sheets, 2, name)
		require.True(t, strings.HasPrefix(l.sheets[0], c.first), "%s: %s", name, l.sheets)
		require.Regexp(t, `^/assets/app\.[0-9a-f]{12}\.css$`, l.sheets[1], name)
		require.Equal(t, strings.Contains(c.first, "ods"), l.full, name)
		require.Len(t, l.files, c.files, name)
		for _, a := range l.files {
			require.NotEmpty(t, a.kind, a.path)
		}
	}
}

// TestTheFullLookIsBuiltIn where everything is built: in CI.
func TestTheFullLookIsBuiltIn(t *testing.T) {
	t.Parallel()
	full, err := FullLook()
	require.NoError(t, err)
	if !full {
		require.Empty(t, os.Getenv("CI"), "CI builds the pages' full look first: deploy/dev/web")
		t.Skip("the pages' full look is not built in: deploy/dev/web")
	}
	l, err := loadLook(dist, false)
	require.NoError(t, err)
	fonts := 0
	for _, a := range l.files {
		if a.kind == "font/woff2" {
			fonts++
		}
	}
	require.Equal(t, 7+6, fonts, "the system's, and those with more letters")
	list, err := loadLicences(dist)
	require.NoError(t, err)
	require.Len(t, list, 1+5, "ours, and those of what was built in")
}

func TestTextIsServedPackedToWhoTakesItSo(t *testing.T) {
	t.Parallel()
	l, err := loadLook(fstest.MapFS{"dist/x.EFGH5678.woff2": {Data: []byte("font")}}, false)
	require.NoError(t, err)
	for _, a := range l.files {
		for _, takes := range []string{"", "gzip, deflate, br"} {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, a.path, nil)
			r.Header.Set("Accept-Encoding", takes)
			a.serve(w, r)
			h := w.Result().Header
			require.Equal(t, "public, max-age=31536000, immutable", h.Get("Cache-Control"))
			text := a.kind != "font/woff2"
			require.Equal(t, text, h.Get("Vary") == "Accept-Encoding", a.path)
			if text && takes != "" {
				require.Equal(t, "gzip", h.Get("Content-Encoding"))
				require.Equal(t, a.packed, w.Body.Bytes())
				require.Less(t, len(a.packed), len(a.content))
				continue
			}
			require.Empty(t, h.Get("Content-Encoding"))
			require.Equal(t, a.content, w.Body.Bytes())
		}
	}
}
