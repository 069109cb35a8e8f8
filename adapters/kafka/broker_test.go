package kafka

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// privateBroker is a Kafka broker of the test's own, which it may kill.
type privateBroker struct {
	state string
}

func (p *privateBroker) dev(ctx context.Context, t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join("..", "..", "deploy", "dev", name), args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "KAFKA_BROKERS=") && !strings.HasPrefix(variable, "DATABASE_URL=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "TELLONCE_DEV_STATE="+p.state)
	var progress bytes.Buffer
	cmd.Stderr = &progress
	out, err := cmd.Output()
	require.NoError(t, err, progress.String())
	return string(out)
}

// up starts the broker, or starts it again with its data and on its port, and returns its address.
func (p *privateBroker) up(t *testing.T) string {
	t.Helper()
	out := p.dev(t.Context(), t, "up", "--native", "--only", "kafka")
	address, ok := strings.CutPrefix(strings.TrimSpace(out), "export KAFKA_BROKERS='")
	require.True(t, ok, out)
	return strings.TrimSuffix(address, "'")
}

// kill is SIGKILL.
func (p *privateBroker) kill(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.state, "kafka", "pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// The broker is killed (SIGKILL) while a lane publishes, twice, and comes back. With the patience that the hub has, a Send gets through
// or is undecided, and the takeover that follows finds out. Nothing is lost, nothing is there twice, and all stands in order.
func TestKilledBrokerLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	brokers(t)
	if testing.Short() {
		t.Skip("starts a broker of its own")
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("starts a broker of its own, which needs %s", program)
		}
	}
	p := &privateBroker{state: t.TempDir()}
	address := p.up(t)
	t.Cleanup(func() { p.dev(context.Background(), t, "down") })

	c := open(t, Config{Brokers: []string{address}, RequestTimeout: time.Second})
	const topic = "test.killed-broker"
	require.NoError(t, c.EnsureTopic(deadline(t), topic, 1))
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan int64, 1)
	sent := make(chan int64, 1) // the last number acknowledged, for whoever asks
	go func() { published <- publishOn(ctx, c.Lane(topic, 0, &memoryState{shared: &stored{}}), sent) }()

	for range 2 {
		await(t, sent, <-sent+1000) // it flows
		p.kill(t)
		require.Equal(t, address, p.up(t))
	}
	await(t, sent, <-sent+1000)
	stop()
	acknowledged := <-published

	got := numbersOf(readAll(t, reader{c, topic, 0}))
	require.GreaterOrEqual(t, int64(len(got)), acknowledged)
	require.Equal(t, upTo(int64(len(got))), got)
	t.Logf("%d events through two kills", len(got))
}

// publishOn takes over and sends on from the tail, again and again, as the hub does, until ctx ends; it returns the last number
// acknowledged.
func publishOn(ctx context.Context, l *Lane, sent chan int64) int64 {
	var acknowledged int64
	for ctx.Err() == nil {
		tail, err := l.TakeOver(ctx)
		for next := tail.Number + 1; err == nil; next += 50 {
			patience, cancel := context.WithTimeout(ctx, 2*time.Second)
			err = l.Send(patience, events(next, next+49))
			cancel()
			if err == nil {
				acknowledged = next + 49
				select {
				case sent <- acknowledged:
				default:
				}
			}
		}
	}
	return acknowledged
}

// await waits until at least number has been acknowledged.
func await(t *testing.T, sent <-chan int64, number int64) {
	t.Helper()
	for {
		select {
		case n := <-sent:
			if n >= number {
				return
			}
		case <-time.After(time.Minute):
			require.Fail(t, "the lane does not flow")
		}
	}
}
