package schemas_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/schemas"
)

func TestValidText(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"plain":                         {"Noah", true},
		"every punctuation":             {"a ' ’ - ‐ ‑ – . , : ! / # & ( ) ½ ¼ ¾ ª º ·", true},
		"French":                        {"4086 rue de l’Église, Orléans", true},
		"syllabics":                     {"ᐃᓄᒃᑎᑐᑦ", true},
		"Arabic":                        {"محمد", true},
		"Arabic digits":                 {"٣٤", true},
		"CJK beyond the BMP":            {"𠮷野", true},
		"decomposed":                    {"Zoe\u0308", true},
		"a mark that does not compose":  {"x\u0323\u0304", true},
		"only a digit":                  {"7", true},
		"ª is a letter":                 {"ª", true},
		"spaces at the ends":            {"  Noah  ", true},
		"ano teleia becomes a dot":      {"a\u0387b", true}, // NFC: U+00B7
		"empty":                         {"", false},
		"only spaces":                   {"   ", false},
		"only punctuation":              {"-.-", false},
		"½ alone is no digit":           {"½", false},
		"a mark alone is no letter":     {"\u0301", false},
		"NUL":                           {"Zo\x00ë", false},
		"tab":                           {"a\tb", false},
		"line feed at the end":          {"Noah\n", false},
		"C1 control":                    {"a\u0085b", false},
		"bidi override":                 {"Zoë\u202e", false},
		"bidi isolate":                  {"a\u2066b", false},
		"left-to-right mark":            {"a\u200eb", false},
		"zero-width space":              {"a\u200bb", false},
		"word joiner":                   {"a\u2060b", false},
		"byte order mark":               {"\ufeffa", false},
		"soft hyphen":                   {"a\u00adb", false},
		"variation selector is a mark":  {"a\ufe0f", true},
		"no-break space":                {"a\u00a0b", false},
		"ideographic space":             {"a\u3000b", false},
		"narrow no-break space":         {"12\u202fbis", false},
		"line separator":                {"a\u2028b", false},
		"paragraph separator":           {"a\u2029b", false},
		"emoji":                         {"Zoë 😀", false},
		"replacement character":         {"a\ufffdb", false},
		"noncharacter":                  {"a\ufffeb", false},
		"noncharacter beyond the BMP":   {"a\U0001ffffb", false},
		"private use":                   {"a\ue000b", false},
		"unassigned":                    {"a\u0378b", false},
		"broken UTF-8":                  {"a\xffb", false},
		"other number: superscript":     {"a²", false},
		"other number: Roman":           {"Ⅷ", false},
		"other number: ⅓":               {"12 ⅓", false},
		"em dash":                       {"a—b", false},
		"double quote":                  {`a"b`, false},
		"semicolon":                     {"a;b", false},
		"Greek question mark":           {"a\u037eb", false},
		"plus":                          {"a+b", false},
		"at":                            {"a@b", false},
		"underscore":                    {"a_b", false},
		"backslash":                     {`a\b`, false},
		"left single quote":             {"‘a", false},
		"degree":                        {"2°", false},
		"ZWJ in Arabic":                 {"ب\u200dب", true},
		"ZWNJ in Persian":               {"می\u200cخواهم", true},
		"ZWJ after a virama":            {"क्\u200dष", true},
		"ZWNJ in Devanagari":            {"क्\u200cष", true},
		"ZWJ in Latin":                  {"a\u200db", false},
		"ZWNJ in Greek":                 {"α\u200cβ", false},
		"ZWJ in Cyrillic":               {"а\u200dб", false},
		"ZWJ in syllabics":              {"ᐃ\u200dᓄ", false},
		"ZWJ beside ª":                  {"ب\u200dª", false},
		"ZWJ beside a Common letter":    {"ب\u200d\u0640", false},  // tatweel
		"ZWJ beside an Inherited mark":  {"ب\u064e\u200dب", false}, // fatha
		"ZWJ between Arabic and Latin":  {"ب\u200da", false},
		"ZWJ at the start":              {"\u200dب", false},
		"ZWJ at the end":                {"ب\u200d", false},
		"ZWJ at the end before a space": {"ب\u200d ب", false},
		"ZWJ beside a digit":            {"ب\u200d٣", false},
		"two joiners":                   {"ب\u200d\u200dب", false},
		"200":                           {strings.Repeat("é", 200), true},
		"200 and spaces":                {" " + strings.Repeat("é", 200) + " ", true},
		"200 after NFC":                 {strings.Repeat("e\u0301", 200), true},
		"201":                           {strings.Repeat("é", 201), false},
		"201 after NFC":                 {strings.Repeat("\u0958", 101), false}, // each becomes two
		"200 beyond the BMP":            {strings.Repeat("𠮷", 200), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, schemas.ValidText(test.text))
		})
	}
}

func TestNormalizeText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Zoë", schemas.NormalizeText("  Zoe\u0308 "))
	require.Equal(t, "a  b", schemas.NormalizeText(" a  b "))
	require.Equal(t, "\u00a0a", schemas.NormalizeText("\u00a0a")) // only U+0020 is trimmed
	require.Equal(t, "‑½", schemas.NormalizeText("‑½"))           // NFC, not NFKC
	rapid.Check(t, func(t *rapid.T) {
		once := schemas.NormalizeText(rapid.String().Draw(t, "text"))
		require.True(t, norm.NFC.IsNormalString(once))
		require.Equal(t, once, schemas.NormalizeText(once))
	})
}

func TestLookalike(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Noah":                false,
		"Zoë O’Brien-½ 4ª":    false,
		"Мария":               false,
		"山田 たろう タロウ":          false,
		"김 金":                 false,
		"Lee 李":               false,
		"ᐃᓄᒃ":                 false,
		"ب\u064eب":            false,
		"":                    false,
		"No\u0430h":           true, // Cyrillic а
		"\u039doah":           true, // Greek Ν
		"Мария α":             true,
		"Ｎｏａｈ":                true, // full-width
		"𝐍oah":                true,
		"ᐃ Noah":              true, // unusual, and so a clerk looks
		"한 たろう":               true,
		"Nоah \u0430\u03b1 李": true,
	} {
		require.Equal(t, want, schemas.Lookalike(text), "%q", text)
	}
}
