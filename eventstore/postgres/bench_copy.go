package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/storebench"
)

// copyFrom copies what an import came to, records records from position from on, into twins of the store's tables, in transactions of
// the import's size. Only the server's work counts: the data is prepared beforehand.
func (b *bench) copyFrom(ctx context.Context, from int64, records int) (storebench.Measure, error) {
	m := storebench.Measure{}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return m, fmt.Errorf("postgres: connect: %w", err)
	}
	defer conn.Release()
	for m.Records < records {
		page, err := b.store.ReadAll(ctx, from+int64(m.Records), min(b.config.PerCall, records-m.Records))
		if err != nil || len(page) == 0 {
			return m, err
		}
		log, chunks, commands := rawCopies(page)
		began := time.Now()
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, c := range []struct {
				table string
				data  []byte
			}{{"raw_log", log}, {"raw_chunks", chunks}, {"raw_commands", commands}} {
				if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(c.data), "COPY "+c.table+" FROM STDIN (FORMAT binary)"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return m, fmt.Errorf("postgres: copy: %w", err)
		}
		m.Elapsed += time.Since(began)
		m.Calls, m.Records = m.Calls+1, m.Records+len(page)
	}
	return m, nil
}

// rawCopies are the rows that an import of these records (two to an append and to a citizen) writes, as data for COPY.
func rawCopies(page []eventstore.Recorded) (log, chunks, commands []byte) {
	var chunkRows []eventstore.Chunk
	var commandRows []eventstore.CommandRow
	for i := 0; i < len(page); i += 2 {
		r := &page[i]
		chunkRows = append(chunkRows, eventstore.Chunk{Aggregate: r.Aggregate, First: r.Version, Count: 2, Position: r.Position})
		row := eventstore.CommandRow{Position: r.Position, Count: 2}
		row.Key, row.Body = r.Leaf, r.Commitment // as random as what the import had
		commandRows = append(commandRows, row)
	}
	l, c, k := &encoder{copying: true}, &encoder{copying: true}, &encoder{copying: true}
	return l.records(0, page), c.chunks(0, chunkRows), k.commands(0, commandRows)
}

// copyTo is the raw limit of replay: the log by COPY in binary, decoded to records on the way.
func (b *bench) copyTo(ctx context.Context) (storebench.Measure, error) {
	m := storebench.Measure{}
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return m, fmt.Errorf("postgres: connect: %w", err)
	}
	defer conn.Release()
	began := time.Now()
	d := &copyDecoder{decoder: newDecoder(0), columns: make([][]byte, 18)}
	_, err = conn.Conn().PgConn().CopyTo(ctx, d, "COPY (SELECT "+recordColumns+" FROM log l ORDER BY l.position) TO STDOUT (FORMAT binary)")
	m.Records, m.Elapsed = d.records, time.Since(began)
	return m, wrapf(err, "copy to")
}

// copyDecoder decodes the binary data of a COPY of recordColumns and counts the records. The server sends each row as a message of its
// own, the first with the header before it.
type copyDecoder struct {
	decoder *decoder
	columns [][]byte
	page    []eventstore.Recorded
	records int
	started bool
}

const copyHeader = 19

// Write takes one message.
func (d *copyDecoder) Write(message []byte) (int, error) {
	row := message
	if !d.started {
		if len(row) < copyHeader {
			return 0, errMalformed
		}
		row, d.started = row[copyHeader:], true
	}
	if splitCopyRow(row, d.columns) {
		if len(d.page) == cap(d.page) {
			d.page = make([]eventstore.Recorded, 0, 5000)
		}
		d.page = append(d.page, eventstore.Recorded{})
		d.decoder.record(&d.page[len(d.page)-1], d.columns)
		d.records++
	}
	return len(message), nil
}

// splitCopyRow cuts a row into its columns; false if it is none (a header alone, the end mark).
func splitCopyRow(b []byte, columns [][]byte) bool {
	if len(b) < 2 || int(int2Of(b)) != len(columns) {
		return false
	}
	b = b[2:]
	for i := range columns {
		if len(b) < 4 {
			return false
		}
		n := int(int32(binary.BigEndian.Uint32(b))) // #nosec G115 -- the same bits, or small
		b = b[4:]
		if n < 0 {
			columns[i] = nil
			continue
		}
		if len(b) < n {
			return false
		}
		columns[i], b = b[:n], b[n:]
	}
	return true
}
