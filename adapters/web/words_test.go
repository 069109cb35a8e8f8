package web

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html/template"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"time"

	"github.com/stretchr/testify/require"
)

// catalogue is a catalogue's texts: by key, then by plural form ("other" where there is one alone).
func catalogue(t *testing.T, lang string) map[string]map[string]string {
	t.Helper()
	names, err := fs.Glob(files, "locales/*"+lang+".json")
	require.NoError(t, err)
	entries := map[string]any{}
	for _, name := range names {
		raw, err := files.ReadFile(name)
		require.NoError(t, err)
		var some map[string]any
		require.NoError(t, json.Unmarshal(raw, &some))
		for key, value := range some {
			require.NotContains(t, entries, key, "%s: in two catalogues", name)
			entries[key] = value
		}
	}
	out := map[string]map[string]string{}
	for key, value := range entries {
		out[key] = map[string]string{}
		switch v := value.(type) {
		case string:
			out[key]["other"] = v
		case map[string]any:
			for form, text := range v {
				s, ok := text.(string)
				require.True(t, ok, key)
				out[key][form] = s
			}
		default:
			require.Fail(t, "neither a text nor plural forms", key)
		}
	}
	return out
}

var placeholder = regexp.MustCompile(`{{\.(\w+)}}`)

func placeholders(text string) []string {
	var out []string
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return out
}

func TestCataloguesAreAlike(t *testing.T) {
	t.Parallel()
	en, fr := catalogue(t, "en"), catalogue(t, "fr")
	require.NotEmpty(t, en)
	for key := range fr {
		require.Contains(t, en, key, "not in English")
	}
	for key, forms := range en {
		require.Contains(t, fr, key, "not in French")
		want := map[string][]string{"en": {"other"}, "fr": {"other"}}
		if len(forms) > 1 {
			want = map[string][]string{"en": {"one", "other"}, "fr": {"one", "many", "other"}}
		}
		for lang, texts := range map[string]map[string]string{"en": forms, "fr": fr[key]} {
			require.Len(t, texts, len(want[lang]), "%s in %s", key, lang)
			for _, form := range want[lang] {
				require.NotEmpty(t, strings.Trim(texts[form], " "+noBreak), "%s in %s: %s", key, lang, form)
				require.Equal(t, placeholders(forms["other"]), placeholders(texts[form]), "%s in %s: %s", key, lang, form)
				require.NotContains(t, placeholder.ReplaceAllString(texts[form], ""), "{{", key)
			}
		}
		if fr[key]["other"] == forms["other"] {
			require.Contains(t, sameInBoth, key, "not translated")
		}
	}
}

// sameInBoth are the texts that are the same in both languages.
var sameInBoth = []string{
	"continue", "service", "province.AB", "province.MB", "province.NU", "province.ON", "province.SK", "province.YT", "lane.type",
	"agreements.version", "agreements.version-number", "agreement.title", "ministry.way.webhook", "ministry.way.kafka", "public.licences.title", "public.licences.version", "public.licences.licence",
}

func TestFrenchTypography(t *testing.T) {
	t.Parallel()
	for key, forms := range catalogue(t, "fr") {
		for _, text := range forms {
			for name, find := range map[string]*regexp.Regexp{
				"a straight apostrophe or quotation mark": regexp.MustCompile(`['"“”]`),
				"a colon without a no-break space":        regexp.MustCompile(`[^\x{a0}]:`),
				"a space before ; ! or ?":                 regexp.MustCompile(`[\s\x{a0}][;!?]`),
				"a guillemet without a no-break space":    regexp.MustCompile(`«[^\x{a0}]|[^\x{a0}]»`),
				"a narrow no-break space or hyphen":       regexp.MustCompile(`[\x{202f}\x{2011}]`),
				"a percent or dollar sign set close":      regexp.MustCompile(`[^\x{a0}][%$]`),
				"a count parted from what it counts":      regexp.MustCompile(`({{\.(Count|Age)}}|\d) (organisme|événement|nouve|ans|minutes)`),
				"a decimal point":                         regexp.MustCompile(`\d\.\d`),
			} {
				require.Empty(t, find.FindString(text), "%s: %s: %s", key, name, text)
			}
		}
	}
	for key, forms := range catalogue(t, "en") {
		for _, text := range forms {
			require.NotRegexp(t, `\p{L}'\p{L}`, text, "%s: a straight apostrophe", key)
			require.NotContains(t, text, noBreak+":", key)
		}
	}
}

