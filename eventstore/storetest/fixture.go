package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

// fixture is one store with its first handle, on which genesis has been appended.
type fixture struct {
	t        T
	ctx      context.Context
	open     func() (eventstore.Store, error)
	store    eventstore.Store
	identity eventstore.Identity
}

// empty makes a store without a log.
func empty(t T, f Factory) *fixture {
	t.Helper()
	fx := &fixture{t: t, ctx: t.Context(), open: f.New(t), identity: eventstore.Identity{LogID: uuid.New(), Generation: 1}}
	fx.store = fx.handle()
	return fx
}

// begin makes a store with genesis at position 0, in the past, so that the tests' own times can be anywhere after it.
func begin(t T, f Factory) *fixture {
	t.Helper()
	fx := empty(t, f)
	_, err := fx.store.Append(fx.ctx, fx.genesis(time.Unix(0, 0)))
	require.NoError(t, err)
	return fx
}

func (fx *fixture) genesis(at time.Time) eventstore.Append {
	e := event(aggregate(eventstore.Hub))
	e.Type, e.Class, e.Subject = "genesis", eventstore.Public, uuid.Nil
	id := fx.identity
	return eventstore.Append{Begins: &id, At: at, Events: []eventstore.Event{e}}
}

// handle opens one more handle, closed at the test's end.
func (fx *fixture) handle() eventstore.Store {
	fx.t.Helper()
	s, err := fx.open()
	require.NoError(fx.t, err)
	fx.t.Cleanup(func() { _ = s.Close() }) // a second Close is allowed
	return s
}

// handles are n handles for concurrent work: all the first one if the store can't do with several.
func (fx *fixture) handles(f Factory, n int) []eventstore.Store {
	fx.t.Helper()
	out := []eventstore.Store{fx.store}
	for len(out) < n {
		if f.Handles {
			out = append(out, fx.handle())
		} else {
			out = append(out, fx.store)
		}
	}
	return out
}

// append appends and requires success.
func (fx *fixture) append(appends ...eventstore.Append) []eventstore.Result {
	fx.t.Helper()
	results, err := fx.store.Append(fx.ctx, appends...)
	require.NoError(fx.t, err)
	require.Len(fx.t, results, len(appends))
	return results
}

// one appends one append and requires success.
func (fx *fixture) one(a eventstore.Append) eventstore.Result {
	fx.t.Helper()
	return fx.append(a)[0]
}

// refused appends and requires a conflict of this kind, and that nothing changed.
func (fx *fixture) refused(kind eventstore.ConflictKind, appends ...eventstore.Append) {
	fx.t.Helper()
	before := fx.all()
	_, err := fx.store.Append(fx.ctx, appends...)
	require.ErrorIs(fx.t, err, eventstore.ErrConflict)
	var c *eventstore.Conflict
	require.ErrorAs(fx.t, err, &c)
	require.Equal(fx.t, kind, c.Kind)
	fx.unchanged(before)
}

// unchanged requires that the log is what it was.
func (fx *fixture) unchanged(before []eventstore.Recorded) {
	fx.t.Helper()
	require.NoError(fx.t, sameRecords(before, fx.all()), "a refused call left something on the log")
}

// all reads the whole log and requires that it is well formed.
func (fx *fixture) all() []eventstore.Recorded {
	fx.t.Helper()
	records, err := readLog(fx.ctx, fx.store, 100)
	require.NoError(fx.t, err)
	require.NoError(fx.t, wellFormed(fx.identity, records))
	head, err := fx.store.Head(fx.ctx)
	require.NoError(fx.t, err)
	require.Equal(fx.t, int64(len(records))-1, head.Position, "the head is the last record")
	if len(records) > 0 {
		require.True(fx.t, head.RecordedAt.Equal(records[len(records)-1].RecordedAt), "the head has the last record's time")
	}
	return records
}

// readLog reads the log from the beginning in pages.
func readLog(ctx context.Context, log eventstore.Log, page int) ([]eventstore.Recorded, error) {
	var out []eventstore.Recorded
	for {
		records, err := log.ReadAll(ctx, int64(len(out)), page)
		if err != nil || len(records) == 0 {
			return out, err
		}
		if len(records) > page {
			return nil, fmt.Errorf("a page of %d records, %d asked for", len(records), page)
		}
		for _, r := range records {
			if r.Position != int64(len(out)) {
				return nil, fmt.Errorf("position %d where %d is due", r.Position, len(out))
			}
			out = append(out, r)
		}
	}
}

