package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// headCounter is a store that counts how often it is asked for its head: each look of a reader does.
type headCounter struct {
	eventstore.Store
	heads atomic.Int64
}

func (c *headCounter) Head(ctx context.Context) (eventstore.Head, error) {
	c.heads.Add(1)
	return c.Store.Head(ctx)
}

// Idle readers of a lane are one reader to the store: one watches the log, and what it finds is everyone's.
func TestIdleReadersShareOneWatcher(t *testing.T) {
	t.Parallel()
	const readers = 500
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	counted := &headCounter{Store: store}
	w := newWorld(t, journaltest.Begin(t, journaltest.Options{}, counted, keys))
	last := w.move("Kenora")
	require.Positive(t, last)
	page, err := w.delivery.Next(ctx, "s.statute", 0, 0, 100, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)

	before := counted.heads.Load()
	var group errgroup.Group
	pages := make([]delivery.Page, readers)
	for i := range pages {
		group.Go(func() (err error) {
			pages[i], err = w.delivery.Next(ctx, "s.statute", 0, 1, 100, time.Minute)
			return err
		})
	}
	for counted.heads.Load() < before+readers { // each has looked
		time.Sleep(time.Millisecond)
	}
	before = counted.heads.Load()
	for range 5 { // not about this stream: the watcher looks, the others sleep on
		at := w.tell("language-changed", map[string]any{"language": "fr"})
		for w.delivery.Unseen("s.statute", 0) <= at {
			time.Sleep(time.Millisecond)
		}
	}
	w.move("Dryden")
	require.NoError(t, group.Wait())
	for i := range pages {
		require.Equal(t, pages[0].Messages, pages[i].Messages)
		require.Len(t, pages[i].Messages, 1)
	}
	require.Less(t, counted.heads.Load()-before, int64(readers), "every reader asked the store")
}
