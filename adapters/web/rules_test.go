package web_test

import (
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
	lang := s.path[1:3]
	ids, count := map[string]*html.Node{}, map[string]int{}
	for n := range s.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		count[n.Data]++
		require.False(s.t, has(n, "style") || n.Data == "style", "inline style")
		if n.Data == "script" {
			require.True(s.t, n.FirstChild == nil && strings.HasPrefix(attr(n, "src"), "/assets/live."), "no script but our own file")
		}
		if id := attr(n, "id"); id != "" {
			require.Nil(s.t, ids[id], "id %s twice", id)
			ids[id] = n
		}
	}
	for _, one := range []string{"h1", "main", "header", "footer", "title"} {
		require.Equal(s.t, 1, count[one], one)
	}
	s.checkLinks(lang, ids)
	s.checkFields(ids)
	if lang == "fr" {
		checkFrench(s.t, s.plainFrench())
	}
}

func (s *sheet) checkLinks(lang string, ids map[string]*html.Node) {
	s.t.Helper()
	other := map[string]string{"en": "fr", "fr": "en"}[lang]
	switches := 0
	for n := range s.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "html" {
			require.Equal(s.t, lang, attr(n, "lang"))
		}
		if n.Data != "a" {
			continue
		}
		href := attr(n, "href")
		require.NotEmpty(s.t, strings.TrimSpace(textOf(n)), "a link without words")
		require.NotContains(s.t, []string{"here", "ici"}, strings.ToLower(strings.TrimSpace(textOf(n))))
		if id, ok := strings.CutPrefix(href, "#"); ok {
			require.NotNil(s.t, ids[id], "nothing has the id %s", id)
		} else if attr(n, "hreflang") != "" {
			switches++
			require.Equal(s.t, other, attr(n, "hreflang"))
			require.Equal(s.t, other, attr(n, "lang"))
			require.True(s.t, strings.HasPrefix(href, "/"+other+"/"))
			require.Equal(s.t, strings.Split(s.path[3:], "?")[0], strings.Split(href[3:], "?")[0])
		} else {
			require.True(s.t, strings.HasPrefix(href, "/"+lang+"/"), href)
		}
	}
	require.Equal(s.t, 1, switches, "language links")
}

func (s *sheet) checkFields(ids map[string]*html.Node) {
	s.t.Helper()
	labelled := map[string]bool{}
	for n := range s.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "label" {
			require.NotNil(s.t, ids[attr(n, "for")], "a label for nothing")
			labelled[attr(n, "for")] = true
		}
	}
	for n := range s.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for id := range strings.FieldsSeq(attr(n, "aria-describedby") + " " + attr(n, "aria-labelledby")) {
			require.NotNil(s.t, ids[id], "nothing has the id %s", id)
		}
		switch n.Data {
		case "input", "select", "textarea":
			if attr(n, "type") != "hidden" {
				require.True(s.t, labelled[attr(n, "id")], "no label for %s", attr(n, "id"))
			}
		case "table":
			box := n.Parent
			require.Equal(s.t, "region", attr(box, "role"))
			require.Equal(s.t, "0", attr(box, "tabindex"))
			require.NotEmpty(s.t, attr(box, "aria-labelledby")+attr(box, "aria-label"))
		case "fieldset":
			first := n.FirstChild
			for first != nil && first.Type != html.ElementNode {
				first = first.NextSibling
			}
			require.NotNil(s.t, first)
			require.Equal(s.t, "legend", first.Data)
		}
	}
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

// frenchFaults are what no French text may hold (UX.md, "French and Canadian form").
var frenchFaults = []struct {
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

func checkFrench(t require.TestingT, text string) {
	for _, fault := range frenchFaults {
		require.Empty(t, fault.find.FindString(text), "%s in: %.200s", fault.name, around(text, fault.find))
	}
}

func around(text string, find *regexp.Regexp) string {
	at := find.FindStringIndex(text)
	if at == nil {
		return ""
	}
	return text[max(0, at[0]-60):min(len(text), at[1]+60)]
}
