package delivery_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func numbered(number int64) delivery.Cursor { return delivery.Cursor{Generation: 1, Number: number} }

// A preview counts what would be sent and what of it is recalled, by the law of now, and changes nothing.
func TestAReplayIsPreviewed(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, ctx := newWorld(t, j), context.Background()
		const stream = "s.consent"
		preview := func(ask delivery.ReplayAsk) (delivery.ReplayPart, error) {
			parts, err := w.delivery.PreviewReplay(ctx, operator, stream, ask)
			if err != nil {
				return delivery.ReplayPart{}, err
			}
			require.Len(t, parts, 1)
			return parts[0], nil
		}
		_, err := preview(delivery.ReplayAsk{Last: 5, Side: true})
		require.ErrorIs(t, err, delivery.ErrNothing)

		w.grant()
		first := w.now
		for _, city := range []string{"Kenora", "Dryden", "Sudbury"} {
			w.now = w.now.Add(time.Hour)
			w.move(city)
			w.gets("consent", map[string]string{"Kenora": "1 fact Kenora", "Dryden": "2 fact Dryden", "Sudbury": "3 fact Sudbury"}[city])
		}
		for name, c := range map[string]struct {
			ask  delivery.ReplayAsk
			want delivery.ReplayPart
			err  error
		}{
			"from a cursor":        {delivery.ReplayAsk{From: numbered(2)}, delivery.ReplayPart{From: 2, To: 3}, nil},
			"between two cursors":  {delivery.ReplayAsk{From: numbered(1), To: numbered(2)}, delivery.ReplayPart{From: 1, To: 2}, nil},
			"since a time":         {delivery.ReplayAsk{Since: first.Add(2 * time.Hour)}, delivery.ReplayPart{From: 2, To: 3}, nil},
			"since before all":     {delivery.ReplayAsk{Since: first}, delivery.ReplayPart{From: 1, To: 3}, nil},
			"since after all":      {delivery.ReplayAsk{Since: first.Add(9 * time.Hour)}, delivery.ReplayPart{}, delivery.ErrNothing},
			"the last two":         {delivery.ReplayAsk{Last: 2}, delivery.ReplayPart{From: 2, To: 3}, nil},
			"the last hundred":     {delivery.ReplayAsk{Last: 100}, delivery.ReplayPart{From: 1, To: 3}, nil},
			"beyond the last":      {delivery.ReplayAsk{From: numbered(4)}, delivery.ReplayPart{}, delivery.ErrUnknownCursor},
			"to beyond the last":   {delivery.ReplayAsk{From: numbered(1), To: numbered(4)}, delivery.ReplayPart{}, delivery.ErrUnknownCursor},
			"another generation":   {delivery.ReplayAsk{From: delivery.Cursor{Generation: 2, Number: 1}}, delivery.ReplayPart{}, delivery.ErrUnknownCursor},
			"another lane":         {delivery.ReplayAsk{From: delivery.Cursor{Generation: 1, Lane: 7, Number: 1}}, delivery.ReplayPart{}, delivery.ErrUnknownCursor},
			"backwards":            {delivery.ReplayAsk{From: numbered(3), To: numbered(1)}, delivery.ReplayPart{}, delivery.ErrNothing},
			"nothing named":        {delivery.ReplayAsk{}, delivery.ReplayPart{}, delivery.ErrReplayAsk},
			"two ways":             {delivery.ReplayAsk{From: numbered(1), Last: 1}, delivery.ReplayPart{}, delivery.ErrReplayAsk},
			"an end without start": {delivery.ReplayAsk{To: numbered(1), Last: 1}, delivery.ReplayPart{}, delivery.ErrReplayAsk},
		} {
			c.ask.Side = true
			got, err := preview(c.ask)
			require.ErrorIs(t, err, c.err, name)
			require.Equal(t, c.want, got, name)
		}
		_, err = preview(delivery.ReplayAsk{Last: 1})
		require.ErrorIs(t, err, delivery.ErrNoEndpoint, "there is nowhere to send it again to")
		_, err = w.delivery.PreviewReplay(ctx, journal.Actor{Kind: journal.ActorMinistry, Ministry: "other"}, stream, delivery.ReplayAsk{Last: 1, Side: true})
		require.ErrorIs(t, err, delivery.ErrNotYours)

		w.withdraw()
		head := w.head()
		part, err := preview(delivery.ReplayAsk{Last: 100, Side: true})
		require.NoError(t, err)
		require.Equal(t, delivery.ReplayPart{From: 1, To: 3, Recalled: 3}, part)
		require.Equal(t, head, w.head(), "a look changes nothing")
	})
}

