package eventstore

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore/merkle"
)

// builder checks a plan's members against an answer and numbers those that hold: positions, versions, times, causes, leaves. Its slices
// are used again for the next batch.
type builder struct {
	plan     *plan
	now      int64 // µs since 1970
	head     Head  // after what is numbered so far
	identity Identity
	// The answer, kept up as members are numbered; parallel to the plan's ask.
	versions   []int32
	commands   []KnownCommand
	restricted []int64

	batch Batch
	buf   []byte
	undo  undo
}

// run numbers every member, or sets its error. It returns nil if there is nothing to write.
func (b *builder) run(p *plan, answer *Answer, now time.Time) *Batch {
	b.plan, b.now, b.head, b.identity = p, now.UnixMicro(), answer.Head, answer.Identity
	b.versions = append(b.versions[:0], answer.Versions...)
	b.commands = append(b.commands[:0], answer.Commands...)
	b.restricted = append(b.restricted[:0], answer.Restricted...)
	b.batch = Batch{
		Records: b.batch.Records[:0], Chunks: b.batch.Chunks[:0], Commands: b.batch.Commands[:0],
		Restricting: b.batch.Restricting[:0], Rows: b.batch.Rows[:0],
	}
	for _, m := range p.members {
		b.member(m)
	}
	b.batch.Rows = lastOfEach(b.batch.Rows)
	if len(b.batch.Records) == 0 && len(b.batch.Rows) == 0 {
		return nil
	}
	return &b.batch
}

// release lets go of what belongs to the callers, so that an idle committer holds no payloads.
func (b *builder) release() {
	clear(b.batch.Records)
	clear(b.batch.Rows)
}

// member numbers one call, all or none.
func (b *builder) member(m *member) {
	m.results, m.err = make([]Result, 0, len(m.appends)), nil
	b.undo.mark(b)
	for i := range m.appends {
		result, err := b.append(&m.appends[i])
		if err != nil {
			if len(m.appends) > 1 {
				err = fmt.Errorf("append %d of %d: %w", i+1, len(m.appends), err)
			}
			b.undo.back(b)
			m.results, m.err = nil, err
			return
		}
		m.results = append(m.results, result)
	}
}

// append checks one append and numbers its events. A known command is answered before anything else is looked at.
func (b *builder) append(a *Append) (Result, error) {
	if a.Command.Key != (CommandKey{}) {
		if known := &b.commands[b.plan.commands[a.Command.Key]]; known.Known {
			if known.Body != a.Command.Body {
				return Result{}, ErrCommandReused
			}
			return Result{Position: known.Position, Count: known.Count, RecordedAt: known.RecordedAt, Repeated: true}, nil
		}
	}
	if err := b.begins(a); err != nil {
		return Result{}, err
	}
	if err := b.holds(a); err != nil {
		return Result{}, err
	}
	at, err := b.time(a)
	if err != nil {
		return Result{}, err
	}
	result := Result{Position: b.head.Position + 1, Count: len(a.Events), RecordedAt: at}
	for i := range a.Events {
		if err := b.event(&a.Events[i], at); err != nil {
			return Result{}, err
		}
	}
	b.batch.Rows = append(b.batch.Rows, a.Rows...)
	if a.Command.Key != (CommandKey{}) {
		b.commands[b.plan.commands[a.Command.Key]] = KnownCommand{
			Known: true, Body: a.Command.Body, Position: result.Position, Count: result.Count, RecordedAt: result.RecordedAt,
		}
		row := CommandRow{Command: a.Command, Position: result.Position, Count: int32(result.Count)} // #nosec G115 -- small
		b.batch.Commands = append(b.batch.Commands, row)
	}
	return result, nil
}

// begins sees to it that a log starts with an identity and keeps it.
func (b *builder) begins(a *Append) error {
	empty := b.head.Position < 0
	switch {
	case a.Begins == nil && empty:
		return ErrNoGenesis
	case a.Begins == nil:
		return nil
	case !empty && (a.Begins.LogID != b.identity.LogID || a.Begins.Generation <= b.identity.Generation):
		return &Conflict{Kind: ConflictVersion, Aggregate: Aggregate{Category: Hub}}
	case len(a.Events) == 0:
		return fmt.Errorf("eventstore: a generation begins with an event")
	}
	b.identity = *a.Begins
	b.batch.Identity = a.Begins
	return nil
}

// holds checks expectations and guard.
func (b *builder) holds(a *Append) error {
	for _, e := range a.Expect {
		if b.versions[b.plan.aggregates[e.Aggregate]] != e.Version {
			return &Conflict{Kind: ConflictVersion, Aggregate: e.Aggregate}
		}
	}
	if len(a.Guard.Subjects) == 0 {
		return nil
	}
	if b.restricted[b.plan.subjects[uuid.Nil]] > a.Guard.After {
		return &Conflict{Kind: ConflictGuard}
	}
	for _, subject := range a.Guard.Subjects {
		if b.restricted[b.plan.subjects[subject]] > a.Guard.After {
			return &Conflict{Kind: ConflictGuard, Aggregate: Aggregate{Category: Citizen, ID: subject}}
		}
	}
	return nil
}

