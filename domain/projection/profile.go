// Package projection is what citizens see of themselves: what the hub holds, who was told, who looked. It only reads.
package projection

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// ErrNotFound is the answer for what is not there, or not the asker's.
var ErrNotFound = errors.New("projection: not found")

// Projection reads for citizens. It is safe for concurrent use.
type Projection struct {
	journal *journal.Journal
	trail   journal.Trail
}

// New returns a Projection on a journal.
func New(j *journal.Journal) *Projection {
	return &Projection{journal: j, trail: journal.NewTrail(j)}
}

// Profile is what the hub holds on a citizen: what holds today, and what is announced. It is a fold on demand, so people see at once what
// they told.
func (p *Projection) Profile(ctx context.Context, id citizen.ID) (*citizen.Profile, error) {
	history, _, err := p.history(ctx, id)
	if err != nil {
		return nil, err
	}
	return history.Profile(p.journal.DayOf(p.journal.Now(journal.Timing{Told: true})).Date.String()), nil
}

// entries are the citizen's own records; ErrNotFound for someone nobody registered.
func (p *Projection) entries(ctx context.Context, id citizen.ID) ([]journal.Entry, error) {
	_, entries, err := p.history(ctx, id)
	return entries, err
}

// history is what was told about the citizen, with their own records; ErrNotFound for someone nobody registered.
func (p *Projection) history(ctx context.Context, id citizen.ID) (*citizen.History, []journal.Entry, error) {
	history, entries, err := p.journal.History(ctx, id)
	if err == nil && len(entries) == 0 {
		err = ErrNotFound
	}
	return history, entries, err
}

// Told is one change that a citizen told, and what came of it.
type Told struct {
	Receipt    string
	Position   int64
	RecordedAt time.Time
	Change     citizen.Change
	Outcomes   []Outcome // one for each agreement whose shares name the type, by agreement id
}

// Outcome is one agreement's line under a change.
type Outcome struct {
	Agreement consent.Agreement // the version that decided; only ID and Version where that version is no longer in force
	Fields    []string          // permitted, in bit order
	Reason    consent.Reason    // None: shared
	Given     *journal.Given    // where it was given a number; nil: not yet, or withheld
	Refusal   string            // why the ministry rejected it, in its own words; empty where it gave no reason
}

// Changes lists what a citizen told, newest first.
func (p *Projection) Changes(ctx context.Context, id citizen.ID) ([]Told, error) {
	entries, err := p.entries(ctx, id)
	if err != nil {
		return nil, err
	}
	given, err := p.trail.Given(ctx, id)
	if err != nil {
		return nil, err
	}
	law, err := p.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	var out []Told
	index := map[int64]int{}
	for i := range entries {
		e := &entries[i]
		switch event := e.Event.(type) {
		case citizen.Change:
			index[e.Position] = len(out)
			out = append(out, Told{Receipt: journal.Receipt(e.ID), Position: e.Position, RecordedAt: e.RecordedAt, Change: event})
		case journal.Decided:
			if at, ok := index[e.Cause]; ok {
				out[at].Outcomes = p.outcomes(law, out[at].Change.Type, e.Cause, event, given)
			}
		}
	}
	if err := p.refusals(ctx, out); err != nil {
		return nil, err
	}
	slices.Reverse(out)
	return out, nil
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
			if given[k].Item.Position == position && given[k].Item.Agreement == d.Agreement {
				out[i].Given = &given[k]
			}
		}
	}
	return out
}

// Receipt is the change of a citizen's own that a receipt number stands for.
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

// Consent is one agreement by consent, and whether the citizen has agreed.
type Consent struct {
	Agreement consent.Agreement
	Granted   bool
	Fields    []string // granted; all that the agreement shares where the grant names none
	Since     int64    // position since which it holds
}

// Consents lists the agreements by consent, by id.
func (p *Projection) Consents(ctx context.Context, id citizen.ID) ([]Consent, error) {
	states, err := p.journal.FreshStates(ctx, id)
	if err != nil {
		return nil, err
	}
	law, err := p.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	var out []Consent
	for _, a := range law.Book.Approved() {
		if a.Basis.Kind != consent.BasisConsent {
			continue
		}
		c := Consent{Agreement: a}
		if g, ok := states[0].Standing.Grant(a.ID); ok {
			c.Granted, c.Since, c.Fields = true, g.Since, g.Fields
			if c.Fields == nil {
				c.Fields = AllFields(&a)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// AllFields are the distinct fields that an agreement shares, in its own order.
func AllFields(a *consent.Agreement) []string {
	var out []string
	for _, share := range a.Shares {
		for _, f := range share.Fields {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// Links lists the ministries that know the citizen as a client, by ministry.
func (p *Projection) Links(ctx context.Context, id citizen.ID) ([]consent.Link, error) {
	states, err := p.journal.FreshStates(ctx, id)
	if err != nil {
		return nil, err
	}
	links := slices.Clone(states[0].Standing.Links)
	slices.SortFunc(links, func(a, b consent.Link) int { return strings.Compare(a.Ministry, b.Ministry) })
	return links, nil
}

// Seen is one line of "who saw my data": a ministry that was given a fact, or a person in office who looked.
type Seen struct {
	At     time.Time
	Given  *journal.Given    // a fact given to a ministry
	Type   string            // of the fact
	Law    consent.Agreement // under which; ID and Version alone where that version has ended
	Fields []string
	Access *Access // or a look
}

// Access is a look by a person in office.
type Access struct {
	Actor  journal.ActorKind
	Kind   string
	Reason string
	Case   string
}

// WhoSaw lists who saw a citizen's data, newest first. A look that the law hides for a time is not in it until then.
func (p *Projection) WhoSaw(ctx context.Context, id citizen.ID) ([]Seen, error) {
	given, err := p.trail.Given(ctx, id)
	if err != nil {
		return nil, err
	}
	law, err := p.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	positions := make([]int64, len(given))
	for i := range given {
		positions[i] = given[i].Item.Position
	}
	facts, err := p.journal.Store().Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	out := make([]Seen, 0, len(given))
	for i := range given {
		item := given[i].Item
		s := Seen{At: given[i].At, Given: &given[i], Type: facts[i].Type, Fields: p.journal.FieldNames(facts[i].Type, item.Fields)}
		s.Law = consent.Agreement{ID: item.Agreement, Version: item.Version}
		if a, ok := law.Agreement(item.Agreement, item.Version); ok {
			s.Law = *a
		}
		out = append(out, s)
	}
	looks, err := p.looks(ctx, id)
	if err != nil {
		return nil, err
	}
	out = append(out, looks...)
	slices.SortStableFunc(out, func(a, b Seen) int { return b.At.Compare(a.At) })
	return out, nil
}

func (p *Projection) looks(ctx context.Context, id citizen.ID) ([]Seen, error) {
	positions, err := p.trail.Accesses(ctx, id)
	if err != nil {
		return nil, err
	}
	entries, err := p.journal.Read(ctx, positions...)
	if err != nil && !errors.Is(err, seal.ErrDestroyed) {
		return nil, err
	}
	today := p.journal.DayOf(p.journal.Now(journal.Timing{})).Date.String()
	var out []Seen
	for i := range entries {
		look, ok := entries[i].Event.(journal.Accessed)
		if !ok || look.HiddenUntil > today {
			continue
		}
		kind := journal.ActorKind(entries[i].ActorKind)
		out = append(out, Seen{At: entries[i].RecordedAt, Access: &Access{Actor: kind, Kind: look.Kind, Reason: look.Reason, Case: look.Case}})
	}
	return out, nil
}
