package delivery

import (
	"encoding/binary"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// disclosed takes away what was given a number or dropped, and remembers who was given what.
func (f *filing) disclosed(e *journal.Entry, d journal.Disclosed) error {
	if err := f.wake(e, d); err != nil {
		return err
	}
	rows, err := f.covered(d)
	if err != nil {
		return err
	}
	for i := range d.Items {
		if err := f.gave(d, i, rows); err != nil {
			return err
		}
	}
	for _, position := range d.Dropped {
		if err := f.dropped(d, journal.DroppedItem{Cause: position, Position: position}, rows); err != nil {
			return err
		}
	}
	for _, dropped := range d.DroppedItems {
		if err := f.dropped(d, dropped, rows); err != nil {
			return err
		}
	}
	if len(d.Items) > 0 {
		value := binary.BigEndian.AppendUint64(nil, uint64(e.Position))
		f.put(journal.LaneKey('n', d.Stream, d.Lane, d.First), binary.BigEndian.AppendUint32(value, uint32(len(d.Items))))
	}
	f.put(journal.LaneKey('l', d.Stream, d.Lane, 0), laneRow{version: e.Version, next: d.First + int64(len(d.Items))}.encode())
	return nil
}

// dropped takes away what was due at a place and got no number. In a stream of several agreements that may be the row of one of them, beside
// an item of another's.
func (f *filing) dropped(d journal.Disclosed, at journal.DroppedItem, rows map[journal.DroppedItem][]dueRow) error {
	for _, row := range rows[at] {
		if !slices.ContainsFunc(d.Items, func(i journal.DisclosedItem) bool { return placeOfItem(&i) == at && i.Agreement == row.agreement }) {
			f.put(row.key(d.Stream, d.Lane), nil)
		}
	}
	if len(rows[at]) > 0 {
		return nil
	}
	id, err := f.subject(at.Position) // of an agreement's end, which stands for many
	for _, over := range rows[journal.DroppedItem{Cause: at.Cause, Position: at.Cause}] {
		f.put(underKey(d.Stream, d.Lane, over.agreement, id), nil)
	}
	return err
}

func placeOfItem(item *journal.DisclosedItem) journal.DroppedItem {
	return journal.DroppedItem{Cause: item.Order(), Position: item.Position}
}

// covered reads the due rows between the first and the last that an event is about, by order and position.
func (f *filing) covered(d journal.Disclosed) (map[journal.DroppedItem][]dueRow, error) {
	first, last := int64(1)<<62, int64(-1)
	span := func(order int64) { first, last = min(first, order), max(last, order) }
	for i := range d.Items {
		span(d.Items[i].Order())
	}
	for _, position := range d.Dropped {
		span(position)
	}
	for _, dropped := range d.DroppedItems {
		span(dropped.Cause)
	}
	if last < first {
		return nil, nil
	}
	rows, err := f.tx.Scan(f.ctx, journal.LaneKey('d', d.Stream, d.Lane, first), journal.LaneKey('d', d.Stream, d.Lane, last+1), 0)
	if err != nil {
		return nil, err
	}
	out := make(map[journal.DroppedItem][]dueRow, len(rows))
	before := len(laneKey('d', d.Stream, d.Lane))
	for _, row := range rows {
		r, err := decodeDue(row, before)
		if err != nil {
			return nil, err
		}
		at := journal.DroppedItem{Cause: r.order, Position: r.position}
		out[at] = append(out[at], r)
	}
	return out, nil
}

// gave takes one item from what is due into what was given.
func (f *filing) gave(d journal.Disclosed, i int, rows map[journal.DroppedItem][]dueRow) error {
	item := &d.Items[i]
	if item.Kind == KindSynthetic {
		f.put(syntheticRow(item.Position, item.Index).key(d.Stream, d.Lane), nil)
		return nil // about nobody: there is nothing to remember
	}
	row := dueRow{order: item.Order(), position: item.Position, agreement: item.Agreement}
	beside := rows[placeOfItem(item)]
	at := slices.IndexFunc(beside, func(r dueRow) bool { return r.agreement == item.Agreement })
	filed := at >= 0
	if filed {
		row = beside[at]
	} else { // of an agreement's end, which stands for many
		var err error
		if row.citizen, err = f.subject(item.Position); err != nil {
			return err
		}
		row.root = item.Position
	}
	f.put(row.key(d.Stream, d.Lane), nil)
	under := underKey(d.Stream, d.Lane, item.Agreement, row.citizen)
	switch {
	case item.Kind == KindErased:
		for _, number := range item.Numbers {
			f.put(journal.LaneKey('r', d.Stream, d.Lane, number), []byte{1})
		}
		return nil
	case placeOf(item.Kind) == placeValue:
		f.put(under, underRow{position: item.Position, version: item.Version}.encode())
	case item.Kind == KindEnded && !filed:
		f.put(under, nil)
	}
	given := givenRow{
		root: row.root, stream: d.Stream, lane: d.Lane, number: d.First + int64(i), kind: placeOf(item.Kind), version: item.Version,
		agreement: item.Agreement,
	}
	f.put(given.key(row.citizen), given.encode())
	return nil
}

// subject is the citizen that the record at a position is about.
func (f *filing) subject(position int64) (citizen.ID, error) {
	recs, err := f.journal.Store().Read(f.ctx, position)
	if err != nil {
		return citizen.ID{}, err
	}
	return citizen.ID(recs[0].Subject), nil
}

func (f *filing) redelivered(e *journal.Entry, r journal.Redelivered) error {
	for _, number := range r.Recalled {
		f.put(journal.LaneKey('r', r.Stream, r.Lane, number), []byte{1})
	}
	return f.moved(e, r.Stream, r.Lane)
}

// moved notes the version that a lane has after an event that gave no number.
func (f *filing) moved(e *journal.Entry, stream string, lane int) error {
	key := journal.LaneKey('l', stream, lane, 0)
	value, err := f.get(key)
	if err != nil {
		return err
	}
	row, err := decodeLaneRow(value)
	row.version = e.Version
	f.put(key, row.encode())
	return err
}

// wake moves the rows whose day had come when an event was recorded to what is due, as whoever appended it did: so that a rebuilt view is the
// same.
func (f *filing) wake(e *journal.Entry, d journal.Disclosed) error {
	key := journal.LaneKey('v', d.Stream, d.Lane, 0)
	earliest, err := f.get(key)
	day := f.journal.DayOf(e.RecordedAt).Date
	if err != nil || len(earliest) != 4 || consent.Date(binary.BigEndian.Uint32(earliest)) > day {
		return err
	}
	rows, err := f.tx.Scan(f.ctx, laneKey('w', d.Stream, d.Lane), journal.LaneKey('w', d.Stream, d.Lane, int64(day)+1), 0)
	if err != nil {
		return err
	}
	moved, err := awake(f.Name(), d.Stream, d.Lane, rows)
	if err != nil {
		return err
	}
	for _, row := range moved {
		f.put(row.Key, row.Value)
	}
	next, err := f.tx.Scan(f.ctx, laneKey('w', d.Stream, d.Lane), after(laneKey('w', d.Stream, d.Lane)), 1)
	if err == nil {
		f.put(key, earliestOf(next, d.Stream, d.Lane))
	}
	return err
}

// awake is the rows that move waiting ones to what is due.
func awake(view, stream string, lane int, rows []eventstore.Row) ([]eventstore.Row, error) {
	out := make([]eventstore.Row, 0, 2*len(rows)+1)
	for _, waiting := range rows {
		row, err := decodeDue(waiting, len(laneKey('w', stream, lane))+8)
		if err != nil {
			return nil, err
		}
		out = append(out, eventstore.Row{View: view, Key: waiting.Key}, eventstore.Row{View: view, Key: row.key(stream, lane), Value: waiting.Value})
	}
	return out, nil
}

// earliestOf is the value of a lane's row v when these are the first rows that wait: nil for none.
func earliestOf(waiting []eventstore.Row, stream string, lane int) []byte {
	if len(waiting) == 0 {
		return nil
	}
	day := waiting[0].Key[len(laneKey('w', stream, lane)):]
	return day[4:8]
}
