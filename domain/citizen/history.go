package citizen

import (
	"cmp"
	"slices"
)

// Key names the facts of which one holds at a time.
type Key struct{ Type, Key string }

// History is what was told about one citizen, on two axes that differ: the order in which it was told (positions), and the days from
// which it holds (effective dates). The zero History is someone of whom nothing was told.
type History struct {
	threads []thread      // in the order in which they began
	of      map[int64]int // position of whatever was told → index of its thread
}

// thread is one thing told, and all that has taken its place since.
type thread struct {
	first    int64  // position of what was told first: of two with one effective date, the later told holds
	versions []Fact // in log order; the last stands, unless it takes back (it has no type then)
}

// Tell takes the next fact in log order. One that corrects stands in the place of what it corrects from its own position on: with its own
// effective date, but told when that was told. A verification is a correction with the same data.
func (h *History) Tell(f Fact) { h.add(f.Corrects, f) }

// Cancel takes back, at a position, what was told at another.
func (h *History) Cancel(told, at int64) { h.add(told, Fact{Position: at}) }

func (h *History) add(corrects int64, f Fact) {
	if h.of == nil {
		h.of = map[int64]int{}
	}
	first := cmp.Or(corrects, f.Position)
	i, known := h.of[first]
	if !known { // told now, or what it corrects was erased
		i = len(h.threads)
		h.threads = append(h.threads, thread{first: first})
		h.of[first] = i
	}
	h.threads[i].versions = append(h.threads[i].versions, f)
	h.of[f.Position] = i
}

// Known is the history as it was known just after a position.
func (h *History) Known(at int64) *History {
	known := &History{}
	for _, t := range h.threads {
		for _, f := range t.versions {
			if f.Position <= at {
				known.add(t.first, f)
			}
		}
	}
	return known
}

// On lists what holds on a civil date (ISO 8601), by position: of each type and key the fact with the latest effective date up to that
// day; of several, the one told last. What was told later about an earlier day hides nothing newer. A fact's Position is that of what
// stands: of the correction or the verification where there is one.
func (h *History) On(date string) []Fact {
	holds := map[Key]standing{}
	for _, s := range h.standing() {
		key := Key{Type: s.fact.Type, Key: s.fact.Key}
		if held, ok := holds[key]; s.fact.Effective <= date && (!ok || held.before(s)) {
			holds[key] = s
		}
	}
	return byPosition(holds)
}

// Announced lists what is to hold only after a civil date, by effective date: of several of one type and key from the same day on, the
// one told last.
func (h *History) Announced(date string) []Fact {
	type from struct {
		Key
		effective string
	}
	announced := map[from]standing{}
	for _, s := range h.standing() {
		key := from{Key{Type: s.fact.Type, Key: s.fact.Key}, s.fact.Effective}
		if held, ok := announced[key]; s.fact.Effective > date && (!ok || held.before(s)) {
			announced[key] = s
		}
	}
	facts := byPosition(announced)
	slices.SortStableFunc(facts, func(a, b Fact) int { return cmp.Compare(a.Effective, b.Effective) })
	return facts
}

// standing is a fact that stands, with the position by which it ranks.
type standing struct {
	fact  Fact
	first int64
}

func (s standing) before(other standing) bool {
	return cmp.Or(cmp.Compare(s.fact.Effective, other.fact.Effective), cmp.Compare(s.first, other.first)) < 0
}

// standing lists what was neither replaced nor taken back. A reported death is not true of anybody until a registrar confirms it.
func (h *History) standing() []standing {
	out := make([]standing, 0, len(h.threads))
	for _, t := range h.threads {
		if last := t.versions[len(t.versions)-1]; last.Type != "" && last.Type != DeathReported {
			out = append(out, standing{fact: last, first: t.first})
		}
	}
	return out
}

func byPosition[K comparable](held map[K]standing) []Fact {
	facts := make([]Fact, 0, len(held))
	for _, s := range held {
		facts = append(facts, s.fact)
	}
	slices.SortFunc(facts, func(a, b Fact) int { return cmp.Compare(a.Position, b.Position) })
	return facts
}

// Profile is what is true of one citizen on a day. The zero Profile is someone of whom nothing was ever told.
type Profile struct {
	Registered, Deceased bool
	Facts                map[Key]Fact
	Announced            []Fact // by effective date
}

// Profile is what is true of the citizen on a civil date, and what is announced. A registration and a registered death say what is known,
// whatever day they name.
func (h *History) Profile(date string) *Profile {
	p := &Profile{Facts: map[Key]Fact{}, Announced: h.Announced(date)}
	for _, f := range h.On(date) {
		p.Facts[Key{Type: f.Type, Key: f.Key}] = f
	}
	for _, s := range h.standing() {
		p.Registered = p.Registered || s.fact.Type == PersonRegistered
		p.Deceased = p.Deceased || s.fact.Type == DeathRegistered
	}
	return p
}

// Latest is the fact that holds for a type and key; where none does yet, the first that is announced.
func (p *Profile) Latest(eventType, key string) (Fact, bool) {
	if f, ok := p.Facts[Key{Type: eventType, Key: key}]; ok {
		return f, true
	}
	for _, f := range p.Announced {
		if f.Type == eventType && f.Key == key {
			return f, true
		}
	}
	return Fact{}, false
}
