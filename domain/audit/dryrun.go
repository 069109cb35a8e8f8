package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// ErrNotNewer refuses a dry run of a version that could not be approved: it must be newer than every approved one of its agreement.
var ErrNotNewer = errors.New("audit: a candidate needs a higher version than the one approved")

// DryRunReport is what a candidate version would do, counted over every fact of the log. Each fact is judged twice, with what was known of
// the citizen when it was told: by the newest approved version of the agreement, and by the candidate in its place. The candidate counts
// as in force wherever the version it replaces was, so that one with the same rules changes nothing; a new agreement counts as in force
// from the beginning. A grant of an earlier version goes on covering what that version shared.
//
// It is counted for whoever sees the report: of people who are hidden from them, and of facts that were told under a protection which has
// ended, nothing is in it.
type DryRunReport struct {
	Agreement string `json:"agreement"`
	Version   int    `json:"version"`
	Replaces  int    `json:"replaces"` // the newest approved version; 0: the agreement is new
	Facts     int64  `json:"facts"`    // judged: of the types that either version shares
	Citizens  int64  `json:"citizens"` // whose facts they are
	Erased    int64  `json:"erased"`   // facts that can't be judged any more
	// SharedBefore and SharedAfter are how many facts something of is shared.
	SharedBefore int64 `json:"shared_before"`
	SharedAfter  int64 `json:"shared_after"`
	// Fields are all that either version shares, by event type, in the order of the type's fields.
	Fields []FieldEffect `json:"fields"`
	// Withheld counts facts by the reason why nothing of them is shared, in the order of judgement.
	Withheld []ReasonEffect `json:"withheld"`
}

// FieldEffect is what becomes of one field of one event type.
type FieldEffect struct {
	Type           string `json:"type"`
	Field          string `json:"field"`
	Before         int64  `json:"before"` // facts that share it
	After          int64  `json:"after"`
	GainedFacts    int64  `json:"gained_facts"`
	LostFacts      int64  `json:"lost_facts"`
	GainedCitizens int64  `json:"gained_citizens"` // with a fact that gains it
	LostCitizens   int64  `json:"lost_citizens"`
}

// ReasonEffect counts the facts withheld for one reason.
type ReasonEffect struct {
	Reason string `json:"reason"`
	Before int64  `json:"before"`
	After  int64  `json:"after"`
}

// PersonEffect is what one citizen's facts of one type gain or lose.
type PersonEffect struct {
	Citizen string   `json:"citizen"` // the hub's own id
	Type    string   `json:"type"`
	Gained  []string `json:"gained"`
	Lost    []string `json:"lost"`
}

// DryRun folds the whole log under a candidate's rules and counts who would gain or lose which fields. It names nobody, and is as an officer
// may see it. progress, if not nil, is told how far of how much. ErrNotNewer if the candidate's version could not be approved.
func (a *Audit) DryRun(ctx context.Context, candidate consent.Agreement, progress func(done, total int64)) (DryRunReport, error) {
	head, err := a.journal.Head(ctx)
	if err != nil {
		return DryRunReport{}, err
	}
	run, err := newDryRun(ctx, a, journal.Actor{Kind: journal.ActorOfficer}, candidate)
	if err != nil {
		return DryRunReport{}, err
	}
	if err := run.replay(ctx, head.Position+1, run.opens, run.judge, progress); err != nil {
		return DryRunReport{}, err
	}
	return run.report(), nil
}

// DryRunPeople is DryRun that also names the citizens concerned, by their ids in the hub, in order of id and event type, and is as the
// session's actor may see it: protectors see whoever is protected.
func (s *Session) DryRunPeople(
	ctx context.Context, candidate consent.Agreement, people func(PersonEffect) error, progress func(done, total int64),
) (DryRunReport, error) {
	run, err := newDryRun(ctx, s.audit, s.actor, candidate)
	if err != nil {
		return DryRunReport{}, err
	}
	if err := run.replay(ctx, s.Position, run.opens, run.judge, progress); err != nil {
		return DryRunReport{}, err
	}
	return run.report(), run.name(people)
}

