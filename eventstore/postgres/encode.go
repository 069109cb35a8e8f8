package postgres

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// OIDs of the built-in types in our composites.
const (
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidTimestamptz = 1184
	oidUUID        = 2950
)

// microsTo2000 is 2000-01-01, where PostgreSQL counts from, in µs since 1970.
const microsTo2000 = 946_684_800_000_000

// typeOIDs are the OIDs of the schema's composite types, which the binary form of an array must name.
type typeOIDs struct{ log, chunks, commands, restricting, views, expectation, guard uint32 }

// encoder writes rows in PostgreSQL's binary format: as an array of composite values, so that one parameter carries all rows of a table,
// or as the data of a COPY.
type encoder struct {
	buf     []byte
	copying bool
	element int // where the current element's length stands
}

// begin starts an array of n elements of the (composite) type oid, or the data of a COPY.
func (c *encoder) begin(oid uint32, n int) {
	c.buf = c.buf[:0]
	switch {
	case c.copying:
		c.buf = append(c.buf, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	case n == 0:
		c.buf = append(c.buf, 0, 0, 0, 0, 0, 0, 0, 0)
		c.buf = binary.BigEndian.AppendUint32(c.buf, oid)
	default:
		c.buf = append(c.buf, 0, 0, 0, 1, 0, 0, 0, 0) // one dimension, no NULL elements
		c.buf = binary.BigEndian.AppendUint32(c.buf, oid)
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(n)) // #nosec G115 -- the same bits, or small
		c.buf = append(c.buf, 0, 0, 0, 1)                       // counted from 1
	}
}

// row starts a row of n fields; end closes it; finish closes the whole and returns it.
func (c *encoder) row(fields byte) {
	if c.copying {
		c.buf = append(c.buf, 0, fields)
		return
	}
	c.element = len(c.buf)
	c.buf = append(c.buf, 0, 0, 0, 0, 0, 0, 0, fields)
}

func (c *encoder) end() {
	if !c.copying {
		binary.BigEndian.PutUint32(c.buf[c.element:], uint32(len(c.buf)-c.element-4)) // #nosec G115 -- the same bits, or small
	}
}

func (c *encoder) finish() []byte {
	if c.copying {
		c.buf = append(c.buf, 0xFF, 0xFF)
	}
	return c.buf
}

// field starts a field: its type, which a COPY does not name, and its length.
func (c *encoder) field(oid uint16, length int) {
	if !c.copying {
		c.buf = append(c.buf, 0, 0, byte(oid>>8), byte(oid)) // #nosec G115 -- the same bits, or small
	}
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(length)) // #nosec G115 -- the same bits, or small
}

func (c *encoder) int2(v int16) {
	c.field(oidInt2, 2)
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(v)) // #nosec G115 -- the same bits, or small
}

func (c *encoder) int4(v int32) {
	c.field(oidInt4, 4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v)) // #nosec G115 -- the same bits, or small
}

func (c *encoder) int8(v int64) {
	c.field(oidInt8, 8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v)) // #nosec G115 -- the same bits, or small
}

func (c *encoder) time(t time.Time) {
	c.field(oidTimestamptz, 8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(t.UnixMicro()-microsTo2000)) // #nosec G115 -- the same bits, or small
}

func (c *encoder) uuid(id *uuid.UUID) {
	c.field(oidUUID, 16)
	c.buf = append(c.buf, id[:]...)
}

func (c *encoder) bytes(b []byte) {
	c.field(oidBytea, len(b))
	c.buf = append(c.buf, b...)
}

func (c *encoder) text(s string) {
	c.field(oidText, len(s))
	c.buf = append(c.buf, s...)
}

func (c *encoder) null(oid uint16) { c.field(oid, -1) }

