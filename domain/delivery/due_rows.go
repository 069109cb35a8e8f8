package delivery

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// errRow is a row that this program did not write.
var errRow = errors.New("delivery: a row of the view due can't be read: rebuild it with `tellonce rebuild due`")

// dueKind says why something is due. It is a row's first byte.
type dueKind byte

// The kinds of due rows.
const (
	dueFact      dueKind = 'f' // permitted by its own decision: a fact, or the correction of what was given
	dueRetract   dueKind = 'r' // takes back what was given, and its own decision permits no new value
	dueSnapshot  dueKind = 's'
	dueEnded     dueKind = 'e'
	dueLeft      dueKind = 'l' // perhaps: whether its predecessor was given is asked when it is disclosed
	dueErased    dueKind = 'x'
	dueRekeyed   dueKind = 'k'
	dueSynthetic dueKind = 'y' // one of those that were asked for at once: index says which
	dueOver      dueKind = 'o' // an agreement's end: stands for an ended of each citizen of whom something was given under it
)

// dueRow is one thing that waits for its number.
type dueRow struct {
	order     int64 // position by which it stands in the lane's order: the fact's, or that of what made it due
	position  int64
	agreement string
	kind      dueKind
	fields    consent.FieldSet
	on        consent.Date // due on this day or later; 0 at once
	version   int          // of the agreement, where only the log's past knows it; of a synthetic, its index
	root      int64        // position in whose place the fact stands
	citizen   citizen.ID
}

// laneKey is LaneKey without its number: what all keys of a lane begin with.
func laneKey(letter byte, stream string, lane int) []byte {
	key := journal.LaneKey(letter, stream, lane, 0)
	return key[:len(key)-8]
}

func (r *dueRow) key(stream string, lane int) []byte {
	key := journal.LaneKey('d', stream, lane, r.order)
	return append(binary.BigEndian.AppendUint64(key, uint64(r.position)), r.agreement...)
}

// waitKey is the key of a row that waits for a day.
func (r *dueRow) waitKey(stream string, lane int) []byte {
	key := journal.LaneKey('w', stream, lane, int64(r.on))
	key = binary.BigEndian.AppendUint64(key, uint64(r.order))
	return append(binary.BigEndian.AppendUint64(key, uint64(r.position)), r.agreement...)
}

const dueValue = 1 + 8 + 4 + 4 + 8 + 16

func (r *dueRow) encode() []byte {
	out := append(make([]byte, 0, dueValue), byte(r.kind))
	out = binary.BigEndian.AppendUint64(out, uint64(r.fields))
	out = binary.BigEndian.AppendUint32(out, uint32(r.on))
	out = binary.BigEndian.AppendUint32(out, uint32(r.version))
	out = binary.BigEndian.AppendUint64(out, uint64(r.root))
	return append(out, r.citizen[:]...)
}

// decodeDue reads a row whose key has `before` bytes before order, position and agreement.
func decodeDue(row eventstore.Row, before int) (dueRow, error) {
	if len(row.Value) != dueValue || len(row.Key) < before+16 {
		return dueRow{}, errRow
	}
	key, value := row.Key[before:], row.Value
	return dueRow{
		order:     int64(binary.BigEndian.Uint64(key)),
		position:  int64(binary.BigEndian.Uint64(key[8:])),
		agreement: string(key[16:]),
		kind:      dueKind(value[0]),
		fields:    consent.FieldSet(binary.BigEndian.Uint64(value[1:])),
		on:        consent.Date(binary.BigEndian.Uint32(value[9:])),
		version:   int(binary.BigEndian.Uint32(value[13:])),
		root:      int64(binary.BigEndian.Uint64(value[17:])),
		citizen:   citizen.ID(value[25:]),
	}, nil
}

// laneRow is how far a lane is: its aggregate's version, and the number that the next disclosed item takes.
type laneRow struct {
	version int32
	next    int64
}

