package kafka

import (
	"context"
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

func takeOver(t testing.TB, l *Lane) Tail {
	t.Helper()
	tail, err := l.TakeOver(deadline(t))
	require.NoError(t, err)
	return tail
}

// batchOf returns the record batch of a produce request's frame: from the base offset on, which is always 0.
func batchOf(t testing.TB, frame []byte) []byte {
	t.Helper()
	// The batch is the last thing in the frame; its length stands in its bytes 8 to 12.
	for at := 8; at+batchHeader-batchStart < len(frame); at++ {
		if int(binary.BigEndian.Uint32(frame[at+8:])) == len(frame)-at-12 && frame[at+16] == 2 && binary.BigEndian.Uint64(frame[at:]) == 0 {
			return frame[at:]
		}
	}
	t.Fatal("no record batch in the frame")
	return nil
}

// acksOf returns how many acknowledgements a produce request asks for: after length, key, version, correlation id, the client's id and
// a null transactional id.
func acksOf(frame []byte) int16 {
	at := 12
	at += 2 + int(binary.BigEndian.Uint16(frame[at:])) + 2
	return int16(binary.BigEndian.Uint16(frame[at:]))
}

func sequenceOf(batch []byte) int32 {
	return int32(binary.BigEndian.Uint32(batch[atBaseSequence-batchStart:]))
}

func TestSendPublishesInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Zero(t, takeOver(t, b.lane))
	require.NoError(t, b.lane.Send(deadline(t), events(1, 3)))
	require.NoError(t, b.lane.Send(deadline(t), nil))
	require.NoError(t, b.lane.Send(deadline(t), events(4, 500)))
	require.Equal(t, upTo(500), numbers(t, b.topic, 0))
	require.InDelta(t, 500, testutil.ToFloat64(b.lane.metrics.acknowledged), 0)

	got := consume(t, b.topic, 0)
	require.Equal(t, FenceType, got[0].header("ce_type"))
	want := event(2)
	require.Equal(t, string(want.Key), got[2].key)
	require.Equal(t, string(want.Value), got[2].value)
	require.Len(t, got[2].headers, len(want.Headers))
	for i, h := range want.Headers {
		require.Equal(t, h, Header{got[2].headers[i].Key, string(got[2].headers[i].Value)})
	}
}

func TestSendSplitsWhatIsTooLargeForOneBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	many := events(1, 3000)
	for i := range many {
		many[i].Value = make([]byte, 1000)
	}
	require.NoError(t, b.lane.Send(deadline(t), many)) // 3 MB; the broker takes 1 MB at once
	require.Equal(t, upTo(3000), numbers(t, b.topic, 0))
}

func TestConcurrentSendsShareBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	b.faults.once(swallow) // the first one has to be sent again; meanwhile the others gather
	const callers = 200
	var wg sync.WaitGroup
	for i := range int64(callers) {
		wg.Go(func() { require.NoError(t, b.lane.Send(deadline(t), events(2*i+1, 2*i+2))) })
	}
	wg.Wait()
	got := numbers(t, b.topic, 0)
	require.ElementsMatch(t, upTo(2*callers), got)
	for i := 0; i < len(got); i += 2 {
		require.Equal(t, got[i]+1, got[i+1], "the messages of one Send stay together")
	}
	require.Less(t, len(b.faults.frames()), callers/4)
}

// Rule 1: every retry sends the same bytes, and the sequence moves by the records acknowledged.
func TestRetrySendsTheSameBytes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	for _, what := range []fault{dropRequest, dropAnswer, swallow} {
		before, sequence := len(b.faults.frames()), b.lane.next.sequence
		b.faults.once(what, what)
		require.NoError(t, b.lane.Send(deadline(t), events(1, 5)))
		frames := b.faults.frames()[before:]
		require.Len(t, frames, 3)
		first := batchOf(t, frames[0])
		require.Equal(t, sequence, sequenceOf(first))
		for _, frame := range frames[1:] {
			require.Equal(t, first, batchOf(t, frame))
		}
		require.Equal(t, int16(-1), acksOf(frames[0]), "acknowledged by all replicas in sync")
		require.Equal(t, sequence+5, b.lane.next.sequence)
	}
}

