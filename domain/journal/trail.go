package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// Trail is the view of what became of each fact: which stream got it under which number, what the ministry answered, and who looked.
// Both the citizen (projection) and the officer (audit) read it. Keys are a letter and:
//
//	c receipt                           → position and citizen of a change
//	d citizen, position, number         → one disclosed item (trailRow)
//	a citizen, position                 → an access
//	s stream, lane, status, to          → from, recorded at: a range of answers
//	x stream, lane, number              → recalled
//	j stream, lane, number              → position of the ministry's reason for rejecting it
type Trail struct{ journal *Journal }

// NewTrail returns the view on a journal.
func NewTrail(j *Journal) Trail { return Trail{journal: j} }

// Name is the view's name in the store.
func (Trail) Name() string { return "trail" }

// Wants says yes to everything that tells what became of a fact. Decisions are wanted for the receipt of their change alone.
func (t Trail) Wants(eventType string) bool {
	switch eventType {
	case TypeDisclosed, TypeRedelivered, TypeReceiptsRecorded, TypeReceiptRejected, TypeAccessed, TypeDecided:
		return true
	}
	return false
}

// Status is how far a disclosed fact is.
type Status string

// The statuses, and the byte that stands for the answered ones in keys.
const (
	StatusSent     Status = "sent" // disclosed; the ministry has not answered
	StatusReceived Status = "received"
	StatusApplied  Status = "applied"
	StatusRejected Status = "rejected"
	StatusRecalled Status = "recalled"
)

// answers are the statuses that a ministry gives, the strongest first.
var answers = []Status{StatusRejected, StatusApplied, StatusReceived}

type trailRow struct {
	At     int64         `json:"at"` // µs since the epoch
	Item   DisclosedItem `json:"item"`
	Lane   int           `json:"lane"`
	Number int64         `json:"number"`
	Stream string        `json:"stream"`
}

// Apply is step 12 of a change's life: the citizen and the officer see what became of it.
func (t Trail) Apply(ctx context.Context, tx *ViewTx, entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		var err error
		switch event := e.Event.(type) {
		case Decided:
			err = t.change(ctx, tx, e)
		case Disclosed:
			err = t.disclosed(ctx, tx, e, event)
		case Redelivered:
			for _, n := range event.Recalled {
				tx.Put(LaneKey('x', event.Stream, event.Lane, n), []byte{1})
			}
		case ReceiptsRecorded:
			err = t.answered(ctx, tx, e, event)
		case ReceiptRejected:
			tx.Put(LaneKey('j', event.Stream, event.Lane, event.Number), binary.BigEndian.AppendUint64(nil, uint64(e.Position)))
		case Accessed:
			tx.Put(citizenKey('a', e.Subject, e.Position, 0), []byte{1})
			if about, err := uuid.Parse(event.About); err == nil {
				tx.Put(citizenKey('a', about, e.Position, 0), []byte{1})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// change files the receipt of the change that was decided on.
func (t Trail) change(ctx context.Context, tx *ViewTx, e *Entry) error {
	recs, err := t.journal.Records(ctx, e.Cause)
	if err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(e.Cause))
	tx.Put(append([]byte{'c'}, Receipt(recs[0].ID)...), append(value, e.Subject[:]...))
	return nil
}

func (t Trail) disclosed(ctx context.Context, tx *ViewTx, e *Entry, d Disclosed) error {
	positions := make([]int64, len(d.Items))
	for i, item := range d.Items {
		positions[i] = item.Position
	}
	recs, err := t.journal.Records(ctx, positions...)
	if err != nil {
		return err
	}
	for i, item := range d.Items {
		if item.Synthetic() {
			continue // nobody's
		}
		row := trailRow{At: e.RecordedAt.UnixMicro(), Item: item, Lane: d.Lane, Number: d.First + int64(i), Stream: d.Stream}
		value, err := json.Marshal(row)
		if err != nil {
			return err
		}
		tx.Put(citizenKey('d', recs[i].Subject, e.Position, uint32(i)), value)
		for _, n := range item.Numbers { // that are closed by an erasure
			tx.Put(LaneKey('x', d.Stream, d.Lane, n), []byte{1})
		}
	}
	return nil
}

// answered files what of a range was not answered so before: the first answer of a status keeps its time, and ranges of one status never
// overlap, so that a look-up is one row.
func (t Trail) answered(ctx context.Context, tx *ViewTx, e *Entry, r ReceiptsRecorded) error {
	key := func(to int64) []byte { return statusKey(r.Stream, r.Lane, Status(r.Status), to) }
	known, err := tx.Scan(ctx, key(r.From), key(r.To), 0)
	if err != nil {
		return err
	}
	last, err := tx.Scan(ctx, key(r.To), key(1<<62), 1) // may begin inside the range
	if err != nil {
		return err
	}
	put := func(from, to int64) {
		if from <= to {
			value := binary.BigEndian.AppendUint64(nil, uint64(from))
			tx.Put(key(to), binary.BigEndian.AppendUint64(value, uint64(e.RecordedAt.UnixMicro())))
		}
	}
	next := r.From
	for _, row := range append(known, last...) {
		rowTo, rowFrom := int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:])), int64(binary.BigEndian.Uint64(row.Value))
		put(next, min(rowFrom-1, r.To))
		next = rowTo + 1
	}
	put(next, r.To)
	return nil
}

// Given is one fact that was given a number in a stream.
type Given struct {
	Position int64 // of the disclosed event
	At       time.Time
	Stream   string
	Lane     int
	Number   int64
	Item     DisclosedItem
	Status   Status
	StatusAt time.Time // of the first answer of this status; zero for sent and recalled
	Refusal  int64     // position of the reason that came with a rejection; 0 for none
}

