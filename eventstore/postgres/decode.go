package postgres

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

var errMalformed = errors.New("malformed answer from the server")

// Values in PostgreSQL's binary format; the statements fix the types, so the lengths are known.
func int2Of(b []byte) int16     { return int16(binary.BigEndian.Uint16(b)) } // #nosec G115 -- the same bits, or small
func int4Of(b []byte) int32     { return int32(binary.BigEndian.Uint32(b)) } // #nosec G115 -- the same bits, or small
func int8Of(b []byte) int64     { return int64(binary.BigEndian.Uint64(b)) } // #nosec G115 -- the same bits, or small
func timeOf(b []byte) time.Time { return time.UnixMicro(int8Of(b) + microsTo2000).UTC() }

// eachElement reads a one-dimensional array without NULLs whose elements have the given size.
func eachElement(b []byte, size int, element func([]byte)) error {
	if len(b) < 12 {
		return errMalformed
	}
	if int4Of(b) == 0 {
		return nil
	}
	if int4Of(b) != 1 || len(b) < 20 {
		return errMalformed
	}
	n := int(int4Of(b[12:]))
	b = b[20:]
	if len(b) != n*(4+size) {
		return errMalformed
	}
	for ; len(b) > 0; b = b[4+size:] {
		element(b[4 : 4+size])
	}
	return nil
}

// recordColumns are the columns that decoder.record reads, in this order; l is the log.
const recordColumns = `l.position, l.recorded_at, l.key_ref, l.cause, l.version, l.category, l.schema, l.issuer, l.actor_kind, l.channel,
	l.class, l.aggregate, l.event_id, l.subject, l.type, l.commitment, l.leaf, l.payload`

// decoder turns rows of the log into records. It keeps what can be shared between records: names of types, and for payloads pieces of
// memory that hold several.
type decoder struct {
	types map[string]string
	arena []byte
	piece int // size of a piece of arena; 0: each payload is on its own
}

// arenaPiece bounds how much memory one record that is kept can hold on to.
const arenaPiece = 16 << 10

func newDecoder(records int) *decoder {
	d := &decoder{types: make(map[string]string, 16)}
	if records == 0 || records >= 64 {
		d.piece = arenaPiece
	}
	return d
}

// record decodes the columns of recordColumns, which may belong to the connection's buffer, into r.
func (d *decoder) record(r *eventstore.Recorded, columns [][]byte) {
	r.Position, r.RecordedAt, r.KeyRef = int8Of(columns[0]), timeOf(columns[1]), int8Of(columns[2])
	r.Cause = eventstore.NoCause
	if columns[3] != nil {
		r.Cause = int8Of(columns[3])
	}
	r.Version = int4Of(columns[4])
	r.Aggregate.Category = eventstore.Category(int2Of(columns[5]))
	r.Schema, r.Issuer, r.ActorKind, r.Channel = int2Of(columns[6]), int2Of(columns[7]), int2Of(columns[8]), int2Of(columns[9])
	r.Class = eventstore.Class(int2Of(columns[10]))
	r.Aggregate.ID, r.ID = uuid.UUID(columns[11]), uuid.UUID(columns[12])
	if columns[13] != nil {
		r.Subject = uuid.UUID(columns[13])
	}
	r.Type = d.name(columns[14])
	copy(r.Commitment[:], columns[15]) // whoever tampers may have cut them off: audit finds it
	copy(r.Leaf[:], columns[16])
	r.Payload = d.bytes(columns[17])
}

func (d *decoder) name(b []byte) string {
	if name, ok := d.types[string(b)]; ok {
		return name
	}
	name := string(b)
	d.types[name] = name
	return name
}

// bytes copies b. Its capacity is its length: who appends to it does not write into its neighbour.
func (d *decoder) bytes(b []byte) []byte {
	if len(b) > d.piece/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if len(b) > cap(d.arena)-len(d.arena) {
		d.arena = make([]byte, 0, d.piece)
	}
	at := len(d.arena)
	d.arena = append(d.arena, b...)
	return d.arena[at:len(d.arena):len(d.arena)]
}
