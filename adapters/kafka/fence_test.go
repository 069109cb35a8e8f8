package kafka

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// sibling returns a second process's lane on the same topic and database.
func (b *bundle) sibling(t testing.TB) *Lane {
	t.Helper()
	c := open(t, Config{Brokers: brokers(t)})
	return c.Lane(b.topic, 0, &memoryState{shared: b.state.shared})
}

// Rule 6: fence, then read. A request that is still on its way when the lane is taken over is refused when it arrives.
func TestFenceRefusesWhatArrivesLate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 2)))
	b.faults.always(hold)
	var undecided *Undecided
	require.ErrorAs(t, b.lane.Send(soon(t), events(3, 5)), &undecided)
	b.faults.always(pass)

	tail := takeOver(t, b.lane)
	require.Equal(t, Tail{Cursor: "1.0.2", Number: 2, Offset: 2}, tail)
	require.NotZero(t, b.faults.holding())
	for b.faults.holding() > 0 {
		require.Equal(t, kafka.InvalidProducerEpoch, b.faults.release())
	}
	require.NoError(t, b.lane.Send(deadline(t), events(3, 6)))
	require.Equal(t, upTo(6), numbers(t, b.topic, 0))
}

// The other side of rule 6: what did arrive before the fence lies before the marker, and is found.
func TestTakeOverFindsWhatArrivedUnanswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	b.faults.always(hold)
	var undecided *Undecided
	require.ErrorAs(t, b.lane.Send(soon(t), events(1, 3)), &undecided)
	b.faults.always(pass)
	require.NoError(t, b.faults.release()) // now, before the fence
	require.Equal(t, int64(3), takeOver(t, b.lane).Number)
}

// Rule 7, the negative control: a new producer id fences nothing. Were the state not kept, the late request would go in.
func TestWithoutTheOldProducerIDLateRequestsGoIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	b.faults.always(hold)
	var undecided *Undecided
	require.ErrorAs(t, b.lane.Send(soon(t), events(1, 2)), &undecided)
	b.faults.always(pass)
	b.lane.state = &memoryState{shared: &stored{}} // lost
	require.Zero(t, takeOver(t, b.lane))
	require.NoError(t, b.lane.Send(deadline(t), events(1, 3)))
	require.NoError(t, b.faults.release())
	require.Equal(t, []int64{1, 2, 3, 1, 2}, numbers(t, b.topic, 0))
}

// Rule 7: an old holder that hasn't noticed is stopped by the new one's fence.
func TestOldHolderIsFenced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 2)))
	successor := b.sibling(t)
	require.Equal(t, int64(2), takeOver(t, successor).Number)

	var fenced *Fenced
	require.ErrorAs(t, b.lane.Send(deadline(t), events(3, 3)), &fenced)
	require.ErrorIs(t, fenced, kafka.InvalidProducerEpoch)
	require.ErrorAs(t, b.lane.Send(deadline(t), events(3, 3)), &fenced)
	require.NoError(t, successor.Send(deadline(t), events(3, 4)))
	require.Equal(t, upTo(4), numbers(t, b.topic, 0))

	require.Equal(t, int64(4), takeOver(t, b.lane).Number, "it may have won the lease again")
	require.ErrorAs(t, successor.Send(deadline(t), events(5, 5)), &fenced)
}

// The state is stored before anything is sent under it, so a process that dies right after its fence has used up its epoch.
func TestDyingDuringTakeOverLeavesOutAnEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	b.faults.always(hold) // the marker is on its way, and we are dead
	var undecided *Undecided
	_, err := b.lane.TakeOver(soon(t))
	require.ErrorAs(t, err, &undecided)
	b.faults.always(pass)

	successor := b.sibling(t)
	takeOver(t, successor)
	require.Equal(t, b.lane.next.Epoch+1, successor.next.Epoch)
	require.NoError(t, successor.Send(deadline(t), events(1, 2)))
	require.Equal(t, kafka.InvalidProducerEpoch, b.faults.release())
	require.Equal(t, upTo(2), numbers(t, b.topic, 0))
}

// Two processes that take over at the same moment: the store lets only one of them have the epoch.
func TestStateConflictStopsTheTakeOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	loaded := &memoryState{shared: b.state.shared}
	l := b.Lane(b.topic, 0, racing{loaded, func() { takeOver(t, b.sibling(t)) }})
	_, err := l.TakeOver(deadline(t))
	require.ErrorIs(t, err, errConflict)
}

// racing lets something happen between a Load and its Save.
type racing struct {
	*memoryState
	between func()
}

func (r racing) Save(ctx context.Context, next State) error {
	r.between()
	return r.memoryState.Save(ctx, next)
}

// Even with a store that lets both have the same epoch, the second one notices that the marker in the topic is not its own.
func TestAnotherMarkerOfTheSameEpochIsNoFence(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	before := b.state.shared.state
	first := b.sibling(t)
	takeOver(t, first)
	require.NoError(t, first.Send(deadline(t), events(1, 2)))

	careless := &memoryState{shared: &stored{state: before, version: 1}}
	second := b.Lane(b.topic, 0, careless)
	require.Equal(t, int64(2), takeOver(t, second).Number, "the other's marker is answered as a repeat, and its events lie behind it")
	require.Equal(t, first.next.Epoch+1, second.next.Epoch)
	var fenced *Fenced
	require.ErrorAs(t, first.Send(deadline(t), events(3, 3)), &fenced)
}

