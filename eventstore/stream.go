package eventstore

import (
	"context"
	"errors"
	"runtime"
	"time"
)

const (
	// streamFrom is from how many waiting members on they are written in two batches, the second executed while the first is committed.
	// With fewer the fixed cost of a batch outweighs it.
	streamFrom = 48
	// Over a window of so many flights the times to execute and to commit are compared. If committing took twice as long, the syncs, which
	// go one after another, are what counts, and fewer, larger batches are better: for singleBatches batches the Committer doesn't stream.
	window        = 32
	singleBatches = 256
)

// pace is how long the flights of the current window took.
type pace struct {
	flights             int
	executed, committed time.Duration
}

// flight is a batch executing and, when its gate opens, being committed in a goroutine of its own. Two are on their way at most, and the
// second's gate opens only when the first is on the log: so order and contiguity are as if there were no second.
type flight struct {
	*slot
	number int // of the slot
	gate   chan bool
	done   chan struct{} // closed when err is known
	err    error

	executed, committed time.Duration // how long it took
}

// errGrounded is the outcome of a flight whose gate never opened: nothing of it is on the log.
var errGrounded = errors.New("eventstore: the batch before was not written")

// mayStream says whether there is reason to stream, and nothing against it.
func (c *Committer) mayStream() bool {
	return c.pipe != nil && c.known && c.careful == 0 && c.single == 0 && len(c.waiting) >= c.config.StreamFrom
}

// stream writes batch after batch, each executed while the one before is being committed, until the load is gone or something speaks
// against it; then run's plain way goes on. In any case nothing is under way when it returns.
//
// If the process dies in here, the server rolls back what was not committed; the first flight may be on the log, the second is only
// if the first is.
func (c *Committer) stream() {
	var under *flight
	for {
		var next *flight
		if c.mayFollow(under) {
			next = c.takeOff(under)
		}
		switch {
		case under == nil && next == nil:
			return
		case under == nil:
			under = next
			under.gate <- true
			continue
		case next == nil && !c.landed(under):
			continue // somebody came: perhaps enough now
		}
		<-under.done
		if !c.land(under, next) {
			return
		}
		if under = next; under != nil {
			under.gate <- true
		}
	}
}

// mayFollow says whether enough members wait for a batch to follow under (or to begin with).
func (c *Committer) mayFollow(under *flight) bool {
	if under == nil {
		return c.mayStream()
	}
	return c.careful == 0 && c.single == 0 && len(c.waiting) >= len(under.plan.members)*3/4
}

// landed waits until the flight is done (true) or members have come (false).
func (c *Committer) landed(f *flight) bool {
	select {
	case <-f.done:
		return true
	case <-c.wake:
	}
	for range yields {
		runtime.Gosched()
	}
	c.fetch()
	return false
}

// takeOff plans the batch after under and lets it execute. Nil if it can't be written without asking: then its members wait again, in
// front, and the next batches ask.
func (c *Committer) takeOff(under *flight) *flight {
	f := &flight{slot: &c.slots[0], gate: make(chan bool, 1), done: make(chan struct{})}
	head, identity, following := c.head, c.identity, 0
	most := (len(c.waiting) + 1) / 2 // the other half follows
	var before *plan
	if under != nil {
		f.number = 1 - under.number
		f.slot = &c.slots[f.number]
		head, identity, following = under.build.head, under.build.identity, len(under.build.batch.Records)
		most = (len(c.waiting) + len(under.plan.members) + 1) / 2
		before = &under.plan
	}
	c.fill(f.slot, before, most)
	if len(f.plan.members) == 0 {
		return nil
	}
	batch := c.hope(f.slot, head, identity)
	if batch == nil || len(batch.Records) == 0 {
		c.again(f.slot)
		c.careful = 1
		return nil
	}
	c.batches.Add(1)
	if under != nil {
		c.ahead.Add(1)
	}
	go c.fly(f, f.plan.assumption(head.Position, following), batch)
	return f
}

// fly executes the batch and, when the gate opens, commits it.
func (c *Committer) fly(f *flight, assume *Assumption, batch *Batch) {
	defer close(f.done)
	ctx, cancel := context.WithTimeout(context.Background(), c.config.BatchTimeout)
	defer cancel()
	began := time.Now()
	f.err = c.pipe.Execute(ctx, f.number, assume, batch)
	f.executed = time.Since(began)
	open := <-f.gate
	switch {
	case f.err != nil:
	case !open:
		c.pipe.Rollback(ctx, f.number)
		f.err = errGrounded
	default:
		began = time.Now()
		f.err = c.pipe.Commit(ctx, f.number)
		f.committed = time.Since(began)
	}
}

// land settles a flight that is done. False, with nothing left under way, if it wasn't written: the one that follows, which counted on
// it, is dropped and its members wait again, in front; the batch itself is asked for if others were first.
func (c *Committer) land(f, next *flight) bool {
	if f.err == nil {
		c.measure(f)
		c.settle(f.slot, nil)
		return true
	}
	if next != nil {
		next.gate <- false
		<-next.done
		c.again(next.slot)
	}
	if errors.Is(f.err, ErrRefused) {
		c.careful = max(c.careful, 1)
		c.commit(f.slot)
	} else {
		c.settle(f.slot, f.err)
	}
	return false
}

// measure ends streaming for a while where it doesn't pay.
func (c *Committer) measure(f *flight) {
	c.pace.flights, c.pace.executed, c.pace.committed = c.pace.flights+1, c.pace.executed+f.executed, c.pace.committed+f.committed
	if c.pace.flights < window {
		return
	}
	if c.pace.committed > 2*c.pace.executed {
		c.single = singleBatches
	}
	c.pace = pace{}
}

// again puts the members of a batch that was not written back, in front of those that wait.
func (c *Committer) again(s *slot) {
	for _, m := range s.plan.members {
		m.state.Store(queued)
		m.results, m.err = nil, nil
	}
	c.waiting = append(append(make([]*member, 0, len(s.plan.members)+len(c.waiting)), s.plan.members...), c.waiting...)
	s.plan.reset()
	s.build.release()
}
