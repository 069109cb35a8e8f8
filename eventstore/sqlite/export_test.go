package sqlite

import (
	"context"
	"fmt"
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
