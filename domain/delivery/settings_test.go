package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func hook(stream, url string) journal.EndpointSet {
	return journal.EndpointSet{
		Batch: 10, Kind: journal.EndpointWebhook, Secret: "first", Signature: journal.SignatureHMAC, Stream: stream, URL: url,
	}
}

// steer plays one setting after the other; what is set is what is read, by this process, by one that starts, and from a rebuilt view.
func TestSettings(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, ctx := newWorld(t, j), context.Background()
		d, stream := w.delivery, "s.statute"
		one, two := hook(stream, "https://one.example/in"), hook(stream, "https://two.example/in")
		reads := func(want delivery.Settings) {
			t.Helper()
			got, err := d.Settings(ctx, stream)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got, err = delivery.New(j).Settings(ctx, stream)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		reads(delivery.Settings{})
		require.NoError(t, d.SetEndpoint(ctx, operator, journal.CommandID{}, one))
		reads(delivery.Settings{Endpoint: &one})
		require.NoError(t, d.Pause(ctx, operator, journal.CommandID{}, stream))
		reads(delivery.Settings{Paused: true, Why: journal.PausedAsked, Endpoint: &one})
		head := w.head()
		require.NoError(t, d.Pause(ctx, operator, journal.CommandID{}, stream))
		require.NoError(t, d.SetEndpoint(ctx, operator, journal.CommandID{}, one))
		require.Equal(t, head, w.head(), "nothing new was asked")
		require.NoError(t, d.SetEndpoint(ctx, operator, journal.CommandID{}, two))
		reads(delivery.Settings{Paused: true, Why: journal.PausedAsked, Endpoint: &two})
		once := journal.CommandID{Issuer: "test", ID: "1", Content: []byte("resume")}
		require.NoError(t, d.Resume(ctx, operator, once, stream))
		reads(delivery.Settings{Endpoint: &two})
		require.NoError(t, d.Pause(ctx, operator, journal.CommandID{}, stream))
		require.NoError(t, d.Resume(ctx, operator, once, stream), "repeated, so it says what it said")
		reads(delivery.Settings{Paused: true, Why: journal.PausedAsked, Endpoint: &two})
		require.ErrorIs(t, d.Resume(ctx, operator, journal.CommandID{Issuer: "test", ID: "1"}, stream), eventstore.ErrCommandReused)
		require.NoError(t, d.Resume(ctx, operator, journal.CommandID{}, stream))

		w.move("Kenora")
		w.gets("statute", "1 fact Kenora")
		require.NoError(t, d.Record(ctx, operator, journal.CommandID{}, stream, []delivery.Receipt{{From: "1.0.1", To: "1.0.1", Status: delivery.Applied}}))
		require.NoError(t, d.Pause(ctx, operator, journal.CommandID{}, stream))
		w.move("Dryden")
		for _, after := range []int64{0, 1} {
			_, err := d.Next(ctx, stream, 0, after, 10, time.Minute)
			require.ErrorIs(t, err, delivery.ErrPaused, "neither again nor new")
		}
		w.gets("shelter", "1 fact Kenora", "2 fact Dryden") // another stream
		require.NoError(t, d.SetEndpoint(ctx, operator, journal.CommandID{}, journal.EndpointSet{Stream: stream}))
		reads(delivery.Settings{Paused: true, Why: journal.PausedAsked})
		require.NoError(t, d.Resume(ctx, operator, journal.CommandID{}, stream))
		reads(delivery.Settings{})
		w.gets("statute", "2 fact Dryden")
		w.rebuilds()
		reads(delivery.Settings{})
	})
}

func TestWhoMaySteer(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t, journaltest.New(t, journaltest.Options{})), context.Background()
	own := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, Ministry: "m-statute"}
	other := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, Ministry: "m-shelter"}
	deeds := map[string]func(journal.Actor, string) error{
		"pause":  func(a journal.Actor, s string) error { return w.delivery.Pause(ctx, a, journal.CommandID{}, s) },
		"resume": func(a journal.Actor, s string) error { return w.delivery.Resume(ctx, a, journal.CommandID{}, s) },
		"endpoint": func(a journal.Actor, s string) error {
			return w.delivery.SetEndpoint(ctx, a, journal.CommandID{}, hook(s, "https://a.example"))
		},
		"redrive": func(a journal.Actor, s string) error {
			return w.delivery.Redrive(ctx, a, journal.CommandID{}, s, 0, 1, 1)
		},
	}
	for name, deed := range deeds {
		for _, nobody := range []journal.Actor{other, source, registrar, {}} {
			require.ErrorIs(t, deed(nobody, "s.statute"), delivery.ErrNotYours, name)
		}
		require.ErrorIs(t, deed(operator, "s.none"), delivery.ErrUnknownStream, name)
		for _, somebody := range []journal.Actor{own, operator} {
			if err := deed(somebody, "s.statute"); name != "redrive" {
				require.NoError(t, err, name)
			} else {
				require.ErrorIs(t, err, delivery.ErrNotParked)
			}
		}
	}
	require.ErrorIs(t, w.delivery.Redrive(ctx, own, journal.CommandID{}, "s.statute", 1, 1, 1), delivery.ErrUnknownLane)
}

func TestEndpointsThatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, journaltest.New(t, journaltest.Options{}))
	for member, spoil := range map[string][]func(*journal.EndpointSet){
		"kind":      {func(e *journal.EndpointSet) { e.Kind = "kafka" }},
		"secret":    {func(e *journal.EndpointSet) { e.Secret = "" }},
		"signature": {func(e *journal.EndpointSet) { e.Signature = "v2" }},
		"batch":     {func(e *journal.EndpointSet) { e.Batch = 0 }, func(e *journal.EndpointSet) { e.Batch = delivery.MaxBatch + 1 }},
		"url": {
			func(e *journal.EndpointSet) { e.URL = "" }, func(e *journal.EndpointSet) { e.URL = "ftp://a.example" },
			func(e *journal.EndpointSet) { e.URL = "https:///in" }, func(e *journal.EndpointSet) { e.URL = "https://a.example/%zz" },
			func(e *journal.EndpointSet) { e.URL = "https://user:word@a.example" }, func(e *journal.EndpointSet) { e.URL = "https://a.example/#in" },
		},
	} {
		for _, one := range spoil {
			e := hook("s.statute", "https://a.example/in")
			one(&e)
			err := w.delivery.SetEndpoint(w.ctx, operator, journal.CommandID{}, e)
			var wrong *delivery.EndpointError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, member, wrong.Member)
		}
	}
}

// Of many who steer at once none is lost: each sees what the others did before it.
func TestSteeringAtOnce(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w := newWorld(t, j)
		var group errgroup.Group
		for i := range 8 {
			d := delivery.New(j) // each is a process
			group.Go(func() error {
				for n := range 5 {
					if err := d.SetEndpoint(w.ctx, operator, journal.CommandID{}, hook("s.statute", fmt.Sprintf("https://a.example/%d/%d", i, n))); err != nil {
						return err
					}
					if err := d.Pause(w.ctx, operator, journal.CommandID{}, "s.statute"); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		entries, err := j.ReadAggregate(w.ctx, journal.StreamAggregate("s.statute"), 1, 0)
		require.NoError(t, err)
		types := map[string]int{}
		for _, e := range entries {
			types[e.Type]++
		}
		require.Equal(t, 40, types[journal.TypeEndpointSet])
		require.Equal(t, 1, types[journal.TypeStreamPaused], "it was paused once")
	})
}

// TestParkedRanges compares the view with a set of numbers.
func TestParkedRanges(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w, round := newWorld(t, j), 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			stream, want := fmt.Sprintf("s.%d", round), map[int64]int{}
			for attempts := range rapid.IntRange(1, 8).Draw(rt, "events") {
				from := rapid.Int64Range(1, 12).Draw(rt, "from")
				to := from + rapid.Int64Range(0, 5).Draw(rt, "more")
				kind := rapid.SampledFrom([]string{"park", "park", "redrive", "replay", "side"}).Draw(rt, "kind")
				events := map[string]any{
					"park":    journal.Parked{Attempts: attempts, Code: "http-500", From: from, Stream: stream, To: to},
					"redrive": journal.Redriven{From: from, Stream: stream, To: to},
					"replay":  journal.ReplayAsked{From: from, Stream: stream, Target: journal.ReplayStream, To: to},
					"side":    journal.ReplayAsked{From: from, Stream: stream, Target: journal.ReplaySide, To: to},
				}
				for n := from; n <= to && kind != "side"; n++ {
					if delete(want, n); kind == "park" {
						want[n] = attempts
					}
				}
				w.append(w.citizen, events[kind])
			}
			got := map[int64]int{}
			parked, err := w.delivery.ParkedOf(w.ctx, stream, 0, 1, 100)
			require.NoError(t, err)
			for _, p := range parked {
				for n := p.From; n <= p.To; n++ {
					require.NotContains(t, got, n)
					got[n] = p.Attempts
				}
			}
			require.Equal(t, want, got)
			require.True(t, slices.IsSortedFunc(parked, func(a, b delivery.ParkedRange) int { return int(a.From - b.From) }))
		})
	})
}
