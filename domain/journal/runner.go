package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tellonce/hub/eventstore"
)

// View is derived data folded from the log: it can be dropped and rebuilt. Its rows hold keys, positions, numbers and sealed values.
type View interface {
	// Name is the view's name in the store.
	Name() string
	// Wants says whether Apply must see events of a type, opened.
	Wants(eventType string) bool
	// Apply folds entries, in order, into rows. An entry whose key was destroyed has Err set.
	Apply(ctx context.Context, tx *ViewTx, entries []Entry) error
}

// ViewTx collects a fold's rows: what Apply reads is what it wrote, else what stands in the store.
type ViewTx struct {
	store   eventstore.Views
	view    string
	pending map[string][]byte
	loaded  map[string][]byte
}

// Load reads rows at once, each of which Get then has.
func (tx *ViewTx) Load(ctx context.Context, keys ...string) error {
	asked := make([][]byte, len(keys))
	for i, key := range keys {
		asked[i] = []byte(key)
	}
	values, err := tx.store.Get(ctx, tx.view, asked...)
	if err != nil {
		return err
	}
	tx.loaded = make(map[string][]byte, len(keys))
	for i, key := range keys {
		tx.loaded[key] = values[i]
	}
	return nil
}

// Get returns a row's value, nil where there is none.
func (tx *ViewTx) Get(ctx context.Context, key []byte) ([]byte, error) {
	if v, ok := tx.pending[string(key)]; ok {
		return v, nil
	}
	if v, ok := tx.loaded[string(key)]; ok {
		return v, nil
	}
	vs, err := tx.store.Get(ctx, tx.view, key)
	if err != nil {
		return nil, err
	}
	return vs[0], nil
}

// Put writes a row; a nil value deletes it.
func (tx *ViewTx) Put(key, value []byte) { tx.pending[string(key)] = value }

