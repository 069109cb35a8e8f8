package journal

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
)

// The hub's own event types, as in DESIGN.md's table of events. Fact types (address-changed …) are rows of schemas and travel as
// citizen.Change. The names are on the log: never change one.
const (
	TypeGenesis           = "genesis"
	TypeConsentGranted    = "consent-granted"
	TypeConsentWithdrawn  = "consent-withdrawn"
	TypeMinistryLinked    = "ministry-linked"
	TypeMinistryUnlinked  = "ministry-unlinked"
	TypeDecided           = "decided"
	TypeAgreementProposed = "agreement-proposed"
	TypeAgreementApproved = "agreement-approved"
	TypeAgreementEnded    = "agreement-ended"
	TypeStreamOpened      = "stream-opened"
	TypeReceiptsRecorded  = "receipts-recorded"
	TypeReceiptRejected   = "receipt-rejected"
	TypeDisclosed         = "disclosed"
	TypeRedelivered       = "redelivered"
	TypeAccessed          = "accessed"
	TypeAccessRefused     = "access-refused"

	TypeKeyEpochRotated  = "key-epoch-rotated"
	TypeChangeCorrected  = "change-corrected"
	TypeChangeCancelled  = "change-cancelled"
	TypeChangeVerified   = "change-verified"
	TypeDeathCorrected   = "death-corrected"
	TypeProxyGranted     = "proxy-granted"
	TypeProxyEnded       = "proxy-ended"
	TypeRestrictionSet   = "restriction-set"
	TypeRestrictionLift  = "restriction-lifted"
	TypeIdentityReplaced = "identity-replaced"
	TypeReplacementAsked = "identity-replacement-asked"
	TypeCitizensMerged   = "citizens-merged"
	TypeLegalHoldSet     = "legal-hold-set"
	TypeLegalHoldLifted  = "legal-hold-lifted"
	TypeErased           = "erased"
	TypeKeysDestroyed    = "keys-destroyed"
	TypeSnapshotTaken    = "snapshot-taken"
)

// Genesis is the record at position 0. It fixes what a log can never change.
type Genesis struct {
	BaseURL    string    `json:"base_url"` // no slash at the end
	Clock      string    `json:"clock"`    // ClockWall or ClockLog
	Generation int       `json:"generation"`
	LogID      uuid.UUID `json:"log_id"`
	Mode       string    `json:"mode"`      // ModeProduction or ModeSandbox
	TimeZone   string    `json:"time_zone"` // IANA name
}

// The values of Genesis.Clock and Genesis.Mode.
const (
	ClockWall      = "wall"
	ClockLog       = "log"
	ModeProduction = "production"
	ModeSandbox    = "sandbox"
)

// ConsentGranted is a citizen's consent to one agreement version. Nil Fields are all the fields that the agreement shares.
type ConsentGranted struct {
	Agreement  string   `json:"agreement"`
	Capacity   string   `json:"capacity"` // self, or the kind of proxy who gave it
	Fields     []string `json:"fields,omitempty"`
	Grantor    string   `json:"grantor"`  // the citizen's id, or the proxy's
	Language   string   `json:"language"` // en or fr: that of the notice shown
	NoticeHash string   `json:"notice_hash"`
	Version    int      `json:"version"`
}

// ConsentWithdrawn ends a grant; Grant is its position.
type ConsentWithdrawn struct {
	Agreement string `json:"agreement"`
	Grant     int64  `json:"grant"`
}

// MinistryLinked says that the citizen is the ministry's client, under the ministry's own reference.
type MinistryLinked struct {
	ClientReference string `json:"client_reference"`
	Means           string `json:"means"` // how the link was proved: import, sign-in, counter
	Ministry        string `json:"ministry"`
}

// MinistryUnlinked ends a link.
type MinistryUnlinked struct {
	Ministry string `json:"ministry"`
}

// Decided says, for the change just before it, what each candidate agreement permits, by agreement id.
type Decided struct {
	Agreements int32 // version of the agreements aggregate by which it was judged
	Engine     int
	Decisions  []Decision
}

// Decision is one agreement's line in Decided. Shared if Reason is consent.None.
type Decision struct {
	Agreement  string
	Version    int
	Fields     consent.FieldSet // permitted, as bits of the change type's registry row
	Reason     consent.Reason
	Conditions uint8
}

// AgreementProposed holds the whole document, canonical. By, here and in the two below, is who did it: a keyed hash of an officer's name
// with the agreement and its version (Digest), so that two officers can be told from one by the log alone and no name stands in the
// open. Empty where nobody was named.
type AgreementProposed struct {
	By       string          `json:"by,omitempty"`
	Document json.RawMessage `json:"document"`
	ID       string          `json:"id"`
	Reasons  []FieldReason   `json:"reasons,omitempty"` // of a ministry's own proposal
	Version  int             `json:"version"`
}

