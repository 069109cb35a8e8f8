package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// letOut makes the bytes of what an append gave numbers or sent again. If the stream was paused before that append, they stay: whoever reads on
// after the pause gets them again.
func (d *Delivery) letOut(ctx context.Context, v *view, items []journal.DisclosedItem, first int64, recalled map[int64]bool) ([]Message, error) {
	if err := d.paused(ctx, v.stream.Stream, false); err != nil {
		return nil, err
	}
	return d.encode(ctx, v, items, first, recalled)
}

// encode makes the bytes of items that have consecutive numbers; recalled ones get the placeholder.
func (d *Delivery) encode(ctx context.Context, v *view, items []journal.DisclosedItem, first int64, recalled map[int64]bool) ([]Message, error) {
	pairwise, err := d.pairwise(ctx, v, items)
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
		c, err := d.content(ctx, v, item, cursor)
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

// pairwise ids of items' people, all at once: of whom nothing left before, a secret is made, which costs a commit. An erased is about no one
// any more; and after an erasure a placeholder's key is its cursor.
func (d *Delivery) pairwise(ctx context.Context, v *view, items []journal.DisclosedItem) ([]string, error) {
	out := make([]string, len(items))
	places := map[int32][]int{} // by epoch
	for i, item := range items {
		switch item.Kind {
		case KindErased:
		case KindSynthetic:
			out[i] = syntheticSubject(v.stream.Stream, item.Index)
		default:
			places[item.Epoch] = append(places[item.Epoch], i)
		}
	}
	for epoch, at := range places {
		people := make([]citizen.ID, len(at))
		for k, i := range at {
			people[k] = citizen.ID(v.entries[items[i].Position].Subject)
		}
		ids, err := d.journal.Pairwise(ctx, v.stream.Ministry, epoch, people...)
		if err != nil && !destroyed(err) {
			return nil, err
		}
		for k, i := range at {
			out[i] = ids[k]
		}
	}
	return out, nil
}

// destroyed says whether all that failed was of erased people.
func destroyed(err error) bool {
	var partial *seal.PartialError
	return errors.As(err, &partial) && !slices.ContainsFunc(partial.Errs, func(err error) bool { return err != nil && !errors.Is(err, seal.ErrDestroyed) })
}

// content gathers what an item's bytes depend on. It was judged that it may leave.
func (d *Delivery) content(ctx context.Context, v *view, item journal.DisclosedItem, cursor Cursor) (content, error) {
	c := content{cursor: cursor, genesis: d.journal.Genesis(), stream: v.stream.Stream, item: item}
	if placeOf(item.Kind) == placeValue {
		return c, d.values(v, &c)
	}
	c.at = v.entries[item.Order()].RecordedAt
	switch item.Kind {
	case KindSynthetic:
		return c, d.invented(v, &c)
	case KindRekeyed:
	default:
		return c, nil
	}
	ids, err := d.journal.Pairwise(ctx, v.stream.Ministry, item.Epoch, v.kept(&item).ID)
	if err == nil {
		c.kept = ids[0]
	}
	return c, err
}

func (d *Delivery) values(v *view, c *content) error {
	e := v.entries[c.item.Position]
	c.at, c.told = e.RecordedAt, v.told[c.item.Position]
	row, ok := d.journal.Registry().Row(c.told.Type)
	if !ok {
		return fmt.Errorf("delivery: position %d has an unknown type", c.item.Position)
	}
	c.fields = row.FieldNames()
	agreement, ok := v.law.Agreement(c.item.Agreement, c.item.Version)
	if ok && agreement.ClientReference {
		if link, linked := v.states[citizen.ID(e.Subject)].Standing.Link(v.stream.Ministry); linked {
			c.reference = link.Reference
		}
	}
	return nil
}
