package postgres

import (
	"context"
	"time"
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
	n, err := s.query(ctx, "acquire a lease", func([][]byte) {}, acquireSQL, name, owner, ttl.Microseconds())
	return n == 1, err
}

// Release gives the lease back if owner holds it.
func (s *Store) Release(ctx context.Context, name, owner string) error {
	_, err := s.query(ctx, "release a lease", func([][]byte) {}, releaseSQL, name, owner)
	return err
}
