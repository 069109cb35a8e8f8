package postgres

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/storebench"
)

// TestBench runs every measurement once, briefly: that they work, not what they come to. `go test -run TestBench -v` shows the figures;
// BENCH_ROUND=3s makes them worth reading.
func TestBench(t *testing.T) {
	dsn := database(t)
	config := storebench.Config{Writers: []int{1, 8}, Rounds: 1, Round: 100 * time.Millisecond, Import: 2_000, PerCall: 1_000, Pages: []int{500}}
	if round := benchRound(t); round > 0 {
		config = storebench.Config{Round: round}
		if rounds, err := strconv.Atoi(os.Getenv("BENCH_ROUNDS")); err == nil {
			config.Rounds = rounds
		}
		if part := os.Getenv("BENCH_PART"); part != "" {
			config.Parts = []storebench.Part{storebench.Part(part)}
		}
		if writers, err := strconv.Atoi(os.Getenv("BENCH_WRITERS")); err == nil {
			config.Writers = []int{writers}
		}
	}
	lines := 0
	require.NoError(t, Bench(t.Context(), dsn, config, func(l storebench.Line) {
		lines++
		t.Logf("%-32s %3d writers: %8.0f/s (p99 %6.1f ms, refused %d)  %s %8.0f/s (p99 %6.1f ms)  ratio %.2f", l.Name, l.Writers,
			l.Ours.PerSecond(), ms(l.Ours.P99), l.Ours.Refused, l.Against, l.Raw.PerSecond(), ms(l.Raw.P99), l.Ratio())
		require.Positive(t, l.Ours.Records)
		require.Positive(t, l.Raw.Records)
	}))
	require.Positive(t, lines)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func benchRound(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("BENCH_ROUND")
	if text == "" {
		return 0
	}
	round, err := time.ParseDuration(text)
	require.NoError(t, err)
	return round
}

// BenchmarkAppend is the store alone under 128 writers (or BENCH_WRITERS), for profiles.
func BenchmarkAppend(b *testing.B) {
	config := newConfig(b, database(b))
	writers, err := strconv.Atoi(os.Getenv("BENCH_WRITERS"))
	if err != nil {
		writers = 128
	}
	config.streamFrom, _ = strconv.Atoi(os.Getenv("BENCH_STREAM"))
	store, err := Open(b.Context(), config)
	require.NoError(b, err)
	defer func() { _ = store.Close() }()
	require.NoError(b, storebench.Begin(b.Context(), store))
	tells := storebench.NewTells(store, writers, citizensOfWriter, 0)
	pid := int(store.driver[0].conn.PgConn().PID())
	server, records := cpuOf(b, pid), 0
	for b.Loop() {
		m, err := storebench.Write(b.Context(), writers, 2*time.Second, tells.Call)
		require.NoError(b, err)
		records += m.Records
		b.ReportMetric(m.PerSecond(), "records/s")
		b.ReportMetric(ms(m.P99), "p99-ms")
	}
	b.ReportMetric((cpuOf(b, pid)-server)/float64(records), "server-µs/record")
	stats := store.Stats()
	b.ReportMetric(float64(stats.Members)/float64(stats.Batches), "members/batch")
	b.ReportMetric(float64(stats.Asked)/float64(stats.Batches), "asked")
	b.ReportMetric(float64(stats.Ahead)/float64(stats.Batches), "ahead")
}

// BenchmarkReplicas is four stores on one log, 32 writers in all: each has to ask and to wait for the others.
func BenchmarkReplicas(b *testing.B) {
	const replicas, writers = 4, 32
	config := newConfig(b, database(b))
	tells := make([]*storebench.Tells, replicas)
	stores := make([]*Store, replicas)
	for i := range stores {
		store, err := Open(b.Context(), config)
		require.NoError(b, err)
		defer func() { _ = store.Close() }()
		if i == 0 {
			require.NoError(b, storebench.Begin(b.Context(), store))
		}
		stores[i], tells[i] = store, storebench.NewTells(store, writers, citizensOfWriter, 0)
	}
	for b.Loop() {
		m, err := storebench.Write(b.Context(), writers, 2*time.Second, func(ctx context.Context, w int) (int, error) {
			return tells[w%replicas].Call(ctx, w)
		})
		require.NoError(b, err)
		require.Zero(b, m.Refused, "nobody expects what another writes")
		b.ReportMetric(m.PerSecond(), "records/s")
		b.ReportMetric(ms(m.P99), "p99-ms")
	}
	var batches, asked int64
	for _, store := range stores {
		batches, asked = batches+store.Stats().Batches, asked+store.Stats().Asked
	}
	b.ReportMetric(float64(asked)/float64(batches), "asked")
}

// BenchmarkLoads is what a tell reads: one citizen of 12 records and the agreements, 128 callers at once.
func BenchmarkLoads(b *testing.B) {
	const citizens, callers = 4_000, 128
	store, err := Open(b.Context(), newConfig(b, database(b)))
	require.NoError(b, err)
	defer func() { _ = store.Close() }()
	require.NoError(b, storebench.Begin(b.Context(), store))
	ids := make([]uuid.UUID, citizens)
	for n := range ids {
		ids[n] = uuid.New()
	}
	for range 6 {
		appends := make([]eventstore.Append, citizens)
		for n := range appends {
			appends[n] = change(ids[n])
			appends[n].Events[0].Payload = storebench.Noise(600)
			more := change(ids[n]).Events[0]
			more.Payload = storebench.Noise(304)
			appends[n].Events = append(appends[n].Events, more)
		}
		_, err := store.Append(b.Context(), appends...)
		require.NoError(b, err)
	}
	for b.Loop() {
		m, err := storebench.Write(b.Context(), callers, time.Second, func(ctx context.Context, w int) (int, error) {
			citizen := eventstore.Aggregate{Category: eventstore.Citizen, ID: ids[rand.IntN(citizens)]}
			got, err := store.ReadAggregates(ctx, citizen, eventstore.Aggregate{Category: eventstore.Agreements})
			if err == nil && len(got[0]) != 12 {
				err = eventstore.ErrNotFound
			}
			return 1, err
		})
		require.NoError(b, err)
		b.ReportMetric(m.PerSecond(), "loads/s")
		b.ReportMetric(ms(m.P99), "p99-ms")
	}
}
