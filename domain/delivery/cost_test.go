package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// questions is a store that counts what it is asked: each is a round trip where the store is a server.
type questions struct {
	eventstore.Store
	mu    sync.Mutex
	calls map[string]int
}

func (c *questions) count(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[call]++
}

// taken returns the calls since the last time, in a text, and how many they were.
func (c *questions) taken() (text string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, call := range slices.Sorted(maps.Keys(c.calls)) {
		parts = append(parts, fmt.Sprintf("%d %s", c.calls[call], call))
		n += c.calls[call]
	}
	clear(c.calls)
	return strings.Join(parts, ", "), n
}

func (c *questions) Append(ctx context.Context, a ...eventstore.Append) ([]eventstore.Result, error) {
	c.count("append")
	return c.Store.Append(ctx, a...)
}

func (c *questions) ReadAggregates(ctx context.Context, a ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	if len(a) > 0 {
		c.count("aggregates")
	}
	return c.Store.ReadAggregates(ctx, a...)
}

func (c *questions) ReadAggregate(ctx context.Context, a eventstore.Aggregate, from int32, limit int) ([]eventstore.Recorded, error) {
	c.count("aggregate")
	return c.Store.ReadAggregate(ctx, a, from, limit)
}

func (c *questions) Read(ctx context.Context, positions ...int64) ([]eventstore.Recorded, error) {
	c.count("read")
	return c.Store.Read(ctx, positions...)
}

func (c *questions) ReadAll(ctx context.Context, from int64, limit int) ([]eventstore.Recorded, error) {
	c.count("log")
	return c.Store.ReadAll(ctx, from, limit)
}

func (c *questions) Head(ctx context.Context) (eventstore.Head, error) {
	c.count("head")
	return c.Store.Head(ctx)
}

func (c *questions) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	c.count("get " + view)
	return c.Store.Get(ctx, view, keys...)
}

func (c *questions) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	c.count("scan " + view)
	return c.Store.Scan(ctx, view, from, to, limit, reverse)
}

func (c *questions) Checkpoint(ctx context.Context, view string) (int64, error) {
	c.count("checkpoint " + view)
	return c.Store.Checkpoint(ctx, view)
}

func (c *questions) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	c.count("commit " + view)
	return c.Store.Commit(ctx, view, from, to, rows)
}

// A page costs so many questions to the store however many people it is about; another page to a reader who comes late, the people's histories
// besides.
func TestWhatAPageCosts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	c := &questions{Store: store, calls: map[string]int{}}
	w := newWorld(t, journaltest.Begin(t, journaltest.Options{}, c, keys))
	people := []citizen.ID{w.citizen}
	for range 29 {
		people = append(people, w.resident())
	}
	var after int64
	page := func(n int) delivery.Page {
		for _, w.citizen = range people[:n] {
			w.move("Kenora")
		}
		c.taken()
		page, err := w.delivery.Next(ctx, "s.statute", 0, after, 100, 0)
		require.NoError(t, err)
		require.Len(t, page.Messages, n)
		after += int64(n)
		return page
	}
	page(30) // makes their pairwise ids
	page(1)
	first, one := c.taken()
	page(30)
	text, thirty := c.taken()
	require.LessOrEqual(t, one, 10, first)
	require.LessOrEqual(t, thirty, one, text)

	page(30)
	c.taken()
	again, err := w.delivery.Next(ctx, "s.statute", 0, after-30, 100, 0)
	require.NoError(t, err)
	require.Len(t, again.Messages, 30)
	text, n := c.taken()
	require.LessOrEqual(t, n, 16, text)
	t.Logf("new: %s; again: %s", first, text)
}