// use is one place that says a text: its key (a prefix if it is composed), and the placeholders it fills.
type use struct {
	where, key string
	composed   bool
	suffix     string // of a composed key
	fills      []string
	unknown    bool // what it fills is not written where it says it
}

// templateUses walks the templates for calls of t.
func templateUses(t *testing.T) []use {
	t.Helper()
	names, err := fs.Glob(files, "templates/*.html")
	require.NoError(t, err)
	w := &words{}
	var out []use
	for _, name := range names {
		text, err := files.ReadFile(name)
		require.NoError(t, err)
		tree, err := template.New("").Funcs(w.functions(&look{})).Parse(string(text))
		require.NoError(t, err)
		for _, part := range tree.Templates() {
			if part.Tree != nil {
				walk(part.Tree.Root, func(c *parse.CommandNode) { out = append(out, commandUse(t, name, c)...) })
			}
		}
	}
	return out
}

func commandUse(t *testing.T, name string, c *parse.CommandNode) []use {
	t.Helper()
	function, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok || function.Ident != "t" {
		return nil
	}
	u := use{where: name}
	switch key := c.Args[1].(type) {
	case *parse.StringNode:
		u.key = key.Text
	case *parse.PipeNode: // (print "prefix." .X)
		u.composed = true
		prefix, ok := key.Cmds[0].Args[1].(*parse.StringNode)
		require.True(t, ok, "%s: %s", name, c)
		u.key = prefix.Text
	default:
		require.Fail(t, "a key that is not written out", "%s: %s", name, c)
	}
	for i := 2; i < len(c.Args); i += 2 {
		fill, ok := c.Args[i].(*parse.StringNode)
		require.True(t, ok, "%s: %s", name, c)
		u.fills = append(u.fills, fill.Text)
	}
	slices.Sort(u.fills)
	return []use{u}
}

func walk(n parse.Node, visit func(*parse.CommandNode)) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, visit)
		}
	case *parse.IfNode:
		branch(&n.BranchNode, visit)
	case *parse.RangeNode:
		branch(&n.BranchNode, visit)
	case *parse.WithNode:
		branch(&n.BranchNode, visit)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			walk(c, visit)
		}
	case *parse.CommandNode:
		visit(n)
		for _, arg := range n.Args {
			walk(arg, visit)
		}
	}
}

func branch(n *parse.BranchNode, visit func(*parse.CommandNode)) {
	walk(n.Pipe, visit)
	walk(n.List, visit)
	walk(n.ElseList, visit)
}

// codeUses walks the Go code for calls of say, and for the literals that look like keys.
func codeUses(t *testing.T) (calls []use, literals []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					literals = append(literals, text)
				}
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "say" {
					calls = append(calls, callUse(name, n))
				}
			}
			return true
		})
	}
	return calls, literals
}

func callUse(name string, n *ast.CallExpr) use {
	u := use{where: name, unknown: n.Ellipsis.IsValid()}
	literal := func(e ast.Expr) (string, bool) {
		if l, ok := e.(*ast.BasicLit); ok {
			text, err := strconv.Unquote(l.Value)
			return text, err == nil
		}
		return "", false
	}
	u.key, _ = literal(n.Args[0])
	for e := n.Args[0]; ; { // "prefix." + x + ".title"
		b, ok := e.(*ast.BinaryExpr)
		if !ok {
			break
		}
		if !u.composed {
			u.suffix, _ = literal(b.Y)
		}
		u.composed = true
		u.key, _ = literal(b.X)
		e = b.X
	}
	for i := 1; i < len(n.Args); i += 2 {
		fill, _ := literal(n.Args[i])
		u.fills = append(u.fills, fill)
	}
	slices.Sort(u.fills)
	return u
}

