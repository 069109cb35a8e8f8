// Package journal is the one way to the log: Go events in, sealed records out, and back. The stages (command, delivery, projection,
// audit) meet only in what it reads and writes.
package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/schemas"
)

// Config is what a Journal needs.
type Config struct {
	Store    eventstore.Store
	Keyring  *seal.Keyring
	Registry *schemas.Registry
	Clock    func() time.Time // the process's clock; the law's time is Now
	// CachedStates bounds how many citizens' folded states are kept in memory (default 32,768, about 20 MiB). A stale one does no harm:
	// the append that was judged by it is refused.
	CachedStates int
}

// Journal reads and writes typed events. It is safe for concurrent use.
type Journal struct {
	store    eventstore.Store
	keyring  *seal.Keyring
	registry *schemas.Registry
	clock    func() time.Time
	genesis  Genesis
	zone     *time.Location
	states   *lru.Cache[citizen.ID, *State]
	law      atomic.Pointer[Law]
	head     atomic.Int64 // latest recorded at seen, µs since the epoch
	tail     *tail
	desks    sync.Map // *desk by view
}

// Open returns the Journal of a log that has a genesis.
func Open(ctx context.Context, cfg Config) (*Journal, error) {
	genesis, err := ReadGenesis(ctx, cfg.Store)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(genesis.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("journal: the log's time zone is unknown here: %w", err)
	}
	if cfg.CachedStates == 0 {
		cfg.CachedStates = 32768
	}
	states, err := lru.New[citizen.ID, *State](cfg.CachedStates)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{store: cfg.Store, keyring: cfg.Keyring, registry: cfg.Registry, clock: cfg.Clock, genesis: genesis, zone: zone, states: states, tail: newTail()}
	if _, err := j.Head(ctx); err != nil {
		return nil, err
	}
	return j, nil
}

// Genesis is what the log can never change.
func (j *Journal) Genesis() Genesis { return j.genesis }

// Registry is the event types that the journal knows.
func (j *Journal) Registry() *schemas.Registry { return j.registry }

// Store is the store below, for followers' views and leases.
func (j *Journal) Store() eventstore.Store { return j.store }

// Meta is what stands beside an event's data in the sealed content.
type Meta struct {
	ToldAt    time.Time // a claim; decides nothing
	Effective string    // ISO date
	Actor     string    // the actor's pseudonymous id
	Command   string    // command id
}

// Origin is who caused a record, as the open part of a record names it: smallints, never a person.
type Origin struct {
	Issuer  Issuer
	Actor   ActorKind
	Channel Channel
}

// New is one event to append.
type New struct {
	ID        uuid.UUID // of the event; zero: a random one is given
	Event     any       // a citizen.Change or one of this package's events
	Canonical []byte    // the event's data, canonical (RFC 8785), where the caller has it already; else nil
	Aggregate eventstore.Aggregate
	Subject   citizen.ID // whose key seals it; zero for none
	Cause     int64      // a position, eventstore.NoCause or eventstore.CauseBefore(n)
	Meta      Meta
}

// Timing says when a step is recorded, by the genesis clock (DESIGN.md, "Time").
type Timing struct {
	// Told marks what a resident tells: on a log clock it is recorded at max(previous, wall clock), all else at the head's time.
	Told bool
	// At, if set, is the time told under `import --clock told`: recorded at max(previous, At). Log clock only.
	At time.Time
}

// Step is an eventstore.Append in Go events.
type Step struct {
	Command CommandID
	Origin  Origin
	Expect  []eventstore.Expect
	Guard   eventstore.Guard
	Day     Day // the civil day by which the step was judged; zero for any
	Timing  Timing
	Events  []New
	Rows    []eventstore.Row
}

// Append is step 6 of a change's life. It seals and appends steps, all or none. Keys of new citizens are made durable before the append: if the process dies between,
// a key without a record is left, which the next attempt uses.
func (j *Journal) Append(ctx context.Context, steps ...Step) ([]eventstore.Result, error) {
	if len(steps) > 1 { // one step's few keys are fetched or made as they are used
		if err := j.ensureKeys(ctx, steps); err != nil {
			return nil, err
		}
	}
	appends, err := j.sealAll(ctx, steps)
	if err != nil {
		return nil, err
	}
	results, err := j.store.Append(ctx, appends...)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		j.saw(r.RecordedAt)
	}
	return results, nil
}

