package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/tellonce/hub/"

// rooms is the drawing of docs/house.md as data: which of the hub's own packages a package may import. The longest matching prefix
// counts. Tests may import what they like: they stand outside.
var rooms = map[string][]string{
	"consent":               {},
	"domain/citizen":        {},
	"schemas":               {"consent"},
	"eventstore":            {"eventstore/merkle"},
	"eventstore/merkle":     {},
	"eventstore/seal":       {"eventstore"},
	"eventstore/postgres":   {"eventstore", "eventstore/seal", "eventstore/storebench"},
	"eventstore/sqlite":     {"eventstore", "eventstore/seal", "eventstore/storebench"},
	"eventstore/storebench": {"eventstore"},
	"eventstore/storetest":  {"eventstore", "eventstore/merkle"},
	"domain/journal":        {"consent", "domain/citizen", "schemas", "eventstore", "eventstore/seal"},
	"domain/command":        {"consent", "domain/citizen", "domain/journal", "schemas", "eventstore", "eventstore/seal"},
	"domain/delivery":       {"consent", "domain/citizen", "domain/journal", "schemas", "eventstore", "eventstore/seal"},
	"domain/projection":     {"consent", "domain/citizen", "domain/journal", "schemas", "eventstore", "eventstore/seal"},
	"domain/audit":          {"consent", "domain/citizen", "domain/journal", "schemas", "eventstore", "eventstore/seal", "eventstore/merkle"},
	"domain/notice":         {"consent", "domain/citizen", "domain/journal", "schemas", "eventstore", "eventstore/seal"},
	"adapters/auth":         {"domain/journal", "eventstore"},
	"adapters/keys":         {"eventstore/seal"},
	"adapters/kafka":        {"domain/delivery", "domain/journal", "schemas", "eventstore"},
	"adapters/ministry":     {}, // other organisations import it
	"adapters/notify":       {"domain/journal", "domain/notice"},
	"adapters/webhook":      {"domain/delivery", "domain/journal", "eventstore"},
	"adapters/httpapi": {
		"consent", "domain/citizen", "domain/journal", "domain/command", "domain/delivery", "domain/projection", "domain/audit", "schemas", "eventstore",
	},
	"adapters/web": {
		"consent", "domain/citizen", "domain/journal", "domain/command", "domain/delivery", "domain/projection", "domain/audit", "schemas", "eventstore",
	},
	"cmd": {"*"},
	// Helpers of tests, imported by tests only.
	"eventstore/seal/sealtest":   {"*"},
	"domain/journal/journaltest": {"*"},
}

// standardOnly are the pure rooms.
var standardOnly = []string{"consent", "domain/citizen", "eventstore/merkle"}

// libraries stand in one room each; a library in two rooms means that one of them is in the wrong place.
var libraries = map[string][]string{
	"github.com/jackc/pgx":                  {"eventstore/postgres", "adapters/ministry/pgxstore", "cmd"},
	"github.com/ncruces/go-sqlite3":         {"eventstore/sqlite", "adapters/ministry/sqlitestore"},
	"github.com/segmentio/kafka-go":         {"adapters/kafka"},
	"github.com/ThreeDotsLabs/watermill":    {"adapters/kafka", "adapters/ministry", "domain/notice"},
	"code.dny.dev/ssrf":                     {"adapters/webhook"},
	"github.com/santhosh-tekuri/jsonschema": {"schemas"},
	"github.com/lestrrat-go/jwx":            {"adapters/auth"},
	"github.com/alexedwards/scs":            {"adapters/auth"},
	"github.com/coreos/go-oidc":             {"adapters/auth"},
	"golang.org/x/oauth2":                   {"adapters/auth"},
	"github.com/danielgtaylor/huma":         {"adapters/httpapi"},
	"github.com/nicksnyder/go-i18n":         {"adapters/web"},
	"github.com/spf13/cobra":                {"cmd"},
	"github.com/wneessen/go-mail":           {"adapters/notify"},
	"html/template":                         {"adapters/web", "domain/notice"},
}

func TestImportsFollowTheDrawing(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "node_modules" || name == "testdata" || (strings.HasPrefix(name, ".") && name != "..")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		require.NoError(t, err)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			seen++
			checkImport(t, filepath.ToSlash(folder), imported)
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, seen, 300, "the walk must have found the code")
}

func checkImport(t *testing.T, folder, imported string) {
	t.Helper()
	room, ok := longest(folder, rooms)
	require.True(t, ok, "%s is in no room: draw it in docs/house.md and in this test", folder)
	if own, isOwn := strings.CutPrefix(imported, module); isOwn {
		allowed := rooms[room]
		within := own == room || strings.HasPrefix(own, room+"/")
		if !within && (len(allowed) != 1 || allowed[0] != "*") {
			require.Contains(t, allowed, own, "%s must not import %s", folder, own)
		}
		return
	}
	for _, pure := range standardOnly {
		if folder == pure {
			require.NotContains(t, strings.Split(imported, "/")[0], ".", "%s uses the standard library only, not %s", folder, imported)
		}
	}
	for library, owners := range libraries {
		if imported != library && !strings.HasPrefix(imported, library+"/") {
			continue
		}
		owner := false
		for _, o := range owners {
			owner = owner || folder == o || strings.HasPrefix(folder, o+"/")
		}
		require.True(t, owner, "%s stands in %v, not in %s", library, owners, folder)
	}
}

// longest is the longest key that is the folder or a parent of it.
func longest(folder string, of map[string][]string) (string, bool) {
	best, ok := "", false
	for key := range of {
		if (folder == key || strings.HasPrefix(folder, key+"/")) && len(key) >= len(best) {
			best, ok = key, true
		}
	}
	return best, ok
}
