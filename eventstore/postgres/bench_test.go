package postgres

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBench runs every measurement once, briefly: that they work, not what they come to. `go test -run TestBench -v` shows the figures;
// BENCH_ROUND=3s makes them worth reading.
func TestBench(t *testing.T) {
	dsn := database(t)
	config := BenchConfig{DSN: dsn, Writers: []int{1, 8}, Rounds: 1, Round: 100 * time.Millisecond, Import: 2_000, PerCall: 1_000, Pages: []int{500}}
	if round := benchRound(t); round > 0 {
		config = BenchConfig{DSN: dsn, Round: round}
		if part := os.Getenv("BENCH_PART"); part != "" {
			config.Parts = []BenchPart{BenchPart(part)}
		}
		if writers, err := strconv.Atoi(os.Getenv("BENCH_WRITERS")); err == nil {
			config.Writers = []int{writers}
		}
	}
	lines := 0
	require.NoError(t, Bench(t.Context(), config, func(l BenchLine) {
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
