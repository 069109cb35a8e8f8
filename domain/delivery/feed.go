package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

// Delivery numbers, records and encodes what leaves for ministries. It is safe for concurrent use.
type Delivery struct {
	journal *journal.Journal
	due     due
	mu      sync.Mutex
	lanes   map[string]*laneDesk

	unguarded bool // only a test sets it: the negative control of the guard
}

// New returns a Delivery on a journal.
func New(j *journal.Journal) *Delivery {
	return &Delivery{journal: j, due: due{journal: j}, lanes: map[string]*laneDesk{}}
}

// Views are the views that delivery reads, for whoever keeps and rebuilds them.
func (d *Delivery) Views() []journal.View { return []journal.View{d.due} }

// The refusals of a read.
var (
	ErrUnknownStream = errors.New("delivery: there is no such stream")
	ErrUnknownCursor = errors.New("delivery: this cursor was never given out")
	ErrUnknownLane   = errors.New("delivery: the stream has no such lane")
)

// Page is a piece of a lane: numbers already given, or new ones, never both.
type Page struct {
	Messages []Message
	// Until is when the page's bytes must have left (D after the covering append).
	Until time.Time
}

// laneDesk lets one reader of a lane at a time in this process, and shares a new page among all who waited for it.
type laneDesk struct {
	turn    chan struct{} // holds one token
	arrived atomic.Int64  // tickets given to readers so far
	shared  *sharedPage   // owned by who has the turn, like
	pace    pace
}

// sharedPage is the last new page, for readers that had arrived before its append.
type sharedPage struct {
	first   int64
	tickets int64 // readers up to this ticket had arrived
	page    Page
}

func (d *Delivery) desk(stream string, lane int) *laneDesk {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := fmt.Sprintf("%s/%d", stream, lane)
	desk, ok := d.lanes[name]
	if !ok {
		desk = &laneDesk{turn: make(chan struct{}, 1)}
		desk.turn <- struct{}{}
		d.lanes[name] = desk
	}
	return desk
}

// Stream returns an open stream.
func (d *Delivery) Stream(ctx context.Context, name string) (journal.StreamOpened, error) {
	law, err := d.journal.CurrentLaw(ctx)
	if err != nil {
		return journal.StreamOpened{}, err
	}
	if _, ok := law.Streams[name]; !ok {
		if law, err = d.journal.FreshLaw(ctx); err != nil {
			return journal.StreamOpened{}, err
		}
	}
	if s, ok := law.Streams[name]; ok {
		return s, nil
	}
	return journal.StreamOpened{}, ErrUnknownStream
}

// Open returns a stream to someone who wants to read or answer it: its own ministry alone, and the operator to answer for it. Errors:
// ErrUnknownStream, ErrNotYours.
func (d *Delivery) Open(ctx context.Context, actor journal.Actor, name string) (journal.StreamOpened, error) {
	open, err := d.Stream(ctx, name)
	if err == nil && actor.Kind != journal.ActorOperator && (actor.Kind != journal.ActorMinistry || actor.Ministry != open.Ministry) {
		err = ErrNotYours
	}
	return open, err
}

// Next returns the page after a number (0: from the first) of at most limit messages: what was given already, redelivered; else what is
// due, disclosed; else, after waiting, nothing. A request whose context ends before the append costs nothing.
func (d *Delivery) Next(ctx context.Context, stream string, lane int, after int64, limit int, wait time.Duration) (Page, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return Page{}, err
	}
	if lane < 0 || lane >= open.Lanes {
		return Page{}, ErrUnknownLane
	}
	desk := d.desk(stream, lane)
	ticket := desk.arrived.Add(1)
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		head, err := d.journal.Head(ctx)
		if err != nil {
			return Page{}, err
		}
		page, err := d.take(ctx, desk, ticket, open, lane, after, limit)
		if err != nil || len(page.Messages) > 0 {
			return page, err
		}
		if err := d.await(patience, head.Position+1); err != nil {
			return Page{}, ctx.Err() // the caller went away, or nothing came
		}
	}
}

// await waits for the log to grow, or for the day to end, when facts may fall due.
func (d *Delivery) await(ctx context.Context, position int64) error {
	now := d.journal.Now(journal.Timing{})
	midnight, cancel := context.WithTimeout(ctx, max(d.journal.DayOf(now).Until.Sub(now), time.Second))
	defer cancel()
	if err := d.journal.Store().Wait(midnight, position); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

// take is one reader's turn at a lane.
func (d *Delivery) take(ctx context.Context, desk *laneDesk, ticket int64, stream journal.StreamOpened, lane int, after int64, limit int) (Page, error) {
	select {
	case <-desk.turn:
		defer func() { desk.turn <- struct{}{} }()
	case <-ctx.Done():
		return Page{}, ctx.Err()
	}
	if s := desk.shared; s != nil && s.first == after+1 && ticket <= s.tickets && len(s.page.Messages) <= limit && d.journal.Clock().Before(s.page.Until) {
		return s.page, nil
	}
	row, err := d.state(ctx, stream.Stream, lane)
	if err != nil {
		return Page{}, err
	}
	if after >= row.next {
		return Page{}, ErrUnknownCursor
	}
	if after < row.next-1 {
		messages, until, err := d.redeliver(ctx, &desk.pace, stream, lane, after+1, min(after+int64(limit), row.next-1))
		return Page{Messages: messages, Until: until}, err
	}
	return d.takeNew(ctx, desk, stream, lane, after, limit)
}

func (d *Delivery) takeNew(ctx context.Context, desk *laneDesk, stream journal.StreamOpened, lane int, after int64, limit int) (Page, error) {
	tickets := desk.arrived.Load() // who comes after the append has a redelivered of their own
	messages, until, err := d.disclose(ctx, &desk.pace, stream, lane, limit)
	if err != nil || len(messages) == 0 {
		return Page{}, err
	}
	page := Page{Messages: messages, Until: until}
	if first := messages[0].Cursor.Number; first != after+1 {
		// Another replica gave numbers between our look and our append: serve those first, as given.
		messages, until, err := d.redeliver(ctx, &desk.pace, stream, lane, after+1, min(after+int64(limit), first-1))
		return Page{Messages: messages, Until: until}, err
	}
	desk.shared = &sharedPage{first: after + 1, tickets: tickets, page: page}
	return page, nil
}

// After checks a cursor against a stream and returns the number to read after.
func (d *Delivery) After(cursor string, lane int) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	c, err := ParseCursor(cursor)
	if err != nil {
		return 0, err
	}
	if c.Generation != d.journal.Genesis().Generation || c.Lane != lane {
		return 0, ErrUnknownCursor
	}
	return c.Number, nil
}

// LaneStatus is how far one lane is.
type LaneStatus struct {
	Stream, Ministry string
	Lane             int
	Last             int64 // last number given; 0 for none
}

// Status lists every lane of every open stream, by name.
func (d *Delivery) Status(ctx context.Context) ([]LaneStatus, error) {
	law, err := d.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	var out []LaneStatus
	for _, s := range sortedStreams(law) {
		for lane := range s.Lanes {
			row, err := d.state(ctx, s.Stream, lane)
			if err != nil {
				return nil, err
			}
			out = append(out, LaneStatus{Stream: s.Stream, Ministry: s.Ministry, Lane: lane, Last: row.next - 1})
		}
	}
	return out, nil
}
