package kafka

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// childTopic names, in a child's environment, the topic that it publishes to until it is killed; childState the file of its state.
const (
	childTopic = "TELLONCE_TEST_TOPIC"
	childState = "TELLONCE_TEST_STATE"
)

// fileState is a StateStore in a file, for processes that are killed. One process at a time uses it.
type fileState string

func (f fileState) Load(context.Context) (state State, ok bool, err error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	return state, err == nil, err
}

func (f fileState) Save(_ context.Context, next State) error {
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := os.WriteFile(string(f)+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(string(f)+".new", string(f))
}

// publishUntilKilled is the child: it takes over and sends on from the tail, in batches of any size. It says what is acknowledged.
func publishUntilKilled() {
	ctx := context.Background()
	c, err := Open(ctx, Config{Brokers: strings.Split(os.Getenv("KAFKA_BROKERS"), ","), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	l := c.Lane(os.Getenv(childTopic), 0, fileState(os.Getenv(childState)))
	tail, err := l.TakeOver(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("tail", tail.Number)
	for next := tail.Number + 1; ; {
		n := 1 + rand.Int64N(200)
		if err := l.Send(ctx, events(next, next+n-1)); err != nil {
			panic(err)
		}
		next += n
		fmt.Println("acknowledged", next-1)
	}
}

// A publisher is killed (SIGKILL) at any moment, twelve times over. Each successor fences, reads the tail and goes on: nothing is lost,
// nothing is there twice, and all stands in order.
func TestKilledPublisherLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	state := filepath.Join(t.TempDir(), "state")
	var acknowledged int64
	for range 12 {
		last, tail := runAndKill(t, b.topic, state)
		require.GreaterOrEqual(t, tail, acknowledged, "the tail holds all that was acknowledged")
		acknowledged = max(last, tail)
	}
	got := numbers(t, b.topic, 0)
	require.GreaterOrEqual(t, int64(len(got)), acknowledged)
	require.Equal(t, upTo(int64(len(got))), got)
	require.Greater(t, len(got), 1000, "the children did send")
}

// runAndKill runs one child for a random time after it took over, and returns its last acknowledged number and the tail it found.
func runAndKill(t *testing.T, topic, state string) (acknowledged, tail int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childTopic+"="+topic, childState+"="+state)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, number, ok := strings.Cut(lines.Text(), " ")
		require.True(t, ok, lines.Text())
		n, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err)
		if what == "tail" {
			tail = n
			time.AfterFunc(rand.N(150*time.Millisecond), func() { _ = cmd.Process.Kill() })
			continue
		}
		acknowledged = n
	}
	_ = cmd.Wait()
	require.Equal(t, "signal: killed", cmd.ProcessState.String())
	return acknowledged, tail
}

// Whatever happens to the requests, a publisher that takes over after each failure loses nothing, doubles nothing and keeps the order.
func TestRandomFaultsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	b := setupWith(t, Config{RequestTimeout: 150 * time.Millisecond})
	began, failed := time.Now(), false
	rapid.Check(t, func(rt *rapid.T) {
		if time.Since(began) > 15*time.Second && !failed {
			return // enough; but once it has failed, let rapid look for the smallest case
		}
		failed = true
		b.surviveFaults(t, rt)
		failed = false
	})
}

// surviveFaults sends a few batches through drawn faults, as the hub does: take over, send on from the tail, and again if it fails.
func (b *bundle) surviveFaults(t *testing.T, rt *rapid.T) {
	topic := topicName(t)
	require.NoError(rt, b.EnsureTopic(deadline(t), topic, 1))
	l := b.Lane(topic, 0, &memoryState{shared: &stored{}})
	b.faults.once(rapid.SliceOfN(rapid.SampledFrom([]fault{pass, dropRequest, dropAnswer, hold, swallow}), 0, 12).Draw(rt, "faults")...)
	sizes := rapid.SliceOfN(rapid.Int64Range(1, 40), 1, 8).Draw(rt, "sizes")
	patience := rapid.SampledFrom([]time.Duration{30 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second})
	var total, tail int64
	for _, n := range sizes {
		total += n
		for tail < total {
			ctx, cancel := context.WithTimeout(t.Context(), patience.Draw(rt, "patience"))
			if last, err := l.TakeOver(ctx); err == nil && l.Send(ctx, events(last.Number+1, total)) == nil {
				tail = total
			}
			cancel()
			if b.faults.holding() > 0 && rapid.Bool().Draw(rt, "release") {
				_ = b.faults.release()
			}
		}
	}
	for b.faults.holding() > 0 {
		_ = b.faults.release()
	}
	require.Equal(rt, upTo(total), numbers(t, topic, 0))
}

// Debian's kcat reads what the lane writes: an independent consumer, which checks the batches' checksums.
func TestKcatReadsTheEvents(t *testing.T) {
	t.Parallel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("needs kcat: deploy/dev/up --tools")
	}
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 3)))
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(4, 5)))
	out, err := exec.CommandContext(deadline(t), kcat, "-C", "-b", strings.Join(brokers(t), ","), "-t", b.topic, "-e", "-q",
		"-X", "check.crcs=true", "-f", `%p|%k|%h|%s\n`).Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 7)
	require.Contains(t, lines[0], "ce_type="+FenceType)
	require.Equal(t, `0|v1.citizen2|ce_specversion=1.0,ce_id=1.0.2,ce_source=https://tellonce.example/streams/test,`+
		`ce_type=tellonce.address-changed.v1,ce_sequence=000000000002,content-type=application/json|{"city":"Invented 2"}`, lines[2])
	require.Contains(t, lines[4], "ce_type="+FenceType)
	require.Contains(t, lines[6], "ce_id=1.0.5")
}
