package consent

import "fmt"

// Reason says why an agreement gets nothing of a fact. The numbers are on the log: never change one.
type Reason uint8

// The reasons. Reasons gives them in the order in which they are judged: the first that applies is the answer.
const (
	None        Reason = iota // shared
	Restricted                // the citizen is protected, and the agreement does not receive protected people
	NotInForce                // outside the agreement's validity on the date recorded
	NotLinked                 // the citizen is no client of the ministry
	NoGrant                   // the agreement needs a consent, and there is none
	MinAge                    // too young on the effective date, or age unknown
	MaxAge                    // too old on the effective date, or age unknown
	AddressKind               // not an address of the kind
	Province                  // not an address in the province
	NoFields                  // nothing left of share ∩ carried ∩ granted
	NotVerified               // the agreement takes verified facts only; judged after NoGrant
)

var reasonCodes = [...]string{
	None: "", Restricted: "restricted", NotInForce: "not-in-force", NotLinked: "not-linked", NoGrant: "no-grant",
	MinAge: "min-age", MaxAge: "max-age", AddressKind: "address-kind", Province: "province", NoFields: "no-fields",
	NotVerified: "not-verified",
}

// Reasons are all of them but None, in the order in which they are judged.
func Reasons() []Reason {
	return []Reason{Restricted, NotInForce, NotLinked, NoGrant, NotVerified, MinAge, MaxAge, AddressKind, Province, NoFields}
}

// String is the reason's code, "" for None.
func (r Reason) String() string {
	if int(r) >= len(reasonCodes) {
		return fmt.Sprintf("reason-%d", uint8(r))
	}
	return reasonCodes[r]
}

// ParseReason reads a code; "" is None. An unknown code is an error.
func ParseReason(code string) (Reason, error) {
	for r, c := range reasonCodes {
		if c == code {
			return Reason(r), nil //nolint:gosec // an index of a short array
		}
	}
	return None, fmt.Errorf("unknown reason %q", code)
}

// Decision is what one agreement may know of one fact: the permitted fields, or the reason why none. It is 24 bytes, so that the
// decisions of a fact lie side by side. Permission is not yet disclosure.
type Decision struct {
	Fields    FieldSet // permitted; empty when withheld
	Version   int32    // of the agreement
	Agreement int16    // index in the Rules that decided
	Reason    Reason
	Evaluated ConditionSet // the share's conditions, if the judgement came to them
	Failed    ConditionSet // those of Evaluated that do not hold

	// What the judgement needs to know of the citizen's standing; zero in what Decide returns.
	linked bool  // linked to the ministry, or no link needed
	grant  int32 // index in Standing.Grants, plus one; or one of the two below
}

const (
	noGrant       int32 = 0
	noGrantNeeded int32 = -1
)

// OfCondition says whether a reason is that a condition of the share does not hold: the citizen has left the agreement's scope, or was
// never in it.
func (r Reason) OfCondition() bool { return r >= MinAge && r <= Province }

// Shared says whether anything is permitted.
func (d Decision) Shared() bool { return d.Reason == None }
