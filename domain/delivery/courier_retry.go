package delivery

import (
	"sync"
	"time"
)

// retrySchedule is how long each attempt to deliver an event waits after the one before, jitter not counted: ten attempts in three days and a bit.
var retrySchedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	jitter        = 0.2             // a wait is at most so much longer, so that what failed together does not come back together
	maxRetryAfter = time.Hour       // more than that an endpoint can't ask for: it may be a slip, and it is a late delivery
	firstProbe    = 5 * time.Second // how long a breaker first stays open, doubling
	maxProbe      = 5 * time.Minute
	maxDoublings  = 10
)

// retryAt is when an event is tried again that has failed so many times; ok is false if it is given up.
func (c *Couriers) retryAt(now time.Time, attempts int, after time.Duration) (next time.Time, ok bool) {
	if attempts >= len(c.Schedule) {
		return now, false
	}
	return now.Add(max(c.jittered(c.Schedule[attempts]), min(after, maxRetryAfter))), true
}

func (c *Couriers) jittered(wait time.Duration) time.Duration {
	return wait + time.Duration(jitter*c.Rand()*float64(wait))
}

// breaker is open while an endpoint as a whole does not serve: nothing is sent to it. When its time is over, single events are tried; the
// first that is accepted closes it. All lanes of a stream share one. The zero value is closed.
type breaker struct {
	mu    sync.Mutex
	until time.Time
	wait  time.Duration // how long it stayed open last; 0: it is closed
}

// state says how long it stays open from now on, and whether only single events may be tried.
func (b *breaker) state(now time.Time) (wait time.Duration, careful bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.until.Sub(now), 0), b.wait > 0
}

// open follows a failure of the endpoint as a whole. Of lanes that fail at once, the first counts.
func (b *breaker) open(now time.Time, after time.Duration, jittered func(time.Duration) time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.until) {
		return
	}
	b.wait = min(max(2*b.wait, firstProbe), maxProbe)
	b.until = now.Add(max(jittered(b.wait), min(after, maxRetryAfter)))
}

// close follows an accepted event, and whoever steers the stream.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until, b.wait = time.Time{}, 0
}
