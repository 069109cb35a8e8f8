package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tellonce/hub/eventstore/storebench"
)

// bench is one run: a store in a schema of its own, with the raw tables beside it.
type bench struct {
	dsn    string
	config storebench.Config
	store  *Store
	pool   *pgxpool.Pool // a connection for each writer of the raw limit
	report func(storebench.Line)
}

// Bench measures the store on the given database, in a schema of its own that it drops again, and reports each figure as it is known:
// appends of two records under the whole contract against one INSERT per commit of one record; import against COPY into the same
// indexes; replay against COPY TO decoded.
func Bench(ctx context.Context, dsn string, config storebench.Config, report func(storebench.Line)) (err error) {
	config = config.WithDefaults()
	id := uuid.New()
	schema := "tellonce_bench_" + hex.EncodeToString(id[:6])
	defer func() {
		if dropped := DropSchemas(context.WithoutCancel(ctx), dsn, schema); err == nil {
			err = dropped
		}
	}()
	store, err := Open(ctx, Config{DSN: dsn, Schema: schema})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	b := &bench{dsn: dsn, config: config, store: store, report: report}
	if err := b.rawTables(ctx, schema); err != nil {
		return err
	}
	defer b.pool.Close()
	if err := storebench.Begin(ctx, store); err != nil {
		return err
	}
	for _, step := range []struct {
		part storebench.Part
		run  func(context.Context) error
	}{{storebench.PartImport, b.importing}, {storebench.PartReplay, b.replay}, {storebench.PartAppend, b.appends}} {
		if len(config.Parts) > 0 && !slices.Contains(config.Parts, step.part) {
			continue
		}
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// DropSchemas drops schemas with all that is in them: those of a benchmark or of a test. A schema that is not there is no error.
func DropSchemas(ctx context.Context, dsn string, schemas ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("postgres: connect: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, schema := range schemas {
		if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
			return wrapf(err, "drop a schema")
		}
	}
	return nil
}

// rawTables makes what the raw limits write: one table with what an event log needs at the least, and twins of the store's tables.
func (b *bench) rawTables(ctx context.Context, schema string) error {
	config, err := pgxpool.ParseConfig(b.dsn)
	if err != nil {
		return fmt.Errorf("postgres: address: %w", err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	for _, writers := range b.config.Writers {
		config.MaxConns = max(config.MaxConns, int32(min(writers, 1<<10))) // #nosec G115 -- the same bits, or small
	}
	if b.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("postgres: connect: %w", err)
	}
	_, err = b.pool.Exec(ctx, `
		CREATE TABLE raw (
			id bigserial PRIMARY KEY, stream uuid NOT NULL, version integer NOT NULL, type text NOT NULL, at timestamptz NOT NULL,
			data bytea NOT NULL, metadata bytea NOT NULL, UNIQUE (stream, version));
		CREATE TABLE raw_log (LIKE log INCLUDING ALL);
		CREATE TABLE raw_chunks (LIKE chunks INCLUDING ALL);
		CREATE TABLE raw_commands (LIKE commands INCLUDING ALL)`)
	return wrapf(err, "make the raw tables")
}

// contender is one way to write under load.
type contender func(ctx context.Context, writers int) (storebench.Measure, error)

// appends compares, for each number of writers, in interleaved rounds.
func (b *bench) appends(ctx context.Context) error {
	for _, writers := range b.config.Writers {
		contenders := []contender{b.oneInsert, b.twoRecords(0), b.twoRecords(b.config.Stale)}
		measures := make([][]storebench.Measure, len(contenders))
		for range b.config.Rounds {
			for i, run := range contenders {
				m, err := run(ctx, writers)
				if err != nil {
					return err
				}
				measures[i] = append(measures[i], m)
			}
		}
		raw := storebench.Median(measures[0])
		const against = "one INSERT per commit of one record"
		b.report(storebench.Line{Name: "append of two records", Against: against, Writers: writers, Ours: storebench.Median(measures[1]), Raw: raw})
		stale := fmt.Sprintf("append of two records, %.0f %% stale", 100*b.config.Stale)
		b.report(storebench.Line{Name: stale, Against: against, Writers: writers, Ours: storebench.Median(measures[2]), Raw: raw})
	}
	return nil
}

const (
	rawData     = 600
	rawMetadata = 200
)

// oneInsert is the raw limit: a record for each commit, versions unique, in no order that a reader could rely on.
func (b *bench) oneInsert(ctx context.Context, writers int) (storebench.Measure, error) {
	const sql = `INSERT INTO raw (stream, version, type, at, data, metadata) VALUES ($1, $2, $3, $4, $5, $6)`
	conns := make([]*pgxpool.Conn, writers)
	for i := range conns {
		conn, err := b.pool.Acquire(ctx)
		if err != nil {
			return storebench.Measure{}, fmt.Errorf("postgres: connect: %w", err)
		}
		defer conn.Release()
		conns[i] = conn
	}
	noise := storebench.Noise(64 << 10)
	return storebench.Write(ctx, writers, b.config.Round, func(ctx context.Context, w int) (int, error) {
		stream := uuid.New()
		at := int(stream[0]) << 6
		_, err := conns[w].Exec(ctx, sql, [16]byte(stream), int32(1), "address-changed", time.Now(),
			noise[at:at+rawData], noise[at+rawData:at+rawData+rawMetadata])
		return 1, err
	})
}

const citizensOfWriter = 2_000

func (b *bench) twoRecords(stale float64) contender {
	return func(ctx context.Context, writers int) (storebench.Measure, error) {
		tells := storebench.NewTells(b.store, writers, citizensOfWriter, stale)
		return storebench.Write(ctx, writers, b.config.Round, tells.Call)
	}
}

// importing compares import calls with COPY of what they came to, in transactions of the same size, into tables with the same indexes.
func (b *bench) importing(ctx context.Context) error {
	var ours, raw []storebench.Measure
	per := b.config.Import / b.config.Rounds
	for range b.config.Rounds {
		head, err := b.store.Head(ctx)
		if err != nil {
			return err
		}
		m, err := storebench.Import(ctx, b.store, per, b.config.PerCall)
		if err != nil {
			return err
		}
		ours = append(ours, m)
		if m, err = b.copyFrom(ctx, head.Position+1, m.Records); err != nil {
			return err
		}
		raw = append(raw, m)
	}
	b.report(storebench.Line{
		Name: "import", Against: "COPY into the same indexes", Ours: storebench.Median(ours), Raw: storebench.Median(raw),
	})
	return nil
}

// replay compares pages with COPY TO, both decoded to records.
func (b *bench) replay(ctx context.Context) error {
	for _, page := range b.config.Pages {
		var ours, raw []storebench.Measure
		for range b.config.Rounds {
			m, err := storebench.Replay(ctx, b.store, page, nil)
			if err != nil {
				return err
			}
			ours = append(ours, m)
			if m, err = b.copyTo(ctx); err != nil {
				return err
			}
			raw = append(raw, m)
		}
		b.report(storebench.Line{
			Name: fmt.Sprintf("replay in pages of %d", page), Against: "COPY TO, decoded",
			Ours: storebench.Median(ours), Raw: storebench.Median(raw),
		})
	}
	return nil
}
