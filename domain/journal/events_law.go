package journal

import (
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/eventstore"
)

// KeyEpochRotated says that new keys are wrapped under a new epoch's key.
type KeyEpochRotated struct {
	Epoch int `json:"epoch"`
}

// ChangeCorrected replaces what was told at a position. What it says stands in that fact's place, with its own effective date.
type ChangeCorrected struct {
	Corrects  int64          `json:"corrects"`
	Data      map[string]any `json:"data"` // valid by the type's schema, normalised
	Effective string         `json:"effective"`
	Type      string         `json:"type"` // of the fact corrected; a correction never changes it
}

// ChangeCancelled takes back what was told at a position: it was never true.
type ChangeCancelled struct {
	Corrects int64 `json:"corrects"`
}

// ChangeVerified puts a registrar's authority behind what was only asserted at a position.
type ChangeVerified struct {
	Verifies int64 `json:"verifies"`
}

// DeathCorrected takes a registered death back: the person lives. Grants that the death ended hold again from here on.
type DeathCorrected struct {
	Corrects int64 `json:"corrects"` // the death-registered
}

// ProxyGranted lets somebody act for the citizen in whose aggregate it stands. One proxy has one standing: a later grant to the same
// person replaces it.
type ProxyGranted struct {
	Kind  string   `json:"kind"`            // ProxyParent, ProxyGuardian or ProxyAttorney
	Proxy string   `json:"proxy"`           // the citizen id of who may act
	Scope []string `json:"scope,omitempty"` // event types that the proxy may tell; none: all
	Until string   `json:"until,omitempty"` // the last day, ISO 8601; empty: open
}

// The kinds of proxy. The names are on the log, and the capacity in which a grant was made.
const (
	ProxyParent   = "parent"
	ProxyGuardian = "guardian"
	ProxyAttorney = "attorney"
)

// CapacitySelf is the capacity of a citizen who answers for themself.
const CapacitySelf = "self"

// ProxyEnded ends a proxy.
type ProxyEnded struct {
	Proxy string `json:"proxy"`
}

// RestrictionSet protects a citizen: only agreements that receive protected people get anything, and everyone else sees nobody.
type RestrictionSet struct {
	// Keeps are the citizen ids of proxies who go on acting; all others are suspended while it lasts.
	Keeps []string `json:"keeps,omitempty"`
	Kind  string   `json:"kind"` // violence, adoption, witness-protection, gender-history
	// Reason is why the protector set it.
	Reason string `json:"reason,omitempty"`
	// Through is the citizen id of the protected parent by whom a child is covered; empty if the person is protected themself.
	Through string `json:"through,omitempty"`
	Until   string `json:"until,omitempty"` // the last day, ISO 8601; empty: open
}

// The kinds of restriction.
const (
	RestrictionViolence = "violence"
	RestrictionAdoption = "adoption"
	RestrictionWitness  = "witness-protection"
	RestrictionGender   = "gender-history"
)

// RestrictionLifted ends a citizen's protection.
type RestrictionLifted struct {
	Reason  string `json:"reason,omitempty"`  // why the protector lifted it
	Through string `json:"through,omitempty"` // as in the RestrictionSet that it lifts
}

// ReplacementAsked says that a protector asks for a citizen's identity to be replaced; another one does it. What is to be done is not in
// it: only a keyed digest, by which the second protector does what the first one asked.
type ReplacementAsked struct {
	Case   string `json:"case,omitempty"`
	Digest string `json:"digest"` // hex
	Reason string `json:"reason"`
}

// IdentityReplaced gives a citizen a new id. It stands in the old one's aggregate, and only two officers together can read it.
type IdentityReplaced struct {
	New string `json:"new"` // the new citizen id
}

// CitizensMerged says that this citizen is the same person as another, whose id is kept. It stands in the going one's aggregate.
type CitizensMerged struct {
	Kept   string `json:"kept"`             // the citizen id that stays
	Reason string `json:"reason,omitempty"` // why the officer is sure, for people to read
}

// LegalHoldSet keeps retention classes from being erased while an authority needs them.
type LegalHoldSet struct {
	Authority string             `json:"authority"`
	Classes   []eventstore.Class `json:"classes"`
	Until     string             `json:"until,omitempty"` // the last day, ISO 8601; empty: until lifted
}

// LegalHoldLifted ends all legal holds of an authority on a citizen.
type LegalHoldLifted struct {
	Authority string `json:"authority"`
}

// Erased closes retention classes of a citizen for ever: their keys are destroyed right after it. Kept is what must stay, why and until when.
type Erased struct {
	Classes []eventstore.Class `json:"classes"`
	Kept    []Kept             `json:"kept,omitempty"`
}

// Kept is a retention class that an erasure could not take.
type Kept struct {
	Class eventstore.Class `json:"class"`
	Law   string           `json:"law"`             // the retention rule or the authority of a hold, for people to read
	Until string           `json:"until,omitempty"` // the last day, ISO 8601; empty: until a hold is lifted
}

// KeysDestroyed says that a key named by an Erased is gone.
type KeysDestroyed struct {
	Class eventstore.Class `json:"class"`
	Key   int64            `json:"key"` // its reference
}

// SnapshotTaken gives a stream current and announced values that it would not get by themselves: after a grant, a link, or an agreement
// coming into force. Its position is the one by which permission is judged.
type SnapshotTaken struct {
	Agreement string          `json:"agreement"`
	Cause     int64           `json:"cause"` // position of the trigger
	Facts     []SnapshotShare `json:"facts"` // in order of position
	Version   int             `json:"version"`
}

// SnapshotShare is one fact of a snapshot, and what of it was permitted when it was taken.
type SnapshotShare struct {
	Fields   consent.FieldSet `json:"fields"`
	Position int64            `json:"position"`
}
