package storetest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

// filled is a log of n appends over a few aggregates and what is on it.
func filled(t T, f Factory, n int) (*fixture, []eventstore.Aggregate, []eventstore.Recorded) {
	t.Helper()
	fx := begin(t, f)
	aggregates := []eventstore.Aggregate{citizen(), citizen(), citizen(), aggregate(eventstore.Lane)}
	// Two that differ in category or in id only.
	aggregates = append(aggregates, eventstore.Aggregate{Category: eventstore.Accesses, ID: aggregates[0].ID})
	for i := range n {
		ap := write(aggregates[i%len(aggregates)], 1+i%3)
		ap.Events = append(ap.Events, event(aggregates[(i+1)%len(aggregates)]))
		fx.one(ap)
	}
	return fx, aggregates, fx.all()
}

func checkReadAggregates(t T, f Factory) {
	fx, aggregates, all := filled(t, f, 40)
	of := func(a eventstore.Aggregate) []eventstore.Recorded {
		var out []eventstore.Recorded
		for _, r := range all {
			if r.Aggregate == a {
				out = append(out, r)
			}
		}
		return out
	}
	never := citizen()
	asked := append([]eventstore.Aggregate{never}, aggregates...)
	asked = append(asked, aggregates[0]) // twice
	got, err := fx.store.ReadAggregates(fx.ctx, asked...)
	require.NoError(t, err)
	require.Len(t, got, len(asked))
	require.Nil(t, got[0])
	for i, a := range asked {
		require.NoError(t, sameRecords(of(a), got[i]), "aggregate %d of %d", i, len(asked))
	}
	got, err = fx.store.ReadAggregates(fx.ctx)
	require.NoError(t, err)
	require.Empty(t, got)

	whole := of(aggregates[0])
	for _, c := range []struct {
		from        int32
		limit       int
		first, last int
	}{
		{1, 0, 0, len(whole)}, {1, 1, 0, 1}, {2, 3, 1, 4}, {7, 0, 6, len(whole)}, {7, 1000, 6, len(whole)},
		{int32(len(whole)), 5, len(whole) - 1, len(whole)}, {int32(len(whole)) + 1, 5, 0, 0}, // #nosec -- small
	} {
		records, err := fx.store.ReadAggregate(fx.ctx, aggregates[0], c.from, c.limit)
		require.NoError(t, err)
		require.NoError(t, sameRecords(whole[c.first:c.last], records), "from version %d, at most %d", c.from, c.limit)
	}
	records, err := fx.store.ReadAggregate(fx.ctx, never, 1, 0)
	require.NoError(t, err)
	require.Empty(t, records)

	// Many callers at once: coalesced or not, everybody gets their own.
	var done sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		done.Go(func() {
			a, b := aggregates[i%len(aggregates)], aggregates[(i*3+1)%len(aggregates)]
			got, err := fx.store.ReadAggregates(fx.ctx, a, b)
			if err == nil {
				err = sameRecords(append(of(a), of(b)...), append(slices.Clone(got[0]), got[1]...))
			}
			errs[i] = err
		})
	}
	done.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func checkReadPositions(t T, f Factory) {
	fx, _, all := filled(t, f, 20)
	last := int64(len(all)) - 1
	asked := []int64{last, 0, 3, 3, 2, last, 1}
	got, err := fx.store.Read(fx.ctx, asked...)
	require.NoError(t, err)
	require.Len(t, got, len(asked))
	for i, p := range asked {
		require.NoError(t, sameRecord(all[p], got[i]), "position %d", p)
	}
	for _, missing := range [][]int64{{last + 1}, {0, last + 1}, {last + 1, 0}, {-1}} {
		_, err := fx.store.Read(fx.ctx, missing...)
		require.ErrorIs(t, err, eventstore.ErrNotFound)
	}
	got, err = fx.store.Read(fx.ctx)
	require.NoError(t, err)
	require.Empty(t, got)
}

func checkReadAll(t T, f Factory) {
	fx, _, all := filled(t, f, 30)
	for _, page := range []int{1, 2, 7, 1000} {
		records, err := readLog(fx.ctx, fx.store, page)
		require.NoError(t, err)
		require.NoError(t, sameRecords(all, records), "pages of %d", page)
	}
	for from := range int64(len(all)) + 3 {
		got, err := fx.store.ReadAll(fx.ctx, from, 4)
		require.NoError(t, err)
		require.NoError(t, sameRecords(all[min(int(from), len(all)):min(int(from)+4, len(all))], got), "from %d", from)
	}
}

// checkBytesAreTheCallers: what was read stays what it is, whatever is read or appended later, and is the caller's to write on.
func checkBytesAreTheCallers(t T, f Factory) {
	fx, aggregates, all := filled(t, f, 30)
	kept := make([][]byte, len(all))
	for i := range all {
		kept[i] = bytes.Clone(all[i].Payload)
	}
	page, err := fx.store.ReadAll(fx.ctx, 0, len(all))
	require.NoError(t, err)
	for i := range page {
		require.True(t, bytes.Equal(kept[i], page[i].Payload), "position %d", i)
		for n := range page[i].Payload {
			page[i].Payload[n] = 0xFF
		}
		page[i].Payload = append(page[i].Payload, "beyond the end"...)
	}
	_, err = fx.store.ReadAggregates(fx.ctx, aggregates...)
	require.NoError(t, err)
	for i := range all {
		require.True(t, bytes.Equal(kept[i], all[i].Payload), "position %d", i)
	}
	again, err := fx.store.ReadAll(fx.ctx, 0, len(all))
	require.NoError(t, err)
	require.NoError(t, sameRecords(all, again))

	// What was passed to Append is the caller's again when it returns.
	ap := write(citizen(), 1)
	ap.Events[0].Payload = []byte("as it was")
	at := fx.one(ap).Position
	copy(ap.Events[0].Payload, "scribbled")
	got, err := fx.store.Read(fx.ctx, at)
	require.NoError(t, err)
	require.Equal(t, "as it was", string(got[0].Payload))
}

