package delivery

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// streams is the view of how streams are steered, of what is parked, and of what was asked for again. Its keys are a letter and:
//
//	s stream                 → settingsRow
//	p stream, lane, from     → parkedRow: a range of numbers that is parked
//	a stream, lane, position → the range of numbers that the event at the position asks for again, to where the stream goes
//	b stream, lane, position → the same, to the side
type streams struct{}

// errStreams is a row that this program did not write.
var errStreams = errors.New("delivery: a row of the view streams can't be read: rebuild it with `tellonce rebuild streams`")

// Name is the view's name in the store.
func (streams) Name() string { return "streams" }

// Wants what steers a stream, and what else is on it: with their versions, so that who reads on from here need not read all of them.
func (streams) Wants(eventType string) bool {
	switch eventType {
	case journal.TypeReceiptsRecorded, journal.TypeReplayAsked, journal.TypeSyntheticAsked, journal.TypeParked, journal.TypeRedriven:
		return true
	}
	return steers(eventType)
}

// Apply folds settings and ranges.
func (v streams) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		var err error
		switch event := e.Event.(type) {
		case journal.StreamPaused:
			err = v.steered(ctx, tx, e, event.Stream, func(r *settingsRow) { r.pause = e.Position })
		case journal.StreamResumed:
			err = v.steered(ctx, tx, e, event.Stream, func(r *settingsRow) { r.pause = 0 })
		case journal.EndpointSet:
			err = v.steered(ctx, tx, e, event.Stream, func(r *settingsRow) { r.endpoint = e.Position })
		case journal.ReceiptsRecorded:
			err = v.steered(ctx, tx, e, event.Stream, func(*settingsRow) {})
		case journal.SyntheticAsked:
			err = v.steered(ctx, tx, e, event.Stream, func(*settingsRow) {})
		case journal.ReplayAsked:
			err = v.replay(ctx, tx, e, event)
		case journal.Parked:
			err = v.parked(ctx, tx, event)
		case journal.Redriven:
			err = v.unpark(ctx, tx, event.Stream, event.Lane, event.From, event.To)
			tx.Put(journal.LaneKey('a', event.Stream, event.Lane, e.Position), encodeRange(event.From, event.To))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func settingsKey(stream string) []byte { return append([]byte{'s'}, stream...) }

// settingsRow says where a stream's settings stand on the log.
type settingsRow struct {
	version  int32 // of the stream's aggregate
	pause    int64 // position of the pause that holds; 0 for none
	endpoint int64 // position of the last endpoint set; 0 for none
}

func (r *settingsRow) encode() []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(r.version))
	out = binary.BigEndian.AppendUint64(out, uint64(r.pause))
	return binary.BigEndian.AppendUint64(out, uint64(r.endpoint))
}

func decodeSettings(value []byte) (settingsRow, error) {
	if value == nil {
		return settingsRow{}, nil
	}
	if len(value) != 20 {
		return settingsRow{}, errStreams
	}
	return settingsRow{
		version:  int32(binary.BigEndian.Uint32(value)),
		pause:    int64(binary.BigEndian.Uint64(value[4:])),
		endpoint: int64(binary.BigEndian.Uint64(value[12:])),
	}, nil
}

func (streams) steered(ctx context.Context, tx *journal.ViewTx, e *journal.Entry, stream string, change func(*settingsRow)) error {
	value, err := tx.Get(ctx, settingsKey(stream))
	if err != nil {
		return err
	}
	row, err := decodeSettings(value)
	if err != nil {
		return err
	}
	change(&row)
	row.version = e.Version
	tx.Put(settingsKey(stream), row.encode())
	return nil
}

// parkedRow is what is said about a parked range, whose first number stands in its key.
type parkedRow struct {
	to       int64
	attempts int
	code     string
}

func (r *parkedRow) encode() []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(r.to))
	return append(binary.BigEndian.AppendUint32(out, uint32(r.attempts)), r.code...)
}

func decodeParked(row eventstore.Row) (from int64, out parkedRow, err error) {
	if len(row.Value) < 12 || len(row.Key) < 8 {
		return 0, out, errStreams
	}
	out.to, out.attempts, out.code = int64(binary.BigEndian.Uint64(row.Value)), int(binary.BigEndian.Uint32(row.Value[8:])), string(row.Value[12:])
	return int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:])), out, nil
}

// parked takes the place of what had been parked of the same numbers.
func (v streams) parked(ctx context.Context, tx *journal.ViewTx, p journal.Parked) error {
	if err := v.unpark(ctx, tx, p.Stream, p.Lane, p.From, p.To); err != nil {
		return err
	}
	row := parkedRow{to: p.To, attempts: p.Attempts, code: p.Code}
	tx.Put(journal.LaneKey('p', p.Stream, p.Lane, p.From), row.encode())
	return nil
}

// replay files what is asked for again. What of it was parked is tried again with it, where it goes to the stream.
func (v streams) replay(ctx context.Context, tx *journal.ViewTx, e *journal.Entry, r journal.ReplayAsked) error {
	letter := byte('b')
	if r.Target == journal.ReplayStream {
		letter = 'a'
		if err := v.unpark(ctx, tx, r.Stream, r.Lane, r.From, r.To); err != nil {
			return err
		}
	}
	tx.Put(journal.LaneKey(letter, r.Stream, r.Lane, e.Position), encodeRange(r.From, r.To))
	return v.steered(ctx, tx, e, r.Stream, func(*settingsRow) {})
}

// unpark takes numbers out of the parked ranges of a lane; what of a range lies outside of them stays.
func (streams) unpark(ctx context.Context, tx *journal.ViewTx, stream string, lane int, from, to int64) error {
	rows, err := tx.Scan(ctx, laneKey('p', stream, lane), journal.LaneKey('p', stream, lane, to+1), 0)
	if err != nil {
		return err
	}
	for _, row := range rows {
		first, r, err := decodeParked(row)
		if err != nil {
			return err
		}
		if r.to < from {
			continue
		}
		tx.Put(row.Key, nil)
		if first < from {
			before := r
			before.to = from - 1
			tx.Put(row.Key, before.encode())
		}
		if r.to > to {
			tx.Put(journal.LaneKey('p', stream, lane, to+1), r.encode())
		}
	}
	return nil
}

func encodeRange(from, to int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(from)), uint64(to))
}

func decodeRange(value []byte) (from, to int64, err error) {
	if len(value) != 16 {
		return 0, 0, errStreams
	}
	return int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(value[8:])), nil
}
