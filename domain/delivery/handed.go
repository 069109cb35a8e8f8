package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Handed is what one stream was given of a citizen: values, not the notices about them. It is outside the hub, and what becomes
// of it is the ministry's duty.
type Handed struct {
	Stream, Ministry string
	Events           int       // how many numbers held values
	First, Last      time.Time // when the first and the last of them were given
}

// HandedOver says what of a citizen had been let out under an agreement, or under any if it is empty, before a position, by stream. If a
// withdrawal or an erasure stands there, that is all of it, though the last of it may be on its way for D. What was let out under ids that were
// merged into theirs counts with it.
func (d *Delivery) HandedOver(ctx context.Context, id citizen.ID, agreement string, before int64) ([]Handed, error) {
	ids, err := journal.NewRelatives(d.journal).MergedInto(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []Handed
	for _, id := range append(ids, id) {
		given, err := journal.NewTrail(d.journal).Given(ctx, id)
		if err != nil {
			return nil, err
		}
		for i := range given {
			g := &given[i]
			if g.Position >= before || (agreement != "" && g.Item.Agreement != agreement) || placeOf(g.Item.Kind) != placeValue {
				continue
			}
			if out, err = d.handed(ctx, out, g); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// handed counts one given value with its stream's.
func (d *Delivery) handed(ctx context.Context, out []Handed, g *journal.Given) ([]Handed, error) {
	at := slices.IndexFunc(out, func(h Handed) bool { return h.Stream == g.Stream })
	if at < 0 {
		open, err := d.Stream(ctx, g.Stream)
		if err != nil {
			return nil, err
		}
		at, out = len(out), append(out, Handed{Stream: g.Stream, Ministry: open.Ministry, First: g.At, Last: g.At})
	}
	h := &out[at]
	h.Events++
	if g.At.Before(h.First) {
		h.First = g.At
	}
	if g.At.After(h.Last) {
		h.Last = g.At
	}
	return out, nil
}
