// Package journaltest makes journals on real stores for tests.
package journaltest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
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
	if o.Clock == nil {
		o.Clock = time.Now
	}
	ctx, dir := context.Background(), t.TempDir()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: filepath.Join(dir, "data"), Clock: o.Clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keyStore, err := sqlite.OpenKeys(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keyStore.Close()) })
	return Begin(t, o, store, keyStore)
}

// Begin writes genesis into an empty store and returns its journal.
func Begin(t testing.TB, o Options, store eventstore.Store, keyStore seal.KeyStore) *journal.Journal {
	t.Helper()
	ctx := context.Background()
	genesis := journal.Genesis{
		BaseURL: "https://tellonce.example", Clock: journal.ClockLog, Generation: 1, LogID: uuid.New(), Mode: journal.ModeSandbox, TimeZone: "America/Toronto",
	}
	if o.Wall {
		genesis.Clock = journal.ClockWall
	}
	if o.Mode != "" {
		genesis.Mode = o.Mode
	}
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	keyring, err := seal.NewKeyring(ctx, seal.Config{Store: keyStore, Wrapper: wrapper, LogID: genesis.LogID})
	require.NoError(t, err)
	registry, err := schemas.New()
	require.NoError(t, err)
	require.NoError(t, journal.Begin(ctx, store, genesis))
	j, err := journal.Open(ctx, journal.Config{Store: store, Keyring: keyring, Registry: registry, Clock: o.Clock})
	require.NoError(t, err)
	return j
}
