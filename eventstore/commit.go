package eventstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// CommitterConfig is what a Committer needs beside its Driver. Zero values are good.
type CommitterConfig struct {
	Clock        func() time.Time // default time.Now
	MaxRecords   int              // a batch closes at this many records; default 1,024. A call with more is a batch of its own
	MaxBytes     int              // … or at this many bytes of payload; default 4 MiB
	StreamFrom   int              // a PipelinedDriver is streamed to when so many calls wait; default 48, below which it doesn't pay
	BatchTimeout time.Duration    // how long one attempt to write a batch may take in the store; default 30 s
	// Committed is called after each commit that added records, before the callers are answered (it wakes followers). It must not block.
	Committed func(Head)
}

func (c CommitterConfig) withDefaults() CommitterConfig {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.MaxRecords <= 0 {
		c.MaxRecords = 1024
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 4 << 20
	}
	if c.StreamFrom <= 0 {
		c.StreamFrom = streamFrom
	}
	if c.BatchTimeout <= 0 {
		c.BatchTimeout = 30 * time.Second
	}
	if c.Committed == nil {
		c.Committed = func(Head) {}
	}
	return c
}

const (
	// carefulBatches is for how many batches the Committer asks before it writes, after another process has appended. After a member was
	// refused it is as many as the batch had members, up to this: the fewer they are, the less likely the next batch has another.
	carefulBatches = 16
	// maxAttempts bounds how often a batch is tried while other processes take its positions.
	maxAttempts = 64
	// yields is how often the Committer lets callers run before it closes a batch: no timer, so a lone caller never waits.
	yields = 3
)

// Committer is step 7 of a change's life. It coalesces concurrent appends into one transaction at a time (group commit) and holds the
// whole contract of Log.Append: it checks expectations, guards, bounds and commands, gives versions, positions and times, and hashes
// leaves. See Log.
//
// A call of Append is a member. Members that are refused harm no other member: they are left out and the others are numbered without
// gaps. A member that expects, guards or repeats what an earlier one of the same batch writes waits for the next batch.
type Committer struct {
	config   CommitterConfig
	driver   Driver
	optimist OptimisticDriver // nil if the driver is none
	pipe     PipelinedDriver  // nil if the driver is none

	mu     sync.Mutex
	queue  []*member // not yet seen by run
	closed bool
	wake   chan struct{} // holds one token when queue or closed changed
	done   chan struct{} // closed when run has returned

	// Below: only run's.
	waiting  []*member // seen, not yet in a batch, in order of arrival
	slots    [2]slot   // the first is enough but for stream
	careful  int       // batches to ask for before the next OneGo
	single   int       // batches to write before the next stream
	pace     pace
	known    bool
	head     Head // if known: the head after our last batch, nobody else having appended that we know of
	identity Identity
	versions map[Aggregate]int32 // if known: of aggregates that are written without being expected

	batches, asked, ahead, members atomic.Int64
}

// slot is a batch on its way, and the memory that the next one in it uses again.
type slot struct {
	plan  plan
	build builder
}

// Stats counts what a Committer has done since it was made.
type Stats struct {
	Batches int64 // written, or refused as a whole
	Asked   int64 // of them asked in detail before writing
	Ahead   int64 // of them executed while the one before was being committed
	Members int64 // calls of Append that were answered from these batches
}

