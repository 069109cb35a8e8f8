// Package projection is what citizens see of themselves: what the hub holds, who was told, who looked. It only reads.
package projection

import (
	"cmp"
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
	journal   *journal.Journal
	trail     journal.Trail
	relatives journal.Relatives
}

// New returns a Projection on a journal.
func New(j *journal.Journal) *Projection {
	return &Projection{journal: j, trail: journal.NewTrail(j), relatives: journal.NewRelatives(j)}
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

// history is what was told about the citizen, with their own records, also under ids that were merged into theirs; ErrNotFound for someone
// nobody registered, and for an id that was merged into another.
func (p *Projection) history(ctx context.Context, id citizen.ID) (*citizen.History, []journal.Entry, error) {
	others, err := p.relatives.MergedInto(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	history, entries, err := p.journal.History(ctx, id, others...)
	if err != nil {
		return nil, nil, err
	}
	merged := func(e journal.Entry) bool {
		return e.Type == journal.TypeCitizensMerged && e.Aggregate == journal.CitizenAggregate(id)
	}
	if len(entries) == 0 || slices.ContainsFunc(entries, merged) {
		return nil, nil, ErrNotFound
	}
	return history, entries, nil
}

// given lists what was disclosed of a citizen, also under ids that were merged into theirs, oldest first.
func (p *Projection) given(ctx context.Context, id citizen.ID) ([]journal.Given, error) {
	others, err := p.relatives.MergedInto(ctx, id)
	if err != nil {
		return nil, err
	}
	given, err := p.trail.Given(ctx, id)
	for i := 0; i < len(others) && err == nil; i++ {
		var more []journal.Given
		more, err = p.trail.Given(ctx, others[i])
		given = append(given, more...)
	}
	slices.SortStableFunc(given, func(a, b journal.Given) int { return cmp.Compare(a.Position, b.Position) })
	return given, err
}

// Consent is one agreement by consent, and whether the citizen has agreed.
type Consent struct {
	Agreement consent.Agreement
	Granted   bool
	Version   int      // that was agreed to
	Fields    []string // granted, and still shared by the agreement
	Since     int64    // position since which it holds
	// Asks is what the agreement's newest version shares beyond the version agreed to: only a new consent covers it.
	Asks consent.Difference
}

// Consents lists the agreements by consent, by id; ErrNotFound for an id that was merged into another.
func (p *Projection) Consents(ctx context.Context, id citizen.ID) ([]Consent, error) {
	states, err := p.journal.FreshStates(ctx, id)
	if err != nil {
		return nil, err
	}
	if gone := states[0].Gone; gone != nil && gone.Why == journal.TypeCitizensMerged {
		return nil, ErrNotFound
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
			agreedTo := &consent.Agreement{} // of one that has ended: nothing
			if v, known := law.Agreement(a.ID, g.Version); known {
				agreedTo = v
			}
			c.Granted, c.Version, c.Since, c.Fields = true, g.Version, g.Since, covered(&a, agreedTo, g.Fields)
			c.Asks = consent.Compare(*agreedTo, a).Asks()
		}
		out = append(out, c)
	}
	return out, nil
}

// covered are the distinct fields that an agreement shares under a grant of one of its versions; nil fields are all of that version.
func covered(a, agreedTo *consent.Agreement, fields []string) []string {
	var out []string
	for _, share := range a.Shares {
		former := agreedTo.Share(share.Event)
		for _, f := range share.Fields {
			if former != nil && slices.Contains(former.Fields, f) && (fields == nil || slices.Contains(fields, f)) && !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out
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
	// HiddenUntil and HiddenWhy are of a look that the law hid until that day.
	HiddenUntil, HiddenWhy string
	// Refused is set where you are protected, and who asked was answered as if you did not exist.
	Refused bool
}

// WhoSaw lists who saw a citizen's data, newest first. A look that the law hides for a time is not in it until then.
func (p *Projection) WhoSaw(ctx context.Context, id citizen.ID) ([]Seen, error) {
	given, err := p.given(ctx, id)
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
	types, err := p.factTypes(ctx, positions)
	if err != nil {
		return nil, err
	}
	out := make([]Seen, 0, len(given))
	for i := range given {
		item := given[i].Item
		s := Seen{At: given[i].At, Given: &given[i], Type: types[i], Fields: p.journal.FieldNames(types[i], item.Fields)}
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

// factTypes are the types of the facts that hold by records; a record's own where it tells none, or was erased.
func (p *Projection) factTypes(ctx context.Context, positions []int64) ([]string, error) {
	entries, err := p.journal.Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	told, err := p.journal.Told(ctx, entries)
	if err != nil {
		return nil, err
	}
	types := make([]string, len(entries))
	for i := range entries {
		types[i] = cmp.Or(told[i].Type, entries[i].Type)
	}
	return types, nil
}

// looks lists who in office looked at a citizen, also under ids that were merged into theirs.
func (p *Projection) looks(ctx context.Context, id citizen.ID) ([]Seen, error) {
	ids, err := p.relatives.MergedInto(ctx, id)
	if err != nil {
		return nil, err
	}
	ids = append(ids, id)
	var positions []int64
	for _, id := range ids {
		looked, err := p.trail.Accesses(ctx, id)
		if err != nil {
			return nil, err
		}
		positions = append(positions, looked...)
	}
	slices.Sort(positions)
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
		out = append(out, Seen{At: entries[i].RecordedAt, Access: &Access{
			Actor: kind, Kind: look.Kind, Reason: look.Reason, Case: look.Case, HiddenUntil: look.HiddenUntil, HiddenWhy: look.HiddenWhy,
			Refused: slices.ContainsFunc(ids, func(id citizen.ID) bool { return look.About == id.String() }),
		}})
	}
	return out, nil
}
