package command

import (
	"context"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// ledger is what a snapshot must know of one citizen: a fold of their whole aggregate.
type ledger struct {
	state      *journal.State
	history    *citizen.History
	held       map[heldKey][]held
	narrowings []narrowing
	taken      map[takenKey]bool
}

// heldKey names what an agreement got of a fact.
type heldKey struct {
	agreement string
	position  int64 // of the fact
}

// held is what an agreement was permitted of a fact by one decision or snapshot.
type held struct {
	since   int64 // position by which it was permitted
	version int   // of the agreement
	fields  consent.FieldSet
}

// narrowing is what may have taken away something that was permitted before and not yet disclosed: a grant that replaced another, or a
// restriction.
type narrowing struct {
	position  int64
	protects  bool
	agreement string
	version   int
	fields    []string
}

// takenKey names a snapshot of this citizen.
type takenKey struct {
	cause     int64
	agreement string
}

// ledgers reads and folds citizens, each complete at least up to the log's head when it was called.
func (s *Snapshots) ledgers(ctx context.Context, ids []citizen.ID) ([]*ledger, error) {
	histories, err := readWhole(ctx, s.journal, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*ledger, len(ids))
	for i, entries := range histories {
		l := &ledger{state: &journal.State{ID: ids[i]}, held: map[heldKey][]held{}, taken: map[takenKey]bool{}}
		if l.history, err = s.journal.FoldHistory(ctx, entries); err != nil {
			return nil, err
		}
		for k := range entries {
			l.fold(&entries[k])
		}
		out[i] = l
	}
	return out, nil
}

func (l *ledger) fold(e *journal.Entry) {
	l.state.Fold(e)
	switch event := e.Event.(type) {
	case journal.Decided:
		for _, d := range event.Decisions {
			if d.Reason == consent.None {
				l.hold(d.Agreement, e.Cause, held{since: e.Cause, version: d.Version, fields: d.Fields})
			}
		}
	case journal.SnapshotTaken:
		l.take(e.Position, event)
	case journal.ConsentGranted:
		n := narrowing{position: e.Position, agreement: event.Agreement, version: event.Version, fields: event.Fields}
		l.narrowings = append(l.narrowings, n)
	case journal.RestrictionSet:
		l.narrowings = append(l.narrowings, narrowing{position: e.Position, protects: true})
	}
}

func (l *ledger) take(position int64, event journal.SnapshotTaken) {
	l.taken[takenKey{event.Cause, event.Agreement}] = true
	for _, f := range event.Facts {
		l.hold(event.Agreement, f.Position, held{since: position, version: event.Version, fields: f.Fields})
	}
}

func (l *ledger) hold(agreement string, fact int64, h held) {
	key := heldKey{agreement, fact}
	l.held[key] = append(l.held[key], h)
}