// sealTogether is from how many steps on it pays to seal them on several processors.
const sealTogether = 64

// sealAll seals steps, each on its own, so that many are sealed side by side.
func (j *Journal) sealAll(ctx context.Context, steps []Step) ([]eventstore.Append, error) {
	appends := make([]eventstore.Append, len(steps))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(steps); from += sealTogether {
		some := func() (err error) {
			for i := from; i < min(from+sealTogether, len(steps)) && err == nil; i++ {
				appends[i], err = j.seal(ctx, &steps[i])
			}
			return err
		}
		if len(steps) <= sealTogether {
			return appends, some()
		}
		group.Go(some)
	}
	return appends, group.Wait()
}

// EnsureKeys makes the keys of citizens' facts and evidence that are missing, durably: for many people at once, before their first append.
func (j *Journal) EnsureKeys(ctx context.Context, ids ...citizen.ID) error {
	keys := make([]seal.KeyID, 0, 2*len(ids))
	for _, id := range ids {
		keys = append(keys, seal.KeyID{Subject: uuid.UUID(id), Class: eventstore.Facts}, seal.KeyID{Subject: uuid.UUID(id), Class: eventstore.Evidence})
	}
	return j.keyring.Ensure(ctx, keys...)
}

func (j *Journal) ensureKeys(ctx context.Context, steps []Step) error {
	ids := make([]seal.KeyID, 0, 2*len(steps))
	for i := range steps {
		var last seal.KeyID
		for _, e := range steps[i].Events {
			typ, err := typeOf(e.Event)
			if err != nil {
				return err
			}
			k, _, err := kindOf(j.registry, typ)
			if err != nil {
				return err
			}
			if id := (seal.KeyID{Subject: uuid.UUID(e.Subject), Class: k.class}); k.class != eventstore.Public && id != last {
				ids, last = append(ids, id), id
			}
		}
	}
	return j.keyring.Ensure(ctx, ids...)
}

func (j *Journal) seal(ctx context.Context, s *Step) (eventstore.Append, error) {
	a := eventstore.Append{Expect: s.Expect, Guard: s.Guard, Within: s.Day.within(), At: j.recordAt(s.Timing), Rows: s.Rows}
	a.Command = j.command(s.Command)
	a.Events = make([]eventstore.Event, len(s.Events))
	for i := range s.Events {
		n, e := &s.Events[i], &a.Events[i]
		typ, err := typeOf(n.Event)
		if err != nil {
			return a, err
		}
		k, row, err := kindOf(j.registry, typ)
		if err != nil {
			return a, err
		}
		plain, err := encode(n.Event, n.Canonical, k.class, n.Meta)
		if err != nil {
			return a, err
		}
		if n.ID == uuid.Nil {
			n.ID = uuid.New()
		}
		*e = eventstore.Event{
			ID: n.ID, Aggregate: n.Aggregate, Type: typ, Schema: 1, Cause: n.Cause, Issuer: int16(s.Origin.Issuer), ActorKind: int16(s.Origin.Actor),
			Channel: int16(s.Origin.Channel), Subject: uuid.UUID(n.Subject), Class: k.class, Restricting: k.restricting,
		}
		if row != nil {
			e.Schema = row.Version
		}
		if err := j.keyring.Seal(ctx, e, seal.Plaintext(plain)); err != nil {
			return a, err
		}
	}
	return a, nil
}

// recordAt is the Append.At of a Timing: zero for the store's clock.
func (j *Journal) recordAt(t Timing) time.Time {
	switch {
	case j.genesis.Clock == ClockWall:
		return time.Time{}
	case !t.At.IsZero():
		return t.At
	case t.Told:
		return j.clock()
	}
	return time.Unix(0, 0).UTC() // the head's recorded at: max(previous, the epoch)
}

// Entry is one decoded record.
type Entry struct {
	eventstore.Recorded
	Meta  Meta
	Event any // a citizen.Change (value) or one of this package's events (value); nil where Err is set
	// Err is seal.ErrDestroyed where the payload's key was erased: the record stands, its content is gone. It is seal.ErrLocked where two
	// officers together must ask for the content (seal.WithTwoOfficers).
	Err error
}

