package journal

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// State is what the rules and the law need of one citizen: a fold of their aggregate. It is never changed once shared.
type State struct {
	ID       citizen.ID
	Version  int32
	Seen     int64           // position of the last event folded: the state is whole up to there
	Profile  citizen.Profile // registered and deceased only; facts are read by projection
	Standing consent.Standing
	// Corrected are the positions of what was told and holds no more, each with that of the correction or cancellation.
	Corrected map[int64]int64
	// Verified are the positions of what a registrar has stood behind since.
	Verified map[int64]bool
	Death    int64  // position of the death-registered that holds; 0 for none
	Language string // en or fr, as told last; empty where it was never told, or was erased
	Proxies  []Proxy
	Holds    []LegalHoldSet
	Frozen   int64 // position of what froze changes in the citizen's name; 0 while they are possible
	// Gone is set once the citizen is not served under this id any more, by the event that said so; nil while they are.
	Gone *Gone
}

// Proxy is somebody who may act for the citizen.
type Proxy struct {
	ID       citizen.ID
	Kind     string
	Scope    []string     // event types; empty: all
	Until    consent.Date // the last day; 0: open
	Position int64        // of the grant
	Kept     bool         // goes on acting while the citizen is protected
}

// Gone says why a citizen is not served under an id any more.
type Gone struct {
	Why      string // TypeErased, TypeCitizensMerged or TypeIdentityReplaced
	Position int64
	Kept     citizen.ID // of a merge: the id that stays
	Erased   Erased     // of an erasure
}

// MayAct says whether a proxy acts for the citizen on a day in what an event type is about.
func (s *State) MayAct(proxy citizen.ID, eventType string, on consent.Date) (Proxy, bool) {
	protected := s.Standing.IsProtected(on)
	for _, p := range s.Proxies {
		if p.ID != proxy || (p.Until != 0 && on > p.Until) || (protected && !p.Kept) {
			continue
		}
		return p, len(p.Scope) == 0 || slices.Contains(p.Scope, eventType)
	}
	return Proxy{}, false
}

// Stands says whether what was told at a position is still what the citizen says: neither corrected nor cancelled since.
func (s *State) Stands(position int64) bool {
	_, corrected := s.Corrected[position]
	return !corrected
}

// Expect is the expectation that the citizen's aggregate is still as this state saw it.
func (s *State) Expect() eventstore.Expect {
	return eventstore.Expect{Aggregate: CitizenAggregate(s.ID), Version: s.Version}
}

// Clone returns a copy that may be changed.
func (s *State) Clone() *State {
	c := *s
	c.Standing = *s.Standing.Clone()
	c.Corrected, c.Verified = maps.Clone(s.Corrected), maps.Clone(s.Verified)
	c.Proxies, c.Holds = slices.Clone(s.Proxies), slices.Clone(s.Holds)
	return &c
}

