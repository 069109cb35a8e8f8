package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tellonce/hub/eventstore"
)

// disk is what the handles of one store in memory share: the model behind a lock, and what the model leaves out (waiting, checkpoints,
// leases, visibility). With NoFault it keeps the whole contract.
type disk struct {
	mu          sync.Mutex
	model       *model
	grown       chan struct{} // closed and replaced at each append
	checkpoints map[string]int64
	leases      map[string]lease
	hidden      map[int64]bool // records that readers can't see yet: only by fault
	refuseNext  bool           // only by FaultStaleHarms
	shared      []byte         // only by FaultBytesReused
}

type lease struct {
	owner string
	until time.Time
}

// memory is one handle on a disk.
type memory struct {
	*disk
	closed chan struct{}
	once   *sync.Once
}

var _ eventstore.Store = memory{}

// inMemory is the Factory of stores in memory with one planted fault.
func inMemory(fault Fault) Factory {
	return Factory{
		Reopens:     true,
		Handles:     true,
		WakesWithin: 200 * time.Millisecond,
		Patience:    2 * time.Second,
		New: func(T) func() (eventstore.Store, error) {
			d := &disk{
				model:       newModel(fault),
				grown:       make(chan struct{}),
				checkpoints: map[string]int64{},
				leases:      map[string]lease{},
				hidden:      map[int64]bool{},
			}
			return func() (eventstore.Store, error) {
				return memory{disk: d, closed: make(chan struct{}), once: &sync.Once{}}, nil
			}
		},
	}
}

// Close forgets, by fault, what a crash would take from a store that acknowledges too early.
func (s memory) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.mu.Lock()
		defer s.mu.Unlock()
		m := s.model
		if m.has(FaultLosesLast) && len(m.records) > 1 {
			lost := m.records[len(m.records)-1]
			m.records = m.records[:len(m.records)-1]
			m.versions[lost.Aggregate]--
		}
		if m.has(FaultForgetsCommands) {
			m.commands = map[eventstore.CommandKey]known{}
		}
	})
	return nil
}

func (s memory) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return eventstore.ErrClosed
	default:
		return ctxErr(ctx)
	}
}

// rendezvous is the window of the faults that check before they lock: long enough for every concurrent caller to pass the check.
const rendezvous = 2 * time.Millisecond

// Append appends one call at a time.
func (s memory) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model.has(FaultChecksEarly) {
		appends = s.checkedEarly(appends)
	}
	if s.refuseNext {
		s.refuseNext = false
		return nil, &eventstore.Conflict{Kind: eventstore.ConflictVersion}
	}
	from := s.model.next()
	results, err := s.model.append(func(int) time.Time { return time.Now() }, appends)
	if err != nil {
		s.refuseNext = s.model.has(FaultStaleHarms)
		return nil, err
	}
	s.reveal(from)
	close(s.grown)
	s.grown = make(chan struct{})
	return results, nil
}

// checkedEarly plants FaultChecksEarly: expectations, guards and commands are looked at, then the lock is let go, and what was seen is
// trusted afterwards.
func (s memory) checkedEarly(appends []eventstore.Append) []eventstore.Append {
	trusted := slices.Clone(appends)
	for i := range trusted {
		a := &trusted[i]
		if _, known := s.model.commands[a.Command.Key]; known || s.model.identity == nil {
			return appends
		}
		if s.model.permits(a, s.model.timeOf(time.Now(), a.At)) == nil {
			a.Command, a.Expect, a.Guard = eventstore.Command{}, nil, eventstore.Guard{}
		}
	}
	s.mu.Unlock()
	time.Sleep(rendezvous)
	s.mu.Lock()
	return trusted
}

// reveal plants the faults of visibility: of the records from `from` on, the first is seen later than the others, or the caller is answered
// before anybody can read.
func (s memory) reveal(from int64) {
	if s.model.has(FaultLaterFirst) && s.model.next()-from > 1 {
		s.hidden[from] = true
		s.mu.Unlock()
		time.Sleep(rendezvous)
		s.mu.Lock()
		delete(s.hidden, from)
	}
	if s.model.has(FaultSeenLate) {
		for p := from; p < s.model.next(); p++ {
			s.hidden[p] = true
		}
		to := s.model.next()
		time.AfterFunc(rendezvous, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			for p := from; p < to; p++ {
				delete(s.hidden, p)
			}
		})
	}
}

