package ministry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Config of a Consumer. Stream, Store and Handler must be set.
type Config struct {
	Stream  string
	Store   Store
	Handler Handler
	// Client asks the hub: for the events of Pull and Live, and for those that are missing where another source left a hole. Without it a hole
	// halts the lane.
	Client *Client
	// Receipts takes the answers; nil: Client. NoReceipts sends none.
	Receipts Receipts
	// Batch is how many events at most are handled in one transaction; 0: 100. If one of them fails, those before it are handled once more,
	// without it.
	Batch int
	// Logger gets what is worth knowing, without personal data; nil: slog.Default.
	Logger *slog.Logger
	// ReceiptPause is how long answers are gathered before they are sent; 0: 1 s.
	ReceiptPause time.Duration
	// RetryWait is the first and longest pause before something that failed is tried again; 0: 200 ms and 30 s.
	RetryWait, RetryMost time.Duration
}

// Consumer brings a stream's events to a Handler: each number once in effect, in the order of its lane. It is safe for concurrent use.
type Consumer struct {
	config  Config
	pending chan struct{} // holds a token when there may be something to answer

	mu    sync.Mutex
	lanes map[int]*lane
}

// Source brings events from somewhere to a consumer until ctx ends: Pull, Live or Subscribe.
type Source func(ctx context.Context, c *Consumer) error

// New returns a Consumer.
func New(config Config) (*Consumer, error) {
	if config.Stream == "" || config.Store == nil || config.Handler == nil {
		return nil, errors.New("ministry: a consumer needs a stream, a store and a handler")
	}
	if config.Receipts == nil {
		config.Receipts = NoReceipts
		if config.Client != nil {
			config.Receipts = config.Client
		}
	}
	if config.Batch <= 0 {
		config.Batch = 100
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	config.Logger = config.Logger.With("stream", config.Stream)
	if config.ReceiptPause <= 0 {
		config.ReceiptPause = time.Second
	}
	if config.RetryWait <= 0 {
		config.RetryWait = 200 * time.Millisecond
	}
	if config.RetryMost <= 0 {
		config.RetryMost = 30 * time.Second
	}
	return &Consumer{config: config, pending: make(chan struct{}, 1), lanes: map[int]*lane{}}, nil
}

// Run brings events from sources, and sends the receipts, until ctx ends or a source is at its end or fails; then all of it ends, and the last
// receipts are sent. With no source it sends the receipts of what a Webhook gets. The error is the first source's; nil if ctx ended.
func (c *Consumer) Run(ctx context.Context, sources ...Source) error {
	asked := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { c.answer(ctx) })
	ends := make(chan error, len(sources))
	for _, source := range sources {
		group.Go(func() {
			defer cancel()
			ends <- source(ctx, c)
		})
	}
	group.Wait()
	close(ends)
	for err := range ends { // in the order in which they ended
		if err != nil && asked.Err() == nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// The errors that halt a lane.
var (
	// ErrHole: events are missing before this one.
	ErrHole = errors.New("ministry: events are missing")
	// ErrGeneration: the hub's log began anew.
	ErrGeneration = errors.New("ministry: the hub's log began anew")
	// ErrOtherStream: the event is of another stream.
	ErrOtherStream = errors.New("ministry: the event is of another stream")
)

// HoleError says which events are missing. It is an ErrHole.
type HoleError struct {
	Have Cursor // the last event that was dealt with; zero for none
	Got  Cursor // the event that came
}

// Error says what to do.
func (e *HoleError) Error() string {
	have := e.Have.String()
	if have == "" {
		have = "none"
	}
	return fmt.Sprintf("%v: the last one here is %s, and %s came. Nothing was done with it. Give the consumer a Client, which fetches them, or have "+
		"them sent again by the hub (tellonce stream redrive for what was parked, tellonce stream replay for the rest)", ErrHole, have, e.Got)
}

// Unwrap is ErrHole.
func (e *HoleError) Unwrap() error { return ErrHole }

// Deliver brings events of one lane, in their order, to the handler; sources do it. It returns nil once each is handled, rejected or known
// already. After an error, what comes after the one that failed was not touched: deliver from there again. It tries each event once. Errors:
// ErrHole, ErrGeneration, ErrOtherStream, the Store's, the Handler's.
func (c *Consumer) Deliver(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	number := events[0].Cursor.Lane
	for i := range events {
		if events[i].Stream != c.config.Stream {
			return fmt.Errorf("%w: this consumer follows %s", ErrOtherStream, c.config.Stream)
		}
		if events[i].Cursor.Lane != number {
			return errors.New("ministry: events of several lanes were delivered at once")
		}
	}
	return c.lane(number).deliver(ctx, events)
}

// Last is the last event of a lane that was dealt with; the zero Cursor for none.
func (c *Consumer) Last(ctx context.Context, number int) (Cursor, error) {
	l := c.lane(number)
	if err := l.lock(ctx); err != nil {
		return Cursor{}, err
	}
	defer l.unlock()
	err := l.load(ctx)
	return l.progress.cursor(number), err
}

// Restart makes a lane begin a generation from its first event, after ErrGeneration, once somebody has decided what becomes of what the former
// generation told. Receipts of the former generation that were not sent yet are forgotten.
func (c *Consumer) Restart(ctx context.Context, number, generation int) error {
	l := c.lane(number)
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if err := l.load(ctx); err != nil {
		return err
	}
	return l.save(ctx, Progress{Generation: generation}, nil)
}

func (c *Consumer) lane(number int) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[number]
	if l == nil {
		l = &lane{consumer: c, number: number, turn: make(chan struct{}, 1)}
		c.lanes[number] = l
	}
	return l
}

func (c *Consumer) known() []*lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*lane, 0, len(c.lanes))
	for _, l := range c.lanes {
		out = append(out, l)
	}
	return out
}

// pause waits before the next try after so many failed ones, at least as long as was asked for. Jitter keeps many consumers apart.
func (c *Consumer) pause(ctx context.Context, tries int, atLeast time.Duration) error {
	wait := c.config.RetryMost
	if shift := tries - 1; shift < 20 && c.config.RetryWait<<shift < wait {
		wait = c.config.RetryWait << shift
	}
	wait = wait/2 + time.Duration(rand.Float64()*float64(wait/2)) // #nosec G404 -- jitter is no secret
	timer := time.NewTimer(max(wait, atLeast))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
