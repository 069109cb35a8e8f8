package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// DefaultKeysSchema is the schema of the key store where the configuration names none.
const DefaultKeysSchema = "tellonce_keys"

const (
	// keysVersion is the layout of the key store's tables.
	keysVersion = 2
	// keysConns is the size of the pool: a Keyring coalesces its fetches, so few are ever under way.
	keysConns = 4
)

// KeysConfig says where the key store stands.
type KeysConfig struct {
	DSN    string // of the database: a URL or keywords
	Schema string // "" means DefaultKeysSchema
}

// Keys is the key store in a schema of its own, apart from the log's, so that it is backed up apart. Safe for concurrent use; any number
// of replicas may share it.
type Keys struct {
	pool                                               patientPool
	keys, putKeys, refs, putRefs, getSecret, putSecret string // statements with the schema's name
	keysRotation
}

var _ seal.KeyStore = (*Keys)(nil)

// OpenKeys connects and makes schema and tables if they are missing. eventstore.ErrStoreVersion if another version of this program made
// them.
func OpenKeys(ctx context.Context, config KeysConfig) (*Keys, error) {
	schema := config.Schema
	if schema == "" {
		schema = DefaultKeysSchema
	}
	poolConfig, err := pgxpool.ParseConfig(config.DSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: open the key store: %w", err)
	}
	poolConfig.MaxConns = keysConns
	hurry(poolConfig.ConnConfig)
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("postgres: open the key store: %w", err)
	}
	if err := migrateKeys(ctx, pool, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: open the key store: %w", err)
	}
	return newKeys(pool, schema), nil
}

// Close closes the pool, after the calls under way.
func (k *Keys) Close() error {
	k.pool.Close()
	return nil
}

func newKeys(pool *pgxpool.Pool, schema string) *Keys {
	in := func(table string) string { return pgx.Identifier{schema, table}.Sanitize() }
	return &Keys{
		pool:         patientPool{pool, patience},
		keysRotation: newKeysRotation(in),
		keys: `SELECT q.n, k.ref, k.epoch, k.wrapped, k.destroyed
			FROM unnest($1::uuid[], $2::smallint[]) WITH ORDINALITY AS q (subject, class, n)
			JOIN ` + in("data_key") + ` k ON k.subject = q.subject AND k.class = q.class`,
		// In the order of the primary key: two replicas that store the same keys wait for one another, and never in a circle.
		putKeys: `WITH stored AS (
				INSERT INTO ` + in("data_key") + ` (subject, class, epoch, wrapped, destroyed)
				SELECT subject, class, epoch, wrapped, false
				FROM unnest($1::uuid[], $2::smallint[], $3::integer[], $4::bytea[]) WITH ORDINALITY AS q (subject, class, epoch, wrapped, n)
				WHERE (SELECT first_epoch FROM ` + in("layout") + `) <= $5
				ORDER BY subject, class, n
				ON CONFLICT (subject, class) DO NOTHING
				RETURNING subject, class, ref)
			SELECT subject, class, ref FROM stored`,
		refs: `SELECT q.n, r.citizen FROM unnest($1::bytea[]) WITH ORDINALITY AS q (hash, n)
			JOIN ` + in("reference") + ` r ON r.hash = q.hash`,
		putRefs: `INSERT INTO ` + in("reference") + ` (hash, citizen)
			SELECT hash, citizen FROM unnest($1::bytea[], $2::uuid[]) WITH ORDINALITY AS q (hash, citizen, n) ORDER BY hash, n
			ON CONFLICT (hash) DO NOTHING`,
		getSecret: `SELECT value FROM ` + in("secret") + ` WHERE name = $1`,
		putSecret: `INSERT INTO ` + in("secret") + ` (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`,
	}
}

