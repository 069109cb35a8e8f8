package schemas

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxText is the most code points a text may have, counted after normalising.
const maxText = 200

// textMark says what a code point may do in a text.
type textMark uint8

const (
	textRefused   textMark = iota
	textAllowed            // punctuation, the space
	textLetter             // a letter (L)
	textDigit              // a decimal digit (Nd)
	textCombining          // a mark (M)
	textJoiner             // U+200C and U+200D: only between letters or marks of a script that joins
)

// textPunctuation is what is allowed besides letters, marks and digits. ª and º are letters by category.
const textPunctuation = " '’-‐‑–.,:!/#&()½¼¾ªº·"

// asciiText is markOf for ASCII, which most texts consist of.
var asciiText = func() (table [utf8.RuneSelf]textMark) {
	for r := range rune(utf8.RuneSelf) {
		table[r] = lookupMark(r)
	}
	return table
}()

// nonJoining are the scripts in which a joiner has no business: it would only make two equal looking names differ.
var nonJoining = []*unicode.RangeTable{
	unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Canadian_Aboriginal, unicode.Common, unicode.Inherited,
}

// NormalizeText trims U+0020 at both ends and brings the text to NFC: the only rewriting a text undergoes.
func NormalizeText(s string) string {
	s = strings.Trim(s, " ")
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return norm.NFC.String(s)
		}
	}
	return s // ASCII is NFC
}

// ValidText reports whether s, once normalised, is a text by the rules of INTERFACES.md ("Text"): 1 to 200 code points, letters,
// marks and decimal digits of every script, a closed set of punctuation, joiners where a script needs them, and at least one letter
// or digit.
func ValidText(s string) bool {
	substance, ok := scanText(NormalizeText(s), maxText)
	return ok && substance
}

// scanText checks every code point of a normalised text and its length, and says whether it holds a letter or a digit.
func scanText(s string, most int) (substance, ok bool) {
	count := 0
	var before rune // the code point before this one, 0 at the start
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if count++; count > most {
			return substance, false
		}
		switch markOf(r) {
		case textRefused:
			return substance, false
		case textLetter, textDigit:
			substance = true
		case textJoiner:
			after, _ := utf8.DecodeRuneInString(s[i+size:])
			if !joins(before) || !joins(after) {
				return substance, false
			}
		}
		before = r
		i += size
	}
	return substance, true
}

// markOf classifies a code point. utf8.RuneError, which stands for a broken encoding too, is refused (U+FFFD is category So).
func markOf(r rune) textMark {
	if r < utf8.RuneSelf {
		return asciiText[r]
	}
	return lookupMark(r)
}

func lookupMark(r rune) textMark {
	switch {
	case unicode.Is(unicode.L, r):
		return textLetter
	case unicode.Is(unicode.M, r):
		return textCombining
	case unicode.Is(unicode.Nd, r):
		return textDigit
	case r == '\u200c' || r == '\u200d':
		return textJoiner
	case strings.ContainsRune(textPunctuation, r):
		return textAllowed
	}
	return textRefused
}

// joins reports whether a joiner may stand beside r: a letter or mark of a script that joins.
func joins(r rune) bool {
	mark := markOf(r)
	return (mark == textLetter || mark == textCombining) && !unicode.In(r, nonJoining...)
}
