package consent

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// FieldSet is a set of an event type's fields: bit i is the i-th field of the type's registry row. Sets are on the log, so rows only grow.
type FieldSet uint64

// maxFields is how many fields a FieldSet can tell apart.
const maxFields = 64

// Rules are agreements compiled: per event type the candidates, in agreement id order, with their fields as bits. They never change.
type Rules struct {
	agreements []Agreement // sorted by id; the newest version of each
	index      map[string]int16
	events     map[string]*eventRules
}

// eventRules is what the rules hold for one event type. The maps lead from what a citizen's standing names to the candidates that depend
// on it, so that deciding costs by grant and link, not by candidate.
type eventRules struct {
	names      []string // in bit order
	candidates []candidate
	blank      []Decision       // one for each candidate, before anything is known of the citizen
	consented  map[string]int   // agreement id → its candidate, if it needs a grant
	linked     map[string][]int // ministry → the candidates that need a link to it
}

// candidate is one agreement's share of one event type.
type candidate struct {
	fields            FieldSet
	validFrom         Date // both inclusive and never open
	validUntil        Date
	receivesProtected bool
	verifiedOnly      bool
	when              condition
	earlier           []earlierShare
}

// earlierShare is what an older version of the agreement shared of the type, and when. A grant of that version covers no more than that.
type earlierShare struct {
	version           int
	fields            FieldSet
	when              condition
	receivesProtected bool
	verifiedOnly      bool
	ministry          string // of the clients to whom the version was restricted; empty: everybody
}

// covers says whether the version would have shared anything of a fact. Validity is the newest version's matter.
func (s *earlierShare) covers(standing *Standing, fact *Fact, age age) bool {
	if standing.IsProtected(fact.Recorded) && !s.receivesProtected {
		return false
	}
	if s.ministry != "" && standing.linkIndex(s.ministry) < 0 {
		return false
	}
	if s.verifiedOnly && !fact.Verified {
		return false
	}
	return s.when.failed(fact, age) == 0
}

// Compile compiles agreements. fieldsOf gives the fields of an event type in bit order, nil for an unknown type. Of several versions of one
// id the highest is the rule; the others say what grants of them cover (Book.Versions gives all of them). An unknown event type or
// field, a type named twice in one agreement and a version given twice are errors.
func Compile(agreements []Agreement, fieldsOf func(eventType string) []string) (*Rules, error) {
	versions := slices.Clone(agreements)
	slices.SortStableFunc(versions, compareAgreements)
	rules := &Rules{index: map[string]int16{}, events: map[string]*eventRules{}}
	for from := 0; from < len(versions); {
		to := from + 1
		for to < len(versions) && versions[to].ID == versions[from].ID {
			if versions[to].Version == versions[to-1].Version {
				return nil, fmt.Errorf("agreement %q: version %d is given twice", versions[to].ID, versions[to].Version)
			}
			to++
		}
		if err := rules.add(versions[from:to], fieldsOf); err != nil {
			return nil, err
		}
		from = to
	}
	return rules, nil
}

func compareAgreements(a, b Agreement) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
}

// add compiles one agreement: its versions, the newest last.
func (r *Rules) add(versions []Agreement, fieldsOf func(string) []string) error {
	newest := versions[len(versions)-1]
	if len(r.agreements) > math.MaxInt16 {
		return fmt.Errorf("agreement %q: more than %d agreements", newest.ID, math.MaxInt16+1)
	}
	if newest.Version < 0 || newest.Version > math.MaxInt32 {
		return fmt.Errorf("agreement %q: no such version: %d", newest.ID, newest.Version)
	}
	index := int16(len(r.agreements)) //nolint:gosec // bounded above
	r.agreements = append(r.agreements, newest)
	r.index[newest.ID] = index
	for i := range newest.Shares {
		share := &newest.Shares[i]
		if newest.Share(share.Event) != share {
			return fmt.Errorf("agreement %q: event type %q is named twice", newest.ID, share.Event)
		}
		event, err := r.event(share.Event, fieldsOf)
		if err != nil {
			return fmt.Errorf("agreement %q: %w", newest.ID, err)
		}
		fields, err := event.set(share.Fields)
		if err != nil {
			return fmt.Errorf("agreement %q: event type %q: %w", newest.ID, share.Event, err)
		}
		event.add(&newest, index, candidate{
			fields:            fields,
			validFrom:         newest.ValidFrom,
			validUntil:        cmp.Or(newest.ValidUntil, math.MaxInt32),
			receivesProtected: newest.ReceivesProtected,
			verifiedOnly:      newest.MinAssurance == AssuranceVerified,
			when:              compileConditions(&share.When),
			earlier:           event.earlier(versions[:len(versions)-1], share.Event),
		})
	}
	return nil
}

