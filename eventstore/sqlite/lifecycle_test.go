package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// TestFirstOpen: many that open a store which isn't there yet make one.
func TestFirstOpen(t *testing.T) {
	t.Parallel()
	for range 10 {
		dir := t.TempDir()
		errs := make(chan error)
		for range 6 {
			go func() {
				s, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir})
				if err == nil {
					_, err = s.Head(context.Background())
					if closing := s.Close(); err == nil {
						err = closing
					}
				}
				errs <- err
			}()
		}
		for range 6 {
			require.NoError(t, <-errs)
		}
	}
}

// TestCopying: beside steady commits and readers the WAL is copied and begins anew, and nothing is lost.
func TestCopying(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, opened(t, dir).Close())
	s, err := sqlite.OpenCopying(t.Context(), dir, 5, 30)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for i := range 150 {
				if _, err := s.Append(t.Context(), tell(uuid.New(), 0)); err != nil {
					return err
				}
				if i%5 == 0 {
					if _, err := s.ReadAll(t.Context(), int64(i), 100); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	info, err := os.Stat(filepath.Join(dir, sqlite.File+"-wal"))
	require.NoError(t, err)
	t.Logf("the WAL is %d pages long", info.Size()/4096)
	requireLog(t, s, 2401)
	require.Less(t, info.Size(), int64(400*4096), "the WAL begins anew")
}

// flipping is a context that ends by itself when it has been asked for its error so often.
type flipping struct {
	context.Context
	left atomic.Int64
}

func (f *flipping) Err() error {
	if f.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelledMidway: a call that is cancelled at any moment answers with everything or with the context's error, never with a part.
func TestCancelledMidway(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	id := uuid.New()
	a := eventstore.Aggregate{Category: eventstore.Citizen, ID: id}
	var commands []eventstore.Command
	for i := range int32(8) {
		ap := tell(id, 2*i)
		ap.Rows = []eventstore.Row{{View: "v", Key: []byte{byte(i)}, Value: []byte{1}}}
		commands = append(commands, ap.Command)
		_, err := s.Append(t.Context(), ap)
		require.NoError(t, err)
	}
	for name, call := range map[string]func(ctx context.Context) (got int, err error){
		"ReadAll": func(ctx context.Context) (int, error) { out, err := s.ReadAll(ctx, 1, 100); return len(out), err },
		"ReadAggregate": func(ctx context.Context) (int, error) {
			out, err := s.ReadAggregate(ctx, a, 1, 0)
			return len(out), err
		},
		"ReadAggregates": func(ctx context.Context) (int, error) {
			out, err := s.ReadAggregates(ctx, eventstore.Aggregate{}, a)
			if err != nil {
				return 0, err
			}
			return len(out[1]), err
		},
		"ReadCommands": func(ctx context.Context) (int, error) {
			out, err := s.ReadCommands(ctx, commands...)
			n := 0
			for _, k := range out {
				if k.Found {
					n += 2
				}
			}
			return n, err
		},
		"Scan": func(ctx context.Context) (int, error) {
			out, err := s.Scan(ctx, "v", nil, nil, 0, false)
			return 2 * len(out), err
		},
	} {
		finished := false
		for left := int64(0); !finished; left++ {
			ctx := &flipping{Context: context.Background()}
			ctx.left.Store(left)
			got, err := call(ctx)
			if err == nil {
				require.Equal(t, 16, got, "%s, cancelled at look %d", name, left)
				finished = ctx.left.Load() >= 0
			} else {
				require.ErrorIs(t, err, context.Canceled, name)
			}
		}
	}
}

// TestSnapshot: what is read together is of one moment.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	a, b := eventstore.Aggregate{Category: eventstore.Citizen, ID: uuid.New()}, eventstore.Aggregate{Category: eventstore.Lane, ID: uuid.New()}
	ctx, stop := context.WithCancel(t.Context())
	var group errgroup.Group
	for range 3 {
		group.Go(func() error {
			for ctx.Err() == nil {
				got, err := s.ReadAggregates(context.Background(), a, b)
				if err != nil {
					return err
				}
				if len(got[0]) != len(got[1]) {
					return fmt.Errorf("%d and %d records that were appended in pairs", len(got[0]), len(got[1]))
				}
			}
			return nil
		})
	}
	for range 200 {
		ap := tell(uuid.New(), 0)
		ap.Expect, ap.Events[0].Aggregate, ap.Events[1].Aggregate = nil, a, b
		_, err := s.Append(t.Context(), ap)
		require.NoError(t, err)
	}
	stop()
	require.NoError(t, group.Wait())
}

// TestClose: when Close has returned, nothing of the store is open, also if somebody was waiting.
func TestClose(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := t.TempDir()
		s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		require.NoError(t, err)
		begin(t, s)
		waited := make(chan error)
		go func() { waited <- s.Wait(context.Background(), 100) }()
		_, err = s.ReadAll(t.Context(), 0, 1)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = os.Stat(filepath.Join(dir, sqlite.File+"-wal"))
		require.ErrorIs(t, err, os.ErrNotExist, "the last connection to close deletes the WAL")
		require.ErrorIs(t, <-waited, eventstore.ErrClosed)
	}
}

// TestLooking: the file is looked at for other processes' appends only while somebody waits.
func TestLooking(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	require.False(t, s.Looking())
	for range 3 {
		ctx, stop := context.WithCancel(t.Context())
		waited := make(chan error)
		go func() { waited <- s.Wait(ctx, 100) }()
		require.Eventually(t, s.Looking, 10*time.Second, time.Millisecond)
		stop()
		require.ErrorIs(t, <-waited, context.Canceled)
		require.Eventually(t, func() bool { return !s.Looking() }, 10*time.Second, time.Millisecond)
	}
}

// TestMigrate: from nothing to this version; again, nothing to do; a later version is left alone.
func TestMigrate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	_, err := sqlite.Migrate(t.Context(), sqlite.Config{Dir: dir, MustExist: true})
	require.ErrorIs(t, err, eventstore.ErrNoGenesis)
	for _, want := range []int{0, 1} {
		found, err := sqlite.Migrate(t.Context(), sqlite.Config{Dir: dir})
		require.NoError(t, err)
		require.Equal(t, want, found)
	}
	require.NoError(t, opened(t, dir).Close())
	onFile(t, dir, `INSERT INTO schema_version VALUES (2, 'later')`)
	before := files(t, dir)
	_, err = sqlite.Migrate(t.Context(), sqlite.Config{Dir: dir})
	require.ErrorIs(t, err, eventstore.ErrStoreVersion)
	require.Equal(t, before, files(t, dir))
}
