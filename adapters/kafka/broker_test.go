package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"
)

// A broker is killed (SIGKILL) and comes back: under lanes that publish as the hub does, and under Watermill's publisher and subscriber.
func TestKilledBroker(t *testing.T) {
	t.Parallel()
	own := newCluster(t, 1, "")
	t.Run("loses and doubles nothing", func(t *testing.T) { killedBroker(t, own) })
	// Watermill's suite restarts the broker twice while 100 publishers send 10,000 messages, and misses none.
	t.Run("Watermill reconnects", func(t *testing.T) {
		c := open(t, Config{Brokers: own.addresses, RequestTimeout: time.Second})
		tests.TestReconnect(t, tests.TestContext{
			TestID: tests.NewTestID(),
			Features: tests.Features{
				ConsumerGroups: true, GuaranteedOrder: true, Persistent: true, RestartServiceCommand: own.restart(1),
				GenerateTopicFunc: func(tests.TestContext) string { return "test.reconnect" },
			},
		}, func(t *testing.T) (message.Publisher, message.Subscriber) {
			p := newPublisher(t, c, 1)
			s, err := NewSubscriber(SubscriberConfig{Client: c, Group: "reconnect", NackPause: time.Millisecond})
			require.NoError(t, err)
			return p, s
		})
	})
}

// With the patience that the hub has, a Send gets through or is undecided, and the takeover that follows finds out.
func killedBroker(t *testing.T, own *cluster) {
	t.Helper()
	c := open(t, Config{Brokers: own.addresses, RequestTimeout: time.Second})
	const topic = "test.killed-broker"
	require.NoError(t, c.EnsureTopic(deadline(t), topic, 1))
	load := startLoad(t, c, topic, []time.Duration{2 * time.Second})
	for range 2 {
		load.flows(t, 1000)
		own.kill(t, 1)
		own.start(t, 1)
	}
	load.flows(t, 1000)
	load.stop()
	found := load.check(t, c)
	require.Zero(t, found.lost+found.doubled+found.reordered, "%+v", found)
	t.Logf("%+v", found)
}

// load is lanes that publish, each at its own patience, and what was acknowledged.
type load struct {
	topic string
	sent  []chan int64 // the last number acknowledged, for whoever asks
	ended []chan int64 // the last number acknowledged of all
	stop  context.CancelFunc
}

func startLoad(t *testing.T, c *Client, topic string, patience []time.Duration) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{topic: topic, stop: stop}
	for i, p := range patience {
		sent, ended := make(chan int64), make(chan int64, 1)
		l.sent, l.ended = append(l.sent, sent), append(l.ended, ended)
		go func() { ended <- publishOn(ctx, c.Lane(topic, i, &memoryState{shared: &stored{}}), p, sent) }()
	}
	return l
}

// publishOn takes over and sends on from the tail, again and again, as the hub does, until ctx ends; it returns the last number
// acknowledged. It sends at most 1,000 events a second, or the log would grow faster than a replica that was away can catch up.
func publishOn(ctx context.Context, l *Lane, patience time.Duration, sent chan<- int64) int64 {
	const batch = 10
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	var acknowledged int64
	for ctx.Err() == nil {
		tail, err := l.TakeOver(ctx)
		for next := tail.Number + 1; err == nil; next += batch {
			trying, cancel := context.WithTimeout(ctx, patience)
			err = l.Send(trying, events(next, next+batch-1))
			cancel()
			if err == nil {
				acknowledged = next + batch - 1
				select {
				case sent <- acknowledged:
				default:
				}
			}
			<-pace.C
		}
	}
	return acknowledged
}

// flows waits until every lane has had so many more events acknowledged.
func (l *load) flows(t *testing.T, more int64) {
	t.Helper()
	for i, sent := range l.sent {
		for first := int64(0); ; {
			select {
			case n := <-sent:
				if first == 0 {
					first = n
				}
				if n >= first+more {
					goto next
				}
			case <-time.After(2 * time.Minute):
				require.Fail(t, "a lane does not flow", "lane %d", i)
			}
		}
	next:
	}
}

// figures are what a load's topic holds, compared with what was acknowledged.
type figures struct{ events, lost, doubled, reordered int64 }

// check reads every partition from its beginning: each number once, in order, and none missing that was acknowledged. The load has
// stopped.
func (l *load) check(t *testing.T, c *Client) figures {
	t.Helper()
	var f figures
	for i, ended := range l.ended {
		acknowledged := <-ended
		seen, last := map[int64]bool{}, int64(0)
		eachNumber(t, reader{c, l.topic, i}, func(n int64) {
			f.events++
			switch {
			case seen[n]:
				f.doubled++
			case n < last:
				f.reordered++
			}
			seen[n] = true
			last = max(last, n)
		})
		for n := int64(1); n <= max(acknowledged, last); n++ {
			if !seen[n] {
				f.lost++
			}
		}
	}
	return f
}
