package delivery

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// lag is the view of what ministries answered. Its keys are a letter and:
//
//	l stream, lane         → laneAnswers
//	a stream, lane, to     → from, answers: a range of numbers that were answered alike; ranges neither overlap nor touch another of their kind
//	j stream, lane, number → position of the words with which the number was rejected last
//
// A ministry that answers each event singly leaves one row, not one for each.
type lag struct{}

// errLag is a row that this program did not write.
var errLag = errors.New("delivery: a row of the view lag can't be read: rebuild it with `tellonce rebuild lag`")

// Name is the view's name in the store.
func (lag) Name() string { return "lag" }

// Wants receipts and the words of rejections.
func (lag) Wants(eventType string) bool {
	return eventType == journal.TypeReceiptsRecorded || eventType == journal.TypeReceiptRejected
}

// Apply folds what ministries answered.
func (v lag) Apply(ctx context.Context, tx *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		e := &entries[i]
		switch event := e.Event.(type) {
		case journal.ReceiptsRecorded:
			if err := v.answered(ctx, tx, e, event); err != nil {
				return err
			}
		case journal.ReceiptRejected:
			tx.Put(journal.LaneKey('j', event.Stream, event.Lane, event.Number), binary.BigEndian.AppendUint64(nil, uint64(e.Position)))
		}
	}
	return nil
}

// answers are the statuses that a ministry gave for a number, each at least once.
type answers byte

const (
	answeredReceived answers = 1 << iota
	answeredApplied
	answeredRejected
)

func answerOf(status string) answers {
	switch status {
	case Received:
		return answeredReceived
	case Applied:
		return answeredApplied
	}
	return answeredRejected
}

// final says whether a number is answered for good: nothing more is owed for it.
func (a answers) final() bool { return a&(answeredApplied|answeredRejected) != 0 }

// tells says whether another answer would say anything that is not known. That an event was received goes without saying once it was answered
// in any way.
func (a answers) tells(another answers) bool {
	if another == answeredReceived {
		return a == 0
	}
	return a&another == 0
}

// answeredRange is a range of numbers that were answered alike, ends included.
type answeredRange struct {
	from, to int64
	answers  answers
}

func decodeAnswered(row eventstore.Row) (answeredRange, error) {
	if len(row.Value) != 9 || len(row.Key) < 8 {
		return answeredRange{}, errLag
	}
	return answeredRange{
		from: int64(binary.BigEndian.Uint64(row.Value)), to: int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:])), answers: answers(row.Value[8]),
	}, nil
}

// laneAnswers sums up a lane. Each number counts once, by its strongest answer: rejected, then applied, then received.
type laneAnswers struct {
	received, applied, rejected int64
	settled                     int64 // every number up to it is answered for good
	at                          int64 // µs since the epoch: when a number was last answered for good
}

func (r *laneAnswers) encode() []byte {
	var out []byte
	for _, n := range []int64{r.received, r.applied, r.rejected, r.settled, r.at} {
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	return out
}

func decodeLaneAnswers(value []byte) (r laneAnswers, err error) {
	if value == nil {
		return r, nil
	}
	if len(value) != 40 {
		return r, errLag
	}
	for i, n := range []*int64{&r.received, &r.applied, &r.rejected, &r.settled, &r.at} {
		*n = int64(binary.BigEndian.Uint64(value[8*i:]))
	}
	return r, nil
}

// count adds n numbers that were answered so, or takes them away.
func (r *laneAnswers) count(a answers, n int64) {
	switch {
	case a&answeredRejected != 0:
		r.rejected += n
	case a&answeredApplied != 0:
		r.applied += n
	case a != 0:
		r.received += n
	}
}

// answered folds one receipt into a lane's ranges.
func (v lag) answered(ctx context.Context, tx *journal.ViewTx, e *journal.Entry, r journal.ReceiptsRecorded) error {
	lane := journal.LaneKey('l', r.Stream, r.Lane, 0)
	value, err := tx.Get(ctx, lane)
	if err != nil {
		return err
	}
	sum, err := decodeLaneAnswers(value)
	if err != nil {
		return err
	}
	before, err := rangesOf(ctx, tx.Scan, r.Stream, r.Lane, r.From-1, r.To+1) // also what touches it
	if err != nil {
		return err
	}
	had := sum.applied + sum.rejected
	for _, was := range before {
		sum.count(was.answers, was.from-was.to-1)
		tx.Put(journal.LaneKey('a', r.Stream, r.Lane, was.to), nil)
	}
	for _, is := range answeredAlso(before, r.From, r.To, answerOf(r.Status)) {
		sum.count(is.answers, is.to-is.from+1)
		value := append(binary.BigEndian.AppendUint64(nil, uint64(is.from)), byte(is.answers))
		tx.Put(journal.LaneKey('a', r.Stream, r.Lane, is.to), value)
	}
	if sum.applied+sum.rejected > had {
		sum.at = e.RecordedAt.UnixMicro()
	}
	if sum.settled, err = settle(ctx, tx, r.Stream, r.Lane, sum.settled); err != nil {
		return err
	}
	tx.Put(lane, sum.encode())
	return nil
}

// scanner is ViewTx's Scan, or a store's.
type scanner func(ctx context.Context, from, to []byte, limit int) ([]eventstore.Row, error)

// rangesOf lists the answered ranges of a lane that hold any of the numbers from..to, whole.
func rangesOf(ctx context.Context, scan scanner, stream string, lane int, from, to int64) ([]answeredRange, error) {
	key := func(number int64) []byte { return journal.LaneKey('a', stream, lane, max(number, 0)) }
	rows, err := scan(ctx, key(from), key(to), 0)
	if err != nil {
		return nil, err
	}
	last, err := scan(ctx, key(to), key(1<<62), 1) // may begin among them
	if err != nil {
		return nil, err
	}
	var out []answeredRange
	for _, row := range append(rows, last...) {
		r, err := decodeAnswered(row)
		if err != nil {
			return nil, err
		}
		if r.from <= to {
			out = append(out, r)
		}
	}
	return out, nil
}

// answeredAlso gives the numbers from..to one more answer, and joins what is then alike. The ranges are in order.
func answeredAlso(ranges []answeredRange, from, to int64, also answers) []answeredRange {
	var out []answeredRange
	put := func(r answeredRange) {
		if r.from > r.to {
			return
		}
		if n := len(out); n > 0 && out[n-1].answers == r.answers && out[n-1].to+1 == r.from {
			out[n-1].to = r.to
			return
		}
		out = append(out, r)
	}
	next := from
	for _, r := range ranges {
		put(answeredRange{next, min(r.from-1, to), also})
		put(answeredRange{r.from, min(r.to, from-1), r.answers})
		put(answeredRange{max(r.from, from), min(r.to, to), r.answers | also})
		put(answeredRange{max(r.from, to+1), r.to, r.answers})
		next = max(next, r.to+1)
	}
	put(answeredRange{next, to, also})
	return out
}

// settle moves on over what is answered for good.
func settle(ctx context.Context, tx *journal.ViewTx, stream string, lane int, settled int64) (int64, error) {
	const page = 100
	for {
		rows, err := tx.Scan(ctx, journal.LaneKey('a', stream, lane, settled+1), journal.LaneKey('a', stream, lane, 1<<62), page)
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			r, err := decodeAnswered(row)
			if err != nil {
				return 0, err
			}
			if r.from > settled+1 || !r.answers.final() {
				return settled, nil
			}
			settled = r.to
		}
		if len(rows) < page {
			return settled, nil
		}
	}
}
