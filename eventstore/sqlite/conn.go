package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

// busyTimeout is how long a connection waits for another process's transaction.
const busyTimeout = 10 * time.Second

// conn is one connection with its prepared statements. One goroutine uses it at a time.
type conn struct {
	db       *sqlite3.Conn
	prepared map[string]*sqlite3.Stmt
	texts    map[string]string // see intern
	full     bool              // synchronous is FULL, not NORMAL
	broken   bool              // it couldn't even roll back: to be closed, not used again
}

// connect opens a connection to the store's file, which exists.
func connect(ctx context.Context, uri string, flags sqlite3.OpenFlag) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db, err := sqlite3.OpenFlags(uri, flags|sqlite3.OPEN_URI)
	if err != nil {
		return nil, explained(err)
	}
	c := &conn{db: db, prepared: map[string]*sqlite3.Stmt{}, texts: map[string]string{}, full: true}
	if err := db.BusyTimeout(busyTimeout); err != nil {
		return nil, errors.Join(explained(err), c.close())
	}
	// recursive_triggers: so that a REPLACE asks the triggers that keep the tables append-only.
	err = db.Exec(`PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON; PRAGMA temp_store = MEMORY`)
	if err != nil {
		return nil, errors.Join(explained(err), c.close())
	}
	return c, nil
}

// fileURI names a database file so that SQLite gives its -wal the file's own mode; by default it would be as the umask says.
func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		path = "/" + path
	}
	escaped := make([]byte, 0, len(path))
	for _, b := range []byte(path) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("/-._~:", b) >= 0:
			escaped = append(escaped, b)
		default:
			escaped = fmt.Appendf(escaped, "%%%02X", b)
		}
	}
	return fmt.Sprintf("file:%s?modeof=%s", escaped, escaped)
}

func (c *conn) close() error {
	for _, stmt := range c.prepared {
		_ = stmt.Close() // says again what its last use has said
	}
	clear(c.prepared)
	if err := c.db.Close(); err != nil {
		return explained(err)
	}
	return nil
}

// stmt returns the prepared statement for sql.
func (c *conn) stmt(sql string) (*sqlite3.Stmt, error) {
	if s := c.prepared[sql]; s != nil {
		return s, nil
	}
	s, _, err := c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	c.prepared[sql] = s
	return s, nil
}

// query runs sql with args and calls each for every row of the answer.
func (c *conn) query(sql string, each func(*sqlite3.Stmt) error, args ...any) error {
	s, err := c.stmt(sql)
	if err != nil {
		return err
	}
	if err := bind(s, args); err != nil {
		return err
	}
	for s.Step() {
		if err := each(s); err != nil {
			return errors.Join(err, s.Reset())
		}
	}
	// An interrupted Step is known to Err only: Reset alone would take it for the end of the answer.
	err = s.Err()
	if reset := s.Reset(); err == nil {
		err = reset
	}
	return err
}

// exec runs sql with args.
func (c *conn) exec(sql string, args ...any) error {
	s, err := c.stmt(sql)
	if err != nil {
		return err
	}
	if err := bind(s, args); err != nil {
		return err
	}
	return s.Exec()
}

func bind(s *sqlite3.Stmt, args []any) error {
	for i, arg := range args {
		var err error
		switch v := arg.(type) {
		case int64:
			err = s.BindInt64(i+1, v)
		case string:
			err = s.BindText(i+1, v)
		case []byte:
			err = bindBytes(s, i+1, v)
		default:
			err = fmt.Errorf("sqlite: no binding for a %T", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bindBytes binds b; an empty or nil one as an empty blob, not as NULL.
func bindBytes(s *sqlite3.Stmt, param int, b []byte) error {
	if len(b) == 0 {
		return s.BindZeroBlob(param, 0)
	}
	return s.BindBlob(param, b)
}

// within runs do between begin and a commit; nothing of do stays if it returns an error. Once do has returned nil, ctx no longer
// interrupts: a commit is finished or fails by itself.
func (c *conn) within(ctx context.Context, begin string, do func() error) error {
	c.db.SetInterrupt(ctx)
	err := c.exec(begin)
	if err == nil {
		if err = do(); err == nil {
			c.db.SetInterrupt(context.Background())
			if err = c.exec(`COMMIT`); err != nil {
				err = &commitError{err}
			}
		}
	}
	c.db.SetInterrupt(context.Background())
	if err != nil && !c.db.GetAutocommit() { // else SQLite has rolled back by itself, as on a full disk, or never began
		if rollback := c.exec(`ROLLBACK`); rollback != nil {
			c.broken = true
			err = errors.Join(err, rollback)
		}
	}
	return err
}

// commitError marks an error of COMMIT itself.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

// synchronous sets whether a commit waits for the disk (full), or leaves that to the next one that does.
func (c *conn) synchronous(full bool) error {
	if c.full == full {
		return nil
	}
	sql := `PRAGMA synchronous = NORMAL`
	if full {
		sql = `PRAGMA synchronous = FULL`
	}
	// Not by a prepared statement: a pragma takes effect when it is prepared.
	if err := c.db.Exec(sql); err != nil {
		return err
	}
	c.full = full
	return nil
}

// explained says what an error of SQLite means for whoever runs the hub, and keeps it in the chain.
func explained(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []struct {
		code sqlite3.ErrorCode
		says string
	}{
		{sqlite3.FULL, "the disk is full; nothing was written. Make room and try again"},
		{sqlite3.READONLY, "the store can't be written; check who owns its folder and whether the disk is mounted read-only"},
		{sqlite3.PERM, "the store's files may not be read by this user; check their owner and mode"},
		{sqlite3.AUTH, "the store's files may not be read by this user; check their owner and mode"},
		{sqlite3.CANTOPEN, "the store's files can't be opened; check the path, its owner and its mode"},
		{sqlite3.NOTADB, "the store's file is not a database: it is damaged, or another program's. Restore a backup"},
		{sqlite3.CORRUPT, "the store's file is damaged. Stop the hub and restore a backup"},
		{sqlite3.IOERR, "the disk failed to read or write"},
		{sqlite3.BUSY, "another process has kept the store locked for too long"},
	} {
		if errors.Is(err, known.code) {
			return fmt.Errorf("sqlite: %s: %w", known.says, err)
		}
	}
	return fmt.Errorf("sqlite: %w", err)
}

// answer is what a caller gets for err: its context's error if that ended the call, ErrNoGenesis for a missing file, else what SQLite
// meant. Errors of the contract pass unchanged.
func answer(ctx context.Context, err error) error {
	var code sqlite3.ErrorCode
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && (errors.Is(err, sqlite3.INTERRUPT) || errors.Is(err, sqlite3.BUSY)):
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", eventstore.ErrNoGenesis, err)
	case errors.As(err, &code):
		return explained(err)
	}
	return err
}
