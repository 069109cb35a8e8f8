package audit

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Change is one change in an officer's timeline: what was decided and why, and what left.
type Change struct {
	Position   int64
	RecordedAt time.Time
	Receipt    string
	Type       string // of the fact that holds by it; of a cancellation or of what was erased, its own
	Told       string // its own type: the same, or that of a correction, a cancellation, a verification, a death taken back
	Corrects   int64  // position of what these are about; 0 for none
	Effective  string
	Channel    journal.Channel
	Decisions  []Why
	Retracted  []journal.Given // where a wrong value had been given, and was taken back by this without the right one
}

// Why is one agreement's decision on a change, with all that explains it.
type Why struct {
	Line      DecisionLine
	Agreement consent.Agreement // the version that decided
	Reason    consent.Reason
	Grant     int64          // position of the grant that held; 0 for none
	Given     *journal.Given // the number it was given; nil: none yet, or withheld
}

// Timeline lists a citizen's changes, newest first, each with its decisions. Values are not in it: an officer sees why, not what.
func (s *Session) Timeline(ctx context.Context) ([]Change, error) {
	j := s.audit.journal
	if s.look.Subject.IsZero() {
		return nil, ErrNotFound
	}
	entries, err := j.ReadAggregate(ctx, journal.CitizenAggregate(s.look.Subject), 1, 0)
	if err != nil {
		return nil, err
	}
	given, err := s.audit.trail.Given(ctx, s.look.Subject)
	if err != nil {
		return nil, err
	}
	told, err := j.Told(ctx, entries)
	if err != nil {
		return nil, err
	}
	given = slices.DeleteFunc(given, func(g journal.Given) bool { return g.Position > s.Position })
	changes, state := map[int64]int{}, &journal.State{ID: s.look.Subject} // changes by position, as indices of entries
	laws := map[int32]*journal.Law{}                                      // by version: folded once, however many changes were judged by it
	var out []Change
	for i := range entries {
		e := &entries[i]
		if e.Position > s.Position {
			break // what came after the look is not in it
		}
		state.Fold(e)
		switch event := e.Event.(type) {
		case citizen.Change, journal.ChangeCorrected, journal.ChangeCancelled, journal.ChangeVerified, journal.DeathCorrected:
			changes[e.Position] = i
		case journal.Decided:
			at, ok := changes[e.Cause]
			if !ok || s.betrays(event) {
				continue
			}
			c := changeOf(&entries[at], told[at].Type)
			if c.Decisions, err = s.why(ctx, laws, c.Type, e, event, given); err != nil {
				return nil, err
			}
			for _, g := range given {
				if g.Item.Position == c.Position && g.Item.Retracts() {
					c.Retracted = append(c.Retracted, g)
				}
			}
			for k := range c.Decisions {
				if grant, ok := state.Standing.Grant(c.Decisions[k].Line.Agreement); ok {
					c.Decisions[k].Grant = grant.Position
				}
			}
			out = append(out, c)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// changeOf is what an entry and the type of the fact that holds by it (empty for none) say of a change.
func changeOf(e *journal.Entry, factType string) Change {
	return Change{
		Position: e.Position, RecordedAt: e.RecordedAt, Receipt: journal.Receipt(e.ID), Type: cmp.Or(factType, e.Type), Told: e.Type,
		Corrects: journal.Corrects(e.Event), Effective: e.Meta.Effective, Channel: journal.Channel(e.Channel),
	}
}

func (s *Session) why(
	ctx context.Context, laws map[int32]*journal.Law, eventType string, e *journal.Entry, decided journal.Decided, given []journal.Given,
) ([]Why, error) {
	lines, err := s.lines(ctx, eventType, e, decided)
	if err != nil {
		return nil, err
	}
	law, ok := laws[decided.Agreements] // the append expected this very version: it is the law at the decision's position
	if !ok {
		if law, err = s.audit.journal.LawAt(ctx, e.Position); err != nil {
			return nil, err
		}
		laws[decided.Agreements] = law
	}
	out := make([]Why, len(lines))
	for i, line := range lines {
		out[i] = Why{Line: line, Reason: decided.Decisions[i].Reason, Agreement: consent.Agreement{ID: line.Agreement, Version: line.Version}}
		if a, ok := law.Agreement(line.Agreement, line.Version); ok {
			out[i].Agreement = *a
		}
		for k := range given {
			if item := &given[k].Item; item.Position == line.Position && item.Agreement == line.Agreement && !item.Retracts() {
				out[i].Given = &given[k]
			}
		}
	}
	return out, nil
}
