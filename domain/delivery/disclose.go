package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// D is how long after the covering append (disclosed or redelivered) bytes may leave. Later, they need a new redelivered.
const D = 10 * time.Second

// pairwiseEpoch is the epoch of new pairwise ids. Old epochs stay derivable.
const pairwiseEpoch = 1

const maxAttempts = 50

// ErrBusy is the answer when others kept appending to a lane; ask again.
var ErrBusy = errors.New("delivery: another reader of this lane was first too often; try again")

// errGiven: another process gave numbers meanwhile, so that these are to be sent first.
var errGiven = errors.New("delivery: another reader of this lane was first")

// disclose is step 9 of a change's life: it gives numbers to what is due and still permitted, writes that to the log, and only then makes bytes. No
// messages and no error: nothing is due as of the head that it returns. If the process dies after the append, the numbers are given and whoever
// reads next redelivers them.
func (d *Delivery) disclose(ctx context.Context, pace *pace, stream journal.StreamOpened, lane int, at laneAt, limit int) (Page, int64, error) {
	var dropped *dueRow // the first of the last round, if it gave no number
	for first, conflicts, again := at.next, 0, false; conflicts < maxAttempts; again = true {
		rows, err := d.dueAt(ctx, stream, lane, &at, pace.of(limit), again)
		if err == nil && at.next != first {
			err = errGiven
		}
		if err != nil || len(rows) == 0 {
			return Page{}, at.head, err
		}
		if dropped != nil && *dropped == rows[0] {
			return Page{}, at.head, errRow // what was dropped is due again: on and on
		}
		by := basis{head: at.head, remember: conflicts == 0}
		v, err := d.look(ctx, stream, lane, at.laneRow, positionsOf(rows), by)
		if err != nil {
			return Page{}, at.head, err
		}
		event, err := d.judgeAll(ctx, v, rows, limit)
		if err != nil {
			return Page{}, at.head, err
		}
		started := d.journal.Clock()
		_, err = d.journal.Append(ctx, d.step(v, event))
		switch {
		case errors.Is(err, eventstore.ErrConflict):
			if conflicts++; !by.remember {
				pace.slower(err, len(rows))
			}
			continue
		case err != nil:
			return Page{}, at.head, err
		}
		if pace.faster(); len(event.Items) == 0 {
			conflicts, dropped = 0, &rows[0] // only drops: there may be more behind them
			continue
		}
		messages, err := d.letOut(ctx, v, event.Items, event.First, nil)
		return Page{Messages: messages, Until: started.Add(D)}, at.head, err
	}
	return Page{}, at.head, ErrBusy
}

// dueAt returns up to limit rows of a lane that are due, and brings what is known of the lane up to date: at the beginning if it is read again,
// and where there are none, for another process may have given them numbers since.
func (d *Delivery) dueAt(ctx context.Context, stream journal.StreamOpened, lane int, at *laneAt, limit int, again bool) (rows []dueRow, err error) {
	if again {
		if *at, err = d.laneAt(ctx, stream.Stream, lane); err != nil {
			return nil, err
		}
	}
	today := d.journal.DayOf(d.journal.Now(journal.Timing{})).Date
	if at.earliest != 0 && at.earliest <= today {
		if err := d.wake(ctx, stream.Stream, lane, today); err != nil {
			return nil, err
		}
	}
	if rows, err = d.waiting(ctx, stream.Stream, lane, limit, today); err == nil && len(rows) == 0 {
		*at, err = d.viewedLane(ctx, stream.Stream, lane, at.head)
	}
	return rows, err
}

// pace is how many numbers a lane's next step is about: 0 for as many as are asked for. Where people of a page have something restricted while
// it is judged, again and again, a smaller page has fewer of whom that can happen: so a lane gets on however many withdraw at once.
type pace struct{ most int }

// of bounds what is asked for.
func (p *pace) of(limit int) int {
	if p.most > 0 {
		return min(limit, p.most)
	}
	return limit
}

// slower answers a conflict over n numbers.
func (p *pace) slower(err error, n int) {
	var conflict *eventstore.Conflict
	if errors.As(err, &conflict) && conflict.Kind == eventstore.ConflictGuard {
		p.most = max(1, n/2)
	}
}

// faster follows a success.
func (p *pace) faster() {
	if p.most *= 2; p.most > maxPace {
		p.most = 0
	}
}

// maxPace is from where on a pace is no bound any more: the largest page that can be asked for.
const maxPace = 10_000

// positionsOf are the distinct positions that rows are judged by.
func positionsOf(rows []dueRow) []int64 {
	out := make([]int64, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].position)
		if rows[i].order != rows[i].position {
			out = append(out, rows[i].order)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// judgeAll makes one disclosed of due rows, with at most limit items: what then is left of the last place stays due, unless something was
// dropped there, for that clears the place.
func (d *Delivery) judgeAll(ctx context.Context, v *view, rows []dueRow, limit int) (journal.Disclosed, error) {
	event := journal.Disclosed{Encoder: Encoder, First: v.row.next, Lane: v.lane, Stream: v.stream.Stream}
	for i := range rows {
		r := &rows[i]
		if len(event.Items) >= limit && !droppedAt(&event, r) {
			break
		}
		item, ok, err := d.judge(ctx, v, r)
		switch {
		case err != nil:
			return event, err
		case item.Kind == KindSynthetic:
			event.Items = append(event.Items, item)
		case ok:
			v.page[r.root] = append(v.page[r.root], givenRow{
				root: r.root, stream: v.stream.Stream, lane: v.lane, number: event.First + int64(len(event.Items)), kind: placeOf(item.Kind),
				version: item.Version, agreement: item.Agreement,
			})
			event.Items = append(event.Items, item)
		case r.order == r.position:
			v.withhold(r.position)
			event.Dropped = append(event.Dropped, r.position)
		default:
			v.withhold(r.position)
			event.DroppedItems = append(event.DroppedItems, journal.DroppedItem{Cause: r.order, Position: r.position})
		}
	}
	event.Dropped = slices.Compact(event.Dropped)
	event.DroppedItems = slices.Compact(event.DroppedItems)
	return event, nil
}

func droppedAt(d *journal.Disclosed, r *dueRow) bool {
	if r.order == r.position {
		return slices.Contains(d.Dropped, r.position)
	}
	return slices.Contains(d.DroppedItems, journal.DroppedItem{Cause: r.order, Position: r.position})
}
