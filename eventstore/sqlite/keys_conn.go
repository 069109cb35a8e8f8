package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

// keysConn is one connection with its prepared statements; SQLite takes one call at a time on each.
type keysConn struct {
	mu    sync.Mutex
	conn  *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
}

// open connects and makes the tables if there are none.
func (c *keysConn) open(ctx context.Context, path string) error {
	conn, err := sqlite3.OpenContext(ctx, fileURI(path)) // its -wal, too, is its owner's alone
	if err != nil {
		return err
	}
	c.conn, c.stmts = conn, make(map[string]*sqlite3.Stmt)
	if err := conn.BusyTimeout(keysBusy); err != nil {
		return err
	}
	// FULL: a key that sealed an acknowledged change survives a power cut, as the change does. secure_delete: what is deleted is
	// overwritten. cache_size in KiB: keys and references are random, so a page comes up again only if many are kept.
	const settings = `PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;
		PRAGMA cache_size = -16384`
	if err := conn.Exec(settings); err != nil {
		return err
	}
	return c.transaction(ctx, func(c *keysConn) error {
		version, err := c.userVersion()
		switch {
		case err != nil:
			return err
		case version == keysVersion:
			return nil
		case version == 1:
			return c.conn.Exec(keysFrom1 + fmt.Sprintf("PRAGMA user_version = %d", keysVersion))
		case version != 0:
			return fmt.Errorf("%w: key store version %d, this program has %d", eventstore.ErrStoreVersion, version, keysVersion)
		}
		return c.conn.Exec(keysSchema + fmt.Sprintf("PRAGMA user_version = %d", keysVersion))
	})
}

func (c *keysConn) userVersion() (int, error) {
	stmt, _, err := c.conn.Prepare(`PRAGMA user_version`)
	if err != nil {
		return 0, err
	}
	version := 0
	if stmt.Step() {
		version = stmt.ColumnInt(0)
	}
	return version, stmt.Close()
}

func (c *keysConn) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	for _, stmt := range c.stmts {
		_ = stmt.Close() // reports the statement's last error again, if anything
	}
	err := c.conn.Close()
	c.conn, c.stmts = nil, nil
	return err
}

// transaction runs do under the write lock of all processes. If we stop before its commit nothing is stored.
func (c *keysConn) transaction(ctx context.Context, do func(*keysConn) error) error {
	return c.within(ctx, `BEGIN IMMEDIATE`, do)
}

// snapshot runs do on one state of the database.
func (c *keysConn) snapshot(ctx context.Context, do func(*keysConn) error) error {
	return c.within(ctx, `BEGIN`, do)
}

func (c *keysConn) within(ctx context.Context, begin string, do func(*keysConn) error) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.conn == nil {
		return eventstore.ErrClosed
	}
	old := c.conn.SetInterrupt(ctx)
	defer func() {
		c.conn.SetInterrupt(old)
		if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
			err = errors.Join(ctxErr, err)
		}
	}()
	if err := c.conn.Exec(begin); err != nil {
		return err
	}
	if err := do(c); err != nil {
		return errors.Join(err, c.rollback(old))
	}
	if err := c.conn.Exec(`COMMIT`); err != nil {
		return errors.Join(err, c.rollback(old))
	}
	return nil
}

// rollback runs even if the caller's context is over.
func (c *keysConn) rollback(background context.Context) error {
	c.conn.SetInterrupt(background)
	if c.conn.GetAutocommit() {
		return nil // SQLite has rolled back by itself, as on a full disk
	}
	return c.conn.Exec(`ROLLBACK`)
}

// prepared returns the statement, with args bound (a nil []byte is NULL).
func (c *keysConn) prepared(sql string, args ...any) (*sqlite3.Stmt, error) {
	stmt := c.stmts[sql]
	if stmt == nil {
		var err error
		if stmt, _, err = c.conn.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			return nil, err
		}
		c.stmts[sql] = stmt
	}
	for i, arg := range args {
		var err error
		switch v := arg.(type) {
		case int64:
			err = stmt.BindInt64(i+1, v)
		case string:
			err = stmt.BindText(i+1, v)
		case []byte:
			if v == nil {
				err = stmt.BindNull(i + 1)
			} else {
				err = stmt.BindBlob(i+1, v)
			}
		default:
			err = fmt.Errorf("no binding for a %T", arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return stmt, nil
}

// row runs sql and hands its row, if there is one, to scan.
func (c *keysConn) row(scan func(*sqlite3.Stmt), sql string, args ...any) (found bool, err error) {
	stmt, err := c.prepared(sql, args...)
	if err != nil {
		return false, err
	}
	if found = stmt.Step(); found {
		scan(stmt)
	}
	// An interrupted Step is known to Err only: taken for an empty result it would look like a key that is not there.
	err = stmt.Err()
	if resetErr := stmt.Reset(); err == nil {
		err = resetErr
	}
	return found, err
}

func (c *keysConn) exec(sql string, args ...any) error {
	stmt, err := c.prepared(sql, args...)
	if err != nil {
		return err
	}
	return stmt.Exec()
}

// rows runs sql and hands each of its rows to scan.
func (c *keysConn) rows(scan func(*sqlite3.Stmt), sql string, args ...any) error {
	stmt, err := c.prepared(sql, args...)
	if err != nil {
		return err
	}
	for stmt.Step() {
		scan(stmt)
	}
	err = stmt.Err()
	if resetErr := stmt.Reset(); err == nil {
		err = resetErr
	}
	return err
}

// changed runs sql and returns how many rows it changed.
func (c *keysConn) changed(sql string, args ...any) (int, error) {
	if err := c.exec(sql, args...); err != nil {
		return 0, err
	}
	return int(c.conn.Changes()), nil
}
