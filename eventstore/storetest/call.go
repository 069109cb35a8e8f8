package storetest

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

// checkSeveral: several appends in one call stand as if appended one after another.
func checkSeveral(t T, f Factory) {
	fx := begin(t, f)
	a, b, s := citizen(), citizen(), uuid.New()
	head := int64(0)
	appends := []eventstore.Append{
		expecting(write(a, 2), a, 0),
		expecting(write(a, 1), a, 2),                     // sees the first
		expecting(expecting(write(b, 1), a, 3), b, 0),    // reads what the second wrote
		guarded(write(b, 1), head, s),                    // nothing restricts s yet
		{Events: []eventstore.Event{restricting(b, s)}},  // now something does
		guarded(write(a, 1), head+6, s),                  // evaluated after that
		expecting(write(citizen(), 1), b, 3),             // b: one, one, one
		{Events: []eventstore.Event{event(a), event(b)}}, // next versions of both
	}
	results := fx.append(appends...)
	at := int64(1)
	for i, r := range results {
		require.Equal(t, at, r.Position, "append %d", i)
		fx.recordedAs(r, appends[i])
		at += int64(r.Count)
	}
	require.Equal(t, []int32{1, 2, 3, 4, 5}, fx.versions(a))
	require.Equal(t, []int32{1, 2, 3, 4}, fx.versions(b))
	fx.all()

	results, err := fx.store.Append(fx.ctx)
	require.NoError(t, err, "no append is no work")
	require.Empty(t, results)
}

// checkAllOrNone: whatever refuses one append of a call, the whole call leaves nothing: no record, version, command, row or restriction.
func checkAllOrNone(t T, f Factory) {
	fx := begin(t, f)
	known := write(citizen(), 1)
	known.Command = command()
	fx.one(known)
	reused := write(citizen(), 1)
	reused.Command = eventstore.Command{Key: known.Command.Key, Body: [32]byte{9}}
	s := uuid.New()
	restrict := eventstore.Append{Events: []eventstore.Event{restricting(citizen(), s)}}

	good := func() (eventstore.Append, eventstore.Aggregate) {
		a := citizen()
		g := write(a, 2)
		g.Command = command()
		g.Rows = []eventstore.Row{{View: "rows", Key: g.Command.Key[:], Value: []byte{1}}}
		return g, a
	}
	first, a := good()
	reusing := write(a, 1)
	reusing.Command = eventstore.Command{Key: first.Command.Key, Body: [32]byte{9}}
	for name, bad := range map[string][]eventstore.Append{
		"stale":                        {expecting(write(citizen(), 1), citizen(), 1)},
		"stale by an earlier one":      {expecting(write(a, 1), a, 1)},
		"guarded against an earlier":   {restrict, guarded(write(citizen(), 1), 1, s)},
		"a reused command":             {reused},
		"a command reused in the call": {reusing},
	} {
		t.Logf("%s", name)
		before := fx.all()
		last, _ := good()
		call := append(append([]eventstore.Append{first}, bad...), last)
		_, err := fx.store.Append(fx.ctx, call...)
		require.Error(t, err)
		fx.unchanged(before)
		for _, g := range []eventstore.Append{first, last} {
			got, err := fx.store.ReadCommands(fx.ctx, g.Command)
			require.NoError(t, err)
			require.Equal(t, []eventstore.Known{{}}, got)
			value, err := fx.store.Get(fx.ctx, "rows", g.Command.Key[:])
			require.NoError(t, err)
			require.Nil(t, value[0])
		}
		require.Empty(t, fx.versions(a))
	}
	fx.one(expecting(first, a, 0))
	fx.one(guarded(write(citizen(), 1), -1, s))
}

func checkRepeated(t T, f Factory) {
	fx := begin(t, f)
	a := citizen()
	first := expecting(write(a, 3), a, 0)
	first.Command = command()
	result := fx.one(first)
	require.False(t, result.Repeated)
	result.Repeated = true

	repeat := write(a, 3) // made anew: other event ids, other bytes
	repeat.Command = first.Command
	late := first
	late.Within.Until = result.RecordedAt.Add(-1)
	for name, r := range map[string]eventstore.Append{
		"the same":                      first, // and what it expected doesn't hold any more
		"made anew":                     repeat,
		"with what would conflict":      guarded(expecting(repeat, citizen(), 8), -1, uuid.New()),
		"with other events altogether":  {Command: first.Command, Events: write(citizen(), 1).Events},
		"outside the day of the caller": late,
	} {
		t.Logf("%s", name)
		before := fx.all()
		got := fx.one(r)
		require.NoError(t, sameResult(result, got))
		fx.unchanged(before)
		fx.one(write(a, 1))
	}

	// Among others in a call the repeated one answers, and only the others are appended.
	x, y := write(citizen(), 1), write(citizen(), 2)
	x.Command, y.Command = command(), command()
	head := int64(len(fx.all()))
	results := fx.append(x, repeat, y)
	require.Equal(t, head, results[0].Position)
	require.NoError(t, sameResult(result, results[1]))
	require.Equal(t, head+1, results[2].Position)

	// Twice in one call is as if one after another.
	z := write(citizen(), 2)
	z.Command = command()
	again := write(citizen(), 1)
	again.Command = z.Command
	results = fx.append(z, write(a, 1), again)
	want := results[0]
	want.Repeated = true
	require.NoError(t, sameResult(want, results[2]))
	require.Equal(t, head+3+3, int64(len(fx.all())))
}

