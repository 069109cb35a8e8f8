package ministry

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

const (
	topicPrefix = "tellonce."
	header      = "ce_" // of an attribute, in binary mode
)

// Subscribe reads the stream's topic, tellonce.<stream>, with a Watermill subscriber of the caller's, on whatever library. It must deliver a
// partition's messages in order, one after the other, and again what was refused. Fences are skipped. What fails is refused and comes again;
// it ends as Pull does, and when the subscriber's channel is closed.
func Subscribe(subscriber message.Subscriber) Source {
	return func(ctx context.Context, c *Consumer) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		messages, err := subscriber.Subscribe(ctx, topicPrefix+c.config.Stream)
		if err != nil {
			return fmt.Errorf("ministry: subscribe to the stream's topic: %w", err)
		}
		s := subscription{consumer: c, stop: cancel, tries: map[int]int{}}
		var group sync.WaitGroup
		for m := range messages { // of several partitions at once; each waits for its answer before its next one comes
			group.Go(func() { s.take(ctx, m) })
		}
		group.Wait()
		return context.Cause(ctx)
	}
}

type subscription struct {
	consumer *Consumer
	stop     context.CancelCauseFunc

	mu    sync.Mutex
	tries map[int]int // by lane, of the message that fails
}

// take deals with one message. It is acknowledged only when its event is dealt with; if the process dies before that, it comes again.
func (s *subscription) take(ctx context.Context, m *message.Message) {
	e, fence, err := eventOf(m)
	if fence {
		m.Ack()
		return
	}
	if err == nil {
		err = s.consumer.Deliver(m.Context(), e)
	}
	if err == nil {
		s.failed(e.Cursor.Lane, false)
		m.Ack()
		return
	}
	defer m.Nack()
	if ctx.Err() != nil || m.Context().Err() != nil {
		return // it is taken from us, and comes again
	}
	if halts(err) {
		s.stop(err)
		return
	}
	tries := s.failed(e.Cursor.Lane, true)
	s.consumer.config.Logger.WarnContext(ctx, "an event of the topic was not dealt with; it is tried again", "tries", tries, "error", err)
	_ = s.consumer.pause(m.Context(), tries, waitOf(err))
}

// failed counts how often in a row a lane's event has failed.
func (s *subscription) failed(lane int, again bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !again {
		delete(s.tries, lane)
		return 0
	}
	s.tries[lane]++
	return s.tries[lane]
}

// eventOf reads a message in binary mode: attributes are metadata ce_*, the payload is the data. Fence says that it is no event of the stream.
func eventOf(m *message.Message) (e Event, fence bool, err error) {
	get := func(attribute string) string { return m.Metadata.Get(header + attribute) }
	if strings.HasPrefix(get("type"), fencePrefix) {
		return Event{}, true, nil
	}
	w := wire{
		SpecVersion: get("specversion"), ID: get("id"), Source: get("source"), Type: get("type"), Subject: get("subject"), Time: get("time"),
		Schema: get("dataschema"), Kind: get("kind"), Sequence: get("sequence"), Effective: get("effective"), Agreement: get("agreement"),
		Assurance: get("assurance"), Corrects: get("corrects"), Data: []byte(m.Payload),
	}
	if len(m.Payload) > 0 && !isObject(m.Payload) {
		return Event{}, false, fmt.Errorf("%w: its data is no JSON object", ErrEvent)
	}
	e, err = w.event()
	return e, false, err
}