// Scan returns up to limit rows (0: all) with from ≤ key < to in key order.
func (tx *ViewTx) Scan(ctx context.Context, from, to []byte, limit int) ([]eventstore.Row, error) {
	var pending []eventstore.Row
	for key, value := range tx.pending {
		if k := []byte(key); bytes.Compare(k, from) >= 0 && bytes.Compare(k, to) < 0 {
			pending = append(pending, eventstore.Row{View: tx.view, Key: k, Value: value})
		}
	}
	read := limit
	if limit > 0 {
		read += len(pending) // as many stored rows may be hidden by pending ones
	}
	stored, err := tx.store.Scan(ctx, tx.view, from, to, read, false)
	if err != nil {
		return nil, err
	}
	hidden := func(row eventstore.Row) bool { _, changed := tx.pending[string(row.Key)]; return changed }
	out := slices.DeleteFunc(stored, hidden)
	for _, row := range pending {
		if row.Value != nil {
			out = append(out, row)
		}
	}
	slices.SortFunc(out, func(a, b eventstore.Row) int { return bytes.Compare(a.Key, b.Key) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

func (tx *ViewTx) rows() []eventstore.Row {
	out := make([]eventstore.Row, 0, len(tx.pending))
	for key, value := range tx.pending {
		out = append(out, eventstore.Row{View: tx.view, Key: []byte(key), Value: value})
	}
	slices.SortFunc(out, func(a, b eventstore.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// viewPage is how many records a view folds in one commit.
const viewPage = 2000

// desk is where this process folds a view: one at a time, for of two who fold the same page one does so in vain.
type desk struct {
	turn chan struct{} // holds one token
	runs atomic.Bool   // Run keeps the view: its checkpoint may stay behind records that it does not want

	mu         sync.Mutex
	checkpoint int64 // as this process last moved or read it; -1: not known
	from, to   int64 // the log holds nothing from here to there (excluding) that the view wants
}

func (j *Journal) desk(view View) *desk {
	d, ok := j.desks.Load(view.Name())
	if !ok {
		fresh := &desk{turn: make(chan struct{}, 1), checkpoint: -1}
		fresh.turn <- struct{}{}
		d, _ = j.desks.LoadOrStore(view.Name(), fresh)
	}
	return d.(*desk) //nolint:forcetypeassert // nothing else is stored
}

// reached is up to where a view whose checkpoint is at a position holds all of the log.
func (d *desk) reached(checkpoint int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkpoint = checkpoint
	if d.from <= checkpoint && checkpoint <= d.to {
		return d.to
	}
	return checkpoint
}

// last is the checkpoint as this process knows it; -1 if it does not.
func (d *desk) last() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.checkpoint
}

// unwanted notes that the log holds nothing for the view between two positions, of which the first is its checkpoint, or follows what was noted.
func (d *desk) unwanted(from, to int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.to != from {
		d.from = from
	}
	d.to = to
}

// Reached is up to where (excluding) a view holds all of the log: its checkpoint, and on from there as far as this process has seen that the
// view wants nothing. It falls back when the view is dropped.
func (j *Journal) Reached(ctx context.Context, view View) (int64, error) {
	at, err := j.store.Checkpoint(ctx, view.Name())
	if err != nil {
		return at, err
	}
	return j.desk(view).reached(at), nil
}

// CatchUp folds the log into a view up to (excluding) a position, and returns up to where the view holds all of it: at least `to`, unless
// the log ends before. Several processes may do so at once: the checkpoint's compare-and-swap lets one of them win each page, and the others
// go on from there. If the process dies here, the page is folded again from the checkpoint.
func (j *Journal) CatchUp(ctx context.Context, view View, to int64) (int64, error) {
	for {
		at, more, err := j.foldPage(ctx, view, to, false)
		if err != nil || !more {
			return at, err
		}
	}
}

// Run keeps a view at the head until ctx ends. As long as nothing comes that the view wants, it costs no query of its own.
func (j *Journal) Run(ctx context.Context, view View) error {
	j.desk(view).runs.Store(true)
	for {
		at, _, err := j.foldPage(ctx, view, math.MaxInt64, true)
		if err != nil {
			return err
		}
		if err := j.store.Wait(ctx, at); err != nil { // which is over at once where the page was not the last
			return err
		}
	}
}

// foldPage folds one page, unless the view has reached `to` or the head; more says that it may have to go on. With trust it begins where this
// process last left the checkpoint, without a look: if another has moved it, the commit is refused.
func (j *Journal) foldPage(ctx context.Context, view View, to int64, trust bool) (at int64, more bool, err error) {
	d := j.desk(view)
	select {
	case <-d.turn:
		defer func() { d.turn <- struct{}{} }()
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	checkpoint := d.last()
	if checkpoint < 0 || !trust {
		if checkpoint, err = j.store.Checkpoint(ctx, view.Name()); err != nil {
			return checkpoint, false, err
		}
	}
	if at = d.reached(checkpoint); at >= to {
		return at, false, nil
	}
	recs, err := j.tail.read(ctx, j.store, at, viewPage)
	if err != nil || len(recs) == 0 {
		return at, false, err
	}
	next := at + int64(len(recs))
	if wanted := wantedOf(view, recs); len(wanted) > 0 || !d.runs.Load() || next-checkpoint >= viewPage {
		if err = j.fold(ctx, view, checkpoint, next, wanted); err == nil {
			return d.reached(next), next < to, nil
		}
		d.forget() // it may have moved all the same
		if errors.Is(err, eventstore.ErrConflict) {
			return at, true, nil // another process was first: go on from where it is
		}
		return at, false, err
	}
	d.unwanted(at, next)
	return next, next < to, nil
}

// forget makes the next fold look where the checkpoint is.
func (d *desk) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkpoint = -1
}

// wantedOf are the records that a view wants.
func wantedOf(view View, recs []eventstore.Recorded) []eventstore.Recorded {
	var wanted []eventstore.Recorded
	for i := range recs {
		if view.Wants(recs[i].Type) {
			wanted = append(wanted, recs[i])
		}
	}
	return wanted
}

// Rebuild drops a view and folds the whole log again; progress, if not nil, is told how far of how much.
func (j *Journal) Rebuild(ctx context.Context, view View, progress func(done, total int64)) error {
	if err := j.store.Drop(ctx, view.Name()); err != nil {
		return err
	}
	head, err := j.Head(ctx)
	if err != nil {
		return err
	}
	for to, total := int64(0), head.Position+1; to < total; {
		if to, err = j.CatchUp(ctx, view, min(to+viewPage, total)); err != nil {
			return err
		}
		if progress != nil {
			progress(to, total)
		}
	}
	return nil
}

func (j *Journal) fold(ctx context.Context, view View, checkpoint, next int64, wanted []eventstore.Recorded) error {
	entries, err := j.Open(ctx, wanted)
	if err != nil {
		return err
	}
	tx := &ViewTx{store: j.store, view: view.Name(), pending: map[string][]byte{}}
	if err := view.Apply(ctx, tx, entries); err != nil {
		return fmt.Errorf("journal: view %s at position %d: %w", view.Name(), checkpoint, err)
	}
	return j.store.Commit(ctx, view.Name(), checkpoint, next, tx.rows())
}
