package consent

import (
	"fmt"
	"time"
)

// Date is a civil date packed as yyyymmdd (20260105), so that < is "before". Zero is no date.
type Date int32

// ParseDate reads a strict ISO 8601 civil date (yyyy-mm-dd) of the years 0001 to 9999 that exists in the Gregorian calendar.
func ParseDate(s string) (Date, error) {
	if len(s) != len("2006-01-02") || s[4] != '-' || s[7] != '-' {
		return 0, errDate
	}
	year, month, day := digits(s[:4]), digits(s[5:7]), digits(s[8:])
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, errDate
	}
	return packed(year, month, day), nil
}

// errDate does not repeat the text: a birth date must not travel in an error.
var errDate = fmt.Errorf("not a civil date yyyy-mm-dd of the years 0001 to 9999")

// DateOf is the civil date of t in t's own location; outside the years 1 to 9999 it is zero.
func DateOf(t time.Time) Date {
	year, month, day := t.Date()
	if year < 1 || year > 9999 {
		return 0
	}
	return packed(year, int(month), day)
}

// String writes the date as yyyy-mm-dd, and no date as "".
func (d Date) String() string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", int(d)/10_000, int(d)/100%100, int(d)%100)
}

// YearsTo is the age in whole years on the date on of someone born on d; before birth it is negative. Who was born on 29 February is a
// year older on 1 March, in a leap year on the 29th.
func (d Date) YearsTo(on Date) int {
	years := int(on)/10_000 - int(d)/10_000
	if int(on)%10_000 < int(d)%10_000 { // the birthday, as month and day, is still to come in on's year
		years--
	}
	return years
}

// digits is the number that a text of ASCII digits writes; -1 if it is none.
func digits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func packed(year, month, day int) Date {
	//nolint:gosec // at most 99991231, by the callers' checks
	return Date(year*10_000 + month*100 + day)
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
