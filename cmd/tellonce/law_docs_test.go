package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryTestOfTheLawExists: docs/law.md names the tests that hold its rules, and the files where the rules stand.
func TestEveryTestOfTheLawExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/law.md")
	require.NoError(t, err)
	written := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(code, -1) {
			written[string(found[1])] = true
		}
		return err
	}))
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(text, -1)
	require.Greater(t, len(named), 60)
	for _, name := range named {
		require.True(t, written[string(name[1])], "docs/law.md names %s, and there is no such test", name[1])
	}
	for _, place := range regexp.MustCompile("\\| `([a-z/_.]+)`(?:, `([a-z/]+)`)? \\|").FindAllSubmatch(text, -1) {
		for _, path := range place[1:] {
			_, err := os.Stat(filepath.Join("../..", string(path)))
			require.NoError(t, err)
		}
	}
}
