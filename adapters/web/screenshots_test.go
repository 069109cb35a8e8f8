package web_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// TestScreenshots takes pictures of every state in both languages, on a phone and on a desktop, into the folder that TELLONCE_SCREENSHOTS names
// (make screenshots).
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("TELLONCE_SCREENSHOTS")
	if dir == "" {
		t.Skip("TELLONCE_SCREENSHOTS names no folder")
	}
	require.NoError(t, os.MkdirAll(dir, 0o755)) //nolint:gosec // pictures of invented people
	each(t, "", func(b *tab, s *shot) {
		for _, size := range sizes {
			b.do(chromedp.EmulateViewport(size.width, size.height))
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", s.name(), size.width)), png, 0o600))
		}
	})
}
