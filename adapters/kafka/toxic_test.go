package kafka

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// link is a bad link to the broker: whatever address the client dials, it gets the proxy.
type link struct {
	*toxiproxy.Proxy
}

func newLink(t *testing.T) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	l := &link{toxiproxy.NewProxy(server, "kafka", "127.0.0.1:0", brokers(t)[0])}
	require.NoError(t, l.Start())
	t.Cleanup(l.Stop)
	return l
}

func (l *link) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	l.Lock()
	address := l.Listen
	l.Unlock()
	return new(net.Dialer).DialContext(ctx, network, address)
}

// TestToxicLink spoils the link to the broker in every way that toxiproxy knows, under load, with lanes that are patient and ones that
// aren't, and with a consumer behind the same link. When it is good again everything flows again, without a hand, and nothing is lost,
// doubled or out of order.
func TestToxicLink(t *testing.T) {
	t.Parallel()
	topic := topicName(t)
	l, registry := newLink(t), prometheus.NewRegistry()
	c := open(t, Config{Brokers: brokers(t), Dial: l.dial, RequestTimeout: 500 * time.Millisecond, Registerer: registry})
	patience := []time.Duration{10 * time.Second, 300 * time.Millisecond}
	require.NoError(t, c.EnsureTopic(deadline(t), topic, len(patience)))
	load := startLoad(t, c, topic, patience)
	seen := consumeOn(t, c, topic, len(patience))
	load.flows(t, 500)
	for _, bad := range []struct {
		name, toxics string
		flows        bool // slowly; else tries fail
	}{
		{"latency", `{"type":"latency","stream":"downstream","attributes":{"latency":100,"jitter":80}}`, true},
		{"latency of requests", `{"type":"latency","stream":"upstream","attributes":{"latency":100,"jitter":80}}`, true},
		{"little pieces", `{"type":"slicer","stream":"upstream","attributes":{"average_size":500,"size_variation":400,"delay":100}}`, true},
		{"slow close", `{"type":"slow_close","stream":"downstream","attributes":{"delay":300}}`, true},
		{"reset", `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":50}}`, false},
		{"reset at once", `{"type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`, false},
		{"cut after some bytes", `{"type":"limit_data","stream":"upstream","attributes":{"bytes":20000}}`, false},
		{"cut in the answer", `{"type":"limit_data","stream":"downstream","attributes":{"bytes":3000}}`, false},
		{"nothing comes back", `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`, false},
		{"cut", "", false},
	} {
		failed := failures(t, registry)
		if bad.toxics == "" {
			l.Stop()
		} else {
			_, err := l.Toxics.AddToxicJson(strings.NewReader(bad.toxics))
			require.NoError(t, err)
		}
		if bad.flows {
			load.flows(t, 100)
		} else {
			require.Eventually(t, func() bool { return failures(t, registry) > failed+3 }, time.Minute, 20*time.Millisecond, bad.name)
		}
		if bad.toxics == "" {
			require.NoError(t, l.Start())
		} else {
			l.Toxics.ResetToxics(t.Context())
		}
		load.flows(t, 300)
	}
	load.stop()
	found := load.check(t, open(t, Config{Brokers: brokers(t)}))
	require.Zero(t, found.lost+found.doubled+found.reordered, "%+v", found)
	t.Logf("%+v", found)
	for range found.events {
		<-seen
	}
}

// failures are the tries of all lanes that failed.
func failures(t *testing.T, registry *prometheus.Registry) (total float64) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "tellonce_kafka_retries_total" {
			for _, metric := range family.GetMetric() {
				total += metric.GetCounter().GetValue()
			}
		}
	}
	return total
}

// consumeOn reads a topic in a group and sends each number that is new. Some come again; none comes before the one that it follows.
func consumeOn(t *testing.T, c *Client, topic string, partitions int) <-chan int64 {
	t.Helper()
	s := newSubscriber(t, SubscriberConfig{Client: c, Group: "g"})
	messages, err := s.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	seen := make(chan int64, 1<<20)
	last := make([]int64, partitions)
	go func() {
		for m := range messages {
			partition, _ := strconv.Atoi(m.Metadata.Get(MetadataPartition))
			n, _ := strconv.ParseInt(m.Metadata.Get("ce_sequence"), 10, 64)
			if n > last[partition]+1 {
				t.Errorf("partition %d: %d after %d", partition, n, last[partition])
			}
			if n == last[partition]+1 {
				last[partition] = n
				seen <- n
			}
			m.Ack()
		}
	}()
	return seen
}
