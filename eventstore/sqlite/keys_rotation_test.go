package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// randomKey is a key whose wrapped bytes can be told from all others in a file.
func randomKey(epoch int32) seal.StoredKey {
	wrapped := make([]byte, 60)
	_, _ = rand.Read(wrapped) // never fails
	return seal.StoredKey{KeyID: seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}, Epoch: epoch, Wrapped: wrapped}
}

// keysFiles is every byte of the key store's files.
func keysFiles(t *testing.T, dir string) (all []byte) {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(dir, file.Name()))
		require.NoError(t, err)
		all = append(all, content...)
	}
	return all
}

// holds says whether any long piece of a wrapped key is in the files.
func holds(files, wrapped []byte) bool {
	for at := 0; at+15 <= len(wrapped); at += 15 {
		if bytes.Contains(files, wrapped[at:at+15]) {
			return true
		}
	}
	return false
}

// What is destroyed or wrapped anew is gone from the files when the call returns, with the store open in two processes, whatever was
// written before and between.
func TestKeysThatAreReplacedLeaveTheFiles(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), context.Background()
	stores := []seal.KeyStore{keysIn(t, dir).Open(t), keysIn(t, dir).Open(t)}
	var living, gone []seal.StoredKey
	for round := range 20 {
		store := stores[round%2]
		fresh := make([]seal.StoredKey, 200)
		for i := range fresh {
			fresh[i] = randomKey(int32(1 + round)) // #nosec G115 -- below 20
		}
		stands, err := store.PutKeys(ctx, fresh...)
		require.NoError(t, err)
		_, err = stores[(round+1)%2].Keys(ctx, stands[0].KeyID)
		require.NoError(t, err)
		living = append(living, stands...)

		var ids []seal.KeyID
		var anew []seal.Rewrap
		var stay []seal.StoredKey
		for i, key := range living {
			switch {
			case (i+round)%7 == 0:
				ids, gone = append(ids, key.KeyID), append(gone, key)
			case (i+round)%5 == 0:
				gone = append(gone, key)
				wrapped := randomKey(0).Wrapped
				anew = append(anew, seal.Rewrap{KeyID: key.KeyID, Old: key.Wrapped, Epoch: 1 << 20, Wrapped: wrapped})
				key.Epoch, key.Wrapped = 1<<20, wrapped
				stay = append(stay, key)
			default:
				stay = append(stay, key)
			}
		}
		living = stay
		_, err = store.DestroyKeys(ctx, ids...)
		require.NoError(t, err)
		n, err := store.RewrapKeys(ctx, anew...)
		require.NoError(t, err)
		require.Len(t, anew, n)
	}
	files := keysFiles(t, dir)
	for _, key := range gone {
		require.False(t, holds(files, key.Wrapped), "key %d", key.Ref)
	}
	for _, key := range living {
		require.True(t, holds(files, key.Wrapped), "else nothing was looked at")
	}
	require.Greater(t, len(gone), 1000)
}

func TestReferencesThatAreRemovedLeaveTheFiles(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), context.Background()
	store := keysIn(t, dir).Open(t)
	hashes, citizens := make([][32]byte, 2000), make([]uuid.UUID, 2000)
	for i := range hashes {
		_, _ = rand.Read(hashes[i][:]) // never fails
		citizens[i] = uuid.New()
	}
	_, err := store.PutReferences(ctx, hashes, citizens)
	require.NoError(t, err)
	for i := 0; i < len(hashes); i += 10 {
		n, err := store.MoveReferences(ctx, citizens[i], uuid.Nil)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	files := keysFiles(t, dir)
	for i := range hashes {
		require.Equal(t, i%10 != 0, bytes.Contains(files, hashes[i][:]), i)
		require.Equal(t, i%10 != 0, bytes.Contains(files, citizens[i][:]), i)
	}
}

// A reader that stays keeps old pages in the write-ahead log: destroying says so, and the same call succeeds once it has gone.
func TestDestroyingBesideAReaderThatStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := keysIn(t, dir).Open(t)
	key := randomKey(1)
	_, err := store.PutKeys(t.Context(), key)
	require.NoError(t, err)
	reader, err := sqlite3.Open(filepath.Join(dir, sqlite.KeysFile))
	require.NoError(t, err)
	require.NoError(t, reader.Exec(`BEGIN; SELECT count(*) FROM data_key`))
	ctx, cancel := context.WithCancel(t.Context())
	destroyed := make(chan error, 1)
	go func() {
		_, err := store.DestroyKeys(ctx, key.KeyID)
		destroyed <- err
	}()
	other := keysIn(t, dir).Open(t)
	require.Eventually(t, func() bool {
		stored, err := other.Keys(t.Context(), key.KeyID)
		return err == nil && stored[0].Destroyed
	}, 10*time.Second, time.Millisecond, "the tombstone stands at once")
	cancel()
	require.ErrorIs(t, <-destroyed, context.Canceled, "not done: the old page is still there")
	require.True(t, holds(keysFiles(t, dir), key.Wrapped))
	require.NoError(t, reader.Exec(`COMMIT`))
	require.NoError(t, reader.Close())
	_, err = store.DestroyKeys(t.Context(), key.KeyID)
	require.NoError(t, err)
	require.False(t, holds(keysFiles(t, dir), key.Wrapped))
}

