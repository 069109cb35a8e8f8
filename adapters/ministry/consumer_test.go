package ministry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/adapters/ministry"
)

// errCrash stands for the end of the process.
var errCrash = errors.New("the process died")

// crashing is a store that dies in a transaction, before or after its commit.
type crashing struct {
	ministry.Store
	dies func() string // "", "before" or "after"
}

func (s crashing) Save(ctx context.Context, stream string, lane int, before, after ministry.Progress, work func(context.Context) error) error {
	death := s.dies()
	err := s.Store.Save(ctx, stream, lane, before, after, func(ctx context.Context) error {
		if work != nil {
			if err := work(ctx); err != nil {
				return err
			}
		}
		if death == "before" {
			return errCrash
		}
		return nil
	})
	if err == nil && death == "after" {
		return errCrash
	}
	return err
}

// TestEachNumberOnceInEffect brings events with repeats, leaps and crashes, from a handler that rejects and fails: in the end each number was
// applied once, in order, or rejected, and its receipt says so.
func TestEachNumberOnceInEffect(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		lanes := rapid.IntRange(1, 3).Draw(rt, "lanes")
		texts := make([][][]byte, lanes)
		for lane := range lanes {
			for n := range int64(rapid.IntRange(0, 12).Draw(rt, "events")) {
				texts[lane] = append(texts[lane], given(lane, n+1, ministry.KindFact, nil))
			}
		}
		hub := newFakeHub(t, texts...)
		defer hub.Close()
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)) // #nosec G404 -- a test's
		b := &bundle{ledger: &ledger{}, path: filepath.Join(memory(t), "numbers.json")}
		b.ledger.refuse = func(e ministry.Event) error {
			switch {
			case e.Cursor.Number%5 == 3:
				return ministry.Reject(fmt.Sprintf("no %d", e.Cursor.Number/5))
			case random.IntN(6) == 0:
				return errors.New("not now")
			}
			return nil
		}
		crash := random.IntN(3) == 0
		open := func() {
			b.open(t, func(c *ministry.Config) {
				c.Client, c.Batch = hub.client(t), 1+random.IntN(5)
				c.Store = crashing{c.Store, func() string {
					if !crash || random.IntN(4) > 0 {
						return ""
					}
					return []string{"before", "after"}[random.IntN(2)]
				}}
			})
		}
		open()
		ctx := context.Background()
		for range rapid.IntRange(0, 30).Draw(rt, "deliveries") {
			lane := random.IntN(lanes)
			if len(texts[lane]) == 0 {
				continue
			}
			from := random.IntN(len(texts[lane]))
			to := from + 1 + random.IntN(len(texts[lane])-from)
			if err := b.Deliver(ctx, parse(t, texts[lane][from:to]...)...); errors.Is(err, errCrash) {
				open()
			}
		}
		crash = false
		open()
		require.NoError(rt, b.Run(ctx, ministry.Pull(ministry.PullConfig{Once: true})))
		for lane := range lanes {
			var applied []int64
			answers := map[int64]string{}
			for n := int64(1); n <= int64(len(texts[lane])); n++ {
				answers[n] = "applied"
				if n%5 == 3 {
					answers[n] = fmt.Sprintf("rejectedno %d", n/5)
				} else {
					applied = append(applied, n)
				}
			}
			require.Equal(rt, applied, b.ledger.Applied[fmt.Sprint(lane)])
			require.Equal(rt, answers, hub.answers(lane))
		}
	})
}

func TestAHole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	t.Run("halts without a client", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil)
		require.NoError(t, b.Deliver(ctx, parse(t, facts(1, 2)...)...))
		err := b.Deliver(ctx, parse(t, fact(5))...)
		var hole *ministry.HoleError
		require.ErrorAs(t, err, &hole)
		require.ErrorIs(t, err, ministry.ErrHole)
		require.Equal(t, "1.0.2 1.0.5", hole.Have.String()+" "+hole.Got.String())
		require.Contains(t, err.Error(), "stream redrive")
		require.Equal(t, numbers(1, 2), b.ledger.Applied["0"])
		require.NoError(t, b.Deliver(ctx, parse(t, facts(3, 4)...)...), "what was missing may come")
		require.NoError(t, b.Deliver(ctx, parse(t, fact(5))...))
		require.Equal(t, numbers(1, 5), b.ledger.Applied["0"])
	})
	t.Run("also before the first event", func(t *testing.T) {
		t.Parallel()
		b := setup(t, nil)
		err := b.Deliver(ctx, parse(t, fact(2))...)
		require.ErrorIs(t, err, ministry.ErrHole)
		require.Contains(t, err.Error(), "the last one here is none")
		require.Empty(t, b.ledger.Applied["0"])
	})
	t.Run("is filled from the hub", func(t *testing.T) {
		t.Parallel()
		hub := newFakeHub(t, facts(1, 2500))
		b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
		require.NoError(t, b.Deliver(ctx, parse(t, fact(2), fact(2499))...))
		require.Equal(t, numbers(1, 2499), b.ledger.Applied["0"])
	})
	t.Run("of the hub's own halts", func(t *testing.T) {
		t.Parallel()
		hub := newFakeHub(t, [][]byte{fact(1), fact(3), fact(4)})
		b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
		require.ErrorIs(t, b.Run(ctx, ministry.Pull(ministry.PullConfig{})), ministry.ErrHole)
		require.Equal(t, numbers(1, 1), b.ledger.Applied["0"])
	})
}

func TestWhatComesAgainIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for range 2 {
		require.NoError(t, b.Deliver(context.Background(), parse(t, facts(1, 3)...)...))
	}
	require.NoError(t, b.Deliver(context.Background(), parse(t, fact(2), fact(3), given(0, 4, ministry.KindRecalled, nil))...))
	require.Equal(t, numbers(1, 4), b.ledger.Applied["0"], "a recalled number counts, too")
}