func TestSequenceBeginsAgainAfterTheLargest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	// An id that the broker doesn't know may start with any sequence: a fresh one, then, just below the end.
	fresh, err := b.lane.newProducer(deadline(t))
	require.NoError(t, err)
	b.lane.next = stamp{State: fresh, sequence: math.MaxInt32 - 4}
	require.NoError(t, b.lane.Send(deadline(t), events(1, 3)))
	require.Equal(t, int32(math.MaxInt32-1), b.lane.next.sequence)
	require.NoError(t, b.lane.Send(deadline(t), events(4, 7))) // across the end
	require.Equal(t, int32(2), b.lane.next.sequence)
	require.NoError(t, b.lane.Send(deadline(t), events(8, 9)))
	require.Equal(t, upTo(9), numbers(t, b.topic, 0))
}

// Rule 2: a lane that can't send is a metric, not an error, until its time is up.
func TestStuckLaneIsAMetric(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	stuck := make(chan float64, 1)
	b.faults.decide(func() func([]byte) fault {
		tries := 0
		return func([]byte) fault {
			tries++
			if tries < 4 {
				return dropRequest
			}
			if tries == 4 {
				stuck <- testutil.ToFloat64(b.lane.metrics.stuck)
			}
			return pass
		}
	}())
	require.NoError(t, b.lane.Send(deadline(t), events(1, 1)))
	require.InDelta(t, 1, <-stuck, 0)
	require.InDelta(t, 0, testutil.ToFloat64(b.lane.metrics.stuck), 0)
	count, err := testutil.GatherAndCount(b.registry, "tellonce_kafka_retries_total")
	require.NoError(t, err)
	require.NotZero(t, count)
	require.InDelta(t, 3, testutil.ToFloat64(b.lane.metrics.retries.WithLabelValues("network")), 0)
}

// Rule 3: what the broker has already got is answered with success, not appended again.
func TestRepeatIsNotAppendedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	for i := range int64(20) {
		b.faults.once(dropAnswer, dropAnswer)
		require.NoError(t, b.lane.Send(deadline(t), events(2*i+1, 2*i+2)))
	}
	require.Equal(t, upTo(40), numbers(t, b.topic, 0))
}

// Rule 3: the broker knows the last five batches of an id. An older one that arrives late is refused, so not doubled either.
func TestLateRepeatOfAnOldBatchIsRefused(t *testing.T) {
	t.Parallel()
	for later, want := range map[int64]error{4: nil, 5: kafka.OutOfOrderSequenceNumber} {
		b := setup(t)
		takeOver(t, b.lane)
		b.faults.once(hold)
		require.NoError(t, b.lane.Send(deadline(t), events(1, 2)))
		for i := range later {
			require.NoError(t, b.lane.Send(deadline(t), events(3+i, 3+i)))
		}
		require.Equal(t, 1, b.faults.holding())
		require.Equal(t, want, b.faults.release())
		require.Equal(t, upTo(2+later), numbers(t, b.topic, 0))
	}
}

// Rule 4: refused for certain on the first try.
func TestTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 2)))
	sequence := b.lane.next.sequence
	large := event(3)
	large.Value = make([]byte, 2<<20)
	var refusal *Refused
	require.ErrorAs(t, b.lane.Send(deadline(t), []Message{large}), &refusal)
	require.ErrorIs(t, refusal, kafka.MessageSizeTooLarge)
	require.Equal(t, []int64{3, 3}, []int64{refusal.First, refusal.Last})
	require.Equal(t, sequence, b.lane.next.sequence)

	tries := len(b.faults.frames())
	require.Equal(t, error(refusal), b.lane.Send(deadline(t), events(4, 4)), "the lane has stopped")
	require.Len(t, b.faults.frames(), tries, "nothing was tried")
	require.InDelta(t, 1, testutil.ToFloat64(b.lane.metrics.stuck), 0)

	require.Equal(t, int64(2), takeOver(t, b.lane).Number) // a human has looked
	require.NoError(t, b.lane.Send(deadline(t), events(3, 5)))
	require.Equal(t, upTo(5), numbers(t, b.topic, 0))
}