// event is the entry of an event type, made when it is first named.
func (r *Rules) event(eventType string, fieldsOf func(string) []string) (*eventRules, error) {
	if event, ok := r.events[eventType]; ok {
		return event, nil
	}
	names := fieldsOf(eventType)
	if names == nil {
		return nil, fmt.Errorf("unknown event type %q", eventType)
	}
	if len(names) > maxFields {
		return nil, fmt.Errorf("event type %q has more than %d fields", eventType, maxFields)
	}
	event := &eventRules{names: slices.Clone(names), consented: map[string]int{}, linked: map[string][]int{}}
	r.events[eventType] = event
	return event, nil
}

// add puts an agreement's candidate behind the others. A population or a basis that is neither of the two known words is taken for the
// stricter one.
func (e *eventRules) add(a *Agreement, index int16, c candidate) {
	place := len(e.candidates)
	e.candidates = append(e.candidates, c)
	blank := Decision{Agreement: index, Version: int32(a.Version)} //nolint:gosec // bounded by Rules.add
	if blank.linked = a.Population == PopulationAll; !blank.linked {
		e.linked[a.Ministry] = append(e.linked[a.Ministry], place)
	}
	if a.Basis.Kind == BasisStatute {
		blank.grant = noGrantNeeded
	} else {
		e.consented[a.ID] = place
	}
	e.blank = append(e.blank, blank)
}

// set is the bits of field names; an unknown name is an error.
func (e *eventRules) set(names []string) (FieldSet, error) {
	var set FieldSet
	for _, name := range names {
		bit := slices.Index(e.names, name)
		if bit < 0 {
			return 0, fmt.Errorf("unknown field %q", name)
		}
		set |= 1 << bit
	}
	return set, nil
}

// known is the bits of those names that the type has: a grant also names fields of other event types.
func (e *eventRules) known(names []string) FieldSet {
	var set FieldSet
	for _, name := range names {
		if bit := slices.Index(e.names, name); bit >= 0 {
			set |= 1 << bit
		}
	}
	return set
}

func (e *eventRules) earlier(versions []Agreement, eventType string) []earlierShare {
	var shares []earlierShare
	for i := range versions {
		a := &versions[i]
		share := earlierShare{version: a.Version, receivesProtected: a.ReceivesProtected, verifiedOnly: a.MinAssurance == AssuranceVerified}
		if a.Population != PopulationAll {
			share.ministry = a.Ministry
		}
		if s := a.Share(eventType); s != nil {
			share.fields, share.when = e.known(s.Fields), compileConditions(&s.When)
		}
		shares = append(shares, share)
	}
	return shares
}

// Agreement is the i-th agreement in id order, as Decision.Agreement names it; nil if there is none.
func (r *Rules) Agreement(i int16) *Agreement {
	if i < 0 || int(i) >= len(r.agreements) {
		return nil
	}
	return &r.agreements[i]
}

// Lookup is the index of an agreement.
func (r *Rules) Lookup(id string) (int16, bool) {
	i, ok := r.index[id]
	return i, ok
}

// Fields is what the i-th agreement shares of an event type; empty if nothing.
func (r *Rules) Fields(i int16, event string) FieldSet {
	if e, place := r.find(i, event); e != nil {
		return e.candidates[place].fields
	}
	return 0
}

// Names are the names of a set of fields of an event type, sorted; nil for a type that no agreement names.
func (r *Rules) Names(event string, set FieldSet) []string {
	e := r.events[event]
	if e == nil {
		return nil
	}
	names := []string{}
	for bit, name := range e.names {
		if set&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// find is where the i-th agreement's candidate for an event type stands; nil if it has none.
func (r *Rules) find(i int16, event string) (*eventRules, int) {
	e := r.events[event]
	if e == nil {
		return nil, 0
	}
	place, found := slices.BinarySearchFunc(e.blank, i, func(d Decision, i int16) int { return cmp.Compare(d.Agreement, i) })
	if !found {
		return nil, 0
	}
	return e, place
}