// waiting starts a Wait for position and returns its answer's channel.
func waiting(ctx context.Context, w eventstore.Waker, log eventstore.Log, position int64) <-chan error {
	answer := make(chan error, 1)
	go func() {
		for {
			if err := w.Wait(ctx, position); err != nil {
				answer <- err
				return
			}
			head, err := log.Head(ctx)
			if err != nil || head.Position >= position {
				answer <- err
				return
			}
		}
	}()
	return answer
}

func checkWait(t T, f Factory) {
	fx := begin(t, f)
	require.NoError(t, fx.store.Wait(fx.ctx, 0), "what is there is not waited for")
	for range 5 {
		head, err := fx.store.Head(fx.ctx)
		require.NoError(t, err)
		var answers []<-chan error
		for range 4 {
			answers = append(answers, waiting(fx.ctx, fx.store, fx.store, head.Position+1))
		}
		letWait()
		fx.one(write(citizen(), 1))
		for _, answer := range answers {
			require.NoError(t, f.await(answer))
		}
	}
	ended, end := context.WithCancel(fx.ctx)
	answer := waiting(ended, fx.store, fx.store, 1<<40)
	end()
	require.ErrorIs(t, f.await(answer), context.Canceled)
}

// letWait gives waiters time to begin waiting. Without it the check would still be right, but weaker: who hasn't begun isn't woken.
func letWait() { time.Sleep(3 * time.Millisecond) }

// await is an answer, or an error when it doesn't come.
func (f Factory) await(answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	case <-time.After(f.patience()):
		return context.DeadlineExceeded
	}
}

// checkWaitOther: an append through another handle, as from another process, is noticed in time. The median of several is judged.
func checkWaitOther(t T, f Factory) {
	fx := begin(t, f)
	other := fx.handle()
	var took []time.Duration
	for range 9 {
		head, err := fx.store.Head(fx.ctx)
		require.NoError(t, err)
		answer := waiting(fx.ctx, other, other, head.Position+1)
		letWait()
		fx.one(write(citizen(), 1))
		began := time.Now()
		require.NoError(t, f.await(answer))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("noticed after %v (median), %v (worst)", took[len(took)/2], took[len(took)-1])
	require.LessOrEqual(t, took[len(took)/2], f.WakesWithin)
}

func checkFollow(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 2)
	ctx, stop := context.WithTimeout(fx.ctx, f.patience())
	defer stop()
	const appends = 60
	var followed []eventstore.Recorded
	done := make(chan error, 1)
	go func() {
		done <- eventstore.Follow(ctx, stores[1], stores[1], 0, 7, func(page []eventstore.Recorded) error {
			followed = append(followed, page...)
			if len(followed) == 1+2*appends {
				stop() // the last one is there
			}
			return nil
		})
	}()
	for i := range appends {
		_, err := stores[i%len(stores)].Append(fx.ctx, write(citizen(), 2))
		require.NoError(t, err)
	}
	require.NoError(t, f.await(done))
	require.NoError(t, sameRecords(fx.all(), followed))
}

func checkClosed(t T, f Factory) {
	fx := begin(t, f)
	answer := waiting(fx.ctx, fx.store, fx.store, 1<<40)
	letWait()
	require.NoError(t, fx.store.Close())
	require.ErrorIs(t, f.await(answer), eventstore.ErrClosed, "who waits is told")
	_, err := fx.store.Append(fx.ctx, write(citizen(), 1))
	require.ErrorIs(t, err, eventstore.ErrClosed)
	_, err = fx.store.ReadAll(fx.ctx, 0, 10)
	require.ErrorIs(t, err, eventstore.ErrClosed)
	_, err = fx.store.Head(fx.ctx)
	require.ErrorIs(t, err, eventstore.ErrClosed)
	require.ErrorIs(t, fx.store.Commit(fx.ctx, "v", 0, 1, nil), eventstore.ErrClosed)
	require.NoError(t, fx.store.Close(), "closing twice is closing once")
}

// checkCancelled: a call whose context has ended answers that, and harms no later one.
func checkCancelled(t T, f Factory) {
	fx := begin(t, f)
	ended, end := context.WithCancel(fx.ctx)
	end()
	_, err := fx.store.Append(ended, write(citizen(), 1))
	require.ErrorIs(t, err, context.Canceled)
	_, err = fx.store.ReadAll(ended, 0, 1)
	require.ErrorIs(t, err, context.Canceled)
	_, err = fx.store.Head(ended)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, fx.store.Wait(ended, 1<<40), context.Canceled)
	fx.one(write(citizen(), 1))
	require.Len(t, fx.all(), 2, "what was cancelled before it began isn't on the log")
}
