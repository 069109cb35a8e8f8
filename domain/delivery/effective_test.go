package delivery_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// on moves the log's time to noon of a day: somebody else registers.
func (w *world) on(day string) {
	w.Helper()
	noon, err := time.Parse("2006-01-02 15:04", day+" 16:00")
	require.NoError(w, err)
	w.now = noon
	w.resident()
}

// waits are the rules of what is delivered on its day.
var waits = map[string]func(*world){
	"a fact leaves on its day, and stays in the order of telling": func(w *world) {
		w.moveOn("2026-03-10", "Kenora")
		w.moveOn("2026-03-05", "Dryden")
		w.move("Red Lake")
		w.gets("later", "1 fact Red Lake")
		w.gets("statute", "1 fact Kenora", "2 fact Dryden", "3 fact Red Lake")
		w.on("2026-03-04")
		w.gets("later")
		w.on("2026-03-05")
		w.gets("later", "2 fact Dryden")
		w.on("2026-03-09")
		w.delivery = delivery.New(w.journal) // as after a restart
		w.gets("later")
		w.on("2026-03-10")
		w.gets("later", "3 fact Kenora")
		w.again("later", "1 fact Red Lake", "2 fact Dryden", "3 fact Kenora")
	},
	"what fell due on several days while nobody read leaves in the order of telling": func(w *world) {
		w.moveOn("2026-03-10", "Kenora")
		w.moveOn("2026-03-05", "Dryden")
		w.on("2026-03-12")
		w.move("Red Lake")
		w.gets("later", "1 fact Kenora", "2 fact Dryden", "3 fact Red Lake")
	},
	"a correction of what waits takes its place": func(w *world) {
		wrong := w.moveOn("2026-03-10", "Kenora")
		w.correct(wrong, "2026-03-07", "Dryden")
		w.on("2026-03-07")
		w.gets("later", "1 fact Dryden")
		w.on("2026-03-10")
		w.gets("later")
	},
	"a correction of what was given leaves at once, whatever its day": func(w *world) {
		wrong := w.move("Kenora")
		w.gets("later", "1 fact Kenora")
		w.correct(wrong, "2026-03-20", "Dryden")
		w.gets("later", "2 correction corrects 1.0.1 Dryden")
		w.on("2026-03-20")
		w.gets("later")
	},
	"what is cancelled while it waits leaves nothing": func(w *world) {
		w.cancel(w.moveOn("2026-03-10", "Kenora"))
		w.on("2026-03-10")
		w.gets("later")
	},
	"the verification of what waits does not bring it forward": func(w *world) {
		told := w.moveOn("2026-03-10", "Kenora")
		w.about(w.citizen, registrar, journal.TypeChangeVerified, "2026-03-10", map[string]any{"verifies": told})
		w.gets("later")
		w.on("2026-03-10")
		w.gets("later", "1 fact Kenora", "2 correction corrects 1.0.1 verified Kenora")
	},
	"an announced value of a snapshot waits for its day": func(w *world) {
		held, announced := w.move("Kenora"), w.moveOn("2026-03-10", "Dryden")
		w.gets("later", "1 fact Kenora")
		law, err := w.journal.FreshLaw(w.ctx)
		require.NoError(w, err)
		city := law.Rules.Fields(index(w, law, "later"), "address-changed")
		other := w.agreement("other", 1, worldAgreements["later"])
		w.load(other)
		w.append(w.citizen, journal.SnapshotTaken{Agreement: "other", Cause: held, Version: 1, Facts: []journal.SnapshotShare{
			{Fields: city, Position: held}, {Fields: city, Position: announced},
		}})
		w.gets("other", "1 snapshot Kenora")
		w.on("2026-03-10")
		w.gets("other", "2 snapshot Dryden")
	},
	"a clock that ran ahead gives nothing early once it is set right": func(w *world) {
		w.moveOn("2026-03-10", "Kenora")
		w.gets("later")
		require.NoError(w, w.delivery.Wake(w.ctx, "s.later", 0, 20260311))
		w.gets("later")
		w.on("2026-03-10")
		w.gets("later", "1 fact Kenora")
	},
}

func index(w *world, law *journal.Law, agreement string) int16 {
	w.Helper()
	i, ok := law.Rules.Lookup(agreement)
	require.True(w, ok)
	return i
}

func TestWhatWaitsForItsDay(t *testing.T) {
	t.Parallel()
	for name, scenario := range waits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
				w := newWorld(t, j)
				scenario(w)
				w.rebuilds()
			})
		})
	}
}

