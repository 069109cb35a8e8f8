package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// given is one number that was given out, and what it stands for.
type given struct {
	number   int64
	item     journal.DisclosedItem
	at       time.Time // when it was given
	recalled bool
}

// redeliver sends given numbers from..to again: each is judged by the law of now, what it no longer permits is recalled for ever, and the
// log says so before a byte leaves. It may be fewer numbers than asked for.
func (d *Delivery) redeliver(ctx context.Context, pace *pace, stream journal.StreamOpened, lane int, at laneAt, from, to int64) (_ Page, err error) {
	for attempt := range maxAttempts {
		if attempt > 0 {
			if at, err = d.laneAt(ctx, stream.Stream, lane); err != nil {
				return Page{}, err
			}
		}
		to = from + int64(pace.of(int(to-from+1))) - 1
		numbers, err := d.given(ctx, stream.Stream, lane, from, to)
		if err != nil {
			return Page{}, err
		}
		v, err := d.look(ctx, stream, lane, at.laneRow, givenPositions(numbers), basis{head: at.head})
		if err != nil {
			return Page{}, err
		}
		event := journal.Redelivered{From: from, Lane: lane, Stream: stream.Stream, To: to}
		items, recalled := make([]journal.DisclosedItem, len(numbers)), map[int64]bool{}
		for i, g := range numbers {
			items[i] = g.item
			if !g.recalled && !d.unchanged(v, g.item) {
				v.withhold(g.item.Position)
				event.Recalled = append(event.Recalled, g.number)
				g.recalled = true
			}
			recalled[g.number] = g.recalled
		}
		started := d.journal.Clock()
		_, err = d.journal.Append(ctx, d.step(v, event))
		if errors.Is(err, eventstore.ErrConflict) {
			pace.slower(err, len(numbers))
			continue
		}
		if err != nil {
			return Page{}, err
		}
		pace.faster()
		messages, err := d.letOut(ctx, v, items, from, recalled)
		return Page{Messages: messages, Until: started.Add(D)}, err
	}
	return Page{}, ErrBusy
}

func givenPositions(numbers []given) []int64 {
	rows := make([]dueRow, len(numbers))
	for i := range numbers {
		rows[i] = dueRow{order: numbers[i].item.Order(), position: numbers[i].item.Position}
	}
	return positionsOf(rows)
}

// unchanged says whether everything that an item once held may still leave, so that its bytes are the same.
func (d *Delivery) unchanged(v *view, item journal.DisclosedItem) bool {
	if placeOf(item.Kind) != placeValue {
		return v.hears(&item)
	}
	now, ok := d.permitted(v, item.Position, item.Order(), item.Agreement, item.Fields)
	if !ok || now.Fields != item.Fields || now.Link != item.Link {
		return false
	}
	_, ok = v.law.Agreement(item.Agreement, item.Version)
	return ok
}

// given reads what the numbers from..to stand for.
func (d *Delivery) given(ctx context.Context, stream string, lane int, from, to int64) ([]given, error) {
	store, view := d.journal.Store(), d.due.Name()
	first, err := store.Scan(ctx, view, journal.LaneKey('n', stream, lane, 0), journal.LaneKey('n', stream, lane, from+1), 1, true)
	if err != nil {
		return nil, err
	}
	rest, err := store.Scan(ctx, view, journal.LaneKey('n', stream, lane, from+1), journal.LaneKey('n', stream, lane, to+1), 0, false)
	if err != nil {
		return nil, err
	}
	var positions []int64
	for _, row := range append(first, rest...) {
		positions = append(positions, int64(binary.BigEndian.Uint64(row.Value)))
	}
	entries, err := d.journal.Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	recalledRows, err := store.Scan(ctx, view, journal.LaneKey('r', stream, lane, from), journal.LaneKey('r', stream, lane, to+1), 0, false)
	if err != nil {
		return nil, err
	}
	recalled := map[int64]bool{}
	for _, row := range recalledRows {
		recalled[int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:]))] = true
	}
	var out []given
	for _, e := range entries {
		event, ok := e.Event.(journal.Disclosed)
		if !ok {
			return nil, errRow
		}
		for i, item := range event.Items {
			if n := event.First + int64(i); n >= from && n <= to {
				out = append(out, given{number: n, item: item, at: e.RecordedAt, recalled: recalled[n]})
			}
		}
	}
	if int64(len(out)) != to-from+1 {
		return nil, fmt.Errorf("delivery: numbers %d to %d of lane %d can't all be found: %w", from, to, lane, errRow)
	}
	return out, nil
}

// subjectOf is the citizen behind a given number.
func (d *Delivery) subjectOf(ctx context.Context, stream string, lane int, number int64) (citizen.ID, error) {
	subjects, err := d.subjects(ctx, stream, lane, number, number)
	if err != nil {
		return citizen.ID{}, err
	}
	return subjects[0], nil
}

// subjects are the citizens behind the given numbers from..to, in order; zero for nobody.
func (d *Delivery) subjects(ctx context.Context, stream string, lane int, from, to int64) ([]citizen.ID, error) {
	numbers, err := d.given(ctx, stream, lane, from, to)
	if err != nil {
		return nil, err
	}
	recs, err := d.journal.Store().Read(ctx, givenPositions(numbers)...)
	if err != nil {
		return nil, err
	}
	of := make(map[int64]citizen.ID, len(recs))
	for i := range recs {
		of[recs[i].Position] = citizen.ID(recs[i].Subject)
	}
	out := make([]citizen.ID, len(numbers))
	for i := range numbers {
		out[i] = of[numbers[i].item.Position]
	}
	return out, nil
}
