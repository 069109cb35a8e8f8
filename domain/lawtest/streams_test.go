package lawtest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

var operator = journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "law"}

// steering draws one thing that somebody does to a stream, by one of the hubs.
func (w *world) steering(h *hub) func(context.Context) {
	list := agreements(1)
	stream := list[w.random.IntN(len(list))].Stream
	switch draw := w.random.IntN(10); {
	case draw < 3:
		return w.synth(h, stream)
	case draw < 4:
		return w.pause(h, stream)
	case draw < 6:
		return w.resume(h, stream)
	case draw < 7:
		ask := delivery.ReplayAsk{Last: 1 + w.random.Int64N(5), Side: true}
		return w.do("replay", func(ctx context.Context) error {
			_, err := h.delivery.Replay(ctx, operator, journal.CommandID{}, stream, ask)
			return err
		})
	case draw < 8:
		return func(ctx context.Context) { w.carry(ctx) }
	case draw < 9:
		return w.park(h, stream)
	}
	from := 1 + w.random.Int64N(20)
	return w.do("redrive", func(ctx context.Context) error {
		return h.delivery.Redrive(ctx, operator, journal.CommandID{}, stream, 0, from, 1<<40)
	})
}

func (w *world) synth(h *hub, stream string) func(context.Context) {
	count, factType := 1+w.random.IntN(3), []string{"", "address-changed"}[w.random.IntN(2)]
	return w.do("synth", func(ctx context.Context) error {
		return h.delivery.Synthesize(ctx, operator, journal.CommandID{}, stream, count, factType)
	})
}

func (w *world) pause(h *hub, stream string) func(context.Context) {
	return w.do("pause", func(ctx context.Context) error { return h.delivery.Pause(ctx, operator, journal.CommandID{}, stream) })
}

func (w *world) resume(h *hub, stream string) func(context.Context) {
	return w.do("resume", func(ctx context.Context) error { return h.delivery.Resume(ctx, operator, journal.CommandID{}, stream) })
}

// park stands for a courier that gives the lane's last number up, while others give and send again.
func (w *world) park(h *hub, stream string) func(context.Context) {
	return w.do("park", func(ctx context.Context) error {
		status, err := h.delivery.Status(ctx)
		at := slices.IndexFunc(status, func(s delivery.LaneStatus) bool { return s.Stream == stream })
		if err != nil || status[at].Last == 0 {
			return err
		}
		last := status[at].Last
		_, err = h.journal.Append(ctx, journal.Step{
			Origin: journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub},
			Events: []journal.New{{
				Event:     journal.Parked{Attempts: 10, Code: "http-500", From: last, Stream: stream, To: last},
				Aggregate: journal.LaneAggregate(stream, 0), Cause: eventstore.NoCause,
			}},
		})
		return err
	})
}

// carry sends what is left of all replays to the side, until it would wait.
func (w *world) carry(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	replayer := &delivery.Replayer{
		Delivery: w.hubs[2].delivery, Owner: uuid.NewString(), Logger: slog.New(slog.DiscardHandler),
		Side: func(stream journal.StreamOpened, lane int, replay string) delivery.Sender {
			return &side{world: w, stream: stream.Stream, lane: lane, replay: replay}
		},
	}
	w.done("carry", replayer.Run(context.WithValue(ctx, idleKey{}, stop)))
}

// idleKey is under what a context carries who is to be stopped where it would wait for the log.
type idleKey struct{}

// Wait stops a task instead of holding its turn for ever.
func (s stepped) Wait(ctx context.Context, position int64) error {
	if stop, ok := ctx.Value(idleKey{}).(context.CancelFunc); ok {
		stop()
		return context.Canceled
	}
	return s.Store.Wait(ctx, position)
}

// side is the place of a replay.
type side struct {
	*world
	stream, replay string
	lane           int
	head           int64
}

// TakeOver finds what an earlier sender had sent.
func (s *side) TakeOver(context.Context) (last string, err error) {
	head, err := s.store.Head(context.Background())
	s.head = head.Position
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent := s.sides[s.replay]; len(sent) > 0 {
		last = sent[len(sent)-1].String()
	}
	return last, err
}

// Send keeps what leaves.
func (s *side) Send(_ context.Context, messages []delivery.Message) error {
	head, err := s.store.Head(context.Background())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		s.sides[s.replay] = append(s.sides[s.replay], messages[i].Cursor)
	}
	s.handouts = append(s.handouts, handout{stream: s.stream, lane: s.lane, before: s.head, after: head.Position, messages: messages})
	s.head = head.Position
	return nil
}

// refusal names the refusals of who steers a stream; empty for none.
func refusal(err error) string {
	for name, refused := range map[string]error{
		"paused": delivery.ErrPaused, "nothing": delivery.ErrNothing, "not-parked": delivery.ErrNotParked, "idle": context.Canceled,
	} {
		if errors.Is(err, refused) {
			return name
		}
	}
	return ""
}

// deaf is a store that shows no pause to who looks at a stream's settings: the negative control of pausing.
type deaf struct{ eventstore.Store }

func (s deaf) ReadAggregate(ctx context.Context, a eventstore.Aggregate, from int32, limit int) ([]eventstore.Recorded, error) {
	recs, err := s.Store.ReadAggregate(ctx, a, from, limit)
	return slices.DeleteFunc(slices.Clone(recs), func(r eventstore.Recorded) bool { return r.Type == journal.TypeStreamPaused }), err
}