// dryRun is one run: the history, with two sets of rules that hold one agreement each.
type dryRun struct {
	*history
	concealed     map[citizen.ID]bool // of whom nothing is counted
	protector     bool
	candidate     consent.Agreement
	replaces      int
	before, after *consent.Rules
	types         []string // that either version shares, sorted
	tallies       []tally  // of types
	withheld      map[consent.Reason]*ReasonEffect
	totals        DryRunReport
}

// tally counts the facts of one event type by field: bit i of a set counts in place i.
type tally struct {
	before, after, gained, lost [64]int64
}

// effect is what a citizen's facts of one type gain or lose, in all.
type effect struct {
	eventType    int // index in dryRun.types
	gained, lost consent.FieldSet
}

func newDryRun(ctx context.Context, a *Audit, actor journal.Actor, candidate consent.Agreement) (*dryRun, error) {
	j := a.journal
	law, err := j.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	run := &dryRun{history: newHistory(j), candidate: candidate, withheld: map[consent.Reason]*ReasonEffect{}}
	run.protector = actor.Kind == journal.ActorProtector
	if run.concealed, err = a.protection.HiddenFrom(ctx, actor); err != nil {
		return nil, err
	}
	versions := slices.DeleteFunc(law.Book.Versions(), func(a consent.Agreement) bool { return a.ID != candidate.ID })
	candidate.ValidFrom = 0
	if len(versions) > 0 {
		newest := versions[len(versions)-1] // Versions are sorted
		if run.replaces = newest.Version; candidate.Version <= newest.Version {
			return nil, fmt.Errorf("%w: %s@%d is approved, the candidate is version %d", ErrNotNewer, newest.ID, newest.Version, candidate.Version)
		}
		candidate.ValidFrom = min(newest.ValidFrom, run.candidate.ValidFrom)
	}
	if run.before, err = j.Compile(versions...); err != nil {
		return nil, fmt.Errorf("audit: compile the approved versions: %w", err)
	}
	if run.after, err = j.Compile(append(versions, candidate)...); err != nil {
		return nil, fmt.Errorf("audit: the candidate can't be approved: %w", err)
	}
	types := map[string]bool{}
	for _, a := range append(versions[max(0, len(versions)-1):], candidate) { // a replaced version shares nothing any more
		for _, share := range a.Shares {
			types[share.Event] = true
		}
	}
	run.types = slices.Sorted(maps.Keys(types))
	run.tallies = make([]tally, len(run.types))
	return run, nil
}

// shares is what rules of one agreement share of an event type.
func shares(rules *consent.Rules, eventType string) consent.FieldSet {
	return rules.Fields(0, eventType)
}

// opens: the decisions of the log are not asked, and facts that neither version shares shape nothing.
func (d *dryRun) opens(eventType string) bool {
	if eventType == journal.TypeDecided {
		return false
	}
	if row, ok := d.journal.Registry().Row(eventType); !ok || !row.Fact || eventType == citizen.PersonRegistered {
		return true
	}
	_, shared := slices.BinarySearch(d.types, eventType)
	return shared
}

// judge judges one fact by both rules.
func (d *dryRun) judge(_ context.Context, on *decision) error {
	if d.concealed[on.person.state.ID] {
		return nil
	}
	if on.erased {
		row, ok := d.journal.Registry().Row(on.cause)
		if _, shared := slices.BinarySearch(d.types, on.cause); shared || !ok || !row.Fact { // what a correction was about is erased, too
			d.totals.Erased++
		}
		return nil
	}
	at, shared := slices.BinarySearch(d.types, on.change.Type)
	if !shared {
		return nil
	}
	fact := d.journal.Fact(on.change, d.day.Date)
	before, after := decideAlone(d.before, on.person, &fact), decideAlone(d.after, on.person, &fact)
	if !d.protector && (before.Reason == consent.Restricted || after.Reason == consent.Restricted) {
		return nil
	}
	d.count(at, &before, &after)
	on.person.affected(at, after.Fields&^before.Fields, before.Fields&^after.Fields)
	return nil
}

// decideAlone is the decision of rules that hold one agreement; the zero one if it doesn't share the type, or there is none.
func decideAlone(rules *consent.Rules, p *person, fact *consent.Fact) consent.Decision {
	var room [1]consent.Decision
	for _, decision := range consent.Decide(room[:0], rules, &p.state.Standing, fact) {
		return decision
	}
	return consent.Decision{}
}

