package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/tellonce/hub/consent"
)

// sheet reads a YAML document strictly and collects what is wrong, each fault with file, line and column. It knows mappings, sequences,
// strings, whole numbers and booleans; anchors, aliases, merge keys, tags and null are refused wherever they stand.
type sheet struct {
	name   string
	faults []error
}

// yamlError is what the reader's own errors tell of their place.
type yamlError interface {
	error
	GetMessage() string
}

// maxNesting is how deep a sheet may nest; an agreement needs five levels.
const maxNesting = 32

// tooDeep finds nesting that no sheet needs before the reader sees it: its time grows with the square of the depth (64 KiB of
// opening brackets cost it half a minute). It looks at the bytes only, so that brackets in texts count, too.
func tooDeep(source []byte) bool {
	brackets, marks := 0, 0
	for i, c := range source {
		switch c {
		case '[', '{':
			brackets++
		case ']', '}':
			brackets--
		case '\n':
			marks = 0
		case '-', '?': // a list item or a complex key, which may nest within one line
			if i+1 < len(source) && (source[i+1] == ' ' || source[i+1] == '\t') {
				marks++
			}
		}
		if brackets > maxNesting || marks > maxNesting {
			return true
		}
	}
	return false
}

// parse returns the root of a YAML file with exactly one document; nil with a fault.
func (s *sheet) parse(source []byte) (root ast.Node) {
	defer func() {
		// The reader is a large parser fed with a person's file: should it panic, that is one refused file and not a stopped hub.
		if r := recover(); r != nil {
			root = nil
			s.faults = append(s.faults, fmt.Errorf("%s: not readable as YAML", s.name))
		}
	}()
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		var syntax yamlError
		if errors.As(err, &syntax) {
			s.faults = append(s.faults, fmt.Errorf("%s:%s: %s", s.name, place(err), syntax.GetMessage()))
		} else {
			s.faults = append(s.faults, fmt.Errorf("%s: %w", s.name, err))
		}
		return nil
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		s.faults = append(s.faults, fmt.Errorf("%s:1:1: must hold exactly one YAML document", s.name))
		return nil
	}
	return file.Docs[0].Body
}

// fail records a fault at a node's place.
func (s *sheet) fail(at ast.Node, format string, args ...any) {
	line, column := 1, 1
	if token := at.GetToken(); token != nil && token.Position != nil {
		line, column = token.Position.Line, token.Position.Column
	}
	s.faults = append(s.faults, fmt.Errorf("%s:%d:%d: %s", s.name, line, column, fmt.Sprintf(format, args...)))
}

// members returns the values of a mapping by key. A key that is not known, not a string or given twice is a fault, and so is a required
// one that is missing.
func (s *sheet) members(n ast.Node, what string, required, optional []string) map[string]ast.Node {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		s.fail(n, "%s must be a mapping", what)
		return nil
	}
	found := make(map[string]ast.Node, len(pairs))
	for _, pair := range pairs {
		key, ok := ast.Node(pair.Key).(*ast.StringNode)
		switch {
		case !ok:
			s.fail(pair.Key, "%s has a key that is no plain name", what)
		case !slices.Contains(required, key.Value) && !slices.Contains(optional, key.Value):
			s.fail(pair.Key, "%s has no member %q", what, key.Value)
		case found[key.Value] != nil:
			s.fail(pair.Key, "%q stands twice", key.Value)
		default:
			found[key.Value] = pair.Value
		}
	}
	at := n // the first key, which is where a reader looks; the mapping's own token is its first colon
	if len(pairs) > 0 {
		at = pairs[0].Key
	}
	for _, key := range required {
		if found[key] == nil {
			s.fail(at, "%s needs a member %q", what, key)
		}
	}
	return found
}

