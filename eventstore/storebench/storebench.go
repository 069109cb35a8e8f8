// Package storebench loads a store as the hub does and measures what it holds: appends of two records under the whole contract by many
// writers, imports in large calls, replays in pages. The raw limits to compare with are the stores' own business.
package storebench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tellonce/hub/eventstore"
)

// Measure is what one round came to.
type Measure struct {
	Calls   int // that were accepted
	Records int // in them
	Refused int // calls that conflicted, as they were meant to
	Elapsed time.Duration
	P50     time.Duration // of accepted calls
	P99     time.Duration
}

// PerSecond is the rate of records.
func (m Measure) PerSecond() float64 { return rate(m.Records, m.Elapsed) }

func rate(n int, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}

// Write lets so many writers call for the given time, each its next call as soon as the last was answered. call returns how many
// records it wrote; an eventstore.ErrConflict counts as refused, any other error ends the round.
func Write(
	ctx context.Context, writers int, round time.Duration, call func(ctx context.Context, writer int) (int, error),
) (Measure, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	measures, took := make([]Measure, writers), make([][]time.Duration, writers)
	var group sync.WaitGroup
	began := time.Now()
	for w := range writers {
		group.Go(func() {
			m := &measures[w]
			for ctx.Err() == nil && time.Since(began) < round {
				start := time.Now()
				records, err := call(ctx, w)
				switch {
				case errors.Is(err, eventstore.ErrConflict):
					m.Refused++
				case err != nil:
					cancel(err)
				default:
					took[w] = append(took[w], time.Since(start))
					m.Calls, m.Records = m.Calls+1, m.Records+records
				}
			}
		})
	}
	group.Wait()
	total := Measure{Elapsed: time.Since(began)}
	if ctx.Err() != nil {
		return total, context.Cause(ctx)
	}
	for _, m := range measures {
		total.Calls, total.Records, total.Refused = total.Calls+m.Calls, total.Records+m.Records, total.Refused+m.Refused
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	if n := len(all); n > 0 {
		total.P50, total.P99 = all[n/2], all[n*99/100]
	}
	return total, nil
}

// Replay reads the whole log in pages and gives each to apply (nil: nothing is done with it).
func Replay(ctx context.Context, log eventstore.Log, page int, apply func([]eventstore.Recorded)) (Measure, error) {
	m, began := Measure{}, time.Now()
	for {
		records, err := log.ReadAll(ctx, int64(m.Records), page)
		if err != nil {
			return m, err
		}
		if len(records) == 0 {
			m.Elapsed = time.Since(began)
			return m, nil
		}
		if apply != nil {
			apply(records)
		}
		m.Calls, m.Records = m.Calls+1, m.Records+len(records)
	}
}

// Median is the measure in the middle by rate.
func Median(measures []Measure) Measure {
	if len(measures) == 0 {
		return Measure{}
	}
	sorted := slices.SortedFunc(slices.Values(measures), func(a, b Measure) int {
		switch {
		case a.PerSecond() < b.PerSecond():
			return -1
		case a.PerSecond() > b.PerSecond():
			return 1
		}
		return 0
	})
	return sorted[len(sorted)/2]
}
