package sqlite_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// TestOpenRefuses: what can't be opened says why, and is left as it was.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		prepare   func(t *testing.T, dir string) (path string)
		mustExist bool
		is        error
		says      string
	}{
		{"a file in place of the folder", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "file")
			require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
			return path
		}, false, nil, "it is a file, not a folder"},
		{"no folder", func(_ *testing.T, dir string) string { return filepath.Join(dir, "none") }, true, eventstore.ErrNoGenesis, "no folder"},
		{"no store in the folder", func(_ *testing.T, dir string) string { return dir }, true, eventstore.ErrNoGenesis, "no store"},
		{"not a database", func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, sqlite.File), bytes.Repeat([]byte("letters "), 1000), 0o600))
			return dir
		}, false, sqlite3.NOTADB, "not a database"},
		{"another program's database", func(t *testing.T, dir string) string {
			onFile(t, dir, `CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)`)
			return dir
		}, false, eventstore.ErrStoreVersion, "another program's"},
		{"a later version", func(t *testing.T, dir string) string {
			require.NoError(t, opened(t, dir).Close())
			onFile(t, dir, `INSERT INTO schema_version VALUES (99, 'later')`)
			return dir
		}, false, eventstore.ErrStoreVersion, "version 99"},
		{"no version", func(t *testing.T, dir string) string {
			require.NoError(t, opened(t, dir).Close())
			onFile(t, dir, `UPDATE schema_version SET version = 0`)
			return dir
		}, false, eventstore.ErrStoreVersion, "names no version"},
		{"a damaged beginning", func(t *testing.T, dir string) string {
			require.NoError(t, opened(t, dir).Close())
			damage(t, dir, 100, 3000)
			return dir
		}, false, sqlite3.CORRUPT, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := c.prepare(t, t.TempDir())
			before := files(t, path)
			s, err := sqlite.Open(context.Background(), sqlite.Config{Dir: path, MustExist: c.mustExist})
			require.Error(t, err)
			require.Nil(t, s)
			require.Contains(t, err.Error(), c.says)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.Equal(t, before, files(t, path))
		})
	}
}

// onFile runs SQL on the store's file, as another program would.
func onFile(t *testing.T, dir, sql string) {
	t.Helper()
	db, err := sqlite3.Open(filepath.Join(dir, sqlite.File))
	require.NoError(t, err)
	require.NoError(t, db.Exec(sql))
	require.NoError(t, db.Close())
}

// damage overwrites bytes of the store's file.
func damage(t *testing.T, dir string, from, n int64) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, sqlite.File), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0xA5}, int(n)), from)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// files are the contents of a folder's files, without those that SQLite makes for its connections.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return out
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") || strings.HasSuffix(e.Name(), "-wal") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		out[e.Name()] = string(content)
	}
	return out
}

// TestDamagedFile: a file damaged in the middle is an error where it is read, never other records.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	for range 200 {
		_, err := s.Append(t.Context(), tell(uuid.New(), 0))
		require.NoError(t, err)
	}
	before, err := s.ReadAll(t.Context(), 0, 1000)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	info, err := os.Stat(filepath.Join(dir, sqlite.File))
	require.NoError(t, err)
	for page := int64(1); page < info.Size()/4096; page++ {
		damage(t, dir, page*4096, 64) // the header of each page but the first
	}
	s, err = sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err == nil {
		defer func() { _ = s.Close() }()
		var got []eventstore.Recorded
		got, err = s.ReadAll(t.Context(), 0, 1000)
		require.Less(t, len(got), len(before))
	}
	require.ErrorIs(t, err, sqlite3.CORRUPT)
	require.Contains(t, err.Error(), "restore a backup")
}

// TestFullDisk: an append that finds no room is refused with a clear error, leaves nothing, and costs later ones nothing.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	require.NoError(t, s.OnWriter(`PRAGMA max_page_count = 60`))
	appended := int64(1)
	full := 0
	for full < 5 {
		_, err := s.Append(t.Context(), tell(uuid.New(), 0), tell(uuid.New(), 0))
		if err == nil {
			appended += 4
			continue
		}
		full++
		require.ErrorIs(t, err, sqlite3.FULL)
		require.NotErrorIs(t, err, eventstore.ErrUnknownOutcome)
		require.Contains(t, err.Error(), "disk is full")
		requireLog(t, s, appended)
	}
	require.Greater(t, appended, int64(10))
	large := []eventstore.Row{{View: "v", Key: []byte("k"), Value: make([]byte, 1<<20)}}
	require.ErrorIs(t, s.Commit(t.Context(), "v", 0, 1, large), sqlite3.FULL)
	require.NoError(t, s.OnWriter(`PRAGMA max_page_count = 100000`))
	_, err := s.Append(t.Context(), tell(uuid.New(), 0))
	require.NoError(t, err)
	requireLog(t, s, appended+2)
}

