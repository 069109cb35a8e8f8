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
	steered map[string]settingsAt // by stream, as far as this process has read

	unguarded bool // only a test sets it: the negative control of the guard
}

// New returns a Delivery on a journal.
func New(j *journal.Journal) *Delivery {
	return &Delivery{journal: j, due: due{journal: j}, lanes: map[string]*laneDesk{}, steered: map[string]settingsAt{}}
}

// Views are the views that delivery reads, for whoever keeps and rebuilds them.
func (d *Delivery) Views() []journal.View { return []journal.View{d.due, streams{}, lag{}} }

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

// laneDesk lets one reader of a lane at a time in this process, and shares a new page among all who waited for it. Of those who wait, one
// watches the log for all: ten thousand idle readers cost no more queries than one.
type laneDesk struct {
	turn    chan struct{} // holds one token
	watch   chan struct{} // holds one token: the watcher's
	arrived atomic.Int64  // tickets given to readers so far
	shared  *sharedPage   // owned by who has the turn, like
	pace    pace

	mu    sync.Mutex
	fresh chan struct{} // closed when a page is shared
	seen  int64         // nothing was due when the log's head was here
}

// news is closed when the next page is shared.
func (d *laneDesk) news() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fresh
}

// share keeps a new page for those who wait, and wakes them. The caller has the turn.
func (d *laneDesk) share(page *sharedPage) {
	d.shared = page
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.fresh)
	d.fresh = make(chan struct{})
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
		desk = &laneDesk{turn: make(chan struct{}, 1), watch: make(chan struct{}, 1), fresh: make(chan struct{})}
		desk.turn <- struct{}{}
		desk.watch <- struct{}{}
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
// due, disclosed; else, after waiting, nothing. A request whose context ends before the append costs nothing. ErrPaused while the stream is
// paused.
func (d *Delivery) Next(ctx context.Context, stream string, lane int, after int64, limit int, wait time.Duration) (Page, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return Page{}, err
	}
	if lane < 0 || lane >= open.Lanes {
		return Page{}, ErrUnknownLane
	}
	r := reader{d: d, desk: d.desk(stream, lane), stream: open, lane: lane, after: after, limit: limit}
	r.ticket = r.desk.arrived.Add(1)
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		news := r.desk.news() // before the look: what is shared after it can't be missed
		page, err := r.look(ctx)
		if err != nil || len(page.Messages) > 0 {
			return page, err
		}
		select {
		case <-news:
		case <-r.desk.watch:
			defer func() { r.desk.watch <- struct{}{} }()
			return r.watch(ctx, patience)
		case <-patience.Done():
			return Page{}, ctx.Err()
		}
	}
}

// nothing notes that nothing was due up to a position; unseen is the first one after.
func (d *laneDesk) nothing(position int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = max(d.seen, position)
}

func (d *laneDesk) unseen() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen + 1
}

// reader is one call of Next.
type reader struct {
	d      *Delivery
	desk   *laneDesk
	ticket int64
	stream journal.StreamOpened
	lane   int
	after  int64
	limit  int
}

// look takes the lane's turn once: what was shared meanwhile, else what the log holds. It notes up to where nothing was due.
func (r *reader) look(ctx context.Context) (Page, error) {
	select {
	case <-r.desk.turn:
		defer func() { r.desk.turn <- struct{}{} }()
	case <-ctx.Done():
		return Page{}, ctx.Err()
	}
	if s := r.desk.shared; s != nil && s.first == r.after+1 && r.ticket <= s.tickets && len(s.page.Messages) <= r.limit &&
		r.d.journal.Clock().Before(s.page.Until) {
		return s.page, nil
	}
	page, head, err := r.take(ctx)
	if err == nil && len(page.Messages) == 0 {
		r.desk.nothing(head)
	}
	return page, err
}

// watch looks again whenever the log has grown, until there is something or patience ends. The caller is the lane's watcher.
func (r *reader) watch(ctx, patience context.Context) (Page, error) {
	for {
		if err := r.d.await(patience, r.desk.unseen()); err != nil {
			return Page{}, ctx.Err() // the caller went away, or nothing came
		}
		page, err := r.look(ctx)
		if err != nil || len(page.Messages) > 0 {
			return page, err
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

// take gives what follows a number, or nothing as of a head; the caller has the lane's turn.
func (r *reader) take(ctx context.Context) (page Page, head int64, err error) {
	if err := r.d.paused(ctx, r.stream.Stream, true); err != nil {
		return Page{}, 0, err
	}
	for range maxAttempts {
		at, err := r.d.laneAt(ctx, r.stream.Stream, r.lane)
		if err != nil {
			return Page{}, 0, err
		}
		if r.after >= at.next {
			return Page{}, 0, ErrUnknownCursor
		}
		if r.after < at.next-1 {
			page, err := r.d.redeliver(ctx, &r.desk.pace, r.stream, r.lane, at, r.after+1, min(r.after+int64(r.limit), at.next-1))
			return page, 0, err
		}
		tickets := r.desk.arrived.Load() // who comes after the append has a redelivered of their own
		page, head, err := r.d.disclose(ctx, &r.desk.pace, r.stream, r.lane, at, r.limit)
		switch {
		case errors.Is(err, errGiven):
			continue
		case err == nil && len(page.Messages) > 0:
			r.desk.share(&sharedPage{first: r.after + 1, tickets: tickets, page: page})
		case err == nil:
			err = r.d.paused(ctx, r.stream.Stream, false)
		}
		return page, head, err
	}
	return Page{}, 0, ErrBusy
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