// count adds a fact's two decisions to the sums.
func (d *dryRun) count(at int, before, after *consent.Decision) {
	d.totals.Facts++
	for _, side := range []struct {
		decision *consent.Decision
		shared   *int64
		withheld func(*ReasonEffect)
	}{
		{before, &d.totals.SharedBefore, func(r *ReasonEffect) { r.Before++ }},
		{after, &d.totals.SharedAfter, func(r *ReasonEffect) { r.After++ }},
	} {
		switch {
		case side.decision.Fields != 0:
			*side.shared++
		case side.decision.Reason != consent.None:
			r := d.withheld[side.decision.Reason]
			if r == nil {
				r = &ReasonEffect{Reason: side.decision.Reason.String()}
				d.withheld[side.decision.Reason] = r
			}
			side.withheld(r)
		}
	}
	t := &d.tallies[at]
	count(&t.before, before.Fields)
	count(&t.after, after.Fields)
	count(&t.gained, after.Fields&^before.Fields)
	count(&t.lost, before.Fields&^after.Fields)
}

// count adds a set of fields to a tally.
func count(tally *[64]int64, set consent.FieldSet) {
	for bit := range tally {
		if set>>bit == 0 {
			return
		}
		tally[bit] += int64(set >> bit & 1) // #nosec G115 -- one bit
	}
}

// affected adds a fact of a type to what is gained and lost; a citizen with such a fact has an effect, be it empty.
func (p *person) affected(eventType int, gained, lost consent.FieldSet) {
	for i := range p.effects {
		if e := &p.effects[i]; e.eventType == eventType {
			e.gained, e.lost = e.gained|gained, e.lost|lost
			return
		}
	}
	p.effects = append(p.effects, effect{eventType: eventType, gained: gained, lost: lost})
}

// report sums up.
func (d *dryRun) report() DryRunReport {
	r := d.totals
	r.Agreement, r.Version, r.Replaces = d.candidate.ID, d.candidate.Version, d.replaces
	r.Fields, r.Withheld = []FieldEffect{}, []ReasonEffect{}
	citizens := make([]tally, len(d.types)) // by type and field, too
	for _, p := range d.people {
		if len(p.effects) > 0 {
			r.Citizens++
		}
		for _, e := range p.effects {
			count(&citizens[e.eventType].gained, e.gained)
			count(&citizens[e.eventType].lost, e.lost)
		}
	}
	for at, eventType := range d.types {
		row, _ := d.journal.Registry().Row(eventType)
		set := shares(d.before, eventType) | shares(d.after, eventType)
		for bit, name := range row.FieldNames() {
			if set>>bit&1 == 0 {
				continue
			}
			facts, people := &d.tallies[at], &citizens[at]
			r.Fields = append(r.Fields, FieldEffect{
				Type: eventType, Field: name, Before: facts.before[bit], After: facts.after[bit], GainedFacts: facts.gained[bit],
				LostFacts: facts.lost[bit], GainedCitizens: people.gained[bit], LostCitizens: people.lost[bit],
			})
		}
	}
	for _, reason := range consent.Reasons() {
		if one := d.withheld[reason]; one != nil {
			r.Withheld = append(r.Withheld, *one)
		}
	}
	return r
}

// name lists the citizens who gain or lose anything.
func (d *dryRun) name(people func(PersonEffect) error) error {
	ids := slices.SortedFunc(maps.Keys(d.people), func(a, b citizen.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		p := d.people[id]
		slices.SortFunc(p.effects, func(a, b effect) int { return cmp.Compare(a.eventType, b.eventType) })
		for _, e := range p.effects {
			if e.gained|e.lost == 0 {
				continue
			}
			eventType := d.types[e.eventType]
			one := PersonEffect{
				Citizen: id.String(), Type: eventType,
				Gained: append([]string{}, d.journal.FieldNames(eventType, e.gained)...), Lost: append([]string{}, d.journal.FieldNames(eventType, e.lost)...),
			}
			if err := people(one); err != nil {
				return err
			}
		}
	}
	return nil
}
