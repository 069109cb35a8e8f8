package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// untilFree repeats do while another process has the file to itself, for as long as a transaction would wait. SQLite itself doesn't wait
// where waiting for each other could last for ever, as when two processes that have both looked into a new file want to set its mode.
func untilFree(ctx context.Context, do func() error) error {
	ctx, stop := context.WithTimeout(ctx, busyTimeout)
	defer stop()
	for {
		err := do()
		if !errors.Is(err, sqlite3.BUSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(1+rand.IntN(10)) * time.Millisecond): // #nosec G404 -- so that they don't meet again
		}
	}
}

// prepareTables brings an empty file to this program's version and refuses one that another version made.
func prepareTables(ctx context.Context, c *conn) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	found, err := storeVersion(c)
	if err != nil {
		return err
	}
	if found == 0 {
		// WAL is a property of the file. Setting it needs the file for oneself, so two processes that begin together take turns.
		if err := c.db.Exec(`PRAGMA journal_mode = WAL`); err != nil {
			return err
		}
		err := c.within(ctx, `BEGIN IMMEDIATE`, func() error {
			if found, err = storeVersion(c); err != nil || found > 0 { // another process was first
				return err
			}
			found = len(steps)
			return c.migrate(steps, 0)
		})
		if err != nil {
			return err
		}
	}
	switch {
	case found < len(steps):
		return fmt.Errorf("%w: version %d, this program needs %d; run migrate", eventstore.ErrStoreVersion, found, len(steps))
	case found > len(steps):
		return fmt.Errorf("%w: version %d, this program knows %d", eventstore.ErrStoreVersion, found, len(steps))
	}
	return nil
}

// Migrate brings the store in config.Dir to this program's version in one transaction, and returns the version it found (0: none). A
// store of a newer version is eventstore.ErrStoreVersion. If the process dies in here, the store is as it was.
func Migrate(ctx context.Context, config Config) (found int, err error) {
	config = config.withDefaults()
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	c, err := openFile(ctx, config)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := c.close(); err == nil {
			err = closing
		}
	}()
	if err := untilFree(ctx, func() error { return c.db.Exec(`PRAGMA journal_mode = WAL`) }); err != nil {
		return 0, answer(ctx, err)
	}
	err = c.within(ctx, `BEGIN IMMEDIATE`, func() error {
		if found, err = storeVersion(c); err != nil {
			return err
		}
		if found > len(steps) {
			return fmt.Errorf("%w: version %d, this program knows %d", eventstore.ErrStoreVersion, found, len(steps))
		}
		return c.migrate(steps, found)
	})
	return found, answer(ctx, err)
}

// migrate takes the steps after version from, within the caller's transaction.
func (c *conn) migrate(steps []string, from int) error {
	if from == 0 {
		const table = `CREATE TABLE schema_version (version INTEGER PRIMARY KEY, made_at TEXT NOT NULL) STRICT`
		if err := c.db.Exec(table); err != nil {
			return err
		}
	}
	for i := from; i < len(steps); i++ {
		sql, err := migrations.ReadFile(steps[i])
		if err != nil {
			return err
		}
		if err := c.db.Exec(string(sql)); err != nil {
			return fmt.Errorf("migrate to version %d: %w", i+1, err)
		}
		at := time.Now().UTC().Format(time.RFC3339)
		if err := c.exec(`INSERT INTO schema_version (version, made_at) VALUES (?, ?)`, int64(i+1), at); err != nil {
			return err
		}
	}
	return nil
}

// storeVersion is the version of the store in the file: 0 if the file is empty. A database that is no store is ErrStoreVersion.
func storeVersion(c *conn) (int, error) {
	tables, ours := 0, 0
	err := c.query(`SELECT count(*), coalesce(sum(name = 'schema_version'), 0) FROM sqlite_schema WHERE type = 'table'`,
		func(s *sqlite3.Stmt) error { tables, ours = s.ColumnInt(0), s.ColumnInt(1); return nil })
	switch {
	case err != nil:
		return 0, err
	case tables == 0:
		return 0, nil
	case ours == 0:
		return 0, fmt.Errorf("%w: the file %s is another program's database", eventstore.ErrStoreVersion, File)
	}
	version := 0
	err = c.query(`SELECT coalesce(max(version), 0) FROM schema_version`,
		func(s *sqlite3.Stmt) error { version = s.ColumnInt(0); return nil })
	if err == nil && version == 0 {
		return 0, fmt.Errorf("%w: the file %s names no version", eventstore.ErrStoreVersion, File)
	}
	return version, err
}