// TestAReaderWaitsForTheDaysEnd: who waits at midnight is given what falls due then, without anything being appended.
func TestAReaderWaitsForTheDaysEnd(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/Toronto")
	require.NoError(t, err)
	offset := time.Until(time.Date(2026, 3, 4, 23, 59, 58, 0, zone))
	o := journaltest.Options{Clock: func() time.Time { return time.Now().Add(offset) }, Wall: true}
	journaltest.OnBothStores(t, o, func(t *testing.T, j *journal.Journal) {
		w := newWorld(t, j)
		w.now = time.Time{} // as the clock says
		w.moveOn("2026-03-05", "Kenora")
		page, err := w.delivery.Next(w.ctx, "s.later", 0, 0, 10, time.Minute)
		require.NoError(t, err)
		require.Len(t, page.Messages, 1)
		require.Equal(t, "1 fact Kenora", line(&page.Messages[0]))
		require.Equal(t, "2026-03-05", j.DayOf(o.Clock()).Date.String())
	})
}

// counting counts the rows of views that are scanned, and says when waiting ones are.
type counting struct {
	eventstore.Store
	scanned, largest atomic.Int64
	woken            func() // called once, after rows that wait were scanned
}

func (c *counting) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	rows, err := c.Store.Scan(ctx, view, from, to, limit, reverse)
	c.scanned.Add(int64(len(rows)))
	c.largest.Store(max(c.largest.Load(), int64(len(rows))))
	if woken := c.woken; woken != nil && len(rows) > 0 && rows[0].Key[0] == 'w' {
		c.woken = nil
		woken()
	}
	return rows, err
}

// onCounting is a world on an embedded store whose scans are counted.
func onCounting(t *testing.T) (*world, *counting) {
	t.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	counted := &counting{Store: store}
	return newWorld(t, journaltest.Begin(t, journaltest.Options{}, counted, keys)), counted
}

// TestWhatWasGivenDoesNotFallDueAgain: while one reader wakes what waited for the day, another has done so and been given it.
func TestWhatWasGivenDoesNotFallDueAgain(t *testing.T) {
	t.Parallel()
	w, counted := onCounting(t)
	w.moveOn("2026-03-10", "Kenora")
	w.gets("later")
	w.on("2026-03-10")
	slow := delivery.New(w.journal)
	counted.woken = func() { w.gets("later", "1 fact Kenora") }
	page, err := slow.Next(w.ctx, "s.later", 0, 0, 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1, "what the other was given, as given")
	require.Equal(t, "1 fact Kenora", line(&page.Messages[0]))
	w.gets("later")
	w.rebuilds()
}

// TestManyThatWaitCostNothing: 100,000 facts wait. Reading what is due looks at none of them; and on their day they come in order, a bounded
// number in memory.
func TestManyThatWaitCostNothing(t *testing.T) {
	t.Parallel()
	ctx, many := context.Background(), 20_000
	if testing.Short() {
		many = 5_000
	}
	w, counted := onCounting(t)
	law, err := w.journal.FreshLaw(ctx)
	require.NoError(t, err)
	city := law.Rules.Fields(index(w, law, "later"), "address-changed")
	decided := journal.Decided{Agreements: law.Version, Engine: consent.EngineVersion, Decisions: []journal.Decision{{Agreement: "later", Version: 1, Fields: city}}}
	for done := 0; done < many; {
		steps := make([]journal.Step, 5000)
		for i := range steps {
			meta := journal.Meta{Effective: fmt.Sprintf("2026-04-%02d", 1+done%2)}
			change := citizen.Change{Type: "address-changed", Data: address(fmt.Sprintf("City %d", done))}
			steps[i] = stepOf(w.citizen, journal.New{Event: change, Meta: meta}, journal.New{Event: decided, Cause: eventstore.CauseBefore(1), Meta: meta})
			steps[i].Timing = journal.Timing{At: w.now}
			done++
		}
		_, err := w.journal.Append(ctx, steps...)
		require.NoError(t, err)
	}
	w.gets("later")
	w.move("Kenora")
	w.rows()
	counted.scanned.Store(0)
	w.gets("later", "1 fact Kenora")
	require.Less(t, counted.scanned.Load(), int64(10), "rows read, of %d that wait", many)

	w.on("2026-04-02")
	counted.largest.Store(0)
	const page = 500
	for number := int64(1); number < 4*page; {
		got, err := w.delivery.Next(ctx, "s.later", 0, number, page, 0)
		require.NoError(t, err)
		require.Len(t, got.Messages, page)
		for _, m := range got.Messages {
			require.Contains(t, string(m.Data), fmt.Sprintf(`"City %d"`, number-1))
			number++
		}
	}
	require.LessOrEqual(t, counted.largest.Load(), int64(1000), "rows in memory at once")
}
