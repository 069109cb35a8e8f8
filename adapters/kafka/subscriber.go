package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// SubscriberConfig of a Subscriber. Client and Group must be set.
type SubscriberConfig struct {
	Client *Client
	// Group names the readers that share the work; each topic has a consumer group of its own, Group.topic.
	Group string
	// NackPause is how long a refused message waits before it is delivered again; 0 is 100 ms.
	NackPause time.Duration
	// Tries is how often a message is delivered before Park gets it, so that it can't block its partition for ever; 0 is without end.
	Tries int
	// Park keeps what was refused Tries times; only when it returns nil does the partition go on. Needed when Tries is set.
	Park func(context.Context, *message.Message) error
}

// Subscriber is Watermill's Subscriber on a Kafka consumer group: at least once, in order per partition, one message of a partition at a
// time. Fences' markers are skipped. What was acknowledged just before a crash or a rebalance may come again; who must not process twice
// keeps the last number of each partition with the state it led to.
type Subscriber struct {
	config SubscriberConfig
	ctx    context.Context
	stop   context.CancelFunc

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber returns a Subscriber; it connects when Subscribe is called.
func NewSubscriber(config SubscriberConfig) (*Subscriber, error) {
	if config.Client == nil || config.Group == "" {
		return nil, errors.New("kafka: a subscriber needs a client and a group")
	}
	if (config.Tries > 0) != (config.Park != nil) {
		return nil, errors.New("kafka: a subscriber parks after a number of tries: set both or neither")
	}
	if config.NackPause <= 0 {
		config.NackPause = 100 * time.Millisecond
	}
	s := &Subscriber{config: config}
	s.ctx, s.stop = context.WithCancel(config.Client.ctx)
	return s, nil
}

// Subscribe delivers a topic's messages, for a new group from the first one that the topic still has; it waits for the topic to be made.
// The channel is closed after ctx ends or Close is called, or when the broker forbids reading.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	s.config.Client.know(topic)
	ctx, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(s.ctx, cancel)
	out := make(chan *message.Message)
	s.open.Go(func() {
		defer close(out)
		defer cancel()
		defer unlink()
		s.subscribe(ctx, topic, out)
	})
	return out, nil
}

// subscribe takes part in the topic's group until ctx ends.
func (s *Subscriber) subscribe(ctx context.Context, topic string, out chan<- *message.Message) {
	c := s.config.Client
	// A group that is joined before its topic exists is given no partitions, for good.
	if _, err := c.attempt(ctx, nil, func(ctx context.Context) error { return c.topicExists(ctx, topic) }); err != nil {
		if ctx.Err() == nil {
			c.log.Error("a Kafka topic can't be read", "topic", topic, "error", err)
		}
		return
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.config.Group + "." + topic, Topics: []string{topic}, Brokers: c.config.Brokers,
		Dialer: &kafka.Dialer{
			ClientID: "tellonce", DialFunc: c.config.Dial, Timeout: c.config.RequestTimeout, TLS: c.config.TLS, SASLMechanism: c.config.SASL,
		},
		// A consumer gives its partitions up at once when a rebalance begins, so it need not be waited for long.
		HeartbeatInterval: time.Second, SessionTimeout: 10 * time.Second, RebalanceTimeout: 5 * time.Second,
		JoinGroupBackoff: 500 * time.Millisecond,
	})
	if err != nil {
		c.log.Error("a Kafka consumer group is not configured rightly", "topic", topic, "error", err)
		return
	}
	defer func() { _ = group.Close() }() // waits for the generation's functions, which send on out
	s.generations(ctx, group, topic, out)
}

// Close ends all subscriptions and waits until their channels are closed. The client is the caller's to close.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.open.Wait()
	return nil
}

