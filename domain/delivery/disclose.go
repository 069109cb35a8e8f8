package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// D is how long after the covering append (disclosed or redelivered) bytes may leave. Later, they need a new redelivered.
const D = 10 * time.Second

// pairwiseEpoch is the epoch of new pairwise ids. Old epochs stay derivable.
const pairwiseEpoch = 1

const maxAttempts = 50

// ErrBusy is the answer when others kept appending to a lane; ask again.
var ErrBusy = errors.New("delivery: another reader of this lane was first too often; try again")

// view is what a step judges by: the lane, the law and the citizens as of one head.
type view struct {
	stream  journal.StreamOpened
	lane    int
	row     laneRow
	law     *journal.Law
	day     journal.Day
	head    int64
	entries map[int64]*journal.Entry // facts by position
	states  map[citizen.ID]*journal.State
}

// look reads facts and everything by which they are judged now.
func (d *Delivery) look(ctx context.Context, stream journal.StreamOpened, lane int, row laneRow, positions []int64) (*view, error) {
	head, err := d.journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{stream: stream, lane: lane, row: row, head: head.Position, entries: map[int64]*journal.Entry{}, states: map[citizen.ID]*journal.State{}}
	if v.law, err = d.journal.FreshLaw(ctx); err != nil {
		return nil, err
	}
	v.day = d.journal.DayOf(d.journal.Now(journal.Timing{}))
	entries, err := d.journal.Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		v.entries[entries[i].Position] = &entries[i]
	}
	ids := citizensOf(entries)
	states, err := d.journal.FreshStates(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		v.states[id] = states[i]
	}
	return v, nil
}

// guard refuses the append if anything was restricted for the people it is about since the head that was judged by.
func (v *view) guard(positions []int64) eventstore.Guard {
	g := eventstore.Guard{After: v.head}
	seen := map[uuid.UUID]bool{}
	for _, p := range positions {
		if s := v.entries[p].Subject; s != uuid.Nil && !seen[s] {
			seen[s] = true
			g.Subjects = append(g.Subjects, s)
		}
	}
	return g
}

func (v *view) step(event any, guard eventstore.Guard) journal.Step {
	lane := journal.LaneAggregate(v.stream.Stream, v.lane)
	return journal.Step{
		Origin: journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub},
		Expect: []eventstore.Expect{{Aggregate: lane, Version: v.row.version}, v.law.Expect()},
		Guard:  guard, Day: v.day,
		Events: []journal.New{{Event: event, Aggregate: lane, Cause: eventstore.NoCause}},
	}
}

// permitted is what of a fact may leave now under an agreement: what its own position permitted, and still does.
func (d *Delivery) permitted(v *view, position int64, agreement string, then consent.FieldSet) (journal.DisclosedItem, bool) {
	e := v.entries[position]
	change, ok := e.Event.(citizen.Change)
	if !ok { // the key was erased
		return journal.DisclosedItem{}, false
	}
	subject, _ := journal.SubjectOf(&e.Recorded)
	state := v.states[subject]
	fact := d.journal.Fact(change, v.day.Date)
	now, reason := consent.Permitted(v.law.Rules, &state.Standing, &fact, agreement, position)
	if reason != consent.None || now&then == 0 {
		return journal.DisclosedItem{}, false
	}
	current, _ := v.law.Book.Find(agreement)
	item := journal.DisclosedItem{
		Agreement: agreement, Epoch: pairwiseEpoch, Fields: now & then, Kind: KindFact, Position: position, Schema: e.Schema, Version: current.Version,
	}
	if grant, ok := state.Standing.Grant(agreement); ok {
		item.Grant = grant.Since
	}
	if link, ok := state.Standing.Link(v.stream.Ministry); ok && (current.ClientReference || current.Population == consent.PopulationLinked) {
		item.Link = link.Since
	}
	return item, true
}

