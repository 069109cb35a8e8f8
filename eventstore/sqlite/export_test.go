package sqlite

import "context"

// OpenCopying opens a store that copies its WAL after so few pages that a short test sees it happen all the time.
func OpenCopying(ctx context.Context, dir string, copyAt, restartAt int64) (*Store, error) {
	return Open(ctx, Config{Dir: dir, copyAt: copyAt, restartAt: restartAt})
}
