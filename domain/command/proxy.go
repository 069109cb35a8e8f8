package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Proxying is who may act for a citizen, in what, and until when.
type Proxying struct {
	Proxy citizen.ID
	Kind  string   // journal.ProxyParent, ProxyGuardian or ProxyAttorney
	Scope []string // event types; nil: all
	Until string   // the last day, ISO 8601; empty: open, of a child's parent or guardian the last day before it comes of age
}

// maxChain bounds how many people a chain of proxies is followed through. A longer one is refused as if it led back: nobody can tell.
const maxChain = 200

// errChainGrew says that a proxy's own proxies are others than when the command began: look again.
var errChainGrew = &citizen.Rejection{Code: "chain-grew"}

// GrantProxy lets somebody act for a citizen; a later grant to the same person replaces a former one. Parents and guardians are the
// registrar's to name; an attorney also a clerk's, with the citizen present, or the citizen's own. Everybody along the chain of the
// proxy's own proxies is expected by the append as they were seen: two grants that would lead back to each other can't both stand.
func (h *Handler) GrantProxy(ctx context.Context, c Command, id citizen.ID, p Proxying) (Result, error) {
	if !mayArrange(c.Actor) {
		return Result{}, ErrForbidden
	}
	for range maxAttempts {
		chain, err := h.chain(ctx, p.Proxy)
		if err != nil {
			return Result{}, err
		}
		ids := distinct(append(c.people(id), chain...))
		result, err := h.doMany(ctx, c, ids, func(_ *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
			people := make(map[citizen.ID]*journal.State, len(states))
			for _, state := range states {
				people[state.ID] = state
			}
			return h.judgeProxy(c, people, id, p, day)
		})
		if !errors.Is(err, errChainGrew) {
			return result, err
		}
	}
	return Result{}, ErrBusy
}

// EndProxy ends a proxy: parents and guardians by the registrar, an attorney also by the citizen or a clerk, and each by themself.
func (h *Handler) EndProxy(ctx context.Context, c Command, id, proxy citizen.ID) (Result, error) {
	if !mayArrange(c.Actor) {
		return Result{}, ErrForbidden
	}
	return h.doMany(ctx, c, c.people(id), func(_ *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		state, acting := states[0], len(states) == 2
		rejection := known(state, "/person")
		if acting {
			rejection = proxyStands(state, states[1], day)
		}
		if rejection != nil {
			return verdict{}, rejection
		}
		held := heldProxy(state, proxy)
		switch {
		case acting && proxy != states[1].ID:
			return verdict{}, citizen.Reject(citizen.CodeNoCapacity)
		case held == nil:
			return verdict{}, citizen.Reject(citizen.CodeNoSuchProxy)
		case !acting && !mayName(c.Actor, held.Kind):
			return verdict{}, citizen.Reject(citizen.CodeNoCapacity)
		}
		return verdict{events: []journal.New{about(state, journal.ProxyEnded{Proxy: proxy.String()}, c.meta(""))}}, nil
	})
}

// mayArrange: who may say anything about proxies at all.
func mayArrange(actor journal.Actor) bool {
	switch actor.Kind {
	case journal.ActorClerk, journal.ActorRegistrar, journal.ActorProtector:
		return true
	case journal.ActorResident:
		return actor.Citizen != uuid.Nil
	}
	return false
}

// mayName: an attorney is the citizen's own to name, with or without a clerk's help; by whose authority a parent or a guardian acts, only
// the registrar knows, and of protected people the protector.
func mayName(actor journal.Actor, kind string) bool {
	switch actor.Kind {
	case journal.ActorRegistrar, journal.ActorProtector:
		return true
	case journal.ActorClerk, journal.ActorResident:
		return kind == journal.ProxyAttorney
	}
	return false
}

// known refuses to talk about somebody who is not registered or not served any more. Who is hidden from the caller comes as such a one.
func known(state *journal.State, pointer string) *citizen.Rejection {
	if !state.Profile.Registered || state.Gone != nil {
		return citizen.RejectAt(citizen.CodeUnknownPerson, pointer)
	}
	return nil
}

// judgeProxy is what a grant comes to. people are the citizen, who asks for them, the proxy, and everybody along the chain.
func (h *Handler) judgeProxy(
	c Command, people map[citizen.ID]*journal.State, id citizen.ID, p Proxying, day journal.Day,
) (verdict, *citizen.Rejection) {
	state, proxy := people[id], people[p.Proxy]
	if asker, acting := c.actsFor(id); acting { // nobody passes on that they may act for somebody else
		if rejection := proxyStands(state, people[asker], day); rejection != nil {
			return verdict{}, rejection
		}
		return verdict{}, citizen.Reject(citizen.CodeNoCapacity)
	}
	rejection := known(state, "/person")
	if rejection == nil {
		rejection = mayTellNow(state, journal.TypeProxyGranted, "", day)
	}
	if rejection != nil {
		return verdict{}, rejection
	}
	if !mayName(c.Actor, p.Kind) {
		return verdict{}, citizen.RejectAt(citizen.CodeNoCapacity, "/data/kind")
	}
	if p.Proxy == id {
		return verdict{}, citizen.RejectAt(citizen.CodeSamePerson, "/data/proxy")
	}
	if rejection := known(proxy, "/data/proxy"); rejection != nil || proxy.Profile.Deceased {
		return verdict{}, citizen.RejectAt(citizen.CodeUnknownPerson, "/data/proxy")
	}
	granted, rejection := h.proxyTerms(state, proxy, p, day)
	if rejection != nil {
		return verdict{}, rejection
	}
	if rejection := leadsBack(people, id, p.Proxy, day); rejection != nil {
		return verdict{}, rejection
	}
	v := verdict{events: []journal.New{about(state, granted, c.meta(""))}}
	if granted.Kind != journal.ProxyAttorney && isMinor(state, day) {
		if restriction, protected := inherited(proxy, applied(state, provisional, v), day); protected {
			v.events = append(v.events, about(state, restriction, journal.Meta{Command: c.ID}))
		}
	}
	return v, nil
}

