package kafka

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// hub is what a Sender needs of one: a store for its state, and a stream whose topic is the test's own.
type hub struct {
	*bundle
	views  eventstore.Views
	stream string
}

func setupHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{bundle: setup(t), views: newViews(t), stream: "test." + strings.ToLower(rand.Text())}
	h.topic = Topic(h.stream)
	deleteAfterwards(t, h.topic)
	return h
}

func newViews(t *testing.T) eventstore.Views {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// sender is a new process's sender on the same store.
func (h *hub) sender() *Sender { return h.NewSender(h.views, h.stream, 0, 1) }

// disclosed returns delivery's messages with the numbers from first to last.
func disclosed(first, last int64) []delivery.Message {
	var out []delivery.Message
	for n := first; n <= last; n++ {
		out = append(out, delivery.Message{
			Cursor: delivery.Cursor{Generation: 1, Lane: 0, Number: n},
			Key:    fmt.Sprintf("v1.citizen%d", n%7),
			Attributes: []delivery.Attribute{
				{Name: "specversion", Value: "1.0"}, {Name: "id", Value: fmt.Sprintf("1.0.%d", n)},
				{Name: "type", Value: "tellonce.address-changed.v1"}, {Name: "datacontenttype", Value: "application/json"},
				{Name: "sequence", Value: fmt.Sprintf("%012d", n)},
			},
			Data: fmt.Appendf(nil, `{"city":"Invented %d"}`, n),
		})
	}
	return out
}

func mustTakeOver(t *testing.T, s *Sender, want string) {
	t.Helper()
	last, err := s.TakeOver(deadline(t))
	require.NoError(t, err)
	require.Equal(t, want, last)
}

func TestSenderWritesTheKafkaBindingOfCloudEvents(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	s := h.sender()
	mustTakeOver(t, s, "")
	messages := disclosed(1, 3)
	// A recalled one keeps its key, or has its cursor for one after an erasure; its value is empty, not null, and has no type.
	for i := range messages[1:] {
		m := &messages[1+i]
		m.Data = nil
		m.Attributes = append(m.Attributes[:3:3], m.Attributes[4])
	}
	messages[2].Key = ""
	require.NoError(t, s.Send(deadline(t), nil))
	require.NoError(t, s.Send(deadline(t), messages))

	got := consume(t, h.topic, 0)[1:]
	require.Len(t, got, 3)
	require.Equal(t, []string{"v1.citizen1", "v1.citizen2", "1.0.3"}, []string{got[0].key, got[1].key, got[2].key})
	require.Equal(t, `{"city":"Invented 1"}`, got[0].value)
	require.Equal(t, "application/json", got[0].header("content-type"))
	require.Equal(t, "1.0.1", got[0].header("ce_id"))
	for _, recalled := range got[1:] {
		require.Empty(t, recalled.value)
		require.False(t, recalled.null, "a null value would be a deletion")
		require.Empty(t, recalled.header("content-type"))
		require.Equal(t, "1.0", recalled.header("ce_specversion"))
	}
}

func TestSenderGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	mustTakeOver(t, h.sender(), "")
	first := h.sender() // the one before died without sending
	mustTakeOver(t, first, "")
	require.NoError(t, first.Send(deadline(t), disclosed(1, 4)))
	second := h.sender()
	mustTakeOver(t, second, "1.0.4")
	var fenced *Fenced
	require.ErrorAs(t, first.Send(deadline(t), disclosed(5, 5)), &fenced)
	require.NoError(t, second.Send(deadline(t), disclosed(5, 6)))
	require.Equal(t, upTo(6), numbers(t, h.topic, 0))
}

// Topics keep records for days only: a lane that was quiet for longer must not begin again at 1.
func TestSenderRemembersWhatExpired(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	s := h.sender()
	mustTakeOver(t, s, "")
	require.NoError(t, s.Send(deadline(t), disclosed(1, 4)))
	require.NoError(t, s.Send(deadline(t), disclosed(5, 6)))
	expire(t, h.bundle, 7)
	mustTakeOver(t, h.sender(), "1.0.6")
}

// If the process dies after the acknowledgement, before the cursor is saved, the topic is ahead of it and counts.
func TestSenderTrustsTheTopicWhereItIsAhead(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	s := h.sender()
	mustTakeOver(t, s, "")
	require.NoError(t, s.Send(deadline(t), disclosed(1, 1)))
	require.NoError(t, s.lane.Send(deadline(t), events(2, 3)))
	mustTakeOver(t, h.sender(), "1.0.3")
}

func TestLater(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ saved, found, want string }{
		{"", "", ""}, {"", "1.0.1", "1.0.1"}, {"1.0.1", "", "1.0.1"}, {"1.0.1", "1.0.1", "1.0.1"},
		{"1.0.9", "1.0.10", "1.0.10"}, {"1.0.10", "1.0.9", "1.0.10"}, {"1.0.10", "2.0.1", "2.0.1"}, {"2.0.1", "1.0.10", "2.0.1"},
		{"1.0.1", "not ours", "not ours"}, {"", "not ours", "not ours"},
	} {
		require.Equal(t, c.want, later(c.saved, c.found), "%q %q", c.saved, c.found)
	}
}

// A topic that holds events before this log has sent any is another log's.
func TestSenderRefusesAnotherLogsTopic(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	other := h.NewSender(newViews(t), h.stream, 0, 1)
	mustTakeOver(t, other, "")
	require.NoError(t, other.Send(deadline(t), disclosed(1, 2)))
	for range 2 {
		_, err := h.sender().TakeOver(deadline(t))
		require.ErrorIs(t, err, delivery.ErrFatal)
		require.ErrorIs(t, err, errForeign)
	}
}

func TestSenderMarksWhatAPersonMustSee(t *testing.T) {
	t.Parallel()
	h := setupHub(t)
	s := h.sender()
	mustTakeOver(t, s, "")
	large := disclosed(1, 1)
	large[0].Data = make([]byte, 2<<20)
	require.ErrorIs(t, s.Send(deadline(t), large), delivery.ErrFatal)
	_, err := h.NewSender(h.views, h.stream, 0, 2).TakeOver(deadline(t))
	require.ErrorIs(t, err, delivery.ErrFatal, "another number of lanes")

	s = h.sender()
	mustTakeOver(t, s, "")
	h.faults.always(swallow)
	err = s.Send(soon(t), disclosed(1, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, delivery.ErrFatal, "undecided: the lane takes over by itself")
}

// Of two processes that take a lane over at the same moment the store lets one have it.
func TestViewStateRefusesTheSecondOfTwo(t *testing.T) {
	t.Parallel()
	views := newViews(t)
	ctx := context.Background()
	a, b := &viewState{views: views, view: "kafka/t/0"}, &viewState{views: views, view: "kafka/t/0"}
	for _, s := range []*viewState{a, b} {
		_, ok, err := s.Load(ctx)
		require.NoError(t, err)
		require.False(t, ok)
	}
	require.NoError(t, a.Save(ctx, State{ProducerID: 1 << 40, Epoch: 7}))
	require.ErrorIs(t, b.Save(ctx, State{ProducerID: 2}), eventstore.ErrConflict)
	require.NoError(t, a.claim(ctx))
	a.cursor = "1.0.3"
	require.NoError(t, a.sent(ctx, "", a.cursor))
	require.NoError(t, a.Save(ctx, State{ProducerID: 1 << 40, Epoch: 8}))
	state, ok, err := b.Load(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, State{ProducerID: 1 << 40, Epoch: 8}, state)
	require.True(t, b.claimed)
	require.Equal(t, "1.0.3", b.cursor)
}
