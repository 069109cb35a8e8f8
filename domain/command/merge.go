package command

import (
	"context"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Merge says that two ids are those of one person. The going one ends: nobody is served under it any more, and whoever is not an officer
// finds nobody there. The kept one gets, in the same append, the links and the protection that it lacks and legal holds, and acts for whomever
// the going one acted for. Consents are not carried over: they were given by somebody who did not know of the other id. Only a protector
// may merge somebody who is protected; to an officer they are unknown.
//
// The references that lead to the going id lead to the kept one from then on. If the process dies before that, the Merger finishes it.
func (h *Handler) Merge(ctx context.Context, c Command, going, kept citizen.ID, reason string) (Result, error) {
	if c.Actor.Kind != journal.ActorOfficer && c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	if going == kept {
		return h.refuse(ctx, c, citizen.RejectAt(citizen.CodeSamePerson, "/data/kept"))
	}
	wards := func(ctx context.Context) ([]citizen.ID, error) { return h.coveredBy(ctx, going) }
	ask := func(_ *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := judgeMerge(states[0], states[1], reason); rejection != nil {
			return verdict{}, rejection
		}
		v := verdict{events: []journal.New{about(states[0], journal.CitizensMerged{Kept: kept.String(), Reason: reason}, c.meta(""))}}
		for _, event := range takenOver(states[0], states[1], day) {
			v.events = append(v.events, about(states[1], event, c.meta("")))
		}
		for _, ward := range states[2:] {
			for _, event := range passedOn(going, states[1], ward, day) {
				v.events = append(v.events, about(ward, event, c.meta("")))
			}
		}
		return v, nil
	}
	result, err := h.doRelated(ctx, c, []citizen.ID{going, kept}, wards, ask)
	if err != nil {
		return result, err
	}
	return result, h.leadOver(ctx, going, kept)
}

func judgeMerge(going, kept *journal.State, reason string) *citizen.Rejection {
	if rejection := known(going, "/data/going"); rejection != nil {
		return rejection
	}
	if rejection := known(kept, "/data/kept"); rejection != nil {
		return rejection
	}
	if going.Profile.Deceased != kept.Profile.Deceased { // one of the two is wrong: a merge would hide it
		return citizen.Reject(citizen.CodePersonDeceased)
	}
	return judgeWhy(reason)
}

// takenOver is what the kept id gets from the going one: links, protection, a freeze, and the orders of authorities that nothing be erased.
func takenOver(going, kept *journal.State, day journal.Day) []any {
	var events []any
	if heldProxy(kept, going.ID) != nil { // nobody is their own proxy
		events = append(events, journal.ProxyEnded{Proxy: going.ID.String()})
	}
	for _, link := range going.Standing.Links {
		if _, linked := kept.Standing.Link(link.Ministry); !linked {
			events = append(events, journal.MinistryLinked{Ministry: link.Ministry, ClientReference: link.Reference, Means: "merge"})
		}
	}
	for _, hold := range going.Holds {
		events = append(events, hold)
	}
	if going.Frozen != 0 && kept.Frozen == 0 {
		events = append(events, journal.Frozen{Reason: "merge", Scope: journal.FrozenChanges, Why: journal.FrozenByOfficer})
	}
	for _, r := range going.Standing.Restrictions {
		if (r.Until != 0 && r.Until < day.Date) || isRestrictedThrough(kept, r.Through) {
			continue
		}
		set := journal.RestrictionSet{Kind: r.Kind, Through: r.Through, Until: r.Until.String()}
		for _, p := range kept.Proxies { // whoever acts for both ids, and went on under the going one's protection
			if held := heldProxy(going, p.ID); p.Kept || (held != nil && held.Kept) {
				set.Keeps = append(set.Keeps, p.ID.String())
			}
		}
		events = append(events, set)
	}
	return events
}

// passedOn makes the kept id the proxy of somebody in the going one's place, and the one through whom they are protected. Who acts for the
// kept one themself is not acted for by it.
func passedOn(going citizen.ID, kept, ward *journal.State, day journal.Day) []any {
	var events []any
	if held := heldProxy(ward, going); held != nil {
		events = append(events, journal.ProxyEnded{Proxy: going.String()})
		if heldProxy(ward, kept.ID) == nil && heldProxy(kept, ward.ID) == nil && (held.Until == 0 || day.Date <= held.Until) {
			events = append(events, journal.ProxyGranted{Kind: held.Kind, Proxy: kept.ID.String(), Scope: held.Scope, Until: held.Until.String()})
		}
	}
	for _, r := range ward.Standing.Restrictions {
		if r.Through != going.String() {
			continue
		}
		set := journal.RestrictionSet{Kind: r.Kind, Through: kept.ID.String(), Until: r.Until.String(), Keeps: []string{kept.ID.String()}}
		for _, p := range ward.Proxies {
			if p.Kept && p.ID != going && p.ID != kept.ID {
				set.Keeps = append(set.Keeps, p.ID.String())
			}
		}
		events = append(events, set, journal.RestrictionLifted{Through: r.Through}) // in this order: protected all along
	}
	return events
}

// leadOver makes all references to one id lead to another. Where that one was erased since, it makes sure that they lead nowhere.
func (h *Handler) leadOver(ctx context.Context, going, kept citizen.ID) error {
	if err := h.journal.Repoint(ctx, going, kept); err != nil {
		return err
	}
	states, err := h.journal.FreshStates(ctx, kept)
	if err != nil {
		return err
	}
	if gone := states[0].Gone; gone != nil && gone.Why == journal.TypeErased {
		_, err = h.journal.DestroyKeys(ctx, kept, gone.Erased.Classes...)
	}
	return err
}

// Merger finishes merges whose process died between the event and the references: a view without rows, kept by the same runner as all
// others. Rebuilt from the log's beginning, after a restore, it leads every reference over again, in the order of the merges.
type Merger struct{ handler *Handler }

// Merger returns the follower that leads references over.
func (h *Handler) Merger() Merger { return Merger{handler: h} }

// Name is the view's name in the store.
func (Merger) Name() string { return "merger" }

// Wants merges alone.
func (Merger) Wants(eventType string) bool { return eventType == journal.TypeCitizensMerged }

// Apply leads over what merges say.
func (m Merger) Apply(ctx context.Context, _ *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		merged, ok := entries[i].Event.(journal.CitizensMerged)
		kept, err := citizen.ParseID(merged.Kept)
		if !ok || err != nil {
			continue // erased since, and the references with it
		}
		if err := m.handler.leadOver(ctx, citizen.ID(entries[i].Subject), kept); err != nil {
			return err
		}
	}
	return nil
}