// visible are copies of the records that satisfy keep, in order of position.
func (s memory) visible(keep func(*eventstore.Recorded) bool) []eventstore.Recorded {
	var out []eventstore.Recorded
	for i := range s.model.records {
		r := s.model.records[i]
		if s.hidden[r.Position] || !keep(&r) {
			continue
		}
		if s.model.has(FaultBytesReused) {
			s.shared = append(s.shared[:0], r.Payload...)
			r.Payload = s.shared
		} else {
			r.Payload = append([]byte(nil), r.Payload...)
		}
		out = append(out, r)
	}
	if s.model.has(FaultReorders) && len(out) > 3 {
		out[1], out[2] = out[2], out[1]
	}
	return out
}

func (s memory) ReadAggregates(ctx context.Context, aggregates ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([][]eventstore.Recorded, len(aggregates))
	for i, a := range aggregates {
		out[i] = s.visible(func(r *eventstore.Recorded) bool { return r.Aggregate == a })
	}
	if s.model.has(FaultAnswersSwapped) && len(out) > 1 {
		out[0], out[1] = out[1], out[0]
	}
	return out, nil
}

func (s memory) ReadAggregate(ctx context.Context, a eventstore.Aggregate, from int32, limit int) ([]eventstore.Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.visible(func(r *eventstore.Recorded) bool { return r.Aggregate == a && r.Version >= from })
	return upTo(limit, out), nil
}

func upTo[E any](limit int, out []E) []E {
	if limit > 0 && len(out) > limit {
		return out[:limit]
	}
	return out
}

func (s memory) Read(ctx context.Context, positions ...int64) ([]eventstore.Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]eventstore.Recorded, 0, len(positions))
	for _, p := range positions {
		found := s.visible(func(r *eventstore.Recorded) bool { return r.Position == p })
		if len(found) == 0 {
			return nil, eventstore.ErrNotFound
		}
		out = append(out, found[0])
	}
	return out, nil
}

func (s memory) ReadAll(ctx context.Context, from int64, limit int) ([]eventstore.Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model.has(FaultPageOverlaps) && from > 0 {
		from--
	}
	return upTo(limit, s.visible(func(r *eventstore.Recorded) bool { return r.Position >= from })), nil
}

func (s memory) ReadCommands(ctx context.Context, commands ...eventstore.Command) ([]eventstore.Known, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]eventstore.Known, len(commands))
	for i, c := range commands {
		switch k, ok := s.model.commands[c.Key]; {
		case !ok:
		case k.body != c.Body:
			out[i].Reused = true
		default:
			k.result.Repeated = true
			out[i] = eventstore.Known{Result: k.result, Found: true}
		}
	}
	return out, nil
}

func (s memory) Head(ctx context.Context) (eventstore.Head, error) {
	if err := s.usable(ctx); err != nil {
		return eventstore.Head{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head := eventstore.Head{Position: s.model.next() - 1}
	if n := len(s.model.records); n > 0 {
		head.RecordedAt = s.model.records[n-1].RecordedAt
	}
	return head, nil
}

func (s memory) Identity(ctx context.Context) (eventstore.Identity, error) {
	if err := s.usable(ctx); err != nil {
		return eventstore.Identity{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model.identity == nil {
		return eventstore.Identity{}, eventstore.ErrNoGenesis
	}
	return *s.model.identity, nil
}

// Wait waits for the channel that an append closes.
func (s memory) Wait(ctx context.Context, position int64) error {
	for {
		if err := s.usable(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		head, grown := s.model.next()-1, s.grown
		s.mu.Unlock()
		if head >= position {
			return nil
		}
		if s.model.has(FaultNeverWakes) {
			grown = nil
		}
		select {
		case <-grown:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}
