package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// keysStorage is a directory of its own, opened as often as asked.
func keysStorage(t testing.TB) sealtest.Storage { return keysIn(t, t.TempDir()) }

func keysIn(t testing.TB, dir string) sealtest.Storage {
	return sealtest.Storage{Open: func(req require.TestingT) seal.KeyStore {
		store, err := sqlite.OpenKeys(context.Background(), dir)
		require.NoError(req, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	}}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	sealtest.Run(t, func(t *testing.T) sealtest.Storage { return keysStorage(t) })
}

func TestKeysSurviveKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills many processes")
	}
	dir := t.TempDir()
	sealtest.Crash(t, 50, "TestKeysCrashChild", dir, keysIn(t, dir))
}

func TestKeysCrashChild(t *testing.T) {
	dir := os.Getenv(sealtest.CrashPlace)
	if dir == "" {
		t.Skip("the child of TestKeysSurviveKills")
	}
	sealtest.CrashChild(t, keysIn(t, dir))
}

// What a source calls a resident, and what the resident told, stands nowhere in the key store's files.
func TestKeysFilesHoldNoPersonalData(t *testing.T) {
	t.Parallel()
	const canary = "Canary-Underhill"
	dir := t.TempDir()
	store := keysIn(t, dir).Open(t)
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	keyring, err := seal.NewKeyring(t.Context(), seal.Config{Store: store, Wrapper: wrapper, LogID: uuid.New()})
	require.NoError(t, err)
	citizens, err := keyring.Register(t.Context(), "source-"+canary, []string{"ref-" + canary})
	require.NoError(t, err)
	e := &eventstore.Event{ID: uuid.New(), Type: "name-changed", Schema: 1, Subject: citizens[0], Class: eventstore.Facts}
	require.NoError(t, keyring.Seal(t.Context(), e, seal.Plaintext(canary)))
	pairwise, err := keyring.Pairwise(t.Context(), citizens[0], canary, 1)
	require.NoError(t, err)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := e.Payload
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		require.NoError(t, err)
		all = append(all, content...)
	}
	require.Contains(t, string(all), string(citizens[0][:]), "else nothing was looked at")
	require.NotContains(t, string(all), canary)
	require.NotContains(t, string(all), pairwise)
}

func TestKeysFileIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.OpenKeys(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	_, err = store.PutKeys(t.Context(), seal.StoredKey{Epoch: 1, Wrapped: []byte("wrapped")})
	require.NoError(t, err)
	for _, suffix := range []string{"", "-wal"} { // -shm holds page numbers only
		info, err := os.Stat(filepath.Join(dir, sqlite.KeysFile+suffix))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), suffix)
	}
}

func TestKeysOfAnotherVersionAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.OpenKeys(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	conn, err := sqlite3.Open(filepath.Join(dir, sqlite.KeysFile))
	require.NoError(t, err)
	require.NoError(t, conn.Exec(`PRAGMA user_version = 99`))
	require.NoError(t, conn.Close())
	_, err = sqlite.OpenKeys(t.Context(), dir)
	require.ErrorIs(t, err, eventstore.ErrStoreVersion)
}

// countdown is a context that is cancelled at the n-th look at it.
type countdown struct {
	context.Context
	looks int
}

func (c *countdown) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestKeysCancelledAtAnyMomentAreAllOrNone(t *testing.T) {
	t.Parallel()
	store := keysStorage(t).Open(t)
	known := seal.KeyID{Subject: uuid.New(), Class: 1}
	_, err := store.PutKeys(t.Context(), seal.StoredKey{KeyID: known, Epoch: 1, Wrapped: []byte("wrapped")})
	require.NoError(t, err)
	cancelled, done := 0, false
	for looks := 0; !done; looks++ {
		ids := make([]seal.KeyID, 5)
		keys := make([]seal.StoredKey, len(ids))
		for i := range keys {
			ids[i] = seal.KeyID{Subject: uuid.New(), Class: 1}
			keys[i] = seal.StoredKey{KeyID: ids[i], Epoch: 1, Wrapped: []byte("wrapped")}
		}
		_, err := store.PutKeys(&countdown{t.Context(), looks}, keys...)
		stored, readErr := store.Keys(t.Context(), ids...)
		require.NoError(t, readErr, "a cancelled call harms no later one")
		for _, key := range stored {
			require.Equal(t, err == nil, key.Ref != 0)
		}
		found, readErr := store.Keys(&countdown{t.Context(), looks}, known, known, known)
		for _, key := range found {
			require.Positive(t, key.Ref, "a key that could not be read is not a key that is not there")
		}
		if done = err == nil && readErr == nil; !done {
			cancelled++
		}
	}
	require.Greater(t, cancelled, 5)
}

func TestKeysFileThatIsNoDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := []byte("this is no database, however long it goes on; it goes on for a while, so that it is longer than a header of SQLite")
	require.NoError(t, os.WriteFile(filepath.Join(dir, sqlite.KeysFile), garbage, 0o600))
	_, err := sqlite.OpenKeys(t.Context(), dir)
	require.ErrorContains(t, err, sqlite.KeysFile)
	left, err := os.ReadFile(filepath.Join(dir, sqlite.KeysFile))
	require.NoError(t, err)
	require.Equal(t, garbage, left)
}

func TestKeysClosed(t *testing.T) {
	t.Parallel()
	store, err := sqlite.OpenKeys(t.Context(), t.TempDir())
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.NoError(t, store.Close())
	_, err = store.Keys(t.Context(), seal.KeyID{})
	require.ErrorIs(t, err, eventstore.ErrClosed)
}

func BenchmarkKeysEnsure(b *testing.B) { sealtest.BenchmarkEnsure(b, keysStorage(b)) }
