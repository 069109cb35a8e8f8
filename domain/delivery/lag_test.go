package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

const statute = "s.statute"

// cursor of the first lane.
func cursor(number int64) string { return fmt.Sprintf("1.0.%d", number) }

func receipt(from, to int64, status string) delivery.Receipt {
	return delivery.Receipt{From: cursor(from), To: cursor(to), Status: status}
}

// says records receipts as the operator does.
func (w *world) says(stream string, receipts ...delivery.Receipt) {
	w.Helper()
	require.NoError(w, w.delivery.Record(w.ctx, operator, journal.CommandID{}, stream, receipts))
}

func (w *world) lag(stream string) delivery.Lag {
	w.Helper()
	lags, err := w.delivery.Lag(w.ctx, stream)
	require.NoError(w, err)
	return lags[0]
}

// appended is how many events of a type a deed adds to the log.
func (w *world) appended(eventType string, deed func()) (n int) {
	w.Helper()
	from := int64(w.head())
	deed()
	recs, err := w.journal.Store().ReadAll(w.ctx, from+1, 10_000)
	require.NoError(w, err)
	for i := range recs {
		if recs[i].Type == eventType {
			n++
		}
	}
	return n
}

// TestLag follows a lane from what is due to what is answered for good.
func TestLag(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w := newWorld(t, j)
		require.Equal(t, delivery.Lag{Stream: statute, Ministry: "m-statute"}, w.lag(statute))
		begun := w.now
		for i := range 5 {
			w.move(fmt.Sprintf("Place %d", i))
			w.now = w.now.Add(time.Minute)
		}
		lag := w.lag(statute)
		require.Equal(t, []any{int64(5), begun, int64(0)}, []any{lag.Due, lag.DueSince, lag.Last})
		page, err := w.delivery.Next(w.ctx, statute, 0, 0, 4, 0)
		require.NoError(t, err)
		require.Len(t, page.Messages, 4)
		given := w.delivery.LagTime()
		lag = w.lag(statute)
		require.Equal(t, []any{int64(1), int64(4), int64(4), given}, []any{lag.Due, lag.Last, lag.Unanswered(), lag.UnansweredSince})

		w.says(statute, receipt(1, 4, delivery.Received))
		lag = w.lag(statute)
		require.Equal(t, []any{int64(4), int64(4), int64(0)}, []any{lag.Received, lag.Unanswered(), lag.Settled})
		require.True(t, lag.SettledAt.IsZero(), "received is no answer for good")
		w.says(statute, receipt(3, 3, delivery.Applied))
		lag = w.lag(statute)
		require.Equal(t, []any{int64(1), int64(3), int64(0), given}, []any{lag.Applied, lag.Unanswered(), lag.Settled, lag.UnansweredSince}, "a hole before it")
		w.says(statute, receipt(1, 2, delivery.StatusRejected))
		lag = w.lag(statute)
		require.Equal(t, []any{int64(1), int64(1), int64(2), int64(3)}, []any{lag.Received, lag.Applied, lag.Rejected, lag.Settled})
		w.says(statute, receipt(1, 4, delivery.Applied))
		lag = w.lag(statute)
		require.Equal(t, []any{int64(0), int64(2), int64(2), int64(4), int64(0)}, []any{lag.Received, lag.Applied, lag.Rejected, lag.Settled, lag.Unanswered()})
		require.True(t, lag.UnansweredSince.IsZero())
		require.False(t, lag.SettledAt.IsZero())
		w.rebuilds()
		require.Equal(t, lag, w.lag(statute))

		lags, err := w.delivery.Lags(w.ctx)
		require.NoError(t, err)
		require.Len(t, lags, len(worldAgreements))
		require.Contains(t, lags, lag)
		_, err = w.delivery.Lag(w.ctx, "s.none")
		require.ErrorIs(t, err, delivery.ErrUnknownStream)
	})
}

// TestLagOfWhatWaitsForADay: it is due from that day on, also while nobody reads.
func TestLagOfWhatWaitsForADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, journaltest.New(t, journaltest.Options{}))
	w.moveOn("2026-03-05", "Kenora")
	require.Zero(t, w.lag("s.later").Due)
	w.now = w.now.AddDate(0, 0, 5)
	w.tell("language-changed", map[string]any{"language": "fr"}) // the log's time moves on
	lag := w.lag("s.later")
	toronto, err := time.LoadLocation("America/Toronto")
	require.NoError(t, err)
	require.Equal(t, int64(1), lag.Due)
	require.True(t, time.Date(2026, 3, 5, 0, 0, 0, 0, toronto).Equal(lag.DueSince), lag.DueSince)
}

