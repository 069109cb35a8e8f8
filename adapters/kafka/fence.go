package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// FenceType is the event type of a fence's marker. Types that begin with FencePrefix carry no number, and consumers skip them.
const (
	FencePrefix = "tellonce.fence."
	FenceType   = FencePrefix + "v1"
)

// replayHeader says, in a side topic, which replay an event was sent by.
const replayHeader = "ce_replay"

// State is what the broker knows a lane's sender by. The producer id stays the same for as long as the lane exists; each fence takes the
// next epoch.
type State struct {
	ProducerID int64
	Epoch      int16
}

// StateStore keeps one lane's State, beside the lane's cursor. Without it a new holder could fence nothing: the broker refuses late
// requests of the same producer id only.
type StateStore interface {
	// Load returns the state last saved; ok is false when there is none yet.
	Load(ctx context.Context) (state State, ok bool, err error)
	// Save stores next, durably before it returns. It MUST fail, and store nothing, when what is stored is not what this StateStore's
	// last Load or Save left (another process is taking the lane over at this moment): two holders under one epoch would not fence
	// each other.
	Save(ctx context.Context, next State) error
}

// Tail is the last numbered event in a partition. The zero Tail means that there is none: the topic is new, or all has expired.
type Tail struct {
	// Cursor is the event's ce_id, such as 1.0.42 (generation, lane, number).
	Cursor string
	// Number is the event's number in its lane, at least 1; 0 when there is none.
	Number int64
	// Offset is the record's offset in the partition.
	Offset int64
	// Replay is the replay that sent it, in a side topic; else "".
	Replay string
}

// TakeOver makes the lane usable: at the start, after winning the lease, and after Send failed. It fences (the next epoch of the same
// producer id, begun by a marker record), after which all that was acknowledged lies before the marker and all that is still on its way
// is refused; then it reads backwards from the marker to the last numbered event. The caller goes on with the number after it.
//
// It waits for a flight under way, and tries until ctx ends. After an error the lane stays stopped: *Fenced means that another process
// took it over meanwhile, or that the store is older than the broker; *Refused that the broker forbids it; all else can be tried again.
func (l *Lane) TakeOver(ctx context.Context) (Tail, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return Tail{}, l.undecided(nil, context.Cause(ctx))
	}
	defer func() { <-l.turn }()

	tail, err := l.takeOver(ctx)
	if err != nil {
		err = l.stop(nil, err)
		l.metrics.stuck.Set(1)
	} else {
		l.metrics.takeovers.Inc()
		l.client.log.Info("a Kafka lane was taken over", "topic", l.topic, "partition", l.partition,
			"producer", l.next.ProducerID, "epoch", l.next.Epoch, "last", tail.Cursor)
	}
	l.mu.Lock()
	l.stopped = err
	l.mu.Unlock()
	return tail, err
}

func (l *Lane) takeOver(ctx context.Context) (Tail, error) {
	for range 4 {
		state, err := l.advance(ctx)
		if err != nil {
			return Tail{}, err
		}
		l.next = stamp{State: state}
		marker := l.marker()
		offset, err := l.write(ctx, []*Message{marker})
		if err != nil {
			if spent(err) {
				continue
			}
			return Tail{}, l.explain(ctx, err)
		}
		start, ours, err := l.isAt(ctx, marker, offset)
		if err != nil {
			return Tail{}, err
		}
		if ours && state.Epoch < math.MaxInt16 {
			return l.lastBefore(ctx, start, offset)
		}
		// The last epoch of all: go on with a new id. Or the broker took our marker for a repeat of another one under the same epoch:
		// someone fenced with it before us, and may have sent on, so nothing is fenced yet.
	}
	return Tail{}, errors.New("kafka: four epochs in a row were taken already; do two hubs fight for this lane?")
}

