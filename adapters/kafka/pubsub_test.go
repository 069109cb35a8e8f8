package kafka

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"
)

// memoryStates is a StateStore for every lane.
type memoryStates struct {
	mu    sync.Mutex
	lanes map[string]*stored
}

func (m *memoryStates) of(topic string, partition int) StateStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := topic + "/" + strconv.Itoa(partition)
	if m.lanes == nil {
		m.lanes = map[string]*stored{}
	}
	if m.lanes[name] == nil {
		m.lanes[name] = &stored{}
	}
	return &memoryState{shared: m.lanes[name]}
}

func newPublisher(t testing.TB, c *Client, partitions int) *Publisher {
	t.Helper()
	p, err := NewPublisher(PublisherConfig{
		Client: c, State: new(memoryStates).of, Partitions: func(string) int { return partitions },
	})
	require.NoError(t, err)
	return p
}

func newSubscriber(t testing.TB, config SubscriberConfig) *Subscriber {
	t.Helper()
	s, err := NewSubscriber(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// cloudEvent is the hub's event n as a Watermill message.
func cloudEvent(n int64, partition int) *message.Message {
	e := event(n)
	m := message.NewMessage("1.0."+strconv.FormatInt(n, 10), e.Value)
	for _, h := range e.Headers {
		m.Metadata.Set(h.Key, h.Value)
	}
	m.Metadata.Set(MetadataKey, string(e.Key))
	m.Metadata.Set(MetadataPartition, strconv.Itoa(partition))
	return m
}

// Watermill's own suite, which every Pub/Sub should pass.
func TestWatermillSuite(t *testing.T) {
	t.Parallel()
	c := open(t, Config{Brokers: brokers(t)})
	create := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		t.Helper()
		p := newPublisher(t, c, 1)
		s, err := NewSubscriber(SubscriberConfig{Client: c, Group: group, NackPause: time.Millisecond})
		require.NoError(t, err)
		return p, s
	}
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups: true, GuaranteedOrder: true, Persistent: true, ForceShort: true,
		GenerateTopicFunc: func(tests.TestContext) string { return topicName(t) },
	}, func(t *testing.T) (message.Publisher, message.Subscriber) { return create(t, "suite") }, create)
}

func TestPublisherWritesCloudEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := newPublisher(t, b.Client, 1)
	require.NoError(t, p.Publish(b.topic, cloudEvent(1, 0), cloudEvent(2, 0)))
	require.NoError(t, p.Publish(b.topic))
	got := consume(t, b.topic, 0)[1:]
	require.Len(t, got, 2)
	require.Equal(t, "v1.citizen2", got[1].key)
	require.Equal(t, "1.0.2", got[1].header("ce_id"))
	require.Empty(t, got[1].header(uuidHeader), "a CloudEvent has its id already")
	require.Equal(t, int64(2), takeOver(t, b.lane).Number)
	require.NoError(t, p.Close())
	require.ErrorIs(t, p.Publish(b.topic, cloudEvent(3, 0)), errClosed)
}

func TestPublisherChoosesThePartition(t *testing.T) {
	t.Parallel()
	c := open(t, Config{Brokers: brokers(t)})
	topic := topicName(t)
	p := newPublisher(t, c, 3)
	for n := range int64(30) {
		require.NoError(t, p.Publish(topic, cloudEvent(n+1, int(n%3))))
	}
	for partition := range 3 {
		got := numbers(t, topic, partition)
		require.Len(t, got, 10)
		for _, n := range got {
			require.Equal(t, partition, int((n-1)%3))
		}
	}
	for _, wrong := range []string{"3", "-1", "x"} {
		m := cloudEvent(31, 0)
		m.Metadata.Set(MetadataPartition, wrong)
		require.Error(t, p.Publish(topic, m))
	}
	// Without a partition, the key decides.
	seen := map[string]int{}
	for n := range int64(40) {
		m := cloudEvent(100+n, 0)
		delete(m.Metadata, MetadataPartition)
		partition, err := partitionOf(m, 3)
		require.NoError(t, err)
		if first, ok := seen[m.Metadata.Get(MetadataKey)]; ok {
			require.Equal(t, first, partition)
		}
		seen[m.Metadata.Get(MetadataKey)] = partition
	}
	require.Len(t, seen, 7)
}

// After an undecided Publish the next one takes the lane over by itself; a refused lane waits for a human.
func TestPublisherAfterAnError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := newPublisher(t, b.Client, 1)
	require.NoError(t, p.Publish(b.topic, cloudEvent(1, 0)))
	b.faults.always(swallow)
	var undecided *Undecided
	impatient := cloudEvent(2, 0)
	impatient.SetContext(soon(t))
	require.ErrorAs(t, p.Publish(b.topic, impatient), &undecided)
	require.Equal(t, []int64{2, 2}, []int64{undecided.First, undecided.Last})
	b.faults.always(pass)
	var wg sync.WaitGroup
	for n := range int64(8) {
		wg.Go(func() { require.NoError(t, p.Publish(b.topic, cloudEvent(2+n, 0))) })
	}
	wg.Wait()
	require.ElementsMatch(t, upTo(9), numbers(t, b.topic, 0))
	require.Equal(t, 2, p.topics[b.topic].lanes[0].turns, "taken over once, not by each")

	large := cloudEvent(10, 0)
	large.Payload = make([]byte, 2<<20)
	var refused *Refused
	require.ErrorAs(t, p.Publish(b.topic, large), &refused)
	require.ErrorAs(t, p.Publish(b.topic, cloudEvent(10, 0)), &refused)
}

