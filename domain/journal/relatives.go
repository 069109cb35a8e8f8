package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// Relatives is the view of who may be related to whom, by citizen ids alone: whether a proxy holds, and as what, is the person's own state
// to say. Keys are a letter and:
//
//	p proxy, person  → 1: the proxy was once granted and not ended
//	m kept, going    → 1: the ids of one person, merged
type Relatives struct{ journal *Journal }

// NewRelatives returns the view on a journal.
func NewRelatives(j *Journal) Relatives { return Relatives{journal: j} }

// Name is the view's name in the store.
func (Relatives) Name() string { return "relatives" }

// Wants what grants and ends proxies, and merges.
func (Relatives) Wants(eventType string) bool {
	return eventType == TypeProxyGranted || eventType == TypeProxyEnded || eventType == TypeCitizensMerged
}

// Apply files each relation under the one who looks for the others. What was erased names nobody.
func (Relatives) Apply(_ context.Context, tx *ViewTx, entries []Entry) error {
	for i := range entries {
		about := citizen.ID(entries[i].Subject)
		switch event := entries[i].Event.(type) {
		case ProxyGranted:
			relate(tx, 'p', event.Proxy, about, []byte{1})
		case ProxyEnded:
			relate(tx, 'p', event.Proxy, about, nil)
		case CitizensMerged:
			relate(tx, 'm', event.Kept, about, []byte{1})
		}
	}
	return nil
}

func relate(tx *ViewTx, letter byte, holder string, about citizen.ID, value []byte) {
	if id, err := citizen.ParseID(holder); err == nil { // the command refuses such an id
		tx.Put(append(append([]byte{letter}, id[:]...), about[:]...), value)
	}
}

// ActsFor lists the people whose proxy somebody was made and is not ended, by id, complete up to the head: for each of them the state says
// as what, and whether it holds today.
func (r Relatives) ActsFor(ctx context.Context, proxy citizen.ID) ([]citizen.ID, error) {
	return r.related(ctx, 'p', proxy)
}

// MergedInto lists the other ids of one person: those that were merged into this one, and into those. Complete up to the head.
func (r Relatives) MergedInto(ctx context.Context, kept citizen.ID) ([]citizen.ID, error) {
	all, err := r.related(ctx, 'm', kept)
	for i := 0; i < len(all) && err == nil; i++ { // an id is merged once, so nothing comes twice
		var more []citizen.ID
		more, err = r.related(ctx, 'm', all[i])
		all = append(all, more...)
	}
	return all, err
}

// bornWithin is how many records a birth has, at most, up to the registration of the child: the decision, the proxy and the protection stand
// between the two.
const bornWithin = 5

// ChildOf is the citizen who was registered with a birth, by the birth's position on the log; zero where none of the parent's ids told a
// birth there, and for a child that is not served any more. It is the same work for nobody.
func (r Relatives) ChildOf(ctx context.Context, parent citizen.ID, birth int64) (citizen.ID, error) {
	ids, err := r.MergedInto(ctx, parent)
	if err != nil {
		return citizen.ID{}, err
	}
	recs, err := r.journal.store.ReadAll(ctx, birth, bornWithin)
	if err != nil {
		return citizen.ID{}, err
	}
	child := bornOf(append(ids, parent), birth, recs)
	states, err := r.journal.FreshStates(ctx, child)
	if err != nil || states[0].Gone != nil {
		return citizen.ID{}, err
	}
	return child, nil
}

// bornOf is who was registered with a birth that one of a parent's ids told; zero for none. recs begin at the birth.
func bornOf(parents []citizen.ID, birth int64, recs []eventstore.Recorded) citizen.ID {
	if len(recs) == 0 || recs[0].Type != citizen.BirthRegistered {
		return citizen.ID{}
	}
	if !slices.Contains(parents, citizen.ID(recs[0].Aggregate.ID)) {
		return citizen.ID{}
	}
	for i := range recs {
		if recs[i].Type == citizen.PersonRegistered && recs[i].Cause == birth {
			return citizen.ID(recs[i].Aggregate.ID)
		}
	}
	return citizen.ID{}
}

func (r Relatives) related(ctx context.Context, letter byte, id citizen.ID) ([]citizen.ID, error) {
	head, err := r.journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := r.journal.CatchUp(ctx, r, head.Position+1); err != nil {
		return nil, err
	}
	prefix := append([]byte{letter}, id[:]...)
	rows, err := r.journal.store.Scan(ctx, r.Name(), prefix, append(prefix[:len(prefix):len(prefix)], maxID[:]...), 0, false)
	if err != nil {
		return nil, err
	}
	out := make([]citizen.ID, len(rows))
	for i, row := range rows {
		if len(row.Key) != len(prefix)+len(out[i]) {
			return nil, fmt.Errorf("journal: a row of the view %s can't be read: rebuild it with `tellonce rebuild %s`", r.Name(), r.Name())
		}
		copy(out[i][:], row.Key[len(prefix):])
	}
	return out, nil
}

// maxID is behind every random id: those have a version and a variant.
var maxID = uuid.Max