// TestReceiptsThatSayNothingNew are taken and append nothing: an answer costs the log once, however often it is sent.
func TestReceiptsThatSayNothingNew(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w := newWorld(t, j)
		const n = 30
		for i := range n {
			w.move(fmt.Sprintf("Place %d", i))
		}
		page, err := w.delivery.Next(w.ctx, statute, 0, 0, n, 0)
		require.NoError(t, err)
		require.Len(t, page.Messages, n)
		singly := func() {
			for number := int64(1); number <= n; number++ {
				w.says(statute, receipt(number, number, delivery.Received), receipt(number, number, delivery.Applied))
			}
		}
		require.Equal(t, 2*n, w.appended(journal.TypeReceiptsRecorded, singly))
		for range 10 {
			require.Zero(t, w.appended(journal.TypeReceiptsRecorded, singly), "a ministry that answers each event singly, ten times")
		}
		require.Zero(t, w.appended(journal.TypeReceiptsRecorded, func() { w.says(statute, receipt(1, n, delivery.Applied), receipt(5, 9, delivery.Received)) }))

		// Words of a rejection: the same ones once, others again; in one call, too.
		no := delivery.Receipt{From: cursor(3), To: cursor(5), Status: delivery.StatusRejected, Reason: "Unknown client"}
		require.Equal(t, 3, w.appended(journal.TypeReceiptRejected, func() { w.says(statute, no, no) }))
		require.Zero(t, w.appended(journal.TypeReceiptRejected, func() { w.says(statute, no) }))
		bare := no
		bare.Reason = ""
		require.Zero(t, w.appended(journal.TypeReceiptsRecorded, func() { w.says(statute, bare, no) }))
		other := delivery.Receipt{From: cursor(4), To: cursor(6), Status: delivery.StatusRejected, Reason: "Client has died"}
		require.Equal(t, 3, w.appended(journal.TypeReceiptRejected, func() { w.says(statute, other) }))
		lag := w.lag(statute)
		require.Equal(t, []int64{4, n - 4, n, 0}, []int64{lag.Rejected, lag.Applied, lag.Settled, lag.Received})
		w.rebuilds()
	})
}

// TestManySinglesAreOneEvent where they come in one call.
func TestManySinglesAreOneEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, journaltest.New(t, journaltest.Options{}))
	var singles []delivery.Receipt
	for i := int64(1); i <= 20; i++ {
		w.move(fmt.Sprintf("Place %d", i))
		singles = append(singles, receipt(i, i, delivery.Applied))
	}
	_, err := w.delivery.Next(w.ctx, statute, 0, 0, 20, 0)
	require.NoError(t, err)
	require.Equal(t, 1, w.appended(journal.TypeReceiptsRecorded, func() { w.says(statute, append(singles, singles...)...) }))
	require.Equal(t, int64(20), w.lag(statute).Settled)
}

// TestARepeatedCommandThatSaysSomethingElse is refused, also where what it says is known.
func TestARepeatedCommandThatSaysSomethingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, journaltest.New(t, journaltest.Options{}))
	w.move("Kenora")
	w.gets("statute", "1 fact Kenora")
	command := journal.CommandID{Issuer: "test", ID: uuid.NewString(), Content: []byte("one")}
	said := []delivery.Receipt{receipt(1, 1, delivery.Applied)}
	require.NoError(t, w.delivery.Record(w.ctx, operator, command, statute, said))
	require.NoError(t, w.delivery.Record(w.ctx, operator, command, statute, said))
	command.Content = []byte("two")
	require.ErrorIs(t, w.delivery.Record(w.ctx, operator, command, statute, said), eventstore.ErrCommandReused)
}

// TestARejectionAboutSomebodyErased stands without its words: there is no key left to seal them under. Said again, it appends nothing.
func TestARejectionAboutSomebodyErased(t *testing.T) {
	t.Parallel()
	w := newWorld(t, journaltest.New(t, journaltest.Options{}))
	w.move("Kenora")
	w.gets("statute", "1 fact Kenora")
	w.erase()
	no := delivery.Receipt{From: cursor(1), To: cursor(1), Status: delivery.StatusRejected, Reason: "Unknown client"}
	require.Equal(t, 1, w.appended(journal.TypeReceiptsRecorded, func() {
		require.Zero(t, w.appended(journal.TypeReceiptRejected, func() { w.says(statute, no) }))
	}))
	require.Zero(t, w.appended(journal.TypeReceiptsRecorded, func() { w.says(statute, no) }))
}

// TestRandomReceipts compares the lag with what a table by number says.
func TestRandomReceipts(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w := newWorld(t, j)
		const n = 40
		for i := range n {
			w.move(fmt.Sprintf("Place %d", i))
		}
		_, err := w.delivery.Next(w.ctx, statute, 0, 0, n, 0)
		require.NoError(t, err)
		strength := map[string]int{"": 0, delivery.Received: 1, delivery.Applied: 2, delivery.StatusRejected: 3}
		strongest := map[int64]string{}
		seed := rand.Uint64()
		dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
		for range 60 {
			from := 1 + dice.Int64N(n)
			to := min(n, from+dice.Int64N(6))
			status := []string{delivery.Received, delivery.Applied, delivery.StatusRejected}[dice.IntN(3)]
			w.says(statute, receipt(from, to, status))
			for number := from; number <= to; number++ {
				if strength[status] > strength[strongest[number]] {
					strongest[number] = status
				}
			}
			want := map[string]int64{}
			settled := int64(0)
			for number := int64(1); number <= n; number++ {
				want[strongest[number]]++
				if strength[strongest[number]] >= 2 && settled == number-1 {
					settled = number
				}
			}
			lag := w.lag(statute)
			require.Equal(t, []int64{want[delivery.Received], want[delivery.Applied], want[delivery.StatusRejected], settled, want[""] + want[delivery.Received]},
				[]int64{lag.Received, lag.Applied, lag.Rejected, lag.Settled, lag.Unanswered()}, "seed %d", seed)
		}
		w.rebuilds()
	})
}
