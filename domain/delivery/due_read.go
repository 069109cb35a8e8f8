package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// state is a lane as the view knows it after catching up with the log.
func (d *Delivery) state(ctx context.Context, stream string, lane int) (laneRow, error) {
	at, err := d.laneAt(ctx, stream, lane)
	return at.laneRow, err
}

// laneAt is a lane as of a head of the log.
type laneAt struct {
	laneRow
	earliest consent.Date // that something of the lane waits for: 0 for none
	head     int64
}

func (d *Delivery) laneAt(ctx context.Context, stream string, lane int) (laneAt, error) {
	head, err := d.journal.Head(ctx)
	if err != nil {
		return laneAt{}, err
	}
	if _, err := d.journal.CatchUp(ctx, d.due, head.Position+1); err != nil {
		return laneAt{}, err
	}
	return d.viewedLane(ctx, stream, lane, head.Position)
}

// viewedLane is a lane as it stands in the view, which has caught up with a head.
func (d *Delivery) viewedLane(ctx context.Context, stream string, lane int, head int64) (at laneAt, err error) {
	values, err := d.journal.Store().Get(ctx, d.due.Name(), journal.LaneKey('l', stream, lane, 0), journal.LaneKey('v', stream, lane, 0))
	if err != nil {
		return at, err
	}
	if at.head = head; len(values[1]) == 4 {
		at.earliest = consent.Date(binary.BigEndian.Uint32(values[1]))
	}
	at.laneRow, err = decodeLaneRow(values[0])
	return at, err
}

const wakePage = 1000

// wake moves the rows whose day has come to what is due, a page at a time. A page is refused if the view has moved meanwhile: what somebody
// else has disclosed must not come back. If the process dies between two pages, the next reader goes on.
func (d *Delivery) wake(ctx context.Context, stream string, lane int, today consent.Date) error {
	store, view := d.journal.Store(), d.due.Name()
	waiting, tomorrow := laneKey('w', stream, lane), journal.LaneKey('w', stream, lane, int64(today)+1)
	for {
		at, err := store.Checkpoint(ctx, view)
		if err != nil {
			return err
		}
		rows, err := store.Scan(ctx, view, waiting, tomorrow, wakePage, false)
		if err != nil {
			return err
		}
		moved, err := awake(view, stream, lane, rows)
		if err != nil {
			return err
		}
		if len(rows) < wakePage {
			next, err := store.Scan(ctx, view, tomorrow, after(waiting), 1, false)
			if err != nil {
				return err
			}
			moved = append(moved, eventstore.Row{View: view, Key: journal.LaneKey('v', stream, lane, 0), Value: earliestOf(next, stream, lane)})
		}
		err = store.Commit(ctx, view, at, at, moved)
		if errors.Is(err, eventstore.ErrConflict) {
			continue // somebody folded on, who may have moved these rows, too
		}
		if err != nil || len(rows) < wakePage {
			return err
		}
	}
}

// waiting returns up to limit rows that are due on a day, in the lane's order. What is due at one place to several agreements of the stream is
// never parted.
func (d *Delivery) waiting(ctx context.Context, stream string, lane, limit int, today consent.Date) ([]dueRow, error) {
	var out []dueRow
	end, before := journal.LaneKey('d', stream, lane+1, 0), len(laneKey('d', stream, lane))
	for from := journal.LaneKey('d', stream, lane, 0); len(out) < limit; {
		rows, err := d.journal.Store().Scan(ctx, d.due.Name(), from, end, limit, false)
		if err != nil {
			return nil, err
		}
		for i := 0; i < len(rows) && len(out) < limit; i++ {
			r, err := decodeDue(rows[i], before)
			if err != nil {
				return nil, err
			}
			switch {
			case r.on > today: // a clock that ran ahead had thought that its day had come
			case r.kind == dueOver:
				if out, err = d.under(ctx, stream, lane, limit, out, r); err != nil {
					return nil, err
				}
			default:
				out = append(out, r)
			}
		}
		if len(rows) < limit {
			return out, nil
		}
		from = append(rows[len(rows)-1].Key, 0)
	}
	return d.together(ctx, stream, lane, out)
}

// together adds what stands at the place of a full page's last row.
func (d *Delivery) together(ctx context.Context, stream string, lane int, page []dueRow) ([]dueRow, error) {
	if law, err := d.journal.CurrentLaw(ctx); err != nil || !severalIn(law, stream) {
		return page, err
	}
	last := page[len(page)-1]
	key := last.key(stream, lane)
	rows, err := d.journal.Store().Scan(ctx, d.due.Name(), append(key, 0), after(key[:len(key)-len(last.agreement)]), 0, false)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		r, err := decodeDue(row, len(laneKey('d', stream, lane)))
		if err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, nil
}

func severalIn(law *journal.Law, stream string) bool {
	n := 0
	for _, s := range law.StreamOf {
		if s == stream {
			n++
		}
	}
	return n > 1
}

// under puts the citizens of whom something was given under an ended agreement in the place of its end, as many as there is room for. The
// end itself follows the last of them: it takes no number, and is then done.
func (d *Delivery) under(ctx context.Context, stream string, lane, limit int, out []dueRow, over dueRow) ([]dueRow, error) {
	prefix := underKey(stream, lane, over.agreement)
	rows, err := d.journal.Store().Scan(ctx, d.due.Name(), prefix, after(prefix), limit-len(out), false)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		last, err := decodeUnder(row.Value)
		if err != nil || len(row.Key) != len(prefix)+16 {
			return nil, errRow
		}
		ended := dueRow{
			order: over.order, position: last.position, agreement: over.agreement, kind: dueEnded, version: last.version, root: last.position,
			citizen: citizen.ID(row.Key[len(prefix):]),
		}
		out = append(out, ended)
	}
	if len(out) < limit {
		out = append(out, over)
	}
	return out, nil
}

// inPlace lists what was given of a lane in a fact's place, under an agreement, in the order of numbers: with what the page that is being
// made gives.
func (d *Delivery) inPlace(ctx context.Context, v *view, id citizen.ID, root int64, agreement string) ([]givenRow, error) {
	prefix := givenKey(id, root)
	rows, err := d.journal.Store().Scan(ctx, d.due.Name(), prefix, after(prefix), 0, false)
	if err != nil {
		return nil, err
	}
	all, err := decodeGivenRows(rows)
	if err != nil {
		return nil, err
	}
	var out []givenRow
	for _, g := range append(all, v.page[root]...) {
		if g.stream == v.stream.Stream && g.lane == v.lane && g.agreement == agreement {
			out = append(out, g)
		}
	}
	return out, nil
}

// numbersAbout lists all numbers that a lane gave about a citizen, in order.
func (d *Delivery) numbersAbout(ctx context.Context, v *view, id citizen.ID) ([]int64, error) {
	prefix := givenKey(id)
	rows, err := d.journal.Store().Scan(ctx, d.due.Name(), prefix, after(prefix), 0, false)
	if err != nil {
		return nil, err
	}
	all, err := decodeGivenRows(rows)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, g := range all {
		if g.stream == v.stream.Stream && g.lane == v.lane {
			out = append(out, g.number)
		}
	}
	slices.Sort(out)
	return out, nil
}