// Rule 4: what is queued behind a refused batch fails too.
func TestQueuedBehindARefusalFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	large := event(1)
	large.Value = make([]byte, 2<<20)
	queued := make(chan error, 1)
	b.faults.decide(func([]byte) fault {
		// While the large one is away, another Send comes.
		started := make(chan struct{})
		go func() {
			close(started)
			queued <- b.lane.Send(context.WithoutCancel(t.Context()), events(2, 2))
		}()
		<-started
		for b.lane.waiting() < 2 {
			runtime.Gosched()
		}
		return pass
	})
	var refusal *Refused
	require.ErrorAs(t, b.lane.Send(deadline(t), []Message{large}), &refusal)
	require.ErrorAs(t, <-queued, &refusal)
	require.Empty(t, numbers(t, b.topic, 0))
}

// waiting tells how many Sends are queued or under way.
func (l *Lane) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Rule 4, the other side: a refusal after a try that may have arrived proves nothing.
func TestRefusalAfterALostAnswerIsUndecided(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	large := event(1)
	large.Value = make([]byte, 2<<20)
	b.faults.once(swallow)
	var undecided *Undecided
	require.ErrorAs(t, b.lane.Send(deadline(t), []Message{large}), &undecided)
	require.ErrorIs(t, undecided, kafka.MessageSizeTooLarge)
}

// Rule 5: giving up after a try that may have arrived is undecided, and nothing is sent until it is known.
func TestGivingUpIsUndecided(t *testing.T) {
	t.Parallel()
	for what, arrived := range map[fault]int64{dropAnswer: 3, dropRequest: 0, swallow: 0} {
		b := setup(t)
		takeOver(t, b.lane)
		b.faults.always(what)
		var undecided *Undecided
		require.ErrorAs(t, b.lane.Send(soon(t), events(1, 3)), &undecided)
		require.ErrorIs(t, undecided, context.DeadlineExceeded)
		require.Equal(t, []int64{1, 3}, []int64{undecided.First, undecided.Last})
		tries := len(b.faults.frames())
		b.faults.always(pass)
		require.ErrorAs(t, b.lane.Send(deadline(t), events(4, 4)), &undecided)
		require.Len(t, b.faults.frames(), tries, "nothing was tried")

		tail := takeOver(t, b.lane)
		require.Equal(t, arrived, tail.Number)
		require.NoError(t, b.lane.Send(deadline(t), events(tail.Number+1, 6)))
		require.Equal(t, upTo(6), numbers(t, b.topic, 0))
	}
}

// Rule 5: without a producer id nothing can be sent.
func TestLaneMustBeTakenOverFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var undecided *Undecided
	require.ErrorAs(t, b.lane.Send(deadline(t), events(1, 1)), &undecided)
	require.ErrorIs(t, undecided, errNoProducer)
}

// A Send that is cancelled before its turn is not on its way, so the lane goes on.
func TestCancelledInTheQueue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	ctx, cancel := context.WithCancel(deadline(t))
	queued := make(chan error, 1)
	b.faults.decide(func() func([]byte) fault {
		first := true
		return func([]byte) fault {
			if !first {
				return pass
			}
			first = false
			go func() { queued <- b.lane.Send(ctx, events(9, 9)) }()
			for b.lane.waiting() < 2 {
				runtime.Gosched()
			}
			cancel()
			var undecided *Undecided
			require.ErrorAs(t, <-queued, &undecided)
			return pass
		}
	}())
	require.NoError(t, b.lane.Send(deadline(t), events(1, 1)))
	require.NoError(t, b.lane.Send(deadline(t), events(2, 2)))
	require.ErrorIs(t, b.lane.Send(ctx, events(3, 3)), context.Canceled)
	require.NoError(t, b.lane.Send(deadline(t), events(3, 3)), "an ended context stops nothing by itself")
	require.Equal(t, upTo(3), numbers(t, b.topic, 0))
}

// Rule 9: kafka-go may still read the bytes of a try that failed.
func TestBufferIsReusedOnlyAfterAnAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 1)))
	buffer := &b.lane.buffer[:1][0]
	require.NoError(t, b.lane.Send(deadline(t), events(2, 2)))
	require.Same(t, buffer, &b.lane.buffer[:1][0])
	b.faults.once(swallow)
	require.NoError(t, b.lane.Send(deadline(t), events(3, 3)))
	require.Nil(t, b.lane.buffer)
}