func (r laneRow) encode() []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(r.version))
	return binary.BigEndian.AppendUint64(out, uint64(r.next))
}

func decodeLaneRow(value []byte) (laneRow, error) {
	if value == nil {
		return laneRow{next: 1}, nil
	}
	if len(value) != 12 {
		return laneRow{next: 1}, errRow
	}
	return laneRow{version: int32(binary.BigEndian.Uint32(value)), next: int64(binary.BigEndian.Uint64(value[4:]))}, nil
}

// givenRow is one number that was given about a citizen.
type givenRow struct {
	root      int64
	stream    string
	lane      int
	number    int64
	kind      byte // the first letter of the item's kind, but for kinds that hold no place in the citizen's facts: 0
	version   int
	agreement string
}

// The bytes that stand for kinds in the index of what was given.
const (
	placeNone      byte = 0   // a notice: it stands in no fact's place
	placeValue     byte = 'v' // a fact, a snapshot or a correction
	placeRetracted byte = 'r'
	placeLeft      byte = 'l'
)

func placeOf(kind string) byte {
	switch kind {
	case KindFact, KindSnapshot, KindCorrection:
		return placeValue
	case KindRetracted:
		return placeRetracted
	case KindLeftScope:
		return placeLeft
	}
	return placeNone
}

// givenKey is the beginning of the keys of what was given about a citizen; with a root, of what stands in that fact's place.
func givenKey(id citizen.ID, root ...int64) []byte {
	key := append(append(make([]byte, 0, 64), 'f'), id[:]...)
	for _, position := range root {
		key = binary.BigEndian.AppendUint64(key, uint64(position))
	}
	return key
}

func (r *givenRow) key(id citizen.ID) []byte {
	key := append(append(givenKey(id, r.root), r.stream...), 0)
	key = binary.BigEndian.AppendUint16(key, uint16(r.lane))
	return binary.BigEndian.AppendUint64(key, uint64(r.number))
}

func (r *givenRow) encode() []byte {
	return append(binary.BigEndian.AppendUint32([]byte{r.kind}, uint32(r.version)), r.agreement...)
}

func decodeGiven(row eventstore.Row) (givenRow, error) {
	const head = 1 + 16
	if len(row.Key) < head+8+1+2+8 || len(row.Value) < 5 {
		return givenRow{}, errRow
	}
	name := len(row.Key) - 11 // of the zero byte behind the stream's name
	return givenRow{
		root:      int64(binary.BigEndian.Uint64(row.Key[head:])),
		stream:    string(row.Key[head+8 : name]),
		lane:      int(binary.BigEndian.Uint16(row.Key[name+1:])),
		number:    int64(binary.BigEndian.Uint64(row.Key[name+3:])),
		kind:      row.Value[0],
		version:   int(binary.BigEndian.Uint32(row.Value[1:])),
		agreement: string(row.Value[5:]),
	}, nil
}

// underKey is the key of what was given last under an agreement, since its last ended; without a citizen, what such keys begin with.
func underKey(stream string, lane int, agreement string, id ...citizen.ID) []byte {
	key := append(append(laneKey('h', stream, lane), agreement...), 0)
	for _, one := range id {
		key = append(key, one[:]...)
	}
	return key
}

// underRow is the last fact given under an agreement.
type underRow struct {
	position int64
	version  int
}

func (r underRow) encode() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(r.position)), uint32(r.version))
}

func decodeUnder(value []byte) (underRow, error) {
	if len(value) != 12 {
		return underRow{}, errRow
	}
	return underRow{position: int64(binary.BigEndian.Uint64(value)), version: int(binary.BigEndian.Uint32(value[8:]))}, nil
}

// rootKey is the key under which the place of a correction or a verification stands.
func rootKey(position int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{'c'}, uint64(position))
}

// after is the first key behind all that begin with a prefix. No prefix of this view ends in 0xff alone.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
