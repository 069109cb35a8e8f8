package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
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
// What says nothing new is taken and appends nothing, so that repeats don't grow the log. Errors: ErrUnknownStream, ErrNotYours, *ReceiptError,
// eventstore.ErrCommandReused.
func (d *Delivery) Record(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, receipts []Receipt) error {
	open, err := d.Open(ctx, actor, stream)
	if err != nil {
		return err
	}
	known := newKnown(d, open)
	var ranges []receiptRange
	for i, r := range receipts {
		from, to, err := known.check(ctx, i, r)
		if err != nil {
			return err
		}
		ranges = joined(ranges, receiptRange{lane: from.Lane, from: from.Number, to: to.Number, status: r.Status, reason: r.Reason})
	}
	// Before anything is left out: a repeat that says something else is told so.
	if repeated, err := d.repeated(ctx, command); err != nil || repeated {
		return err
	}
	step := commandStep(actor, command)
	if err := d.catchUpLag(ctx); err != nil {
		return err
	}
	for _, r := range ranges {
		events, err := d.receipt(ctx, known, r, actor)
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

// repeated says whether a command is on the log already. eventstore.ErrCommandReused if it is with other content.
func (d *Delivery) repeated(ctx context.Context, command journal.CommandID) (bool, error) {
	if command.ID == "" {
		return false, nil
	}
	before, err := d.journal.Find(ctx, command)
	switch {
	case err != nil:
		return false, err
	case before[0].Reused:
		return false, eventstore.ErrCommandReused
	}
	return before[0].Found, nil
}

// ErrNotYours refuses a ministry another's stream.
var ErrNotYours = errors.New("delivery: this stream is another ministry's")

// receiptRange is a receipt that was checked.
type receiptRange struct {
	lane           int
	from, to       int64
	status, reason string
}

// joined adds a receipt to a list, in one with the last where that says the same of the numbers before it.
func joined(list []receiptRange, r receiptRange) []receiptRange {
	if n := len(list); n > 0 && r.reason == "" {
		last := &list[n-1]
		if last.reason == "" && last.lane == r.lane && last.status == r.status && last.to+1 == r.from {
			last.to = r.to
			return list
		}
	}
	return append(list, r)
}

// receipt makes the events of one receipt: none if all of it is known.
func (d *Delivery) receipt(ctx context.Context, known *known, r receiptRange, actor journal.Actor) ([]journal.New, error) {
	says, err := known.tell(ctx, r)
	if err != nil {
		return nil, err
	}
	numbers, err := known.reasons(ctx, r)
	if err != nil {
		return nil, err
	}
	aggregate := journal.StreamAggregate(known.stream.Stream)
	events := []journal.New{{
		Event:     journal.ReceiptsRecorded{From: r.from, Lane: r.lane, Status: r.status, Stream: known.stream.Stream, To: r.to},
		Aggregate: aggregate, Cause: eventstore.NoCause,
	}}
	for _, n := range numbers {
		subject, err := d.subjectOf(ctx, known.stream.Stream, r.lane, n)
		if err != nil {
			return nil, err
		}
		if ok, err := d.maySeal(ctx, subject); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		events = append(events, journal.New{
			Event:     journal.ReceiptRejected{Lane: r.lane, Number: n, Reason: r.reason, Stream: known.stream.Stream},
			Aggregate: aggregate, Subject: subject, Cause: eventstore.CauseBefore(len(events)), Meta: journal.Meta{Actor: actor.ID},
		})
	}
	if !says && len(events) == 1 {
		return nil, nil
	}
	return events, nil
}

// maySeal says whether there is anybody under whose key a reason can be sealed: not where the event was about nobody, or about somebody who was
// erased. The rejection then stands without its words, which could be about nobody else.
func (d *Delivery) maySeal(ctx context.Context, subject citizen.ID) (bool, error) {
	if subject == (citizen.ID{}) {
		return false, nil
	}
	err := d.journal.EnsureKeys(ctx, subject)
	if errors.Is(err, seal.ErrDestroyed) {
		return false, nil
	}
	return err == nil, err
}
