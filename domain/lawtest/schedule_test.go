package lawtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// schedule runs tasks so that only one goes on between two calls of the store, and which one is drawn: a random interleaving, made again by
// its seed. A task that waits for another inside the process (a lock) gives its turn up after a moment.
type schedule struct {
	mu      sync.Mutex
	waiting []*task
	changed chan struct{}
}

type task struct {
	turn     chan struct{}
	schedule *schedule
}

type taskKey struct{}

// pause waits for the turn of the task that ctx belongs to; whoever is no task passes.
func pause(ctx context.Context) {
	t, ok := ctx.Value(taskKey{}).(*task)
	if !ok {
		return
	}
	t.schedule.wait(t)
	<-t.turn
}

func (s *schedule) wait(t *task) {
	s.mu.Lock()
	s.waiting = append(s.waiting, t)
	s.mu.Unlock()
	s.tell()
}

func (s *schedule) tell() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// blocked is how long a task may hold its turn without calling the store before another gets one.
const blocked = 20 * time.Millisecond

// late is how many turns a task may begin after the others: a short one would else always be over before a long one judges.
const late = 12

// run interleaves tasks and returns once all have ended.
func run(ctx context.Context, random *rand.Rand, tasks ...func(context.Context)) {
	s := &schedule{changed: make(chan struct{}, 1)}
	var mu sync.Mutex
	going := len(tasks)
	for _, f := range tasks {
		t := &task{turn: make(chan struct{}), schedule: s}
		turns := 1 + random.IntN(late) // drawn here: the tasks themselves draw nothing
		go func() {
			own := context.WithValue(ctx, taskKey{}, t)
			for range turns {
				pause(own)
			}
			f(own)
			mu.Lock()
			going--
			mu.Unlock()
			s.tell()
		}()
	}
	left := func() int { mu.Lock(); defer mu.Unlock(); return going }
	for s.settle(left) {
		s.mu.Lock()
		i := random.IntN(len(s.waiting))
		next := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.mu.Unlock()
		next.turn <- struct{}{}
	}
}

// settle waits until every task that is left waits for its turn, or some do and the others have gone on for too long without calling the
// store. It is false once none is left.
func (s *schedule) settle(left func() int) bool {
	timeout := time.NewTimer(blocked)
	defer timeout.Stop()
	overdue := false
	for {
		s.mu.Lock()
		ready := len(s.waiting)
		s.mu.Unlock()
		all := left()
		if all == 0 {
			return false
		}
		if ready == all || overdue && ready > 0 {
			return true
		}
		select {
		case <-s.changed:
		case <-timeout.C:
			overdue = true
		}
	}
}

// stepped is a store whose every call waits for its task's turn. What was appended is noted at once: the checker must know what an
// erasure will close.
type stepped struct {
	eventstore.Store
	note func(results []eventstore.Result)
}

func (s stepped) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	pause(ctx)
	results, err := s.Store.Append(ctx, appends...)
	if err == nil {
		s.note(results)
	}
	return results, err
}

func (s stepped) ReadAggregates(ctx context.Context, aggregates ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	pause(ctx)
	return s.Store.ReadAggregates(ctx, aggregates...)
}

func (s stepped) ReadAggregate(ctx context.Context, a eventstore.Aggregate, from int32, limit int) ([]eventstore.Recorded, error) {
	pause(ctx)
	return s.Store.ReadAggregate(ctx, a, from, limit)
}

func (s stepped) Head(ctx context.Context) (eventstore.Head, error) {
	pause(ctx)
	return s.Store.Head(ctx)
}

func (s stepped) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	pause(ctx)
	return s.Store.Commit(ctx, view, from, to, rows)
}

// unguarded is a store that forgets every guard: the negative control of a withdrawal's race.
type unguarded struct{ eventstore.Store }

func (s unguarded) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	for i := range appends {
		appends[i].Guard = eventstore.Guard{}
	}
	return s.Store.Append(ctx, appends...)
}

// blind is a store that shows no restriction to who reads people's aggregates: the negative control of protection. The log itself has
// them.
type blind struct{ eventstore.Store }

func (s blind) ReadAggregates(ctx context.Context, aggregates ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	all, err := s.Store.ReadAggregates(ctx, aggregates...)
	for i := range all {
		for k := range all[i] {
			if all[i][k].Type == journal.TypeRestrictionSet { // its place is taken by the first decided, so that versions still count
				all[i][k] = all[i][1]
			}
		}
	}
	return all, err
}