func TestSubscriberSkipsFencesAndResumes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range int64(2) {
		takeOver(t, b.lane)
		require.NoError(t, b.lane.Send(deadline(t), events(10*n+1, 10*n+10)))
	}
	var got []string
	for range 4 {
		s := newSubscriber(t, SubscriberConfig{Client: b.Client, Group: "g"})
		messages, err := s.Subscribe(t.Context(), b.topic)
		require.NoError(t, err)
		for range 5 {
			m := <-messages
			got = append(got, m.UUID)
			require.Equal(t, "0", m.Metadata.Get(MetadataPartition))
			require.NotEmpty(t, m.Metadata.Get(MetadataKey))
			require.True(t, m.Ack())
		}
		require.NoError(t, s.Close())
		_, open := <-messages
		require.False(t, open)
		_, err = s.Subscribe(t.Context(), b.topic)
		require.ErrorIs(t, err, errClosed)
	}
	var want []string
	for n := range 20 {
		want = append(want, "1.0."+strconv.Itoa(n+1))
	}
	require.Equal(t, want, got, "Close stores what was acknowledged")
}

// An acknowledgement counts even if everything ends at the same moment.
func TestAckJustBeforeTheEndCounts(t *testing.T) {
	t.Parallel()
	for range 200 {
		out := make(chan *message.Message)
		c := &consumer{config: &SubscriberConfig{}, out: out}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			m := <-out
			m.Ack()
			cancel()
		}()
		acked, err := c.deliver(ctx, message.NewMessage("1", nil))
		require.NoError(t, err)
		require.True(t, acked)
	}
}

// What Watermill's suite doesn't test: readers of a group come and go, and each partition is handed over in order. Some messages come
// twice; none comes before the one it follows, and none is left out.
func TestRebalanceKeepsTheOrder(t *testing.T) {
	t.Parallel()
	const partitions, each = 4, 400
	c := open(t, Config{Brokers: brokers(t)})
	topic := topicName(t)
	p := newPublisher(t, c, partitions)
	for partition := range partitions {
		var batch []*message.Message
		for n := range int64(each) {
			batch = append(batch, cloudEvent(n+1, partition))
		}
		require.NoError(t, p.Publish(topic, batch...))
	}
	var mu sync.Mutex
	var last [partitions]int64
	remaining, received := partitions*each, 0
	done := make(chan struct{})
	read := func(messages <-chan *message.Message) {
		for m := range messages {
			mu.Lock()
			partition, err := strconv.Atoi(m.Metadata.Get(MetadataPartition))
			require.NoError(t, err)
			n, err := strconv.ParseInt(m.Metadata.Get("ce_sequence"), 10, 64)
			require.NoError(t, err)
			require.LessOrEqual(t, n, last[partition]+1, "partition %d", partition)
			received++
			if n > last[partition] {
				last[partition] = n
				if remaining--; remaining == 0 {
					close(done)
				}
			}
			mu.Unlock()
			m.Ack()
			time.Sleep(time.Millisecond) // work, so that the churn finds something to do
		}
	}
	subscribe := func() *Subscriber {
		s, err := NewSubscriber(SubscriberConfig{Client: c, Group: "g"})
		require.NoError(t, err)
		messages, err := s.Subscribe(t.Context(), topic)
		require.NoError(t, err)
		go read(messages)
		return s
	}
	stays := subscribe()
	for range 5 {
		comes := subscribe()
		select {
		case <-done:
		case <-time.After(400 * time.Millisecond): // then it goes
		}
		require.NoError(t, comes.Close())
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		require.Fail(t, "some messages were left out", "%v", last)
	}
	require.NoError(t, stays.Close())
	t.Logf("%d messages came %d times", partitions*each, received)
}

// A message that is refused again and again is parked, and those behind it come.
func TestSubscriberParks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 3)))
	parked := make(chan string, 3)
	broken := errors.New("no room")
	s := newSubscriber(t, SubscriberConfig{
		Client: b.Client, Group: "g", NackPause: time.Millisecond, Tries: 3,
		Park: func(_ context.Context, m *message.Message) error {
			parked <- m.UUID
			err := broken
			broken = nil
			return err
		},
	})
	messages, err := s.Subscribe(t.Context(), b.topic)
	require.NoError(t, err)
	var got []string
	for len(got) < 6 {
		m := <-messages
		got = append(got, m.UUID)
		if m.UUID == "1.0.2" {
			m.Nack()
		} else {
			m.Ack()
		}
	}
	require.Equal(t, []string{"1.0.1", "1.0.2", "1.0.2", "1.0.2", "1.0.2", "1.0.3"}, got)
	require.Equal(t, []string{"1.0.2", "1.0.2"}, []string{<-parked, <-parked})
}

func TestPubSubConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := NewPublisher(PublisherConfig{})
	require.Error(t, err)
	c := open(t, Config{Brokers: []string{"127.0.0.1:1"}})
	for _, config := range []SubscriberConfig{{}, {Client: c}, {Client: c, Group: "g", Tries: 1}} {
		_, err := NewSubscriber(config)
		require.Error(t, err)
	}
}
