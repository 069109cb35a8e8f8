package schemas

import (
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxLine is the most bytes a line of an import, or a body of the API, may have, without its line feed.
const MaxLine = 65_536

// maxDepth is how deep objects and arrays may nest; the outermost is level 1.
const maxDepth = 16

// ParseObject decodes one JSON object strictly, in a single pass: UTF-8, no key twice in one object (compared as decoded), no lone
// surrogate escape, at most max bytes, at most 16 levels. Numbers stay exact (json.Number), arrays are []any, objects map[string]any.
// The result shares no memory with body. encoding/json would silently replace broken characters and keep the last of two equal keys.
func ParseObject(body []byte, max int) (map[string]any, *Problem) {
	if len(body) > max {
		return nil, malformed("too long")
	}
	if !utf8.Valid(body) {
		return nil, malformed("not UTF-8")
	}
	d := decoder{src: string(body)}
	object, fault := d.document()
	if fault != "" {
		return nil, malformed(fault)
	}
	return object, nil
}

// decoder reads JSON from src, which is valid UTF-8. Each method returns a fault, a constant that never holds a value: "" is success.
type decoder struct {
	src string
	at  int
}

const (
	faultSyntax    = "not one JSON object"
	faultDuplicate = "a key stands twice in one object"
	faultDepth     = "nested deeper than 16 levels"
	faultSurrogate = "a lone surrogate escape"
)

func (d *decoder) document() (object map[string]any, fault string) {
	d.space()
	if d.peek() != '{' {
		return nil, faultSyntax
	}
	object, fault = d.object(1)
	if fault != "" {
		return nil, fault
	}
	d.space()
	if d.at != len(d.src) {
		return nil, faultSyntax
	}
	return object, ""
}

// peek is the byte at the reading place, 0 at the end (which no JSON token begins with).
func (d *decoder) peek() byte {
	if d.at < len(d.src) {
		return d.src[d.at]
	}
	return 0
}

func (d *decoder) space() {
	for d.at < len(d.src) {
		switch d.src[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

func (d *decoder) value(level int) (any, string) {
	switch c := d.peek(); {
	case c == '"':
		s, fault := d.text()
		return s, fault
	case c == '{':
		return d.object(level)
	case c == '[':
		return d.array(level)
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	case c == 't':
		return true, d.literal("true")
	case c == 'f':
		return false, d.literal("false")
	case c == 'n':
		return nil, d.literal("null")
	}
	return nil, faultSyntax
}

func (d *decoder) object(level int) (map[string]any, string) {
	if level > maxDepth {
		return nil, faultDepth
	}
	d.at++ // {
	object := make(map[string]any, 8)
	d.space()
	if d.peek() == '}' {
		d.at++
		return object, ""
	}
	for {
		if d.peek() != '"' {
			return nil, faultSyntax
		}
		key, fault := d.text()
		if fault != "" {
			return nil, fault
		}
		d.space()
		if d.peek() != ':' {
			return nil, faultSyntax
		}
		d.at++
		d.space()
		value, fault := d.value(level + 1)
		if fault != "" {
			return nil, fault
		}
		before := len(object)
		object[key] = value
		if len(object) == before {
			return nil, faultDuplicate
		}
		more, fault := d.next('}')
		if fault != "" || !more {
			return object, fault
		}
	}
}

func (d *decoder) array(level int) ([]any, string) {
	if level > maxDepth {
		return nil, faultDepth
	}
	d.at++ // [
	array := []any{}
	d.space()
	if d.peek() == ']' {
		d.at++
		return array, ""
	}
	for {
		value, fault := d.value(level + 1)
		if fault != "" {
			return nil, fault
		}
		array = append(array, value)
		more, fault := d.next(']')
		if fault != "" || !more {
			return array, fault
		}
	}
}

// next passes a comma, after which more follows, or the end of the object or array.
func (d *decoder) next(end byte) (more bool, fault string) {
	d.space()
	switch d.peek() {
	case ',':
		d.at++
		d.space()
		return true, ""
	case end:
		d.at++
		return false, ""
	}
	return false, faultSyntax
}

func (d *decoder) literal(word string) string {
	if !strings.HasPrefix(d.src[d.at:], word) {
		return faultSyntax
	}
	d.at += len(word)
	return ""
}

func (d *decoder) number() (json.Number, string) {
	start := d.at
	if d.peek() == '-' {
		d.at++
	}
	if d.peek() == '0' {
		d.at++
	} else if !d.digits() {
		return "", faultSyntax
	}
	if d.peek() == '.' {
		d.at++
		if !d.digits() {
			return "", faultSyntax
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		d.at++
		if c := d.peek(); c == '+' || c == '-' {
			d.at++
		}
		if !d.digits() {
			return "", faultSyntax
		}
	}
	return json.Number(d.src[start:d.at]), ""
}

func (d *decoder) digits() bool {
	start := d.at
	for c := d.peek(); '0' <= c && c <= '9'; c = d.peek() {
		d.at++
	}
	return d.at > start
}

// text reads a string. Without escapes, the usual case, it is a piece of src.
func (d *decoder) text() (string, string) {
	d.at++ // "
	start := d.at
	for d.at < len(d.src) {
		switch c := d.src[d.at]; {
		case c == '"':
			d.at++
			return d.src[start : d.at-1], ""
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", faultSyntax
		}
		d.at++
	}
	return "", faultSyntax
}

// escaped reads the rest of a string in which the first escape stands at the reading place.
func (d *decoder) escaped(start int) (string, string) {
	out := append(make([]byte, 0, 64), d.src[start:d.at]...)
	for d.at < len(d.src) {
		switch c := d.src[d.at]; {
		case c == '"':
			d.at++
			return string(out), ""
		case c < ' ':
			return "", faultSyntax
		case c != '\\':
			out = append(out, c)
			d.at++
		default:
			r, fault := d.escape()
			if fault != "" {
				return "", fault
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", faultSyntax
}

// escape reads one escape, or two that make a surrogate pair.
func (d *decoder) escape() (rune, string) {
	d.at++ // \
	c := d.peek()
	d.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), ""
	case 'b':
		return '\b', ""
	case 'f':
		return '\f', ""
	case 'n':
		return '\n', ""
	case 'r':
		return '\r', ""
	case 't':
		return '\t', ""
	case 'u':
	default:
		return 0, faultSyntax
	}
	r, fault := d.hex()
	if fault != "" || !utf16.IsSurrogate(r) {
		return r, fault
	}
	if !strings.HasPrefix(d.src[d.at:], `\u`) {
		return 0, faultSurrogate
	}
	d.at += 2
	low, fault := d.hex()
	if fault != "" {
		return 0, fault
	}
	pair := utf16.DecodeRune(r, low)
	if pair == utf8.RuneError {
		return 0, faultSurrogate
	}
	return pair, ""
}

func (d *decoder) hex() (r rune, fault string) {
	if len(d.src)-d.at < 4 {
		return 0, faultSyntax
	}
	for _, c := range []byte(d.src[d.at : d.at+4]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, faultSyntax
		}
	}
	d.at += 4
	return r, ""
}
