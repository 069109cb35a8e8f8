package journal

import (
	"cmp"
	"context"
	"slices"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// History reads what was told about a citizen, folded on both axes, with the entries of their aggregate that it was read from, in log
// order. Entries whose content was erased are among these, but not in the fold. others are further ids of the same person (of merges):
// their entries come in at their own positions. It is complete up to the log's head when it was called.
func (j *Journal) History(ctx context.Context, id citizen.ID, others ...citizen.ID) (*citizen.History, []Entry, error) {
	aggregates := []eventstore.Aggregate{CitizenAggregate(id)}
	for _, other := range others {
		aggregates = append(aggregates, CitizenAggregate(other))
	}
	read, err := j.store.ReadAggregates(ctx, aggregates...)
	if err != nil {
		return nil, nil, err
	}
	recs := slices.Concat(read...)
	slices.SortFunc(recs, func(a, b eventstore.Recorded) int { return cmp.Compare(a.Position, b.Position) })
	entries, err := j.Open(ctx, recs)
	if err != nil {
		return nil, nil, err
	}
	h, err := j.FoldHistory(ctx, entries)
	return h, entries, err
}

// FoldHistory folds entries of one person, in log order.
func (j *Journal) FoldHistory(ctx context.Context, entries []Entry) (*citizen.History, error) {
	told, err := j.Told(ctx, entries)
	if err != nil {
		return nil, err
	}
	h := &citizen.History{}
	for i := range entries {
		e := &entries[i]
		switch e.Event.(type) {
		case ChangeCancelled, DeathCorrected:
			h.Cancel(Corrects(e.Event), e.Position)
			continue
		}
		if told[i].Type != "" {
			h.Tell(citizen.Fact{Change: told[i], Position: e.Position, RecordedAt: e.RecordedAt})
		}
	}
	return h, nil
}
