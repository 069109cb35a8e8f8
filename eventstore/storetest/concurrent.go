package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/eventstore"
)

const (
	writers      = 8 // concurrent callers, spread over the handles
	severalTimes = 25
)

// checkConcurrentPositions: many writers over several handles; every append's events stand together, nothing is lost, doubled or skipped.
func checkConcurrentPositions(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 3)
	shared := citizen()
	var mu sync.Mutex
	acknowledged := map[uuid.UUID]eventstore.Result{} // first event's id → result
	ids := map[uuid.UUID]int{}
	group, ctx := errgroup.WithContext(fx.ctx)
	for w := range writers {
		group.Go(func() error {
			for i := range severalTimes {
				var call []eventstore.Append
				for n := range 1 + i%3 {
					a := write(citizen(), 1+(w+n)%3)
					a.Events = append(a.Events, event(shared)) // everybody's
					call = append(call, a)
				}
				results, err := stores[w%len(stores)].Append(ctx, call...)
				if err != nil {
					return err
				}
				mu.Lock()
				for i, r := range results {
					acknowledged[call[i].Events[0].ID] = r
					for n, e := range call[i].Events {
						ids[e.ID] = int(r.Position) + n
					}
				}
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	records := fx.all()
	require.Len(t, records, 1+len(ids))
	for _, r := range records[1:] {
		require.Equal(t, ids[r.ID], int(r.Position), "every record where its writer was told")
	}
	for _, r := range acknowledged {
		last := records[int(r.Position)+r.Count-1]
		require.Equal(t, shared, last.Aggregate, "an append's events stand together")
	}
}

// checkConcurrentExpectations: of writers that expect the same version one wins, and whoever reads, decides and appends loses no update.
func checkConcurrentExpectations(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 3)
	a, law := citizen(), aggregate(eventstore.Agreements)
	var won [severalTimes]atomic.Int64 // how many writers were told that they wrote the version
	group, ctx := errgroup.WithContext(fx.ctx)
	for w := range writers {
		group.Go(func() error {
			store := stores[w%len(stores)]
			for version := range int32(severalTimes) {
				ap := expecting(expecting(write(a, 1), a, version), law, 0)
				_, err := store.Append(ctx, ap)
				switch {
				case err == nil:
					won[version].Add(1)
				case !errors.Is(err, eventstore.ErrConflict):
					return err
				}
				// Won or lost: somebody has written this version.
				records, err := store.ReadAggregate(ctx, a, version+1, 1)
				if err != nil {
					return err
				}
				if len(records) != 1 {
					return fmt.Errorf("version %d is not there, but could not be written", version+1)
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	for version := range won {
		require.Equal(t, int64(1), won[version].Load(), "one writer wins version %d", version+1)
	}
	require.Len(t, fx.versions(a), severalTimes)
	fx.all()
}

// checkConcurrentCommands: the same command from many callers at once is appended once, and all get the first result.
func checkConcurrentCommands(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 3)
	for range severalTimes {
		c, head := command(), int64(len(fx.all()))
		results := make([]eventstore.Result, writers)
		group, ctx := errgroup.WithContext(fx.ctx)
		for w := range writers {
			group.Go(func() error {
				a := write(citizen(), 2)
				a.Command = c
				got, err := stores[w%len(stores)].Append(ctx, a)
				if err == nil {
					results[w] = got[0]
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
		firsts := 0
		for _, r := range results {
			if !r.Repeated {
				firsts++
			}
			require.Equal(t, head, r.Position)
			require.Equal(t, 2, r.Count)
			require.True(t, r.RecordedAt.Equal(results[0].RecordedAt))
		}
		require.Equal(t, 1, firsts)
		require.Equal(t, head+2, int64(len(fx.all())))
	}
}

// checkConcurrentGuards: disclosing against withdrawing. Who disclosed at q by what was known at a has no withdrawal between a and q.
func checkConcurrentGuards(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 3)
	subject := uuid.New()
	type disclosure struct{ after, at int64 }
	var mu sync.Mutex
	var disclosed []disclosure
	withdrawn := map[uuid.UUID]bool{}
	group, ctx := errgroup.WithContext(fx.ctx)
	withdraw := func(store eventstore.Store) error {
		e := restricting(citizen(), subject)
		mu.Lock()
		withdrawn[e.ID] = true
		mu.Unlock()
		_, err := store.Append(ctx, eventstore.Append{Events: []eventstore.Event{e}})
		return err
	}
	for w := range writers {
		store, lane := stores[w%len(stores)], aggregate(eventstore.Lane)
		group.Go(func() error {
			for i := range severalTimes {
				if w < 2 {
					if err := withdraw(store); err != nil {
						return err
					}
					continue
				}
				head, err := store.Head(ctx)
				if err != nil {
					return err
				}
				if i%8 == w { // surely stale, whatever the others' pace
					if err := withdraw(stores[(w+1)%len(stores)]); err != nil {
						return err
					}
				}
				results, err := store.Append(ctx, guarded(write(lane, 1), head.Position, subject))
				if errors.Is(err, eventstore.ErrConflict) {
					continue
				}
				if err != nil {
					return err
				}
				mu.Lock()
				disclosed = append(disclosed, disclosure{head.Position, results[0].Position})
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	records := fx.all()
	for _, d := range disclosed {
		for p := d.after + 1; p < d.at; p++ {
			require.False(t, withdrawn[records[p].ID], "disclosed at %d by what was known at %d, withdrawn at %d", d.at, d.after, p)
		}
	}
	require.NotEmpty(t, disclosed)
}

// checkStaleMembers: refused appends beside good ones cost the good ones nothing.
func checkStaleMembers(t T, f Factory) {
	fx := begin(t, f)
	old, s := citizen(), uuid.New()
	known := write(old, 2)
	known.Command = command()
	fx.one(known)
	fx.one(eventstore.Append{Events: []eventstore.Event{restricting(old, s)}})
	stale := []func() eventstore.Append{
		func() eventstore.Append { return expecting(write(old, 1), old, 1) },
		func() eventstore.Append { return guarded(write(citizen(), 1), 0, s) },
		func() eventstore.Append {
			a := write(citizen(), 1)
			a.Within.Until = time.Unix(1, 0)
			return a
		},
		func() eventstore.Append {
			a := write(citizen(), 1)
			a.Command = eventstore.Command{Key: known.Command.Key, Body: [32]byte{8}}
			return a
		},
	}
	group, ctx := errgroup.WithContext(fx.ctx)
	for w := range writers {
		group.Go(func() error {
			own := citizen()
			for i := range 2 * severalTimes {
				if (w+i)%2 == 0 {
					_, err := fx.store.Append(ctx, stale[(w+i)/2%len(stale)]())
					if !errors.Is(err, eventstore.ErrConflict) && !errors.Is(err, eventstore.ErrCommandReused) {
						return fmt.Errorf("a stale append was answered %w", err)
					}
				}
				if _, err := fx.store.Append(ctx, expecting(write(own, 1), own, int32(i))); err != nil { // #nosec -- small
					return fmt.Errorf("a good append beside stale ones: %w", err)
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.Len(t, fx.all(), 1+2+1+writers*2*severalTimes)
}

// checkReaders: whoever sees p has seen, and can read, everything below p, while appends go on.
func checkReaders(t T, f Factory) {
	fx := begin(t, f)
	stores := fx.handles(f, 4)
	ctx, stop := context.WithCancel(fx.ctx)
	defer stop()
	var readers, appenders errgroup.Group
	for i := range 4 {
		readers.Go(func() error { return readOn(ctx, stores[len(stores)-1-i%2], i) })
	}
	for w := range writers {
		appenders.Go(func() error {
			for i := range severalTimes {
				call := []eventstore.Append{write(citizen(), 2), write(citizen(), 1)}
				call[1].Rows = []eventstore.Row{{View: "how far", Key: []byte{byte(w)}, Value: []byte{byte(i)}}} // #nosec -- small
				if _, err := stores[w%2].Append(ctx, call...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := appenders.Wait()
	stop()
	require.NoError(t, err)
	require.NoError(t, readers.Wait())
	fx.all()
}

// readOn reads what grows until ctx ends, and says when something was seen out of order.
func readOn(ctx context.Context, log eventstore.Log, seed int) error {
	random := rand.New(rand.NewPCG(uint64(seed), 1)) // #nosec -- a test's choice
	from, head := int64(0), int64(0)
	for ctx.Err() == nil {
		page, err := log.ReadAll(ctx, from, 1+random.IntN(50))
		if err != nil {
			return unlessEnded(ctx, err)
		}
		for _, r := range page {
			if r.Position != from {
				return fmt.Errorf("saw position %d before %d", r.Position, from)
			}
			from++
		}
		at, err := log.Head(ctx)
		if err != nil {
			return unlessEnded(ctx, err)
		}
		if at.Position < head || at.Position < from-1 {
			return fmt.Errorf("the head is %d after %d was seen", at.Position, max(head, from-1))
		}
		head = at.Position
		below := random.Int64N(head + 1)
		got, err := log.Read(ctx, head, below)
		if err != nil {
			return unlessEnded(ctx, fmt.Errorf("reading %d and %d below the head: %w", head, below, err))
		}
		if got[0].Position != head || got[1].Position != below {
			return fmt.Errorf("read %d and %d where %d and %d are due", got[0].Position, got[1].Position, head, below)
		}
	}
	return nil
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the reader was told to stop
	}
	return err
}
