package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// Leases run on the database's clock, the one clock that all replicas share.
const (
	acquireSQL = `
INSERT INTO leases AS l (name, owner, expires) VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
WHERE l.owner = excluded.owner OR l.expires <= clock_timestamp() RETURNING true`
	releaseSQL = `DELETE FROM leases WHERE name = $1 AND owner = $2`
)

// Acquire takes or renews the lease for owner until now+ttl; ok is false while another owner holds it.
func (s *Store) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (ok bool, err error) {
	if err := s.check(ctx); err != nil {
		return false, err
	}
	err = s.pool.QueryRow(ctx, acquireSQL, name, owner, ttl.Microseconds()).Scan(&ok)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, s.failed("acquire a lease", err)
	}
	return ok, nil
}

// Release gives the lease back if owner holds it.
func (s *Store) Release(ctx context.Context, name, owner string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, releaseSQL, name, owner); err != nil {
		return s.failed("release a lease", err)
	}
	return nil
}
