package journal

import "github.com/tellonce/hub/eventstore"

// The event types by which streams are steered, and by which citizens hear from the hub. The names are on the log: never change one.
const (
	TypeStreamPaused   = "stream-paused"
	TypeStreamResumed  = "stream-resumed"
	TypeEndpointSet    = "endpoint-set"
	TypeSyntheticAsked = "synthetic-asked"
	TypeReplayAsked    = "replay-asked"
	TypeParked         = "parked"
	TypeRedriven       = "redriven"

	TypeFrozen          = "frozen"
	TypeUnfrozen        = "unfrozen"
	TypeDisputeOpened   = "dispute-opened"
	TypeDisputeAnswered = "dispute-answered"
	TypeNoticeSent      = "notice-sent"
)

// StreamPaused lets nothing of a stream leave until it is resumed: no number is given, none leaves again.
type StreamPaused struct {
	Stream string `json:"stream"`
	Why    string `json:"why"` // PausedAsked or PausedGone
}

// The reasons of a pause. The names are on the log.
const (
	PausedAsked = "asked" // by its ministry or an operator
	PausedGone  = "gone"  // its endpoint answered 410
)

// StreamResumed ends a pause.
type StreamResumed struct {
	Stream string `json:"stream"`
}

// EndpointSet says where a stream is pushed to beside pull. An empty Kind ends the push. The endpoint had answered its challenge.
type EndpointSet struct {
	Batch     int    `json:"batch,omitempty"`     // most events of a request; 1: one event, no batch
	Kind      string `json:"kind"`                // EndpointWebhook, or empty
	Secret    string `json:"secret,omitempty"`    // name of the signing secret, which is kept apart from the log
	Signature string `json:"signature,omitempty"` // SignatureHMAC or SignatureEd25519
	Stream    string `json:"stream"`
	URL       string `json:"url,omitempty"`
}

// The kinds of endpoint, and how what is sent to one is signed. The names are on the log.
const (
	EndpointWebhook  = "webhook"
	SignatureHMAC    = "v1"
	SignatureEd25519 = "v1a"
)

// SyntheticAsked asks for synthetic events on a stream: marked, about nobody, numbered among the others.
type SyntheticAsked struct {
	Count  int    `json:"count"`
	Stream string `json:"stream"`
	Type   string `json:"type,omitempty"` // of the facts that they look like; empty: tellonce.synthetic.v1
}

// ReplayAsked asks that given numbers of a lane are pushed again, ends included.
type ReplayAsked struct {
	From   int64  `json:"from"`
	Lane   int    `json:"lane"`
	Stream string `json:"stream"`
	Target string `json:"target"` // ReplayStream or ReplaySide
	To     int64  `json:"to"`
}

// Where a replay goes. The names are on the log.
const (
	ReplayStream = "stream" // to where the stream goes
	ReplaySide   = "side"   // to the topic tellonce.<stream>.replay
)

// Parked says that a range of a lane's numbers was given up after so many attempts, ends included. It stays so until it is redriven.
type Parked struct {
	Attempts int    `json:"attempts"`
	Code     string `json:"code"` // why the last attempt failed: a word of ours, nothing that an endpoint said
	From     int64  `json:"from"`
	Lane     int    `json:"lane"`
	Stream   string `json:"stream"`
	To       int64  `json:"to"`
}

// Redriven says that parked numbers are tried again, ends included.
type Redriven struct {
	From   int64  `json:"from"`
	Lane   int    `json:"lane"`
	Stream string `json:"stream"`
	To     int64  `json:"to"`
}

// Frozen lets nothing be told in the citizen's name until it is unfrozen.
type Frozen struct {
	Reason string `json:"reason,omitempty"` // of FrozenByOfficer
	Scope  string `json:"scope"`            // FrozenChanges
	Why    string `json:"why"`              // FrozenByNotice or FrozenByOfficer
}

