package webhook

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	maxExcerpt = 200 // bytes
	maxWord    = 24  // letters; longer ones are no words
	hidden     = "*"
)

// encodedRun is what may be a piece of the request in base64 or the like.
var encodedRun = regexp.MustCompile(`[A-Za-z0-9+/_=%-]{24,}`)

// percentRun is what stands around percent-encoded bytes: their digits may be letters, and run into those of the word.
var percentRun = regexp.MustCompile(`[A-Za-z0-9+_.~-]*(%[0-9A-Fa-f]{2}[A-Za-z0-9+_.~-]*)+`)

// wordOr cuts an answer into runs of letters and digits, spaces, and single other characters.
var wordOr = regexp.MustCompile(`[\pL\pM\pN]+|\s+|.`)

// excerpt is what may be kept of an answer: an endpoint that refuses an event often repeats it. Of words only those of plain letters stay
// that are no part of the request, whatever their case and accents, nor base64 of one; digits and all else that is not ASCII go. Printable
// ASCII, at most 200 bytes.
func excerpt(answer, request []byte) string {
	r := requested{held: words(string(request)), lower: lowerASCII(request)}
	text := encodedRun.ReplaceAllStringFunc(string(answer), func(run string) string {
		if strings.ContainsAny(run, "0123456789+/=%") {
			return hidden
		}
		return run
	})
	text = percentRun.ReplaceAllString(text, hidden)
	var b strings.Builder
	for _, part := range wordOr.FindAllString(text, -1) {
		if clean := r.clean(part); clean != hidden || !strings.HasSuffix(b.String(), hidden) {
			b.WriteString(clean)
		}
		if b.Len() >= maxExcerpt {
			break
		}
	}
	out := strings.TrimSpace(b.String())
	return out[:min(len(out), maxExcerpt)]
}

// requested is what a request held, as it is looked for in an answer.
type requested struct {
	held  []string
	lower []byte
}

func (r *requested) clean(part string) string {
	first := part[0]
	switch {
	case strings.TrimSpace(part) == "":
		return " "
	case first >= unicode.MaxASCII:
		return hidden
	case !unicode.IsLetter(rune(first)) && !unicode.IsDigit(rune(first)):
		if first < ' ' {
			return hidden
		}
		return part
	case !isPlain(part) || len(part) > maxWord || isHeld(strings.ToLower(part), r.held) || r.encoded(part):
		return hidden
	}
	return part
}

// encoded says whether a word is base64 of a piece of the request: four letters give three bytes, at whatever place they begin. Real words give
// bytes that no text has.
func (r *requested) encoded(word string) bool {
	for from := 0; from+4 <= len(word); from++ {
		piece, err := base64.StdEncoding.DecodeString(word[from : from+4])
		if err != nil {
			continue
		}
		piece = lowerASCII(piece)
		if bytes.Contains(r.lower, piece) || slices.ContainsFunc(r.held, func(h string) bool { return strings.Contains(h, string(piece)) }) {
			return true
		}
	}
	return false
}

// lowerASCII lowers A to Z alone: a piece may begin or end within a character.
func lowerASCII(text []byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// isPlain says whether a word is of ASCII letters alone.
func isPlain(word string) bool {
	return strings.IndexFunc(word, func(c rune) bool { return c >= unicode.MaxASCII || !unicode.IsLetter(c) }) < 0
}

// isHeld says whether a word is a piece of one in the request, or has one in it. Of a very short one only the beginning of a word counts,
// or nothing would be left.
func isHeld(word string, held []string) bool {
	for _, h := range held {
		switch {
		case len(word) < 3 && strings.HasPrefix(h, word):
			return true
		case len(word) >= 3 && strings.Contains(h, word):
			return true
		case len(h) >= 4 && strings.Contains(word, h):
			return true
		}
	}
	return false
}

// words are the words of a text in lower case and without accents, each once.
func words(text string) []string {
	plain := strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Mn, c) {
			return -1
		}
		return unicode.ToLower(c)
	}, norm.NFD.String(text))
	seen := map[string]bool{}
	var out []string
	for _, word := range strings.FieldsFunc(plain, func(c rune) bool { return !unicode.IsLetter(c) }) {
		if !seen[word] {
			seen[word] = true
			out = append(out, word)
		}
	}
	return out
}
