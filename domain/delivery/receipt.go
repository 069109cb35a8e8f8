package delivery

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// The statuses of a ministry's receipt.
const (
	Received       = "received"
	Applied        = "applied"
	StatusRejected = "rejected"
)

// Receipt is a ministry's answer for a range of cursors, ends included.
type Receipt struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// maxReason is how many code points a rejection's reason may have; maxReasons how many numbers one receipt may reject with a reason.
const (
	maxReason  = 500
	maxReasons = 1000
)

// ReceiptError says which receipt of a list is wrong, and why.
type ReceiptError struct {
	Index  int
	Member string // from, to, status or reason
	Detail string
}

// Error holds nothing of the receipt's own text.
func (e *ReceiptError) Error() string {
	return fmt.Sprintf("receipt %d: %s: %s", e.Index, e.Member, e.Detail)
}

// Record is step 11 of a change's life: a ministry's answers go to the log, all or none. A rejection's reason is sealed under the citizen's key.
func (d *Delivery) Record(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, receipts []Receipt) error {
	open, err := d.Open(ctx, actor, stream)
	if err != nil {
		return err
	}
	step := journal.Step{Command: command, Origin: journal.Origin{Issuer: journal.IssuerAPI, Actor: actor.Kind}}
	for i, r := range receipts {
		events, err := d.receipt(ctx, open, i, r, actor)
		if err != nil {
			return err
		}
		step.Events = append(step.Events, events...)
	}
	if len(step.Events) == 0 {
		return nil
	}
	_, err = d.journal.Append(ctx, step)
	return err
}

// ErrNotYours refuses a ministry another's stream.
var ErrNotYours = errors.New("delivery: this stream is another ministry's")

func (d *Delivery) receipt(ctx context.Context, stream journal.StreamOpened, i int, r Receipt, actor journal.Actor) ([]journal.New, error) {
	from, to, err := d.receiptRange(ctx, stream, i, r)
	if err != nil {
		return nil, err
	}
	aggregate := journal.StreamAggregate(stream.Stream)
	events := []journal.New{{
		Event:     journal.ReceiptsRecorded{From: from.Number, Lane: from.Lane, Status: r.Status, Stream: stream.Stream, To: to.Number},
		Aggregate: aggregate, Cause: eventstore.NoCause,
	}}
	if r.Reason == "" {
		return events, nil
	}
	for n := from.Number; n <= to.Number; n++ {
		subject, err := d.subjectOf(ctx, stream.Stream, from.Lane, n)
		if err != nil {
			return nil, err
		}
		events = append(events, journal.New{
			Event:     journal.ReceiptRejected{Lane: from.Lane, Number: n, Reason: r.Reason, Stream: stream.Stream},
			Aggregate: aggregate, Subject: subject, Cause: eventstore.CauseBefore(len(events)), Meta: journal.Meta{Actor: actor.ID},
		})
	}
	return events, nil
}

func (d *Delivery) receiptRange(ctx context.Context, stream journal.StreamOpened, i int, r Receipt) (from, to Cursor, err error) {
	if from, err = ParseCursor(r.From); err != nil {
		return from, to, &ReceiptError{i, "from", "is no cursor"}
	}
	if to, err = ParseCursor(r.To); err != nil {
		return from, to, &ReceiptError{i, "to", "is no cursor"}
	}
	generation := d.journal.Genesis().Generation
	if from.Generation != generation || from.Lane >= stream.Lanes {
		return from, to, &ReceiptError{i, "from", "was never given out"}
	}
	if to.Generation != generation || to.Lane != from.Lane || to.Number < from.Number {
		return from, to, &ReceiptError{i, "to", "must be of the same lane as from, and not before it"}
	}
	row, err := d.state(ctx, stream.Stream, from.Lane)
	if err != nil {
		return from, to, err
	}
	if to.Number >= row.next {
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
