package postgres

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/tellonce/hub/eventstore"
)

// loader coalesces concurrent loads of aggregates into one query at a time, as appends are: a query costs the server much more than an
// aggregate in it does. It runs only while there is something to load.
type loader struct {
	// query reads whole aggregates, each named once; out[i] belongs to aggregates[i], in version order.
	query func(ctx context.Context, aggregates []eventstore.Aggregate) ([][]eventstore.Recorded, error)

	mu      sync.Mutex
	queue   []*load
	running bool
}

// load is one caller's request.
type load struct {
	aggregates []eventstore.Aggregate
	done       chan struct{}
	out        [][]eventstore.Recorded
	err        error
}

// maxLoaded bounds the aggregates of one query.
const maxLoaded = 1024

// ReadAggregates reads whole aggregates, each in version order; out[i] belongs to aggregates[i], nil if never written.
func (s *Store) ReadAggregates(ctx context.Context, aggregates ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	if err := s.check(ctx); err != nil || len(aggregates) == 0 {
		return nil, err
	}
	l := &load{aggregates: aggregates, done: make(chan struct{})}
	s.loads.add(s.closed, l)
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return l.out, l.err
}

func (d *loader) add(ctx context.Context, l *load) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, l)
	if !d.running {
		d.running = true
		go d.run(ctx)
	}
}

// run answers what is queued until nothing is. Before it takes the queue it lets callers run, who may be about to add to it.
func (d *loader) run(ctx context.Context) {
	for {
		for range 3 {
			runtime.Gosched()
		}
		batch := d.take()
		if len(batch) == 0 {
			return
		}
		d.answer(ctx, batch)
	}
}

func (d *loader) take() []*load {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, size := 0, 0
	for n < len(d.queue) && (n == 0 || size+len(d.queue[n].aggregates) <= maxLoaded) {
		size += len(d.queue[n].aggregates)
		n++
	}
	batch := slices.Clone(d.queue[:n])
	d.queue = slices.Delete(d.queue, 0, n)
	d.running = n > 0
	return batch
}

func (d *loader) answer(ctx context.Context, batch []*load) {
	at := make(map[eventstore.Aggregate]int)
	var aggregates []eventstore.Aggregate
	for _, l := range batch {
		for _, a := range l.aggregates {
			if _, ok := at[a]; !ok {
				at[a] = len(aggregates)
				aggregates = append(aggregates, a)
			}
		}
	}
	found, err := d.query(ctx, aggregates)
	given := make([]bool, len(aggregates))
	for _, l := range batch {
		if l.err = err; err == nil {
			l.out = make([][]eventstore.Recorded, len(l.aggregates))
			for i, a := range l.aggregates {
				n := at[a]
				l.out[i] = found[n]
				if given[n] {
					l.out[i] = cloneRecords(found[n]) // what is read is the caller's own
				}
				given[n] = true
			}
		}
		close(l.done)
	}
}

func cloneRecords(records []eventstore.Recorded) []eventstore.Recorded {
	size := 0
	for i := range records {
		size += len(records[i].Payload)
	}
	out, payloads := slices.Clone(records), make([]byte, 0, size)
	for i := range out {
		at := len(payloads)
		payloads = append(payloads, out[i].Payload...)
		out[i].Payload = payloads[at:len(payloads):len(payloads)]
	}
	return out
}

// queryAggregates is the loader's query.
func (s *Store) queryAggregates(ctx context.Context, aggregates []eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	categories, ids := make([]int16, len(aggregates)), make([][16]byte, len(aggregates))
	for i, a := range aggregates {
		categories[i], ids[i] = int16(a.Category), a.ID
	}
	decoder := newDecoder(1) // callers keep single aggregates: no memory shared between them
	out := make([][]eventstore.Recorded, len(aggregates))
	_, err := s.query(ctx, "read aggregates", func(columns [][]byte) {
		n := int8Of(columns[18]) - 1
		if out[n] == nil {
			out[n] = make([]eventstore.Recorded, 0, 8)
		}
		out[n] = append(out[n], eventstore.Recorded{})
		decoder.record(&out[n][len(out[n])-1], columns)
	}, readAggregatesSQL, categories, ids)
	if err != nil {
		return nil, err
	}
	// The join goes chunk by chunk in version order today; nothing promises it.
	byVersion := func(a, b eventstore.Recorded) int { return cmp.Compare(a.Version, b.Version) }
	for i := range out {
		if !slices.IsSortedFunc(out[i], byVersion) {
			slices.SortFunc(out[i], byVersion)
		}
	}
	return out, nil
}