// The first version's tables, with what stood in them.
func TestKeysOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, sqlite.KeysFile)
	conn, err := sqlite3.Open(path)
	require.NoError(t, err)
	require.NoError(t, conn.Exec(`PRAGMA journal_mode = WAL; `+firstKeysSchema))
	keys := []seal.StoredKey{randomKey(1), randomKey(1), randomKey(300), randomKey(1 << 30)}
	keys[1].Wrapped[0], keys[1].Wrapped[30] = 0, 0 // must not end there
	for i := range keys {
		keys[i].Ref = int64(2*i + 1)
		exec(t, conn, `INSERT INTO data_key VALUES (?, ?, ?, ?, ?, 0)`, keys[i].Ref, keys[i].Subject[:], int64(keys[i].Class), int64(keys[i].Epoch), keys[i].Wrapped)
	}
	stone := seal.StoredKey{KeyID: seal.KeyID{Subject: uuid.New(), Class: eventstore.Contact}, Ref: 40, Destroyed: true}
	exec(t, conn, `INSERT INTO data_key VALUES (?, ?, ?, 1, NULL, 1)`, stone.Ref, stone.Subject[:], int64(stone.Class))
	citizen := uuid.New()
	hash := [32]byte{1, 0, 2}
	exec(t, conn, `INSERT INTO reference VALUES (?, ?)`, hash[:], citizen[:])
	exec(t, conn, `INSERT INTO secret VALUES ('a', ?)`, []byte("secret"))
	require.NoError(t, conn.Close())

	for range 2 { // brought to this version, and opened again
		store := keysIn(t, dir).Open(t)
		stored, err := store.Keys(t.Context(), keys[0].KeyID, keys[1].KeyID, keys[2].KeyID, keys[3].KeyID, stone.KeyID)
		require.NoError(t, err)
		require.Equal(t, append(keys[:4:4], stone), stored)
		stones, err := store.Tombstones(t.Context(), seal.KeyID{}, 10)
		require.NoError(t, err)
		require.Equal(t, []seal.StoredKey{stone}, stones)
		found, err := store.References(t.Context(), hash)
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{citizen}, found)
		secret, err := store.Secret(t.Context(), "a", func() ([]byte, error) { return []byte("another"), nil })
		require.NoError(t, err)
		require.Equal(t, "secret", string(secret))
		counted, err := store.Epochs(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[int32]int64{1: 2, 300: 1, 1 << 30: 1}, counted)
	}
	store := keysIn(t, dir).Open(t)
	_, err = store.DestroyKeys(t.Context(), keys[0].KeyID, keys[3].KeyID)
	require.NoError(t, err)
	files := keysFiles(t, dir)
	require.False(t, holds(files, keys[0].Wrapped), "nor in the tables of the first version")
	require.False(t, holds(files, keys[3].Wrapped))
	require.True(t, holds(files, keys[2].Wrapped))
}

func exec(t *testing.T, conn *sqlite3.Conn, sql string, args ...any) {
	t.Helper()
	stmt, _, err := conn.Prepare(sql)
	require.NoError(t, err)
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			err = stmt.BindInt64(i+1, v)
		case []byte:
			err = stmt.BindBlob(i+1, v)
		}
		require.NoError(t, err)
	}
	require.NoError(t, stmt.Exec())
	require.NoError(t, stmt.Close())
}

const firstKeysSchema = `
CREATE TABLE data_key (
	ref       INTEGER PRIMARY KEY,
	subject   BLOB    NOT NULL,
	class     INTEGER NOT NULL,
	epoch     INTEGER NOT NULL,
	wrapped   BLOB,
	destroyed INTEGER NOT NULL,
	UNIQUE (subject, class),
	CHECK ((wrapped IS NULL) = (destroyed = 1))
) STRICT;
CREATE TABLE reference (
	hash    BLOB PRIMARY KEY,
	citizen BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE secret (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
`
