// Package journaltest makes journals on real stores for tests.
package journaltest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/postgres"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
	"github.com/tellonce/hub/eventstore/sqlite"
	"github.com/tellonce/hub/schemas"
)

// Options say what kind of log. The zero value is a sandbox with a log clock.
type Options struct {
	Clock func() time.Time // the process's; default time.Now
	Wall  bool             // the log's clock is the wall clock
	Mode  string           // default sandbox
}

// New returns a journal on an empty embedded store that holds its genesis alone.
func New(t testing.TB, o Options) *journal.Journal {
	t.Helper()
	return Replicas(t, o, 1)[0]
}

// Replicas returns journals as n processes on one machine have them: each with its own connection to one embedded store, its own keyring
// and its own memory. The store holds genesis alone.
func Replicas(t testing.TB, o Options, n int) []*journal.Journal {
	t.Helper()
	return ReplicasOn(t, o, n, func(s eventstore.Store) eventstore.Store { return s })
}

// ReplicasOn is Replicas, with each process's store as wrap makes it, the first one's first.
func ReplicasOn(t testing.TB, o Options, n int, wrap func(eventstore.Store) eventstore.Store) []*journal.Journal {
	t.Helper()
	o = o.withDefaults()
	data, keys := filepath.Join(t.TempDir(), "data"), t.TempDir()
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	genesis := o.genesis()
	out := make([]*journal.Journal, n)
	for i := range out {
		store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: data, Clock: o.Clock})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		keyStore, err := sqlite.OpenKeys(context.Background(), keys)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, keyStore.Close()) })
		if i == 0 {
			require.NoError(t, journal.Begin(context.Background(), store, genesis))
		}
		out[i] = open(t, o, genesis, wrap(store), keyStore, wrapper)
	}
	return out
}

// OnBothStores runs a test on the embedded store, and on PostgreSQL where there is one.
func OnBothStores(t *testing.T, o Options, test func(*testing.T, *journal.Journal)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, New(t, o))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, OnPostgres(t, o))
	})
}

// OnPostgres is New on PostgreSQL.
func OnPostgres(t testing.TB, o Options) *journal.Journal {
	t.Helper()
	store, keys := Postgres(t, o)
	return Begin(t, o, store, keys)
}

// Postgres opens an empty log and its key store in schemas of their own, which are dropped when the test ends. Without a server the test is
// skipped, or fails where servers are required.
func Postgres(t testing.TB, o Options) (eventstore.Store, seal.KeyStore) {
	t.Helper()
	dsn := os.Getenv("DATABASE_URL")
	if dsn == "" {
		if os.Getenv("CI") != "" || os.Getenv("TELLONCE_REQUIRE_SERVERS") == "1" {
			t.Fatal("DATABASE_URL is not set, and servers are required")
		}
		t.Skip(`needs PostgreSQL: eval "$(deploy/dev/up)"`)
	}
	ctx, schema := context.Background(), "t"+strings.ReplaceAll(uuid.NewString(), "-", "")
	t.Cleanup(func() { require.NoError(t, postgres.DropSchemas(ctx, dsn, schema, schema+"_keys")) })
	store, err := postgres.Open(ctx, postgres.Config{DSN: dsn, Schema: schema, Clock: o.Clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := postgres.OpenKeys(ctx, postgres.KeysConfig{DSN: dsn, Schema: schema + "_keys"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	return store, keys
}

// Begin writes genesis into an empty store and returns its journal.
func Begin(t testing.TB, o Options, store eventstore.Store, keyStore seal.KeyStore) *journal.Journal {
	t.Helper()
	o = o.withDefaults()
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	genesis := o.genesis()
	require.NoError(t, journal.Begin(context.Background(), store, genesis))
	return open(t, o, genesis, store, keyStore, wrapper)
}

// registry compiles the schemas once: it only reads afterwards.
var registry = sync.OnceValues(schemas.New)

func open(t testing.TB, o Options, g journal.Genesis, store eventstore.Store, keyStore seal.KeyStore, wrapper seal.KeyWrapper) *journal.Journal {
	t.Helper()
	ctx := context.Background()
	keyring, err := seal.NewKeyring(ctx, seal.Config{Store: keyStore, Wrapper: wrapper, LogID: g.LogID})
	require.NoError(t, err)
	registry, err := registry()
	require.NoError(t, err)
	j, err := journal.Open(ctx, journal.Config{Store: store, Keyring: keyring, Registry: registry, Clock: o.Clock})
	require.NoError(t, err)
	return j
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Mode == "" {
		o.Mode = journal.ModeSandbox
	}
	return o
}

func (o Options) genesis() journal.Genesis {
	genesis := journal.Genesis{
		BaseURL: "https://tellonce.example", Clock: journal.ClockLog, Generation: 1, LogID: uuid.New(), Mode: o.Mode, TimeZone: "America/Toronto",
	}
	if o.Wall {
		genesis.Clock = journal.ClockWall
	}
	return genesis
}

// Alone makes a store one that no other process appends to: this one's appends alone wake who waits. In a bubble of synctest, where a look at
// the file costs time and a day of waiting none, an hour would else be a quarter of a million looks.
func Alone(store eventstore.Store) eventstore.Store { return &alone{Store: store} }

type alone struct {
	eventstore.Store
	signal eventstore.Signal
}

func (s *alone) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	results, err := s.Store.Append(ctx, appends...)
	for _, r := range results {
		s.signal.Raise(r.Position + int64(r.Count) - 1)
	}
	return results, err
}

func (s *alone) Wait(ctx context.Context, position int64) error {
	return s.signal.Wait(ctx, position, time.Minute)
}
