package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// found is what a checker found: the checker's own name of the rule, and where.
type found struct{ Rule, Where string }

func (f found) String() string { return f.Rule + ": " + f.Where }

// findings are those of many pages, which several visitors add to.
type findings struct {
	mu   sync.Mutex
	list []string
}

func (f *findings) add(where string, all []found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range all {
		f.list = append(f.list, where+": "+one.String())
	}
}

// none fails with everything that was found, once all pages are seen.
func (f *findings) none(t *testing.T) {
	t.Helper()
	slices.Sort(f.list)
	require.Empty(t, strings.Join(f.list, "\n"))
}

// everywhere gives a tab a script that each page gets before its own. The pages' policy does not stop it.
func everywhere(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	})
}

// answer waits for what a script promises.
func answer[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, "%.200s", expression)
	return v
}

// axe asks axe-core, which leaves out the size of targets unless it is asked. What it can't judge is returned apart.
func axe(b *tab, rules ...string) (wrong, unsure []found) {
	b.t.Helper()
	options := map[string]any{"resultTypes": []string{"violations", "incomplete"}, "rules": map[string]any{"target-size": map[string]bool{"enabled": true}}}
	if len(rules) > 0 {
		options["runOnly"] = map[string]any{"type": "rule", "values": rules}
	}
	text, err := json.Marshal(options)
	require.NoError(b.t, err)
	got := answer[struct{ Violations, Incomplete []found }](b, `axe.run(document, `+string(text)+`).then(result => {
		const list = rules => rules.flatMap(rule => rule.nodes.map(node => ({Rule: rule.id, Where: node.html.slice(0, 200) + ' ' + node.any.concat(node.all, node.none).map(check => check.message).join('; ')})));
		return {Violations: list(result.violations), Incomplete: list(result.incomplete)};
	})`)
	return got.Violations, got.Incomplete
}

// laidOut are axe's rules whose answer hangs on how wide the window is.
var laidOut = []string{"color-contrast", "css-orientation-lock", "link-in-text-block", "scrollable-region-focusable", "target-size"}

// ace asks IBM's checker.
func ace(b *tab) []found {
	b.t.Helper()
	all := answer[[]found](b, `new ace.Checker().check(document, ['IBM_Accessibility']).then(report => report.results.
		filter(result => result.value[0] === 'VIOLATION' && result.value[1] === 'FAIL').
		map(result => ({Rule: result.ruleId, Where: result.snippet.slice(0, 200) + ' ' + result.message})))`)
	return slices.DeleteFunc(all, func(f found) bool { return slices.ContainsFunc(aceErrs, func(e aceErr) bool { return e.is(f) }) })
}

// aceErr is where IBM's checker is wrong: what it says of an element that its expression fits.
type aceErr struct {
	rule    string
	element *regexp.Regexp
}

func (e aceErr) is(f found) bool { return e.rule == f.Rule && e.element.MatchString(f.Where) }

// aceErrs are all of them. A form without a name is no landmark (HTML Accessibility API Mappings), so two of them are nothing to tell apart;
// and a region that scrolls must have the focus, or people without a mouse can't read it to its end (axe's scrollable-region-focusable).
var aceErrs = []aceErr{
	{"aria_form_label_unique", namelessForm}, {"aria_landmark_name_unique", namelessForm},
	{"element_tabbable_role_valid", regexp.MustCompile(`^<[^>]* role="region" class="ontario-table-div">`)},
}

var namelessForm = regexp.MustCompile(`^<form( (action|method|novalidate|enctype|id)="[^"]*")*>`)

// script is the text of a checker that runs in a page.
func script(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(tool(t, parts...))
	require.NoError(t, err)
	return string(text)
}

