package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Poster sends messages to an endpoint in one request: as a single event where it is one and the endpoint takes no batches, else as a batch.
// It MUST NOT send later than ctx's deadline, and is safe for concurrent use.
type Poster interface {
	Post(ctx context.Context, endpoint journal.EndpointSet, messages []Message) Outcome
}

// Outcome is how an endpoint answered a request.
type Outcome struct {
	// Code is empty if everything was accepted (2xx); else a word of ours that says what failed: "http-500", "timeout", "refused", "redirect",
	// "address-forbidden", "tls", "gone", "secret-missing" …
	Code string
	// Excerpt is the start of the answer, cleaned: nothing that the request held, no runs of digits, printable ASCII, at most 200 bytes.
	Excerpt string
	// RetryAfter is how long the endpoint asked to be left alone; 0 if it did not.
	RetryAfter time.Duration
	// Gone: the endpoint says that it is no more (410).
	Gone bool
	// Down: the endpoint as a whole did not serve (no connection, a timeout, 429, 502 to 504), which says nothing about these events.
	Down bool
}

// CourierConfig is what Couriers need.
type CourierConfig struct {
	Delivery   *Delivery
	Poster     Poster
	Owner      string // who holds the leases: one a process
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Rand       func() float64        // in [0, 1), for jitter; nil: math/rand
	Schedule   []time.Duration       // waits before the attempts of an event; nil: retrySchedule
	Held       int                   // most numbers of a lane that wait at a time; 0: 4096
}

// Couriers push the streams that have an endpoint: one courier a lane. It is Kafka's Pusher for endpoints that may refuse single events: what
// is refused is tried again by a schedule and then parked, and holds back only what follows about the same person.
type Couriers struct {
	CourierConfig
	metrics *courierMetrics

	mu       sync.Mutex
	lanes    map[string][]*courier // by stream
	breakers map[string]*breaker   // by stream
}

// NewCouriers registers the metrics. Run starts the work.
func NewCouriers(config CourierConfig) (*Couriers, error) {
	if config.Rand == nil {
		config.Rand = rand.Float64
	}
	if config.Schedule == nil {
		config.Schedule = retrySchedule
	}
	if config.Held == 0 {
		config.Held = maxHeld
	}
	metrics, err := newCourierMetrics(config.Registerer)
	return &Couriers{CourierConfig: config, metrics: metrics}, err
}

// Run pushes until ctx ends, also to endpoints that are set later. It returns an error only if the log can't be read: run it again.
func (c *Couriers) Run(ctx context.Context) error {
	j := c.Delivery.journal
	head, err := j.Head(ctx)
	if err != nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	defer func() {
		cancel()
		_ = group.Wait() // a courier logs why it stops
	}()
	c.mu.Lock()
	c.lanes, c.breakers = map[string][]*courier{}, map[string]*breaker{}
	c.mu.Unlock()
	if err := c.start(work, &group); err != nil {
		return err
	}
	return eventstore.Follow(work, j.Store(), j.Store(), head.Position+1, 1000, func(page []eventstore.Recorded) error {
		entries, err := j.Open(work, slices.DeleteFunc(page, func(r eventstore.Recorded) bool { return !rouses(r.Type) }))
		if err != nil || len(entries) == 0 {
			return err
		}
		if err := c.start(work, &group); err != nil {
			return err
		}
		for i := range entries {
			c.rouse(roused(entries[i].Event))
		}
		return nil
	})
}

// rouses says whether couriers must look at an event of a type.
func rouses(eventType string) bool {
	return steers(eventType) || eventType == journal.TypeRedriven || eventType == journal.TypeReplayAsked
}

// roused is the stream that such an event is about.
func roused(event any) string {
	switch event := event.(type) {
	case journal.StreamPaused:
		return event.Stream
	case journal.StreamResumed:
		return event.Stream
	case journal.EndpointSet:
		return event.Stream
	case journal.Redriven:
		return event.Stream
	case journal.ReplayAsked:
		return event.Stream
	}
	return ""
}

// start runs couriers for streams that have got an endpoint. They stay when it goes: asleep.
func (c *Couriers) start(ctx context.Context, group *errgroup.Group) error {
	law, err := c.Delivery.journal.FreshLaw(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, stream := range sortedStreams(law) {
		if c.lanes[stream.Stream] != nil {
			continue
		}
		settings, err := c.Delivery.settings(ctx, stream.Stream)
		if err != nil {
			return err
		}
		if settings.Endpoint == nil {
			continue
		}
		c.breakers[stream.Stream] = &breaker{}
		for lane := range stream.Lanes {
			courier := &courier{
				Couriers: c, delivery: c.Delivery, stream: stream, lane: lane, roused: make(chan struct{}, 1), breaker: c.breakers[stream.Stream],
				gauges: c.metrics.lane(stream.Stream, lane), window: singles,
			}
			c.lanes[stream.Stream] = append(c.lanes[stream.Stream], courier)
			group.Go(func() error { courier.run(ctx); return nil })
		}
	}
	return nil
}

// rouse makes a stream's couriers look at its settings and at what is asked for again. It happens when a person has done something, who wants
// to see at once what comes of it: so the breaker closes.
func (c *Couriers) rouse(stream string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.breakers[stream]; b != nil {
		b.close()
	}
	for _, courier := range c.lanes[stream] {
		courier.gauges.breaker.Set(0)
		select {
		case courier.roused <- struct{}{}:
		default: // it will look
		}
	}
}

// courier pushes one lane.
type courier struct {
	*Couriers
	delivery *Delivery
	stream   journal.StreamOpened
	lane     int
	roused   chan struct{}
	breaker  *breaker
	gauges   laneGauges
	probes   int // how many single events were tried while the breaker was open
	window   int // how many events are let out at once to an endpoint that takes one a request
}

// errAsleep ends a session that has nowhere to send to: the stream is paused or has no endpoint. Only a person changes that.
var errAsleep = errors.New("delivery: the stream is paused or has no endpoint")

// run pushes until ctx ends or the lane stops for good (ErrFatal, ErrAhead). Everything else is tried again.
func (c *courier) run(ctx context.Context) {
	logger := c.Logger.With("stream", c.stream.Stream, "lane", c.lane)
	for ctx.Err() == nil {
		err := c.session(ctx)
		wait := retryWait // the lease is another's, or the store is out of reach: nothing tells when to try again
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrFatal), errors.Is(err, ErrAhead):
			logger.Error("a courier has stopped until a person has looked and the hub is started again", "error", err)
			return
		case errors.Is(err, errAsleep), errors.Is(err, ErrPaused):
			wait = forever
		case err != nil:
			logger.Warn("a courier was interrupted; it takes over again", "error", err)
		}
		c.sleep(ctx, wait)
	}
}

const forever = time.Duration(1<<63 - 1)

// sleep waits, but wakes when it is roused: it says so.
func (c *courier) sleep(ctx context.Context, wait time.Duration) (roused bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.roused:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