// wellFormed says what is wrong with a whole log: positions, versions, times, leaves.
func wellFormed(id eventstore.Identity, records []eventstore.Recorded) error {
	versions := map[eventstore.Aggregate]int32{}
	var last time.Time
	for i, r := range records {
		switch {
		case r.Position != int64(i):
			return fmt.Errorf("position %d where %d is due", r.Position, i)
		case r.Version != versions[r.Aggregate]+1:
			return fmt.Errorf("position %d: version %d where %d is due", i, r.Version, versions[r.Aggregate]+1)
		case r.RecordedAt.Before(last):
			return fmt.Errorf("position %d: recorded at %v, before its predecessor's %v", i, r.RecordedAt, last)
		case !r.RecordedAt.Equal(r.RecordedAt.Truncate(time.Microsecond)):
			return fmt.Errorf("position %d: recorded at %v is finer than a microsecond", i, r.RecordedAt)
		case r.RecordedAt.Location() != time.UTC:
			return fmt.Errorf("position %d: recorded at is not in UTC", i)
		case r.Restricting:
			return fmt.Errorf("position %d: Restricting is handed out", i)
		case r.Cause < eventstore.NoCause || r.Cause >= r.Position:
			return fmt.Errorf("position %d: cause %d", i, r.Cause)
		case r.Leaf != leafOf(id, r):
			return fmt.Errorf("position %d: the leaf is not the hash of the record", i)
		}
		versions[r.Aggregate] = r.Version
		last = r.RecordedAt
	}
	return nil
}

// sameRecords says where two lists of records differ.
func sameRecords(want, got []eventstore.Recorded) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d records where %d are due", len(got), len(want))
	}
	for i := range want {
		if err := sameRecord(want[i], got[i]); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	return nil
}

func sameRecord(want, got eventstore.Recorded) error {
	if !want.RecordedAt.Equal(got.RecordedAt) {
		return fmt.Errorf("recorded at %v where %v is due", got.RecordedAt, want.RecordedAt)
	}
	if !bytes.Equal(want.Payload, got.Payload) {
		return errors.New("another payload")
	}
	got.RecordedAt, got.Payload = want.RecordedAt, want.Payload
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return fmt.Errorf("%+v where %+v is due", got, want)
	}
	return nil
}

// different is the error of two results that should be one.
type different struct{ want, got eventstore.Result }

func (d *different) Error() string { return fmt.Sprintf("%+v where %+v is due", d.got, d.want) }

// recordedAs requires that the records at result hold the events of a, field by field.
func (fx *fixture) recordedAs(result eventstore.Result, a eventstore.Append) {
	fx.t.Helper()
	require.Equal(fx.t, len(a.Events), result.Count)
	for i, e := range a.Events {
		got, err := fx.store.Read(fx.ctx, result.Position+int64(i))
		require.NoError(fx.t, err)
		require.Len(fx.t, got, 1)
		want := got[0]
		want.Event = e
		want.Restricting = false
		if e.Cause < eventstore.NoCause {
			want.Cause = got[0].Position + 1 + e.Cause
		}
		require.NoError(fx.t, sameRecord(want, got[0]))
		require.True(fx.t, got[0].RecordedAt.Equal(result.RecordedAt))
		require.Equal(fx.t, result.Position+int64(i), got[0].Position)
	}
}

// counter makes every event of a test run different in its small fields, too.
var counter atomic.Int64

func aggregate(c eventstore.Category) eventstore.Aggregate {
	return eventstore.Aggregate{Category: c, ID: uuid.New()}
}

func citizen() eventstore.Aggregate { return aggregate(eventstore.Citizen) }

// event is an event of a that no other is like.
func event(a eventstore.Aggregate) eventstore.Event {
	n := counter.Add(1)
	e := eventstore.Event{
		ID:        uuid.New(),
		Aggregate: a,
		Type:      fmt.Sprintf("type-%d", n%23),
		Schema:    int16(1 + n%7),
		Cause:     eventstore.NoCause,
		Issuer:    int16(n % 11),
		ActorKind: int16(n % 5),
		Channel:   int16(n % 3),
		Subject:   a.ID,
		Class:     eventstore.Class(n % 6),
		Payload:   make([]byte, n%700),
		KeyRef:    n,
	}
	_, _ = rand.Read(e.Payload)
	_, _ = rand.Read(e.Commitment[:])
	return e
}

func restricting(a eventstore.Aggregate, subject uuid.UUID) eventstore.Event {
	e := event(a)
	e.Subject, e.Restricting = subject, true
	return e
}

// write is an append of n events of a.
func write(a eventstore.Aggregate, n int) eventstore.Append {
	var out eventstore.Append
	for range n {
		out.Events = append(out.Events, event(a))
	}
	return out
}

func expecting(a eventstore.Append, aggregate eventstore.Aggregate, version int32) eventstore.Append {
	a.Expect = append(a.Expect, eventstore.Expect{Aggregate: aggregate, Version: version})
	return a
}

func guarded(a eventstore.Append, after int64, subjects ...uuid.UUID) eventstore.Append {
	a.Guard = eventstore.Guard{After: after, Subjects: subjects}
	return a
}

// command is a command that no other is like.
func command() eventstore.Command {
	var c eventstore.Command
	_, _ = rand.Read(c.Key[:])
	_, _ = rand.Read(c.Body[:])
	return c
}

// numbered is a command whose key and body follow from two numbers.
func numbered(key, body uint64) eventstore.Command {
	var c eventstore.Command
	c.Key[0], c.Body[0] = 1, 1
	binary.BigEndian.PutUint64(c.Key[8:], key)
	binary.BigEndian.PutUint64(c.Body[8:], body)
	return c
}