// TestAxeAndAce look at every state: on a desktop with all their rules, then axe on a tablet and a phone with those that hang on the width. What
// axe can't judge is printed: that is for people to look at.
func TestAxeAndAce(t *testing.T) {
	t.Parallel()
	var wrong findings
	unsure := map[string]int{}
	var mu sync.Mutex
	both := script(t, "axe-core", "axe.min.js") + "\n" + script(t, "accessibility-checker-engine", "ace.js")
	each(t, both, func(b *tab, s *shot) {
		wrong.add(s.name(), ace(b))
		for width, rules := range map[int64][]string{1280: nil, 768: laidOut, 320: laidOut} {
			b.do(chromedp.EmulateViewport(width, 900))
			faults, open := axe(b, rules...)
			wrong.add(fmt.Sprintf("%s at %d px", s.name(), width), faults)
			mu.Lock()
			for _, one := range open {
				unsure[one.String()]++
			}
			mu.Unlock()
		}
	})
	for what, n := range unsure {
		t.Logf("axe is not sure (%d times): %s", n, what)
	}
	wrong.none(t)
}

// files writes pages where a checker can read them.
func files(t *testing.T, all []*shot) []string {
	t.Helper()
	dir := t.TempDir()
	var out []string
	for _, s := range all {
		out = append(out, filepath.Join(dir, s.name()+".html"))
		require.NoError(t, os.WriteFile(out[len(out)-1], []byte(s.sheet.body), 0o600))
	}
	return out
}

