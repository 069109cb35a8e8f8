package postgres

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

// TestOneGoAsserts: each part of an assumption that doesn't hold refuses the batch, by one and by more, and nothing of it is written.
func TestOneGoAsserts(t *testing.T) {
	t.Parallel()
	store := newStore(t, newConfig(t, database(t)))
	citizen := uuid.New()
	known := change(citizen) // position 2, version 1
	known.Events[0].Restricting = true
	_, err := store.Append(t.Context(), known, change(citizen)) // position 3, version 2
	require.NoError(t, err)
	d := newDriver(store.config)
	defer d.close()

	aggregate := known.Events[0].Aggregate
	at := func(version int32) []eventstore.Expect {
		return []eventstore.Expect{{Aggregate: eventstore.Aggregate{Category: eventstore.Agreements}, Version: 1}, {Aggregate: aggregate, Version: version}}
	}
	never := eventstore.Expect{Aggregate: eventstore.Aggregate{Category: eventstore.Lane, ID: citizen}}
	guard := func(after int64) []eventstore.SubjectGuard {
		return []eventstore.SubjectGuard{{Subject: uuid.New(), After: -1}, {Subject: citizen, After: after}}
	}
	head := int64(3)
	for name, c := range map[string]struct {
		assume  eventstore.Assumption
		command eventstore.Command
		holds   bool
	}{
		"all holds":            {eventstore.Assumption{Head: 3, Versions: append(at(2), never), Guards: guard(2)}, eventstore.Command{}, true},
		"nothing assumed":      {eventstore.Assumption{Head: 3}, eventstore.Command{}, true},
		"head behind":          {eventstore.Assumption{Head: 2}, eventstore.Command{}, false},
		"head ahead":           {eventstore.Assumption{Head: 4}, eventstore.Command{}, false},
		"version behind":       {eventstore.Assumption{Head: 3, Versions: at(1)}, eventstore.Command{}, false},
		"version ahead":        {eventstore.Assumption{Head: 3, Versions: at(3)}, eventstore.Command{}, false},
		"never written":        {eventstore.Assumption{Head: 3, Versions: at(0)}, eventstore.Command{}, false},
		"written, not at all":  {eventstore.Assumption{Head: 3, Versions: []eventstore.Expect{{Aggregate: never.Aggregate, Version: 1}}}, eventstore.Command{}, false},
		"restricted after":     {eventstore.Assumption{Head: 3, Guards: guard(1)}, eventstore.Command{}, false},
		"restricted, long ago": {eventstore.Assumption{Head: 3, Guards: guard(-1)}, eventstore.Command{}, false},
		"command known":        {eventstore.Assumption{Head: 3}, known.Command, false},
	} {
		t.Run(name, func(t *testing.T) {
			assume := c.assume
			assume.Head += head - 3 // what held was written
			r := eventstore.Recorded{Event: change(uuid.New()).Events[0], Position: assume.Head + 1, Version: 1, RecordedAt: time.Unix(4e9, 0)}
			batch := &eventstore.Batch{
				Records: []eventstore.Recorded{r}, Chunks: []eventstore.Chunk{{Aggregate: r.Aggregate, First: 1, Count: 1, Position: r.Position}},
				Rows: []eventstore.Row{{View: "v", Key: []byte(name), Value: []byte{1}}},
			}
			if c.command.Key != (eventstore.CommandKey{}) {
				batch.Commands = []eventstore.CommandRow{{Command: c.command, Position: r.Position, Count: 1}}
			}
			err := d.OneGo(t.Context(), &assume, batch)
			if c.holds {
				require.NoError(t, err)
				head++
			} else {
				require.ErrorIs(t, err, eventstore.ErrRefused)
			}
			now, err := store.Head(t.Context())
			require.NoError(t, err)
			require.Equal(t, head, now.Position)
			values, err := store.Get(t.Context(), "v", []byte(name))
			require.NoError(t, err)
			require.Equal(t, c.holds, values[0] != nil)
		})
	}
}

// TestLargeCall: an import's call of thousands of records and commands is one batch, read back as it was appended.
func TestLargeCall(t *testing.T) {
	t.Parallel()
	store := newStore(t, newConfig(t, database(t)))
	appends := make([]eventstore.Append, 0, 3000)
	for range cap(appends) {
		appends = append(appends, expecting(0))
	}
	results, err := store.Append(t.Context(), appends...)
	require.NoError(t, err)
	page, err := store.ReadAll(t.Context(), results[0].Position, 5000)
	require.NoError(t, err)
	require.Len(t, page, len(appends))
	for i := range page {
		require.Equal(t, appends[i].Events[0].ID, page[i].ID)
		require.Equal(t, results[i].Position, page[i].Position)
	}
	again, err := store.Append(t.Context(), appends...)
	require.NoError(t, err)
	for i := range again {
		require.True(t, again[i].Repeated)
		results[i].Repeated = true
	}
	require.Equal(t, results, again)
}
