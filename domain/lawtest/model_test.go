package lawtest

import (
	"slices"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// record is the log as the checker holds it: decoded entries by position. What the law allows is worked out from them anew, naively and
// by words alone: no fold, rule or set of bits of the hub's is asked.
type record struct {
	entries  []journal.Entry
	people   map[citizen.ID][]int64 // positions of each citizen's own events
	law      []int64                // positions of the agreements' events
	registry *schemas.Registry
	zone     *time.Location
}

func newRecord(entries []journal.Entry, registry *schemas.Registry, zone *time.Location) *record {
	r := &record{entries: entries, people: map[citizen.ID][]int64{}, registry: registry, zone: zone}
	for i := range entries {
		switch a := entries[i].Aggregate; a.Category {
		case 1:
			r.people[citizen.ID(a.ID)] = append(r.people[citizen.ID(a.ID)], int64(i))
		case 2:
			r.law = append(r.law, int64(i))
		}
	}
	return r
}

func (r *record) subject(position int64) citizen.ID { return citizen.ID(r.entries[position].Subject) }

func (r *record) day(position int64) string {
	return r.entries[position].RecordedAt.In(r.zone).Format(time.DateOnly)
}

// person is what the log before a position says of somebody, as far as the law asks.
type person struct {
	born       string
	dead, gone bool
	protected  map[string]string // through whom → until
	grants     map[string]grant  // by agreement
	ended      map[string]grant  // by the death
	links      map[string]link   // by ministry
	corrected  map[int64]bool
	erased     map[int]bool // classes
}

type grant struct {
	since   int64
	version int
	fields  []string // nil: all
}

type link struct {
	since     int64
	reference string
}

// person folds a citizen's events before a position.
func (r *record) person(id citizen.ID, before int64) person {
	p := person{
		protected: map[string]string{}, grants: map[string]grant{}, links: map[string]link{}, corrected: map[int64]bool{}, erased: map[int]bool{},
	}
	for _, at := range r.people[id] {
		if at >= before {
			break
		}
		r.apply(&p, at)
	}
	return p
}

func (r *record) apply(p *person, at int64) {
	e := &r.entries[at]
	switch event := e.Event.(type) {
	case citizen.Change:
		switch event.Type {
		case "person-registered":
			p.born, _ = event.Data["birth_date"].(string)
		case "death-registered":
			p.dead, p.ended, p.grants = true, p.grants, map[string]grant{}
		}
	case journal.ChangeCorrected:
		p.corrected[event.Corrects] = true
		if event.Type == "person-registered" {
			p.born, _ = event.Data["birth_date"].(string)
		}
	case journal.ChangeCancelled:
		p.corrected[event.Corrects] = true
	case journal.DeathCorrected:
		p.corrected[event.Corrects] = true
		for agreement, g := range p.ended {
			g.since = at
			p.grants[agreement] = g
		}
		p.dead, p.ended = false, nil
	case journal.ConsentGranted:
		g := grant{since: at, version: event.Version, fields: event.Fields}
		if former, ok := p.grants[event.Agreement]; ok {
			g.since = former.since
		}
		p.grants[event.Agreement] = g
	case journal.ConsentWithdrawn:
		delete(p.grants, event.Agreement)
	case journal.MinistryLinked:
		p.links[event.Ministry] = link{since: at, reference: event.ClientReference}
	case journal.MinistryUnlinked:
		delete(p.links, event.Ministry)
	case journal.RestrictionSet:
		p.protected[event.Through] = event.Until
	case journal.RestrictionLifted:
		delete(p.protected, event.Through)
	case journal.Erased:
		for _, class := range event.Classes {
			p.erased[int(class)] = true
		}
		if p.erased[1] {
			p.gone, p.grants, p.links, p.ended = true, map[string]grant{}, map[string]link{}, nil
		}
	}
}

func (p person) isProtected(day string) bool {
	for _, until := range p.protected {
		if until == "" || day <= until {
			return true
		}
	}
	return false
}

// agreement is the newest version approved and not ended before a position, and all its approved versions.
func (r *record) agreement(id string, before int64) (newest consent.Agreement, all []consent.Agreement) {
	proposed := map[int]consent.Agreement{}
	for _, at := range r.law {
		if at >= before {
			break
		}
		switch event := r.entries[at].Event.(type) {
		case journal.AgreementProposed:
			if event.ID == id {
				a, err := schemas.UnmarshalDocument(event.Document)
				if err != nil {
					panic(err)
				}
				proposed[event.Version] = a
			}
		case journal.AgreementApproved:
			if event.ID == id {
				all = append(all, proposed[event.Version])
			}
		case journal.AgreementEnded:
			if event.ID == id {
				all = nil
			}
		}
	}
	for _, a := range all {
		if a.Version > newest.Version {
			newest = a
		}
	}
	return newest, all
}

// fact is what is told at a position: also by a correction or a verification.
type fact struct {
	eventType, effective string
	data                 map[string]any
	verified             bool
	root                 int64 // in whose place it stands
}

func (r *record) fact(position int64) (fact, bool) {
	e := &r.entries[position]
	registrar := journal.ActorKind(e.ActorKind) == journal.ActorRegistrar
	verifiable := map[string]bool{"person-registered": true, "birth-registered": true, "death-registered": true}
	switch event := e.Event.(type) {
	case citizen.Change:
		return fact{event.Type, event.Effective, event.Data, registrar && verifiable[event.Type], position}, true
	case journal.ChangeCorrected:
		return fact{event.Type, event.Effective, event.Data, registrar && verifiable[event.Type], event.Corrects}, true
	case journal.ChangeVerified:
		f, ok := r.fact(event.Verifies)
		f.verified = true
		return f, ok
	}
	return fact{}, false
}

// allowed are the names of a fact's fields that an agreement may know by the log before a position, on a day, under a grant and a link
// that held at since; nil for none.
func (r *record) allowed(f fact, id citizen.ID, agreement string, before, since int64, day string) []string {
	a, versions := r.agreement(agreement, before)
	p := r.person(id, before)
	if a.ID == "" || p.gone || (p.isProtected(day) && !a.ReceivesProtected) {
		return nil
	}
	if (a.ValidFrom != 0 && day < a.ValidFrom.String()) || (a.ValidUntil != 0 && day > a.ValidUntil.String()) {
		return nil
	}
	if l, ok := p.links[a.Ministry]; a.Population == "linked" && (!ok || l.since > since) {
		return nil
	}
	g, granted := p.grants[agreement]
	if a.Basis.Kind == "consent" && (!granted || g.since > since) {
		return nil
	}
	if a.MinAssurance == "verified" && !f.verified {
		return nil
	}
	share := shareOf(a, f.eventType)
	if share == nil || !holds(share.When, p, f) {
		return nil
	}
	var out []string
	for _, name := range share.Fields {
		if _, carried := f.data[name]; !carried {
			continue
		}
		if a.Basis.Kind == "consent" && !covered(g, versions, f.eventType, name) {
			continue
		}
		out = append(out, name)
	}
	return out
}

func covered(g grant, versions []consent.Agreement, eventType, name string) bool {
	if g.fields != nil && !slices.Contains(g.fields, name) {
		return false
	}
	for _, v := range versions {
		if v.Version == g.version {
			share := shareOf(v, eventType)
			return share != nil && slices.Contains(share.Fields, name)
		}
	}
	return false
}

func shareOf(a consent.Agreement, eventType string) *consent.Share {
	for i := range a.Shares {
		if a.Shares[i].Event == eventType {
			return &a.Shares[i]
		}
	}
	return nil
}

func holds(when consent.Conditions, p person, f fact) bool {
	if when.MinAge != nil && (p.born == "" || yearsOld(p.born, f.effective) < *when.MinAge) {
		return false
	}
	kind, _ := f.data["kind"].(string)
	province, _ := f.data["province"].(string)
	return (len(when.AddressKind) == 0 || slices.Contains(when.AddressKind, kind)) && (len(when.Province) == 0 || slices.Contains(when.Province, province))
}

// yearsOld counts birthdays by their texts, which sort as dates do.
func yearsOld(born, on string) int {
	years := 0
	for ; ; years++ {
		next := born[:4]
		year, _ := time.Parse("2006", next)
		birthday := year.AddDate(years+1, 0, 0).Format("2006") + born[4:]
		if birthday > on {
			return years
		}
	}
}

// names are a bit set's fields.
func (r *record) names(eventType string, bits consent.FieldSet) []string {
	row, _ := r.registry.Row(eventType)
	var out []string
	for bit, name := range row.FieldNames() {
		if bits&(1<<bit) != 0 {
			out = append(out, name)
		}
	}
	return out
}

func sameNames(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func subset(some, of []string) bool {
	return !slices.ContainsFunc(some, func(name string) bool { return !slices.Contains(of, name) })
}
