package postgres

import (
	"context"
	"encoding/hex"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/storetest"
)

// database is the address of a real PostgreSQL; without one the test is skipped, or fails where TELLONCE_REQUIRE_SERVERS=1.
func database(t testing.TB) string {
	t.Helper()
	dsn := os.Getenv("DATABASE_URL")
	if dsn == "" && os.Getenv("TELLONCE_REQUIRE_SERVERS") == "1" {
		t.Fatal(`DATABASE_URL is not set: eval "$(deploy/dev/up)"`)
	}
	if dsn == "" {
		t.Skip(`needs PostgreSQL: eval "$(deploy/dev/up)" sets DATABASE_URL`)
	}
	return dsn
}

// newConfig is a store in a schema of its own, dropped at the end.
func newConfig(t storetest.T, dsn string) Config {
	t.Helper()
	id := uuid.New()
	config := Config{DSN: dsn, Schema: "test_" + hex.EncodeToString(id[:6]), MaxConns: 4}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, dsn)
		require.NoError(t, err)
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{config.Schema}.Sanitize()+" CASCADE")
		require.NoError(t, err)
	})
	return config
}

func TestStore(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	storetest.Run(t, storetest.Factory{
		New: func(t storetest.T) func() (eventstore.Store, error) {
			config := newConfig(t, dsn)
			return func() (eventstore.Store, error) { return Open(context.Background(), config) }
		},
		Reopens: true, Handles: true, WakesWithin: 50 * time.Millisecond,
	})
}
