package notice_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/domain/notice"
)

func newSQLite(t *testing.T) *world {
	t.Helper()
	c := &clock{at: time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)}
	return newWorld(t, journaltest.New(t, journaltest.Options{Clock: c.now}), c)
}

// TestACarrierThatIsAway: a notice is tried a few times, then steps aside for others, and goes once the carrier is back.
func TestACarrierThatIsAway(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		tried := map[string]int{}
		w.carrier.fail = func(n notice.Notice) error {
			if tried[n.To]++; n.To == "away@example.ca" {
				return errors.New("busy")
			}
			return nil
		}
		away, here := w.born("1980-05-17", "en"), w.born("1980-05-17", "en")
		w.contact(away, map[string]any{"email": "away@example.ca"})
		w.contact(here, map[string]any{"email": "here@example.ca"})
		require.Equal(w.t, []string{"email here@example.ca: confirmed"}, w.settle())
		require.Equal(w.t, map[string]int{"away@example.ca": 3, "here@example.ca": 1}, tried)
		require.Empty(w.t, w.sent(away))
		require.Empty(w.t, w.settle(), "it waits")
		require.Equal(w.t, 3, tried["away@example.ca"])
		w.clock.pass(time.Minute)
		require.Empty(w.t, w.settle())
		require.Equal(w.t, 6, tried["away@example.ca"])
		w.carrier.fail = nil
		w.clock.pass(time.Minute)
		require.Empty(w.t, w.settle(), "the second time it waits longer")
		w.clock.pass(4 * time.Minute)
		require.Equal(w.t, []string{"email away@example.ca: confirmed"}, w.settle())
	})
}

// TestAContactThatTakesNothing: that is on the log, at once; the other notice of the same change still goes.
func TestAContactThatTakesNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		id := w.born("1980-05-17", "en")
		first := w.contact(id, map[string]any{"email": "old@example.ca"})
		w.settle()
		w.carrier.fail = func(n notice.Notice) error {
			if n.To == "old@example.ca" {
				return fmt.Errorf("%w (550)", notice.ErrPermanent)
			}
			return nil
		}
		second := w.contact(id, map[string]any{"email": "new@example.ca"})
		require.Equal(w.t, []string{"email new@example.ca: confirmed"}, w.settle())
		require.Equal(w.t, []journal.NoticeSent{
			{Cause: second, Channel: "email", Contact: first, Language: "en", Outcome: "failed", Template: "changed"},
			{Cause: second, Channel: "email", Contact: second, Language: "en", Outcome: "delivered", Template: "confirmed"},
		}, w.sent(id)[1:])
	})
}

// TestWhatCantBeSentInTimeIsGivenUp, and says so.
func TestWhatCantBeSentInTimeIsGivenUp(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		w.carrier.fail = func(notice.Notice) error { return errors.New("busy") }
		id := w.born("1980-05-17", "en")
		w.contact(id, map[string]any{"email": "away@example.ca"})
		require.Empty(w.t, w.settle())
		w.clock.pass(journal.LinkLife + time.Hour)
		w.tells(self(id), id, "marital-status-changed", map[string]any{"status": "married"}) // the log's time goes on
		require.Empty(w.t, w.settle())
		require.Len(w.t, w.sent(id), 1)
		require.Equal(w.t, journal.NoticeFailed, w.sent(id)[0].Outcome)
	})
}

// TestACrashLosesNothing: whatever a process did before it died, another one finds in the log what is left to do; twice goes only what the
// carrier had and the log had not.
func TestACrashLosesNothing(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		id := w.born("1980-05-17", "en")
		w.contact(id, map[string]any{"email": "old@example.ca"})
		w.settle()
		w.contact(id, map[string]any{"email": "new@example.ca"})
		dying, die := context.WithCancel(context.Background())
		w.carrier.fail = func(n notice.Notice) error {
			if n.To == "old@example.ca" { // the carrier has it, and the process dies
				w.carrier.took = append(w.carrier.took, n)
				die()
				return dying.Err()
			}
			return dying.Err()
		}
		_ = w.notices.Settle(dying)
		died := w.carrier.take()
		require.Len(w.t, died, 1)
		w.carrier.fail = nil
		w.notices = w.follower()
		require.NoError(w.t, w.notices.Settle(context.Background()))
		took := w.carrier.take()
		require.Len(w.t, took, 2)
		require.Equal(w.t, died[0].ID, took[1].ID, "the same notice has the same id: its carrier may drop it")
		require.Empty(w.t, w.settle())
		require.Len(w.t, w.sent(id), 3)
	})
}