// time gives recorded at and checks it against the bounds.
func (b *builder) time(a *Append) (time.Time, error) {
	micros := b.now
	if !a.At.IsZero() {
		micros = a.At.UnixMicro()
	}
	if b.head.Position >= 0 {
		micros = max(micros, b.head.RecordedAt.UnixMicro())
	}
	at := time.UnixMicro(micros).UTC()
	if (!a.Within.From.IsZero() && at.Before(a.Within.From)) || (!a.Within.Until.IsZero() && !at.Before(a.Within.Until)) {
		return at, &Conflict{Kind: ConflictWithin}
	}
	return at, nil
}

// event numbers one event.
func (b *builder) event(e *Event, at time.Time) error {
	position := b.head.Position + 1
	i := b.plan.aggregates[e.Aggregate]
	b.undo.versions = append(b.undo.versions, undoVersion{i, b.versions[i]})
	b.versions[i]++
	b.batch.Records = append(b.batch.Records, Recorded{Event: *e, Position: position, Version: b.versions[i], RecordedAt: at})
	r := &b.batch.Records[len(b.batch.Records)-1]
	if r.Cause < NoCause {
		r.Cause = position - (NoCause - r.Cause) // CauseBefore(n)
	}
	if r.Cause >= position {
		return fmt.Errorf("eventstore: an event can't be caused by a later one")
	}
	r.Leaf, b.buf = leafOf(b.buf, b.identity, r)
	b.chunk(r)
	if e.Restricting {
		b.batch.Restricting = append(b.batch.Restricting, RestrictingRow{Subject: e.Subject, Position: position})
		if s, ok := b.plan.subjects[e.Subject]; ok {
			b.restricted[s] = position
		}
	}
	b.head = Head{Position: position, RecordedAt: at}
	return nil
}

// chunk lengthens the last chunk if r follows it in position and aggregate, else starts a new one.
func (b *builder) chunk(r *Recorded) {
	if n := len(b.batch.Chunks); n > 0 {
		if last := &b.batch.Chunks[n-1]; last.Aggregate == r.Aggregate && last.Position+int64(last.Count) == r.Position {
			last.Count++
			return
		}
	}
	b.batch.Chunks = append(b.batch.Chunks, Chunk{Aggregate: r.Aggregate, First: r.Version, Count: 1, Position: r.Position})
}

// LeafRecord gives the fields of r that its leaf binds, on a log of this identity.
func LeafRecord(identity Identity, r *Recorded) merkle.Record {
	return merkle.Record{
		LogID: identity.LogID, Generation: identity.Generation, Position: r.Position,
		Category: int64(r.Aggregate.Category), AggregateID: r.Aggregate.ID, Version: int64(r.Version), EventID: r.ID,
		Type: r.Type, Schema: int64(r.Schema), RecordedAt: r.RecordedAt.UnixMicro(), Cause: r.Cause,
		Issuer: int64(r.Issuer), ActorKind: int64(r.ActorKind), Channel: int64(r.Channel),
		Subject: r.Subject, Class: int64(r.Class), Commitment: r.Commitment,
	}
}

func leafOf(buf []byte, identity Identity, r *Recorded) ([32]byte, []byte) {
	leaf := LeafRecord(identity, r)
	return merkle.LeafHash(buf, &leaf)
}

// lastOfEach keeps of each (view, key) the row that was set last.
func lastOfEach(rows []Row) []Row {
	if len(rows) < 2 {
		return rows
	}
	type name struct{ view, key string }
	last := make(map[name]int, len(rows))
	for i, row := range rows {
		last[name{row.View, string(row.Key)}] = i
	}
	kept := rows[:0]
	for i, row := range rows {
		if last[name{row.View, string(row.Key)}] == i {
			kept = append(kept, row)
		}
	}
	return kept
}

// undo remembers how the builder stood before a member, so that a refused member leaves no trace. Commands and restricting events need
// no undoing: whoever repeats or guards what a member of the batch writes is not in the batch (plan.mustWait).
type undo struct {
	head                                          Head
	identity                                      Identity
	begins                                        *Identity
	records, chunks, commandRows, restricts, rows int
	lastChunk                                     Chunk
	versions                                      []undoVersion
}

type undoVersion struct {
	at  int
	was int32
}

func (u *undo) mark(b *builder) {
	u.head, u.identity, u.begins = b.head, b.identity, b.batch.Identity
	u.records, u.chunks, u.commandRows = len(b.batch.Records), len(b.batch.Chunks), len(b.batch.Commands)
	u.restricts, u.rows = len(b.batch.Restricting), len(b.batch.Rows)
	if u.chunks > 0 {
		u.lastChunk = b.batch.Chunks[u.chunks-1] // it may be lengthened
	}
	u.versions = u.versions[:0]
}

func (u *undo) back(b *builder) {
	b.head, b.identity, b.batch.Identity = u.head, u.identity, u.begins
	b.batch.Records, b.batch.Chunks, b.batch.Commands = b.batch.Records[:u.records], b.batch.Chunks[:u.chunks], b.batch.Commands[:u.commandRows]
	b.batch.Restricting, b.batch.Rows = b.batch.Restricting[:u.restricts], b.batch.Rows[:u.rows]
	if u.chunks > 0 {
		b.batch.Chunks[u.chunks-1] = u.lastChunk
	}
	for i := len(u.versions) - 1; i >= 0; i-- {
		b.versions[u.versions[i].at] = u.versions[i].was
	}
}
