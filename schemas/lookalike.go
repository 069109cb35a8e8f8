package schemas

import (
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// together are the scripts that one language writes side by side, besides Latin (UTS 39, "highly restrictive").
var together = [][]*unicode.RangeTable{
	{unicode.Han, unicode.Hiragana, unicode.Katakana}, // Japanese
	{unicode.Han, unicode.Bopomofo},                   // Chinese
	{unicode.Han, unicode.Hangul},                     // Korean
}

// Lookalike reports whether a text mixes scripts as no language does (a Cyrillic а in a Latin name) or uses compatibility forms of
// letters (full-width, mathematical). Such a text is accepted as it is; a clerk is told. It does not find a word that is wholly in
// another script.
func Lookalike(s string) bool {
	s = NormalizeText(s)
	var latin bool
	var others []*unicode.RangeTable
	for _, r := range s {
		if !unicode.IsLetter(r) || r == 'ª' || r == 'º' {
			continue
		}
		if norm.NFKC.String(string(r)) != string(r) {
			return true
		}
		if unicode.Is(unicode.Latin, r) {
			latin = true
			continue
		}
		if unicode.In(r, unicode.Common, unicode.Inherited) || unicode.In(r, others...) {
			continue
		}
		for _, script := range unicode.Scripts {
			if unicode.Is(script, r) {
				others = append(others, script)
				break
			}
		}
	}
	switch {
	case len(others) == 0 || len(others) == 1 && !latin:
		return false
	case len(others) == 1:
		return !unicode.In(sample(others[0]), unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Hangul)
	}
	for _, group := range together {
		if subset(others, group) {
			return false
		}
	}
	return true
}

// sample is the first character of a script.
func sample(script *unicode.RangeTable) rune {
	if len(script.R16) > 0 {
		return rune(script.R16[0].Lo)
	}
	return rune(script.R32[0].Lo) //nolint:gosec // a code point
}

func subset(scripts, group []*unicode.RangeTable) bool {
	for _, script := range scripts {
		found := false
		for _, member := range group {
			found = found || member == script
		}
		if !found {
			return false
		}
	}
	return true
}