// advance stores and returns the state under which the next fence is made: a new producer id, or the next epoch of the old one. It is
// stored before anything is sent under it. If we stop in here, an epoch is left out, which harms nobody; sending first and stopping
// before the store knows would let the next holder take the same epoch, and its marker would pass for a repeat of ours.
func (l *Lane) advance(ctx context.Context) (State, error) {
	state, ok, err := l.state.Load(ctx)
	if err != nil {
		return State{}, fmt.Errorf("kafka: reading the producer's state: %w", err)
	}
	switch {
	case !ok:
		state, err = l.newProducer(ctx)
	case state.Epoch == math.MaxInt16:
		// The id's epochs are used up. Nothing but a marker is ever sent under the last one; it is sent again in case we stopped between
		// storing that epoch and fencing with it. Then the old id is fenced for good and a new one can begin.
		l.next = stamp{State: state}
		if _, err = l.write(ctx, []*Message{l.marker()}); err == nil || spent(err) {
			state, err = l.newProducer(ctx)
		}
	default:
		state.Epoch++
	}
	if err != nil {
		return State{}, err
	}
	if err := l.state.Save(ctx, state); err != nil {
		return State{}, fmt.Errorf("kafka: storing the producer's state: %w", err)
	}
	return state, nil
}

func (l *Lane) newProducer(ctx context.Context) (State, error) {
	var session *kafka.ProducerSession
	_, err := l.client.attempt(ctx, nil, func(ctx context.Context) error {
		// -1 and -1: a new id; zeros would ask for the epoch after 0 of the id 0.
		answer, err := l.client.kafka().InitProducerID(ctx, &kafka.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1})
		if err != nil {
			return err
		}
		session = answer.Producer
		return answer.Error
	})
	if err != nil {
		return State{}, &writeError{classify(err), fmt.Errorf("kafka: asking for a producer id: %w", err)}
	}
	return State{ProducerID: int64(session.ProducerID), Epoch: int16(session.ProducerEpoch)}, nil // #nosec G115 -- 16 bits on the wire
}

// spent says whether the broker's answer to a marker means that its epoch is in use already, by the remains of a takeover that ours
// overtook; the next one will do.
func spent(err error) bool {
	return errors.Is(err, kafka.OutOfOrderSequenceNumber) || errors.Is(err, kafka.DuplicateSequenceNumber)
}

// explain says of a refused epoch whether another process has stored a later one meanwhile, or the store has fallen behind the broker.
func (l *Lane) explain(ctx context.Context, err error) error {
	var w *writeError
	if !errors.As(err, &w) || w.verdict != fenced {
		return err
	}
	if state, ok, loadErr := l.state.Load(ctx); loadErr == nil && ok && state == l.next.State {
		return &writeError{fenced, fmt.Errorf("%w (%w)", errStaleState, w.cause)}
	}
	return err
}

// marker is the record that begins an epoch: a CloudEvent of a type of ours, without a number and without data. Its id is random, for
// isAt tells by it whether it is ours.
func (l *Lane) marker() *Message {
	return &Message{
		Headers: []Header{
			{"ce_specversion", "1.0"},
			{"ce_id", fmt.Sprintf("fence.%d.%d.%s", l.next.ProducerID, l.next.Epoch, rand.Text())},
			{"ce_source", "urn:tellonce:fence"},
			{"ce_type", FenceType},
		},
		Value: []byte{},
	}
}

// isAt says whether the record at offset is the marker, and returns the partition's first offset.
func (l *Lane) isAt(ctx context.Context, marker *Message, offset int64) (start int64, ours bool, err error) {
	want := marker.Headers[1].Value
	if offset < 0 {
		return 0, false, nil // a repeat whose place the broker has forgotten
	}
	start, err = l.read(ctx, offset, offset+1, func(r *protocol.Record) {
		ours = ours || r.Offset == offset && header(r, "ce_id") == want
	})
	return start, ours, err
}

// lastBefore reads backwards from offset end, in growing windows, to the last numbered event at or after start.
func (l *Lane) lastBefore(ctx context.Context, start, end int64) (Tail, error) {
	var tail Tail
	for window := int64(16); tail.Number == 0 && end > start; window *= 4 {
		from := max(start, end-window)
		first, err := l.read(ctx, from, end, func(r *protocol.Record) {
			if number, ok := numberOf(r); ok && r.Offset >= tail.Offset {
				tail = Tail{Cursor: header(r, "ce_id"), Number: number, Offset: r.Offset, Replay: header(r, replayHeader)}
			}
		})
		if err != nil {
			return Tail{}, err
		}
		start, end = max(start, first), from
	}
	return tail, nil
}
