package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sink is one consumer of the changes of a run. Each is known by its number, which is its street's.
type sink struct{ run atomic.Pointer[arrivals] }

// arrivals are when a run's changes came, as Unix nanoseconds; 0: not yet.
type arrivals struct {
	first   int // number of the run's first change
	at      []atomic.Int64
	came    atomic.Int64 // how many
	doubled atomic.Int64
}

// take notes an event that came. What is no change of this run is left alone: there is none but the run's.
func (s *sink) take(data []byte) {
	now := time.Now().UnixNano()
	a := s.run.Load()
	n, ok := benchNumber(data)
	if a == nil || !ok || n < a.first || n >= a.first+len(a.at) {
		return
	}
	if a.at[n-a.first].CompareAndSwap(0, now) {
		a.came.Add(1)
	} else {
		a.doubled.Add(1)
	}
}

// benchNumber finds a change's number in an event's data.
func benchNumber(data []byte) (int, bool) {
	_, street, found := bytes.Cut(data, []byte(`"street":"`))
	digits, _, spaced := bytes.Cut(street, []byte(" "))
	n, err := strconv.Atoi(string(digits))
	return n, found && spaced && err == nil
}

// telling is one run: changes told at a fixed rate.
type telling struct {
	first    int
	warm     int // so many do not count
	planned  []int64
	accepted []int64 // by their own goroutines
	refused  []error
}

// stragglers is how long is waited for what has not come when all is told.
const stragglers = 30 * time.Second

// warm tells one change and waits until all have it: views have caught up, and connections are open.
func (s *benchServer) warm(ctx context.Context, sinks []*sink) error {
	run, err := s.tell(ctx, 1, 1, sinks)
	if err != nil {
		return err
	}
	for _, one := range sinks {
		l := run.measure(one)
		if err := l.whole(); err != nil {
			return fmt.Errorf("the first change: %w", err)
		}
	}
	return nil
}

// tellAt tells changes for so many seconds and one more, which does not count.
func (s *benchServer) tellAt(ctx context.Context, rate, seconds int, sinks []*sink) (*telling, error) {
	return s.tell(ctx, rate, rate*(seconds+1), sinks)
}

// tell tells n changes at a rate, each when it is due, however many of those before are still under way, and waits until all consumers have them.
func (s *benchServer) tell(ctx context.Context, rate, n int, sinks []*sink) (*telling, error) {
	t := &telling{first: s.told, warm: rate, planned: make([]int64, n), accepted: make([]int64, n), refused: make([]error, n)}
	s.told += n
	for _, one := range sinks {
		one.run.Store(&arrivals{first: t.first, at: make([]atomic.Int64, n)})
	}
	var group sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		t.planned[i] = due.UnixNano()
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			t.refused[i] = s.hub.tellNumber(ctx, s.people[i%len(s.people)], t.first+i)
			t.accepted[i] = time.Now().UnixNano()
		})
	}
	group.Wait()
	if err := errors.Join(ctx.Err(), errors.Join(t.refused...)); err != nil {
		return nil, fmt.Errorf("a change was not accepted: %w", err)
	}
	patience, cancel := context.WithTimeout(ctx, stragglers)
	defer cancel()
	for slices.ContainsFunc(sinks, func(one *sink) bool { return int(one.run.Load().came.Load()) < n }) && patience.Err() == nil {
		time.Sleep(10 * time.Millisecond) // what is measured is noted by the consumers
	}
	return t, ctx.Err()
}

// latency is what one consumer saw of a run.
type latency struct {
	changes, lost, doubled int
	p50, p99, most         time.Duration // from the acceptance
	planned                time.Duration // p99 from when it was to be told
	accept                 time.Duration // p99 of the acceptance itself, from when it was to be told
}

func (t *telling) measure(s *sink) latency {
	a := s.run.Load()
	l := latency{changes: len(a.at), doubled: int(a.doubled.Load())}
	var came, planned, accept []time.Duration
	for i := range a.at {
		at := a.at[i].Load()
		switch {
		case at == 0:
			l.lost++
		case i >= t.warm:
			came = append(came, time.Duration(max(0, at-t.accepted[i]))) // it may come before its teller is woken
			planned = append(planned, time.Duration(at-t.planned[i]))
			accept = append(accept, time.Duration(t.accepted[i]-t.planned[i]))
		}
	}
	l.p50, l.p99, l.most = quantile(came, 50), quantile(came, 99), quantile(came, 100)
	l.planned, l.accept = quantile(planned, 99), quantile(accept, 99)
	return l
}

// quantile sorts; 100 is the greatest.
func quantile(of []time.Duration, percent int) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[min(len(of)*percent/100, len(of)-1)]
}

// whole refuses a run in which something was lost or came twice.
func (l *latency) whole() error {
	if l.lost+l.doubled > 0 {
		return fmt.Errorf("%d changes were lost and %d came twice, of %d", l.lost, l.doubled, l.changes)
	}
	return nil
}
