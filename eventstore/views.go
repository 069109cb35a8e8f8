package eventstore

import (
	"context"
	"time"
)

// Row is one row of a view: derived data that can be dropped and rebuilt from the log. Key and Value hold keys, positions, numbers and
// sealed values only, never personal data, so that erasing needs no sweep. A nil Value deletes the key.
type Row struct {
	View  string
	Key   []byte
	Value []byte
}

// Views keeps the rows of views and each view's checkpoint: the position up to which (exclusive) the log is folded into it.
type Views interface {
	// Get returns the values in the order of keys; nil where there is none.
	Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error)
	// Scan returns up to limit rows (0: all) with from ≤ key < to (nil to: no upper bound) in key order, or in reverse.
	Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]Row, error)
	// Checkpoint returns the position of the next record to fold; 0 for a new view.
	Checkpoint(ctx context.Context, view string) (int64, error)
	// Commit writes rows and moves the checkpoint from `from` to `to` in one transaction; a Conflict of kind ConflictView, and
	// nothing written, if the checkpoint is not at from (another process folded first). from == to only writes rows. A row may be of
	// another view. If the machine fails, folds that nothing has followed on the log may be undone, rows written alone are not.
	Commit(ctx context.Context, view string, from, to int64, rows []Row) error
	// Drop removes a view's rows and checkpoint.
	Drop(ctx context.Context, view string) error
}

// Leases elects one leader per name. A lease is a convenience: the fence is the append.
type Leases interface {
	// Acquire takes or renews the lease for owner until now+ttl; ok is false while another owner holds it.
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (ok bool, err error)
	// Release gives the lease back if owner holds it.
	Release(ctx context.Context, name, owner string) error
}

// Store is what both stores bring to a process.
type Store interface {
	Log
	Waker
	Views
	Leases
	// Identity returns the log's id and current generation; ErrNoGenesis if the store holds no log yet.
	Identity(ctx context.Context) (Identity, error)
	Close() error
}
