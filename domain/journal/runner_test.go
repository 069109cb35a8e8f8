package journal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// counter is a view that counts, for each lane, how often it saw each number: a record folded twice or never is seen.
type counter struct {
	mu   sync.Mutex
	fail func(entries []journal.Entry) error // after half of the rows are put
}

func (*counter) Name() string { return "counter" }

func (*counter) Wants(eventType string) bool { return eventType == journal.TypeRedelivered }

func (c *counter) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	c.mu.Lock()
	fail := c.fail
	c.mu.Unlock()
	for i := range entries {
		if fail != nil && i == len(entries)/2 {
			if err := fail(entries); err != nil {
				return err
			}
		}
		event, ok := entries[i].Event.(journal.Redelivered)
		if !ok {
			return errors.New("an event that is not wanted")
		}
		key := journal.LaneKey('n', "s", 0, event.From)
		was, err := tx.Get(ctx, key)
		if err != nil {
			return err
		}
		n := uint64(1)
		if was != nil {
			n += binary.BigEndian.Uint64(was)
		}
		tx.Put(key, binary.BigEndian.AppendUint64(nil, n))
	}
	return nil
}

func rowsOf(t *testing.T, j *journal.Journal) []eventstore.Row {
	t.Helper()
	rows, err := j.Store().Scan(context.Background(), "counter", nil, nil, 0, false)
	require.NoError(t, err)
	return rows
}

// grow appends n records that the counter wants and n that it does not, from a number on.
func grow(t *testing.T, j *journal.Journal, from, n int64) {
	t.Helper()
	step := journal.Step{}
	for i := range n {
		for _, event := range []any{journal.Redelivered{From: from + i, Stream: "s"}, journal.AccessRefused{Route: "r"}} {
			step.Events = append(step.Events, journal.New{Event: event, Aggregate: journal.LaneAggregate("s", 0), Cause: eventstore.NoCause})
		}
	}
	_, err := j.Append(context.Background(), step)
	require.NoError(t, err)
}

func allOnce(t *testing.T, j *journal.Journal, n int) {
	t.Helper()
	rows := rowsOf(t, j)
	require.Len(t, rows, n)
	for i, row := range rows {
		require.Equal(t, journal.LaneKey('n', "s", 0, int64(i)), row.Key)
		require.Equal(t, uint64(1), binary.BigEndian.Uint64(row.Value), "number %d", i)
	}
}

// TestManyFollowersFoldEachRecordOnce: of several processes that fold at once, one wins each page.
func TestManyFollowersFoldEachRecordOnce(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 3)
	ctx, total := context.Background(), int64(0)
	for range 12 {
		grow(t, replicas[0], total, 300)
		total += 300
		head, err := replicas[0].Head(ctx)
		require.NoError(t, err)
		var group sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			group.Go(func() {
				at, err := replicas[i%3].CatchUp(ctx, &counter{}, head.Position+1)
				if err == nil && at <= head.Position {
					err = errors.New("stopped before the head")
				}
				errs[i] = err
			})
		}
		group.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	allOnce(t, replicas[1], int(total))
}

func TestRebuildEqualsTheFirstFold(t *testing.T) {
	t.Parallel()
	j, ctx := journaltest.New(t, journaltest.Options{}), context.Background()
	for i := range int64(8) { // more than two pages, in pieces
		grow(t, j, i*300, 300)
		_, err := j.CatchUp(ctx, &counter{}, 1+i*500)
		require.NoError(t, err)
	}
	head, err := j.Head(ctx)
	require.NoError(t, err)
	_, err = j.CatchUp(ctx, &counter{}, head.Position+1)
	require.NoError(t, err)
	before := rowsOf(t, j)
	allOnce(t, j, 2400)
	require.NoError(t, j.Store().Commit(ctx, "counter", head.Position+1, head.Position+1, []eventstore.Row{{View: "counter", Key: []byte("wrong"), Value: []byte("row")}}))
	var last int64
	require.NoError(t, j.Rebuild(ctx, &counter{}, func(done, total int64) {
		require.Greater(t, done, last)
		require.Equal(t, head.Position+1, total)
		last = done
	}))
	require.Equal(t, head.Position+1, last)
	require.Equal(t, before, rowsOf(t, j))
}