// TestTheCheckerFindsBreachesOfStreams: a log on which one thing about synthetic events, replays or parking is other than it was is found out.
func TestTheCheckerFindsBreachesOfStreams(t *testing.T) {
	t.Parallel()
	w, ctx := onSQLite(t, *seed, asItIs), context.Background()
	id := register(t, w, ctx)
	_, err := w.hubs[0].command.Tell(ctx, w.resident(id), id, w.change("address-changed", "2026-03-01", w.address()))
	require.NoError(t, err)
	for range 3 {
		w.synth(w.hubs[0], "shelter.s")(ctx)
	}
	require.NoError(t, w.hubs[0].delivery.Synthesize(ctx, operator, journal.CommandID{}, "shelter.s", 2, "address-changed"))
	w.drain(ctx)
	w.park(w.hubs[0], "shelter.s")(ctx)
	require.NoError(t, w.hubs[0].delivery.Redrive(ctx, operator, journal.CommandID{}, "shelter.s", 0, 1, 1000))
	_, err = w.hubs[0].delivery.Replay(ctx, operator, journal.CommandID{}, "shelter.s", delivery.ReplayAsk{Last: 5, Side: true})
	require.NoError(t, err)
	w.drain(ctx)
	require.Empty(t, w.check(ctx))
	for name, plant := range map[string]struct {
		spoil func(c *checker)
		want  string
	}{
		"given twice":  {func(c *checker) { c.each(func(d *journal.Disclosed) { d.Items[len(d.Items)-1].Index = 0 }) }, "invariant 6"},
		"never given":  {func(c *checker) { c.each(func(d *journal.Disclosed) { d.Items = d.Items[:len(d.Items)-1] }) }, "invariant 6"},
		"never asked":  {func(c *checker) { c.each(func(d *journal.Disclosed) { d.Items[len(d.Items)-1].Position = 0 }) }, "invariant 5"},
		"too much":     {func(c *checker) { c.each(func(d *journal.Disclosed) { d.Items[len(d.Items)-1].Fields = 1 << 5 }) }, "invariant 5"},
		"a person's":   {func(c *checker) { c.lastMessage().Key = "v1.0123456789abcdefghijklmnopqrstuv" }, "invariant 5"},
		"other values": {func(c *checker) { c.lastMessage().Data = []byte(`{"city":"Somewhere"}`) }, "invariant 5"},
		"other bytes":  {func(c *checker) { c.lastMessage().Attributes[0].Value = "1.1" }, "invariant 6"},
		"recalled":     {func(c *checker) { c.lastMessage().Data = nil }, "invariant 6"},
		"a replay cut": {func(c *checker) {
			for name, sent := range c.sides {
				c.sides[name] = sent[1:]
			}
		}, "invariant 6"},
		"paused": {func(c *checker) { c.entries[0].Event = journal.StreamPaused{Stream: "shelter.s"} }, "invariant 4"},
		"not parked": {func(c *checker) {
			for i := range c.entries {
				if _, ok := c.entries[i].Event.(journal.Parked); ok {
					c.entries[i].Event = nil
				}
			}
		}, "invariant 6"},
	} {
		c := w.checker(ctx)
		plant.spoil(c)
		require.True(t, found(c.check(), plant.want), name)
	}
}

// each spoils what gave out a stream's synthetic events last.
func (c *checker) each(spoil func(d *journal.Disclosed)) {
	for i := range slices.Backward(c.entries) {
		d, ok := c.entries[i].Event.(journal.Disclosed)
		if !ok || d.Items[len(d.Items)-1].Kind != "synthetic" {
			continue
		}
		d.Items = slices.Clone(d.Items)
		spoil(&d)
		c.entries[i].Event = d
		return
	}
}

// lastMessage is the last that was handed out, to be spoilt.
func (c *checker) lastMessage() *delivery.Message {
	last := len(c.handouts) - 1
	for len(c.handouts[last].messages) == 0 {
		last--
	}
	h := &c.handouts[last]
	h.messages = slices.Clone(h.messages)
	m := &h.messages[len(h.messages)-1]
	m.Attributes = slices.Clone(m.Attributes)
	return m
}

// between is a store in which something happens right before an append.
type between struct {
	eventstore.Store
	do func()
}

func (s *between) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	if do := s.do; do != nil {
		s.do = nil
		do()
	}
	return s.Store.Append(ctx, appends...)
}

// TestAPauseBitesAtOnce: who has judged what leaves when the stream is paused, by another process, lets nothing out any more, new or again. What
// got its number then comes after the pause.
func TestAPauseBitesAtOnce(t *testing.T) {
	t.Parallel()
	var store between
	w, ctx := onSQLite(t, *seed, func(s eventstore.Store) eventstore.Store { store.Store = s; return &store }), context.Background()
	id := register(t, w, ctx)
	_, err := w.hubs[0].command.Tell(ctx, w.resident(id), id, w.change("address-changed", "2026-03-01", w.address()))
	require.NoError(t, err)
	for _, what := range []string{"new", "again"} {
		store.do = func() { w.pause(w.hubs[0], "shelter.s")(ctx) }
		_, err = w.hubs[2].delivery.Next(ctx, "shelter.s", 0, 0, 10, 0)
		require.ErrorIs(t, err, delivery.ErrPaused, what)
		w.resume(w.hubs[0], "shelter.s")(ctx)
		require.Positive(t, w.pull(ctx, w.hubs[2], "shelter.s", true), what)
	}
	w.drain(ctx)
	require.Empty(t, w.check(ctx))
}
