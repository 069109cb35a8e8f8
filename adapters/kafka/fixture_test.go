package kafka

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childTopic) != "" {
		publishUntilKilled()
		return
	}
	goleak.VerifyTestMain(m,
		// What others leave behind: Watermill's suite doesn't close a channel, toxiproxy's links wait for bytes that nobody takes.
		goleak.IgnoreTopFunction("github.com/ThreeDotsLabs/watermill/pubsub/tests.TestReconnect.func2"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
	)
}

// brokers returns the addresses of a real broker; without one the test is skipped, or fails where servers are required.
func brokers(t testing.TB) []string {
	t.Helper()
	addresses := os.Getenv("KAFKA_BROKERS")
	if addresses == "" {
		if os.Getenv("TELLONCE_REQUIRE_SERVERS") == "1" {
			t.Fatal("KAFKA_BROKERS is not set, and TELLONCE_REQUIRE_SERVERS is")
		}
		t.Skip(`needs Kafka: eval "$(deploy/dev/up)"`)
	}
	return strings.Split(addresses, ",")
}

// bundle is a client with faults between it and the broker, one topic of its own, and one lane of it.
type bundle struct {
	*Client
	faults   *faults
	topic    string
	lane     *Lane
	state    *memoryState
	registry *prometheus.Registry
}

func setup(t testing.TB) *bundle {
	t.Helper()
	return setupWith(t, Config{RequestTimeout: time.Second})
}

func setupWith(t testing.TB, config Config) *bundle {
	t.Helper()
	b := &bundle{faults: newFaults(), state: &memoryState{shared: &stored{}}, topic: topicName(t), registry: prometheus.NewRegistry()}
	config.Brokers, config.Dial, config.Registerer = brokers(t), b.faults.dial, b.registry
	b.Client = open(t, config)
	require.NoError(t, b.EnsureTopic(deadline(t), b.topic, 1))
	b.lane = b.Lane(b.topic, 0, b.state)
	return b
}

func open(t testing.TB, config Config) *Client {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// topicName returns a topic's name of the test's own; the topic is deleted when the test ends.
func topicName(t testing.TB) string {
	t.Helper()
	brokers(t)
	topic := "test." + strings.ToLower(rand.Text())
	deleteAfterwards(t, topic)
	return topic
}

// deleteAfterwards deletes a topic when the test ends, and those that Watermill's suite makes by adding to its name.
func deleteAfterwards(t testing.TB, topic string) {
	t.Helper()
	addr := kafka.TCP(brokers(t)...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		transport := &kafka.Transport{Context: ctx}
		defer transport.CloseIdleConnections()
		client := &kafka.Client{Addr: addr, Transport: transport}
		metadata, err := client.Metadata(ctx, new(kafka.MetadataRequest))
		if err != nil {
			return // it only leaves a topic behind
		}
		var topics []string
		for _, found := range metadata.Topics {
			if strings.HasPrefix(found.Name, topic) {
				topics = append(topics, found.Name)
			}
		}
		_, _ = client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: topics})
	})
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// soon is a context that ends while a test's faults are still on.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// memoryState is a StateStore. Several of them over one stored are several processes on one database.
type memoryState struct {
	shared *stored
	seen   int // version at the last Load or Save
}

type stored struct {
	sync.Mutex
	state   State
	version int
}

func (m *memoryState) Load(context.Context) (State, bool, error) {
	m.shared.Lock()
	defer m.shared.Unlock()
	m.seen = m.shared.version
	return m.shared.state, m.shared.version > 0, nil
}

func (m *memoryState) Save(_ context.Context, next State) error {
	m.shared.Lock()
	defer m.shared.Unlock()
	if m.seen != m.shared.version {
		return errConflict
	}
	m.shared.state = next
	m.shared.version++
	m.seen = m.shared.version
	return nil
}

var errConflict = fmt.Errorf("someone else has stored a state")

// events returns messages with the numbers from first to last, as the hub would encode them.
func events(first, last int64) []Message {
	var out []Message
	for n := first; n <= last; n++ {
		out = append(out, event(n))
	}
	return out
}

func event(n int64) Message {
	return Message{
		Number: n,
		Key:    fmt.Appendf(nil, "v1.citizen%d", n%7),
		Headers: []Header{
			{"ce_specversion", "1.0"}, {"ce_id", fmt.Sprintf("1.0.%d", n)}, {"ce_source", "https://tellonce.example/streams/test"},
			{"ce_type", "tellonce.address-changed.v1"}, {"ce_sequence", fmt.Sprintf("%012d", n)}, {"content-type", "application/json"},
		},
		Value: fmt.Appendf(nil, `{"city":"Invented %d"}`, n),
	}
}

// record is what a consumer sees.
type record struct {
	offset  int64
	key     string
	value   string
	null    bool // the value
	headers []protocol.Header
}

func (r record) header(key string) string { return header(&protocol.Record{Headers: r.headers}, key) }

// consume reads a partition from its beginning to its end, through a client of its own without faults.
func consume(t testing.TB, topic string, partition int) []record {
	t.Helper()
	return readAll(t, reader{open(t, Config{Brokers: brokers(t)}), topic, partition})
}

// numbers returns the numbers of a partition's events in order; fences are left out.
func numbers(t testing.TB, topic string, partition int) []int64 {
	t.Helper()
	return numbersOf(consume(t, topic, partition))
}

func readAll(t testing.TB, from reader) []record {
	t.Helper()
	var out []record
	eachRecord(t, from, func(r *protocol.Record) {
		key, err := protocol.ReadAll(r.Key)
		require.NoError(t, err)
		value, err := protocol.ReadAll(r.Value)
		require.NoError(t, err)
		headers := append([]protocol.Header(nil), r.Headers...)
		out = append(out, record{r.Offset, string(key), string(value), value == nil, headers})
	})
	return out
}

// eachNumber visits the numbers of a partition's events in order.
func eachNumber(t testing.TB, from reader, visit func(int64)) {
	t.Helper()
	eachRecord(t, from, func(r *protocol.Record) {
		if n, ok := numberOf(r); ok {
			visit(n)
		}
	})
}

// eachRecord visits what is in a partition now. A batch is visited from its beginning, so that offsets before are to be left out.
func eachRecord(t testing.TB, from reader, visit func(*protocol.Record)) {
	t.Helper()
	from.client.know(from.topic)
	var end int64
	_, err := from.client.attempt(deadline(t), nil, func(ctx context.Context) error {
		answer, err := from.client.kafka().ListOffsets(ctx, &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{from.topic: {kafka.LastOffsetOf(from.partition)}},
		})
		if err != nil {
			return err
		}
		end = answer.Topics[from.topic][0].LastOffset
		return answer.Topics[from.topic][0].Error
	})
	require.NoError(t, err)
	next := int64(0)
	_, err = from.read(t.Context(), 0, end, func(r *protocol.Record) {
		if r.Offset >= next {
			next = r.Offset + 1
			visit(r)
		}
	})
	require.NoError(t, err)
}

func numbersOf(records []record) []int64 {
	out := []int64{}
	for _, r := range records {
		if n, ok := numberOf(&protocol.Record{Headers: r.headers}); ok {
			out = append(out, n)
		}
	}
	return out
}

// upTo returns 1 … n.
func upTo(n int64) []int64 {
	out := []int64{}
	for i := int64(1); i <= n; i++ {
		out = append(out, i)
	}
	return out
}

var _ io.Closer = (*Client)(nil)
