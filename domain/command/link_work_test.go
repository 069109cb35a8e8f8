package command_test

import (
	"context"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// counting is a store that counts what is asked of it.
type counting struct {
	eventstore.Store
	calls map[string]int
}

// Append counts events.
func (c *counting) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	for _, a := range appends {
		c.calls["append"] += len(a.Events)
	}
	return c.Store.Append(ctx, appends...)
}

// ReadAggregates counts aggregates.
func (c *counting) ReadAggregates(ctx context.Context, aggregates ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	c.calls["aggregates"] += len(aggregates)
	return c.Store.ReadAggregates(ctx, aggregates...)
}

// Scan counts calls.
func (c *counting) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	c.calls["scan"]++
	return c.Store.Scan(ctx, view, from, to, limit, reverse)
}

// Get counts keys.
func (c *counting) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	c.calls["get"] += len(keys)
	return c.Store.Get(ctx, view, keys...)
}

// ReadCommands counts commands.
func (c *counting) ReadCommands(ctx context.Context, commands ...eventstore.Command) ([]eventstore.Known, error) {
	c.calls["commands"] += len(commands)
	return c.Store.ReadCommands(ctx, commands...)
}

// TestAMatchedListWorksAsMuchForNobody: what is asked of the store is the same, whoever it is of whom a ministry may know nothing.
func TestAMatchedListWorksAsMuchForNobody(t *testing.T) {
	t.Parallel()
	count := &counting{calls: map[string]int{}}
	b := onStore(t, func(s eventstore.Store) eventstore.Store { count.Store = s; return count })
	b.load(t)
	people := map[string]citizen.ID{}
	for _, given := range []string{"Hidden", "Erased", "Dead", "Taken", "Other"} {
		people[given] = b.called(t, given, "Person", "1980-05-17")
	}
	b.add(t, people["Hidden"], journal.RestrictionSet{Kind: journal.RestrictionWitness})
	b.add(t, people["Erased"], journal.Erased{Classes: []eventstore.Class{eventstore.Facts}})
	b.add(t, people["Dead"], citizen.Change{Type: citizen.DeathRegistered, Effective: "2026-01-02", Data: map[string]any{"death_date": "2026-01-02"}})
	b.link(t, people["Taken"], "moh", "theirs")
	work := func(given string) map[string]int {
		b.list(t, byMinistry("moh"), []command.Client{client("warm", "Nobody", "Atall", "1980-05-17")}, "unknown") // folds what was new
		count.calls = map[string]int{}
		b.list(t, byMinistry("moh"), []command.Client{client("r", given, "Person", "1980-05-17")}, "unknown")
		return maps.Clone(count.calls)
	}
	nobody := work("Nobody")
	require.Equal(t, 1, nobody["aggregates"])
	for _, given := range []string{"Hidden", "Erased", "Dead", "Taken"} {
		require.Equal(t, nobody, work(given), given)
	}
}
