package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// The refusals of a replay.
var (
	ErrReplayAsk  = errors.New("delivery: a replay begins at a cursor, at a time, or so many events before the last: name one of them")
	ErrNothing    = errors.New("delivery: nothing was given out there, so there is nothing to send again")
	ErrNoEndpoint = errors.New("delivery: this stream is pushed to no endpoint")
)

// ReplayAsk says what of a stream is to be sent again. One of From, Since and Last is set.
type ReplayAsk struct {
	From  Cursor    // the first event; its lane is the replay's
	Since time.Time // every lane's events that were given out at or after it
	Last  int64     // so many events of every lane
	To    Cursor    // with From: the last event, of the same lane; zero for the last that was given out
	Side  bool      // to the stream's side topic instead of to where the stream goes
}

// ReplayPart is what a replay sends of one lane, ends included. Recalled of them are placeholders: nothing of them may leave any more.
type ReplayPart struct {
	Lane     int
	From, To int64
	Recalled int64
}

// PreviewReplay says what a replay would send now, by the law of now, and changes nothing. Errors: ErrUnknownStream, ErrNotYours,
// ErrReplayAsk, ErrUnknownCursor, ErrNothing, ErrNoEndpoint.
func (d *Delivery) PreviewReplay(ctx context.Context, actor journal.Actor, stream string, ask ReplayAsk) ([]ReplayPart, error) {
	open, parts, err := d.replayParts(ctx, actor, stream, ask)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		if parts[i].Recalled, err = d.countRecalled(ctx, open, &parts[i]); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// Replay asks that given numbers are sent again: to the stream's endpoint, by its couriers, or to its side topic, by the Replayer. Before each
// leaves it is judged again, and the log says so. The parts' Recalled is not counted. Errors: those of PreviewReplay, and
// eventstore.ErrCommandReused.
func (d *Delivery) Replay(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, ask ReplayAsk) ([]ReplayPart, error) {
	_, parts, err := d.replayParts(ctx, actor, stream, ask)
	if err != nil {
		return nil, err
	}
	target := journal.ReplayStream
	if ask.Side {
		target = journal.ReplaySide
	}
	step := commandStep(actor, command)
	for _, p := range parts {
		step.Events = append(step.Events, journal.New{
			Event:     journal.ReplayAsked{From: p.From, Lane: p.Lane, Stream: stream, Target: target, To: p.To},
			Aggregate: journal.StreamAggregate(stream), Cause: eventstore.NoCause,
		})
	}
	_, err = d.journal.Append(ctx, step)
	return parts, err
}

func (d *Delivery) replayParts(ctx context.Context, actor journal.Actor, stream string, ask ReplayAsk) (journal.StreamOpened, []ReplayPart, error) {
	open, err := d.Open(ctx, actor, stream)
	if err != nil {
		return open, nil, err
	}
	if !ask.Side {
		now, err := d.settings(ctx, stream)
		if err != nil {
			return open, nil, err
		}
		if now.Endpoint == nil {
			return open, nil, ErrNoEndpoint
		}
	}
	ways := 0
	for _, set := range []bool{ask.From != Cursor{}, !ask.Since.IsZero(), ask.Last > 0} {
		if set {
			ways++
		}
	}
	if ways != 1 || ask.Last < 0 || (ask.To != Cursor{} && ask.From == Cursor{}) {
		return open, nil, ErrReplayAsk
	}
	var parts []ReplayPart
	for lane := range open.Lanes {
		part, err := d.replayPart(ctx, open, lane, ask)
		if err != nil {
			return open, nil, err
		}
		if part.From <= part.To {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return open, nil, ErrNothing
	}
	return open, parts, nil
}

// replayPart is a lane's part; it is empty (From > To) where the lane has none.
func (d *Delivery) replayPart(ctx context.Context, open journal.StreamOpened, lane int, ask ReplayAsk) (ReplayPart, error) {
	row, err := d.state(ctx, open.Stream, lane)
	if err != nil {
		return ReplayPart{}, err
	}
	part := ReplayPart{Lane: lane, From: 1, To: row.next - 1}
	switch {
	case ask.From != Cursor{}:
		for _, c := range []Cursor{ask.From, ask.To} {
			if c != (Cursor{}) && (c.Generation != d.journal.Genesis().Generation || c.Lane != ask.From.Lane || c.Lane >= open.Lanes ||
				c.Lane == lane && c.Number >= row.next) {
				return part, ErrUnknownCursor
			}
		}
		if part.From = ask.From.Number; ask.From.Lane != lane {
			part.To = 0 // another lane's
		} else if ask.To != (Cursor{}) {
			part.To = ask.To.Number
		}
	case ask.Last > 0:
		part.From = max(row.next-ask.Last, 1)
	default:
		part.From, err = d.firstSince(ctx, open.Stream, lane, row.next, ask.Since)
	}
	return part, err
}

// firstSince is the first number below next that was given at or after a time; next if there is none. Numbers rise with time, so it is
// searched for by halves.
func (d *Delivery) firstSince(ctx context.Context, stream string, lane int, next int64, since time.Time) (int64, error) {
	var failed error
	found := sort.Search(int(next-1), func(i int) bool {
		if failed != nil {
			return true
		}
		numbers, err := d.given(ctx, stream, lane, int64(i)+1, int64(i)+1)
		if err != nil {
			failed = err
			return true
		}
		return !numbers[0].at.Before(since)
	})
	return int64(found) + 1, failed
}

const replayPage = 500 // small enough that what is new gets its turn at the lane soon

// countRecalled judges a part's numbers as a replay would.
func (d *Delivery) countRecalled(ctx context.Context, open journal.StreamOpened, part *ReplayPart) (recalled int64, err error) {
	for from := part.From; from <= part.To; from += replayPage {
		at, err := d.laneAt(ctx, open.Stream, part.Lane)
		if err != nil {
			return 0, err
		}
		numbers, err := d.given(ctx, open.Stream, part.Lane, from, min(from+replayPage-1, part.To))
		if err != nil {
			return 0, err
		}
		v, err := d.look(ctx, open, part.Lane, at.laneRow, givenPositions(numbers), basis{head: at.head})
		if err != nil {
			return 0, err
		}
		for i := range numbers {
			if numbers[i].recalled || !d.unchanged(v, numbers[i].item) {
				recalled++
			}
		}
	}
	return recalled, nil
}

// ReplayStatus is a replay to the side and how far it is.
type ReplayStatus struct {
	ID       int64 // position of what asked for it
	Lane     int
	From, To int64
	Last     int64 // the last number that is there; From-1 if none
}

// Done says whether all of it is there.
func (r *ReplayStatus) Done() bool { return r.Last >= r.To }

// Name is the replay's name at its place.
func (r *ReplayStatus) Name() string { return strconv.FormatInt(r.ID, 10) }

// Replays lists the replays to a stream's side topic, the oldest first. Errors: ErrUnknownStream.
func (d *Delivery) Replays(ctx context.Context, stream string) ([]ReplayStatus, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	if err := d.catchUpStreams(ctx); err != nil {
		return nil, err
	}
	var out []ReplayStatus
	for lane := range open.Lanes {
		rows, err := d.journal.Store().Scan(ctx, streams{}.Name(), laneKey('b', stream, lane), journal.LaneKey('b', stream, lane, 1<<62), 0, false)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			r := ReplayStatus{Lane: lane, ID: int64(binary.BigEndian.Uint64(row.Key[len(row.Key)-8:]))}
			if r.From, r.To, err = decodeRange(row.Value); err != nil {
				return nil, err
			}
			if r.Last, err = d.replayed(ctx, &r); err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b ReplayStatus) int { return int(a.ID - b.ID) })
	return out, nil
}

// replayView holds, by a replay's id, the last number that is there. It has no checkpoint: nothing is folded into it.
const replayView = "replays"

func replayKey(id int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func (d *Delivery) replayed(ctx context.Context, r *ReplayStatus) (int64, error) {
	values, err := d.journal.Store().Get(ctx, replayView, replayKey(r.ID))
	if err != nil || len(values[0]) != 8 {
		return r.From - 1, err
	}
	return int64(binary.BigEndian.Uint64(values[0])), nil
}

func (d *Delivery) noteReplayed(ctx context.Context, id, last int64) error {
	row := eventstore.Row{View: replayView, Key: replayKey(id), Value: binary.BigEndian.AppendUint64(nil, uint64(last))}
	return d.journal.Store().Commit(ctx, replayView, 0, 0, []eventstore.Row{row})
}
