package ministry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/pgxstore"
	"github.com/tellonce/hub/adapters/ministry/sqlitestore"
)

// place is one kind of store, with what a handler writes in its transaction.
type place struct {
	open  func(t *testing.T) ministry.Store // anew on the same place, as after a crash
	write func(ctx context.Context, text string) error
	read  func(t *testing.T) []string
}

func places(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "numbers.json")
		var state struct{ Texts []string }
		test(t, place{
			open: func(t *testing.T) ministry.Store {
				t.Helper()
				f, err := ministry.OpenFile(path, &state)
				require.NoError(t, err)
				return f
			},
			write: func(_ context.Context, text string) error { state.Texts = append(state.Texts, text); return nil },
			read:  func(*testing.T) []string { return state.Texts },
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a b.sqlite")
		var store *sqlitestore.Store
		test(t, place{
			open: func(t *testing.T) ministry.Store {
				t.Helper()
				var err error
				store, err = sqlitestore.Open(context.Background(), path, stream)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, store.Close()) })
				_, err = store.DB().ExecContext(context.Background(), `create table if not exists own (place integer primary key, text text)`)
				require.NoError(t, err)
				return store
			},
			write: func(ctx context.Context, text string) error {
				tx, ok := sqlitestore.Tx(ctx)
				if !ok {
					return errors.New("no transaction")
				}
				_, err := tx.ExecContext(ctx, `insert into own (text) values (?)`, text)
				return err
			},
			read: func(t *testing.T) (out []string) {
				t.Helper()
				rows, err := store.DB().QueryContext(context.Background(), `select text from own order by place`)
				require.NoError(t, err)
				defer rows.Close() //nolint:errcheck // a test's
				for rows.Next() {
					var text string
					require.NoError(t, rows.Scan(&text))
					out = append(out, text)
				}
				require.NoError(t, rows.Err())
				return out
			},
		})
	})
	t.Run("pgx", func(t *testing.T) {
		t.Parallel()
		pool := database(t)
		test(t, place{
			open: func(t *testing.T) ministry.Store {
				t.Helper()
				store, err := pgxstore.Open(context.Background(), pool)
				require.NoError(t, err)
				_, err = pool.Exec(context.Background(), `create table if not exists own (place serial primary key, text text)`)
				require.NoError(t, err)
				return store
			},
			write: func(ctx context.Context, text string) error {
				_, err := pgxstore.Tx(ctx).Exec(ctx, `insert into own (text) values ($1)`, text)
				return err
			},
			read: func(t *testing.T) []string {
				t.Helper()
				rows, err := pool.Query(context.Background(), `select text from own order by place`)
				require.NoError(t, err)
				out, err := pgx.CollectRows(rows, pgx.RowTo[string])
				require.NoError(t, err)
				return out
			},
		})
	})
}

// database is a pool on a schema of the test's own.
func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	dsn := os.Getenv("DATABASE_URL")
	if dsn == "" {
		require.Empty(t, os.Getenv("TELLONCE_REQUIRE_SERVERS"), "DATABASE_URL must be set")
		t.Skip("DATABASE_URL is not set: see deploy/dev/up")
	}
	ctx := context.Background()
	schema := "ministry_" + strings.ToLower(strings.NewReplacer("/", "_").Replace(t.Name()))
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	config.ConnConfig.RuntimeParams["search_path"] = schema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	require.NoError(t, err)
	_, err = pool.Exec(ctx, `drop schema if exists `+schema+` cascade; create schema `+schema)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := pool.Exec(ctx, `drop schema `+schema+` cascade`)
		require.NoError(t, err)
		pool.Close()
	})
	return pool
}

var errWork = errors.New("the work failed")

