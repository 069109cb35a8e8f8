package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tellonce/hub/eventstore"
)

// writeSQL writes one batch if what it asserts holds, all or none, and answers one row if it did. Positions start at $1 + 1: if anyone
// appended since the statement's snapshot, that position is taken and the log's primary key refuses the batch. Without a lock. A command
// that is known is refused by the key of commands. If the batch before, of $2 records, is under way (0: none is), its records may be
// seen already or not yet.
//
// Most batches neither guard, restrict, write views nor begin a generation: they do without those parts, which cost even when empty.
//
// $1 head, $2 see above, $3 expected versions; $4 … $6 the rows of each table; more: $7 guards, $8 restricting events, $9 view rows to
// write, $10 to delete, $11 generation and $12 log id (or NULL).
func writeSQL(more bool) string {
	guards, rows := "", ""
	if more {
		guards = `
	AND NOT EXISTS (SELECT FROM unnest($7::guard[]) g JOIN restricting r ON r.subject = g.subject AND r.position > g.after)`
		rows = `, restricting_rows AS (
	INSERT INTO restricting SELECT r.* FROM ok, unnest($8::restricting[]) r
), view_rows AS (
	INSERT INTO views SELECT r.* FROM ok, unnest($9::views[]) r ON CONFLICT (view, key) DO UPDATE SET value = excluded.value
), view_keys AS (
	DELETE FROM views v USING ok, unnest($10::views[]) r WHERE v.view = r.view AND v.key = r.key
), meta_row AS (
	INSERT INTO meta SELECT $11::bigint, $12::uuid FROM ok WHERE $11::bigint IS NOT NULL
)`
	}
	return `
WITH ok AS MATERIALIZED (
	SELECT true AS ok
	WHERE coalesce((SELECT position FROM log ORDER BY position DESC LIMIT 1), -1) IN ($1::bigint, $1::bigint - $2::bigint)
	AND NOT EXISTS (
		SELECT FROM unnest($3::expectation[]) e
		WHERE coalesce((
			SELECT c.first_version + c.count - 1 FROM chunks c
			WHERE c.aggregate = e.aggregate AND c.category = e.category ORDER BY c.first_version DESC LIMIT 1), 0) <> e.version)` + guards + `
), log_rows AS (
	INSERT INTO log SELECT r.* FROM ok, unnest($4::log[]) r
), chunk_rows AS (
	INSERT INTO chunks SELECT r.* FROM ok, unnest($5::chunks[]) r
), command_rows AS (
	INSERT INTO commands SELECT r.* FROM ok, unnest($6::commands[]) r
)` + rows + `
SELECT ok FROM ok`
}

// lockSQL lets one replica at a time ask and then write. Not the fence, which is the primary key: it spares replicas that ask in detail
// from taking each other's positions.
const lockSQL = `SELECT pg_advisory_xact_lock($1::bigint)`

// askSQL answers in one row, as of one snapshot: head, identity, versions ($1), latest restricting positions ($2).
const askSQL = `
SELECT l.position, l.recorded_at, m.log_id, m.generation,
	ARRAY(SELECT coalesce((
		SELECT c.first_version + c.count - 1 FROM chunks c
		WHERE c.aggregate = e.aggregate AND c.category = e.category ORDER BY c.first_version DESC LIMIT 1), 0)
		FROM unnest($1::expectation[]) WITH ORDINALITY e ORDER BY e.ordinality),
	ARRAY(SELECT coalesce((SELECT r.position FROM restricting r WHERE r.subject = s.subject ORDER BY r.position DESC LIMIT 1), -1)
		FROM unnest($2::uuid[]) WITH ORDINALITY s (subject, n) ORDER BY s.n)
FROM (SELECT) one
	LEFT JOIN (SELECT position, recorded_at FROM log ORDER BY position DESC LIMIT 1) l ON true
	LEFT JOIN (SELECT log_id, generation FROM meta ORDER BY generation DESC LIMIT 1) m ON true`

// knownSQL finds the first results of commands: a row for each that is known, with its place in $1.
const knownSQL = `
SELECT k.n, c.body, c.position, c.count, l.recorded_at
FROM unnest($1::bytea[]) WITH ORDINALITY k (key, n)
	JOIN commands c ON c.key = k.key JOIN log l ON l.position = c.position`

// driver writes the committer's batches over connections of its own: one as a rule, a second for executing a batch while the one before
// it is being committed.
type driver [2]session

var _ eventstore.PipelinedDriver = (*driver)(nil)

func newDriver(config Config) *driver {
	return &driver{{config: config}, {config: config}}
}

// OneGo writes the batch in one round trip.
func (d *driver) OneGo(ctx context.Context, assume *eventstore.Assumption, batch *eventstore.Batch) error {
	return d[0].oneGo(ctx, assume, batch)
}

// Checked asks, then writes the batch, in one transaction.
func (d *driver) Checked(ctx context.Context, ask *eventstore.Ask, build func(*eventstore.Answer) *eventstore.Batch) error {
	return d[0].ask(ctx, ask, build)
}