// side is a place of replays that outlives its senders; it fails when it is told to.
type side struct {
	mu    sync.Mutex
	there map[string][]delivery.Message
	fail  func(page int) error // of the page's number; after it, the messages are there or not
	pages int
}

type sideSender struct {
	*side
	replay string
}

func (s sideSender) TakeOver(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.there[s.replay]; len(all) > 0 {
		return all[len(all)-1].Cursor.String(), nil
	}
	return "", nil
}

func (s sideSender) Send(_ context.Context, messages []delivery.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages++
	err := s.fail(s.pages)
	if err == nil || errors.Is(err, errAfter) {
		s.there[s.replay] = append(s.there[s.replay], messages...)
	}
	return err
}

var errBefore, errAfter = errors.New("failed before anything was there"), errors.New("failed after all was there")

// A replay to the side sends each number once and in order, whatever fails; what was withdrawn goes as its placeholder; a pause holds it
// up; and a process that starts later does nothing again.
func TestAReplayToTheSide(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, ctx := newWorld(t, j), t.Context()
		const stream = "s.consent"
		w.grant()
		w.move("Kenora")
		w.move("Dryden")
		w.gets("consent", "1 fact Kenora", "2 fact Dryden")
		w.withdraw()
		w.grant()
		w.move("Sudbury")
		w.gets("consent", "3 ended", "4 fact Sudbury")

		command := journal.CommandID{Issuer: "test", ID: uuid.NewString(), Content: []byte("replay")}
		ask := delivery.ReplayAsk{From: numbered(1), Side: true}
		require.NoError(t, w.delivery.Pause(ctx, operator, journal.CommandID{}, stream))
		for range 2 { // asked twice, by the same command: once
			_, err := w.delivery.Replay(ctx, operator, command, stream, ask)
			require.NoError(t, err)
		}
		command.Content = []byte("another")
		_, err := w.delivery.Replay(ctx, operator, command, stream, ask)
		require.ErrorIs(t, err, eventstore.ErrCommandReused)
		_, err = w.delivery.Replay(ctx, operator, journal.CommandID{}, stream, delivery.ReplayAsk{Last: 2, Side: true})
		require.NoError(t, err)

		place := &side{there: map[string][]delivery.Message{}}
		place.fail = func(page int) error { return []error{errBefore, errAfter, nil, nil, nil, nil}[min(page-1, 5)] }
		start := func() (stop func()) {
			running, cancel := context.WithCancel(ctx)
			ended := make(chan error, 1)
			replayer := &delivery.Replayer{
				Delivery: delivery.New(j), Owner: uuid.NewString(), Logger: slog.New(slog.DiscardHandler),
				Side: func(_ journal.StreamOpened, _ int, replay string) delivery.Sender { return sideSender{place, replay} },
			}
			go func() { ended <- replayer.Run(running) }()
			return func() {
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
			}
		}
		done := func(count int) (replays []delivery.ReplayStatus) {
			require.Eventually(t, func() bool {
				replays, err = w.delivery.Replays(ctx, stream)
				require.NoError(t, err)
				return len(replays) == count && !slices.ContainsFunc(replays, func(r delivery.ReplayStatus) bool { return !r.Done() })
			}, 20*time.Second, 5*time.Millisecond)
			return replays
		}
		stop := start()
		require.NoError(t, w.delivery.Resume(ctx, operator, journal.CommandID{}, stream))
		replays := done(2)
		stop()
		var got [][]string
		for _, r := range replays {
			var lines []string
			for _, m := range place.there[r.Name()] {
				lines = append(lines, line(&m))
			}
			got = append(got, lines)
		}
		require.Equal(t, [][]string{{"1 recalled", "2 recalled", "3 ended", "4 fact Sudbury"}, {"3 ended", "4 fact Sudbury"}}, got)

		pages := place.pages
		stop = start()
		_, err = w.delivery.Replay(ctx, operator, journal.CommandID{}, stream, delivery.ReplayAsk{Last: 1, Side: true})
		require.NoError(t, err)
		done(3)
		stop()
		require.Equal(t, pages+1, place.pages, "what is done stays done")
		w.rebuilds()
	})
}