// proxyTerms are kind, scope and period of a grant, and whether the two are of an age for it.
func (h *Handler) proxyTerms(state, proxy *journal.State, p Proxying, day journal.Day) (journal.ProxyGranted, *citizen.Rejection) {
	granted := journal.ProxyGranted{Kind: p.Kind, Proxy: p.Proxy.String(), Scope: p.Scope, Until: p.Until}
	switch p.Kind {
	case journal.ProxyAttorney, journal.ProxyGuardian:
		if isMinor(proxy, day) { // a minor may be a parent, but answers for nobody else
			return granted, citizen.RejectAt(citizen.CodeNoCapacity, "/data/proxy")
		}
		if p.Kind == journal.ProxyAttorney && isMinor(state, day) { // nor can a minor empower anybody
			return granted, citizen.RejectAt(citizen.CodeNoCapacity, "/data/kind")
		}
	case journal.ProxyParent:
		if !isMinor(state, day) {
			return granted, citizen.RejectAt(citizen.CodeNoCapacity, "/data/kind")
		}
	default:
		return granted, citizen.RejectAt(citizen.CodeSchema, "/data/kind")
	}
	if p.Scope != nil && len(p.Scope) == 0 { // on the log no scope is everything: an empty list must never get there
		return granted, citizen.RejectAt(citizen.CodeSchema, "/data/scope")
	}
	resident := journal.Actor{Kind: journal.ActorResident, Citizen: uuid.UUID(proxy.ID)}
	for i, eventType := range p.Scope {
		if _, ok := h.journal.Registry().Row(eventType); !ok || !mayTell(resident, eventType) {
			return granted, citizen.RejectAt(citizen.CodeUnknownType, fmt.Sprintf("/data/scope/%d", i))
		}
	}
	if until, err := consent.ParseDate(p.Until); p.Until != "" && (err != nil || until < day.Date) {
		return granted, citizen.RejectAt(citizen.CodeSchema, "/data/until")
	}
	last := citizen.MinorUntil(state.Standing.Born.String())
	if p.Kind != journal.ProxyAttorney && isMinor(state, day) && (p.Until == "" || p.Until > last) {
		granted.Until = last
	}
	return granted, nil
}

// isMinor says whether somebody has not come of age. Of whom the date of birth is not known, it is not known that they have.
func isMinor(state *journal.State, day journal.Day) bool {
	return state.Standing.Born == 0 || state.Standing.Born.YearsTo(day.Date) < citizen.AgeOfMajority
}

// leadsBack follows the proxies of a proxy, and theirs, as far as they hold today: none of them may be the citizen.
func leadsBack(people map[citizen.ID]*journal.State, id, proxy citizen.ID, day journal.Day) *citizen.Rejection {
	if len(people) > maxChain {
		return citizen.Reject(citizen.CodeCircularProxy)
	}
	seen := map[citizen.ID]bool{}
	for next := []citizen.ID{proxy}; len(next) > 0; next = next[1:] {
		state, there := people[next[0]]
		switch {
		case next[0] == id:
			return citizen.Reject(citizen.CodeCircularProxy)
		case seen[next[0]]:
			continue
		case !there:
			return errChainGrew
		}
		seen[next[0]] = true
		for _, p := range state.Proxies {
			if p.Until == 0 || day.Date <= p.Until {
				next = append(next, p.ID)
			}
		}
	}
	return nil
}

// chain lists a proxy, the proxies of that one, and theirs: whoever was ever made one and not ended.
func (h *Handler) chain(ctx context.Context, proxy citizen.ID) ([]citizen.ID, error) {
	chain := []citizen.ID{proxy}
	for next := chain; len(next) > 0 && len(chain) <= maxChain; {
		states, err := h.journal.FreshStates(ctx, next...)
		if err != nil {
			return nil, err
		}
		next = nil
		for _, state := range states {
			for _, p := range state.Proxies {
				if !slices.Contains(chain, p.ID) {
					chain, next = append(chain, p.ID), append(next, p.ID)
				}
			}
		}
	}
	return chain, nil
}

func distinct(ids []citizen.ID) []citizen.ID {
	out := ids[:0:0]
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// inherited is the protection that a child takes from a parent or guardian who is protected, as long as the longest of theirs: they alone see
// it and act for it as before.
func inherited(parent, child *journal.State, day journal.Day) (set journal.RestrictionSet, protected bool) {
	for _, r := range parent.Standing.Restrictions {
		until := r.Until.String()
		if r.Until != 0 && r.Until < day.Date {
			continue
		}
		if !protected || r.Until == 0 || (set.Until != "" && until > set.Until) {
			set.Kind, set.Until = r.Kind, until
		}
		protected = true
	}
	set.Through = parent.ID.String()
	for _, p := range child.Proxies {
		if p.Kept || p.ID == parent.ID {
			set.Keeps = append(set.Keeps, p.ID.String())
		}
	}
	return set, protected
}