// Execute writes the batch in the slot's transaction.
func (d *driver) Execute(ctx context.Context, slot int, assume *eventstore.Assumption, batch *eventstore.Batch) error {
	return d[slot].execute(ctx, assume, batch)
}

// Commit commits the slot's transaction.
func (d *driver) Commit(ctx context.Context, slot int) error { return d[slot].end(ctx, true) }

// Rollback rolls the slot's transaction back.
func (d *driver) Rollback(ctx context.Context, slot int) { _ = d[slot].end(ctx, false) }

func (d *driver) close() {
	d[0].close()
	d[1].close()
}

// assume encodes what is asserted.
func (d *session) assume(assume *eventstore.Assumption) {
	d.expects.expectations(d.oids.expectation, assume.Versions)
	d.guards.guards(d.oids.guard, assume.Guards)
}

func (d *session) oneGo(ctx context.Context, assume *eventstore.Assumption, batch *eventstore.Batch) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	defer d.rest()
	d.assume(assume)
	statement := d.encode(assume.Head, assume.Under, len(assume.Guards) > 0, batch)
	rows := d.conn.PgConn().ExecStatement(d.deadline(ctx), statement, d.params, binaryFormat, binaryFormat)
	written := rows.NextRow()
	_, err := rows.Close()
	if err != nil {
		return outcome(err, !pgconn.SafeToRetry(err))
	}
	if !written {
		return eventstore.ErrRefused
	}
	return nil
}

// execute begins a transaction and writes the batch in it. If this process dies before the commit, the server rolls back.
func (d *session) execute(ctx context.Context, assume *eventstore.Assumption, batch *eventstore.Batch) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	defer d.rest()
	d.assume(assume)
	statement := d.encode(assume.Head, assume.Under, len(assume.Guards) > 0, batch)
	pipeline := d.conn.PgConn().StartPipeline(d.deadline(ctx))
	pipeline.SendQueryStatement(d.begin, nil, nil, nil)
	pipeline.SendQueryStatement(statement, d.params, binaryFormat, binaryFormat)
	written := false
	err := pipeline.Sync() // within BEGIN a sync commits nothing
	if err == nil {
		err = eachRow(pipeline, func([][]byte) error { return nil })
	}
	if err == nil {
		err = eachRow(pipeline, func([][]byte) error {
			written = true
			return nil
		})
	}
	if closing := pipeline.Close(); err == nil {
		err = closing
	}
	if err == nil && !written {
		err = eventstore.ErrRefused
	}
	if err == nil {
		return nil
	}
	_ = d.end(ctx, false)
	if errors.Is(err, eventstore.ErrRefused) {
		return err
	}
	return outcome(err, false)
}

// end ends the transaction of execute.
func (d *session) end(ctx context.Context, commit bool) error {
	defer d.rest()
	statement := d.rollback
	if commit {
		statement = d.commit
	}
	rows := d.conn.PgConn().ExecStatement(d.deadline(ctx), statement, nil, nil, nil)
	if _, err := rows.Close(); err != nil {
		return outcome(err, commit && !pgconn.SafeToRetry(err))
	}
	return nil
}

// ask writes the batch in one transaction of two round trips, a pipeline: lock and ask, flush; write, sync. The transaction is the
// implicit one that every pipeline is up to its sync, so there is no BEGIN and no COMMIT to send. If this process dies before the sync,
// the server rolls back.
func (d *session) ask(ctx context.Context, ask *eventstore.Ask, build func(*eventstore.Answer) *eventstore.Batch) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	defer d.rest()
	pipeline := d.conn.PgConn().StartPipeline(d.deadline(ctx))
	err, committing := d.checked(pipeline, ask, build)
	if !committing {
		_ = pipeline.Sync() // ends the transaction, in which nothing was written
	}
	if closing := pipeline.Close(); err == nil && closing != nil {
		err = closing
	}
	if err != nil && !errors.Is(err, eventstore.ErrRefused) {
		return outcome(err, committing)
	}
	return err
}

// checked is ask's way through the pipeline. committing says that the server may have been told to commit.
func (d *session) checked(
	pipeline *pgconn.Pipeline, ask *eventstore.Ask, build func(*eventstore.Answer) *eventstore.Batch,
) (err error, committing bool) { //nolint:revive,staticcheck // the error comes first: the other is about it
	pipeline.SendQueryStatement(d.lock, [][]byte{d.lockKey[:]}, binaryFormat, binaryFormat)
	pipeline.SendQueryStatement(d.answers, [][]byte{
		d.expects.aggregates(d.oids.expectation, ask.Aggregates), d.guards.uuids(ask.Subjects),
	}, binaryFormat, binaryFormat)
	if len(ask.Commands) > 0 {
		pipeline.SendQueryStatement(d.known, [][]byte{d.keys.keys(ask.Commands)}, binaryFormat, binaryFormat)
	}
	pipeline.SendFlushRequest()
	if err := pipeline.Flush(); err != nil {
		return err, false
	}
	if err := d.readAnswer(pipeline, ask); err != nil {
		return err, false
	}
	batch := build(&d.answer)
	if batch == nil {
		return nil, false
	}
	d.expects.expectations(d.oids.expectation, nil) // checked already; the head is asserted once more, and the key is the fence
	d.guards.guards(d.oids.guard, nil)
	pipeline.SendQueryStatement(d.encode(d.answer.Head.Position, 0, false, batch), d.params, binaryFormat, binaryFormat)
	if err := pipeline.Sync(); err != nil {
		return err, true
	}
	written := false
	err = eachRow(pipeline, func([][]byte) error {
		written = true
		return nil
	})
	if err != nil {
		return err, true
	}
	if _, err = pipeline.GetResults(); err != nil { // the sync: here the server has committed
		return err, true
	}
	if !written {
		return eventstore.ErrRefused, true
	}
	return nil, true
}

