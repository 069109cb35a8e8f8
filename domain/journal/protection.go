package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

// VisibleTo says whether an actor may know on a day that the citizen exists. A protected citizen is seen by themself, by the proxies whom
// the protection keeps, by protectors, and by what carries the citizen's own words (an import source) or serves no one who asks (the hub
// itself). To everyone else, registrars too, they are somebody who was never registered.
func (s *State) VisibleTo(actor Actor, on consent.Date) bool {
	if !s.Standing.IsProtected(on) {
		return true
	}
	return seesHidden(actor, s.ID, func(id citizen.ID) bool {
		return slices.ContainsFunc(s.Proxies, func(p Proxy) bool { return p.ID == id && p.Kept && (p.Until == 0 || on <= p.Until) })
	})
}

// Hides says whether a citizen is hidden from an actor on a day (VisibleTo).
func (j *Journal) Hides(s *State, actor Actor, on consent.Date) bool {
	return !s.VisibleTo(actor, on)
}

// UnderRestriction says whether the decisions were made while the citizen was protected, and so would betray it.
func (d Decided) UnderRestriction() bool {
	return slices.ContainsFunc(d.Decisions, func(one Decision) bool { return one.Reason == consent.Restricted })
}

// seesHidden says whether an actor knows of a protected citizen. kept says whose proxy the protection keeps.
func seesHidden(actor Actor, id citizen.ID, kept func(citizen.ID) bool) bool {
	switch actor.Kind {
	case ActorProtector, ActorSource, ActorHub:
		return true
	case ActorResident:
		self := citizen.ID(actor.Citizen)
		return self == id || (!self.IsZero() && kept(self))
	}
	return false
}

// Protection is the view of who is protected: so that every question about a person is answered after the same work, whether the person
// is protected or unknown. Keys are a letter and:
//
//	p citizen         → restrictions and kept proxies (protectionRow)
//	t parent, citizen → the citizen is covered through the parent
//
// A citizen's row stays when all is lifted: that they once were protected is no one's business either.
type Protection struct{ journal *Journal }

// NewProtection returns the view on a journal.
func NewProtection(j *Journal) Protection { return Protection{journal: j} }

// Name is the view's name in the store.
func (Protection) Name() string { return "protection" }

// Wants says yes to what begins and ends protection.
func (Protection) Wants(eventType string) bool {
	switch eventType {
	case TypeRestrictionSet, TypeRestrictionLift, TypeIdentityReplaced:
		return true
	}
	return false
}

type protectionRow struct {
	Keeps        []string         `json:"keeps,omitempty"`
	Restrictions []restrictionRow `json:"restrictions,omitempty"`
}

// restrictionRow is a consent.Restriction without its kind: why somebody is protected stands in no view.
type restrictionRow struct {
	Through string       `json:"through,omitempty"`
	Until   consent.Date `json:"until,omitempty"`
}

func (r *protectionRow) standing() (s consent.Standing) {
	for _, restriction := range r.Restrictions {
		s.Restrictions = append(s.Restrictions, consent.Restriction{Through: restriction.Through, Until: restriction.Until})
	}
	return s
}

// Apply folds restrictions exactly as a State does.
func (p Protection) Apply(ctx context.Context, tx *ViewTx, entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		id := citizen.ID(e.Aggregate.ID)
		row, err := readProtection(tx.Get(ctx, protectedKey(id)))
		if err != nil {
			return err
		}
		before := row.Restrictions
		state := State{ID: id, Standing: row.standing()}
		state.Fold(e)
		row.Restrictions = nil
		for _, r := range state.Standing.Restrictions {
			row.Restrictions = append(row.Restrictions, restrictionRow{Through: r.Through, Until: r.Until})
		}
		if set, ok := e.Event.(RestrictionSet); ok {
			row.Keeps = set.Keeps
		}
		value, err := json.Marshal(row)
		if err != nil {
			return err
		}
		tx.Put(protectedKey(id), value)
		for _, r := range before {
			if parent, err := citizen.ParseID(r.Through); err == nil {
				tx.Put(throughKey(parent, id), nil)
			}
		}
		for _, r := range row.Restrictions {
			if parent, err := citizen.ParseID(r.Through); err == nil {
				tx.Put(throughKey(parent, id), []byte{1})
			}
		}
	}
	return nil
}

