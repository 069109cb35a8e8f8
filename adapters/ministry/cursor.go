package ministry

import (
	"errors"
	"strconv"
	"strings"
)

// Cursor names one event of a stream: generations and numbers count from 1, lanes from 0. The zero Cursor is none.
type Cursor struct {
	Generation int   // counts how often the hub's log began anew
	Lane       int   // a person's events are all in one lane
	Number     int64 // without a gap in each lane
}

// ErrCursor refuses a text that is no cursor.
var ErrCursor = errors.New("ministry: a cursor is <generation>.<lane>.<number>, such as 1.0.42")

// ParseCursor reads a cursor; it takes only the one spelling that String gives. Errors: ErrCursor.
func ParseCursor(text string) (Cursor, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Cursor{}, ErrCursor
	}
	generation, err1 := strconv.Atoi(parts[0])
	lane, err2 := strconv.Atoi(parts[1])
	number, err3 := strconv.ParseInt(parts[2], 10, 64)
	c := Cursor{Generation: generation, Lane: lane, Number: number}
	if err1 != nil || err2 != nil || err3 != nil || c.IsZero() || lane < 0 || c.String() != text {
		return Cursor{}, ErrCursor
	}
	return c, nil
}

// IsZero says whether this is no cursor.
func (c Cursor) IsZero() bool { return c.Generation < 1 || c.Number < 1 }

// String is the cursor's text; empty for none.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return strconv.Itoa(c.Generation) + "." + strconv.Itoa(c.Lane) + "." + strconv.FormatInt(c.Number, 10)
}

// MarshalText is String.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseCursor, and takes the empty text for none.
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c = Cursor{}
	if len(text) > 0 {
		*c, err = ParseCursor(string(text))
	}
	return err
}
