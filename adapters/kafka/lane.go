package kafka

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// maxRequest is what a broker takes in one request (socket.request.max.bytes). A larger one would not be answered at all, so that the
// lane could not tell a refusal from a broken connection.
const maxRequest = 100 << 20

// Lane publishes to one partition. It is safe for concurrent use; messages of one Send stay in order and together, and the order of
// concurrent Sends is the order in which they came.
//
// Exactly one process may hold a lane at a time. A lease sees to that usually, and the fence of TakeOver always: a process that has not
// noticed that it lost the lane gets *Fenced.
type Lane struct {
	reader  // of its own partition: client, topic, partition
	state   StateStore
	metrics laneMetrics

	// turn is held by whoever talks to the broker: the flights, or TakeOver.
	turn chan struct{}
	// next stamps the next batch; buffer is the last batch's memory. Both belong to the holder of turn.
	next   stamp
	buffer []byte

	mu      sync.Mutex
	stopped error   // why Send answers with an error at once; nil while the lane is usable
	queue   []*call // waiting, in order
	flying  bool    // a goroutine works on the queue
}

// call is one Send that waits.
type call struct {
	ctx      context.Context
	messages []Message
	sent     int  // how many of messages are acknowledged
	begun    bool // a batch with some of them has been sent
	done     chan error
}

// Lane returns the lane of a partition. It sends nothing before it is taken over. There must be one Lane per partition in a process.
func (c *Client) Lane(topic string, partition int, state StateStore) *Lane {
	c.know(topic)
	l := &Lane{
		reader: reader{c, topic, partition}, state: state,
		metrics: c.metrics.lane(topic, partition), turn: make(chan struct{}, 1),
	}
	l.stopped = l.undecided(nil, errNoProducer)
	return l
}

// Send publishes messages in order and returns nil when the broker has acknowledged all of them. It tries again, with the same bytes,
// until ctx ends; give it the deadline of the law (D after the covering append). Any other result stops the lane:
//
//   - *Undecided: some of them may be in the topic. TakeOver tells how far it got.
//   - *Refused: the broker won't have them. Nothing of that batch is in the topic (earlier batches of the same Send may be).
//   - *Fenced: another process has the lane.
//
// If the process dies in here, the messages may or may not arrive, even later: the next holder's TakeOver decides it.
func (l *Lane) Send(ctx context.Context, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return l.undecided(messages, context.Cause(ctx)) // nothing was sent: the lane itself is as it was
	}
	c := &call{ctx: ctx, messages: messages, done: make(chan error, 1)}
	l.mu.Lock()
	if l.stopped != nil {
		defer l.mu.Unlock()
		return l.stopped
	}
	l.queue = append(l.queue, c)
	if !l.flying {
		l.flying = true
		go l.fly()
	}
	l.mu.Unlock()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	if i := slices.Index(l.queue, c); i >= 0 && !c.begun {
		// Nothing of it is on its way, so the lane goes on without it.
		l.queue = slices.Delete(l.queue, i, i+1)
		l.mu.Unlock()
		return l.undecided(messages, context.Cause(ctx))
	}
	l.mu.Unlock()
	return <-c.done // its flight ends with ctx
}

// fly sends what is queued, batch after batch, and ends when nothing is left. What arrives while a batch is away fills the next one.
func (l *Lane) fly() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	for {
		l.mu.Lock()
		if l.stopped != nil {
			l.fail(l.stopped)
		}
		if len(l.queue) == 0 {
			l.flying = false
			l.mu.Unlock()
			return
		}
		calls, batch := l.fill()
		l.mu.Unlock()

		err := l.flight(calls, batch)

		l.mu.Lock()
		if err != nil {
			l.stopped = err
			l.metrics.stuck.Set(1)
		} else {
			l.landed(len(batch))
		}
		l.mu.Unlock()
	}
}

// fill takes from the queue's front as many messages as fit into one batch; the caller holds mu. Calls stay queued until they have landed.
func (l *Lane) fill() (calls []*call, batch []*Message) {
	size := 0
	for _, c := range l.queue {
		for i := c.sent; i < len(c.messages); i++ {
			size += c.messages[i].size()
			if len(batch) > 0 && size > l.client.config.BatchBytes {
				return calls, batch
			}
			if i == c.sent {
				calls, c.begun = append(calls, c), true
			}
			batch = append(batch, &c.messages[i])
		}
	}
	return calls, batch
}