// requireLog requires that the log has n records and that its tables agree.
func requireLog(t *testing.T, s *sqlite.Store, n int64) {
	t.Helper()
	records, err := s.ReadAll(context.Background(), 0, 1<<20)
	require.NoError(t, err)
	require.Len(t, records, int(n))
	for i, r := range records {
		require.Equal(t, int64(i), r.Position)
		of, err := s.ReadAggregate(context.Background(), r.Aggregate, r.Version, 1)
		require.NoError(t, err)
		require.Equal(t, r, of[0])
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := opened(t, t.TempDir())
	require.NoError(t, s.OnWriter(`PRAGMA query_only = ON`))
	_, err := s.Append(t.Context(), tell(uuid.New(), 0))
	require.ErrorIs(t, err, sqlite3.READONLY)
	require.Contains(t, err.Error(), "mounted read-only")
	requireLog(t, s, 1)
}

// TestAppendOnly: the database itself refuses to change what is on the log.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t, dir)
	a := tell(uuid.New(), 0)
	a.Events[0].Restricting = true
	_, err := s.Append(t.Context(), a)
	require.NoError(t, err)
	for _, sql := range []string{
		`UPDATE log SET payload = x'00' WHERE position = 1`,
		`DELETE FROM log WHERE position = 2`,
		`DELETE FROM log`,
		`REPLACE INTO log SELECT * FROM log WHERE position = 1`,
		`INSERT OR REPLACE INTO log SELECT * FROM log`,
		`INSERT INTO log SELECT 7, recorded_at, key_ref, cause, version, category, schema, issuer, actor_kind, channel, class, aggregate,
			event_id, subject, type, commitment, leaf, payload FROM log LIMIT 1`,
		`UPDATE chunks SET count = 1`, `DELETE FROM chunks`,
		`UPDATE commands SET position = 0`, `DELETE FROM commands`,
		`UPDATE restricting SET position = 0`, `DELETE FROM restricting`,
		`UPDATE meta SET generation = 9`, `DELETE FROM meta`,
	} {
		db, err := sqlite3.Open(filepath.Join(dir, sqlite.File))
		require.NoError(t, err)
		require.ErrorIs(t, db.Exec(sql), sqlite3.CONSTRAINT_TRIGGER, sql)
		require.NoError(t, db.Close())
		require.ErrorIs(t, s.OnWriter("%s", sql), sqlite3.CONSTRAINT_TRIGGER, sql)
	}
	for _, sql := range []string{
		`REPLACE INTO chunks SELECT * FROM chunks`, `REPLACE INTO commands SELECT * FROM commands`, `REPLACE INTO meta SELECT * FROM meta`,
	} {
		require.ErrorIs(t, s.OnWriter("%s", sql), sqlite3.CONSTRAINT_TRIGGER, sql)
	}
	requireLog(t, s, 3)
}

// TestServe: one serves; others work beside; the place is free again when it is given back or its holder is gone.
func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := opened(t, dir), reopened(t, dir)
	release, err := one.Serve(t.Context())
	require.NoError(t, err)
	for _, s := range []*sqlite.Store{one, two} {
		_, err = s.Serve(t.Context())
		require.ErrorIs(t, err, eventstore.ErrServed)
		require.Contains(t, err.Error(), dir)
	}
	_, err = two.Append(t.Context(), tell(uuid.New(), 0))
	require.NoError(t, err)
	release()
	release, err = two.Serve(t.Context())
	require.NoError(t, err)
	release()
	release()
}

func reopened(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, MustExist: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// TestOwnerOnly: what the store makes may be read by its owner only.
func TestOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new & naïve", "100% #?+ store")
	s := opened(t, dir)
	release, err := s.Serve(t.Context())
	require.NoError(t, err)
	defer release()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4, "log.db, its -wal and -shm, serve.lock")
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") {
			continue // numbers of pages only; its mode isn't ours to set
		}
		info, err := e.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is %v", e.Name(), info.Mode())
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)
}
