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

// TestStepsOfAChangesLife keeps docs/life-of-a-change.md and the comments that carry its numbers together.
func TestStepsOfAChangesLife(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "life-of-a-change.md"))
	require.NoError(t, err)
	inDoc := regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(doc), -1)
	require.Len(t, inDoc, 12)
	step := regexp.MustCompile(`[Ss]tep (\d+) of a change's life`)
	inCode := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range step.FindAllStringSubmatch(string(text), -1) {
			inCode[found[1]] = true
		}
		return err
	}))
	for _, row := range inDoc {
		require.True(t, inCode[row[1]], "no comment says: Step %s of a change's life", row[1])
		delete(inCode, row[1])
	}
	require.Empty(t, inCode, fmt.Sprintf("steps that the document doesn't have: %v", inCode))
}