// Hidden says for each citizen whether an actor may know nothing of them now, complete up to the head. The same is read for everyone, also
// for the zero id.
func (p Protection) Hidden(ctx context.Context, actor Actor, ids ...citizen.ID) ([]bool, error) {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = protectedKey(id)
	}
	var values [][]byte
	err := p.whole(ctx, func() (err error) {
		values, err = p.journal.store.Get(ctx, p.Name(), keys...)
		return err
	})
	if err != nil {
		return nil, err
	}
	today := p.today()
	out := make([]bool, len(ids))
	for i, id := range ids {
		row, err := readProtection(values[i], nil)
		if err != nil {
			return nil, err
		}
		out[i] = row.hides(actor, id, today)
	}
	return out, nil
}

// HiddenFrom returns all citizens of whom an actor may know nothing now, complete up to the head: for lists over everybody.
func (p Protection) HiddenFrom(ctx context.Context, actor Actor) (map[citizen.ID]bool, error) {
	rows, err := p.scan(ctx, []byte{'p'}, []byte{'p' + 1})
	if err != nil {
		return nil, err
	}
	today := p.today()
	out := map[citizen.ID]bool{}
	for i := range rows {
		row, err := readProtection(rows[i].Value, nil)
		if err != nil {
			return nil, err
		}
		if id := citizen.ID(rows[i].Key[1:]); row.hides(actor, id, today) {
			out[id] = true
		}
	}
	return out, nil
}

// Reference returns the citizens whom an actor knows under a source's references, zero where none. A reference of somebody who is hidden
// from the actor is free: who registers a person under it (RegisterFor) gets another citizen, and finds that one from then on.
func (p Protection) Reference(ctx context.Context, actor Actor, source string, references ...string) ([]citizen.ID, error) {
	look, err := p.lookUp(ctx, actor, source, references)
	if err != nil {
		return nil, err
	}
	out := make([]citizen.ID, len(references))
	for i := range out {
		out[i] = look.known(i)
	}
	return out, nil
}

// Asked is Reference of one reference that also says who stands behind it hidden from the actor, for the event that says so; zero for none.
func (p Protection) Asked(ctx context.Context, actor Actor, source, reference string) (known, hidden citizen.ID, err error) {
	look, err := p.lookUp(ctx, actor, source, []string{reference})
	if err != nil {
		return known, hidden, err
	}
	if look.hidesFirst[0] {
		hidden = look.first[0]
	}
	return look.known(0), hidden, nil
}

// RegisterFor returns the citizen whom an actor would register under a source's reference: the one whom they know under it, else a new id.
func (p Protection) RegisterFor(ctx context.Context, actor Actor, source, reference string) (citizen.ID, error) {
	look, err := p.lookUp(ctx, actor, source, []string{reference})
	if err != nil {
		return citizen.ID{}, err
	}
	if look.taken(0) {
		source = freed + source
	}
	ids, err := p.journal.Register(ctx, source, reference)
	if err != nil {
		return citizen.ID{}, err
	}
	return ids[0], nil
}

// Refer makes a source's reference lead to a citizen, unless the actor knows somebody else under it, and returns whom they know under it
// then. An id about which the log knows nothing is nobody: its reference is free. To do it again does no harm.
func (p Protection) Refer(ctx context.Context, actor Actor, ref SourceReference, id citizen.ID) (citizen.ID, error) {
	look, err := p.lookUp(ctx, actor, ref.Source, []string{ref.Reference})
	if err != nil {
		return citizen.ID{}, err
	}
	if look.taken(0) {
		ref.Source = freed + ref.Source
	}
	owner, err := p.journal.keyring.Refer(ctx, ref.Source, ref.Reference, uuid.UUID(id))
	if err != nil || owner == uuid.UUID(id) {
		return citizen.ID(owner), err
	}
	states, err := p.journal.FreshStates(ctx, citizen.ID(owner))
	if err != nil || states[0].Version > 0 {
		return citizen.ID(owner), err
	}
	if err := p.journal.Repoint(ctx, citizen.ID(owner), id); err != nil {
		return citizen.ID{}, err
	}
	ids, err := p.journal.Reference(ctx, ref.Source, ref.Reference) // of two who repointed it, one came first
	if err != nil {
		return citizen.ID{}, err
	}
	return ids[0], nil
}

// freed begins the namespace of a source's references that are registered again while who stands behind them is hidden. No source's name
// begins so: names are printable.
const freed = "\x00freed\x00"

// looked is what stands behind references: as they were first registered, and as they were registered again.
type looked struct {
	first, again           []citizen.ID
	hidesFirst, hidesAgain []bool
}