// text returns a string's value. A missing node is an empty string without a fault: members has recorded it.
func (s *sheet) text(n ast.Node, what string) string {
	var value string
	switch n := n.(type) {
	case nil:
		return ""
	case *ast.StringNode:
		value = n.Value
	case *ast.LiteralNode:
		value = n.Value.Value
	default:
		s.fail(n, "%s must be a text: quoted if it looks like a number, no anchor, alias or tag", what)
		return ""
	}
	switch {
	case strings.TrimSpace(value) == "":
		s.fail(n, "%s must not be empty", what)
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
		s.fail(n, "%s holds a control character", what)
	}
	return value
}

// choice returns a string that is one of few.
func (s *sheet) choice(n ast.Node, what string, allowed ...string) string {
	value := s.text(n, what)
	if value != "" && !slices.Contains(allowed, value) {
		s.fail(n, "%s is %q, must be %s", what, value, strings.Join(allowed, " or "))
	}
	return value
}

// identifier returns a name that stands in URLs and topics: at most 128 ASCII letters, digits, dots, hyphens and underscores.
func (s *sheet) identifier(n ast.Node, what string) string {
	value := s.text(n, what)
	if value == "" {
		return ""
	}
	for i, c := range []byte(value) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune(".-_", rune(c))) || i >= 128 {
			s.fail(n, "%s must begin with a letter or digit, then have letters, digits, dots, hyphens and underscores, at most 128", what)
			break
		}
	}
	return value
}

// bilingual returns a text in both languages.
func (s *sheet) bilingual(n ast.Node, what string) consent.Text {
	if n == nil {
		return consent.Text{}
	}
	m := s.members(n, what, []string{"en", "fr"}, nil)
	return consent.Text{EN: s.text(m["en"], what+".en"), FR: s.text(m["fr"], what+".fr")}
}

// whole returns an integer between two bounds; least for a missing node.
func (s *sheet) whole(n ast.Node, what string, least, most int) int {
	if n == nil {
		return least
	}
	number, ok := n.(*ast.IntegerNode)
	if !ok {
		s.fail(n, "%s must be a whole number", what)
		return least
	}
	var value int
	switch v := number.Value.(type) {
	case int64:
		value = int(v)
	case uint64:
		value = int(min(v, uint64(most)+1)) //nolint:gosec // most is positive
	}
	if value < least || value > most {
		s.fail(n, "%s must be between %d and %d", what, least, most)
		return least
	}
	return value
}

// flag returns a boolean, or what holds if it is missing.
func (s *sheet) flag(n ast.Node, what string, missing bool) bool {
	if n == nil {
		return missing
	}
	value, ok := n.(*ast.BoolNode)
	if !ok {
		s.fail(n, "%s must be true or false", what)
		return missing
	}
	return value.Value
}

// items returns the items of a sequence, at least one; nil for a missing node.
func (s *sheet) items(n ast.Node, what string) []ast.Node {
	if n == nil {
		return nil
	}
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		s.fail(n, "%s must be a list", what)
		return nil
	}
	if len(list.Values) == 0 {
		s.fail(n, "%s must not be empty", what)
	}
	return list.Values
}

// names returns a list of distinct strings, each judged by check (which gets the item's node to fail at).
func (s *sheet) names(n ast.Node, what string, check func(at ast.Node, value string)) []string {
	var values []string
	for _, item := range s.items(n, what) {
		value := s.text(item, "an item of "+what)
		if value == "" {
			continue
		}
		if slices.Contains(values, value) {
			s.fail(item, "%s names %q twice", what, value)
			continue
		}
		check(item, value)
		values = append(values, value)
	}
	return values
}

// date returns a civil date; zero for a missing node.
func (s *sheet) date(n ast.Node, what string) consent.Date {
	if n == nil {
		return 0
	}
	value := s.text(n, what)
	if value == "" {
		return 0
	}
	date, err := consent.ParseDate(value)
	if err != nil {
		s.fail(n, "%s must be a real date, YYYY-MM-DD", what)
	}
	return date
}
