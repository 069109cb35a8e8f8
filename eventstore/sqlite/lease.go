package sqlite

import (
	"context"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	sqlAcquire = `INSERT INTO leases (name, owner, expires) VALUES (?1, ?2, ?3)
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires WHERE owner = excluded.owner OR expires <= ?4
		RETURNING 1`
	sqlRelease = `DELETE FROM leases WHERE name = ? AND owner = ?`
)

// Acquire is eventstore.Leases'. The clock is the machine's, so it is one for all processes that share the store.
func (s *Store) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (ok bool, err error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	err = s.write(ctx, false, func(c *conn) error {
		now := time.Now()
		return c.query(sqlAcquire, func(*sqlite3.Stmt) error { ok = true; return nil }, name, owner, now.Add(ttl).UnixMicro(), now.UnixMicro())
	})
	return ok && err == nil, err
}

// Release is eventstore.Leases'.
func (s *Store) Release(ctx context.Context, name, owner string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.write(ctx, false, func(c *conn) error { return c.exec(sqlRelease, name, owner) })
}
