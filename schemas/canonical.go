package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// Canonical returns the RFC 8785 bytes of a decoded JSON value: nil, bool, string (valid UTF-8), json.Number, int, int64, float64,
// []any, []string, map[string]any. A number beyond the range of a double, and any other type, is an error.
func Canonical(v any) ([]byte, error) {
	return appendCanonical(make([]byte, 0, 256), v)
}

func appendCanonical(out []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	case string:
		return appendString(out, v)
	case json.Number:
		return appendNumber(out, v)
	case int:
		return appendNumber(out, json.Number(strconv.Itoa(v)))
	case int64:
		return appendNumber(out, json.Number(strconv.FormatInt(v, 10)))
	case float64:
		return appendFloat(out, v)
	case map[string]any:
		return appendObject(out, v)
	case []any:
		return appendArray(out, v)
	case []string:
		return appendArray(out, v)
	}
	return nil, fmt.Errorf("canonical JSON of a %T", v)
}

func appendArray[T any](out []byte, items []T) ([]byte, error) {
	out = append(out, '[')
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendCanonical(out, item); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func appendObject(out []byte, object map[string]any) ([]byte, error) {
	var few [16]string // no allocation for the usual object
	keys := few[:0]
	for key := range object {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareUTF16)
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendString(out, key); err != nil {
			return nil, err
		}
		out = append(out, ':')
		if out, err = appendCanonical(out, object[key]); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// compareUTF16 orders keys as RFC 8785 wants, by UTF-16 code units. That is the order of the UTF-8 bytes, except that a character
// beyond U+FFFF (its first unit is a surrogate, D800 to DBFF) comes before one from U+E000 to U+FFFF.
func compareUTF16(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	x, y := a[i], b[i]
	const wide, high = 0xf0, 0xee // first bytes of a character beyond U+FFFF, and of U+E000
	if x >= wide && y >= high && y < wide {
		return -1
	}
	if y >= wide && x >= high && x < wide {
		return 1
	}
	return strings.Compare(a[i:], b[i:])
}

func appendNumber(out []byte, n json.Number) ([]byte, error) {
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: a number beyond the range of a double")
	}
	return appendFloat(out, f)
}

func appendFloat(out []byte, f float64) ([]byte, error) {
	s, err := jcs.NumberToJSON(f)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: not a finite number")
	}
	return append(out, s...), nil
}

// appendString writes a string as RFC 8785 does: only what must be escaped is, in its shortest form.
func appendString(out []byte, s string) ([]byte, error) {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	done, wide := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			wide = true
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, '\\', 'b')
		case '\t':
			out = append(out, '\\', 't')
		case '\n':
			out = append(out, '\\', 'n')
		case '\f':
			out = append(out, '\\', 'f')
		case '\r':
			out = append(out, '\\', 'r')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	if wide && !utf8.ValidString(s) {
		return nil, fmt.Errorf("canonical JSON: a string that is not UTF-8")
	}
	return append(append(out, s[done:]...), '"'), nil
}
