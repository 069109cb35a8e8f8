package schemas

import (
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/tellonce/hub/consent"
)

// The names of our own formats. A schema may use these and the standard ones in formats, no other: the validator lets formats pass
// that it doesn't know, so Registry refuses at start a schema whose format has no checker here.
const (
	formatText       = "tellonce-text"
	formatPostalCode = "tellonce-postal-code"
	formatPhone      = "tellonce-phone"
	formatEmail      = "idn-email"
	formatDate       = "date"
	formatUUID       = "uuid"
)

// formats holds the checker of every format that our schemas may use. A value that is not a string passes: its type is another
// keyword's business.
var formats = map[string]func(any) bool{
	formatText:       onString(ValidText),
	formatPostalCode: onString(validPostalText),
	formatPhone:      onString(ValidPhone),
	formatEmail:      onString(ValidEmail),
	formatDate:       onString(ValidDate),
	formatUUID:       onString(ValidUUID),
}

func onString(check func(string) bool) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return !ok || check(s)
	}
}

// ValidDate reports whether s is a real civil date, written YYYY-MM-DD, from year 1 on.
func ValidDate(s string) bool {
	_, err := consent.ParseDate(s)
	return err == nil
}

// digits reads a run of ASCII digits short enough for an int.
func digits(s string) (n int, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// ParseInstant reads an RFC 3339 time in UTC, written with a capital T and Z, a fraction allowed (what is finer than a nanosecond is
// cut off). 23:59:60, which RFC 3339 has for leap seconds, is read as the second after it.
func ParseInstant(s string) (time.Time, bool) {
	const seconds = len("2006-01-02T15:04:05")
	if len(s) < seconds+1 || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' || !ValidDate(s[:10]) {
		return time.Time{}, false
	}
	year, _ := digits(s[:4])
	month, _ := digits(s[5:7])
	day, _ := digits(s[8:10])
	hour, okHour := digits(s[11:13])
	minute, okMinute := digits(s[14:16])
	second, okSecond := digits(s[17:19])
	if !okHour || !okMinute || !okSecond || hour > 23 || minute > 59 || second > 60 || (second == 60 && (hour != 23 || minute != 59)) {
		return time.Time{}, false
	}
	nanos := 0
	if fraction := s[seconds : len(s)-1]; fraction != "" {
		if fraction[0] != '.' || len(fraction) == 1 {
			return time.Time{}, false
		}
		weight := 100_000_000
		for _, c := range []byte(fraction[1:]) {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			nanos += int(c-'0') * weight
			weight /= 10
		}
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC), true
}

// ValidUUID reports whether s is a UUID in its usual form, 8-4-4-4-12 hexadecimal digits of any case.
func ValidUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// ValidReference reports whether s can be a source's or a ministry's reference to a person: 1 to 64 printable ASCII characters.
func ValidReference(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// ValidPhone reports whether s is an E.164 number: + and 7 to 15 digits, the first not 0.
func ValidPhone(s string) bool {
	if len(s) < 8 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	_, ok := digits(s[1:])
	return ok
}

// maxPostal is the most code points a postal code outside Canada may have.
const maxPostal = 20

// validPostalText is what every postal code obeys; the pattern of a Canadian one stands in the schema. Any text, so without control
// characters and the like, but there need not be anything in it.
func validPostalText(s string) bool {
	_, ok := scanText(s, maxPostal)
	return ok
}

// normalizePostal trims U+0020 and brings a Canadian postal code to the form A1A 1A1. What has another length is
// only trimmed: the schema refuses it, as it refuses six or seven bytes that are no postal code.
func normalizePostal(s string, canadian bool) string {
	s = strings.Trim(s, " ")
	if !canadian {
		return s
	}
	rest := ""
	switch {
	case len(s) == 6:
		rest = s[3:]
	case len(s) == 7 && s[3] == ' ':
		rest = s[4:]
	default:
		return s
	}
	var form [7]byte
	copy(form[:], s[:3])
	form[3] = ' '
	copy(form[4:], rest)
	for i, c := range form {
		if 'a' <= c && c <= 'z' {
			form[i] = c - ('a' - 'A')
		}
	}
	if string(form[:]) == s {
		return s
	}
	return string(form[:])
}

// Limits of RFC 5321, in octets.
const (
	maxEmail     = 254
	maxEmailUser = 64
)

// domains judges a domain that is not plain ASCII, or has a label in punycode, by IDNA 2008.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.CheckHyphens(true),
	idna.StrictDomainName(true), idna.ValidateLabels(true), idna.VerifyDNSLength(true), idna.Transitional(false))

// ValidEmail reports whether s is a mailbox as RFC 6531 allows: the local part a dot-atom or a quoted string, with letters of every
// script; the domain a host name (international labels by IDNA 2008) or an address literal. Control, format and unassigned characters
// are refused everywhere.
func ValidEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > maxEmailUser || len(s) > maxEmail {
		return false
	}
	user, domain := s[:at], s[at+1:]
	if user[0] == '"' {
		return validQuoted(user) && validDomain(domain)
	}
	return validDotAtom(user) && validDomain(domain)
}

func validDotAtom(s string) bool {
	dot := true // at the start, or after a dot: no dot may follow
	for _, r := range s {
		if r == '.' {
			if dot {
				return false
			}
			dot = true
			continue
		}
		dot = false
		if r < utf8.RuneSelf {
			letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
			if !letter && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r) {
				return false
			}
		} else if !mailRune(r) {
			return false
		}
	}
	return !dot
}

// validQuoted judges a quoted string: printable characters, with " and \ escaped by a backslash.
func validQuoted(s string) bool {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return false
	}
	escaped := false
	for _, r := range s[1 : len(s)-1] {
		switch {
		case r < ' ' || r == 0x7f || r >= utf8.RuneSelf && (escaped || !mailRune(r)):
			return false
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			return false
		}
	}
	return !escaped
}

// mailRune reports whether a character beyond ASCII may stand in a local part: graphic ones, and the two joiners.
func mailRune(r rune) bool {
	return r != utf8.RuneError && (unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) || r == '\u200c' || r == '\u200d')
}

func validDomain(s string) bool {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return validLiteral(s[1 : len(s)-1])
	}
	plain := true
	for _, r := range s {
		if r >= utf8.RuneSelf {
			plain = false
			if !mailRune(r) || unicode.Is(unicode.Variation_Selector, r) { // IDNA's mapping would drop it without a word
				return false
			}
		}
	}
	if plain && !strings.Contains(s, "--") {
		return validHost(s)
	}
	_, err := domains.ToASCII(s)
	return err == nil && !strings.HasSuffix(s, ".")
}

// validHost judges a plain ASCII host name: labels of letters, digits and inner hyphens, at most 63 octets each.
func validHost(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if len(label) < 1 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
	}
	return true
}

// validLiteral judges what stands between the brackets of an address literal.
func validLiteral(s string) bool {
	if v6, ok := strings.CutPrefix(s, "IPv6:"); ok {
		address, err := netip.ParseAddr(v6)
		return err == nil && address.Is6() && address.Zone() == ""
	}
	address, err := netip.ParseAddr(s)
	return err == nil && address.Is4()
}