func (p Protection) lookUp(ctx context.Context, actor Actor, source string, references []string) (l looked, err error) {
	if l.first, err = p.journal.Reference(ctx, source, references...); err != nil {
		return l, err
	}
	if l.again, err = p.journal.Reference(ctx, freed+source, references...); err != nil {
		return l, err
	}
	hidden, err := p.Hidden(ctx, actor, slices.Concat(l.first, l.again)...)
	if err != nil {
		return l, err
	}
	l.hidesFirst, l.hidesAgain = hidden[:len(l.first)], hidden[len(l.first):]
	return l, nil
}

// known is the citizen whom the asker knows under reference i.
func (l looked) known(i int) citizen.ID {
	switch {
	case !l.first[i].IsZero() && !l.hidesFirst[i]:
		return l.first[i]
	case !l.hidesAgain[i]:
		return l.again[i]
	}
	return citizen.ID{}
}

// taken says whether reference i is to be registered apart: somebody hidden stands behind it, or it was registered apart before.
func (l looked) taken(i int) bool {
	return l.hidesFirst[i] || (l.first[i].IsZero() && !l.again[i].IsZero())
}

// CoveredThrough returns the citizens who are protected through another, complete up to the head.
func (p Protection) CoveredThrough(ctx context.Context, parent citizen.ID) ([]citizen.ID, error) {
	from := throughKey(parent, citizen.ID{})
	rows, err := p.scan(ctx, from, append(bytes.Clone(from[:17]), bytes.Repeat([]byte{0xff}, 17)...))
	out := make([]citizen.ID, len(rows))
	for i, row := range rows {
		out[i] = citizen.ID(row.Key[17:])
	}
	return out, err
}

func (p Protection) scan(ctx context.Context, from, to []byte) (rows []eventstore.Row, err error) {
	err = p.whole(ctx, func() (err error) {
		rows, err = p.journal.store.Scan(ctx, p.Name(), from, to, 0, false)
		return err
	})
	return rows, err
}

// whole reads rows that are complete up to the head. A view may be dropped at any moment to be built again; what was read then is read
// again, for nobody's protection may be overlooked meanwhile.
func (p Protection) whole(ctx context.Context, read func() error) error {
	for {
		head, err := p.journal.Head(ctx)
		if err != nil {
			return err
		}
		if _, err := p.journal.CatchUp(ctx, p, head.Position+1); err != nil {
			return err
		}
		if err := read(); err != nil {
			return err
		}
		at, err := p.journal.Reached(ctx, p)
		if err != nil || at > head.Position {
			return err
		}
	}
}

func (p Protection) today() consent.Date { return p.journal.DayOf(p.journal.Now(Timing{})).Date }

func (r *protectionRow) hides(actor Actor, id citizen.ID, today consent.Date) bool {
	standing := r.standing()
	return standing.IsProtected(today) && !seesHidden(actor, id, func(proxy citizen.ID) bool { return slices.Contains(r.Keeps, proxy.String()) })
}

var errProtection = errors.New("journal: a row of the view protection can't be read: rebuild it with `tellonce rebuild protection`")

func readProtection(value []byte, err error) (protectionRow, error) {
	var row protectionRow
	if err != nil || value == nil {
		return row, err
	}
	if json.Unmarshal(value, &row) != nil {
		err = errProtection
	}
	return row, err
}

func protectedKey(id citizen.ID) []byte { return append([]byte{'p'}, id[:]...) }

func throughKey(parent, id citizen.ID) []byte { return slices.Concat([]byte{'t'}, parent[:], id[:]) }

// SourceReference is a source's reference of a person.
type SourceReference struct{ Source, Reference string }

// GiveReferences takes all references from a citizen and makes the chosen ones lead to another. It may be repeated, and finishes what a
// crash left undone: in between, a reference leads nowhere or to an id about which the log knows nothing.
func (j *Journal) GiveReferences(ctx context.Context, from, to citizen.ID, chosen ...SourceReference) error {
	if _, err := j.keyring.Unregister(ctx, uuid.UUID(from)); err != nil {
		return err
	}
	for _, ref := range chosen {
		ids, err := j.Register(ctx, ref.Source, ref.Reference)
		if err != nil {
			return err
		}
		states, err := j.FreshStates(ctx, ids[0])
		if err != nil {
			return err
		}
		if ids[0] == to || states[0].Version > 0 { // done before; or somebody else was registered under it meanwhile
			continue
		}
		if _, err := j.keyring.Repoint(ctx, uuid.UUID(ids[0]), uuid.UUID(to)); err != nil {
			return err
		}
	}
	return nil
}
