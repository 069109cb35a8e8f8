package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tellonce/hub/eventstore"
)

// plannerSettings keep the planner from choosing by the statistics of an empty table: every statement here goes by an index.
var plannerSettings = map[string]string{
	"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off",
}

// connectOwner connects as the user of the DSN, for migrating.
func (c Config) connectOwner(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: address: %w", err)
	}
	config.RuntimeParams["search_path"] = pgx.Identifier{c.Schema}.Sanitize()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	return conn, nil
}

// restrict makes every connection of config one that may only append, in the store's schema.
func (c Config) restrict(config *pgx.ConnConfig) {
	hurry(config)
	config.RuntimeParams["search_path"] = pgx.Identifier{c.Schema}.Sanitize()
	for name, value := range plannerSettings {
		config.RuntimeParams[name] = value
	}
	setRole := []byte(c.Role)
	config.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		_, err := conn.ExecParams(ctx, "SELECT set_config('role', $1, false)", [][]byte{setRole}, nil, nil, nil).Close()
		return err
	}
}

// connect opens one connection of the appending role.
func (c Config) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: address: %w", err)
	}
	c.restrict(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, failed("connect", err)
	}
	return conn, nil
}

func (c Config) newPool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, fmt.Errorf("postgres: address: %w", err)
	}
	c.restrict(config.ConnConfig)
	config.MaxConns = int32(min(c.MaxConns, 1<<15)) // #nosec G115 -- the same bits, or small
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	return pool, nil
}

// session is one connection with its prepared statements. One goroutine at a time uses it.
type session struct {
	config  Config
	conn    *pgx.Conn
	lockKey [8]byte
	oids    typeOIDs

	write, writeMore, lock, answers, known, begin, commit, rollback *pgconn.StatementDescription

	expects, guards, keys, records, chunks, commands, restricting, upserts, deletes encoder
	params                                                                          [][]byte
	answer                                                                          eventstore.Answer
}

// binaryFormat says that all parameters, or all columns, are in binary.
var binaryFormat = []int16{pgx.BinaryFormatCode}

// connect opens the connection and prepares the statements, unless the connection stands.
func (d *session) connect(ctx context.Context) error {
	if d.conn != nil && !d.conn.IsClosed() {
		return nil
	}
	conn, err := d.config.connect(ctx)
	if err != nil {
		return err
	}
	if err := d.prepare(ctx, conn); err != nil {
		_ = conn.Close(ctx)
		return failed("prepare statements", err)
	}
	d.conn = conn
	return nil
}

func (d *session) prepare(ctx context.Context, conn *pgx.Conn) error {
	key := fnv.New64a()
	_, _ = key.Write([]byte("tellonce append " + d.config.Schema))
	binary.BigEndian.PutUint64(d.lockKey[:], key.Sum64())
	o := &d.oids
	err := conn.QueryRow(ctx, `SELECT 'log'::regtype::oid, 'chunks'::regtype::oid, 'commands'::regtype::oid, 'restricting'::regtype::oid,
		'views'::regtype::oid, 'expectation'::regtype::oid, 'guard'::regtype::oid`).
		Scan(&o.log, &o.chunks, &o.commands, &o.restricting, &o.views, &o.expectation, &o.guard)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		statement **pgconn.StatementDescription
		name, sql string
	}{
		{&d.write, "write", writeSQL(false)}, {&d.writeMore, "write_more", writeSQL(true)},
		{&d.lock, "lock", lockSQL}, {&d.answers, "ask", askSQL}, {&d.known, "known", knownSQL},
		{&d.begin, "begin", "BEGIN"}, {&d.commit, "commit", "COMMIT"}, {&d.rollback, "rollback", "ROLLBACK"},
	} {
		if *s.statement, err = conn.PgConn().Prepare(ctx, s.name, s.sql, nil); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (d *session) close() {
	if d.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = d.conn.Close(ctx) // nothing is under way: the committer has stopped
}

// deadline puts ctx's deadline on the connection itself and returns a context that never ends: the driver would start a goroutine for one
// that does, at every batch. A connection that ran out of time is broken, as after any network error. rest takes the deadline off again,
// so that it can't break a connection that rests.
func (d *session) deadline(ctx context.Context) context.Context {
	deadline, _ := ctx.Deadline() // zero: none
	_ = d.conn.PgConn().Conn().SetDeadline(deadline)
	return context.Background()
}

func (d *session) rest() { _ = d.conn.PgConn().Conn().SetDeadline(time.Time{}) }
