package journal_test

import (
	"context"
	"fmt"
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

const health = "moh.health-card"

// told appends a change with its decided and returns the change's entry.
func told(t testing.TB, j *journal.Journal, id citizen.ID) journal.Entry {
	t.Helper()
	about := func(event any, cause int64) journal.New {
		return journal.New{Event: event, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: cause}
	}
	results, err := j.Append(context.Background(), journal.Step{Events: []journal.New{
		about(citizen.Change{Type: "language-changed", Data: map[string]any{"language": "fr"}}, eventstore.NoCause),
		about(journal.Decided{Decisions: []journal.Decision{}}, eventstore.CauseBefore(1)),
	}})
	require.NoError(t, err)
	entries, err := j.Read(context.Background(), results[0].Position)
	require.NoError(t, err)
	return entries[0]
}

func disclose(t testing.TB, j *journal.Journal, lane int, first int64, positions ...int64) journal.Entry {
	t.Helper()
	d := journal.Disclosed{Encoder: 1, First: first, Lane: lane, Stream: health}
	for _, p := range positions {
		d.Items = append(d.Items, journal.DisclosedItem{Agreement: "a", Kind: "fact", Position: p, Version: 1})
	}
	return put(t, j, journal.LaneAggregate(health, lane), journal.Meta{}, d)[0]
}

func answer(t testing.TB, j *journal.Journal, at time.Time, r journal.ReceiptsRecorded) time.Time {
	t.Helper()
	results, err := j.Append(context.Background(), journal.Step{Timing: journal.Timing{At: at}, Events: []journal.New{{
		Event: r, Aggregate: journal.StreamAggregate(r.Stream), Cause: eventstore.NoCause,
	}}})
	require.NoError(t, err)
	return results[0].RecordedAt
}

func TestTrailFollowsEachFact(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx, trail := context.Background(), journal.NewTrail(j)
	other := citizen.ID(uuid.New())
	mine, theirs, second := told(t, j, someone), told(t, j, other), told(t, j, someone)

	at, id, ok, err := trail.ByReceipt(ctx, journal.Receipt(theirs.ID))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, theirs.Position, at)
	require.Equal(t, other, id)
	for _, unknown := range []string{"", "000000000000", journal.Receipt(theirs.ID)[:11], "d" + journal.Receipt(theirs.ID)} {
		_, _, ok, err = trail.ByReceipt(ctx, unknown)
		require.NoError(t, err)
		require.False(t, ok, unknown)
	}

	first := disclose(t, j, 0, 1, mine.Position, theirs.Position, second.Position)
	disclose(t, j, 1, 1, second.Position)
	put(t, j, journal.LaneAggregate(health, 0), journal.Meta{}, journal.Redelivered{From: 1, To: 3, Recalled: []int64{1}, Stream: health})
	answer(t, j, time.Time{}, journal.ReceiptsRecorded{From: 1, To: 3, Lane: 0, Status: "applied", Stream: health})
	answer(t, j, time.Time{}, journal.ReceiptsRecorded{From: 1, To: 1, Lane: 1, Status: "rejected", Stream: health})
	reason := put(t, j, journal.StreamAggregate(health), journal.Meta{}, journal.ReceiptRejected{Lane: 1, Number: 1, Reason: "no", Stream: health})[0]
	given, err := trail.Given(ctx, someone)
	require.NoError(t, err)
	type line struct {
		fact, number int64
		lane         int
		status       journal.Status
		refusal      int64
	}
	var got []line
	for _, g := range given {
		require.Equal(t, health, g.Stream)
		got = append(got, line{g.Item.Position, g.Number, g.Lane, g.Status, g.Refusal})
	}
	require.Equal(t, []line{
		{mine.Position, 1, 0, journal.StatusRecalled, 0}, {second.Position, 3, 0, journal.StatusApplied, 0},
		{second.Position, 1, 1, journal.StatusRejected, reason.Position},
	}, got)
	require.Equal(t, first.Position, given[0].Position)
	require.Equal(t, first.RecordedAt, given[0].At)

	look := put(t, j, journal.AccessesAggregate, journal.Meta{}, journal.Accessed{Kind: "why", Reason: "r"})[0]
	positions, err := trail.Accesses(ctx, someone)
	require.NoError(t, err)
	require.Equal(t, []int64{look.Position}, positions)
	positions, err = trail.Accesses(ctx, other)
	require.NoError(t, err)
	require.Empty(t, positions)
}

