package web_test

import (
	"iter"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// policy is UX.md's, word for word.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; img-src 'self' data:; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// check is what every page obeys, whatever it says.
func (s *sheet) check() {
	s.t.Helper()
	require.Equal(s.t, policy, s.header.Get("Content-Security-Policy"))
	require.Equal(s.t, "no-store", s.header.Get("Cache-Control"))
	require.Equal(s.t, "nosniff", s.header.Get("X-Content-Type-Options"))
	require.NotContains(s.t, s.body, "⟨", "a text is missing")
	require.Empty(s.t, strings.Join(s.faults(), "\n"), s.path)
}

// rules collects what is wrong with a page.
type rules struct {
	*sheet
	lang   string
	ids    map[string]*html.Node
	labels map[string]bool // ids that a label is for
	wrong  []string
}

// eitherSheet is the one or the other, never both: they collide.
var eitherSheet = regexp.MustCompile(`^/assets/(ods|fallback)\.`)

// sheets are the paths of the page's style sheets.
func (s *sheet) sheets() []string {
	var out []string
	for n := range s.elements() {
		if n.Data == "link" && attr(n, "rel") == "stylesheet" {
			out = append(out, attr(n, "href"))
		}
	}
	return out
}

// faults are what is wrong with a page: each a rule's name, then where.
func (s *sheet) faults() []string {
	r := &rules{sheet: s, lang: s.path[1:3], ids: map[string]*html.Node{}, labels: map[string]bool{}}
	count := map[string]int{}
	for n := range s.elements() {
		count[n.Data]++
		if id := attr(n, "id"); id != "" {
			r.must(r.ids[id] == nil, "id twice", id)
			r.ids[id] = n
		}
		if n.Data == "label" {
			r.labels[attr(n, "for")] = true
		}
	}
	if sheets := s.sheets(); len(sheets) != 2 || !eitherSheet.MatchString(sheets[0]) || !strings.HasPrefix(sheets[1], "/assets/app.") {
		r.must(false, "not the design system's sheet or the one that stands for it, then ours", strings.Join(sheets, " "))
	}
	for _, one := range []string{"h1", "main", "header", "footer", "title"} {
		r.must(count[one] == 1, "not one "+one, "")
	}
	switches := 0
	for n := range s.elements() {
		r.element(n)
		if n.Data == "a" && attr(n, "hreflang") != "" {
			switches++
			r.languageLink(n)
		}
	}
	r.must(switches == 1, "not one language link", "")
	if r.lang == "fr" {
		r.wrong = append(r.wrong, frenchFaults(s.plainFrench())...)
	}
	return r.wrong
}

func (s *sheet) elements() iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for n := range s.root.Descendants() {
			if n.Type == html.ElementNode && !yield(n) {
				return
			}
		}
	}
}

func (r *rules) must(holds bool, rule, where string) {
	if !holds {
		r.wrong = append(r.wrong, rule+": "+where)
	}
}

// element is what each element obeys.
func (r *rules) element(n *html.Node) {
	r.must(!has(n, "style") && n.Data != "style", "inline style", n.Data)
	for id := range strings.FieldsSeq(attr(n, "aria-describedby") + " " + attr(n, "aria-labelledby")) {
		r.must(r.ids[id] != nil, "nothing has the id", id)
	}
	switch n.Data {
	case "html":
		r.must(attr(n, "lang") == r.lang, "another language", attr(n, "lang"))
	case "title":
		r.must(strings.TrimSpace(textOf(n)) != "", "no title", "")
	case "script":
		r.must(n.FirstChild == nil && strings.HasPrefix(attr(n, "src"), "/assets/live."), "a script that is not our own file", "")
	case "a":
		r.link(n)
	case "label":
		r.must(r.ids[attr(n, "for")] != nil, "a label for nothing", attr(n, "for"))
	case "input", "select", "textarea":
		r.must(attr(n, "type") == "hidden" || r.labels[attr(n, "id")], "no label", attr(n, "id"))
	case "table":
		box := n.Parent
		r.must(attr(box, "role") == "region" && attr(box, "tabindex") == "0" && attr(box, "aria-labelledby")+attr(box, "aria-label") != "",
			"a table outside of a region that scrolls", "")
	case "fieldset":
		first := n.FirstChild
		for first != nil && first.Type != html.ElementNode {
			first = first.NextSibling
		}
		r.must(first != nil && first.Data == "legend", "no legend", "")
	case "text", "tspan":
		r.must(false, "words in a drawing, which forced colours hide and phones shrink", textOf(n))
	case "form":
		r.form(n)
	}
}

