package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// due is the view of what is permitted and not yet disclosed, per lane, and of the numbers given so far. Its keys are a letter, the
// stream, the lane and a number:
//
//	l (0)                → the lane's version and next number
//	d (fact's position)  → permitted fields, due date, agreement
//	n (first number)     → position of the disclosed event, how many numbers it gave
//	r (number)           → recalled for ever
type due struct{ journal *journal.Journal }

// Name is the view's name in the store.
func (due) Name() string { return "due" }

// Wants: decisions file what is due, the lane's own events take it away.
func (due) Wants(eventType string) bool {
	return eventType == journal.TypeDecided || eventType == journal.TypeDisclosed || eventType == journal.TypeRedelivered
}

// Apply is step 8 of a change's life: what is permitted is filed under its lane.
func (v due) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		if e.Err != nil {
			continue // the decision's key was erased: nothing of that change is due any more
		}
		var err error
		switch event := e.Event.(type) {
		case journal.Decided:
			err = v.file(ctx, tx, e, event)
		case journal.Disclosed:
			v.disclosed(tx, e, event)
		case journal.Redelivered:
			err = v.redelivered(ctx, tx, e, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v due) file(ctx context.Context, tx *journal.ViewTx, e *journal.Entry, decided journal.Decided) error {
	law, err := v.journal.CurrentLaw(ctx)
	if err != nil {
		return err
	}
	if law.Version < decided.Agreements {
		if law, err = v.journal.FreshLaw(ctx); err != nil {
			return err
		}
	}
	subject, _ := journal.SubjectOf(&e.Recorded)
	for _, d := range decided.Decisions {
		if d.Reason != consent.None {
			continue
		}
		stream, ok := law.Streams[law.StreamOf[d.Agreement]]
		if !ok {
			return fmt.Errorf("agreement %s has no stream", d.Agreement)
		}
		row := dueRow{fields: d.Fields, agreement: d.Agreement}
		if a, ok := law.Agreement(d.Agreement, d.Version); ok && a.Deliver == "effective" {
			row.on, _ = consent.ParseDate(e.Meta.Effective)
		}
		tx.Put(journal.LaneKey('d', stream.Stream, v.journal.Lane(subject, stream.Stream, stream.Lanes), e.Cause), row.encode())
	}
	return nil
}

func (v due) disclosed(tx *journal.ViewTx, e *journal.Entry, d journal.Disclosed) {
	for _, item := range d.Items {
		tx.Put(journal.LaneKey('d', d.Stream, d.Lane, item.Position), nil)
	}
	for _, position := range d.Dropped {
		tx.Put(journal.LaneKey('d', d.Stream, d.Lane, position), nil)
	}
	if len(d.Items) > 0 {
		value := binary.BigEndian.AppendUint64(nil, uint64(e.Position))
		tx.Put(journal.LaneKey('n', d.Stream, d.Lane, d.First), binary.BigEndian.AppendUint32(value, uint32(len(d.Items))))
	}
	tx.Put(journal.LaneKey('l', d.Stream, d.Lane, 0), laneRow{version: e.Version, next: d.First + int64(len(d.Items))}.encode())
}

func (v due) redelivered(ctx context.Context, tx *journal.ViewTx, e *journal.Entry, r journal.Redelivered) error {
	for _, number := range r.Recalled {
		tx.Put(journal.LaneKey('r', r.Stream, r.Lane, number), []byte{1})
	}
	value, err := tx.Get(ctx, journal.LaneKey('l', r.Stream, r.Lane, 0))
	if err != nil {
		return err
	}
	row, err := decodeLaneRow(value)
	row.version = e.Version
	tx.Put(journal.LaneKey('l', r.Stream, r.Lane, 0), row.encode())
	return err
}

// dueRow is one permitted fact that waits for its number.
type dueRow struct {
	position  int64
	fields    consent.FieldSet
	on        consent.Date // due on this day or later; 0 at once
	agreement string
}

func (r dueRow) encode() []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(r.fields))
	out = binary.BigEndian.AppendUint32(out, uint32(r.on))
	return append(out, r.agreement...)
}

var errRow = errors.New("delivery: a row of the view due can't be read: rebuild it with `tellonce rebuild due`")

func decodeDueRow(row eventstore.Row) (dueRow, error) {
	if len(row.Value) < 12 || len(row.Key) < 8 {
		return dueRow{}, errRow
	}
	return dueRow{
		position:  int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:])),
		fields:    consent.FieldSet(binary.BigEndian.Uint64(row.Value)),
		on:        consent.Date(binary.BigEndian.Uint32(row.Value[8:])),
		agreement: string(row.Value[12:]),
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

// state is a lane as the view knows it after catching up with the log.
func (d *Delivery) state(ctx context.Context, stream string, lane int) (laneRow, error) {
	head, err := d.journal.Head(ctx)
	if err != nil {
		return laneRow{}, err
	}
	if _, err := d.journal.CatchUp(ctx, d.due, head.Position+1); err != nil {
		return laneRow{}, err
	}
	values, err := d.journal.Store().Get(ctx, d.due.Name(), journal.LaneKey('l', stream, lane, 0))
	if err != nil {
		return laneRow{}, err
	}
	return decodeLaneRow(values[0])
}

// waiting returns up to limit facts that are due on a day, in order of position.
func (d *Delivery) waiting(ctx context.Context, stream string, lane, limit int, today consent.Date) ([]dueRow, error) {
	var out []dueRow
	for from := journal.LaneKey('d', stream, lane, 0); len(out) < limit; {
		rows, err := d.journal.Store().Scan(ctx, d.due.Name(), from, journal.LaneKey('d', stream, lane+1, 0), limit, false)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			r, err := decodeDueRow(row)
			if err != nil {
				return nil, err
			}
			if r.on <= today && len(out) < limit {
				out = append(out, r)
			}
		}
		if len(rows) < limit {
			break
		}
		from = append(rows[len(rows)-1].Key, 0)
	}
	return out, nil
}

// citizensOf are the distinct subjects of entries.
func citizensOf(entries []journal.Entry) []citizen.ID {
	seen := map[citizen.ID]bool{}
	var out []citizen.ID
	for i := range entries {
		if id, ok := journal.SubjectOf(&entries[i].Recorded); ok && !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}
