// Package citizen says what a citizen may tell, and what is true of them: a fold of what was told, and the rules that a schema can't
// express. It is pure: the day is passed in, and the answer to a change is nil or a Rejection.
package citizen

import (
	"encoding/hex"
	"errors"
	"time"
)

// The event types that the rules name. All other types are only shapes.
const (
	PersonRegistered = "person-registered"
	BirthRegistered  = "birth-registered"
	LanguageChanged  = "language-changed"
	ContactChanged   = "contact-changed"
	NoticePreference = "notice-preference-changed"
	DeathReported    = "death-reported"
	DeathRegistered  = "death-registered"
	DeathCorrected   = "death-corrected"
	ChangeCorrected  = "change-corrected"
	ChangeCancelled  = "change-cancelled"
	ChangeVerified   = "change-verified"
	ConsentGranted   = "consent-granted"
	ConsentWithdrawn = "consent-withdrawn"
	MinistryLinked   = "ministry-linked"
	MinistryUnlinked = "ministry-unlinked"
)

// ID is a citizen's: a random UUID, never a national number.
type ID [16]byte

// ParseID reads the canonical text of a UUID, in either case. The error does not repeat the text.
func ParseID(text string) (ID, error) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return ID{}, errID
	}
	var id ID
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, errID
	}
	return id, nil
}

var errID = errors.New("not a UUID")

// String is the canonical text, in lower case.
func (id ID) String() string {
	digits := hex.EncodeToString(id[:])
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
}

// IsZero says whether this is no citizen's id.
func (id ID) IsZero() bool { return id == ID{} }

// Change is what a citizen tells: one shape for every kind of fact.
type Change struct {
	Type      string
	Key       string         // tells facts of one type apart that hold side by side, such as the kind of an address; may be empty
	Effective string         // ISO 8601 civil date
	Data      map[string]any // valid by the type's schema, its texts normalised
	Corrects  int64          // position of the fact in whose place it stands; zero (genesis, never a fact) for none
	Verified  bool           // a registrar's authority stands behind it; else it is asserted
}

// text is a text member of the data, "" if there is none.
func (c *Change) text(member string) string {
	text, _ := c.Data[member].(string)
	return text
}

// Assurance says whose word a change is: verified, if a registrar's authority stands behind it, else asserted.
func (c *Change) Assurance() string {
	if c.Verified {
		return "verified"
	}
	return "asserted"
}

// Fact is a change that is on the log.
type Fact struct {
	Change
	Position   int64
	RecordedAt time.Time
}