// run is what a checker prints; that it found something is no failure of its own.
func run(t *testing.T, name string, arguments ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		require.Empty(t, os.Getenv("CI"), "CI needs %s", name)
		t.Skip("no " + name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, path, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err = command.Run()
	require.True(t, err == nil || command.ProcessState.ExitCode() == 1, "%s: %v: %s", name, err, stderr.String())
	return stdout.Bytes()
}

// htmlValidate asks html-validate about files.
func htmlValidate(t *testing.T, names ...string) map[string][]found {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.json") // it ends before a pipe has taken more than 64 KB
	run(t, "node", append([]string{tool(t, "html-validate", "bin", "html-validate.mjs"), "--config", "testdata/html-validate.mjs", "--formatter", "json=" + report}, names...)...)
	out, err := os.ReadFile(report)
	require.NoError(t, err)
	var reports []struct {
		FilePath string
		Messages []struct {
			RuleID, Message string
			Line, Column    int
		}
	}
	require.NoError(t, json.Unmarshal(out, &reports))
	all := map[string][]found{}
	for _, r := range reports {
		for _, m := range r.Messages {
			all[filepath.Base(r.FilePath)] = append(all[filepath.Base(r.FilePath)], found{m.RuleID, fmt.Sprintf("%d:%d %s", m.Line, m.Column, m.Message)})
		}
	}
	return all
}

// nu asks the Nu validator about files. Its findings have no names: the rule is "error" or "info".
func nu(t *testing.T, names ...string) map[string][]found {
	t.Helper()
	out := run(t, "java", append([]string{"-jar", tool(t, "vnu-jar", "build", "dist", "vnu.jar"), "--format", "json", "--stdout"}, names...)...)
	var report struct {
		Messages []struct {
			Type, URL, Message, Extract string
			LastLine                    int
		}
	}
	require.NoError(t, json.Unmarshal(out, &report))
	all := map[string][]found{}
	for _, m := range report.Messages {
		name := filepath.Base(m.URL)
		all[name] = append(all[name], found{m.Type, fmt.Sprintf("%d %s: %s", m.LastLine, m.Message, m.Extract)})
	}
	return all
}

func TestHTMLValidate(t *testing.T) {
	t.Parallel()
	var wrong findings
	for name, faults := range htmlValidate(t, files(t, shots(t))...) {
		wrong.add(name, faults)
	}
	wrong.none(t)
}

func TestNu(t *testing.T) {
	t.Parallel()
	var wrong findings
	for name, faults := range nu(t, files(t, shots(t))...) {
		wrong.add(name, faults)
	}
	wrong.none(t)
}

// plantedFaults are what each checker must find on testdata/faults.html, by the checker's own names: so it runs, it can fail, and what is
// switched on by hand is on. Nu's rules have no names; a part of its sentence stands for one.
var plantedFaults = map[string][]string{
	"axe": {
		"aria-roles", "aria-valid-attr-value", "autocomplete-valid", "color-contrast", "document-title", "heading-order", "html-lang-valid", "image-alt", "label",
		"link-name", "region", "scrollable-region-focusable", "tabindex", "target-size",
	},
	"ace": {
		"a_text_purpose", "aria_attribute_value_valid", "aria_content_in_landmark", "aria_id_unique", "aria_role_allowed", "element_tabbable_role_valid", "fieldset_label_valid",
		"html_lang_valid", "img_alt_valid", "input_autocomplete_valid", "input_label_exists", "label_ref_valid", "page_title_exists", "table_headers_exists",
		"target_spacing_sufficient", "text_contrast_sufficient",
	},
	"html-validate": {
		"aria-label-misuse", "close-order", "deprecated", "element-permitted-content", "empty-title", "heading-level", "input-missing-label", "no-dup-id",
		"no-implicit-button-type", "no-implicit-close", "no-inline-style", "no-missing-references", "valid-autocomplete", "wcag/h30", "wcag/h37", "wcag/h71",
	},
	"nu": {
		"language subtag “english”", "“title” must not be empty", "must have an “alt” attribute", "not a valid autofill field name", "Duplicate ID “street”",
		"“aria-labelledby” attribute must not be specified", "No “p” element in scope", "an element of the same type was already open", "Bad value “buton”",
		"Bad value “maybe”", "“center” element is obsolete", "must be the ID of a non-hidden form control", "skipping 2 heading levels",
	},
	"ours": {
		"a label for nothing: nobody", "a link that says nothing: here", "a link to nothing: #nowhere", "a link without words", "a table outside of a region", "id twice: street",
		"inline style: p", "no label: nameless", "no legend", "no title", "not one language link", "not one header", "nothing has the id: not-there",
		"a colon without a no-break space", "a space before ; ! or ?", "a straight apostrophe", "another language: english-ish", "words in a drawing",
		"Enter presses another button",
	},
}

// TestCheckersCanFail on a page where everything is wrong.
func TestCheckersCanFail(t *testing.T) {
	t.Parallel()
	find := map[string]func(t *testing.T) []found{
		"axe": func(t *testing.T) []found {
			b := faultsPage(t, script(t, "axe-core", "axe.min.js"))
			wrong, unsure := axe(b)
			require.NotEmpty(t, unsure, "what it can't judge is told apart")
			return wrong
		},
		"ace": func(t *testing.T) []found {
			return ace(faultsPage(t, script(t, "accessibility-checker-engine", "ace.js")))
		},
		"html-validate": func(t *testing.T) []found { return htmlValidate(t, "testdata/faults.html")["faults.html"] },
		"nu":            func(t *testing.T) []found { return nu(t, "testdata/faults.html")["faults.html"] },
		"ours": func(t *testing.T) (all []found) {
			text := planted(t)
			root, err := html.Parse(bytes.NewReader(text))
			require.NoError(t, err)
			for _, fault := range (&sheet{t: t, path: "/fr/faults", body: string(text), root: root}).faults() {
				rule, where, _ := strings.Cut(fault, ": ")
				all = append(all, found{rule, where})
			}
			return all
		},
	}
	for checker, must := range plantedFaults {
		t.Run(checker, func(t *testing.T) {
			t.Parallel()
			var all []string
			for _, one := range find[checker](t) {
				all = append(all, one.String())
			}
			for _, fault := range must {
				require.True(t, slices.ContainsFunc(all, func(one string) bool { return strings.Contains(one, fault) }), "not found: %s in\n%s", fault, strings.Join(all, "\n"))
			}
		})
	}
}

// faultsPage is a tab at the page where everything is wrong.
func faultsPage(t *testing.T, script string) *tab {
	t.Helper()
	b := openFaults(t).scripted(t, 1280, 900)
	b.do(everywhere(script), chromedp.Navigate(b.base+"/faults"))
	return b
}
