package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tellonce/hub/domain/journal"
)

// Replayer sends replays to the side, one after the other. A lane's replays share its side topic, each event with the replay's name.
type Replayer struct {
	Delivery *Delivery
	// Side opens the place of a replay. What it returns finds by itself how far an earlier process had got.
	Side   func(stream journal.StreamOpened, lane int, replay string) Sender
	Owner  string // who holds the leases: one a process
	Logger *slog.Logger
}

// Run sends until ctx ends. What it can't send now is tried again; it returns an error only if the log can't be read.
func (r *Replayer) Run(ctx context.Context) error {
	for {
		head, err := r.Delivery.journal.Head(ctx) // before the look: what is asked for after it can't be missed
		if err != nil {
			return err
		}
		left, err := r.round(ctx)
		if err != nil {
			return err
		}
		wait, cancel := context.WithCancel(ctx)
		if left { // a place is out of reach, or another process sends: nothing tells when to try again
			wait, cancel = context.WithTimeout(ctx, retryWait)
		}
		err = r.Delivery.await(wait, head.Position+1)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !left {
			return err
		}
	}
}

// round sends what is left of all replays; left says that some of it could not be sent.
func (r *Replayer) round(ctx context.Context) (left bool, err error) {
	law, err := r.Delivery.journal.FreshLaw(ctx)
	if err != nil {
		return false, err
	}
	for _, stream := range sortedStreams(law) {
		replays, err := r.Delivery.Replays(ctx, stream.Stream)
		if err != nil {
			return false, err
		}
		for i := range replays {
			if replays[i].Done() {
				continue
			}
			switch err := r.replay(ctx, stream, &replays[i]); {
			case ctx.Err() != nil:
				return false, ctx.Err()
			case err == nil:
				continue
			case errors.Is(err, ErrPaused): // the log tells when it is resumed
			case errors.Is(err, errElsewhere):
				left = true
			default:
				r.Logger.Warn("a replay was interrupted; it goes on in a moment", "stream", stream.Stream, "lane", replays[i].Lane, "replay", replays[i].ID, "error", err)
				left = true
			}
			break // the stream's other replays stand behind it
		}
	}
	return left, nil
}

// errElsewhere: another process sends this lane's replays.
var errElsewhere = errors.New("delivery: another process has the lease of this lane's replays")

// replay sends what is left of one. If the process dies after a page is there and before that is noted, the place itself tells the next one.
func (r *Replayer) replay(ctx context.Context, stream journal.StreamOpened, replay *ReplayStatus) error {
	store, lease := r.Delivery.journal.Store(), fmt.Sprintf("replay/%s/%d", stream.Stream, replay.Lane)
	held, err := store.Acquire(ctx, lease, r.Owner, leaseTTL)
	if err != nil {
		return err
	}
	if !held {
		return errElsewhere
	}
	defer func() { _ = store.Release(context.WithoutCancel(ctx), lease, r.Owner) }()
	side := r.Side(stream, replay.Lane, replay.Name())
	cursor, err := side.TakeOver(ctx)
	if err != nil {
		return err
	}
	after := replay.From - 1
	if there, err := ParseCursor(cursor); err == nil && there.Generation == r.Delivery.journal.Genesis().Generation {
		after = max(after, there.Number)
	}
	for after < replay.To {
		if held, err = store.Acquire(ctx, lease, r.Owner, leaseTTL); err != nil || !held {
			return errElsewhere
		}
		page, err := r.Delivery.Next(ctx, stream.Stream, replay.Lane, after, int(min(replayPage, replay.To-after)), 0)
		if err != nil {
			return err
		}
		if len(page.Messages) == 0 { // the numbers were given, so this can't be
			return errRow
		}
		if err := sendBy(ctx, side, page); err != nil {
			return err
		}
		after = page.Messages[len(page.Messages)-1].Cursor.Number
		if err := r.Delivery.noteReplayed(ctx, replay.ID, after); err != nil {
			return err
		}
	}
	return r.Delivery.noteReplayed(ctx, replay.ID, after)
}

// sendBy sends a page, none of it later than its covering append allows.
func sendBy(ctx context.Context, sender Sender, page Page) error {
	ctx, cancel := context.WithDeadline(ctx, page.Until)
	defer cancel()
	return sender.Send(ctx, page.Messages)
}