func TestANewGeneration(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setup(t, nil)
	next := parse(t, given(0, 1, ministry.KindFact, map[string]any{"id": "2.0.1"}))
	require.NoError(t, b.Deliver(ctx, parse(t, facts(1, 3)...)...))
	err := b.Deliver(ctx, next...)
	require.ErrorIs(t, err, ministry.ErrGeneration)
	require.Contains(t, err.Error(), "Restart")
	require.Len(t, b.ledger.Applied["0"], 3)
	require.NoError(t, b.Restart(ctx, 0, 2))
	require.NoError(t, b.Deliver(ctx, next...))
	require.NoError(t, b.Deliver(ctx, parse(t, fact(4))...), "what is left of the former one is dropped")
	require.Equal(t, []int64{1, 2, 3, 1}, b.ledger.Applied["0"])
}

func TestAnotherStreamsEvents(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	other := parse(t, given(0, 1, ministry.KindFact, map[string]any{"source": "https://tellonce.example/streams/other"}))
	require.ErrorIs(t, b.Deliver(context.Background(), other...), ministry.ErrOtherStream)
	require.Error(t, b.Deliver(context.Background(), parse(t, fact(1), given(1, 1, ministry.KindFact, nil))...))
	require.Empty(t, b.ledger.Applied)
}

// TestAFailureHoldsTheLane: nothing after what failed is touched, what was before it stands, and it is tried again.
func TestAFailureHoldsTheLane(t *testing.T) {
	t.Parallel()
	hub := newFakeHub(t, facts(1, 6))
	b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	failures := 0
	b.ledger.refuse = func(e ministry.Event) error {
		if e.Cursor.Number == 4 && failures < 3 {
			failures++
			return fmt.Errorf("failure %d", failures)
		}
		return nil
	}
	err := b.Deliver(context.Background(), parse(t, facts(1, 6)...)...)
	require.ErrorContains(t, err, "event 1.0.4 was not handled: failure 2")
	require.Equal(t, numbers(1, 3), b.ledger.Applied["0"])
	b.until(t, func() bool { return len(hub.answers(0)) == 6 }, ministry.Pull(ministry.PullConfig{}))
	require.Equal(t, numbers(1, 6), b.ledger.Applied["0"])
}

// TestTwoProcessesOnOneStore: one of them loses the race for an event and finds it dealt with.
func TestTwoProcessesOnOneStore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setup(t, nil)
	other, err := ministry.New(ministry.Config{Stream: stream, Store: b.store, Handler: b.ledger})
	require.NoError(t, err)
	require.NoError(t, b.Deliver(ctx, parse(t, facts(1, 2)...)...))
	require.NoError(t, other.Deliver(ctx, parse(t, facts(1, 4)...)...))
	require.NoError(t, b.Deliver(ctx, parse(t, facts(3, 5)...)...))
	require.Equal(t, numbers(1, 5), b.ledger.Applied["0"])
}

func TestReceiptsWaitForTheHub(t *testing.T) {
	t.Parallel()
	hub := newFakeHub(t, facts(1, 3))
	failures := 0
	hub.disturb = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == "POST" && failures < 3 {
			failures++
			problem(w, 503, "busy")
			return true
		}
		return false
	}
	b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	b.until(t, func() bool { return len(hub.answers(0)) == 3 }, ministry.Pull(ministry.PullConfig{}))
	require.Equal(t, map[int64]string{1: "applied", 2: "applied", 3: "applied"}, hub.answers(0))

	sent := len(hub.asked)
	b.open(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	require.NoError(t, b.Run(context.Background(), ministry.Pull(ministry.PullConfig{Once: true})))
	require.Len(t, hub.asked, sent+2, "nothing is answered twice after a quiet end: the list of lanes and one page")
}

// TestReceiptsOfACrash: what was committed and not answered is answered after the next start.
func TestReceiptsOfACrash(t *testing.T) {
	t.Parallel()
	hub := newFakeHub(t, facts(1, 3))
	b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	b.ledger.refuse = func(e ministry.Event) error {
		if e.Cursor.Number == 2 {
			return ministry.Reject("no such client")
		}
		return nil
	}
	require.NoError(t, b.Deliver(context.Background(), parse(t, facts(1, 3)...)...)) // nobody runs, so nobody answers
	b.open(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	require.NoError(t, b.Run(context.Background(), ministry.Pull(ministry.PullConfig{Once: true})))
	require.Equal(t, map[int64]string{1: "applied", 2: "rejectedno such client", 3: "applied"}, hub.answers(0))
	kept, err := b.store.Load(context.Background(), stream, 0)
	require.NoError(t, err)
	require.Equal(t, ministry.Progress{Generation: 1, Last: 3, Answered: 3}, kept, "nothing is left to say")
}

func TestWhatAConsumerNeeds(t *testing.T) {
	t.Parallel()
	_, err := ministry.New(ministry.Config{})
	require.Error(t, err)
	b := setup(t, nil)
	require.Error(t, b.Run(context.Background(), ministry.Pull(ministry.PullConfig{})), "pull without a client")
	_, err = b.Webhook(ministry.WebhookConfig{})
	require.Error(t, err)
	for _, url := range []string{"", "hub.example.ca", "ftp://hub.example.ca"} {
		_, err = ministry.NewClient(ministry.ClientConfig{URL: url, Token: ministry.TokenFile("x")})
		require.Error(t, err)
	}
	_, err = ministry.NewClient(ministry.ClientConfig{URL: "https://hub.example.ca"})
	require.Error(t, err)
}
