package eventstore

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// aheadPage is how many records ReadAhead reads at once.
const aheadPage = 2000

// ReadAhead reads the log from a position up to (excluding) another, once: pages are read one after another, work is done on several of
// them side by side (opening them is most of the cost of a replay), and fn is given what came of each, in order. A few pages for each
// processor are in memory at a time. It ends with the first error of reading, work or fn. A page holds what the store has: where records
// were taken out of the log it has a gap, and whoever must know compares positions.
func ReadAhead[T any](
	ctx context.Context, log Log, from, to int64, work func(ctx context.Context, recs []Recorded) (T, error), fn func(T) error,
) error {
	group, ctx := errgroup.WithContext(ctx)
	pages := make(chan chan T, runtime.GOMAXPROCS(0))
	group.Go(func() error {
		defer close(pages)
		for from < to {
			recs, err := log.ReadAll(ctx, from, int(min(aheadPage, to-from)))
			if err != nil {
				return err
			}
			if len(recs) == 0 { // a gap longer than a page
				from += aheadPage
				continue
			}
			from = recs[len(recs)-1].Position + 1
			page := make(chan T, 1)
			select {
			case pages <- page:
			case <-ctx.Done():
				return ctx.Err()
			}
			group.Go(func() error {
				done, err := work(ctx, recs)
				if err == nil {
					page <- done
				}
				return err
			})
		}
		return nil
	})
	group.Go(func() error { return inOrder(ctx, pages, fn) })
	return group.Wait()
}

// inOrder gives fn what becomes of the pages, in their order.
func inOrder[T any](ctx context.Context, pages <-chan chan T, fn func(T) error) error {
	for page := range pages {
		select {
		case done := <-page:
			if err := fn(done); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
