package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

const (
	// singles is how many events are let out at once, at most, to an endpoint that takes one a request, and singly how many of these requests
	// are under way at once, each about another person.
	singles = 64
	singly  = 8
	// fair is what time a request has at least. Before it would have less, no more are begun: that it was cut off would be our fault.
	fair = D / 2
)

// courierName is the name of a courier's lease, and of the view that holds its ledger.
func courierName(stream string, lane int) string { return fmt.Sprintf("courier/%s/%d", stream, lane) }

// session is step 10 of a change's life: one time of holding the lease. It begins as after a crash, so that recovery is the way that is always
// walked: what is held is read from rows, and sent again where its outcome is not known.
func (c *courier) session(ctx context.Context) error {
	store, name := c.delivery.journal.Store(), courierName(c.stream.Stream, c.lane)
	now, err := c.delivery.settings(ctx, c.stream.Stream)
	if err != nil {
		return err
	}
	if now.Paused || now.Endpoint == nil {
		return errAsleep
	}
	acquired, err := store.Acquire(ctx, name, c.Owner, leaseTTL)
	if err != nil || !acquired {
		return err
	}
	defer func() {
		_ = store.Release(context.WithoutCancel(ctx), name, c.Owner)
		c.gauges.held.Set(0) // it is another's to say
	}()
	l, err := c.load(ctx, store, name)
	if err != nil {
		return err
	}
	renewed := c.delivery.journal.Clock()
	for look := true; ; {
		if at := c.delivery.journal.Clock(); at.Sub(renewed) >= pushWait {
			if acquired, err = store.Acquire(ctx, name, c.Owner, leaseTTL); err != nil || !acquired {
				return err
			}
			renewed = at
		}
		if now, err = c.delivery.settings(ctx, c.stream.Stream); err != nil {
			return err
		}
		if now.Paused || now.Endpoint == nil {
			return errAsleep
		}
		if look {
			if err := c.lookAgain(ctx, l); err != nil {
				return err
			}
		}
		if look, err = c.round(ctx, l, *now.Endpoint); err != nil {
			return err
		}
		c.gauges.held.Set(float64(len(l.held)))
	}
}

// load opens the ledger and finds again who is behind whom.
func (c *courier) load(ctx context.Context, store eventstore.Store, name string) (*ledger, error) {
	l, err := openLedger(ctx, store, name, c.delivery.journal.Genesis().Generation)
	if err != nil {
		return nil, err
	}
	row, err := c.delivery.state(ctx, c.stream.Stream, c.lane)
	if err != nil {
		return nil, err
	}
	if l.generation > c.delivery.journal.Genesis().Generation || l.taken >= row.next {
		return nil, ErrAhead
	}
	keys, err := c.keys(ctx, slices.Sorted(maps.Keys(l.held)))
	if err != nil {
		return nil, err
	}
	for number, h := range l.held {
		h.key = keys[number]
		l.chain(number, h.key)
	}
	return l, nil
}

// round does what can be done now: it parks what is given up, tries what is held and due, and sends what is new. It waits where there is
// nothing, and says whether it was roused meanwhile.
func (c *courier) round(ctx context.Context, l *ledger, endpoint journal.EndpointSet) (roused bool, err error) {
	if err := c.takeUp(ctx, l); err != nil {
		return false, err
	}
	if err := c.park(ctx, l); err != nil {
		return false, err
	}
	select {
	case <-c.roused:
		return true, nil
	default:
	}
	now := c.delivery.journal.Clock()
	wait, careful := c.breaker.state(now)
	if wait > 0 {
		return c.sleep(ctx, min(wait, pushWait)), nil
	}
	limit := endpoint.Batch
	if limit == 1 {
		limit = c.window
	}
	if careful {
		limit = 1
		c.probes++
	}
	e := errand{ledger: l, endpoint: endpoint, careful: careful}
	fresh := careful && c.probes%2 == 0
	from, to, due := l.ready(now, limit, fresh)
	room := c.Held - len(l.held)
	if from > 0 && fresh && l.held[from].tries() > 0 && room > 0 { // rather something that was never tried
		if came, _, err := c.next(ctx, e, l.taken, 1, 0); err != nil || came {
			return false, err
		}
	}
	wait = pushWait
	if from > 0 {
		if _, stop, err := c.next(ctx, e, from-1, int(to-from)+1, 0); err != nil || stop {
			return false, err
		}
		wait = 0
	}
	if !due.IsZero() {
		wait = max(min(wait, due.Sub(now)), 0)
	}
	if room <= 0 {
		return c.sleep(ctx, wait), nil
	}
	_, _, err = c.next(ctx, e, l.taken, min(limit, room), wait)
	return false, err
}

// errand is what a round sends by.
type errand struct {
	ledger   *ledger
	endpoint journal.EndpointSet
	careful  bool // this is a probe
}