// TestStores is the contract of Store.
func TestStores(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		ctx := context.Background()
		store := p.open(t)
		write := func(text string) func(context.Context) error {
			return func(ctx context.Context) error { return p.write(ctx, text) }
		}
		none := ministry.Progress{}
		first := ministry.Progress{Generation: 1, Last: 3, Answered: 1, Rejected: []ministry.RejectedNumber{{Number: 2, Reason: "no \"client\""}}}
		second := ministry.Progress{Generation: 1, Last: 4, Answered: 4}

		got, err := store.Load(ctx, stream, 0)
		require.NoError(t, err)
		require.Equal(t, none, got)
		require.NoError(t, store.Save(ctx, stream, 0, none, first, write("one")))
		require.ErrorIs(t, store.Save(ctx, stream, 0, none, first, write("never")), ministry.ErrMoved)
		require.ErrorIs(t, store.Save(ctx, stream, 0, second, first, write("never")), ministry.ErrMoved)
		require.ErrorIs(t, store.Save(ctx, stream, 0, first, second, func(ctx context.Context) error {
			return errors.Join(p.write(ctx, "taken back"), errWork)
		}), errWork)
		require.NoError(t, store.Save(ctx, stream, 1, none, second, nil), "lanes are apart")

		store = p.open(t)
		got, err = store.Load(ctx, stream, 0)
		require.NoError(t, err)
		require.True(t, first.Equal(got), "%v", got)
		require.Equal(t, []string{"one"}, p.read(t))
		require.NoError(t, store.Save(ctx, stream, 0, first, second, write("two")))
		got, err = store.Load(ctx, stream, 0)
		require.NoError(t, err)
		require.True(t, second.Equal(got))
		require.Equal(t, []string{"one", "two"}, p.read(t))
	})
}

// TestOneOfManyMovesALane: of those who save the same step at once, one does.
func TestOneOfManyMovesALane(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		ctx := context.Background()
		store := p.open(t)
		for n := range int64(5) {
			before, after := ministry.Progress{Generation: 1, Last: n}, ministry.Progress{Generation: 1, Last: n + 1}
			if n == 0 {
				before = ministry.Progress{}
			}
			var group sync.WaitGroup
			moved := make(chan error, 4)
			for range cap(moved) {
				group.Go(func() {
					moved <- store.Save(ctx, stream, 0, before, after, func(ctx context.Context) error { return p.write(ctx, "x") })
				})
			}
			group.Wait()
			close(moved)
			done := 0
			for err := range moved {
				if err == nil {
					done++
				} else {
					require.ErrorIs(t, err, ministry.ErrMoved)
				}
			}
			require.Equal(t, 1, done)
		}
		require.Len(t, p.read(t), 5)
	})
}

// TestAFileOfSomethingElse is refused, not overwritten.
func TestAFileOfSomethingElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "letter.txt")
	require.NoError(t, os.WriteFile(path, []byte("Dear Sir or Madam"), 0o600))
	_, err := ministry.OpenFile(path, nil)
	require.Error(t, err)
	_, err = sqlitestore.Open(context.Background(), path, stream)
	require.Error(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "Dear Sir or Madam", string(text))
	_, err = ministry.OpenFile(filepath.Join(t.TempDir(), "x"), struct{}{})
	require.Error(t, err, "a state that can't be filled in")

	path = filepath.Join(t.TempDir(), "table.sqlite")
	store, err := sqlitestore.Open(context.Background(), path, stream)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	_, err = sqlitestore.Open(context.Background(), path, "other")
	require.ErrorContains(t, err, "a file of its own")
}

// TestAFileIsWholeOrOld: a file that can't be replaced leaves the old one, and the state as it was there.
func TestAFileIsWholeOrOld(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	var state struct {
		Texts []string
		own   int
	}
	state.own = 7
	f, err := ministry.OpenFile(filepath.Join(dir, "numbers.json"), &state)
	require.NoError(t, err)
	require.NoError(t, os.Rename(dir, dir+" away"))
	err = f.Save(context.Background(), stream, 0, ministry.Progress{}, ministry.Progress{Generation: 1, Last: 1}, func(context.Context) error {
		state.Texts = append(state.Texts, "lost")
		return nil
	})
	require.Error(t, err)
	require.Empty(t, state.Texts)
	require.Equal(t, 7, state.own, "what is not JSON's stays")
	p, err := f.Load(context.Background(), stream, 0)
	require.NoError(t, err)
	require.Zero(t, p.Last)
}
