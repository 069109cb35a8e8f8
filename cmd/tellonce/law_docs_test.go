package main

import (
	"fmt"
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
	text := namedTestsExist(t, "../../docs/law.md", 60)
	for _, place := range regexp.MustCompile("\\| `([a-z/_.]+)`(?:, `([a-z/]+)`)? \\|").FindAllStringSubmatch(text, -1) {
		for _, path := range place[1:] {
			_, err := os.Stat(filepath.Join("../..", path))
			require.NoError(t, err)
		}
	}
}

// TestEveryTestOfKafkaExists: docs/kafka.md names the tests that hold the rules of a lane, each of the nine at least one.
func TestEveryTestOfKafkaExists(t *testing.T) {
	t.Parallel()
	text := namedTestsExist(t, "../../docs/kafka.md", 30)
	for rule := 1; rule <= 9; rule++ {
		require.Regexp(t, fmt.Sprintf("(?m)^\\| %d \\|.*`Test\\w+`", rule), text)
	}
}

// namedTestsExist looks for the tests that a document names, so many at least, and returns its text.
func namedTestsExist(t *testing.T, document string, atLeast int) string {
	t.Helper()
	text, err := os.ReadFile(document) // #nosec G304 -- our own
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
	require.Greater(t, len(named), atLeast)
	for _, name := range named {
		require.True(t, written[string(name[1])], "%s names %s, and there is no such test", document, name[1])
	}
	return string(text)
}
