package eventstore

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Driver is what a store brings to the Committer: it answers questions and writes rows in one transaction. All numbering, checking and
// hashing is the Committer's. The Committer calls a Driver from one goroutine, one call at a time.
type Driver interface {
	// Checked runs one batch as one transaction: begin, fence against other processes as far as the database can, answer ask as of one
	// moment, call build with the answer (once), write the batch that build returns, commit.
	//
	// A nil batch means that no member is left to write: roll back and return nil. Checked MUST NOT return nil before the batch is
	// durable. It returns ErrRefused when another process took the positions first (nothing is written; the Committer asks again), an
	// error that wraps ErrUnknownOutcome when the connection was lost while committing, and any other error only when surely nothing
	// was written. build and the batch's slices are not used after Checked returned.
	Checked(ctx context.Context, ask *Ask, build func(*Answer) *Batch) error
}

// OptimisticDriver is a Driver that can also write a batch in one round trip, without asking first.
type OptimisticDriver interface {
	Driver
	// OneGo writes batch if all of assume holds at one moment, all or none. ErrRefused, and nothing written, if any of it does not hold
	// or another process took the positions; else as Checked.
	OneGo(ctx context.Context, assume *Assumption, batch *Batch) error
}

// PipelinedDriver is an OptimisticDriver that can execute a batch while the one before it is being committed, so that the server works
// on the one and syncs the other. It has two slots, each with a transaction of its own; a slot is used by one goroutine at a time, both
// slots at once.
type PipelinedDriver interface {
	OptimisticDriver
	// Execute writes batch in the slot's transaction as OneGo does and does not commit it. After an error nothing is open in the slot.
	Execute(ctx context.Context, slot int, assume *Assumption, batch *Batch) error
	// Commit commits what was executed in the slot; its errors are OneGo's. Rollback drops it.
	Commit(ctx context.Context, slot int) error
	Rollback(ctx context.Context, slot int)
}

// ErrRefused is a Driver's answer that positions or assumptions were lost to another writer and nothing was written.
var ErrRefused = errors.New("eventstore: another writer was first")

// Identity distinguishes this log from every other one. It is part of each leaf.
type Identity struct {
	LogID      uuid.UUID
	Generation int64 // from 1; a restored log starts a new one
}

// Ask is what the Committer must know to check and number a batch. Each slice is free of duplicates.
type Ask struct {
	Aggregates []Aggregate
	Commands   []CommandKey
	Subjects   []uuid.UUID // guarded
}

// Answer answers an Ask; its slices are parallel to the Ask's.
type Answer struct {
	Head       Head // Position -1 (and any time) on an empty log
	Identity   Identity
	Versions   []int32        // of each aggregate; 0 if never written
	Commands   []KnownCommand // Known false if never seen
	Restricted []int64        // position of the latest restricting event about each subject; -1 if none
}

// KnownCommand is what the store remembers of a command: the first result.
type KnownCommand struct {
	Known      bool
	Body       [32]byte
	Position   int64
	Count      int
	RecordedAt time.Time // of the record at Position
}

// Assumption is what OneGo asserts. Head is always asserted; so is that none of the batch's commands is known.
type Assumption struct {
	Head     int64 // the last position; the batch starts at Head+1
	Under    int   // so many positions up to Head may not be there yet: the batch before is under way (Execute only)
	Versions []Expect
	Guards   []SubjectGuard
}

// SubjectGuard asserts that no restricting event about Subject lies after position After.
type SubjectGuard struct {
	Subject uuid.UUID
	After   int64
}

// Batch is what one transaction writes. Every slice may be empty; a batch without records may still hold rows of views.
type Batch struct {
	Records     []Recorded // contiguous positions
	Chunks      []Chunk
	Commands    []CommandRow
	Restricting []RestrictingRow
	Rows        []Row     // each (view, key) once; a nil Value deletes
	Identity    *Identity // to be kept (it replaces the former one); nil in all but the first batch of a generation
}

// Chunk says that versions First … First+Count-1 of an aggregate are the records at Position … Position+Count-1. Chunks decide versions
// and are the index by which an aggregate is read; they can be rebuilt from the log.
type Chunk struct {
	Aggregate Aggregate
	First     int32
	Count     int32
	Position  int64
}

// CommandRow remembers a command with its result. It is primary data: the log alone can't give it back after an erasure.
type CommandRow struct {
	Command
	Position int64
	Count    int32
}

// RestrictingRow remembers that a restricting event about Subject stands at Position (Subject uuid.Nil: about everyone).
type RestrictingRow struct {
	Subject  uuid.UUID
	Position int64
}