func (c *encoder) records(oid uint32, records []eventstore.Recorded) []byte {
	c.begin(oid, len(records))
	for i := range records {
		r := &records[i]
		c.row(18)
		c.int8(r.Position)
		c.time(r.RecordedAt)
		c.int8(r.KeyRef)
		if r.Cause == eventstore.NoCause {
			c.null(oidInt8)
		} else {
			c.int8(r.Cause)
		}
		c.int4(r.Version)
		c.int2(int16(r.Aggregate.Category))
		c.int2(r.Schema)
		c.int2(r.Issuer)
		c.int2(r.ActorKind)
		c.int2(r.Channel)
		c.int2(int16(r.Class))
		c.uuid(&r.Aggregate.ID)
		c.uuid(&r.ID)
		if r.Subject == uuid.Nil {
			c.null(oidUUID)
		} else {
			c.uuid(&r.Subject)
		}
		c.text(r.Type)
		c.bytes(r.Commitment[:])
		c.bytes(r.Leaf[:])
		c.bytes(r.Payload)
		c.end()
	}
	return c.finish()
}

func (c *encoder) chunks(oid uint32, chunks []eventstore.Chunk) []byte {
	c.begin(oid, len(chunks))
	for i := range chunks {
		chunk := &chunks[i]
		c.row(5)
		c.int2(int16(chunk.Aggregate.Category))
		c.uuid(&chunk.Aggregate.ID)
		c.int4(chunk.First)
		c.int4(chunk.Count)
		c.int8(chunk.Position)
		c.end()
	}
	return c.finish()
}

func (c *encoder) commands(oid uint32, commands []eventstore.CommandRow) []byte {
	c.begin(oid, len(commands))
	for i := range commands {
		command := &commands[i]
		c.row(4)
		c.bytes(command.Key[:])
		c.bytes(command.Body[:])
		c.int8(command.Position)
		c.int4(command.Count)
		c.end()
	}
	return c.finish()
}

func (c *encoder) restricting(oid uint32, rows []eventstore.RestrictingRow) []byte {
	c.begin(oid, len(rows))
	for i := range rows {
		c.row(2)
		c.uuid(&rows[i].Subject)
		c.int8(rows[i].Position)
		c.end()
	}
	return c.finish()
}

// rows are the view rows to write (or with deletes the keys to delete: their value is NULL).
func (c *encoder) rows(oid uint32, rows []eventstore.Row, deletes bool) []byte {
	n := 0
	for i := range rows {
		if (rows[i].Value == nil) == deletes {
			n++
		}
	}
	c.begin(oid, n)
	for i := range rows {
		if (rows[i].Value == nil) != deletes {
			continue
		}
		c.row(3)
		c.text(rows[i].View)
		c.bytes(rows[i].Key)
		if deletes {
			c.null(oidBytea)
		} else {
			c.bytes(rows[i].Value)
		}
		c.end()
	}
	return c.finish()
}

func (c *encoder) expectations(oid uint32, expects []eventstore.Expect) []byte {
	c.begin(oid, len(expects))
	for i := range expects {
		c.row(3)
		c.int2(int16(expects[i].Aggregate.Category))
		c.uuid(&expects[i].Aggregate.ID)
		c.int4(expects[i].Version)
		c.end()
	}
	return c.finish()
}

// aggregates are expectations without a version.
func (c *encoder) aggregates(oid uint32, aggregates []eventstore.Aggregate) []byte {
	c.begin(oid, len(aggregates))
	for i := range aggregates {
		c.row(3)
		c.int2(int16(aggregates[i].Category))
		c.uuid(&aggregates[i].ID)
		c.null(oidInt4)
		c.end()
	}
	return c.finish()
}

func (c *encoder) guards(oid uint32, guards []eventstore.SubjectGuard) []byte {
	c.begin(oid, len(guards))
	for i := range guards {
		c.row(2)
		c.uuid(&guards[i].Subject)
		c.int8(guards[i].After)
		c.end()
	}
	return c.finish()
}

// uuids and keys are arrays of plain elements, each with its length.
func (c *encoder) uuids(ids []uuid.UUID) []byte {
	c.begin(oidUUID, len(ids))
	for i := range ids {
		c.buf = append(c.buf, 0, 0, 0, 16)
		c.buf = append(c.buf, ids[i][:]...)
	}
	return c.finish()
}

func (c *encoder) keys(keys []eventstore.CommandKey) []byte {
	c.begin(oidBytea, len(keys))
	for i := range keys {
		c.key(&keys[i])
	}
	return c.finish()
}

func (c *encoder) key(key *eventstore.CommandKey) {
	c.buf = append(c.buf, 0, 0, 0, byte(len(key)))
	c.buf = append(c.buf, key[:]...)
}
