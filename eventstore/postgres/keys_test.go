package postgres_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/postgres"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

// keysDSN is the server for these tests. Without one they are skipped, unless the run says that servers must be there.
func keysDSN(t testing.TB) string {
	dsn := os.Getenv("DATABASE_URL")
	if dsn != "" {
		return dsn
	}
	if os.Getenv("TELLONCE_REQUIRE_SERVERS") == "1" {
		t.Fatal("DATABASE_URL is not set, and TELLONCE_REQUIRE_SERVERS=1 demands a PostgreSQL server")
	}
	t.Skip("DATABASE_URL is not set: no PostgreSQL server to test on")
	return ""
}

// keysSchema is a schema of the test's own, dropped at its end.
func keysSchema(t testing.TB) (dsn, schema string) {
	dsn = keysDSN(t)
	schema = "keys_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	t.Cleanup(func() { execKeys(t, dsn, `DROP SCHEMA IF EXISTS `+schema+` CASCADE`) })
	return dsn, schema
}

func execKeys(t testing.TB, dsn, sql string) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, sql)
	require.NoError(t, err)
	require.NoError(t, conn.Close(ctx))
}

func keysStorage(t testing.TB) sealtest.Storage {
	dsn, schema := keysSchema(t)
	return keysIn(t, dsn, schema)
}

func keysIn(t testing.TB, dsn, schema string) sealtest.Storage {
	return sealtest.Storage{Open: func(req require.TestingT) seal.KeyStore {
		store, err := postgres.OpenKeys(context.Background(), postgres.KeysConfig{DSN: dsn, Schema: schema})
		require.NoError(req, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	}}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	sealtest.Run(t, func(t *testing.T) sealtest.Storage { return keysStorage(t) })
}

func TestKeysSurviveKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills many processes")
	}
	dsn, schema := keysSchema(t)
	sealtest.Crash(t, 50, "TestKeysCrashChild", schema, keysIn(t, dsn, schema))
}

func TestKeysCrashChild(t *testing.T) {
	schema := os.Getenv(sealtest.CrashPlace)
	if schema == "" {
		t.Skip("the child of TestKeysSurviveKills")
	}
	sealtest.CrashChild(t, keysIn(t, keysDSN(t), schema))
}

func TestKeysOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	dsn, schema := keysSchema(t)
	errs := make(chan error)
	const replicas = 8
	for range replicas {
		go func() {
			store, err := postgres.OpenKeys(t.Context(), postgres.KeysConfig{DSN: dsn, Schema: schema})
			if err == nil {
				err = store.Close()
			}
			errs <- err
		}()
	}
	for range replicas {
		require.NoError(t, <-errs)
	}
}

func TestKeysOfAnotherVersionAreRefused(t *testing.T) {
	t.Parallel()
	dsn, schema := keysSchema(t)
	store, err := postgres.OpenKeys(t.Context(), postgres.KeysConfig{DSN: dsn, Schema: schema})
	require.NoError(t, err)
	require.NoError(t, store.Close())
	execKeys(t, dsn, `UPDATE `+schema+`.layout SET version = 99`)
	_, err = postgres.OpenKeys(t.Context(), postgres.KeysConfig{DSN: dsn, Schema: schema})
	require.ErrorIs(t, err, eventstore.ErrStoreVersion)
}

func TestKeysWithoutAServer(t *testing.T) {
	t.Parallel()
	_, err := postgres.OpenKeys(t.Context(), postgres.KeysConfig{DSN: "postgres://hub:canary-password@127.0.0.1:1/hub?connect_timeout=2"})
	require.ErrorContains(t, err, "open the key store")
	require.NotContains(t, err.Error(), "canary-password")
}

func BenchmarkKeysEnsure(b *testing.B) { sealtest.BenchmarkEnsure(b, keysStorage(b)) }

// The first version's tables, with what stood in them, opened by many at once.
func TestKeysOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	dsn, schema := keysSchema(t)
	execKeys(t, dsn, strings.ReplaceAll(firstKeysSchema, "%", schema))
	living := seal.StoredKey{KeyID: seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}, Ref: 1, Epoch: 1, Wrapped: []byte("wrapped")}
	stone := seal.StoredKey{KeyID: seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}, Ref: 2, Destroyed: true}
	execKeys(t, dsn, `INSERT INTO `+schema+`.data_key (subject, class, epoch, wrapped, destroyed) VALUES
		('`+living.Subject.String()+`', 1, 1, 'wrapped', false), ('`+stone.Subject.String()+`', 1, 0, NULL, true)`)
	stores := make(chan seal.KeyStore)
	for range 4 {
		go func() {
			store, err := postgres.OpenKeys(context.Background(), postgres.KeysConfig{DSN: dsn, Schema: schema})
			if err != nil {
				t.Error(err)
			}
			stores <- store
		}()
	}
	for range 4 {
		store := <-stores
		t.Cleanup(func() { require.NoError(t, store.(*postgres.Keys).Close()) })
		stored, err := store.Keys(t.Context(), living.KeyID, stone.KeyID)
		require.NoError(t, err)
		require.Equal(t, []seal.StoredKey{living, stone}, stored)
		stones, err := store.Tombstones(t.Context(), seal.KeyID{}, 10)
		require.NoError(t, err)
		require.Equal(t, []seal.StoredKey{stone}, stones)
		require.NoError(t, store.RaiseEpoch(t.Context(), 2))
	}
}

const firstKeysSchema = `
CREATE SCHEMA %;
CREATE TABLE %.data_key (
	subject   uuid     NOT NULL,
	class     smallint NOT NULL,
	ref       bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
	epoch     integer  NOT NULL,
	wrapped   bytea,
	destroyed boolean  NOT NULL,
	PRIMARY KEY (subject, class),
	CHECK ((wrapped IS NULL) = destroyed)
);
CREATE TABLE %.reference (
	hash    bytea PRIMARY KEY,
	citizen uuid NOT NULL
);
CREATE TABLE %.secret (
	name  text PRIMARY KEY,
	value bytea NOT NULL
);
CREATE TABLE %.layout (version integer NOT NULL);
INSERT INTO %.layout VALUES (1);
`