// Given lists what was disclosed of a citizen, oldest first, complete up to the head.
func (t Trail) Given(ctx context.Context, id citizen.ID) ([]Given, error) {
	rows, err := t.scan(ctx, 'd', id)
	if err != nil {
		return nil, err
	}
	out := make([]Given, len(rows))
	for i, row := range rows {
		var r trailRow
		if err := json.Unmarshal(row.Value, &r); err != nil {
			return nil, errTrail
		}
		out[i] = Given{
			Position: int64(binary.BigEndian.Uint64(row.Key[17:])), At: time.UnixMicro(r.At).UTC(), Stream: r.Stream, Lane: r.Lane, Number: r.Number, Item: r.Item,
		}
		if err := t.status(ctx, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Accesses lists the positions of the looks at a citizen, oldest first.
func (t Trail) Accesses(ctx context.Context, id citizen.ID) ([]int64, error) {
	rows, err := t.scan(ctx, 'a', id)
	out := make([]int64, len(rows))
	for i, row := range rows {
		out[i] = int64(binary.BigEndian.Uint64(row.Key[17:]))
	}
	return out, err
}

// ByReceipt finds the change that a receipt number stands for.
func (t Trail) ByReceipt(ctx context.Context, receipt string) (position int64, id citizen.ID, ok bool, err error) {
	if err := t.catchUp(ctx); err != nil {
		return 0, id, false, err
	}
	values, err := t.journal.store.Get(ctx, t.Name(), append([]byte{'c'}, receipt...))
	if err != nil || len(values[0]) != 24 {
		return 0, id, false, err
	}
	return int64(binary.BigEndian.Uint64(values[0])), citizen.ID(values[0][8:]), true, nil
}

func (t Trail) scan(ctx context.Context, letter byte, id citizen.ID) ([]eventstore.Row, error) {
	if err := t.catchUp(ctx); err != nil {
		return nil, err
	}
	from := citizenKey(letter, uuid.UUID(id), 0, 0)
	return t.journal.store.Scan(ctx, t.Name(), from, append(bytes.Clone(from[:17]), bytes.Repeat([]byte{0xff}, 13)...), 0, false)
}

func (t Trail) catchUp(ctx context.Context) error {
	head, err := t.journal.Head(ctx)
	if err == nil {
		_, err = t.journal.CatchUp(ctx, t, head.Position+1)
	}
	return err
}

// status looks a number's state up: recalled, else the strongest answer, else sent.
func (t Trail) status(ctx context.Context, g *Given) error {
	g.Status = StatusSent
	values, err := t.journal.store.Get(ctx, t.Name(), LaneKey('x', g.Stream, g.Lane, g.Number))
	if err != nil {
		return err
	}
	if values[0] != nil {
		g.Status = StatusRecalled
		return nil
	}
	for _, s := range answers {
		rows, err := t.journal.store.Scan(ctx, t.Name(), statusKey(g.Stream, g.Lane, s, g.Number), statusKey(g.Stream, g.Lane, s, 1<<62), 1, false)
		if err != nil {
			return err
		}
		if len(rows) == 1 && int64(binary.BigEndian.Uint64(rows[0].Value)) <= g.Number {
			g.Status, g.StatusAt = s, time.UnixMicro(int64(binary.BigEndian.Uint64(rows[0].Value[8:]))).UTC()
			return t.refusal(ctx, g)
		}
	}
	return nil
}

// refusal finds the reason of a rejection.
func (t Trail) refusal(ctx context.Context, g *Given) error {
	if g.Status != StatusRejected {
		return nil
	}
	values, err := t.journal.store.Get(ctx, t.Name(), LaneKey('j', g.Stream, g.Lane, g.Number))
	if err == nil && len(values[0]) == 8 {
		g.Refusal = int64(binary.BigEndian.Uint64(values[0]))
	}
	return err
}

// Answer is how far one given number of a lane is, complete up to the head, and when its ministry said so (zero for sent and recalled).
func (t Trail) Answer(ctx context.Context, stream string, lane int, number int64) (Status, time.Time, error) {
	if err := t.catchUp(ctx); err != nil {
		return "", time.Time{}, err
	}
	g := Given{Stream: stream, Lane: lane, Number: number}
	err := t.status(ctx, &g)
	return g.Status, g.StatusAt, err
}

var errTrail = errors.New("journal: a row of the view trail can't be read: rebuild it with `tellonce rebuild trail`")

func citizenKey(letter byte, id uuid.UUID, position int64, n uint32) []byte {
	out := append(append(make([]byte, 0, 29), letter), id[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(position))
	return binary.BigEndian.AppendUint32(out, n)
}

// LaneKey is a view's key for one number of a lane: a letter, stream, lane and number, so that a lane's rows lie in the order of numbers.
func LaneKey(letter byte, stream string, lane int, number int64) []byte {
	out := append(append([]byte{letter}, stream...), 0)
	out = binary.BigEndian.AppendUint16(out, uint16(lane))
	return binary.BigEndian.AppendUint64(out, uint64(number))
}

func statusKey(stream string, lane int, status Status, to int64) []byte {
	out := append(append([]byte{'s'}, stream...), 0)
	out = append(binary.BigEndian.AppendUint16(out, uint16(lane)), status[2]) // c, p or j: distinct
	return binary.BigEndian.AppendUint64(out, uint64(to))
}

// FieldNames are the names that a field set stands for in an event type, in bit order.
func (j *Journal) FieldNames(eventType string, set consent.FieldSet) []string {
	var out []string
	for bit, name := range j.fieldNames(eventType) {
		if set&(1<<bit) != 0 {
			out = append(out, name)
		}
	}
	return out
}
