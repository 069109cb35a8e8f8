package postgres

import (
	"context"
	"encoding/hex"
	"io/fs"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/eventstore"
)

// asOwner runs one statement as the user of the DSN, in the store's schema.
func asOwner(t *testing.T, config Config, sql string, args ...any) {
	t.Helper()
	conn, err := config.withDefaults().connectOwner(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	config := newConfig(t, database(t))
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	require.NoError(t, err)

	found, err := Migrate(t.Context(), config)
	require.NoError(t, err)
	require.Equal(t, 0, found)
	store := newStore(t, config)
	found, err = Migrate(t.Context(), config)
	require.NoError(t, err, "again, while it is in use")
	require.Equal(t, len(steps), found)
	head, err := store.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1), head.Position)
}

// Replicas that start at once on an empty database all find a store.
func TestMigrateConcurrently(t *testing.T) {
	t.Parallel()
	config := newConfig(t, database(t))
	id := uuid.New()
	config.Role = "test_append_" + hex.EncodeToString(id[:6])
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), config.DSN)
		require.NoError(t, err)
		defer func() { _ = conn.Close(context.Background()) }()
		role := pgx.Identifier{config.Role}.Sanitize()
		_, err = conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
	var group errgroup.Group
	for range 6 {
		group.Go(func() error {
			store, err := Open(t.Context(), config)
			if err == nil {
				err = store.Close()
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	var steps int
	conn, err := config.withDefaults().connectOwner(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM schema_version").Scan(&steps))
	require.Equal(t, 1, steps)
}

func TestOtherVersion(t *testing.T) {
	t.Parallel()
	config := newConfig(t, database(t))
	_, err := Migrate(t.Context(), config)
	require.NoError(t, err)

	asOwner(t, config, "INSERT INTO schema_version (version) VALUES (99)")
	_, err = Open(t.Context(), config)
	require.ErrorIs(t, err, eventstore.ErrStoreVersion)
	require.ErrorContains(t, err, "99")
	_, err = Migrate(t.Context(), config)
	require.ErrorIs(t, err, eventstore.ErrStoreVersion)

	asOwner(t, config, "UPDATE schema_version SET version = 1 WHERE version = 99 AND NOT EXISTS (SELECT FROM schema_version WHERE version = 1)")
	asOwner(t, config, "DELETE FROM schema_version WHERE version = 99")
	store, err := Open(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, store.Close())
}

// What can't be reached says so, and not with which password.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://who:topsecret@127.0.0.1:1/none?sslmode=disable", "postgres://who:topsecret@127.0.0.1:1:2/none"} {
		_, err := Open(t.Context(), Config{DSN: dsn})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "topsecret")
	}
}
