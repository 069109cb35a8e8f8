package sqlite

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// OpenCopying opens a store that copies its WAL after so few pages that a short test sees it happen all the time.
func OpenCopying(ctx context.Context, dir string, copyAt, restartAt int64) (*Store, error) {
	return Open(ctx, Config{Dir: dir, copyAt: copyAt, restartAt: restartAt})
}

// OnWriter runs SQL on the connection that writes.
func (s *Store) OnWriter(format string, args ...any) error {
	c := <-s.writer
	defer func() { s.writer <- c }()
	return c.db.Exec(fmt.Sprintf(format, args...))
}

// OpenOn opens a store on another disk: a VFS by its name, and how to sync its WAL.
func OpenOn(ctx context.Context, dir, vfs string, sync func() error) (*Store, error) {
	return Open(ctx, Config{Dir: dir, vfs: vfs, sync: sync, copyAt: 20, restartAt: 80})
}

// IntegrityCheck is SQLite's own verdict on the file: "ok", or what is wrong.
func (s *Store) IntegrityCheck() (says string, err error) {
	c := <-s.writer
	defer func() { s.writer <- c }()
	err = c.query(`PRAGMA integrity_check`, func(s *sqlite3.Stmt) error { says += s.ColumnText(0); return nil })
	return says, err
}

// Looking says whether the store looks for other processes' commits.
func (s *Store) Looking() bool {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	return s.watch.looking
}