// Open decodes records, with their keys fetched at once. A destroyed key, or a record that needs two officers, is the entry's Err; anything
// else that can't be opened is tampering and an error.
func (j *Journal) Open(ctx context.Context, recs []eventstore.Recorded) ([]Entry, error) {
	plains, err := j.keyring.OpenAll(ctx, recs)
	var partial *seal.PartialError
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	out := make([]Entry, len(recs))
	for i := range recs {
		out[i].Recorded = recs[i]
		if partial != nil && partial.Errs[i] != nil {
			out[i].Err = partial.Errs[i]
			if !errors.Is(out[i].Err, seal.ErrDestroyed) && !errors.Is(out[i].Err, seal.ErrLocked) {
				return nil, out[i].Err
			}
			continue
		}
		if out[i].Event, out[i].Meta, err = decode(j.registry, &recs[i], plains[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Read returns single entries, in the order asked.
func (j *Journal) Read(ctx context.Context, positions ...int64) ([]Entry, error) {
	recs, err := j.store.Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	return j.Open(ctx, recs)
}

// Recent is Read for what has just been appended: records that a follower in this process has read are not read again.
func (j *Journal) Recent(ctx context.Context, positions ...int64) ([]Entry, error) {
	recs, err := j.Records(ctx, positions...)
	if err != nil {
		return nil, err
	}
	return j.Open(ctx, recs)
}

// Records is Recent without opening: what stands in the open is enough.
func (j *Journal) Records(ctx context.Context, positions ...int64) ([]eventstore.Recorded, error) {
	recs, missing := j.tail.at(positions)
	if len(missing) == 0 {
		return recs, nil
	}
	read, err := j.store.Read(ctx, missing...)
	if err != nil {
		return nil, err
	}
	for i := range recs {
		if recs[i].Type == "" {
			recs[i], read = read[0], read[1:]
		}
	}
	return recs, nil
}

// ReadAggregate returns the entries of one aggregate from a version on, at most limit (0: all).
func (j *Journal) ReadAggregate(ctx context.Context, aggregate eventstore.Aggregate, from int32, limit int) ([]Entry, error) {
	recs, err := j.store.ReadAggregate(ctx, aggregate, from, limit)
	if err != nil {
		return nil, err
	}
	return j.Open(ctx, recs)
}

// Find looks commands up: their first results, or that an id was used with other content.
func (j *Journal) Find(ctx context.Context, ids ...CommandID) ([]eventstore.Known, error) {
	commands := make([]eventstore.Command, len(ids))
	for i, id := range ids {
		commands[i] = j.command(id)
	}
	return j.store.ReadCommands(ctx, commands...)
}

// Head returns the log's head.
func (j *Journal) Head(ctx context.Context) (eventstore.Head, error) {
	head, err := j.store.Head(ctx)
	if err == nil && head.Position >= 0 {
		j.saw(head.RecordedAt)
	}
	return head, err
}

func (j *Journal) saw(t time.Time) {
	for us := t.UnixMicro(); ; {
		old := j.head.Load()
		if us <= old || j.head.CompareAndSwap(old, us) {
			return
		}
	}
}

// Now is the law's time as far as this process has seen the log, for a step of this timing: never before the head's recorded at. An
// append judged by it names its Day, and is refused if it would be recorded on another.
func (j *Journal) Now(t Timing) time.Time {
	seen := time.UnixMicro(j.head.Load()).UTC()
	at := j.recordAt(t)
	if at.IsZero() {
		at = j.clock().UTC()
	}
	if at.Before(seen) {
		return seen
	}
	return at
}

// Clock is the process's own clock, for waits and deadlines.
func (j *Journal) Clock() time.Time { return j.clock() }

// Day is a civil day in the log's time zone.
type Day struct {
	Date        consent.Date
	From, Until time.Time
}

func (d Day) within() eventstore.Within { return eventstore.Within{From: d.From, Until: d.Until} }

// DayOf is the civil day of a time, in the log's time zone.
func (j *Journal) DayOf(t time.Time) Day {
	local := t.In(j.zone)
	y, m, d := local.Date()
	return Day{Date: consent.DateOf(local), From: time.Date(y, m, d, 0, 0, 0, 0, j.zone), Until: time.Date(y, m, d+1, 0, 0, 0, 0, j.zone)}
}
