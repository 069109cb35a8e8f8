package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/segmentio/kafka-go/protocol"
)

// Metadata of a Watermill message that is not a header of its record. A Publisher reads the first two, a Subscriber sets all.
const (
	MetadataKey       = "kafka_key"       // the record's key
	MetadataPartition = "kafka_partition" // the record's partition, decimal; a Publisher without it takes a hash of the key
	MetadataOffset    = "kafka_offset"    // the record's offset, decimal
)

// uuidHeader carries the UUID of a message that is no CloudEvent, under the name that Watermill's own Kafka package uses.
const uuidHeader = "_watermill_message_uuid"

// PublisherConfig of a Publisher. Client and State must be set.
type PublisherConfig struct {
	Client *Client
	// State returns the store of one lane's producer id and epoch.
	State func(topic string, partition int) StateStore
	// Partitions is the number of partitions of a topic, which is made if it is missing; nil is one for every topic.
	Partitions func(topic string) int
	// Timeout bounds one Publish; 0 is 10 s.
	Timeout time.Duration
}

// Publisher is Watermill's Publisher on lanes: synchronous, in order per partition. It takes a lane over when it first needs it, and again
// after Publish reported *Undecided. A lane that was *Refused or *Fenced stays stopped.
type Publisher struct {
	config PublisherConfig

	mu     sync.Mutex
	closed bool
	topics map[string]*publisherTopic
}

var _ message.Publisher = (*Publisher)(nil)

var errClosed = errors.New("kafka: closed")

// publisherTopic is one topic's lanes. Its lock is held while the topic is made.
type publisherTopic struct {
	mu    sync.Mutex
	lanes []*publisherLane
}

// publisherLane is a lane and whether it may be used. Its lock is held while the lane is taken over, so that this is done once however
// many callers saw it fail.
type publisherLane struct {
	*Lane
	mu    sync.Mutex
	ready bool
	turns int // how often it was taken over
}

// NewPublisher returns a Publisher; it connects when it is first used.
func NewPublisher(config PublisherConfig) (*Publisher, error) {
	if config.Client == nil || config.State == nil {
		return nil, errors.New("kafka: a publisher needs a client and a store for its producer state")
	}
	if config.Partitions == nil {
		config.Partitions = func(string) int { return 1 }
	}
	if config.Timeout <= 0 {
		config.Timeout = 10 * time.Second
	}
	return &Publisher{config: config, topics: make(map[string]*publisherTopic)}, nil
}

// Publish sends messages and returns when all are acknowledged. Metadata become headers, in the order of their names; a message's UUID is
// its ce_id, else a header of its own. It ends with the first message's context, too. After an error some messages may be in the topic:
// *Undecided says between which numbers (ce_sequence).
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(messages[0].Context(), p.config.Timeout)
	defer cancel()
	lanes, err := p.lanes(ctx, topic)
	if err != nil {
		return err
	}
	batches := make([][]Message, len(lanes))
	for _, m := range messages {
		partition, err := partitionOf(m, len(lanes))
		if err != nil {
			return err
		}
		batches[partition] = append(batches[partition], fromWatermill(m))
	}
	for partition, batch := range batches {
		if len(batch) == 0 {
			continue
		}
		if err := lanes[partition].send(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// Close lets no further Publish begin. The client is the caller's to close.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *Publisher) lanes(ctx context.Context, name string) ([]*publisherLane, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	topic := p.topics[name]
	if topic == nil {
		topic = new(publisherTopic)
		p.topics[name] = topic
	}
	p.mu.Unlock()

	topic.mu.Lock()
	defer topic.mu.Unlock()
	if topic.lanes != nil {
		return topic.lanes, nil
	}
	partitions := p.config.Partitions(name)
	if err := p.config.Client.EnsureTopic(ctx, name, partitions); err != nil {
		return nil, err
	}
	for i := range partitions {
		topic.lanes = append(topic.lanes, &publisherLane{Lane: p.config.Client.Lane(name, i, p.config.State(name, i))})
	}
	return topic.lanes, nil
}

func (l *publisherLane) send(ctx context.Context, batch []Message) error {
	l.mu.Lock()
	if !l.ready {
		if _, err := l.TakeOver(ctx); err != nil {
			l.mu.Unlock()
			return err
		}
		l.ready = true
		l.turns++
	}
	turn := l.turns
	l.mu.Unlock()

	err := l.Send(ctx, batch)
	if undecided := (*Undecided)(nil); errors.As(err, &undecided) {
		l.mu.Lock()
		if l.turns == turn { // else someone has taken over since
			l.ready = false
		}
		l.mu.Unlock()
	}
	return err
}

func partitionOf(m *message.Message, partitions int) (int, error) {
	if text := m.Metadata.Get(MetadataPartition); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n >= partitions {
			return 0, fmt.Errorf("kafka: message %s asks for partition %q of %d", m.UUID, text, partitions)
		}
		return n, nil
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(m.Metadata.Get(MetadataKey)))
	return int(hash.Sum32() % uint32(partitions)), nil // #nosec G115 -- partitions is small and positive
}

func fromWatermill(m *message.Message) Message {
	out := Message{Value: m.Payload}
	if out.Value == nil {
		out.Value = []byte{}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Metadata)) {
		switch value := m.Metadata[name]; name {
		case MetadataKey:
			out.Key = []byte(value)
		case MetadataPartition, MetadataOffset:
		case "ce_sequence":
			out.Number, _ = strconv.ParseInt(value, 10, 64)
			fallthrough
		default:
			out.Headers = append(out.Headers, Header{name, value})
		}
	}
	if m.UUID != "" && m.Metadata.Get("ce_id") != m.UUID {
		out.Headers = append(out.Headers, Header{uuidHeader, m.UUID})
	}
	return out
}

// toWatermill returns a new message, with memory of its own; ok is false for a fence's marker.
func toWatermill(r *protocol.Record, partition int) (m *message.Message, ok bool, err error) {
	if strings.HasPrefix(header(r, "ce_type"), FencePrefix) {
		return nil, false, nil
	}
	key, err := protocol.ReadAll(r.Key)
	if err != nil {
		return nil, false, err
	}
	value, err := protocol.ReadAll(r.Value)
	if err != nil {
		return nil, false, err
	}
	uuid := header(r, uuidHeader)
	if uuid == "" {
		uuid = header(r, "ce_id")
	}
	m = message.NewMessage(uuid, value)
	for _, h := range r.Headers {
		if h.Key != uuidHeader {
			m.Metadata.Set(h.Key, string(h.Value))
		}
	}
	if key != nil {
		m.Metadata.Set(MetadataKey, string(key))
	}
	m.Metadata.Set(MetadataPartition, strconv.Itoa(partition))
	m.Metadata.Set(MetadataOffset, strconv.FormatInt(r.Offset, 10))
	return m, true, nil
}