// What a freeze is about, and who asked for it. The names are on the log.
const (
	FrozenChanges   = "changes"
	FrozenByNotice  = "notice"  // through the link in a notice: "this was not me"
	FrozenByOfficer = "officer" // also at the citizen's own word
)

// Unfrozen ends a freeze.
type Unfrozen struct {
	Reason string `json:"reason,omitempty"`
	Scope  string `json:"scope"`
}

// DisputeOpened is a citizen's objection to what the hub did in their name, or with what is theirs.
type DisputeOpened struct {
	About  int64  `json:"about"`            // position of what it is about
	Cursor string `json:"cursor,omitempty"` // of a disclosure, where it is about one
	Stream string `json:"stream,omitempty"`
	Text   string `json:"text,omitempty"`
}

// DisputeAnswered is an officer's answer; Dispute is the position of what it answers.
type DisputeAnswered struct {
	Dispute int64  `json:"dispute"`
	Outcome string `json:"outcome"` // DisputeUpheld or DisputeRefused
	Text    string `json:"text"`
}

// The outcomes of a dispute. The names are on the log.
const (
	DisputeUpheld  = "upheld"
	DisputeRefused = "refused"
)

// NoticeSent says what became of a notice to a citizen. It holds no address: Contact is the position of the fact that gave it.
type NoticeSent struct {
	Cause    int64  `json:"cause"` // position of what the notice is about
	Channel  string `json:"channel"`
	Contact  int64  `json:"contact,omitempty"`
	Language string `json:"language"`
	Outcome  string `json:"outcome"` // NoticeDelivered or NoticeFailed
	Template string `json:"template"`
}

// The channels of notices, and what became of one. The names are on the log.
const (
	NoticeEmail     = "email"
	NoticeText      = "text"
	NoticeLetter    = "letter"
	NoticeDelivered = "delivered" // taken by the carrier
	NoticeFailed    = "failed"    // given up
)

// deliveryKinds is the codec's table of the types above.
var deliveryKinds = map[string]kind{
	TypeStreamPaused:   {eventstore.Public, false, decodeAs[StreamPaused]},
	TypeStreamResumed:  {eventstore.Public, false, decodeAs[StreamResumed]},
	TypeEndpointSet:    {eventstore.Public, false, decodeAs[EndpointSet]},
	TypeSyntheticAsked: {eventstore.Public, false, decodeAs[SyntheticAsked]},
	TypeReplayAsked:    {eventstore.Public, false, decodeAs[ReplayAsked]},
	TypeParked:         {eventstore.Public, false, decodeAs[Parked]},
	TypeRedriven:       {eventstore.Public, false, decodeAs[Redriven]},

	TypeFrozen:          {eventstore.Contact, false, decodeAs[Frozen]},
	TypeUnfrozen:        {eventstore.Contact, false, decodeAs[Unfrozen]},
	TypeDisputeOpened:   {eventstore.Contact, false, decodeAs[DisputeOpened]},
	TypeDisputeAnswered: {eventstore.Contact, false, decodeAs[DisputeAnswered]},
	TypeNoticeSent:      {eventstore.Contact, false, decodeAs[NoticeSent]},
}

// typeOfDelivery names the types above.
func typeOfDelivery(event any) (string, bool) {
	switch event.(type) {
	case StreamPaused:
		return TypeStreamPaused, true
	case StreamResumed:
		return TypeStreamResumed, true
	case EndpointSet:
		return TypeEndpointSet, true
	case SyntheticAsked:
		return TypeSyntheticAsked, true
	case ReplayAsked:
		return TypeReplayAsked, true
	case Parked:
		return TypeParked, true
	case Redriven:
		return TypeRedriven, true
	case Frozen:
		return TypeFrozen, true
	case Unfrozen:
		return TypeUnfrozen, true
	case DisputeOpened:
		return TypeDisputeOpened, true
	case DisputeAnswered:
		return TypeDisputeAnswered, true
	case NoticeSent:
		return TypeNoticeSent, true
	}
	return "", false
}
