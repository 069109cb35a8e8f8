package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/storebench"
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
	runSuite(t, 0)
}

// TestStoreStreaming: the same when the committer streams from two callers on.
func TestStoreStreaming(t *testing.T) {
	t.Parallel()
	runSuite(t, 2)
}

func runSuite(t *testing.T, streamFrom int) {
	t.Helper()
	dsn := database(t)
	storetest.Run(t, storetest.Factory{
		New: func(t storetest.T) func() (eventstore.Store, error) {
			config := newConfig(t, dsn)
			config.streamFrom = streamFrom
			return func() (eventstore.Store, error) { return Open(context.Background(), config) }
		},
		Reopens: true, Handles: true, WakesWithin: 50 * time.Millisecond,
	})
}

// openForCrash opens the store in the named schema of DATABASE_URL's database, in the test's process or in a child that will be killed. The
// server does not notice at once that a client is dead: it may still commit what it was doing. The survivor waits until it has, so that
// what it then sees stays as it is.
func openForCrash(ctx context.Context, schema string) (eventstore.Store, error) {
	config := Config{DSN: os.Getenv("DATABASE_URL"), Schema: schema, streamFrom: 2}
	if os.Getpid() != survivor {
		if err := os.Setenv("PGAPPNAME", schema); err != nil { // by which the survivor knows the children's connections
			return nil, err
		}
		return Open(ctx, config)
	}
	conn, err := pgx.Connect(ctx, config.DSN)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	for alive := 1; alive > 0; {
		const sql = "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.005) WHERE application_name = $1"
		if err := conn.QueryRow(ctx, sql, schema).Scan(&alive); err != nil {
			return nil, err
		}
	}
	return Open(ctx, config)
}

// survivor is the process that runs the tests; CrashChild never returns in another.
var survivor int

func TestMain(m *testing.M) {
	storetest.CrashChild(openForCrash)
	survivor = os.Getpid()
	goleak.VerifyTestMain(m)
}

// TestCrash: killed at random moments, nothing acknowledged is lost, nothing is half there, nothing twice.
func TestCrash(t *testing.T) {
	t.Parallel()
	storetest.CrashLoop(t, newConfig(t, database(t)).Schema, openForCrash, 50)
}

// newStore is an open store with genesis.
func newStore(t *testing.T, config Config) *Store {
	t.Helper()
	store, err := Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, storebench.Begin(t.Context(), store))
	return store
}

// change is one event of a citizen, under a command of its own.
func change(citizen uuid.UUID) eventstore.Append {
	event := eventstore.Event{
		ID: uuid.New(), Aggregate: eventstore.Aggregate{Category: eventstore.Citizen, ID: citizen}, Type: "address-changed", Schema: 1,
		Cause: eventstore.NoCause, Subject: citizen, Class: eventstore.Facts, Payload: []byte("sealed"),
	}
	return eventstore.Append{Command: eventstore.Command{Key: sha256.Sum256(event.ID[:])}, Events: []eventstore.Event{event}}
}

// TestAppendOnly: the role of every connection may read and insert, and neither change nor remove what is on the log.
func TestAppendOnly(t *testing.T) {
	t.Parallel()
	store := newStore(t, newConfig(t, database(t)))
	_, err := store.Append(t.Context(), change(uuid.New()))
	require.NoError(t, err)
	for _, table := range []string{"log", "chunks", "commands", "restricting", "meta"} {
		for _, sql := range []string{
			"UPDATE " + table + " SET " + map[string]string{"commands": "key = key", "restricting": "subject = subject", "meta": "log_id = log_id",
				"log": "payload = payload", "chunks": "count = count"}[table],
			"DELETE FROM " + table, "TRUNCATE " + table, "DROP TABLE " + table, "ALTER TABLE " + table + " DISABLE TRIGGER ALL",
		} {
			_, err := store.pool.Exec(t.Context(), sql)
			require.True(t, isCode(err, "42501"), "%s: %v", sql, err) // insufficient privilege
		}
	}
	_, err = store.pool.Exec(t.Context(), "UPDATE views SET value = value")
	require.NoError(t, err, "views are derived and may change")
	var role string
	require.NoError(t, store.pool.QueryRow(t.Context(), "SELECT current_user").Scan(&role))
	require.Equal(t, store.config.Role, role)
}

// TestIndexOnly: the log has no index but its position, and neither an aggregate's version nor its records need more than indexes.
func TestIndexOnly(t *testing.T) {
	t.Parallel()
	store := newStore(t, newConfig(t, database(t)))
	var indexes int
	const count = "SELECT count(*) FROM pg_indexes WHERE schemaname = $1 AND tablename = 'log'"
	require.NoError(t, store.pool.QueryRow(t.Context(), count, store.config.Schema).Scan(&indexes))
	require.Equal(t, 1, indexes)
	for _, sql := range []string{
		"EXPLAIN " + readAllSQL, "EXPLAIN " + readSQL, "EXPLAIN " + readAggregateSQL, "EXPLAIN " + readAggregatesSQL, "EXPLAIN " + knownSQL,
		"EXPLAIN " + askSQL, "EXPLAIN " + knownSQL, "EXPLAIN " + writeSQL(false), "EXPLAIN " + writeSQL(true), "EXPLAIN " + getSQL, "EXPLAIN " + scanSQL,
	} {
		plan := explain(t, store, sql)
		require.NotContains(t, plan, "Seq Scan on", sql)
		require.NotContains(t, plan, "Hash Join", sql)
	}
}

// explain is the plan of a statement for any parameters (plan_cache_mode=force_generic_plan is what makes EXPLAIN EXECUTE show it).
func explain(t *testing.T, store *Store, sql string) string {
	t.Helper()
	conn, err := store.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	statement, err := conn.Conn().PgConn().Prepare(t.Context(), "explained", strings.TrimPrefix(sql, "EXPLAIN "), nil)
	require.NoError(t, err)
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(statement.ParamOIDs)), ", ")
	rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE explained ("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NoError(t, conn.Conn().PgConn().Deallocate(t.Context(), "explained"))
	return strings.Join(lines, "\n")
}