// Apply folds one event of the citizen's aggregate at a position into the state.
func (s *State) Apply(position int64, event any) {
	s.Version++
	s.Seen = position
	switch e := event.(type) {
	case citizen.Change:
		switch e.Type {
		case citizen.PersonRegistered:
			s.Profile.Registered = true
			s.Standing.Registered(birthDate(e.Data))
			s.speaks(e.Data)
		case citizen.LanguageChanged:
			s.speaks(e.Data)
		case citizen.DeathRegistered:
			s.Profile.Deceased, s.Death = true, position
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
	default:
		s.applyLaw(position, event)
	}
}

// applyLaw folds corrections, proxies, protection and what ends a citizen's id.
func (s *State) applyLaw(position int64, event any) {
	switch e := event.(type) {
	case ChangeCorrected:
		s.correct(e.Corrects, position)
		if e.Type == citizen.PersonRegistered {
			s.Standing.Registered(birthDate(e.Data))
		}
		if e.Type == citizen.LanguageChanged {
			s.speaks(e.Data)
		}
	case ChangeCancelled:
		s.correct(e.Corrects, position)
	case ChangeVerified:
		if s.Verified == nil {
			s.Verified = map[int64]bool{}
		}
		s.Verified[e.Verifies] = true
	case DeathCorrected:
		s.correct(e.Corrects, position)
		s.Profile.Deceased, s.Death = false, 0
		s.Standing.Lives(position)
	case ProxyGranted:
		s.proxy(position, e)
	case ProxyEnded:
		s.Proxies = slices.DeleteFunc(slices.Clone(s.Proxies), func(p Proxy) bool { return p.ID.String() == e.Proxy })
	case RestrictionSet:
		s.Standing.Protected(consent.Restriction{Kind: e.Kind, Through: e.Through, Until: dateOf(e.Until)})
		for i := range s.Proxies {
			s.Proxies[i].Kept = slices.Contains(e.Keeps, s.Proxies[i].ID.String())
		}
	case RestrictionLifted:
		s.Standing.Unprotected(e.Through)
	case Frozen:
		s.Frozen = position
	case Unfrozen:
		s.Frozen = 0
	case LegalHoldSet:
		s.Holds = append(s.Holds, e)
	case LegalHoldLifted:
		s.Holds = slices.DeleteFunc(slices.Clone(s.Holds), func(h LegalHoldSet) bool { return h.Authority == e.Authority })
	case CitizensMerged:
		kept, _ := citizen.ParseID(e.Kept)
		s.Gone = &Gone{Why: TypeCitizensMerged, Position: position, Kept: kept}
	case IdentityReplaced: // nothing of the old identity leaves any more, wherever it was linked
		s.Gone = &Gone{Why: TypeIdentityReplaced, Position: position}
		s.Standing.Protected(consent.Restriction{})
		s.Standing.Left()
	case Erased:
		if slices.Contains(e.Classes, eventstore.Facts) { // a retention schedule may also take other classes of somebody who stays
			s.Gone = &Gone{Why: TypeErased, Position: position, Erased: e}
			s.Standing.Left()
		}
	}
}

func (s *State) correct(position, by int64) {
	if s.Corrected == nil {
		s.Corrected = map[int64]int64{}
	}
	if before, again := s.Corrected[position]; again { // a death whose date was put right is taken back: that correction goes with it
		s.Corrected[before] = by
	}
	s.Corrected[position] = by
}

func (s *State) proxy(position int64, e ProxyGranted) {
	id, err := citizen.ParseID(e.Proxy)
	if err != nil {
		return // the command refuses such an id
	}
	s.Proxies = slices.DeleteFunc(slices.Clone(s.Proxies), func(p Proxy) bool { return p.ID == id })
	s.Proxies = append(s.Proxies, Proxy{ID: id, Kind: e.Kind, Scope: e.Scope, Until: dateOf(e.Until), Position: position})
}

func (s *State) speaks(data map[string]any) {
	if language, ok := data["language"].(string); ok {
		s.Language = language
	}
}

func birthDate(data map[string]any) consent.Date {
	born, _ := data["birth_date"].(string)
	return dateOf(born)
}

// dateOf is a date that was checked before it came onto the log; zero for none. Without a date of birth, age conditions fail.
func dateOf(text string) consent.Date {
	date, err := consent.ParseDate(text)
	if err != nil {
		return 0
	}
	return date
}

// shapesState says whether a type's content must be opened to fold a State; of all others the version alone counts.
func shapesState(eventType string) bool {
	switch eventType {
	case citizen.PersonRegistered, citizen.LanguageChanged, TypeConsentGranted, TypeConsentWithdrawn, TypeMinistryLinked, TypeMinistryUnlinked,
		TypeChangeCorrected, TypeChangeCancelled, TypeChangeVerified, TypeDeathCorrected, TypeProxyGranted, TypeProxyEnded, TypeRestrictionSet, TypeRestrictionLift,
		TypeLegalHoldSet, TypeLegalHoldLifted, TypeCitizensMerged, TypeErased:
		return true
	}
	return false
}

// shape is what a State folds of an entry: its event, or, where the type says all or the content is gone for ever, an event of that type
// without content. Whatever happens to a key, a fold by this is the same before and after.
func shape(e *Entry) any {
	if e.Event != nil {
		return e.Event
	}
	switch e.Type {
	case citizen.PersonRegistered, citizen.DeathRegistered:
		return citizen.Change{Type: e.Type}
	case TypeIdentityReplaced:
		return IdentityReplaced{}
	case TypeRestrictionSet:
		return RestrictionSet{}
	case TypeFrozen:
		return Frozen{}
	case TypeUnfrozen:
		return Unfrozen{}
	}
	return nil
}

// Fold applies an entry of the citizen's aggregate, also one whose content was erased or is locked.
func (s *State) Fold(e *Entry) { s.Apply(e.Position, shape(e)) }

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

// Remembered is a citizen's state from memory, where this process has it, as of its Seen.
func (j *Journal) Remembered(id citizen.ID) (*State, bool) { return j.states.Get(id) }

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
		s := &State{ID: ids[i]} // #nosec G602 -- a history for each id
		for k := range recs {
			e := &Entry{Recorded: recs[k]}
			if shapesState(recs[k].Type) {
				e, entries = &entries[0], entries[1:]
			}
			s.Fold(e)
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
	for i := range entries {
		if entries[i].Position > position {
			break
		}
		s.Fold(&entries[i])
	}
	return s, nil
}

// SubjectOf is a record's subject as a citizen.
func SubjectOf(rec *eventstore.Recorded) (citizen.ID, bool) {
	return citizen.ID(rec.Subject), rec.Subject != uuid.Nil
}
