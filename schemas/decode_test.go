package schemas_test

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/schemas"
)

func TestParseObjectAccepts(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]map[string]any{
		`{}`:                        {},
		" \t\r\n{ \"a\" : [ ] } \r": {"a": []any{}},
		`{"a":[1,-0,1.50,1e5,12345678901234567890]}`: {"a": []any{
			json.Number("1"), json.Number("-0"), json.Number("1.50"), json.Number("1e5"), json.Number("12345678901234567890")}},
		`{"a":true,"b":false,"c":null,"":""}`:   {"a": true, "b": false, "c": nil, "": ""},
		`{"a":"\"\\\/\b\f\n\r\t\u00e9x\u0000"}`: {"a": "\"\\/\b\f\n\r\téx\x00"},
		`{"a":"\ud83d\ude00\uD83D\uDE00"}`:      {"a": "😀😀"},
		`{"a":"\ufffd\uffff"}`:                  {"a": "\ufffd\uffff"},
		"{\"a\":\"\x7f\u2028\"}":                {"a": "\x7f\u2028"},
		`{"a":{"a":1},"b":{"a":1}}`:             {"a": map[string]any{"a": json.Number("1")}, "b": map[string]any{"a": json.Number("1")}},
		`{"a":1,"A":2}`:                         {"a": json.Number("1"), "A": json.Number("2")},
		"{\"e\u0301\":1,\"\u00e9\":2}":          {"e\u0301": json.Number("1"), "\u00e9": json.Number("2")}, // not normalised: two keys
	} {
		got, problem := schemas.ParseObject([]byte(source), schemas.MaxLine)
		require.Nil(t, problem, "%q", source)
		require.Equal(t, want, got)
	}
}