// landed marks the first n messages of the queue as acknowledged and answers the calls that are complete; the caller holds mu.
func (l *Lane) landed(n int) {
	for n > 0 {
		c := l.queue[0]
		part := min(n, len(c.messages)-c.sent)
		c.sent += part
		n -= part
		if c.sent == len(c.messages) {
			c.done <- nil
			l.queue = slices.Delete(l.queue, 0, 1)
		}
	}
}

// fail answers all that is queued with err: nothing may be sent after what failed. The caller holds mu.
func (l *Lane) fail(err error) {
	for _, c := range l.queue {
		c.done <- err
	}
	clear(l.queue)
	l.queue = l.queue[:0]
}

// flight sends one batch and returns nil when it is acknowledged. It ends with the first of its calls' contexts: then the others'
// messages are as undecided as that one's, for they are in the same batch.
func (l *Lane) flight(calls []*call, batch []*Message) error {
	ctx, cancel := context.WithCancelCause(calls[0].ctx)
	defer cancel(nil)
	for _, c := range calls[1:] {
		defer context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })()
	}
	_, err := l.write(ctx, batch)
	if err != nil {
		return l.stop(batch, err)
	}
	l.metrics.acknowledged.Add(float64(len(batch)))
	return nil
}

// writeError is a failed write: what the last try meant.
type writeError struct {
	verdict verdict
	cause   error
}

func (e *writeError) Error() string { return e.cause.Error() }
func (e *writeError) Unwrap() error { return e.cause }

// write encodes a batch under the next stamp, sends it until it is acknowledged, and returns its first record's offset. The stamp moves
// only then. The holder of turn calls it.
func (l *Lane) write(ctx context.Context, batch []*Message) (offset int64, err error) {
	encoded, err := encode(l.buffer, batch, l.next)
	if err != nil {
		return 0, &writeError{refused, err}
	}
	if len(encoded) > maxRequest {
		return 0, &writeError{refused, fmt.Errorf("%w: %d bytes", kafka.MessageSizeTooLarge, len(encoded))}
	}
	l.buffer = encoded
	failed := func(err error) {
		// kafka-go may go on reading the bytes of a try that it has given up.
		l.buffer = nil
		l.metrics.retries.WithLabelValues(category(err)).Inc()
		l.metrics.stuck.Set(1)
	}
	certain, err := l.client.attempt(ctx, failed, func(ctx context.Context) error {
		offset, err = l.produce(ctx, encoded)
		return err
	})
	if err != nil {
		v := classify(err)
		if v == refused && !certain {
			v = undecided // an earlier try may have been appended
		}
		return 0, &writeError{v, err}
	}
	l.metrics.stuck.Set(0)
	l.next = l.next.after(len(batch))
	return offset, nil
}

// produce is one try: the broker acknowledges when all replicas in sync have the batch.
func (l *Lane) produce(ctx context.Context, encoded []byte) (offset int64, err error) {
	answer, err := l.client.kafka().RawProduce(ctx, &kafka.RawProduceRequest{
		Topic: l.topic, Partition: l.partition, RequiredAcks: kafka.RequireAll,
		RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(encoded)},
	})
	if err != nil {
		return 0, err
	}
	return answer.BaseOffset, answer.Error
}

// stop turns a failed write into what Send and TakeOver return.
func (l *Lane) stop(batch []*Message, err error) error {
	var first, last int64
	if len(batch) > 0 {
		first, last = batch[0].Number, batch[len(batch)-1].Number
	}
	var failed *writeError
	if w, ok := err.(*writeError); ok { //nolint:errorlint // made in write, never wrapped
		failed = w
	} else {
		failed = &writeError{undecided, err}
	}
	switch failed.verdict {
	case refused:
		err = &Refused{l.topic, l.partition, first, last, failed.cause}
	case fenced:
		err = &Fenced{l.topic, l.partition, failed.cause}
	default:
		err = &Undecided{l.topic, l.partition, first, last, failed.cause}
	}
	l.client.log.Error("a Kafka lane has stopped", "topic", l.topic, "partition", l.partition, "error", err)
	return err
}

func (l *Lane) undecided(messages []Message, cause error) *Undecided {
	e := &Undecided{Topic: l.topic, Partition: l.partition, Cause: cause}
	if len(messages) > 0 {
		e.First, e.Last = messages[0].Number, messages[len(messages)-1].Number
	}
	return e
}