// TestStatusesAgainstANaiveModel: ranges of answers, overlapping in every way, against a table of numbers. A page is folded at once or
// event by event.
func TestStatusesAgainstANaiveModel(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx, trail := context.Background(), journal.NewTrail(j)
	const highest = 14
	runs := 0
	clock := time.Unix(1_000_000, 0).UTC()
	rapid.Check(t, func(t *rapid.T) {
		runs++
		stream := fmt.Sprintf("moh.s%d", runs)
		answered := map[journal.Status]map[int64]time.Time{}
		for range rapid.IntRange(1, 10).Draw(t, "answers") {
			status := rapid.SampledFrom([]journal.Status{journal.StatusReceived, journal.StatusApplied, journal.StatusRejected}).Draw(t, "status")
			from := rapid.Int64Range(1, highest).Draw(t, "from")
			to := rapid.Int64Range(from, highest).Draw(t, "to")
			clock = clock.Add(time.Second)
			at, err := j.Append(ctx, journal.Step{Timing: journal.Timing{At: clock}, Events: []journal.New{{
				Event:     journal.ReceiptsRecorded{From: from, To: to, Lane: 3, Status: string(status), Stream: stream},
				Aggregate: journal.StreamAggregate(stream), Cause: eventstore.NoCause,
			}}})
			require.NoError(t, err)
			if answered[status] == nil {
				answered[status] = map[int64]time.Time{}
			}
			for n := from; n <= to; n++ {
				if answered[status][n].IsZero() {
					answered[status][n] = at[0].RecordedAt
				}
			}
			if rapid.Bool().Draw(t, "fold") {
				_, err := j.CatchUp(ctx, trail, at[0].Position+1)
				require.NoError(t, err)
			}
		}
		for n := int64(1); n <= highest+1; n++ {
			want, wantAt := journal.StatusSent, time.Time{}
			for _, s := range []journal.Status{journal.StatusReceived, journal.StatusApplied, journal.StatusRejected} {
				if at := answered[s][n]; !at.IsZero() {
					want, wantAt = s, at
				}
			}
			got, at, err := trail.Answer(ctx, stream, 3, n)
			require.NoError(t, err)
			require.Equal(t, want, got, n)
			require.Equal(t, wantAt, at, n)
			got, _, err = trail.Answer(ctx, stream, 2, n)
			require.NoError(t, err)
			require.Equal(t, journal.StatusSent, got, "another lane")
		}
	})
}

// TestLaneIsStableAndSpread: a lane depends on citizen and stream alone, and is the same in every process.
func TestLaneIsStableAndSpread(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	const people, lanes = 4000, 8
	counts, moved := [lanes]int{}, 0
	for range people {
		id := citizen.ID(uuid.New())
		lane := replicas[0].Lane(id, health, lanes)
		require.Equal(t, lane, replicas[1].Lane(id, health, lanes))
		require.Zero(t, replicas[0].Lane(id, health, 1))
		require.Zero(t, replicas[0].Lane(id, health, 0))
		counts[lane]++
		if replicas[0].Lane(id, "mto.licensing", lanes) != lane {
			moved++
		}
	}
	for lane, n := range counts { // mean 500, standard deviation 21: six of them
		require.InDelta(t, people/lanes, n, 126, "lane %d", lane)
	}
	require.Greater(t, moved, people/2, "two streams' lanes say nothing of each other")
	other := journaltest.New(t, journaltest.Options{})
	same := 0
	for i := range 64 {
		id := citizen.ID{15: byte(i)}
		if other.Lane(id, health, lanes) == replicas[0].Lane(id, health, lanes) {
			same++
		}
	}
	require.Less(t, same, 40, "lanes are keyed: another hub spreads otherwise")
}

// TestReceiptVectors: 12 Crockford characters of the last 60 bits of the event id; computed by hand.
func TestReceiptVectors(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"00000000-0000-4000-8000-000000000000": "000000000000",
		"ffffffff-ffff-4fff-bfff-ffffffffffff": "ZZZZZZZZZZZZ",
		"12345678-9abc-4def-8000-000000000001": "000000000001",
		"00000000-0000-4000-8000-00000000001f": "00000000000Z",
		"00000000-0000-4000-8000-000000000020": "000000000010",
		"00000000-0000-4000-8800-000000000000": "G00000000000",
	} {
		require.Equal(t, want, journal.Receipt(uuid.MustParse(id)), id)
	}
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Range(0, 1<<60-1).Draw(t, "bits")
		id := uuid.UUID{8: byte(v>>56) | rapid.Byte().Draw(t, "variant")&0xf0}
		for i := range 7 {
			id[9+i] = byte(v >> (48 - 8*i))
		}
		want := make([]byte, 12)
		for i := range want {
			want[i] = alphabet[v>>(55-5*i)&31]
		}
		require.Equal(t, string(want), journal.Receipt(id))
	})
}

// TestScanSeesWhatIsPending: rows that a fold has put or deleted hide the stored ones, also where only a few are asked for.
func TestScanSeesWhatIsPending(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx := context.Background()
	row := func(key, value string) eventstore.Row {
		return eventstore.Row{View: "scan", Key: []byte(key), Value: []byte(value)}
	}
	require.NoError(t, j.Store().Commit(ctx, "scan", 0, 0, []eventstore.Row{row("b", "1"), row("c", "1"), row("d", "1"), row("e", "1")}))
	view := scanView(func(tx *journal.ViewTx) {
		for key, value := range map[string][]byte{"a": []byte("2"), "b": nil, "c": nil, "d": []byte("2"), "f": []byte("2")} {
			tx.Put([]byte(key), value)
		}
		for limit, want := range map[int][]eventstore.Row{
			0: {row("a", "2"), row("d", "2"), row("e", "1"), row("f", "2")}, 1: {row("a", "2")}, 3: {row("a", "2"), row("d", "2"), row("e", "1")},
		} {
			got, err := tx.Scan(ctx, []byte("a"), []byte("g"), limit)
			require.NoError(t, err)
			require.Equal(t, want, got, limit)
		}
		got, err := tx.Scan(ctx, []byte("b"), []byte("d"), 1)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	_, err := j.CatchUp(ctx, view, 1)
	require.NoError(t, err)
}

type scanView func(tx *journal.ViewTx)

func (scanView) Name() string { return "scan" }

func (scanView) Wants(string) bool { return true }

func (v scanView) Apply(_ context.Context, tx *journal.ViewTx, _ []journal.Entry) error {
	v(tx)
	return nil
}
