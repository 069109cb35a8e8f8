package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Handed is what one stream was given of a citizen under an agreement: values, not the notices about them. It is outside the hub, and what becomes
// of it is the ministry's duty.
type Handed struct {
	Stream, Ministry string
	Events           int       // how many numbers held values
	First, Last      time.Time // when the first and the last of them were given
}

// HandedOver says what of a citizen had been let out under an agreement before a position, by stream. If a withdrawal stands there, that is all
// of it, though the last of it may be on its way for D.
func (d *Delivery) HandedOver(ctx context.Context, id citizen.ID, agreement string, before int64) ([]Handed, error) {
	given, err := journal.NewTrail(d.journal).Given(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []Handed
	for i := range given {
		g := &given[i]
		if g.Position >= before || g.Item.Agreement != agreement || placeOf(g.Item.Kind) != placeValue {
			continue
		}
		at := slices.IndexFunc(out, func(h Handed) bool { return h.Stream == g.Stream })
		if at < 0 {
			open, err := d.Stream(ctx, g.Stream)
			if err != nil {
				return nil, err
			}
			at, out = len(out), append(out, Handed{Stream: g.Stream, Ministry: open.Ministry, First: g.At})
		}
		out[at].Events++
		out[at].Last = g.At
	}
	return out, nil
}
