package delivery

import (
	"context"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// known is what a stream's ministry has said so far, with what the call that is being recorded says itself. Two calls that say the same at the
// same moment may both be recorded: that is one event too many, and changes nothing.
type known struct {
	*Delivery
	stream journal.StreamOpened
	ends   map[int]int64           // by lane: the number that the next event takes
	told   map[int][]answeredRange // by lane: what this call says
	words  map[[2]int64]string     // by lane and number: the last words of a rejection in this call
}

func newKnown(d *Delivery, stream journal.StreamOpened) *known {
	return &known{Delivery: d, stream: stream, ends: map[int]int64{}, told: map[int][]answeredRange{}, words: map[[2]int64]string{}}
}

// check judges one receipt of a list.
func (k *known) check(ctx context.Context, i int, r Receipt) (from, to Cursor, err error) {
	if from, err = ParseCursor(r.From); err != nil {
		return from, to, &ReceiptError{i, "from", "is no cursor"}
	}
	if to, err = ParseCursor(r.To); err != nil {
		return from, to, &ReceiptError{i, "to", "is no cursor"}
	}
	generation := k.journal.Genesis().Generation
	if from.Generation != generation || from.Lane >= k.stream.Lanes {
		return from, to, &ReceiptError{i, "from", "was never given out"}
	}
	if to.Generation != generation || to.Lane != from.Lane || to.Number < from.Number {
		return from, to, &ReceiptError{i, "to", "must be of the same lane as from, and not before it"}
	}
	next, err := k.next(ctx, from.Lane)
	if err != nil {
		return from, to, err
	}
	if to.Number >= next {
		return from, to, &ReceiptError{i, "to", "was never given out"}
	}
	switch {
	case r.Status != Received && r.Status != Applied && r.Status != StatusRejected:
		return from, to, &ReceiptError{i, "status", "must be received, applied or rejected"}
	case r.Reason != "" && r.Status != StatusRejected:
		return from, to, &ReceiptError{i, "reason", "belongs to a rejection only"}
	case utf8.RuneCountInString(r.Reason) > maxReason:
		return from, to, &ReceiptError{i, "reason", fmt.Sprintf("must have at most %d characters", maxReason)}
	case r.Reason != "" && to.Number-from.Number >= maxReasons:
		return from, to, &ReceiptError{i, "to", fmt.Sprintf("a rejection with a reason may cover at most %d events", maxReasons)}
	}
	return from, to, nil
}

// next is the number that the next event of a lane takes.
func (k *known) next(ctx context.Context, lane int) (int64, error) {
	if next, ok := k.ends[lane]; ok {
		return next, nil
	}
	row, err := k.state(ctx, k.stream.Stream, lane)
	if err == nil {
		k.ends[lane] = row.next
	}
	return row.next, err
}

// tell says whether a receipt says anything new, and takes it for known from then on.
func (k *known) tell(ctx context.Context, r receiptRange) (says bool, err error) {
	scan := func(ctx context.Context, from, to []byte, limit int) ([]eventstore.Row, error) {
		return k.journal.Store().Scan(ctx, lag{}.Name(), from, to, limit, false)
	}
	ranges, err := rangesOf(ctx, scan, k.stream.Stream, r.lane, r.from, r.to)
	if err != nil {
		return false, err
	}
	for _, t := range k.told[r.lane] {
		if t.from <= r.to && t.to >= r.from {
			ranges = answeredAlso(ranges, max(t.from, r.from), min(t.to, r.to), t.answers)
		}
	}
	answer, next := answerOf(r.status), r.from
	for _, is := range ranges {
		says = says || is.from > next || is.answers.tells(answer)
		next = max(next, is.to+1)
	}
	if says = says || next <= r.to; says {
		k.told[r.lane] = append(k.told[r.lane], answeredRange{r.from, r.to, answer})
	}
	return says, nil
}

// reasons lists the numbers whose rejection comes with words that are not its last words already.
func (k *known) reasons(ctx context.Context, r receiptRange) ([]int64, error) {
	if r.reason == "" {
		return nil, nil
	}
	rows, err := k.journal.Store().Scan(ctx, lag{}.Name(), journal.LaneKey('j', k.stream.Stream, r.lane, r.from), journal.LaneKey('j', k.stream.Stream, r.lane, r.to+1), 0, false)
	if err != nil {
		return nil, err
	}
	positions := make([]int64, len(rows))
	for i, row := range rows {
		if len(row.Value) != 8 {
			return nil, errLag
		}
		positions[i] = int64(binary.BigEndian.Uint64(row.Value))
	}
	entries, err := k.journal.Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	last := map[int64]string{}
	for i := range entries {
		last[int64(binary.BigEndian.Uint64(rows[i].Key[len(rows[i].Key)-8:]))] = r.reason // if it was erased, nothing more is said
		if said, ok := entries[i].Event.(journal.ReceiptRejected); ok {
			last[said.Number] = said.Reason
		}
	}
	var out []int64
	for n := r.from; n <= r.to; n++ {
		at := [2]int64{int64(r.lane), n}
		words, ok := k.words[at]
		if !ok {
			words = last[n]
		}
		if words != r.reason {
			out = append(out, n)
			k.words[at] = r.reason
		}
	}
	return out, nil
}
