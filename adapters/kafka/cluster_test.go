package kafka

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// cluster is Kafka brokers of the test's own, which it may kill.
type cluster struct {
	state string
	// addresses are of the listener in the clear; sasl and mtls are those of a cluster with certificates.
	addresses, sasl, mtls []string
}

// oneCluster is held by the test that has a cluster: a broker needs half a processor and 300 MB.
var oneCluster = make(chan struct{}, 1)

// newCluster starts n brokers, with rights and TLS if certs is a folder of certificates. It skips where that can't be done.
func newCluster(t *testing.T, n int, certs string) *cluster {
	t.Helper()
	brokers(t)
	if testing.Short() {
		t.Skip("starts brokers of its own")
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			require.Empty(t, os.Getenv(leaderKills), "that is what was asked for")
			t.Skipf("starts brokers of its own, which needs %s", program)
		}
	}
	oneCluster <- struct{}{}
	t.Cleanup(func() { <-oneCluster })
	c := &cluster{state: t.TempDir()}
	args := []string{"up", strconv.Itoa(n)}
	if certs != "" {
		args = append(args, "--secure", certs)
	}
	t.Cleanup(func() { c.do(context.Background(), t, "down") })
	out := c.do(t.Context(), t, args...)
	for _, line := range regexp.MustCompile(`(?m)^export (\w+)='(.*)'$`).FindAllStringSubmatch(out, -1) {
		list := strings.Split(line[2], ",")
		switch line[1] {
		case "KAFKA_BROKERS":
			c.addresses = list
		case "KAFKA_SASL":
			c.sasl = list
		case "KAFKA_MTLS":
			c.mtls = list
		}
	}
	require.Len(t, c.addresses, n, out)
	return c
}

func (c *cluster) do(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, script, args...)
	cmd.Env = append(os.Environ(), "TELLONCE_DEV_STATE="+c.state)
	var progress bytes.Buffer
	cmd.Stderr = &progress
	out, err := cmd.Output()
	require.NoError(t, err, progress.String())
	return string(out)
}

var script = filepath.Join("..", "..", "deploy", "dev", "brokers")

// kill is SIGKILL to one broker, start brings it back with its data and on its port.
func (c *cluster) kill(t *testing.T, broker int) {
	t.Helper()
	c.do(t.Context(), t, "kill", strconv.Itoa(broker))
}

func (c *cluster) start(t *testing.T, broker int) {
	t.Helper()
	c.do(t.Context(), t, "start", strconv.Itoa(broker))
}

// restart is a command that kills a broker and starts it again, for who wants it as such.
func (c *cluster) restart(broker int) []string {
	n := strconv.Itoa(broker)
	return []string{"env", "TELLONCE_DEV_STATE=" + c.state, "bash", "-euc", script + " kill " + n + "; " + script + " start " + n}
}

// eventually asks the cluster for a topic's partitions until they are as the test wants them.
func eventually(t *testing.T, c *Client, topic string, want func([]kafka.Partition) bool) []kafka.Partition {
	t.Helper()
	var partitions []kafka.Partition
	_, err := c.attempt(deadline(t), nil, func(ctx context.Context) error {
		answer, err := c.kafka().Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		if partitions = answer.Topics[0].Partitions; answer.Topics[0].Error == nil && want(partitions) {
			return nil
		}
		return io.ErrNoProgress
	})
	require.NoError(t, err)
	return partitions
}