// generations takes part in the group until ctx ends. A generation is the time between two rebalances.
func (s *Subscriber) generations(ctx context.Context, group *kafka.ConsumerGroup, topic string, out chan<- *message.Message) {
	for {
		generation, err := group.Next(ctx)
		if ctx.Err() != nil || errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
		if err != nil {
			// kafka-go pauses by itself before it joins again.
			s.config.Client.log.Warn("a Kafka consumer group is not to be joined at present", "topic", topic, "error", err)
			continue
		}
		for _, assignment := range generation.Assignments[topic] {
			generation.Start(func(during context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(during, cancel)()
				c := &consumer{
					reader: reader{s.config.Client, topic, assignment.ID}, config: &s.config,
					generation: generation, out: out, next: assignment.Offset, committed: assignment.Offset,
				}
				c.run(ctx)
			})
		}
	}
}

// consumer delivers one partition during one generation.
type consumer struct {
	reader
	config     *SubscriberConfig
	generation *kafka.Generation
	out        chan<- *message.Message

	next      int64 // the offset to deliver next
	committed int64 // the group's
	at        time.Time
}

// commitEvery is how often progress is stored while messages flow: a commit for each would cost a round trip each.
const commitEvery = 200 * time.Millisecond

// run delivers until ctx ends: with the generation, the subscription or the subscriber. It must not end earlier, for that would end the
// whole generation.
func (c *consumer) run(ctx context.Context) {
	defer func() { c.commit() }()
	if c.next < 0 { // a new group
		_, err := c.client.attempt(ctx, nil, func(ctx context.Context) (err error) {
			c.next, err = c.start(ctx)
			return err
		})
		if err != nil {
			c.complain(ctx, err)
			return
		}
	}
	for ctx.Err() == nil {
		_, err := c.client.attempt(ctx, nil, func(ctx context.Context) error {
			_, after, err := c.fetch(ctx, c.next, func(r *protocol.Record) error { return c.visit(ctx, r) })
			c.next = max(c.next, after)
			return err
		})
		if err != nil {
			c.complain(ctx, err)
			return
		}
		c.commit()
	}
}

func (c *consumer) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		c.client.log.Error("a Kafka subscription can't read", "topic", c.topic, "partition", c.partition, "error", err)
	}
}

// visit delivers one record and returns when it is dealt with.
func (c *consumer) visit(ctx context.Context, r *protocol.Record) error {
	if r.Offset < c.next {
		return nil
	}
	m, ok, err := toWatermill(r, c.partition)
	if err != nil {
		return err
	}
	if ok {
		if err := c.settle(ctx, m); err != nil {
			return err
		}
	}
	c.next = r.Offset + 1
	if time.Since(c.at) >= commitEvery {
		c.commit()
	}
	return nil
}

// settle delivers a message until it is acknowledged or parked.
func (c *consumer) settle(ctx context.Context, m *message.Message) error {
	for try := 1; ; try++ {
		acked, err := c.deliver(ctx, m.Copy())
		if acked || err != nil {
			return err
		}
		if c.config.Tries > 0 && try >= c.config.Tries {
			if err := c.config.Park(ctx, m.Copy()); err == nil {
				return nil
			}
			c.client.log.Warn("a message could not be parked", "topic", c.topic, "partition", c.partition, "offset", c.next)
		}
		select {
		case <-time.After(c.config.NackPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deliver hands a message over once and waits for its answer.
func (c *consumer) deliver(ctx context.Context, m *message.Message) (acked bool, err error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m.SetContext(inner)
	select {
	case c.out <- m:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-m.Acked():
		return true, nil
	case <-m.Nacked():
		return false, nil
	case <-ctx.Done():
	}
	select {
	case <-m.Acked(): // just before the end; it counts
		return true, nil
	default:
		return false, ctx.Err()
	}
}

// commit stores the group's progress. If it fails, or we stop before it, the messages since the last one come again.
func (c *consumer) commit() {
	c.at = time.Now()
	if c.next < 0 || c.next == c.committed {
		return
	}
	err := c.generation.CommitOffsets(map[string]map[int]int64{c.topic: {c.partition: c.next}})
	if err != nil {
		c.client.log.Debug("a Kafka offset was not stored", "topic", c.topic, "partition", c.partition, "error", err)
		return
	}
	c.committed = c.next
}