// Keys returns what is stored for each id, in one round trip; Ref 0 where there is nothing.
func (k *Keys) Keys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	out := make([]seal.StoredKey, len(ids))
	subjects, classes := make([][16]byte, len(ids)), make([]int16, len(ids))
	for i, id := range ids {
		out[i].KeyID, subjects[i], classes[i] = id, id.Subject, int16(id.Class)
	}
	rows, err := k.pool.Query(ctx, k.keys, subjects, classes)
	if err != nil {
		return nil, failed("read keys", err)
	}
	var n, ref int64
	var epoch int32
	var wrapped []byte
	var destroyed bool
	_, err = pgx.ForEachRow(rows, []any{&n, &ref, &epoch, &wrapped, &destroyed}, func() error {
		o := &out[n-1]
		o.Ref, o.Epoch, o.Wrapped, o.Destroyed = ref, epoch, wrapped, destroyed
		return nil
	})
	if err != nil {
		return nil, failed("read keys", err)
	}
	return out, nil
}

// PutKeys stores each key unless its id has one already, and returns what stands: one round trip, and a second only where others were
// first.
func (k *Keys) PutKeys(ctx context.Context, keys ...seal.StoredKey) ([]seal.StoredKey, error) {
	refs, err := k.insertKeys(ctx, keys)
	if err != nil {
		return nil, failed("store keys", err)
	}
	out := make([]seal.StoredKey, len(keys))
	var others []seal.KeyID
	var at []int
	for i, key := range keys {
		// An id that occurs twice in keys is stored once: the first of them stands for both.
		if ref, ok := refs[key.KeyID]; ok {
			out[i] = key
			out[i].Ref = ref
			delete(refs, key.KeyID)
			continue
		}
		others, at = append(others, key.KeyID), append(at, i)
	}
	if len(others) == 0 {
		return out, nil
	}
	stands, err := k.Keys(ctx, others...)
	if err != nil {
		return nil, err
	}
	for i, key := range stands {
		if key.Ref == 0 { // neither stored nor there: their epoch is closed
			return nil, fmt.Errorf("postgres: store keys: %w", seal.ErrStaleEpoch)
		}
		out[at[i]] = key
	}
	return out, nil
}

// insertKeys inserts what is new and returns the references given. A statement is its own transaction: all or none. Nothing is inserted
// where an epoch is closed: the statement holds its lock on the table before it takes the snapshot in which it looks, so it sees what
// RaiseEpoch, whose lock excludes it, has committed.
func (k *Keys) insertKeys(ctx context.Context, keys []seal.StoredKey) (map[seal.KeyID]int64, error) {
	n := len(keys)
	subjects, classes, epochs := make([][16]byte, n), make([]int16, n), make([]int32, n)
	wrapped, first := make([][]byte, n), int32(math.MaxInt32)
	for i, key := range keys {
		subjects[i], classes[i], epochs[i], wrapped[i] = key.Subject, int16(key.Class), key.Epoch, key.Wrapped
		first = min(first, key.Epoch)
	}
	rows, err := k.pool.Query(ctx, k.putKeys, subjects, classes, epochs, wrapped, first)
	if err != nil {
		return nil, err
	}
	refs := make(map[seal.KeyID]int64, n)
	var subject [16]byte
	var class int16
	var ref int64
	_, err = pgx.ForEachRow(rows, []any{&subject, &class, &ref}, func() error {
		refs[seal.KeyID{Subject: subject, Class: eventstore.Class(class)}] = ref
		return nil
	})
	return refs, err
}

// References returns the citizen of each keyed reference hash, in one round trip; uuid.Nil where unknown.
func (k *Keys) References(ctx context.Context, hashes ...[32]byte) ([]uuid.UUID, error) {
	rows, err := k.pool.Query(ctx, k.refs, byteSlices(hashes))
	if err != nil {
		return nil, failed("look up references", err)
	}
	out := make([]uuid.UUID, len(hashes))
	var n int64
	var citizen [16]byte
	_, err = pgx.ForEachRow(rows, []any{&n, &citizen}, func() error {
		out[n-1] = citizen
		return nil
	})
	if err != nil {
		return nil, failed("look up references", err)
	}
	return out, nil
}