func TestEveryTextIsThereAndUsed(t *testing.T) {
	t.Parallel()
	en := catalogue(t, "en")
	calls, literals := codeUses(t)
	uses := append(templateUses(t), calls...)
	require.Greater(t, len(uses), 150)
	used := map[string]bool{}
	for _, u := range uses {
		if u.key == "" { // a key from a table: its literals are looked at below
			continue
		}
		found := false
		for key, forms := range en {
			if key != u.key && (!u.composed || !strings.HasPrefix(key, u.key) || !strings.HasSuffix(key, u.suffix)) {
				continue
			}
			found, used[key] = true, true
			if !u.unknown {
				require.Equal(t, placeholders(forms["other"]), append([]string(nil), u.fills...), "%s: %s", u.where, key)
			}
		}
		require.True(t, found, "%s: there is no text %q", u.where, u.key)
	}
	looksLikeKey := regexp.MustCompile(`^(error|problem|why|status|looker|channel|role|kinds|seen|receipt)\.[a-z_.-]+$`)
	for _, text := range literals {
		for key := range en { // what stands in a table before the last part of a key
			used[key] = used[key] || (strings.Count(text, ".") > 0 && strings.HasSuffix(text, ".") && strings.HasPrefix(key, text))
		}
		if looksLikeKey.MatchString(text) && !strings.HasSuffix(text, ".") {
			if _, whole := en[text]; !whole {
				_, whole = en[text+".title"]
				require.True(t, whole, "there is no text %q", text)
				used[text+".title"], used[text+".text"] = true, true
			}
			used[text] = true
		}
	}
	for key := range en {
		require.True(t, used[key], "nothing says %q", key)
	}
}

func loadWords(t *testing.T) map[string]*words {
	t.Helper()
	zone, err := time.LoadLocation("America/Toronto")
	require.NoError(t, err)
	pages, err := loadLanguages(zone, &look{})
	require.NoError(t, err)
	return map[string]*words{"en": pages["en"].words, "fr": pages["fr"].words}
}

func TestDatesTimesAndNumbers(t *testing.T) {
	t.Parallel()
	w := loadWords(t)
	at := time.Date(2026, 12, 1, 4, 5, 9, 0, time.UTC) // 23:05:09 the day before, in Toronto
	for _, c := range []struct{ en, fr, gotEN, gotFR string }{
		{"December 1, 2026", "le 1er décembre 2026", w["en"].date("2026-12-01"), w["fr"].date("2026-12-01")},
		{"August 2, 2026", "le 2 août 2026", w["en"].date("2026-08-02"), w["fr"].date("2026-08-02")},
		{"November 30, 2026, 23:05", "le 30 novembre 2026, 23\u00a0h\u00a005", w["en"].moment(at), w["fr"].moment(at)},
		{"23:05:09", "23:05:09", w["en"].clock(at), w["fr"].clock(at)},
		{"48,211,903", "48\u00a0211\u00a0903", w["en"].number(48211903), w["fr"].number(48211903)},
		{"a, b or c", "a, b ou c", w["en"].either([]string{"a", "b", "c"}), w["fr"].either([]string{"a", "b", "c"})},
	} {
		require.Equal(t, c.en, c.gotEN)
		require.Equal(t, c.fr, c.gotFR)
	}
}

func TestPlurals(t *testing.T) {
	t.Parallel()
	w := loadWords(t)
	for n, want := range map[int][2]string{
		0:         {"There are no", "Il n’y a pas"},
		1:         {"1 new event was read.", "1\u00a0nouvel événement a été lu."},
		2:         {"2 new events were read.", "2\u00a0nouveaux événements ont été lus."},
		1204:      {"1,204 new events were read.", "1\u00a0204\u00a0nouveaux événements ont été lus."},
		1_000_000: {"1,000,000 new events were read.", "1\u00a0000\u00a0000\u00a0de nouveaux événements ont été lus."},
	} {
		for i, lang := range languages {
			text := w[lang].say("lane.read.some", "Count", n)
			if n == 0 {
				text = w[lang].say("lane.read.none")
			}
			require.Contains(t, text, want[i], fmt.Sprint(n))
		}
	}
}

func TestAddressesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	w := loadWords(t)
	home := map[string]any{"unit": "102", "street": "3974, rue Notre-Dame", "city": "Montréal", "province": "QC", "postal_code": "H4C 1P9", "country": "CA"}
	require.Equal(t, []string{"102-3974, rue Notre-Dame", "Montréal QC\u00a0\u00a0H4C\u00a01P9"}, w["en"].addressLines(home))
	require.Equal(t, []string{"102-3974, rue Notre-Dame", "Montréal (Québec)\u00a0\u00a0H4C\u00a01P9"}, w["fr"].addressLines(home))
	abroad := map[string]any{"street": "5 Main St", "city": "Buffalo", "province": "NY", "postal_code": "14201", "country": "US"}
	require.Equal(t, []string{"5 Main St", "Buffalo NY\u00a0\u00a014201", "US"}, w["en"].addressLines(abroad))
	require.Empty(t, w["en"].addressLines(nil))
}
