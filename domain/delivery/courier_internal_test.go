package delivery

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func TestALedgerIsWhatWasNoted(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		ctx, at := context.Background(), time.UnixMicro(1_700_000_000_123_456)
		open := func(generation int) *ledger {
			l, err := openLedger(ctx, j.Store(), "courier/test/0", generation)
			require.NoError(t, err)
			return l
		}
		l := open(1)
		l.take(40)
		l.looked = 17
		l.note()
		l.hold(held{number: 12, key: "a", attempts: 3, next: at, code: "http-500"})
		l.hold(held{number: 13, key: "a"})
		l.hold(held{number: 14, key: "b"})
		l.ask(askedRange{position: 9, from: 1, to: 1000})
		l.ask(askedRange{position: 10, from: 5, to: 6})
		require.NoError(t, l.commit(ctx))
		l.drop(14)
		l.ask(askedRange{position: 9, from: 501, to: 1000})
		l.ask(askedRange{position: 10, from: 7, to: 6})
		require.NoError(t, l.commit(ctx))

		again := open(1)
		require.Equal(t, []int64{40, 17, 1}, []int64{again.taken, again.looked, int64(again.generation)})
		require.Equal(t, map[int64]*held{12: {number: 12, attempts: 3, next: at, code: "http-500"}, 13: {number: 13}}, again.held)
		require.Equal(t, []askedRange{{position: 9, from: 501, to: 1000}}, again.asked)

		again.take(41)
		require.NoError(t, again.commit(ctx))
		l.take(50)
		require.ErrorIs(t, l.commit(ctx), eventstore.ErrConflict, "of two couriers the second to write is refused")
		require.Equal(t, int64(41), open(1).taken)

		next := open(2) // a generation numbers anew
		require.Zero(t, next.taken)
		require.Empty(t, next.held)
		require.NoError(t, next.commit(ctx))
		require.Equal(t, 2, open(2).generation)
		require.Empty(t, open(2).asked)
	})
}

// TestWhatIsReady compares ready with the rule in plain words: the lowest number that is due and has no earlier one of the same person, or, where
// nobody can say whose it is, none at all; and behind it what was never refused and waits for nothing else.
func TestWhatIsReady(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{held: map[int64]*held{}, chains: map[string][]int64{}, dirty: map[string][]byte{}}
		for number := int64(1); number <= 12; number++ {
			h := held{number: number, key: rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "key"), attempts: rapid.IntRange(0, 1).Draw(t, "attempts")}
			if rapid.IntRange(0, 3).Draw(t, "later") == 0 {
				h.next = now.Add(time.Duration(number) * time.Second)
			}
			if l.hold(h); rapid.IntRange(0, 2).Draw(t, "gone") == 0 {
				l.drop(number)
			}
		}
		free := func(number, but int64) bool {
			for other, h := range l.held {
				if other < number && other < but && (h.key == l.held[number].key || l.held[number].key == "") {
					return false
				}
			}
			return true
		}
		var want []int64
		var due time.Time
		for number := int64(1); number <= 12; number++ {
			h := l.held[number]
			switch {
			case len(want) > 0 && (want[len(want)-1] != number-1 || l.held[want[0]].attempts > 0):
			case len(want) > 0:
				if h != nil && h.attempts == 0 && !h.next.After(now) && free(number, want[0]) && len(want) < 5 {
					want = append(want, number)
				}
			case h != nil && !h.next.After(now) && free(number, number):
				want = append(want, number)
			}
			if h != nil && h.next.After(now) && free(number, number) && (due.IsZero() || h.next.Before(due)) {
				due = h.next
			}
		}
		from, to, next := l.ready(now, 5, false)
		var got []int64
		for n := from; n > 0 && n <= to; n++ {
			got = append(got, n)
		}
		require.Equal(t, want, got)
		require.Equal(t, due, next)
		for _, key := range []string{"a", "b", "c", ""} {
			behind := slices.ContainsFunc(slices.Collect(maps.Values(l.held)), func(h *held) bool { return h.number < 7 && (h.key == key || key == "") })
			require.Equal(t, behind, l.behind(7, key))
		}
	})
}
