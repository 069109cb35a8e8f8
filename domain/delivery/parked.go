package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// ErrNotParked refuses to redrive numbers of which none is parked.
var ErrNotParked = errors.New("delivery: none of these events is parked")

// ParkedRange is a range of numbers that was given up, ends included, and why.
type ParkedRange struct {
	Lane     int
	From, To int64
	Attempts int
	Code     string // of the last attempt, as Outcome.Code
	Excerpt  string // of the last attempt at the first of them, as Outcome.Excerpt; empty where a restore has lost it, or the person is erased
}

// Parked lists what of a stream is parked, by lane and number, complete up to the head. Errors: ErrUnknownStream.
func (d *Delivery) Parked(ctx context.Context, stream string) ([]ParkedRange, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	if err := d.catchUpStreams(ctx); err != nil {
		return nil, err
	}
	var out []ParkedRange
	for lane := range open.Lanes {
		some, err := d.parkedOf(ctx, stream, lane, 0, 1<<62)
		if err != nil {
			return nil, err
		}
		firsts := make([]int64, len(some))
		for i := range some {
			firsts[i] = some[i].From
		}
		excerpts, err := d.excerpts(ctx, stream, lane, firsts)
		if err != nil {
			return nil, err
		}
		for i := range some {
			some[i].Excerpt = excerpts[i]
		}
		out = append(out, some...)
	}
	return out, nil
}

// HeldEvent is a number that a courier holds back: it waits for its next attempt, or behind an earlier one about the same person.
type HeldEvent struct {
	Lane     int
	Number   int64
	Attempts int       // so far; 0: it waits behind another, or for an endpoint that is down
	Next     time.Time // not tried before; zero: at once
	Code     string    // of the last attempt, as Outcome.Code
	Excerpt  string    // of the last attempt, as Outcome.Excerpt
}

// Held lists what couriers hold back of a stream, by lane and number, as they noted it last: at most some thousands a lane. Errors:
// ErrUnknownStream.
func (d *Delivery) Held(ctx context.Context, stream string) ([]HeldEvent, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	var out []HeldEvent
	for lane := range open.Lanes {
		l, err := openLedger(ctx, d.journal.Store(), courierName(stream, lane), d.journal.Genesis().Generation)
		if err != nil {
			return nil, err
		}
		numbers := slices.Sorted(maps.Keys(l.held))
		excerpts, err := d.excerpts(ctx, stream, lane, numbers)
		if err != nil {
			return nil, err
		}
		for i, number := range numbers {
			h := l.held[number]
			out = append(out, HeldEvent{Lane: lane, Number: number, Attempts: h.attempts, Next: h.next, Code: h.code, Excerpt: excerpts[i]})
		}
	}
	return out, nil
}

func (d *Delivery) catchUpStreams(ctx context.Context) error {
	head, err := d.journal.Head(ctx)
	if err == nil {
		_, err = d.journal.CatchUp(ctx, streams{}, head.Position+1)
	}
	return err
}

// parkedOf lists what of a lane's numbers from..to is parked, cut to them.
func (d *Delivery) parkedOf(ctx context.Context, stream string, lane int, from, to int64) (out []ParkedRange, err error) {
	first, err := d.journal.Store().Scan(ctx, streams{}.Name(), laneKey('p', stream, lane), journal.LaneKey('p', stream, lane, from), 1, true)
	if err != nil {
		return nil, err
	}
	rest, err := d.journal.Store().Scan(ctx, streams{}.Name(), journal.LaneKey('p', stream, lane, from), journal.LaneKey('p', stream, lane, to+1), 0, false)
	if err != nil {
		return nil, err
	}
	for _, row := range slices.Concat(first, rest) {
		start, r, err := decodeParked(row)
		if err != nil {
			return nil, err
		}
		if r.to >= from {
			out = append(out, ParkedRange{Lane: lane, From: max(start, from), To: min(r.to, to), Attempts: r.attempts, Code: r.code})
		}
	}
	return out, nil
}

// Redrive tries what is parked of a lane's numbers from..to again, with a new schedule: it goes to where the stream goes. What is not parked
// among them is left alone. It may be asked by the stream's ministry or an operator. Errors: ErrUnknownStream, ErrNotYours, ErrUnknownLane,
// ErrNotParked, eventstore.ErrCommandReused.
func (d *Delivery) Redrive(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, lane int, from, to int64) error {
	open, err := d.Open(ctx, actor, stream)
	if err != nil {
		return err
	}
	if lane < 0 || lane >= open.Lanes {
		return ErrUnknownLane
	}
	if repeated, err := d.repeated(ctx, command); err != nil || repeated {
		return err
	}
	return d.onLane(ctx, commandStep(actor, command), stream, lane, func() ([]any, error) {
		parked, err := d.parkedOf(ctx, stream, lane, from, to)
		if err == nil && len(parked) == 0 {
			err = ErrNotParked
		}
		events := make([]any, len(parked))
		for i, p := range parked {
			events[i] = journal.Redriven{From: p.From, Lane: lane, Stream: stream, To: p.To}
		}
		return events, err
	})
}

// park appends that numbers are given up, unless they are parked.
func (d *Delivery) park(ctx context.Context, event journal.Parked) error {
	step := journal.Step{Origin: journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub}}
	return d.onLane(ctx, step, event.Stream, event.Lane, func() ([]any, error) {
		parked, err := d.parkedOf(ctx, event.Stream, event.Lane, event.From, event.To)
		if err != nil || len(parked) > 0 {
			return nil, err
		}
		return []any{event}, nil
	})
}

// onLane appends to a lane what decide makes of it, if anything. The append expects the lane as it was decided by.
func (d *Delivery) onLane(ctx context.Context, step journal.Step, stream string, lane int, decide func() ([]any, error)) error {
	aggregate := journal.LaneAggregate(stream, lane)
	for range maxAttempts {
		row, err := d.state(ctx, stream, lane)
		if err != nil {
			return err
		}
		if err := d.catchUpStreams(ctx); err != nil {
			return err
		}
		events, err := decide()
		if err != nil || len(events) == 0 {
			return err
		}
		step.Expect, step.Events = []eventstore.Expect{{Aggregate: aggregate, Version: row.version}}, nil
		for _, event := range events {
			step.Events = append(step.Events, journal.New{Event: event, Aggregate: aggregate, Cause: eventstore.NoCause})
		}
		if _, err = d.journal.Append(ctx, step); !errors.Is(err, eventstore.ErrConflict) {
			return err
		}
	}
	return ErrBusy
}

// askedAgain lists the ranges of a lane that events between two positions ask for again, ends included.
func (d *Delivery) askedAgain(ctx context.Context, stream string, lane int, from, to int64) (out []askedRange, err error) {
	if _, err := d.journal.CatchUp(ctx, streams{}, to+1); err != nil {
		return nil, err
	}
	rows, err := d.journal.Store().Scan(ctx, streams{}.Name(), journal.LaneKey('a', stream, lane, from), journal.LaneKey('a', stream, lane, to+1), 0, false)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		a := askedRange{position: int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:]))}
		if a.from, a.to, err = decodeRange(row.Value); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
