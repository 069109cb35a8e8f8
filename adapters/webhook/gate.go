package webhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// tripAfter is how many requests in a row an endpoint must leave unserved before it is left alone for a while.
const tripAfter = 5

// errDown and errUncounted tell a breaker how a request went.
var (
	errDown      = errors.New("webhook: the endpoint did not serve")
	errUncounted = errors.New("webhook: says nothing about the endpoint")
)

// gates stand before every request: a bound on what is under way to a ministry, so that one that is slow holds up nobody else's, and a
// circuit breaker for each endpoint, so that one that is dead is not knocked at by every lane. They are of this process alone.
type gates struct {
	slots    int
	open     time.Duration
	ministry func(stream string) string
	metrics  *metrics

	mu         sync.Mutex
	ministries map[string]chan struct{} // as many tokens as requests are under way
	endpoints  map[string]endpointGate  // by stream
}

type endpointGate struct {
	url     string
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newGates(config Config, m *metrics) *gates {
	return &gates{
		slots: config.Concurrency, open: config.Open, ministry: config.Ministry, metrics: m,
		ministries: map[string]chan struct{}{}, endpoints: map[string]endpointGate{},
	}
}

// pass calls fn if both gates let it.
func (g *gates) pass(ctx context.Context, e journal.EndpointSet, fn func() delivery.Outcome) delivery.Outcome {
	breaker := g.breaker(e)
	if breaker.State() == gobreaker.StateOpen { // takes nobody's slot
		return down(codeOpen)
	}
	return g.slot(ctx, e.Stream, func() delivery.Outcome {
		done, err := breaker.Allow()
		if err != nil { // open by now, or another request is trying it
			return down(codeOpen)
		}
		outcome := fn()
		done(verdict(outcome))
		return outcome
	})
}

// slot calls fn as one of the ministry's requests.
func (g *gates) slot(ctx context.Context, stream string, fn func() delivery.Outcome) delivery.Outcome {
	slots := g.slotsOf(g.ministry(stream))
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return fn()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return down(codeStopped)
		}
		return down(codeBusy)
	}
}

// verdict is what an outcome tells the breaker. An endpoint that asks to be left alone (429) is alive, and says itself for how long.
func verdict(o delivery.Outcome) error {
	switch {
	case o.Code == codeStopped || o.Code == codeSecret:
		return errUncounted
	case o.Down && o.RetryAfter == 0:
		return errDown
	}
	return nil
}

func (g *gates) slotsOf(ministry string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	slots := g.ministries[ministry]
	if slots == nil {
		slots = make(chan struct{}, g.slots)
		g.ministries[ministry] = slots
	}
	return slots
}

func (g *gates) breaker(e journal.EndpointSet) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	g.mu.Lock()
	defer g.mu.Unlock()
	gate, ok := g.endpoints[e.Stream]
	if !ok || gate.url != e.URL { // another endpoint has its own past
		gate = endpointGate{e.URL, g.newBreaker(e.Stream)}
		g.endpoints[e.Stream] = gate
		g.metrics.open.WithLabelValues(e.Stream).Set(0)
	}
	return gate.breaker
}

func (g *gates) newBreaker(stream string) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        stream,
		Timeout:     g.open,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsExcluded:  func(err error) bool { return errors.Is(err, errUncounted) },
		OnStateChange: func(stream string, _, to gobreaker.State) {
			open := 0.0
			if to != gobreaker.StateClosed {
				open = 1
			}
			g.metrics.open.WithLabelValues(stream).Set(open)
		},
	})
}
