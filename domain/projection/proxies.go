package projection

import (
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Proxy is somebody who may act for a citizen, as the citizen sees it: by kind, not by name.
type Proxy struct {
	journal.Proxy
	Since time.Time
	// Holds says whether the proxy may act today; else it has run out, or protection suspends it.
	Holds bool
}

// Act is one change or answer that somebody else gave for a citizen.
type Act struct {
	At       time.Time
	Position int64
	Type     string // of the event
	Kind     string // as what they acted: a kind of proxy
}

// Merge is another id of the same person that was merged into theirs.
type Merge struct {
	At time.Time
	// Ended are the agreements to which the person had consented under the other id, by id: consents are not carried over.
	Ended []string
}

// Proxies lists who may act for a citizen, the latest first.
func (p *Projection) Proxies(ctx context.Context, id citizen.ID) ([]Proxy, error) {
	states, err := p.journal.FreshStates(ctx, id)
	if err != nil {
		return nil, err
	}
	held := states[0].Proxies
	positions := make([]int64, len(held))
	for i := range held {
		positions[i] = held[i].Position
	}
	recs, err := p.journal.Store().Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	out := make([]Proxy, len(held))
	for i := range held {
		out[i] = Proxy{Proxy: held[i], Since: recs[i].RecordedAt, Holds: p.holds(states[0], held[i])}
	}
	slices.Reverse(out)
	return out, nil
}

// holds says whether a proxy may act today for the citizen of a state, in whatever it may.
func (p *Projection) holds(state *journal.State, proxy journal.Proxy) bool {
	today := p.journal.DayOf(p.journal.Now(journal.Timing{Told: true})).Date
	return state.Gone == nil && (proxy.Until == 0 || today <= proxy.Until) && (proxy.Kept || !state.Standing.IsProtected(today))
}

// Acts lists what proxies did for a citizen, newest first.
func (p *Projection) Acts(ctx context.Context, id citizen.ID) ([]Act, error) {
	entries, err := p.entries(ctx, id)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{} // of the proxies at that point of the log, by actor
	var out []Act
	for i := range entries {
		e := &entries[i]
		switch event := e.Event.(type) {
		case journal.ProxyGranted:
			kinds[event.Proxy] = event.Kind
			continue
		case journal.Decided:
			continue
		}
		kind, proxied := kinds[e.Meta.Actor]
		if proxied && journal.ActorKind(e.ActorKind) == journal.ActorResident && e.Meta.Actor != citizen.ID(e.Subject).String() {
			out = append(out, Act{At: e.RecordedAt, Position: e.Position, Type: e.Type, Kind: kind})
		}
	}
	slices.Reverse(out)
	return out, nil
}

// Merges lists the other ids that were merged into a citizen's, newest first.
func (p *Projection) Merges(ctx context.Context, id citizen.ID) ([]Merge, error) {
	others, err := p.relatives.MergedInto(ctx, id)
	if err != nil {
		return nil, err
	}
	states, err := p.journal.FreshStates(ctx, others...)
	if err != nil {
		return nil, err
	}
	out := make([]Merge, 0, len(states))
	for _, state := range states {
		if state.Gone == nil || state.Gone.Why != journal.TypeCitizensMerged { // erased since
			continue
		}
		merged, err := p.journal.StatesAt(ctx, state.Gone.Position, state.ID)
		if err != nil {
			return nil, err
		}
		recs, err := p.journal.Store().Read(ctx, state.Gone.Position)
		if err != nil {
			return nil, err
		}
		m := Merge{At: recs[0].RecordedAt}
		for _, grant := range merged.Standing.Grants {
			m.Ended = append(m.Ended, grant.Agreement)
		}
		slices.Sort(m.Ended)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Merge) int { return b.At.Compare(a.At) })
	return out, nil
}

// Ward is somebody for whom a citizen may act today.
type Ward struct {
	ID    citizen.ID
	Kind  string       // as what
	Scope []string     // event types; empty: all
	Until consent.Date // the last day; 0: open
	Name  string       // given names and family name, as they hold today
}

// ActingFor lists for whom a citizen may act today, by their id.
func (p *Projection) ActingFor(ctx context.Context, id citizen.ID) ([]Ward, error) {
	people, err := p.relatives.ActsFor(ctx, id)
	if err != nil {
		return nil, err
	}
	states, err := p.journal.FreshStates(ctx, people...)
	if err != nil {
		return nil, err
	}
	var out []Ward
	for _, state := range states {
		for _, proxy := range state.Proxies {
			if proxy.ID != id || !p.holds(state, proxy) || state.Profile.Deceased {
				continue
			}
			name, err := p.name(ctx, state.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, Ward{ID: state.ID, Kind: proxy.Kind, Scope: proxy.Scope, Until: proxy.Until, Name: name})
		}
	}
	return out, nil
}

// MaySee is nil where a citizen may see all that somebody else sees, since they act for them in everything today; else ErrNotFound.
func (p *Projection) MaySee(ctx context.Context, id, person citizen.ID) error {
	states, err := p.journal.FreshStates(ctx, person)
	if err != nil {
		return err
	}
	for _, proxy := range states[0].Proxies {
		if proxy.ID == id && len(proxy.Scope) == 0 && p.holds(states[0], proxy) {
			return nil
		}
	}
	return ErrNotFound
}

// name is what somebody is called today.
func (p *Projection) name(ctx context.Context, id citizen.ID) (string, error) {
	profile, err := p.Profile(ctx, id)
	if err != nil {
		return "", err
	}
	called, _ := profile.Latest(citizen.PersonRegistered, "")
	if later, ok := profile.Latest("name-changed", ""); ok {
		called = later
	}
	given, _ := called.Data["given_names"].(string)
	family, _ := called.Data["family_name"].(string)
	if given == "" || family == "" {
		return given + family, nil
	}
	return given + " " + family, nil
}