// FieldReason says why a ministry needs a field of an event type, in its own words, for the officer who decides.
type FieldReason struct {
	Event  string `json:"event"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// AgreementApproved puts a proposed version in force (within its validity). Its By is none where a sandbox approved by itself.
type AgreementApproved struct {
	By      string `json:"by,omitempty"`
	ID      string `json:"id"`
	Version int    `json:"version"`
}

// AgreementEnded ends an agreement, whatever its version.
type AgreementEnded struct {
	By   string `json:"by,omitempty"`
	Date string `json:"date"`
	ID   string `json:"id"`
}

// StreamOpened pins a stream's ministry and its number of lanes for ever.
type StreamOpened struct {
	Lanes    int    `json:"lanes"`
	Ministry string `json:"ministry"`
	Stream   string `json:"stream"`
}

// ReceiptsRecorded is a ministry's answer for a range of numbers of one lane, ends included.
type ReceiptsRecorded struct {
	From   int64  `json:"from"`
	Lane   int    `json:"lane"`
	Status string `json:"status"` // received, applied or rejected
	Stream string `json:"stream"`
	To     int64  `json:"to"`
}

// ReceiptRejected carries the reason of one rejected number, sealed under the citizen's key.
type ReceiptRejected struct {
	Lane   int    `json:"lane"`
	Number int64  `json:"number"`
	Reason string `json:"reason"`
	Stream string `json:"stream"`
}

// Disclosed gives numbers to permitted facts in a lane, before any byte leaves. Item i has number First+i. Dropped are the positions
// of what was due and is no longer permitted; why re-derives from the log.
type Disclosed struct {
	Dropped      []int64         `json:"dropped,omitempty"`
	DroppedItems []DroppedItem   `json:"dropped_items,omitempty"` // those that were due by a cause of their own
	Encoder      int             `json:"encoder"`
	First        int64           `json:"first"`
	Items        []DisclosedItem `json:"items,omitempty"`
	Lane         int             `json:"lane"`
	Stream       string          `json:"stream"`
}

// DisclosedItem holds all that its bytes depend on, with the fact at Position.
type DisclosedItem struct {
	Agreement string `json:"agreement"` // id
	// Cause is what made it due where that is not the fact itself: a snapshot-taken, or what ended a grant, a link or an agreement; 0 for none.
	Cause    int64            `json:"cause,omitempty"`
	Corrects int64            `json:"corrects,omitempty"` // the lane's number that this one corrects or retracts; 0 for none
	Epoch    int32            `json:"epoch"`              // pairwise epoch
	Fields   consent.FieldSet `json:"fields"`
	Grant    int64            `json:"grant,omitempty"` // position since which the grant is unbroken; 0 for none
	Index    int              `json:"index,omitempty"` // of a synthetic: which of those that were asked for at once, from 0
	Kind     string           `json:"kind"`
	Link     int64            `json:"link,omitempty"` // position of the link; 0 for none; of a synthetic with an invented client reference, Position
	// Numbers are, of an erased notice, the lane's numbers that are closed by it.
	Numbers  []int64 `json:"numbers,omitempty"`
	Position int64   `json:"position"` // of the fact; of an ended, the last fact given under what ended; of a synthetic, what asked for it
	Schema   int16   `json:"schema"`
	Version  int     `json:"version"` // of the agreement
}

// Order is the position by which an item stands in its lane's order.
func (i *DisclosedItem) Order() int64 { return max(i.Position, i.Cause) }

// Synthetic says whether an item was made for a test: it is about nobody.
func (i *DisclosedItem) Synthetic() bool { return i.Kind == "synthetic" }

// Retracts says whether an item only takes a value back that was given: the ministry does not hear what is right.
func (i *DisclosedItem) Retracts() bool { return i.Kind == "retracted" }

// DroppedItem is something due under a cause of its own that is no longer permitted.
type DroppedItem struct {
	Cause    int64 `json:"cause"`
	Position int64 `json:"position"`
}

// Redelivered says that a range of given numbers leaves again, ends included, and which of them are recalled for ever.
type Redelivered struct {
	From     int64   `json:"from"`
	Lane     int     `json:"lane"`
	Recalled []int64 `json:"recalled,omitempty"` // newly recalled by this event
	Stream   string  `json:"stream"`
	To       int64   `json:"to"`
}

// Accessed is an officer's or auditor's look, on the log before the answer is shown.
type Accessed struct {
	// About is the citizen id of a protected person who was asked for and not shown. The record's subject is nobody, so that it is
	// appended as if the person were unknown; the person and protectors find it.
	About       string `json:"about,omitempty"`
	Case        string `json:"case,omitempty"`
	HiddenUntil string `json:"hidden_until,omitempty"`
	HiddenWhy   string `json:"hidden_why,omitempty"`
	Kind        string `json:"kind"` // kind of query
	Reason      string `json:"reason"`
	Shown       string `json:"shown,omitempty"` // what was shown: a kind of list and its bounds, never values
}

// AccessRefused records an authenticated client's refused request.
type AccessRefused struct {
	Route  string `json:"route"` // the route's pattern, never the URL
	Status int    `json:"status"`
}