// sameResult says where two results differ.
func sameResult(want, got eventstore.Result) error {
	if !want.RecordedAt.Equal(got.RecordedAt) || want.Position != got.Position || want.Count != got.Count || want.Repeated != got.Repeated {
		return &different{want, got}
	}
	return nil
}

func checkReused(t T, f Factory) {
	fx := begin(t, f)
	a := write(citizen(), 2)
	a.Command = command()
	fx.one(a)
	b := write(citizen(), 1)
	b.Command = eventstore.Command{Key: a.Command.Key, Body: [32]byte{1}}
	before := fx.all()
	_, err := fx.store.Append(fx.ctx, b)
	require.ErrorIs(t, err, eventstore.ErrCommandReused)
	_, err = fx.store.Append(fx.ctx, write(citizen(), 1), b)
	require.ErrorIs(t, err, eventstore.ErrCommandReused)
	fx.unchanged(before)

	// No command is not a command: it can come again and again.
	fx.one(write(citizen(), 1))
	c := write(citizen(), 1)
	c.Command = eventstore.Command{Body: [32]byte{7}}
	fx.append(c, c)
	fx.one(c)
}

func checkReadCommands(t T, f Factory) {
	fx := begin(t, f)
	var commands []eventstore.Command
	var want []eventstore.Known
	for i := range 40 {
		a := write(citizen(), 1+i%3)
		a.Command = command()
		result := fx.one(a)
		result.Repeated = true
		commands = append(commands, a.Command)
		want = append(want, eventstore.Known{Result: result, Found: true})
		if i%4 == 0 {
			commands = append(commands, command(), eventstore.Command{Key: a.Command.Key, Body: [32]byte{3}}, a.Command)
			want = append(want, eventstore.Known{}, eventstore.Known{Reused: true}, want[len(want)-1])
		}
	}
	got, err := fx.store.ReadCommands(fx.ctx, commands...)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].Found, got[i].Found, "command %d", i)
		require.Equal(t, want[i].Reused, got[i].Reused, "command %d", i)
		if want[i].Found {
			require.NoError(t, sameResult(want[i].Result, got[i].Result), "command %d", i)
		}
	}
	got, err = fx.store.ReadCommands(fx.ctx)
	require.NoError(t, err)
	require.Empty(t, got)
}

func checkReopened(t T, f Factory) {
	fx := begin(t, f)
	a, s := citizen(), uuid.New()
	first := write(a, 2)
	first.Command = command()
	first.Rows = []eventstore.Row{{View: "rows", Key: []byte("k"), Value: []byte("v")}}
	result := fx.one(first)
	fx.one(eventstore.Append{Events: []eventstore.Event{restricting(a, s)}})
	require.NoError(t, fx.store.Commit(fx.ctx, "rows", 0, 3, nil))
	before := fx.all()
	for range 3 {
		require.NoError(t, fx.store.Close())
		fx.store = fx.handle()
		fx.unchanged(before)
		id, err := fx.store.Identity(fx.ctx)
		require.NoError(t, err)
		require.Equal(t, fx.identity, id)
		value, err := fx.store.Get(fx.ctx, "rows", []byte("k"))
		require.NoError(t, err)
		require.Equal(t, []byte("v"), value[0])
		checkpoint, err := fx.store.Checkpoint(fx.ctx, "rows")
		require.NoError(t, err)
		require.Equal(t, int64(3), checkpoint)
		repeat := write(a, 1)
		repeat.Command = first.Command
		got := fx.one(repeat)
		result.Repeated = true
		require.NoError(t, sameResult(result, got))
		fx.refused(eventstore.ConflictGuard, guarded(write(a, 1), 2, s))
		fx.refused(eventstore.ConflictVersion, expecting(write(a, 1), a, 2))
		fx.one(expecting(write(a, 1), a, fx.version(a)))
		before = fx.all()
	}
}
