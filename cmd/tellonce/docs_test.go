package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
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

// TestCommandsOfTheDocs runs every command of the console blocks, document by document, each in one shell in an empty folder with the sample
// input. What a command leaves running ends with the document. Blocks of "console kafka" run where there is a broker, on a stream that no other log
// has there.
func TestCommandsOfTheDocs(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	ran, broker := 0, brokerForDocs(t)
	for _, name := range append(documents, "../../README.md") {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(filepath.Join(dir, "agreements"), os.DirFS(samples+"agreements")))
		require.NoError(t, os.CopyFS(dir, os.DirFS(samples+"small")))
		script := "trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; wait || true; exit $code' EXIT\n"
		if strings.Contains(string(text), "```console kafka") && broker != "" {
			own := "docs-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
			text = []byte(strings.ReplaceAll(string(text), docsStream, own))
			renameIn(t, filepath.Join(dir, "agreements", "moh-health-card.yaml"), docsStream, own)
			t.Cleanup(func() { deleteTopic(t, broker, "tellonce."+own) })
		}
		for _, block := range regexp.MustCompile("(?s)```console( kafka)?\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if block[1] != "" && broker == "" {
				continue
			}
			for line := range strings.Lines(block[2]) {
				command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
				if !ok || strings.HasPrefix(command, "make ") || strings.HasPrefix(command, "go run ") {
					continue // the two commands of a fresh machine: the one runs this test, the other has tests of its own
				}
				script += command + "\n"
				ran++
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		cmd := exec.CommandContext(ctx, "bash", "-euxc", script)
		cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "BROKER="+broker)
		out, err := cmd.CombinedOutput()
		cancel()
		require.NoError(t, err, "%s:\n%s", name, out)
	}
	require.Greater(t, ran, 15)
}

// docsStream is the stream of the documents.
const docsStream = "moh.health-card"

// brokerForDocs is a broker, and kcat to read it with; empty if there are none.
func brokerForDocs(t *testing.T) string {
	t.Helper()
	broker, _, _ := strings.Cut(os.Getenv("KAFKA_BROKERS"), ",")
	if _, err := exec.LookPath("kcat"); err != nil || broker == "" {
		require.Empty(t, os.Getenv("TELLONCE_REQUIRE_SERVERS"), "a broker and kcat must be there: deploy/dev/up --tools")
		return ""
	}
	return broker
}

func renameIn(t *testing.T, file, from, to string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), from, to)), 0o600))
}

// TestGoOfTheMinistryDoc: the Go in docs/ministry.md is that of examples that run.
func TestGoOfTheMinistryDoc(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/ministry.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("../../adapters/ministry/example_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		require.Contains(t, string(examples), block[1])
	}
}