func (r *rules) link(n *html.Node) {
	href, words := attr(n, "href"), strings.TrimSpace(textOf(n))
	r.must(words != "", "a link without words", href)
	switch strings.ToLower(strings.Trim(words, ".")) {
	case "here", "click here", "ici", "cliquez ici":
		r.must(false, "a link that says nothing", words)
	}
	if id, ok := strings.CutPrefix(href, "#"); ok {
		r.must(r.ids[id] != nil, "a link to nothing", href)
	} else if attr(n, "hreflang") == "" {
		r.must(strings.HasPrefix(href, "/"+r.lang+"/"), "a link to the other language, or away", href)
	}
}

// languageLink keeps the page.
func (r *rules) languageLink(n *html.Node) {
	other, href := map[string]string{"en": "fr", "fr": "en"}[r.lang], attr(n, "href")
	r.must(attr(n, "hreflang") == other && attr(n, "lang") == other, "a language link that says another language", href)
	r.must(strings.HasPrefix(href, "/"+other+"/") && strings.Split(r.path[3:], "?")[0] == strings.Split(href[3:], "?")[0], "a language link to another page", href)
}

// form is one that a page's reader can send: Enter in a field presses the first button of it, which must be what they mean.
func (r *rules) form(n *html.Node) {
	first, typed := "", false
	for c := range n.Descendants() {
		if c.Type != html.ElementNode {
			continue
		}
		switch {
		case c.Data == "button" && attr(c, "type") != "button" && first == "":
			first = attr(c, "class")
			r.must(first != "", "a button without a look", textOf(c))
		case c.Data == "button" && strings.Contains(attr(c, "class"), "--primary"):
			r.must(!typed || strings.Contains(first, "--primary"), "Enter presses another button than the first one", textOf(c))
		case c.Data == "input" && attr(c, "type") != "hidden":
			typed = true
		}
	}
	r.must(first != "", "a form without a button", "")
}

// plainFrench is a page's French text: not what is marked as English or as code.
func (s *sheet) plainFrench() string {
	var b strings.Builder
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && (attr(n, "lang") == "en" || attr(n, "aria-hidden") == "true" || n.Data == "pre" || n.Data == "code") {
			return
		}
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(s.root)
	return b.String()
}

// frenchRules are what no French text may hold (UX.md, "French and Canadian form").
var frenchRules = []struct {
	name string
	find *regexp.Regexp
}{
	{"a straight apostrophe", regexp.MustCompile(`\p{L}'\p{L}`)},
	{"a colon without a no-break space", regexp.MustCompile(`[^\x{a0}\d]:(\s|$)`)},
	{"a space before ; ! or ?", regexp.MustCompile(`[\s\x{a0}\x{202f}][;!?]`)},
	{"a guillemet without a no-break space", regexp.MustCompile(`«[^\x{a0}]|[^\x{a0}]»`)},
	{"English quotation marks", regexp.MustCompile(`[“”"]`)},
	{"a percent or dollar sign without a no-break space", regexp.MustCompile(`[^\x{a0}][%$]`)},
	{"a narrow no-break space or hyphen", regexp.MustCompile(`[\x{202f}\x{2011}]`)},
	{"a unit parted from its number", regexp.MustCompile(`\d (ans|minutes|jours|h)\b`)},
	{"first of the month", regexp.MustCompile(`\b1 (janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre)`)},
	{"a capital that lost its accent", regexp.MustCompile(`\b(A (l|la|le|partir|cette)\b|Ecole|Etat|Etes|Ecrivez|Ile-)`)},
	{"a month with a capital", regexp.MustCompile(`\d (Janvier|Février|Mars|Avril|Mai|Juin|Juillet|Août|Septembre|Octobre|Novembre|Décembre)`)},
}

// frenchFaults are what is wrong with the form of a French text.
func frenchFaults(text string) (wrong []string) {
	for _, rule := range frenchRules {
		if rule.find.MatchString(text) {
			wrong = append(wrong, rule.name+": "+around(text, rule.find))
		}
	}
	return wrong
}

func around(text string, find *regexp.Regexp) string {
	at := find.FindStringIndex(text)
	if at == nil {
		return ""
	}
	return text[max(0, at[0]-60):min(len(text), at[1]+60)]
}
