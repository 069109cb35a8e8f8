package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

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
}

// Get returns a row's value, nil where there is none.
func (tx *ViewTx) Get(ctx context.Context, key []byte) ([]byte, error) {
	if v, ok := tx.pending[string(key)]; ok {
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

// CatchUp folds the log into a view up to (excluding) a position, and returns the view's checkpoint: at least `to`. Several processes may
// do so at once: the checkpoint's compare-and-swap lets one of them win each page, and the others go on from there. If the process dies
// here, the page is folded again from the checkpoint.
func (j *Journal) CatchUp(ctx context.Context, view View, to int64) (int64, error) {
	for {
		from, err := j.store.Checkpoint(ctx, view.Name())
		if err != nil || from >= to {
			return from, err
		}
		recs, err := j.store.ReadAll(ctx, from, viewPage)
		if err != nil {
			return from, err
		}
		if len(recs) == 0 {
			return from, nil
		}
		if err := j.fold(ctx, view, from, recs); err != nil && !errors.Is(err, eventstore.ErrConflict) {
			return from, err
		}
	}
}

// Run keeps a view at the head until ctx ends.
func (j *Journal) Run(ctx context.Context, view View) error {
	for {
		head, err := j.Head(ctx)
		if err != nil {
			return err
		}
		at, err := j.CatchUp(ctx, view, head.Position+1)
		if err != nil {
			return err
		}
		if err := j.store.Wait(ctx, at); err != nil {
			return err
		}
	}
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

func (j *Journal) fold(ctx context.Context, view View, from int64, recs []eventstore.Recorded) error {
	wanted := make([]eventstore.Recorded, 0, len(recs))
	for i := range recs {
		if view.Wants(recs[i].Type) {
			wanted = append(wanted, recs[i])
		}
	}
	entries, err := j.Open(ctx, wanted)
	if err != nil {
		return err
	}
	tx := &ViewTx{store: j.store, view: view.Name(), pending: map[string][]byte{}}
	if err := view.Apply(ctx, tx, entries); err != nil {
		return fmt.Errorf("journal: view %s at position %d: %w", view.Name(), from, err)
	}
	return j.store.Commit(ctx, view.Name(), from, from+int64(len(recs)), tx.rows())
}
