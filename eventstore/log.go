// Package eventstore is the contract of the log and the engine that both stores share.
//
// The log is one append-only, gap-free sequence of records. Order is position; every state is a fold of it. A record belongs to an
// aggregate (whose order and version it takes) and has, apart from that, a subject (whose key seals its payload). The engine
// (Committer) coalesces concurrent appends into one transaction; a store brings only SQL.
package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Category says what kind of aggregate a record belongs to. The numbers are on the log: never change one.
type Category int16

// The categories of DESIGN.md's table of events.
const (
	Hub        Category = 0
	Citizen    Category = 1
	Agreements Category = 2
	Stream     Category = 3
	Lane       Category = 4
	Accesses   Category = 5
)

// Aggregate names a sequence with its own contiguous version.
type Aggregate struct {
	Category Category
	ID       uuid.UUID
}

// Class says under which retention rules a payload stands, and so which key seals it. The numbers are on the log.
type Class int16

// The retention classes of DESIGN.md's "The record".
const (
	Public      Class = 0 // not sealed
	Facts       Class = 1
	Evidence    Class = 2
	AccessTrail Class = 3
	Contact     Class = 4
	IdentityTie Class = 5
)

// NoCause is the Cause of an event that nothing on the log triggered.
const NoCause int64 = -1

// CauseBefore is the Cause of an event triggered by the one n places (n ≥ 1) earlier in the same Append.
func CauseBefore(n int) int64 { return -1 - int64(n) }

// Event is what a caller appends: everything in a record but what the store gives (position, version, time, leaf).
type Event struct {
	ID         uuid.UUID
	Aggregate  Aggregate
	Type       string
	Schema     int16
	Cause      int64 // a position, NoCause or CauseBefore(n)
	Issuer     int16
	ActorKind  int16
	Channel    int16
	Subject    uuid.UUID // whose key seals the payload; uuid.Nil for none
	Class      Class
	Commitment [32]byte
	Payload    []byte
	KeyRef     int64 // not in the leaf: rotates
	// Restricting marks an event that may take a permission away from Subject. It is derived from Type by the journal, stands in
	// the store's own table and not in the record, and is false on what is read back.
	Restricting bool
}

// Recorded is one record of the log. Times are UTC with microseconds.
type Recorded struct {
	Event      // Cause is resolved: a position or NoCause
	Position   int64
	Version    int32 // ≥ 1, contiguous in its aggregate
	RecordedAt time.Time
	Leaf       [32]byte // merkle.LeafHash of the record's leaf input
}

// CommandKey identifies a command: a hash of issuer and command id. The zero key is no command.
type CommandKey [32]byte

// Command makes an append repeatable: the same key with the same Body answers the first result, with another Body ErrCommandReused.
type Command struct {
	Key  CommandKey
	Body [32]byte // keyed hash of the command's content
}

// Expect is an expectation: the aggregate is at exactly Version (0: nothing written yet). An aggregate that is expected and not
// written is a valid expectation.
type Expect struct {
	Aggregate Aggregate
	Version   int32
}

// Guard is refused if any restricting event about one of Subjects lies after position After.
type Guard struct {
	After    int64
	Subjects []uuid.UUID
}

// Within is refused if recorded at would fall outside [From, Until). A zero bound is none.
type Within struct{ From, Until time.Time }

// Append is one indivisible step of the log. In one call of Log.Append several stand as if appended one after another, all or none:
// a later one may expect a version that an earlier one writes.
type Append struct {
	Command Command
	Expect  []Expect // a written aggregate that is not here takes its next version
	Guard   Guard
	Within  Within
	// At: recorded at is max(previous, At). Zero means the store's clock, read when the position is given.
	At     time.Time
	Events []Event
	// Rows are view rows committed in the same transaction (import progress, a folded state): derived data that must not be ahead
	// of, or behind, the log.
	Rows []Row
	// Begins is set only by an append that starts a generation (genesis, generation-started): its own leaves and all later ones carry
	// this identity, and the store remembers it in the same transaction. On an empty log any other append is ErrNoGenesis; on a log
	// that has begun, the same log id with a higher generation is accepted, everything else is a conflict.
	Begins *Identity
}

