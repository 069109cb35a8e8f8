package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

// Sender is a place to which a lane is pushed, such as a partition of a topic. One process at a time sends; what fences the others off is
// the sender's own matter.
type Sender interface {
	// TakeOver makes sure that nothing of an earlier sender can arrive any more, and returns the last cursor that is there, "" if none.
	TakeOver(ctx context.Context) (last string, err error)
	// Send returns nil only when every message is there, in order. Any error means that it may or may not be: take over before more.
	Send(ctx context.Context, messages []Message) error
}

// ErrFatal marks a Sender's error that a human must look at: the lane stops.
var ErrFatal = errors.New("delivery: the lane has stopped and needs a person")

// ErrAhead refuses to send to a place that holds numbers which this log never gave: the log was restored or cut off.
var ErrAhead = errors.New("delivery: the topic is ahead of the log: this log was restored from a backup or cut off; start a new generation before sending")

// Pusher pushes one lane to a Sender.
type Pusher struct {
	Delivery *Delivery
	Stream   string
	Lane     int
	Sender   Sender
	Owner    string // who holds the lease: one a process
	Logger   *slog.Logger
}

const (
	leaseTTL  = 30 * time.Second // longer than one wait and one send
	pushLimit = 1000
	pushWait  = 5 * time.Second // renews the lease while nothing is due
	retryWait = time.Second
)

// Run pushes until ctx ends or the lane stops for good (ErrFatal, ErrAhead). Everything else is tried again: a broker that is down is a
// late delivery, not an error.
func (p *Pusher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := p.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, ErrFatal) || errors.Is(err, ErrAhead) {
			return fmt.Errorf("stream %s lane %d: %w", p.Stream, p.Lane, err)
		}
		if errors.Is(err, ErrPaused) {
			err = p.Delivery.resumed(ctx, p.Stream)
		}
		if err != nil && ctx.Err() == nil {
			p.Logger.Warn("lane interrupted; taking over again", "stream", p.Stream, "lane", p.Lane, "error", err)
		}
		select { // the lease is another's, or the place is out of reach: nothing tells when to try again
		case <-time.After(retryWait):
		case <-ctx.Done():
		}
	}
	return nil
}

// session is step 10 of a change's life: one time of holding the lease. It takes over as after a crash, so that recovery is the way that is always walked.
func (p *Pusher) session(ctx context.Context) error {
	store, lease := p.Delivery.journal.Store(), fmt.Sprintf("push/%s/%d", p.Stream, p.Lane)
	held, err := store.Acquire(ctx, lease, p.Owner, leaseTTL)
	if err != nil || !held {
		return err
	}
	defer func() { _ = store.Release(context.WithoutCancel(ctx), lease, p.Owner) }()
	after, err := p.takeOver(ctx)
	if err != nil {
		return err
	}
	for renewed := p.Delivery.journal.Clock(); ; {
		if now := p.Delivery.journal.Clock(); now.Sub(renewed) >= pushWait {
			if held, err = store.Acquire(ctx, lease, p.Owner, leaseTTL); err != nil || !held {
				return err
			}
			renewed = now
		}
		page, err := p.Delivery.Next(ctx, p.Stream, p.Lane, after, pushLimit, pushWait)
		if err != nil {
			return err
		}
		if len(page.Messages) == 0 {
			continue
		}
		if err := sendBy(ctx, p.Sender, page); err != nil {
			return err
		}
		after = page.Messages[len(page.Messages)-1].Cursor.Number
	}
}

// takeOver finds the number after which to go on.
func (p *Pusher) takeOver(ctx context.Context) (int64, error) {
	last, err := p.Sender.TakeOver(ctx)
	if err != nil || last == "" {
		return 0, err
	}
	cursor, err := ParseCursor(last)
	if err != nil {
		return 0, fmt.Errorf("%w: its last event has no cursor of ours", ErrFatal)
	}
	row, err := p.Delivery.state(ctx, p.Stream, p.Lane)
	if err != nil {
		return 0, err
	}
	if g := p.Delivery.journal.Genesis().Generation; cursor.Generation > g || (cursor.Generation == g && cursor.Number >= row.next) {
		return 0, ErrAhead
	}
	if cursor.Generation < p.Delivery.journal.Genesis().Generation {
		return 0, nil
	}
	return cursor.Number, nil
}

func sortedStreams(law *journal.Law) []journal.StreamOpened {
	out := make([]journal.StreamOpened, 0, len(law.Streams))
	for _, s := range law.Streams {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b journal.StreamOpened) int { return strings.Compare(a.Stream, b.Stream) })
	return out
}