// disclose is step 9 of a change's life: it gives numbers to what is due and still permitted, writes that to the log, and only then makes bytes. No
// messages and no error: nothing is due. If the process dies after the append, the numbers are given and whoever reads next redelivers them.
func (d *Delivery) disclose(ctx context.Context, stream journal.StreamOpened, lane, limit int) ([]Message, time.Time, error) {
	for range maxAttempts {
		row, err := d.state(ctx, stream.Stream, lane)
		if err != nil {
			return nil, time.Time{}, err
		}
		today := d.journal.DayOf(d.journal.Now(journal.Timing{})).Date
		rows, err := d.waiting(ctx, stream.Stream, lane, limit, today)
		if err != nil || len(rows) == 0 {
			return nil, time.Time{}, err
		}
		positions := make([]int64, len(rows))
		for i, r := range rows {
			positions[i] = r.position
		}
		v, err := d.look(ctx, stream, lane, row, positions)
		if err != nil {
			return nil, time.Time{}, err
		}
		event := journal.Disclosed{Encoder: Encoder, First: row.next, Lane: lane, Stream: stream.Stream}
		for _, r := range rows {
			if item, ok := d.permitted(v, r.position, r.agreement, r.fields); ok {
				event.Items = append(event.Items, item)
			} else {
				event.Dropped = append(event.Dropped, r.position)
			}
		}
		started := d.journal.Clock()
		_, err = d.journal.Append(ctx, v.step(event, v.guard(positions)))
		switch {
		case errors.Is(err, eventstore.ErrConflict):
			continue
		case err != nil:
			return nil, time.Time{}, err
		case len(event.Items) == 0:
			continue // only drops: there may be more behind them
		}
		messages, err := d.encode(ctx, v, event.Items, event.First, nil)
		return messages, started.Add(D), err
	}
	return nil, time.Time{}, ErrBusy
}

// encode makes the bytes of items that have consecutive numbers; recalled ones get the placeholder.
func (d *Delivery) encode(ctx context.Context, v *view, items []journal.DisclosedItem, first int64, recalled map[int64]bool) ([]Message, error) {
	people := make([]citizen.ID, len(items))
	for i, item := range items {
		people[i] = citizen.ID(v.entries[item.Position].Subject)
	}
	pairwise, err := d.pairwise(ctx, v, items, people)
	if err != nil {
		return nil, err
	}
	genesis := d.journal.Genesis()
	out := make([]Message, len(items))
	for i, item := range items {
		cursor := Cursor{Generation: genesis.Generation, Lane: v.lane, Number: first + int64(i)}
		if recalled[cursor.Number] {
			out[i] = placeholder(cursor, genesis, v.stream.Stream, pairwise[i])
			continue
		}
		c, err := d.content(v, item, cursor)
		if err != nil {
			return nil, err
		}
		c.pairwise = pairwise[i]
		if out[i], err = build(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pairwise ids of items' people. After an erasure a placeholder's key is its cursor.
func (d *Delivery) pairwise(ctx context.Context, v *view, items []journal.DisclosedItem, people []citizen.ID) ([]string, error) {
	out := make([]string, len(items))
	for i, item := range items {
		ids, err := d.journal.Pairwise(ctx, v.stream.Ministry, item.Epoch, people[i])
		if errors.Is(err, seal.ErrDestroyed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[i] = ids[0]
	}
	return out, nil
}

func (d *Delivery) content(v *view, item journal.DisclosedItem, cursor Cursor) (content, error) {
	e := v.entries[item.Position]
	change := e.Event.(citizen.Change) // permitted has looked
	row, ok := d.journal.Registry().Row(e.Type)
	if !ok {
		return content{}, fmt.Errorf("delivery: position %d has an unknown type", item.Position)
	}
	c := content{
		cursor: cursor, genesis: d.journal.Genesis(), stream: v.stream.Stream, item: item, entry: *e, data: change.Data, fields: row.FieldNames(),
		verified: change.Verified,
	}
	agreement, ok := v.law.Agreement(item.Agreement, item.Version)
	if ok && agreement.ClientReference {
		if link, linked := v.states[citizen.ID(e.Subject)].Standing.Link(v.stream.Ministry); linked {
			c.reference = link.Reference
		}
	}
	return c, nil
}
