package sqlite_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// opened is a store with genesis.
func opened(tb testing.TB, dir string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	begin(tb, s)
	return s
}

// begin appends genesis.
func begin(tb testing.TB, s *sqlite.Store) {
	tb.Helper()
	_, err := s.Append(context.Background(), eventstore.Append{
		Begins: &eventstore.Identity{LogID: uuid.New(), Generation: 1},
		Events: []eventstore.Event{{ID: uuid.New(), Type: "genesis", Cause: eventstore.NoCause, Payload: []byte("{}")}},
	})
	require.NoError(tb, err)
}

// tell is an append as a tell makes it: two records (600 and 300 bytes), expectations of the citizen and of the agreements, a guard and
// a command.
func tell(citizen uuid.UUID, version int32) eventstore.Append {
	a := eventstore.Aggregate{Category: eventstore.Citizen, ID: citizen}
	event := func(size int, kind string) eventstore.Event {
		e := eventstore.Event{
			ID: uuid.New(), Aggregate: a, Type: kind, Schema: 1, Cause: eventstore.NoCause, Subject: citizen, Class: eventstore.Facts,
			Payload: make([]byte, size), KeyRef: 1,
		}
		_, _ = rand.Read(e.Payload)
		_, _ = rand.Read(e.Commitment[:])
		return e
	}
	out := eventstore.Append{
		Expect: []eventstore.Expect{{Aggregate: a, Version: version}, {Aggregate: eventstore.Aggregate{Category: eventstore.Agreements}}},
		Guard:  eventstore.Guard{After: 0, Subjects: []uuid.UUID{citizen}},
		Events: []eventstore.Event{event(600, "address-changed"), event(300, "decided")},
	}
	out.Events[1].Cause = eventstore.CauseBefore(1)
	_, _ = rand.Read(out.Command.Key[:])
	_, _ = rand.Read(out.Command.Body[:])
	return out
}

// BenchmarkAppend: the whole contract, two records an append, b.N appends by so many writers, each with citizens of its own.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := opened(b, b.TempDir())
			var left atomic.Int64
			left.Store(int64(b.N))
			var wait sync.WaitGroup
			took := make([][]time.Duration, writers)
			b.ResetTimer()
			for w := range writers {
				wait.Go(func() {
					for left.Add(-1) >= 0 {
						began := time.Now()
						if _, err := s.Append(context.Background(), tell(uuid.New(), 0)); err != nil {
							b.Error(err)
							return
						}
						took[w] = append(took[w], time.Since(began))
					}
				})
			}
			wait.Wait()
			b.StopTimer()
			all := slices.Sorted(slices.Values(slices.Concat(took...)))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkImport: the same appends, 500 in a call, as an import makes them.
func BenchmarkImport(b *testing.B) {
	s := opened(b, b.TempDir())
	calls := make([][]eventstore.Append, b.N)
	for i := range calls {
		for range 500 {
			calls[i] = append(calls[i], tell(uuid.New(), 0))
		}
	}
	b.ResetTimer()
	for _, call := range calls {
		_, err := s.Append(context.Background(), call...)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReadAggregates: one aggregate of 12 records a call, as a tell loads it.
func BenchmarkReadAggregates(b *testing.B) {
	s := opened(b, b.TempDir())
	var aggregates []eventstore.Aggregate
	for range 1000 {
		id := uuid.New()
		aggregates = append(aggregates, eventstore.Aggregate{Category: eventstore.Citizen, ID: id})
		var call []eventstore.Append
		for i := range int32(6) {
			call = append(call, tell(id, 2*i))
		}
		_, err := s.Append(context.Background(), call...)
		require.NoError(b, err)
	}
	b.ReportAllocs()
	b.SetParallelism(16)
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			got, err := s.ReadAggregates(context.Background(), aggregates[int(n.Add(1))%len(aggregates)])
			if err != nil || len(got[0]) != 12 {
				b.Error(len(got[0]), err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "aggregates/s")
}

// BenchmarkCommit: folding views of one row a step, beside no appends and beside 32 writers.
func BenchmarkCommit(b *testing.B) {
	for _, followers := range []int{1, 4} {
		for _, writers := range []int{0, 32} {
			b.Run(fmt.Sprintf("%d-followers-%d-writers", followers, writers), func(b *testing.B) {
				s := opened(b, b.TempDir())
				ctx, stop := context.WithCancel(context.Background())
				var wait, background sync.WaitGroup
				var appended atomic.Int64
				for range writers {
					background.Go(func() {
						for ctx.Err() == nil {
							if _, err := s.Append(context.Background(), tell(uuid.New(), 0)); err == nil {
								appended.Add(1)
							}
						}
					})
				}
				b.ResetTimer()
				for f := range followers {
					wait.Go(func() {
						view := fmt.Sprint(f)
						for i := range int64(b.N) {
							row := eventstore.Row{View: view, Key: fmt.Append(nil, i%1000), Value: make([]byte, 100)}
							if err := s.Commit(context.Background(), view, i, i+1, []eventstore.Row{row}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wait.Wait()
				b.ReportMetric(float64(followers*b.N)/b.Elapsed().Seconds(), "commits/s")
				b.ReportMetric(float64(appended.Load())/b.Elapsed().Seconds(), "appends/s")
				b.ReportMetric(0, "ns/op")
				stop()
				background.Wait()
			})
		}
	}
}

// BenchmarkReadAll: pages of a filled log.
func BenchmarkReadAll(b *testing.B) {
	s := opened(b, b.TempDir())
	const records = 100_000
	for range records / 2 / 500 {
		var call []eventstore.Append
		for range 500 {
			call = append(call, tell(uuid.New(), 0))
		}
		_, err := s.Append(context.Background(), call...)
		require.NoError(b, err)
	}
	for _, page := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(page), func(b *testing.B) {
			b.ReportAllocs()
			read := 0
			for b.Loop() {
				for at := int64(0); ; {
					got, err := s.ReadAll(context.Background(), at, page)
					require.NoError(b, err)
					if len(got) == 0 {
						break
					}
					at += int64(len(got))
					read += len(got)
				}
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.Logf("heap in use %d MiB, from the system %d MiB", m.HeapInuse>>20, m.Sys>>20)
}