// The same, when so much lies behind the other's marker that the broker has forgotten it.
func TestForgottenMarkerOfTheSameEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	before := b.state.shared.state
	first := b.sibling(t)
	takeOver(t, first)
	for n := range int64(8) {
		require.NoError(t, first.Send(deadline(t), events(n+1, n+1)))
	}
	second := b.Lane(b.topic, 0, &memoryState{shared: &stored{state: before, version: 1}})
	require.Equal(t, int64(8), takeOver(t, second).Number)
	require.Equal(t, first.next.Epoch+1, second.next.Epoch)
}

// A database restored from a backup knows an epoch that the broker has left behind: stop and say so.
func TestRestoredStateIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	backup := b.state.shared.state
	for range 3 {
		takeOver(t, b.lane)
	}
	l := b.Lane(b.topic, 0, &memoryState{shared: &stored{state: backup, version: 1}})
	_, err := l.TakeOver(deadline(t))
	var fenced *Fenced
	require.ErrorAs(t, err, &fenced)
	require.ErrorIs(t, err, errStaleState)
	require.ErrorAs(t, l.Send(deadline(t), events(1, 1)), &fenced)
}

// Epochs are 16 bits: after 32,767 fences the id is retired by a last one, and a new id begins.
func TestLastEpochIsFollowedByANewProducerID(t *testing.T) {
	t.Parallel()
	for name, stopsBefore := range map[string]bool{"goes through": false, "dies before the last marker": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			takeOver(t, b.lane)
			old := b.state.shared.state.ProducerID
			b.state.shared.state.Epoch = math.MaxInt16 - 2
			takeOver(t, b.lane)
			require.Equal(t, State{old, math.MaxInt16 - 1}, b.lane.next.State)
			require.NoError(t, b.lane.Send(deadline(t), events(1, 2)))
			b.faults.always(hold)
			var undecided *Undecided
			require.ErrorAs(t, b.lane.Send(soon(t), events(3, 3)), &undecided)
			if stopsBefore {
				b.faults.always(dropRequest)
				_, err := b.lane.TakeOver(soon(t))
				require.ErrorAs(t, err, &undecided)
				require.Equal(t, State{old, math.MaxInt16}, b.state.shared.state)
			}
			b.faults.always(pass)

			require.Equal(t, int64(2), takeOver(t, b.lane).Number)
			require.NotEqual(t, old, b.lane.next.ProducerID)
			require.NoError(t, b.lane.Send(deadline(t), events(3, 4)))
			require.Equal(t, kafka.InvalidProducerEpoch, b.faults.release(), "the old id is fenced for good")
			require.Equal(t, upTo(4), numbers(t, b.topic, 0))
		})
	}
}

// The tail is found behind any number of markers, in the middle of a large batch, and behind records that are not ours.
func TestTailBehindManyMarkers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Zero(t, takeOver(t, b.lane))
	require.Zero(t, takeOver(t, b.lane), "only markers so far")
	require.NoError(t, b.lane.Send(deadline(t), events(1, 300)))
	foreign := Message{Value: []byte("not an event")}
	require.NoError(t, b.lane.Send(deadline(t), []Message{foreign}))
	for range 30 {
		require.Equal(t, Tail{Cursor: "1.0.300", Number: 300, Offset: 301}, takeOver(t, b.lane))
	}
}

// What has expired is not searched for.
func TestTailAfterEverythingExpired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	require.NoError(t, b.lane.Send(deadline(t), events(1, 20)))
	expire(t, b, 15)
	require.Equal(t, int64(20), takeOver(t, b.lane).Number)
	expire(t, b, 22)
	require.Zero(t, takeOver(t, b.lane))
	start, err := b.lane.start(deadline(t))
	require.NoError(t, err)
	require.Equal(t, int64(22), start)

	_, next, err := b.lane.fetch(deadline(t), 3, nil)
	require.NoError(t, err)
	require.Equal(t, int64(22), next, "reading begins where the log now does")
}

// A takeover waits for the flight under way, so that the two don't mix their sequences.
func TestTakeOverWaitsForTheFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	takeOver(t, b.lane)
	away := make(chan struct{})
	b.faults.decide(func() func([]byte) fault {
		tries := 0
		return func([]byte) fault {
			if tries++; tries == 1 {
				close(away)
				return swallow
			}
			return pass
		}
	}())
	sent := make(chan error, 1)
	go func() { sent <- b.lane.Send(deadline(t), events(1, 3)) }()
	<-away
	require.Equal(t, int64(3), takeOver(t, b.lane).Number)
	require.NoError(t, <-sent)

	ctx, cancel := context.WithCancel(t.Context())
	b.lane.turn <- struct{}{}
	cancel()
	_, err := b.lane.TakeOver(ctx)
	require.ErrorIs(t, err, context.Canceled)
	<-b.lane.turn
}

func TestTakeOverReportsTheStoresErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gone := errors.New("database gone")
	l := b.Lane(b.topic, 0, brokenState{gone})
	_, err := l.TakeOver(deadline(t))
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, l.Send(deadline(t), events(1, 1)), gone)
}

type brokenState struct{ err error }

func (b brokenState) Load(context.Context) (State, bool, error) { return State{}, false, b.err }
func (b brokenState) Save(context.Context, State) error         { return b.err }