// TestACrashInTheMiddleLeavesRowsAndCheckpointTogether: half of a page was folded when the process "died".
func TestACrashInTheMiddleLeavesRowsAndCheckpointTogether(t *testing.T) {
	t.Parallel()
	replicas, ctx := journaltest.Replicas(t, journaltest.Options{}, 2), context.Background()
	j := replicas[0]
	grow(t, j, 0, 10)
	_, err := j.CatchUp(ctx, &counter{}, 21)
	require.NoError(t, err)
	before := rowsOf(t, j)
	grow(t, j, 10, 10)
	crash := errors.New("crash")
	at, err := j.CatchUp(ctx, &counter{fail: func([]journal.Entry) error { return crash }}, 41)
	require.ErrorIs(t, err, crash)
	require.Equal(t, int64(21), at)
	require.Equal(t, before, rowsOf(t, j))
	checkpoint, err := j.Store().Checkpoint(ctx, "counter")
	require.NoError(t, err)
	require.Equal(t, int64(21), checkpoint)

	// Another process folds while this one is in the middle: this one's page is thrown away, and it goes on.
	stolen := false
	at, err = j.CatchUp(ctx, &counter{fail: func([]journal.Entry) error {
		if stolen {
			return nil
		}
		stolen = true
		_, err := replicas[1].CatchUp(ctx, &counter{}, 41)
		return err
	}}, 41)
	require.NoError(t, err)
	require.Equal(t, int64(41), at)
	require.True(t, stolen)
	allOnce(t, j, 20)
}

// skip appends n records that the counter does not want.
func skip(t *testing.T, j *journal.Journal, n int) {
	t.Helper()
	step := journal.Step{}
	for range n {
		step.Events = append(step.Events, journal.New{Event: journal.AccessRefused{Route: "r"}, Aggregate: journal.LaneAggregate("s", 0), Cause: eventstore.NoCause})
	}
	_, err := j.Append(context.Background(), step)
	require.NoError(t, err)
}

// TestWhatAViewDoesNotWantMovesNoCheckpoint: Run leaves the checkpoint behind such records, a reader knows that they hold nothing, and neither a
// replica that folds, nor a view that is dropped, is overlooked.
func TestWhatAViewDoesNotWantMovesNoCheckpoint(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	j := replicas[0]
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	seen := make(chan int64, 64)
	view := &counter{fail: func(entries []journal.Entry) error { seen <- entries[len(entries)-1].Position; return nil }}
	go func() { _ = j.Run(ctx, view) }()
	grow(t, j, 0, 1)
	<-seen
	total, err := j.CatchUp(ctx, &counter{}, 3)
	require.NoError(t, err)
	require.Equal(t, int64(3), total)
	for range 20 {
		skip(t, j, 50)
		total += 50
		at, err := j.CatchUp(ctx, &counter{}, total)
		require.NoError(t, err)
		require.Equal(t, total, at)
	}
	checkpoint, err := j.Store().Checkpoint(ctx, "counter")
	require.NoError(t, err)
	require.Equal(t, int64(3), checkpoint)
	reached, err := j.Reached(ctx, view)
	require.NoError(t, err)
	require.Equal(t, total, reached)

	at, err := replicas[1].CatchUp(ctx, &counter{}, total) // which knows nothing, and moves it
	require.NoError(t, err)
	require.Equal(t, total, at)
	grow(t, replicas[1], 1, 1)
	head, err := j.Head(ctx)
	require.NoError(t, err)
	_, err = j.CatchUp(ctx, &counter{}, head.Position+1)
	require.NoError(t, err)
	allOnce(t, j, 2)

	require.NoError(t, replicas[1].Store().Drop(ctx, "counter"))
	reached, err = j.Reached(ctx, view)
	require.NoError(t, err)
	require.Zero(t, reached)
	_, err = j.CatchUp(ctx, &counter{}, head.Position+1)
	require.NoError(t, err)
	allOnce(t, j, 2)

	skip(t, j, 3000) // but not for ever
	grow(t, j, 2, 1)
	_, err = j.CatchUp(ctx, &counter{}, head.Position+3003)
	require.NoError(t, err)
	allOnce(t, j, 3)
	checkpoint, err = j.Store().Checkpoint(ctx, "counter")
	require.NoError(t, err)
	require.Equal(t, head.Position+3003, checkpoint)
}

func TestRunKeepsAViewAtTheHead(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx, stop := context.WithCancel(context.Background())
	seen, done := make(chan int64, 16), make(chan error, 1)
	view := &counter{fail: func(entries []journal.Entry) error { seen <- entries[len(entries)-1].Position; return nil }}
	go func() { done <- j.Run(ctx, view) }()
	for i := range int64(3) {
		grow(t, j, i, 1)
		require.Equal(t, i*2+1, <-seen)
	}
	stop()
	require.ErrorIs(t, <-done, context.Canceled)
}