// PutReferences stores hash → citizen unless the hash is known, and returns what stands: two statements, for the second sees what
// another replica stored while the first waited for it.
func (k *Keys) PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error) {
	if len(hashes) != len(citizens) {
		return nil, fmt.Errorf("postgres: %d reference hashes for %d citizens", len(hashes), len(citizens))
	}
	ids := make([][16]byte, len(citizens))
	for i, citizen := range citizens {
		ids[i] = citizen
	}
	if _, err := k.pool.Exec(ctx, k.putRefs, byteSlices(hashes), ids); err != nil {
		return nil, failed("store references", err)
	}
	return k.References(ctx, hashes...)
}

// Secret returns the named secret, making it with make on first use. An error of make is returned as it is, and nothing is stored.
func (k *Keys) Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	var value []byte
	err := k.pool.QueryRow(ctx, k.getSecret, name).Scan(&value)
	if err == nil {
		return value, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, failed("read a secret", err)
	}
	if value, err = make(); err != nil {
		return nil, err
	}
	if _, err := k.pool.Exec(ctx, k.putSecret, name, value); err != nil {
		return nil, failed("store a secret", err)
	}
	// Another replica may have been first: read what stands.
	if err := k.pool.QueryRow(ctx, k.getSecret, name).Scan(&value); err != nil {
		return nil, failed("read a secret", err)
	}
	return value, nil
}

func byteSlices(hashes [][32]byte) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// migrateKeys makes what is missing, in one transaction, one replica at a time.
func migrateKeys(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	version, err := keysVersionOf(ctx, pool, schema)
	if err != nil || version == keysVersion {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "tellonce keys "+schema); err != nil {
			return err
		}
		version, err := keysVersionOf(ctx, tx, schema)
		if err != nil || version == keysVersion {
			return err
		}
		name := pgx.Identifier{schema}.Sanitize()
		if version == 0 {
			if _, err := tx.Exec(ctx, fmt.Sprintf(keysSchema1, name)); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, fmt.Sprintf(keysSchema2, name))
		return err
	})
}

// keysVersionOf returns the layout's version, 0 where there are no tables yet; eventstore.ErrStoreVersion if it is not ours.
func keysVersionOf(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, schema string) (int, error) {
	// Not to_regclass: in a transaction that has waited for the lock it may answer from before the wait.
	const there = `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'layout')`
	var found bool
	if err := db.QueryRow(ctx, there, schema).Scan(&found); err != nil || !found {
		return 0, err
	}
	var version int
	if err := db.QueryRow(ctx, `SELECT version FROM `+pgx.Identifier{schema, "layout"}.Sanitize()).Scan(&version); err != nil {
		return 0, err
	}
	if version < 1 || version > keysVersion {
		return 0, fmt.Errorf("%w: key store version %d, this program has %d", eventstore.ErrStoreVersion, version, keysVersion)
	}
	return version, nil
}

const keysSchema1 = `
CREATE SCHEMA IF NOT EXISTS %[1]s;
REVOKE ALL ON SCHEMA %[1]s FROM PUBLIC;
CREATE TABLE %[1]s.data_key (
	subject   uuid     NOT NULL,
	class     smallint NOT NULL,
	ref       bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
	epoch     integer  NOT NULL,
	wrapped   bytea,
	destroyed boolean  NOT NULL,
	PRIMARY KEY (subject, class),
	CHECK ((wrapped IS NULL) = destroyed)
);
CREATE TABLE %[1]s.reference (
	hash    bytea PRIMARY KEY,
	citizen uuid NOT NULL
);
CREATE TABLE %[1]s.secret (
	name  text PRIMARY KEY,
	value bytea NOT NULL
);
CREATE TABLE %[1]s.layout (version integer NOT NULL);
INSERT INTO %[1]s.layout VALUES (1);
`

// keysSchema2 adds what erasing and rotating need: keys wrapped before first_epoch are stored no more.
const keysSchema2 = `
ALTER TABLE %[1]s.layout ADD COLUMN first_epoch integer NOT NULL DEFAULT 0;
CREATE INDEX data_key_destroyed ON %[1]s.data_key (subject, class) WHERE destroyed;
CREATE INDEX reference_citizen ON %[1]s.reference (citizen);
UPDATE %[1]s.layout SET version = 2;
`
