package eventstore_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/eventstore"
)

// pages is a log that can only be read: of its positions below head, all but the missing are there. As PostgreSQL does, it answers a page
// by its range of positions.
type pages struct {
	eventstore.Log
	head    int64
	missing func(position int64) bool
	fails   int64 // the page that holds this position can't be read
}

var errRead = errors.New("the page can't be read")

func (p *pages) ReadAll(ctx context.Context, from int64, limit int) ([]eventstore.Recorded, error) {
	if p.fails > 0 && from <= p.fails && p.fails < from+int64(limit) {
		return nil, errRead
	}
	var out []eventstore.Recorded
	for at := from; at < min(from+int64(limit), p.head); at++ {
		if p.missing == nil || !p.missing(at) {
			out = append(out, eventstore.Recorded{Position: at})
		}
	}
	return out, ctx.Err()
}

func positions(_ context.Context, recs []eventstore.Recorded) ([]int64, error) {
	out := make([]int64, len(recs))
	for i := range recs {
		out[i] = recs[i].Position
	}
	return out, nil
}

// TestReadAheadGivesEveryRecordInOrder, whatever is missing.
func TestReadAheadGivesEveryRecordInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		log := &pages{head: rapid.Int64Range(0, 15000).Draw(t, "head")}
		gap := rapid.Int64Range(0, 12000).Draw(t, "gap")
		length := rapid.Int64Range(0, 7000).Draw(t, "length")
		log.missing = func(at int64) bool { return at >= gap && at < gap+length }
		from := rapid.Int64Range(0, 16000).Draw(t, "from")
		to := rapid.Int64Range(0, log.head).Draw(t, "to")
		var want, got []int64
		for at := from; at < to; at++ {
			if !log.missing(at) {
				want = append(want, at)
			}
		}
		require.NoError(t, eventstore.ReadAhead(context.Background(), log, from, to, positions, func(page []int64) error {
			got = append(got, page...)
			return nil
		}))
		require.Equal(t, want, got)
	})
}

// TestReadAheadGoesOnBehindALongGap, longer than a page.
func TestReadAheadGoesOnBehindALongGap(t *testing.T) {
	t.Parallel()
	log := &pages{head: 9000, missing: func(at int64) bool { return at >= 1000 && at < 8990 }}
	n := 0
	require.NoError(t, eventstore.ReadAhead(t.Context(), log, 0, 9000, positions, func(page []int64) error { n += len(page); return nil }))
	require.Equal(t, 1010, n)
}

// TestReadAheadWorksSideBySide: work on a page that waits for the work on the next is no deadlock, and the order is kept.
func TestReadAheadWorksSideBySide(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	work := func(ctx context.Context, recs []eventstore.Recorded) ([]int64, error) {
		switch recs[0].Position {
		case 0:
			<-second
		case 2000:
			close(second)
		}
		return positions(ctx, recs)
	}
	next := int64(0)
	require.NoError(t, eventstore.ReadAhead(t.Context(), &pages{head: 9000}, 0, 9000, work, func(page []int64) error {
		require.Equal(t, next, page[0])
		next += int64(len(page))
		return nil
	}))
	require.Equal(t, int64(9000), next)
}

// TestReadAheadKeepsFewPages in memory, however slow fn is.
func TestReadAheadKeepsFewPages(t *testing.T) {
	t.Parallel()
	var read atomic.Int64
	work := func(ctx context.Context, recs []eventstore.Recorded) ([]int64, error) {
		read.Add(1)
		return positions(ctx, recs)
	}
	taken, most := int64(0), int64(0)
	require.NoError(t, eventstore.ReadAhead(t.Context(), &pages{head: 400_000}, 0, 400_000, work, func([]int64) error {
		for range 200 {
			runtime.Gosched()
		}
		most = max(most, read.Load()-taken)
		taken++
		return nil
	}))
	require.Equal(t, int64(200), taken)
	require.LessOrEqual(t, most, int64(runtime.GOMAXPROCS(0))+2)
}

// TestReadAheadEndsWithTheFirstError of reading, work or fn, or with the caller's context.
func TestReadAheadEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	errWork, errFn := errors.New("work"), errors.New("fn")
	for name, test := range map[string]struct {
		work, fn, read int64 // the position at which each fails; 0: never
		cancel         bool
		want           error
		taken          int64
	}{
		"reading": {read: 6500, want: errRead, taken: 6000},
		"work":    {work: 4000, want: errWork, taken: 4000},
		"fn":      {fn: 2000, want: errFn, taken: 2000},
		"context": {cancel: true, want: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.cancel {
				cancel()
			}
			taken := int64(0)
			err := eventstore.ReadAhead(ctx, &pages{head: 100_000, fails: test.read}, 0, 100_000, func(ctx context.Context, recs []eventstore.Recorded) ([]int64, error) {
				if test.work > 0 && recs[0].Position == test.work {
					return nil, errWork
				}
				return positions(ctx, recs)
			}, func(page []int64) error {
				if test.fn > 0 && page[0] == test.fn {
					return errFn
				}
				taken += int64(len(page))
				return nil
			})
			require.ErrorIs(t, err, test.want)
			require.LessOrEqual(t, taken, test.taken)
		})
	}
}
