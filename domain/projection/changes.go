package projection

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Told is one change that a citizen told, or what was told about one (a correction, a cancellation, a verification, a death taken back),
// and what came of it.
type Told struct {
	Receipt    string
	Position   int64
	RecordedAt time.Time
	Type       string          // its own: that of the fact, or change-corrected …
	Change     citizen.Change  // the fact that holds by it; of what only takes a fact back, that one
	About      *Mention        // what it is about; nil: it is a change of its own
	Since      []Mention       // what was told about it later, in that order
	Outcomes   []Outcome       // one for each agreement whose shares name the type, by agreement id
	Retracted  []journal.Given // where a wrong value had been given, and is taken back by this without the right one
}

// Mention is a change as another one names it.
type Mention struct {
	Position   int64
	Receipt    string
	Type       string // its own
	RecordedAt time.Time
}

// Stands says whether the change still holds: nothing that was told later replaces it or takes it back.
func (t *Told) Stands() bool {
	return !slices.ContainsFunc(t.Since, func(m Mention) bool { return m.Type != journal.TypeChangeVerified })
}

// Outcome is one agreement's line under a change.
type Outcome struct {
	Agreement consent.Agreement // the version that decided; only ID and Version where that version is no longer in force
	Fields    []string          // permitted, in bit order
	Reason    consent.Reason    // None: shared
	Given     *journal.Given    // where it was given a number; nil: not yet, or withheld
	Refusal   string            // why the ministry rejected it, in its own words; empty where it gave no reason
	Explain   consent.Text      // the decision as a sentence to the citizen
}

// Changes lists what a citizen told, newest first.
func (p *Projection) Changes(ctx context.Context, id citizen.ID) ([]Told, error) {
	entries, err := p.entries(ctx, id)
	if err != nil {
		return nil, err
	}
	given, err := p.given(ctx, id)
	if err != nil {
		return nil, err
	}
	law, err := p.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	out, index, err := p.told(ctx, entries)
	if err != nil {
		return nil, err
	}
	said := answers{}
	for i := range entries {
		said.hear(&entries[i])
		decided, ok := entries[i].Event.(journal.Decided)
		if !ok {
			continue
		}
		if at, ok := index[entries[i].Cause]; ok {
			out[at].Outcomes = p.outcomes(law, out[at].Change.Type, out[at].Position, decided, given)
			for k, line := range p.explain(law, out[at].Change.Type, decided, said) {
				out[at].Outcomes[k].Explain = line
			}
		}
	}
	for _, g := range given {
		if at, ok := index[g.Item.Position]; ok && g.Item.Retracts() {
			out[at].Retracted = append(out[at].Retracted, g)
		}
	}
	if err := p.refusals(ctx, out); err != nil {
		return nil, err
	}
	slices.Reverse(out)
	return out, nil
}

// told lists what entries tell, oldest first, each with what it is about and what was told about it; index is by position. What was erased
// is not in it.
func (p *Projection) told(ctx context.Context, entries []journal.Entry) (out []Told, index map[int64]int, err error) {
	facts, err := p.journal.Told(ctx, entries)
	if err != nil {
		return nil, nil, err
	}
	index = map[int64]int{}
	for i := range entries {
		e := &entries[i]
		about := journal.Corrects(e.Event)
		if facts[i].Type == "" && about == 0 {
			continue
		}
		t := Told{Receipt: journal.Receipt(e.ID), Position: e.Position, RecordedAt: e.RecordedAt, Type: e.Type, Change: facts[i]}
		if at, ok := index[about]; ok {
			t.About = out[at].mention()
			out[at].Since = append(out[at].Since, *t.mention())
			if t.Change.Type == "" {
				t.Change = out[at].Change
			}
		}
		index[e.Position] = len(out)
		out = append(out, t)
	}
	return out, index, nil
}

func (t *Told) mention() *Mention {
	return &Mention{Position: t.Position, Receipt: t.Receipt, Type: t.Type, RecordedAt: t.RecordedAt}
}

// refusals fills in the ministries' reasons. One whose key was erased stays empty.
func (p *Projection) refusals(ctx context.Context, told []Told) error {
	var refused []*Outcome
	var positions []int64
	for i := range told {
		for k := range told[i].Outcomes {
			if o := &told[i].Outcomes[k]; o.Given != nil && o.Given.Refusal != 0 {
				refused, positions = append(refused, o), append(positions, o.Given.Refusal)
			}
		}
	}
	entries, err := p.journal.Read(ctx, positions...)
	if err != nil {
		return err
	}
	for i := range entries {
		if reason, ok := entries[i].Event.(journal.ReceiptRejected); ok {
			refused[i].Refusal = reason.Reason
		}
	}
	return nil
}

func (p *Projection) outcomes(law *journal.Law, eventType string, position int64, decided journal.Decided, given []journal.Given) []Outcome {
	out := make([]Outcome, len(decided.Decisions))
	for i, d := range decided.Decisions {
		out[i] = Outcome{Agreement: consent.Agreement{ID: d.Agreement, Version: d.Version}, Fields: p.journal.FieldNames(eventType, d.Fields), Reason: d.Reason}
		if a, ok := law.Agreement(d.Agreement, d.Version); ok {
			out[i].Agreement = *a
		}
		for k := range given {
			if item := &given[k].Item; item.Position == position && item.Agreement == d.Agreement && !item.Retracts() {
				out[i].Given = &given[k]
			}
		}
	}
	return out
}

// Receipt is the change of a citizen's own, or what they told about one, that a receipt number stands for.
func (p *Projection) Receipt(ctx context.Context, id citizen.ID, receipt string) (Told, error) {
	changes, err := p.Changes(ctx, id)
	if err != nil {
		return Told{}, err
	}
	for _, t := range changes {
		if t.Receipt == strings.ToUpper(receipt) {
			return t, nil
		}
	}
	return Told{}, ErrNotFound
}