// TestAStopSendsNothingTwice: what the carrier took while the hub was told to stop is on the log.
func TestAStopSendsNothingTwice(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		id := w.born("1980-05-17", "en")
		w.contact(id, map[string]any{"email": "a@example.ca"})
		stopping, stop := context.WithCancel(context.Background())
		w.carrier.fail = func(notice.Notice) error { stop(); return nil }
		_ = w.notices.Settle(stopping)
		require.Len(w.t, w.carrier.take(), 1)
		w.notices = w.follower()
		require.Empty(w.t, w.settle())
		require.Len(w.t, w.sent(id), 1)
	})
}

// TestAViewBuiltAnewSendsNothingTwice, and what is old is not told by a hub that begins to send.
func TestAViewBuiltAnewSendsNothingTwice(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx, id := context.Background(), w.born("1980-05-17", "en")
		w.contact(id, map[string]any{"email": "old@example.ca"})
		require.Len(w.t, w.settle(), 1)
		require.NoError(w.t, w.journal.Rebuild(ctx, notice.NewDue(w.journal), nil))
		require.Empty(w.t, w.settle())
		w.moves(self(id), id, "1 First St")
		w.clock.pass(journal.LinkLife + time.Hour)
		w.tells(self(id), id, "marital-status-changed", map[string]any{"status": "married"})
		require.Empty(w.t, w.settle())
		waiting, err := w.notices.Waiting(ctx)
		require.NoError(w.t, err)
		require.Zero(w.t, waiting)
	})
}

// TestTwoProcessesTellOnce: the lease lets one of them tell.
func TestTwoProcessesTellOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(w *world) {
		ctx, stop := context.WithCancel(context.Background())
		var group errgroup.Group
		for range 3 {
			n := w.follower()
			group.Go(func() error { return n.Run(ctx) })
		}
		const people = 20
		ids := make([]citizen.ID, people)
		for i := range ids {
			ids[i] = w.born("1980-05-17", "en")
			w.contact(ids[i], map[string]any{"email": fmt.Sprintf("%d@example.ca", i)})
		}
		w.await(people)
		stop()
		require.ErrorIs(w.t, group.Wait(), context.Canceled)
		require.Len(w.t, w.carrier.take(), people)
	})
}

// await returns once so many notices are on the log.
func (w *world) await(count int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seen := 0
	for from := int64(0); seen < count; {
		require.NoError(w.t, w.journal.Store().Wait(ctx, from))
		page, err := w.journal.Store().ReadAll(ctx, from, 1000)
		require.NoError(w.t, err)
		for i := range page {
			if page[i].Type == journal.TypeNoticeSent {
				seen++
			}
		}
		from += int64(len(page))
	}
}

// TestAChannelWithoutACarrier: who prefers it is reached by what else they gave, but by a letter only if they asked for letters.
func TestAChannelWithoutACarrier(t *testing.T) {
	t.Parallel()
	w := newSQLite(t)
	w.notices = w.follower(journal.NoticeEmail, journal.NoticeLetter)
	id := w.born("1980-05-17", "en")
	w.moves(self(id), id, "1 First St")
	w.contact(id, map[string]any{"phone": "+14165550100"})
	require.Empty(t, w.settle())
	w.prefers(id, "text")
	require.Empty(t, w.settle())
	w.contact(id, map[string]any{"email": "a@example.ca", "phone": "+14165550100"})
	require.Equal(t, []string{"email a@example.ca: confirmed"}, w.settle())
}
