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

// composites writes arrays of composite values in PostgreSQL's binary format: header, then for each element its length and, for each
// field, type, length and bytes. One array carries all rows of a table: one parameter instead of one for each column.
type composites struct {
	buf     []byte
	element int // where the current element's length stands
}

// begin starts an array of n elements of the composite type oid.
func (c *composites) begin(oid uint32, n int) {
	if n == 0 {
		c.buf = append(c.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0)
		c.buf = binary.BigEndian.AppendUint32(c.buf, oid)
		return
	}
	c.buf = append(c.buf[:0], 0, 0, 0, 1, 0, 0, 0, 0) // one dimension, no NULL elements
	c.buf = binary.BigEndian.AppendUint32(c.buf, oid)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(n))
	c.buf = append(c.buf, 0, 0, 0, 1) // counted from 1
}

// row starts an element of n fields; end closes it.
func (c *composites) row(fields byte) {
	c.element = len(c.buf)
	c.buf = append(c.buf, 0, 0, 0, 0, 0, 0, 0, fields)
}

func (c *composites) end() {
	binary.BigEndian.PutUint32(c.buf[c.element:], uint32(len(c.buf)-c.element-4))
}

func (c *composites) int2(v int16) {
	c.buf = append(c.buf, 0, 0, 0, oidInt2, 0, 0, 0, 2)
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(v))
}

func (c *composites) int4(v int32) {
	c.buf = append(c.buf, 0, 0, 0, oidInt4, 0, 0, 0, 4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v))
}

func (c *composites) int8(v int64) {
	c.buf = append(c.buf, 0, 0, 0, oidInt8, 0, 0, 0, 8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v))
}

func (c *composites) time(t time.Time) {
	c.buf = append(c.buf, 0, 0, oidTimestamptz>>8, oidTimestamptz&0xFF, 0, 0, 0, 8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(t.UnixMicro()-microsTo2000))
}

func (c *composites) uuid(id uuid.UUID) {
	c.buf = append(c.buf, 0, 0, oidUUID>>8, oidUUID&0xFF, 0, 0, 0, 16)
	c.buf = append(c.buf, id[:]...)
}

func (c *composites) bytes(oid byte, b []byte) {
	c.buf = append(c.buf, 0, 0, 0, oid)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(b)))
	c.buf = append(c.buf, b...)
}

func (c *composites) text(s string) {
	c.buf = append(c.buf, 0, 0, 0, oidText)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(s)))
	c.buf = append(c.buf, s...)
}

// null is NULL of a type whose OID is below 65,536.
func (c *composites) null(oid uint16) {
	c.buf = append(c.buf, 0, 0, byte(oid>>8), byte(oid), 0xFF, 0xFF, 0xFF, 0xFF)
}

func (c *composites) records(oid uint32, records []eventstore.Recorded) []byte {
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
		c.uuid(r.Aggregate.ID)
		c.uuid(r.ID)
		if r.Subject == uuid.Nil {
			c.null(oidUUID)
		} else {
			c.uuid(r.Subject)
		}
		c.text(r.Type)
		c.bytes(oidBytea, r.Commitment[:])
		c.bytes(oidBytea, r.Leaf[:])
		c.bytes(oidBytea, r.Payload)
		c.end()
	}
	return c.buf
}

func (c *composites) chunks(oid uint32, chunks []eventstore.Chunk) []byte {
	c.begin(oid, len(chunks))
	for i := range chunks {
		chunk := &chunks[i]
		c.row(5)
		c.int2(int16(chunk.Aggregate.Category))
		c.uuid(chunk.Aggregate.ID)
		c.int4(chunk.First)
		c.int4(chunk.Count)
		c.int8(chunk.Position)
		c.end()
	}
	return c.buf
}

func (c *composites) commands(oid uint32, commands []eventstore.CommandRow) []byte {
	c.begin(oid, len(commands))
	for i := range commands {
		command := &commands[i]
		c.row(4)
		c.bytes(oidBytea, command.Key[:])
		c.bytes(oidBytea, command.Body[:])
		c.int8(command.Position)
		c.int4(command.Count)
		c.end()
	}
	return c.buf
}

func (c *composites) restricting(oid uint32, rows []eventstore.RestrictingRow) []byte {
	c.begin(oid, len(rows))
	for i := range rows {
		c.row(2)
		c.uuid(rows[i].Subject)
		c.int8(rows[i].Position)
		c.end()
	}
	return c.buf
}

// rows are the view rows to write (or with deletes the keys to delete: their value is NULL).
func (c *composites) rows(oid uint32, rows []eventstore.Row, deletes bool) []byte {
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
		c.bytes(oidBytea, rows[i].Key)
		if deletes {
			c.null(oidBytea)
		} else {
			c.bytes(oidBytea, rows[i].Value)
		}
		c.end()
	}
	return c.buf
}

func (c *composites) expectations(oid uint32, expects []eventstore.Expect) []byte {
	c.begin(oid, len(expects))
	for i := range expects {
		c.row(3)
		c.int2(int16(expects[i].Aggregate.Category))
		c.uuid(expects[i].Aggregate.ID)
		c.int4(expects[i].Version)
		c.end()
	}
	return c.buf
}

// aggregates are expectations without a version.
func (c *composites) aggregates(oid uint32, aggregates []eventstore.Aggregate) []byte {
	c.begin(oid, len(aggregates))
	for i := range aggregates {
		c.row(3)
		c.int2(int16(aggregates[i].Category))
		c.uuid(aggregates[i].ID)
		c.null(oidInt4)
		c.end()
	}
	return c.buf
}

func (c *composites) guards(oid uint32, guards []eventstore.SubjectGuard) []byte {
	c.begin(oid, len(guards))
	for i := range guards {
		c.row(2)
		c.uuid(guards[i].Subject)
		c.int8(guards[i].After)
		c.end()
	}
	return c.buf
}

// uuids and keys are arrays of plain elements, each with its length.
func (c *composites) uuids(ids []uuid.UUID) []byte {
	c.begin(oidUUID, len(ids))
	for i := range ids {
		c.buf = append(c.buf, 0, 0, 0, 16)
		c.buf = append(c.buf, ids[i][:]...)
	}
	return c.buf
}

func (c *composites) keys(keys []eventstore.CommandKey) []byte {
	c.begin(oidBytea, len(keys))
	for i := range keys {
		c.key(&keys[i])
	}
	return c.buf
}

func (c *composites) key(key *eventstore.CommandKey) {
	c.buf = append(c.buf, 0, 0, 0, byte(len(key)))
	c.buf = append(c.buf, key[:]...)
}