// Result is what an append came to.
type Result struct {
	Position   int64 // of the first event (where the next one will stand, if the append has none)
	Count      int   // events in the append
	RecordedAt time.Time
	Repeated   bool // the command had been appended before; this is the first result
}

// Known is what the log knows of a command: nothing (zero value), its first result, or that its key was used with another body.
type Known struct {
	Result Result // with Repeated true where Found
	Found  bool
	Reused bool
}

// Head is the last record's position and time. An empty log has Position -1.
type Head struct {
	Position   int64
	RecordedAt time.Time
}

// Log is the contract of a store.
//
// Append MUST be all or none over the whole call, MUST answer a repeated command with its first result whatever its expectations say now,
// MUST NOT return nil before every record is durable, MUST give contiguous positions over all processes that append, and MUST make a
// record at p visible only with all records below p. It returns ErrConflict (see Conflict)
// when an expectation, guard or bound fails: the caller loads again, decides again, appends again. ErrCommandReused when a command's
// key is known with another body. A lost connection while committing is ErrUnknownOutcome: repeat the same command. A store that can't be
// reached is ErrUnavailable, whatever was asked of it; nothing was appended then.
type Log interface {
	Append(ctx context.Context, appends ...Append) ([]Result, error)
	// ReadAggregates reads whole aggregates, each in version order; out[i] belongs to aggregates[i], nil if never written. Concurrent
	// calls are coalesced into one query where that is cheaper.
	ReadAggregates(ctx context.Context, aggregates ...Aggregate) ([][]Recorded, error)
	// ReadAggregate reads one aggregate from a version on (≥ 1), at most limit records (0: all).
	ReadAggregate(ctx context.Context, aggregate Aggregate, from int32, limit int) ([]Recorded, error)
	// Read reads single positions, in the order asked; a position beyond the head is ErrNotFound.
	Read(ctx context.Context, positions ...int64) ([]Recorded, error)
	// ReadAll reads up to limit records from position from on; empty at the head. The records' bytes are the caller's to keep.
	ReadAll(ctx context.Context, from int64, limit int) ([]Recorded, error)
	// ReadCommands finds the first results of commands, in the order asked (an import asks for thousands at once).
	ReadCommands(ctx context.Context, commands ...Command) ([]Known, error)
	Head(ctx context.Context) (Head, error)
}

// The errors of the contract. Test with errors.Is.
var (
	ErrConflict       = errors.New("eventstore: conflict")
	ErrCommandReused  = errors.New("eventstore: command id used before with other content")
	ErrUnknownOutcome = errors.New("eventstore: connection lost while committing; repeat the command")
	ErrNotFound       = errors.New("eventstore: not found")
	ErrClosed         = errors.New("eventstore: closed")
	ErrUnavailable    = errors.New("eventstore: the store can't be reached; try again")
	ErrNoGenesis      = errors.New("eventstore: the store holds no log yet")
	ErrStoreVersion   = errors.New("eventstore: the store was made by another version of this program")
	ErrServed         = errors.New("eventstore: another serve runs on this store")
)

// ConflictKind says which part of an append was refused.
type ConflictKind string

// What can conflict.
const (
	ConflictVersion  ConflictKind = "version"
	ConflictGuard    ConflictKind = "guard"
	ConflictWithin   ConflictKind = "within"
	ConflictPosition ConflictKind = "position" // another process took the positions and retries ran out
	ConflictView     ConflictKind = "view"     // a view's checkpoint moved
)

// Conflict is an ErrConflict with its kind and the aggregate or subject concerned (ids only, never personal data).
type Conflict struct {
	Kind      ConflictKind
	Aggregate Aggregate
}

// Error names the kind only.
func (c *Conflict) Error() string {
	return fmt.Sprintf("%v: %s (category %d)", ErrConflict, c.Kind, c.Aggregate.Category)
}

// Unwrap makes errors.Is(err, ErrConflict) true.
func (c *Conflict) Unwrap() error { return ErrConflict }

// Waker tells followers that the log has grown.
type Waker interface {
	// Wait returns nil when the head may be at or beyond position, after a notification, an in-process signal or a slow safety poll;
	// ctx's error when ctx ends first. It MAY return early: the caller reads and waits again.
	Wait(ctx context.Context, position int64) error
}
