package storetest

import (
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

func checkGenesis(t T, f Factory) {
	fx := empty(t, f)
	head, err := fx.store.Head(fx.ctx)
	require.NoError(t, err)
	require.Equal(t, int64(-1), head.Position)
	_, err = fx.store.Identity(fx.ctx)
	require.ErrorIs(t, err, eventstore.ErrNoGenesis)
	_, err = fx.store.Append(fx.ctx, write(citizen(), 1))
	require.ErrorIs(t, err, eventstore.ErrNoGenesis)
	require.Empty(t, fx.all())

	genesis := fx.genesis(time.Unix(0, 0))
	result := fx.one(genesis)
	require.Equal(t, int64(0), result.Position)
	fx.recordedAs(result, genesis)
	got, err := fx.store.Identity(fx.ctx)
	require.NoError(t, err)
	require.Equal(t, fx.identity, got)
	fx.all()

	fx.refused(eventstore.ConflictVersion, fx.genesis(time.Time{}))
	other := fx.genesis(time.Time{})
	other.Begins = &eventstore.Identity{LogID: uuid.New(), Generation: 2}
	fx.refused(eventstore.ConflictVersion, other)

	next := fx.genesis(time.Time{})
	next.Begins = &eventstore.Identity{LogID: fx.identity.LogID, Generation: 2}
	result = fx.one(next)
	first := fx.one(write(citizen(), 1))
	records, err := fx.store.Read(fx.ctx, result.Position, first.Position)
	require.NoError(t, err)
	for _, r := range records {
		require.Equal(t, leafOf(*next.Begins, r), r.Leaf, "a new generation is in its own leaf and in all later ones")
	}
	got, err = fx.handles(f, 2)[1].Identity(fx.ctx)
	require.NoError(t, err)
	require.Equal(t, *next.Begins, got)
}

func checkRecords(t T, f Factory) {
	fx := begin(t, f)
	a, b := citizen(), aggregate(eventstore.Lane)
	appends := []eventstore.Append{
		write(a, 1), write(a, 3), write(b, 2),
		{Events: []eventstore.Event{event(a), event(b), event(a)}},
		{Events: []eventstore.Event{restricting(a, uuid.New())}},
	}
	bare := event(b) // everything that may be empty is empty
	bare.Subject, bare.Payload, bare.KeyRef, bare.Commitment = uuid.Nil, nil, 0, [32]byte{}
	appends = append(appends, eventstore.Append{Events: []eventstore.Event{bare}})
	big := write(a, 1)
	big.Events[0].Payload = make([]byte, 1<<20)
	appends = append(appends, big)

	at := int64(1)
	for _, ap := range appends {
		result := fx.one(ap)
		require.Equal(t, at, result.Position)
		require.False(t, result.Repeated)
		at += int64(result.Count)
	}
	fx.all()
	at = 1
	for _, ap := range appends {
		got, err := fx.store.Read(fx.ctx, at)
		require.NoError(t, err)
		fx.recordedAs(eventstore.Result{Position: at, Count: len(ap.Events), RecordedAt: got[0].RecordedAt}, ap)
		at += int64(len(ap.Events))
	}
}

func checkExpectations(t T, f Factory) {
	fx := begin(t, f)
	written, read, never := citizen(), citizen(), citizen()
	fx.one(write(written, 3))
	fx.one(write(read, 2))
	for _, c := range []struct {
		name    string
		expect  []eventstore.Expect
		accepts bool
	}{
		{"what is written, behind", []eventstore.Expect{{Aggregate: written, Version: 2}}, false},
		{"what is written, ahead", []eventstore.Expect{{Aggregate: written, Version: 4}}, false},
		{"what is written, as if new", []eventstore.Expect{{Aggregate: written, Version: 0}}, false},
		{"what is only read, behind", []eventstore.Expect{{Aggregate: read, Version: 1}}, false},
		{"what is only read, ahead", []eventstore.Expect{{Aggregate: read, Version: 3}}, false},
		{"what was never written, ahead", []eventstore.Expect{{Aggregate: never, Version: 1}}, false},
		{"one of two", []eventstore.Expect{{Aggregate: written, Version: 3}, {Aggregate: read, Version: 1}}, false},
		{"the other of two", []eventstore.Expect{{Aggregate: written, Version: 2}, {Aggregate: read, Version: 2}}, false},
		{"all as it is", []eventstore.Expect{
			{Aggregate: written, Version: 3}, {Aggregate: read, Version: 2}, {Aggregate: never, Version: 0},
		}, true},
	} {
		t.Logf("%s", c.name)
		a := write(written, 1)
		a.Expect = c.expect
		if !c.accepts {
			fx.refused(eventstore.ConflictVersion, a)
			continue
		}
		fx.recordedAs(fx.one(a), a)
	}
	conflict := expecting(write(written, 1), written, 1)
	_, err := fx.store.Append(fx.ctx, conflict)
	var c *eventstore.Conflict
	require.ErrorAs(t, err, &c)
	require.Equal(t, written, c.Aggregate, "a conflict names the aggregate")

	fresh := citizen()
	fx.one(expecting(write(fresh, 2), fresh, 0))
	fx.one(expecting(write(fresh, 1), fresh, 2))
	fx.refused(eventstore.ConflictVersion, expecting(write(fresh, 1), fresh, 2))
}

func checkNextVersion(t T, f Factory) {
	fx := begin(t, f)
	a, b := citizen(), citizen()
	for range 4 {
		fx.one(expecting(eventstore.Append{Events: []eventstore.Event{event(a), event(b)}}, b, fx.version(b)))
	}
	require.Equal(t, []int32{1, 2, 3, 4}, fx.versions(a), "an aggregate that is not expected takes its next version")
	require.Equal(t, []int32{1, 2, 3, 4}, fx.versions(b))
}

// version is the aggregate's current one.
func (fx *fixture) version(a eventstore.Aggregate) int32 {
	fx.t.Helper()
	versions := fx.versions(a)
	if len(versions) == 0 {
		return 0
	}
	return versions[len(versions)-1]
}

// versions are the versions of one aggregate's records, in the order they are read.
func (fx *fixture) versions(a eventstore.Aggregate) []int32 {
	fx.t.Helper()
	records, err := fx.store.ReadAggregate(fx.ctx, a, 1, 0)
	require.NoError(fx.t, err)
	var out []int32
	for _, r := range records {
		out = append(out, r.Version)
	}
	return out
}

func checkGuards(t T, f Factory) {
	fx := begin(t, f)
	one, other, free := uuid.New(), uuid.New(), uuid.New()
	plain := fx.one(write(eventstore.Aggregate{Category: eventstore.Citizen, ID: free}, 1))
	first := fx.one(eventstore.Append{Events: []eventstore.Event{event(citizen()), restricting(citizen(), one)}})
	at := first.Position + 1
	lane := aggregate(eventstore.Lane)

	fx.refused(eventstore.ConflictGuard, guarded(write(lane, 1), at-1, one))
	fx.refused(eventstore.ConflictGuard, guarded(write(lane, 1), -1, one))
	fx.refused(eventstore.ConflictGuard, guarded(write(lane, 1), at-1, free, other, one))
	fx.one(guarded(write(lane, 1), at, one))
	fx.one(guarded(write(lane, 1), at+1000, one))
	fx.one(guarded(write(lane, 1), plain.Position-1, free, other))
	fx.one(guarded(write(lane, 1), -1)) // nobody is guarded

	// An append's own restricting events don't refuse it; the next one sees them.
	own := guarded(eventstore.Append{Events: []eventstore.Event{restricting(citizen(), other)}}, -1, other)
	fx.one(own)
	fx.refused(eventstore.ConflictGuard, guarded(write(lane, 1), at, one, other))

	// A restricting event without a subject restricts everyone.
	everyone := fx.one(eventstore.Append{Events: []eventstore.Event{restricting(aggregate(eventstore.Hub), uuid.Nil)}})
	fx.refused(eventstore.ConflictGuard, guarded(write(lane, 1), everyone.Position-1, free))
	fx.one(guarded(write(lane, 1), everyone.Position, free, one, other))
}

func checkWithin(t T, f Factory) {
	fx := begin(t, f)
	noon := time.Date(2030, 5, 4, 12, 0, 0, 123_000, time.UTC)
	fx.one(eventstore.Append{At: noon, Events: write(citizen(), 1).Events})
	µs := time.Microsecond
	for _, c := range []struct {
		name        string
		at          time.Time
		from, until time.Time
		accepts     bool
	}{
		{"before the day", noon, noon.Add(µs), noon.Add(time.Hour), false},
		{"at its end", noon, noon.Add(-time.Hour), noon, false},
		{"after its end", noon.Add(time.Second), noon.Add(-time.Hour), noon.Add(time.Second - µs), false},
		{"the log is ahead of the caller's day", noon.Add(-48 * time.Hour), noon.Add(-72 * time.Hour), noon.Add(-24 * time.Hour), false},
		{"the clock is not in the day", time.Time{}, noon.Add(-48 * time.Hour), noon.Add(-24 * time.Hour), false},
		{"only a start, too late", noon, noon.Add(time.Hour), time.Time{}, false},
		{"only an end, too early", noon, time.Time{}, noon, false},
		{"its first moment", noon, noon, noon.Add(µs), true},
		{"its last moment", noon.Add(µs), noon, noon.Add(2 * µs), true},
		{"no bounds", noon, time.Time{}, time.Time{}, true},
		{"raised by the log into the day", noon.Add(-time.Hour), noon, noon.Add(time.Hour), true},
	} {
		t.Logf("%s", c.name)
		a := write(citizen(), 1)
		a.At, a.Within = c.at, eventstore.Within{From: c.from, Until: c.until}
		if c.accepts {
			fx.one(a)
		} else {
			fx.refused(eventstore.ConflictWithin, a)
		}
	}
}

func checkTimes(t T, f Factory) {
	fx := begin(t, f)
	at := func(at time.Time) time.Time {
		a := write(citizen(), 2)
		a.At = at
		return fx.one(a).RecordedAt
	}
	morning := time.Date(2020, 2, 29, 8, 0, 0, 987_654_321, time.FixedZone("", -5*3600))
	got := at(morning)
	require.True(t, got.Equal(morning.Truncate(time.Microsecond)), "%v", got)
	require.True(t, at(morning.Add(-time.Hour)).Equal(got), "time doesn't fall back")
	require.True(t, at(time.Unix(-1, 0)).Equal(got))
	later := at(got.Add(1500 * time.Nanosecond))
	require.True(t, later.Equal(got.Add(time.Microsecond)))

	before := time.Now().Add(-time.Minute) // databases on other machines have clocks of their own; the store's is the process's
	now := at(time.Time{})
	require.True(t, now.After(before) && now.Before(time.Now().Add(time.Minute)), "the clock's time: %v", now)
	require.False(t, at(time.Time{}).Before(now))

	ahead := at(time.Now().Add(24 * time.Hour))
	require.True(t, at(time.Time{}).Equal(ahead), "max(previous, clock)")
	fx.all()
}

func checkCauses(t T, f Factory) {
	fx := begin(t, f)
	a := citizen()
	trigger := fx.one(write(a, 1))
	ap := write(a, 4)
	ap.Events[0].Cause = trigger.Position
	ap.Events[1].Cause = eventstore.CauseBefore(1)
	ap.Events[3].Cause = eventstore.CauseBefore(3)
	result := fx.one(ap)
	records, err := fx.store.ReadAll(fx.ctx, result.Position, 4)
	require.NoError(t, err)
	require.Equal(t, []int64{trigger.Position, result.Position, eventstore.NoCause, result.Position},
		[]int64{records[0].Cause, records[1].Cause, records[2].Cause, records[3].Cause})
	fx.all()

	before := fx.all()
	bad := write(a, 2)
	bad.Events[1].Cause = eventstore.CauseBefore(2)
	_, err = fx.store.Append(fx.ctx, bad)
	require.Error(t, err, "a cause before the append's own events has no position")
	fx.unchanged(before)
	fx.one(write(a, 1))
}

func checkLeaves(t T, f Factory) {
	fx := begin(t, f)
	for range 30 {
		a := aggregate(eventstore.Category(counter.Add(1) % 6))
		ap := write(a, 2)
		ap.Events[1].Cause = eventstore.CauseBefore(1)
		ap.Events[0].Subject = uuid.Nil
		fx.one(ap)
	}
	records, err := readLog(fx.ctx, fx.store, 7)
	require.NoError(t, err)
	for _, r := range records {
		require.Equal(t, leafOf(fx.identity, r), r.Leaf, "position %d", r.Position)
	}
}

func checkRows(t T, f Factory) {
	fx := begin(t, f)
	key := []byte("how far")
	get := func() []byte {
		got, err := fx.store.Get(fx.ctx, "progress", key)
		require.NoError(t, err)
		return got[0]
	}
	a := write(citizen(), 1)
	a.Rows = []eventstore.Row{{View: "progress", Key: key, Value: []byte("1")}, {View: "other", Key: key, Value: []byte{}}}
	fx.one(a)
	require.Equal(t, []byte("1"), get())
	// Of several appends in a call the last one's row stands.
	b, c := write(citizen(), 1), write(citizen(), 1)
	b.Rows = []eventstore.Row{{View: "progress", Key: key, Value: []byte("2")}}
	c.Rows = []eventstore.Row{{View: "progress", Key: key, Value: []byte("3")}}
	fx.append(b, c)
	require.Equal(t, []byte("3"), get())
	// A refused append's rows aren't written; a repeated one's aren't either: they were, with the first.
	d := expecting(write(citizen(), 1), citizen(), 7)
	d.Rows = []eventstore.Row{{View: "progress", Key: key, Value: []byte("4")}}
	fx.refused(eventstore.ConflictVersion, d)
	require.Equal(t, []byte("3"), get())
	e := write(citizen(), 1)
	e.Command = command()
	e.Rows = []eventstore.Row{{View: "progress", Key: key, Value: nil}}
	fx.one(e)
	require.Nil(t, get())
}
