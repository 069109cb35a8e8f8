package webhook

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestExcerpt(t *testing.T) {
	t.Parallel()
	const request = `{"subject":"P-aXbY","data":{"family_name":"Trémblay","postal_code":"P9N 3X9","birth_date":"1980-05-17"}}`
	for answer, want := range map[string]string{
		base64.StdEncoding.EncodeToString([]byte(request)): "*",
		"Zm9v/QmFyYmFy+SGVsbG/GsdXZ1Lw==":                  "*",
		"at " + hex.EncodeToString([]byte(request)):        "at *",
		"Pneumonoultramicroscopicsilicovolcanoconiosis":    "*",
		"":                   "",
		"signature mismatch": "signature mismatch",
		"at " + base64.StdEncoding.EncodeToString([]byte("Trémblay")): "at *",
		"WmFu is": "WmFu is",
		base64.RawURLEncoding.EncodeToString([]byte("family")): "*",
		"Signature\tmismatch\r\n\r\n":                          "Signature mismatch",
		`{"error": "no such client"}`:                          `{"error": "no such client"}`,
		"Tremblay is unknown":                                  "* is unknown",
		"TRÉMBLAY":                                             "*",
		"Madame Tremblays file":                                "Madame * file",
		"unknown: %C3%AAAAA\"}":                                "unknown: *\"}",
		"born 1980-05-17":                                      "born *-*-*",
		"17 May 1980":                                          "* May *",
		"P9N3X9 and aXbY":                                      "* and *",
		"\x00\x01\x7f binary \xff":                             "* binary *",
		"<html>\u202eevil</html>":                              "<html>*evil</html>",
		"日本 日本":                                                "* *",
	} {
		require.Equal(t, want, excerpt([]byte(answer), []byte(request)), "%q", answer)
	}
	require.Len(t, excerpt([]byte(strings.Repeat("broken ", 1000)), nil), maxExcerpt)
}

// TestExcerptHoldsNothingOfTheRequest: whatever a request held, and however an endpoint spells it in its answer, none of it is kept.
func TestExcerptHoldsNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	spellings := []func(string) string{
		func(s string) string { return s },
		strings.ToUpper,
		strings.ToLower,
		func(s string) string { return norm.NFD.String(s) },
		func(s string) string { return strings.ToUpper(withoutMarks(s)) },
		url.QueryEscape,
		url.PathEscape,
		strconv.Quote,
		strconv.QuoteToASCII,
		html.EscapeString,
		func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return hex.EncodeToString([]byte(s)) },
		func(s string) string { return strings.ReplaceAll(s, " ", "_") },
		func(s string) string { return "id" + s + "x" },
	}
	name := rapid.StringMatching(`[A-Za-zéèêçôïÉÈ]{4,12}([ '-][A-Za-zéèêçôïÉÈ]{4,12}){0,2}`)
	number := rapid.StringMatching(`[0-9]{1,4} ?[A-Z][0-9]`)
	rapid.Check(t, func(t *rapid.T) {
		values := []string{name.Draw(t, "name"), name.Draw(t, "street"), number.Draw(t, "number")}
		request, err := json.Marshal(map[string]any{"data": map[string]any{"name": values[0], "street": values[2] + " " + values[1], "code": values[2]}})
		require.NoError(t, err)
		var answer strings.Builder
		for range rapid.IntRange(1, 4).Draw(t, "echoes") {
			answer.WriteString(rapid.SampledFrom([]string{"unknown: ", "{\"error\":\"", "no client ", ""}).Draw(t, "before"))
			answer.WriteString(rapid.SampledFrom(spellings).Draw(t, "spelling")(rapid.SampledFrom(values).Draw(t, "value")))
			answer.WriteString(rapid.SampledFrom([]string{"\"}", " ", ", ", "\n"}).Draw(t, "after"))
		}
		got := excerpt([]byte(answer.String()), request)
		for _, value := range values[:2] {
			for _, spelling := range spellings {
				for _, run := range lettersOnly.FindAllString(spelling(value), -1) {
					require.True(t, isOurs(strings.ToLower(run)) || !strings.Contains(got, run), "%q of %q", run, answer.String())
				}
			}
		}
		require.LessOrEqual(t, len(got), maxExcerpt)
		require.True(t, utf8.ValidString(got))
		require.NotRegexp(t, `[^ -~]|[0-9]`, got)
		lower := strings.ToLower(got)
		for _, word := range words(values[0] + " " + values[1]) {
			if len(word) >= 4 && !isOurs(word) {
				require.NotContains(t, lower, word, "of %q", answer.String())
			}
		}
	})
}

var lettersOnly = regexp.MustCompile(`[A-Za-z]{5,}`)

// isOurs: a drawn name may be a piece of the words around it.
func isOurs(word string) bool { return strings.Contains(`unknown error no client id x`, word) }

func withoutMarks(s string) string { return strings.Join(words(s), " ") }

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("no such client"), []byte(`{"a":"b"}`))
	f.Add([]byte("\xff\xfe\u0300"), []byte("\u0300"))
	f.Fuzz(func(t *testing.T, answer, request []byte) {
		got := excerpt(answer, request)
		if len(got) > maxExcerpt || strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' || (c >= '0' && c <= '9') }) {
			t.Fatalf("%q", got)
		}
	})
}
