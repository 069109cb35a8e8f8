package command

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// match is somebody whom exact reference data may mean: the state and the history by which that is judged.
type match struct {
	state   *journal.State
	history *citizen.History
}

// matches reads for each wanted person everybody who may be meant: at least one for each, so that the work says nothing about whether there
// is somebody.
func (h *Handler) matches(ctx context.Context, wanted []citizen.Identity) ([][]match, error) {
	found, err := journal.NewNames(h.journal).Find(ctx, wanted...)
	if err != nil {
		return nil, err
	}
	ids := slices.Concat(found...)
	slices.SortFunc(ids, func(a, b citizen.ID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	histories, err := readWhole(ctx, h.journal, ids)
	if err != nil {
		return nil, err
	}
	people := make(map[citizen.ID]match, len(ids))
	for i, entries := range histories {
		m := match{state: &journal.State{ID: ids[i]}}
		for k := range entries {
			m.state.Fold(&entries[k])
		}
		if m.history, err = h.journal.FoldHistory(ctx, entries); err != nil {
			return nil, err
		}
		people[ids[i]] = m
	}
	out := make([][]match, len(found))
	for i := range found {
		for _, id := range found[i] {
			out[i] = append(out[i], people[id])
		}
	}
	return out, nil
}

// readWhole reads and opens citizens' whole aggregates at once, each complete at least up to the log's head when it was called.
func readWhole(ctx context.Context, j *journal.Journal, ids []citizen.ID) ([][]journal.Entry, error) {
	aggregates := make([]eventstore.Aggregate, len(ids))
	for i, id := range ids {
		aggregates[i] = journal.CitizenAggregate(id)
	}
	read, err := j.Store().ReadAggregates(ctx, aggregates...)
	if err != nil {
		return nil, err
	}
	entries, err := j.Open(ctx, slices.Concat(read...))
	if err != nil {
		return nil, err
	}
	out := make([][]journal.Entry, len(ids))
	for i, recs := range read {
		out[i], entries = entries[:len(recs):len(recs)], entries[len(recs):]
	}
	return out, nil
}

// is says whether this is, today, the person whom exact reference data mean, and one of whom the caller may know.
func (m match) is(h *Handler, actor journal.Actor, wanted citizen.Identity, day journal.Day) bool {
	who, ok := m.history.Profile(day.Date.String()).Identity()
	same := ok && schemas.NormalizeText(wanted.GivenNames) == who.GivenNames && schemas.NormalizeText(wanted.FamilyName) == who.FamilyName &&
		wanted.BirthDate == who.BirthDate && (wanted.PostalCode == "" || compact(wanted.PostalCode) == compact(who.PostalCode))
	served := m.state.Profile.Registered && !m.state.Profile.Deceased && m.state.Gone == nil
	return same && served && !h.journal.Hides(m.state, actor, day.Date)
}

// compact is a postal code without spaces and in upper case, as people write the same one in several ways.
func compact(code string) string { return strings.ToUpper(strings.ReplaceAll(code, " ", "")) }
