package journal_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func changeOf(event any) (citizen.Change, bool) { c, ok := event.(citizen.Change); return c, ok }

func samplesChange(eventType string) citizen.Change {
	return citizen.Change{Type: eventType, Data: map[string]any{"city": "x"}}
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return at
}

// TestDayOf: midnight in Toronto is 05:00Z in winter and 04:00Z in summer; the days on which the clocks change have 23 and 25 hours.
func TestDayOf(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	for at, want := range map[string][3]string{
		"2026-01-01T04:59:59.999999Z": {"2025-12-31", "2025-12-31T05:00:00Z", "2026-01-01T05:00:00Z"},
		"2026-01-01T05:00:00Z":        {"2026-01-01", "2026-01-01T05:00:00Z", "2026-01-02T05:00:00Z"},
		"2026-07-01T03:59:59.999999Z": {"2026-06-30", "2026-06-30T04:00:00Z", "2026-07-01T04:00:00Z"},
		"2026-07-01T04:00:00Z":        {"2026-07-01", "2026-07-01T04:00:00Z", "2026-07-02T04:00:00Z"},
		"2026-03-08T05:00:00Z":        {"2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},
		"2026-03-09T03:59:59Z":        {"2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},
		"2026-11-01T04:00:00Z":        {"2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		"2026-11-02T04:59:59Z":        {"2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		"2024-02-29T12:00:00Z":        {"2024-02-29", "2024-02-29T05:00:00Z", "2024-03-01T05:00:00Z"},
	} {
		day := j.DayOf(instant(t, at))
		require.Equal(t, want[0], day.Date.String(), at)
		require.Equal(t, want[1], day.From.UTC().Format(time.RFC3339), at)
		require.Equal(t, want[2], day.Until.UTC().Format(time.RFC3339), at)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at"))
		day := j.DayOf(at)
		require.False(t, at.Before(day.From))
		require.True(t, at.Before(day.Until))
		require.Equal(t, day, j.DayOf(day.From))
		require.Equal(t, day.Until, j.DayOf(day.Until).From, "no gap between two days")
	})
}

func note(at journal.Timing, day journal.Day) journal.Step {
	return journal.Step{Timing: at, Day: day, Events: []journal.New{{
		Event: journal.AccessRefused{Route: "r", Status: 1}, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause,
	}}}
}

// TestMidnightCannotChangeTheLaw: a step that was judged by one day is not recorded on another.
func TestMidnightCannotChangeTheLaw(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	now := instant(t, "2026-01-06T04:59:59.999999Z")
	j := journaltest.New(t, journaltest.Options{Wall: true, Clock: func() time.Time { return now }})
	day := j.DayOf(j.Now(journal.Timing{Told: true}))
	require.Equal(t, "2026-01-05", day.Date.String())
	_, err := j.Append(ctx, note(journal.Timing{Told: true}, day))
	require.NoError(t, err)
	now = now.Add(time.Microsecond)
	_, err = j.Append(ctx, note(journal.Timing{Told: true}, day))
	var conflict *eventstore.Conflict
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, eventstore.ConflictWithin, conflict.Kind)
	_, err = j.Append(ctx, note(journal.Timing{Told: true}, j.DayOf(j.Now(journal.Timing{Told: true}))))
	require.NoError(t, err)
}

// TestTheGenesisClockSaysWhenThingsAreRecorded holds DESIGN.md, "Time".
func TestTheGenesisClockSaysWhenThingsAreRecorded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	wall, earlier, later := instant(t, "2026-06-01T12:00:00Z"), instant(t, "2026-01-05T18:00:00Z"), instant(t, "2026-08-01T00:00:00Z")
	epoch := time.Unix(0, 0).UTC()
	type step struct {
		timing journal.Timing
		want   time.Time
	}
	for name, test := range map[string]struct {
		wall    bool
		genesis time.Time
		steps   []step
	}{
		"log": {false, epoch, []step{
			{journal.Timing{}, epoch},                          // the head's
			{journal.Timing{Told: true, At: earlier}, earlier}, // as told
			{journal.Timing{}, earlier},                        // the head's
			{journal.Timing{Told: true}, wall},                 // the process's clock
			{journal.Timing{Told: true, At: earlier}, wall},    // never before the head
			{journal.Timing{Told: true, At: later}, later},     // ahead of the wall clock
			{journal.Timing{Told: true}, later},                // never before the head
			{journal.Timing{}, later},                          // the head's
		}},
		"wall": {true, wall, []step{{journal.Timing{}, wall}, {journal.Timing{Told: true}, wall}, {journal.Timing{Told: true, At: later}, wall}}},
	} {
		j := journaltest.New(t, journaltest.Options{Wall: test.wall, Clock: func() time.Time { return wall }})
		head, err := j.Head(ctx)
		require.NoError(t, err)
		require.Equal(t, test.genesis, head.RecordedAt, name)
		for i, s := range test.steps {
			require.Equal(t, s.want, j.Now(s.timing).UTC(), "%s %d", name, i)
			results, err := j.Append(ctx, note(s.timing, j.DayOf(j.Now(s.timing))))
			require.NoError(t, err)
			require.Equal(t, s.want, results[0].RecordedAt, "%s %d", name, i)
		}
		require.Equal(t, wall, j.Clock())
	}
}

// TestNowFollowsOtherProcesses: time that another process has recorded is seen with the head.
func TestNowFollowsOtherProcesses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	at := instant(t, "2026-01-05T18:00:00Z")
	_, err := replicas[1].Append(ctx, note(journal.Timing{Told: true, At: at}, journal.Day{}))
	require.NoError(t, err)
	require.Equal(t, time.Unix(0, 0).UTC(), replicas[0].Now(journal.Timing{}))
	_, err = replicas[0].Head(ctx)
	require.NoError(t, err)
	require.Equal(t, at, replicas[0].Now(journal.Timing{}))
}

func TestGenesisIsWrittenOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	j := journaltest.New(t, journaltest.Options{})
	require.ErrorIs(t, journal.Begin(ctx, j.Store(), journal.Genesis{LogID: uuid.New(), Generation: 1, TimeZone: "UTC"}), journal.ErrExists)
	require.ErrorIs(t, journal.Begin(ctx, j.Store(), j.Genesis()), journal.ErrExists)
	g, err := journal.ReadGenesis(ctx, j.Store())
	require.NoError(t, err)
	require.Equal(t, j.Genesis(), g)
}