// NewCommitter starts a committer on driver. Close ends it.
func NewCommitter(driver Driver, config CommitterConfig) *Committer {
	c := &Committer{
		config: config.withDefaults(), driver: driver, versions: map[Aggregate]int32{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.optimist, _ = driver.(OptimisticDriver)
	c.pipe, _ = driver.(PipelinedDriver)
	go c.run()
	return c
}

// member is one call of Append on its way.
type member struct {
	appends []Append
	records int
	bytes   int
	state   atomic.Int32 // queued, then picked or abandoned
	done    chan struct{}
	// Written by run before done is closed:
	results []Result
	err     error
}

const (
	queued int32 = iota
	picked
	abandoned
)

// Append is Log.Append. When ctx ends before the call is picked for a batch, nothing is appended and ctx's error is returned. When it
// ends later the batch goes on without the caller, who gets ErrUnknownOutcome.
func (c *Committer) Append(ctx context.Context, appends ...Append) ([]Result, error) {
	m := &member{appends: appends, done: make(chan struct{})}
	if err := m.validate(); err != nil || len(appends) == 0 {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.queue = append(c.queue, m)
	c.mu.Unlock()
	c.signal()
	select {
	case <-m.done:
	case <-ctx.Done():
		if m.state.CompareAndSwap(queued, abandoned) {
			return nil, ctx.Err()
		}
		select {
		case <-m.done: // answered at the same moment
		default:
			return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
		}
	}
	return m.results, m.err
}

// Close refuses new appends with ErrClosed, commits what is queued and returns when the committer has stopped.
func (c *Committer) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.done
}

// Stats returns the counts so far.
func (c *Committer) Stats() Stats {
	return Stats{Batches: c.batches.Load(), Asked: c.asked.Load(), Ahead: c.ahead.Load(), Members: c.members.Load()}
}

func (c *Committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run is the one goroutine that writes: gather, plan, commit, in this order, until closed and empty. Under load it streams.
func (c *Committer) run() {
	defer close(c.done)
	for c.gather() {
		if c.mayStream() {
			c.stream()
			continue
		}
		s := &c.slots[0]
		if c.fill(s, nil, len(c.waiting)); len(s.plan.members) > 0 {
			c.commit(s)
		}
	}
}

// gather moves queued members to waiting, waiting itself for the first one, and lets callers run a little before it returns: those that
// the last batch has just answered come back with their next append. False once closed and empty.
func (c *Committer) gather() bool {
	for {
		closed := c.fetch()
		if len(c.waiting) > 0 {
			break
		}
		if closed {
			return false
		}
		<-c.wake
	}
	for range yields {
		runtime.Gosched()
	}
	c.fetch()
	return true
}

// fetch moves what is queued to waiting and says whether the committer is closed.
func (c *Committer) fetch() (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, c.queue...)
	clear(c.queue)
	c.queue = c.queue[:0]
	return c.closed
}

// fill picks from waiting the members of the next batch, at most so many, in order, and leaves the others waiting. under is the batch that
// is still under way, if any: who depends on what it writes waits.
func (c *Committer) fill(s *slot, under *plan, most int) {
	p := &s.plan
	p.reset()
	records, size, full := 0, 0, false
	left := c.waiting[:0]
	for _, m := range c.waiting {
		fits := len(p.members) == 0 || (len(p.members) < most && records+m.records <= c.config.MaxRecords && size+m.bytes <= c.config.MaxBytes)
		if full = full || !fits; full || p.mustWait(m) || (under != nil && under.holdsUp(m)) {
			left = append(left, m)
			continue
		}
		if !m.state.CompareAndSwap(queued, picked) {
			continue // its caller has left
		}
		p.add(m, c.versions)
		records, size = records+m.records, size+m.bytes
	}
	clear(c.waiting[len(left):])
	c.waiting = left
}

// commit writes the planned batch, trying again while other processes are first, and answers its members.
//
// If the process dies in here, the batch is either wholly on the log or not at all; the callers never got an answer and repeat their
// commands.
func (c *Committer) commit(s *slot) {
	var err error
	for range maxAttempts {
		c.batches.Add(1)
		if err = c.attempt(s); !errors.Is(err, ErrRefused) {
			break
		}
		c.careful = max(c.careful, 1) // asking tells why
	}
	c.single = max(0, c.single-1)
	c.settle(s, err)
}

// settle answers the members of a batch that was written, or wasn't.
func (c *Committer) settle(s *slot, err error) {
	c.members.Add(int64(len(s.plan.members)))
	defer s.build.release()
	if err != nil {
		c.forget()
		if errors.Is(err, ErrRefused) {
			err = &Conflict{Kind: ConflictPosition}
		}
		s.plan.fail(err)
		return
	}
	c.remember(s)
	if len(s.build.batch.Records) > 0 {
		c.config.Committed(c.head)
	}
	s.plan.answer()
}

// attempt tries the batch once: in one go if nothing speaks against it, else by asking first.
func (c *Committer) attempt(s *slot) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.config.BatchTimeout)
	defer cancel()
	if c.optimist != nil && c.known && c.careful == 0 {
		if batch := c.hope(s, c.head, c.identity); batch != nil {
			return c.optimist.OneGo(ctx, s.plan.assumption(c.head.Position, 0), batch)
		}
	}
	c.asked.Add(1)
	return c.driver.Checked(ctx, &s.plan.ask, func(answer *Answer) *Batch {
		if c.careful > 0 {
			c.careful--
		}
		if c.known && c.head.Position != answer.Head.Position {
			c.forget() // someone else appends, too
		}
		batch := s.build.run(&s.plan, answer, c.config.Clock())
		if s.plan.anyFailed() || s.plan.anyRepeated() {
			c.careful = max(c.careful, min(carefulBatches, len(s.plan.members)))
		}
		return batch
	})
}

// hope numbers the batch as if everything that its members expect held. Nil if that can't be, or isn't known.
func (c *Committer) hope(s *slot, head Head, identity Identity) *Batch {
	if !s.plan.hopeful {
		return nil
	}
	batch := s.build.run(&s.plan, s.plan.hope(head, identity), c.config.Clock())
	if s.plan.anyFailed() {
		return nil
	}
	return batch
}

// forget drops what was believed of the log, because another process appends to it or an outcome is unknown.
func (c *Committer) forget() {
	c.known, c.careful = false, carefulBatches
	clear(c.versions)
}

// remember keeps what the committed batch has taught: nobody has appended since, as far as we know.
func (c *Committer) remember(s *slot) {
	c.known, c.head, c.identity = true, s.build.head, s.build.identity
	if len(c.versions) > maxRememberedVersions {
		clear(c.versions)
	}
	for i, aggregate := range s.plan.ask.Aggregates {
		if _, ok := c.versions[aggregate]; ok || s.plan.unexpected[i] {
			c.versions[aggregate] = s.build.versions[i]
		}
	}
}

const maxRememberedVersions = 4096