func TestParseObjectRefuses(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"", " ", "\n", "null", "1", `"a"`, "[]", "[{}]", "{", "}", "{}{}", "{} x", "{},", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{'a':1}`,
		`{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[1}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e}`,
		`{"a":1e+}`, `{"a":0x1}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":tru}`, `{"a":nulL}`, `{"a":True}`, `{"a":undefined}`, `{"a":"}`, `{"a":"\x"}`,
		`{"a":"\u12"}`, `{"a":"\u12g4"}`, "{\"a\":\"\n\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"x\\n\n\"}", "{\"a\":\"\t\"}", `{"a":1}//`, `{"a":/**/1}`, "\ufeff{}",
		"{\u00a0}", "{}\x00", "\v{}", `{"a":"\`, `{"a":"\u`, `{"a":"\ud83d\u`,
		// not UTF-8, anywhere
		"{\"a\":\"\xff\"}", "{\"\xff\":1}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{}\xff",
		// lone surrogates
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud800x"}`, `{"a":"\ud800\ud800"}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\n"}`, `{"\ud800":1}`,
		`{"a":["\ud83d \ude00"]}`, `{"a":"\ud83d\\ude00"}`, `{"a":"\ud83dxxde00"}`, `{"a":"\ud83d\nde00"}`,
		// a key twice
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"\u0061":1,"a":2}`, `{"x":{"a":1,"b":2,"a":3}}`, `{"x":[{"a":1,"a":2}]}`, `{"":1,"":2}`,
		`{"é":1,"\u00e9":2}`, `{"😀":1,"\ud83d\ude00":2}`, `{"a":null,"a":null}`,
	} {
		got, problem := schemas.ParseObject([]byte(source), schemas.MaxLine)
		require.NotNil(t, problem, "%q", source)
		require.Equal(t, schemas.CodeMalformed, problem.Code)
		require.Nil(t, problem.Pointer)
		require.Nil(t, got)
	}
}

func TestParseObjectDepth(t *testing.T) {
	t.Parallel()
	nest := func(open, inner, end string, levels int) []byte {
		return []byte(`{"a":` + strings.Repeat(open, levels-1) + inner + strings.Repeat(end, levels-1) + `}`)
	}
	for _, shape := range [][3]string{{`{"a":`, "1", "}"}, {"[", "1", "]"}, {"[", "", "]"}, {`[{"a":[`, "", "]}]"}} {
		levels := 1 + strings.Count(shape[0], "[") + strings.Count(shape[0], "{")
		times := 1 + 15/(levels-1)
		_, problem := schemas.ParseObject(nest(shape[0], shape[1], shape[2], times), schemas.MaxLine)
		require.Nil(t, problem)
		_, problem = schemas.ParseObject(nest(shape[0], shape[1], shape[2], times+1), schemas.MaxLine)
		require.NotNil(t, problem)
	}
	_, problem := schemas.ParseObject(nest("[", "{}", "]", 15), schemas.MaxLine)
	require.Nil(t, problem)
	_, problem = schemas.ParseObject(nest("[", "{}", "]", 16), schemas.MaxLine) // an empty object is a level, too
	require.NotNil(t, problem)
	_, problem = schemas.ParseObject(nest("[", "", "]", 30_000), schemas.MaxLine)
	require.NotNil(t, problem)
}

func TestParseObjectSize(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{65_536: true, 65_537: false} {
		source := `{"a":"` + strings.Repeat("x", size-len(`{"a":""}`)) + `"}`
		require.Len(t, source, size)
		_, problem := schemas.ParseObject([]byte(source), schemas.MaxLine)
		require.Equal(t, ok, problem == nil)
	}
}

// A result must not change when the caller reuses its buffer.
func TestParseObjectCopies(t *testing.T) {
	t.Parallel()
	source := []byte(`{"a":"before"}`)
	got, problem := schemas.ParseObject(source, schemas.MaxLine)
	require.Nil(t, problem)
	copy(source, bytes.Repeat([]byte("x"), len(source)))
	require.Equal(t, map[string]any{"a": "before"}, got)
}

var anyEscape = regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|.)`)

// loneSurrogate finds one in valid JSON, by its escapes alone.
func loneSurrogate(source []byte) bool {
	high, end := false, -1
	for _, at := range anyEscape.FindAllIndex(source, -1) {
		escape := source[at[0]:at[1]]
		adjacent := at[0] == end
		end = at[1]
		if high && !adjacent {
			return true
		}
		if escape[1] != 'u' {
			if high {
				return true
			}
			continue
		}
		unit, _ := strconv.ParseUint(string(escape[2:]), 16, 32)
		isHigh, isLow := unit>>10 == 0xd800>>10, unit>>10 == 0xdc00>>10
		if isLow != high {
			return true
		}
		high = isHigh
	}
	return high
}

// unfit walks valid JSON token by token: does a key stand twice in one object, or is it too deep?
func unfit(t require.TestingT, source []byte) bool {
	type level struct {
		keys map[string]bool // nil in an array
		key  bool            // the next string is a key
	}
	var stack []level
	tokens := json.NewDecoder(bytes.NewReader(source))
	tokens.UseNumber()
	for {
		token, err := tokens.Token()
		if err == io.EOF {
			return false
		}
		require.NoError(t, err)
		if delim, ok := token.(json.Delim); ok && (delim == '{' || delim == '[') {
			if len(stack) == 16 {
				return true
			}
			next := level{}
			if delim == '{' {
				next = level{keys: map[string]bool{}, key: true}
			}
			stack = append(stack, next)
			continue
		} else if ok {
			stack = stack[:len(stack)-1]
		} else if top := &stack[len(stack)-1]; top.key {
			if top.keys[token.(string)] {
				return true
			}
			top.keys[token.(string)], top.key = true, false
			continue
		}
		if len(stack) > 0 && stack[len(stack)-1].keys != nil {
			stack[len(stack)-1].key = true
		}
	}
}

// compare judges ParseObject by encoding/json and the two checks above: it accepts exactly what is fit, with the same value.
func compare(t require.TestingT, source []byte) {
	got, problem := schemas.ParseObject(source, schemas.MaxLine)
	fit := len(source) <= schemas.MaxLine && utf8.Valid(source) && json.Valid(source) &&
		bytes.HasPrefix(bytes.TrimLeft(source, " \t\r\n"), []byte("{")) && !loneSurrogate(source) && !unfit(t, source)
	require.Equal(t, fit, problem == nil, "%q", source)
	if !fit {
		return
	}
	var want map[string]any
	decoder := json.NewDecoder(bytes.NewReader(source))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&want))
	require.Equal(t, want, got)
}

func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+7,true,false,null,{"b":"\u00e9\ud83d\ude00\n"}]}`, `{"a":1,"\u0061":2}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ud83d\ude00"}`,
		`{"a":"\\ud83d"}`, `{"a":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}`, `{"a":01}`, "{\"a\":\"\xff\"}", ` {} `, `{"a":"` + "\x7f" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) { compare(t, source) })
}

// Valid JSON in random spelling, then with one byte broken.
func TestParseObjectAgainstEncodingJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source, err := json.Marshal(map[string]any{"a": values(3).Draw(t, "value")})
		require.NoError(t, err)
		source = respell(t, source)
		compare(t, source)
		at := rapid.IntRange(0, len(source)-1).Draw(t, "at")
		source[at] = rapid.SampledFrom([]byte("\"\\{}[]:,0u \x00\xff")).Draw(t, "byte")
		compare(t, source)
	})
}

// respell writes some characters of JSON text as \u escapes, and adds white space around its structure.
func respell(t *rapid.T, source []byte) []byte {
	var out []byte
	inText, escaped := false, false
	for _, r := range string(source) {
		switch {
		case escaped:
			escaped = false
		case inText && r == '\\':
			escaped = true
		case r == '"':
			inText = !inText
		case inText && rapid.IntRange(0, 3).Draw(t, "escape") == 0:
			for _, unit := range utf16.Encode([]rune{r}) {
				out = append(out, `\u`...)
				out = append(out, strings.Repeat("0", 4-len(strconv.FormatUint(uint64(unit), 16)))...)
				out = strconv.AppendUint(out, uint64(unit), 16)
			}
			continue
		case !inText && (r == ',' || r == ':' || r == '{' || r == ']'):
			out = append(out, string(r)+rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")...)
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}