// encode fills the parameters of the statement that writes batch after head, and returns it. What is asserted stands in expects and
// guards already.
func (d *session) encode(head int64, under int, guarded bool, batch *eventstore.Batch) *pgconn.StatementDescription {
	d.params = append(d.params[:0],
		binary.BigEndian.AppendUint64(nil, uint64(head)),  // #nosec G115 -- the same bits
		binary.BigEndian.AppendUint64(nil, uint64(under)), // #nosec G115 -- small
		d.expects.buf,
		d.records.records(d.oids.log, batch.Records), d.chunks.chunks(d.oids.chunks, batch.Chunks),
		d.commands.commands(d.oids.commands, batch.Commands))
	if !guarded && len(batch.Restricting) == 0 && len(batch.Rows) == 0 && batch.Identity == nil {
		return d.write
	}
	var generation, logID []byte
	if batch.Identity != nil {
		generation = binary.BigEndian.AppendUint64(nil, uint64(batch.Identity.Generation)) // #nosec G115 -- the same bits, or small
		logID = batch.Identity.LogID[:]
	}
	d.params = append(d.params, d.guards.buf, d.restricting.restricting(d.oids.restricting, batch.Restricting),
		d.upserts.rows(d.oids.views, batch.Rows, false), d.deletes.rows(d.oids.views, batch.Rows, true), generation, logID)
	return d.writeMore
}

// readAnswer reads the results of lockSQL, askSQL and knownSQL.
func (d *session) readAnswer(pipeline *pgconn.Pipeline, ask *eventstore.Ask) error {
	a := &d.answer
	a.Head, a.Identity = eventstore.Head{Position: -1}, eventstore.Identity{}
	a.Versions, a.Restricted, a.Commands = a.Versions[:0], a.Restricted[:0], a.Commands[:0]
	for range ask.Commands {
		a.Commands = append(a.Commands, eventstore.KnownCommand{})
	}
	if err := eachRow(pipeline, func([][]byte) error { return nil }); err != nil {
		return err
	}
	err := eachRow(pipeline, func(columns [][]byte) error {
		if columns[0] != nil {
			a.Head = eventstore.Head{Position: int8Of(columns[0]), RecordedAt: timeOf(columns[1])}
		}
		if columns[2] != nil {
			a.Identity = eventstore.Identity{LogID: [16]byte(columns[2]), Generation: int8Of(columns[3])}
		}
		return errors.Join(
			eachElement(columns[4], 4, func(b []byte) { a.Versions = append(a.Versions, int4Of(b)) }),
			eachElement(columns[5], 8, func(b []byte) { a.Restricted = append(a.Restricted, int8Of(b)) }))
	})
	if err != nil {
		return err
	}
	if len(a.Versions) != len(ask.Aggregates) || len(a.Restricted) != len(ask.Subjects) {
		return errMalformed
	}
	if len(ask.Commands) == 0 {
		return nil
	}
	return eachRow(pipeline, func(columns [][]byte) error {
		n := int8Of(columns[0])
		a.Commands[n-1] = eventstore.KnownCommand{
			Known: true, Body: [32]byte(columns[1]), Position: int8Of(columns[2]), Count: int(int4Of(columns[3])), RecordedAt: timeOf(columns[4]),
		}
		return nil
	})
}

// eachRow reads the next result of the pipeline.
func eachRow(pipeline *pgconn.Pipeline, row func([][]byte) error) error {
	results, err := pipeline.GetResults()
	if err != nil {
		return err
	}
	rows, ok := results.(*pgconn.ResultReader)
	if !ok {
		return errMalformed
	}
	for rows.NextRow() {
		if err := row(rows.Values()); err != nil {
			return err
		}
	}
	_, err = rows.Close()
	return err
}

// outcome tells what an error while writing means. The server's own ERROR rolled the transaction back: nothing was written. A unique
// violation, a serialization failure or a deadlock among them: another writer was first. Anything else, once the server may have been
// told to commit (the connection broke, the server was shut down, time ran out), leaves the outcome unknown.
func outcome(err error, committing bool) error {
	var server *pgconn.PgError
	if errors.As(err, &server) && server.SeverityUnlocalized == "ERROR" {
		if isCode(err, "23505", "40001", "40P01") {
			return eventstore.ErrRefused
		}
		return fmt.Errorf("postgres: append: %w", err)
	}
	if committing {
		return fmt.Errorf("%w: %w", eventstore.ErrUnknownOutcome, err)
	}
	return failed("append", err)
}