// next sends the page after a number: given again, so that the log says so before a byte leaves, or new. It says whether there was one, and
// whether the endpoint must be left alone.
func (c *courier) next(ctx context.Context, e errand, after int64, limit int, wait time.Duration) (came, stop bool, err error) {
	page, err := c.delivery.Next(ctx, c.stream.Stream, c.lane, after, limit, wait)
	if err != nil || len(page.Messages) == 0 {
		return false, false, err
	}
	s := &sending{
		courier: c, endpoint: e.endpoint, until: page.Until, careful: e.careful, fates: map[int64]Outcome{}, stuck: e.ledger.stuck(page.Messages),
	}
	s.send(ctx, page.Messages)
	if ctx.Err() != nil {
		return true, true, ctx.Err() // what was sent is sent again: nothing was noted
	}
	c.settle(e.ledger, page.Messages, s.fates, c.quotes(ctx, page.Messages, s.fates))
	if c.window = min(2*c.window, singles); s.late { // as many as it can take in that time
		c.window = max(len(s.fates), 1)
	}
	e.ledger.take(page.Messages[len(page.Messages)-1].Cursor.Number)
	if err = e.ledger.commit(ctx); err == nil && s.gone {
		err = c.delivery.pauseGone(ctx, e.endpoint)
	}
	return true, s.down || s.gone, err
}

// settle notes what became of messages. What was not tried waits. An endpoint that is down uses up attempts only of what is first in the lane:
// so the first is given up after its whole schedule, and the others have all of theirs left. Every second probe is an event that was tried the
// least: if it is some event that brings the endpoint down, another one shows that it serves.
func (c *courier) settle(l *ledger, messages []Message, fates map[int64]Outcome, quotes map[int64][]byte) {
	now := c.delivery.journal.Clock()
	for i := range messages {
		number := messages[i].Cursor.Number
		outcome, tried := fates[number]
		if tried && outcome.Code == "" {
			if l.held[number] != nil {
				l.quote(number, nil)
			}
			l.drop(number)
			continue
		}
		h := held{number: number, key: messages[i].Key}
		if before := l.held[number]; before != nil {
			h = *before
		}
		first := l.first()
		switch {
		case !tried || outcome.Gone:
		case outcome.Down && first > 0 && first < number:
			h.next = now.Add(c.jittered(min(firstProbe<<min(h.downs, maxDoublings), maxProbe)))
			h.downs++
		default:
			h.attempts++
			h.code = outcome.Code
			l.quote(number, quotes[number])
			h.next, _ = c.retryAt(now, h.attempts, outcome.RetryAfter)
			c.Logger.Warn("an endpoint did not take an event", "stream", c.stream.Stream, "lane", c.lane, "number", number,
				"attempts", h.attempts, "code", outcome.Code)
		}
		l.hold(h)
	}
}

// lookAgain finds what was asked for again since it last looked.
func (c *courier) lookAgain(ctx context.Context, l *ledger) error {
	head, err := c.delivery.journal.Head(ctx)
	if err != nil {
		return err
	}
	asked, err := c.delivery.askedAgain(ctx, c.stream.Stream, c.lane, l.looked+1, head.Position)
	if err != nil {
		return err
	}
	for _, a := range asked {
		l.ask(a)
	}
	l.looked = head.Position
	if len(asked) == 0 {
		return nil // to look again from where it was is no harm
	}
	l.note()
	return l.commit(ctx)
}

// takeUp holds numbers that are asked for again, as many as there is room for: they begin their schedule anew.
func (c *courier) takeUp(ctx context.Context, l *ledger) error {
	for len(l.asked) > 0 && len(l.held) < c.Held/2 {
		a := l.asked[0]
		to := min(a.to, a.from+int64(c.Held/2-len(l.held))-1, l.taken)
		if to < a.from { // not taken from the lane yet: it comes anyway
			a.from = a.to + 1
			l.ask(a)
			continue
		}
		numbers := make([]int64, 0, to-a.from+1)
		for n := a.from; n <= to; n++ {
			numbers = append(numbers, n)
		}
		keys, err := c.keys(ctx, numbers)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			l.drop(n)
			l.hold(held{number: n, key: keys[n]})
		}
		a.from = to + 1
		l.ask(a)
	}
	return l.commit(ctx)
}

// park gives up what has used up its attempts. That it has was committed before, by who had the lease: if the process dies here, the next one
// parks it, unless it finds it parked.
func (c *courier) park(ctx context.Context, l *ledger) error {
	for _, h := range l.spent(len(c.Schedule)) {
		event := journal.Parked{Attempts: h.attempts, Code: h.code, From: h.number, Lane: c.lane, Stream: c.stream.Stream, To: h.number}
		if err := c.delivery.park(ctx, event); err != nil {
			return err
		}
		l.drop(h.number)
		if err := l.commit(ctx); err != nil {
			return err
		}
		c.gauges.parked.Inc()
		c.Logger.Warn("an event is parked", "stream", c.stream.Stream, "lane", c.lane, "number", h.number, "attempts", h.attempts, "code", h.code)
	}
	return nil
}
