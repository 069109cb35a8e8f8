package journal

import (
	"context"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// State is what the rules and the law need of one citizen: a fold of their aggregate. It is never changed once shared.
type State struct {
	ID       citizen.ID
	Version  int32
	Profile  citizen.Profile // registered and deceased only; facts are read by projection
	Standing consent.Standing
}

// Expect is the expectation that the citizen's aggregate is still as this state saw it.
func (s *State) Expect() eventstore.Expect {
	return eventstore.Expect{Aggregate: CitizenAggregate(s.ID), Version: s.Version}
}

// Clone returns a copy that may be changed.
func (s *State) Clone() *State {
	c := *s
	c.Standing = *s.Standing.Clone()
	return &c
}

// Apply folds one event of the citizen's aggregate at a position into the state.
func (s *State) Apply(position int64, event any) {
	s.Version++
	switch e := event.(type) {
	case citizen.Change:
		switch e.Type {
		case citizen.PersonRegistered:
			s.Profile.Registered = true
			born, _ := e.Data["birth_date"].(string)
			date, err := consent.ParseDate(born)
			if err != nil {
				date = 0 // the schema refuses such a date; without one, age conditions fail
			}
			s.Standing.Registered(date)
		case citizen.DeathRegistered:
			s.Profile.Deceased = true
			s.Standing.Died()
		}
	case ConsentGranted:
		s.Standing.Granted(position, e.Agreement, e.Version, e.Fields)
	case ConsentWithdrawn:
		s.Standing.Withdrawn(e.Agreement)
	case MinistryLinked:
		s.Standing.Linked(position, e.Ministry, e.ClientReference)
	case MinistryUnlinked:
		s.Standing.Unlinked(e.Ministry)
	}
}

// shapesState says whether a type's content must be opened to fold a State; of all others the version alone counts.
func shapesState(eventType string) bool {
	switch eventType {
	case citizen.PersonRegistered, TypeConsentGranted, TypeConsentWithdrawn, TypeMinistryLinked, TypeMinistryUnlinked:
		return true
	}
	return false
}

// States returns citizens' states, from memory where this process has them: maybe stale, so an append must expect them, and a
// refusal must be confirmed by FreshStates.
func (j *Journal) States(ctx context.Context, ids ...citizen.ID) ([]*State, error) {
	out := make([]*State, len(ids))
	var missing []citizen.ID
	var at []int
	for i, id := range ids {
		if s, ok := j.states.Get(id); ok {
			out[i] = s
			continue
		}
		missing, at = append(missing, id), append(at, i)
	}
	if len(missing) == 0 {
		return out, nil
	}
	loaded, err := j.FreshStates(ctx, missing...)
	for i, s := range loaded {
		out[at[i]] = s
	}
	return out, err
}

// FreshStates reads citizens' states from the log: each is complete at least up to the log's head when it was called.
func (j *Journal) FreshStates(ctx context.Context, ids ...citizen.ID) ([]*State, error) {
	aggregates := make([]eventstore.Aggregate, len(ids))
	for i, id := range ids {
		aggregates[i] = CitizenAggregate(id)
	}
	histories, err := j.store.ReadAggregates(ctx, aggregates...)
	if err != nil {
		return nil, err
	}
	var open []eventstore.Recorded
	for _, recs := range histories {
		for i := range recs {
			if shapesState(recs[i].Type) {
				open = append(open, recs[i])
			}
		}
	}
	entries, err := j.Open(ctx, open)
	if err != nil {
		return nil, err
	}
	out := make([]*State, len(ids))
	for i, recs := range histories {
		s := &State{ID: ids[i]}
		for k := range recs {
			var event any
			if shapesState(recs[k].Type) {
				event, entries = entries[0].Event, entries[1:]
			} else if recs[k].Type == citizen.DeathRegistered {
				event = citizen.Change{Type: citizen.DeathRegistered}
			}
			s.Apply(recs[k].Position, event)
		}
		out[i] = s
		j.Remember(s)
	}
	return out, nil
}

// Remember keeps a state for States: what the caller has just read or just appended. An older one never replaces a newer.
func (j *Journal) Remember(s *State) {
	if known, ok := j.states.Peek(s.ID); ok && known.Version >= s.Version {
		return
	}
	j.states.Add(s.ID, s)
}

// StatesAt folds citizens' states as they were just after a position: for re-deriving and explaining a decision.
func (j *Journal) StatesAt(ctx context.Context, position int64, id citizen.ID) (*State, error) {
	recs, err := j.store.ReadAggregate(ctx, CitizenAggregate(id), 1, 0)
	if err != nil {
		return nil, err
	}
	s := &State{ID: id}
	entries, err := j.Open(ctx, recs)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Position > position {
			break
		}
		s.Apply(e.Position, e.Event)
	}
	return s, nil
}

// SubjectOf is a record's subject as a citizen.
func SubjectOf(rec *eventstore.Recorded) (citizen.ID, bool) {
	return citizen.ID(rec.Subject), rec.Subject != uuid.Nil
}
