package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Restricting is what a protector sets.
type Restricting struct {
	Kind   string       // one of the kinds of journal.RestrictionSet
	Until  string       // the last day, ISO 8601; empty: until it is lifted
	Keeps  []citizen.ID // proxies who go on acting for the person; all others are suspended while it lasts
	Reason string       // mandatory, 1 to 500 characters
}

// Restrict protects a citizen, and in the same append their minor children, for each of whom they go on acting. Set again it replaces what
// was set. It may be repeated; a child that is born or placed at the same moment is covered by whoever comes second.
func (h *Handler) Restrict(ctx context.Context, c Command, id citizen.ID, r Restricting) (Result, error) {
	if c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	covered := func(ctx context.Context) ([]citizen.ID, error) { return h.coveredBy(ctx, id) }
	result, err := h.doRelated(ctx, c, []citizen.ID{id}, covered, func(_ *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := judgeRestriction(states[0], r, day); rejection != nil {
			return verdict{}, rejection
		}
		set := journal.RestrictionSet{Kind: r.Kind, Reason: r.Reason, Until: r.Until}
		for _, keep := range r.Keeps {
			set.Keeps = append(set.Keeps, keep.String())
		}
		v := verdict{events: []journal.New{about(states[0], set, c.meta(""))}}
		for _, child := range states[1:] {
			if covers(id, child, day) {
				v.events = append(v.events, about(child, through(id, child, set), c.meta("")))
			}
		}
		return v, nil
	})
	if err != nil {
		return result, err
	}
	// Who was made a child's guardian while we read was judged before the parent was protected, and wrote to the child alone. From here on
	// they are judged after it. If we stop here, the repeated command goes on.
	return result, h.followParent(ctx, c, id)
}

// Lift ends a citizen's protection, and that of everyone who was covered through them. Of somebody who is covered through others alone, it
// ends that.
func (h *Handler) Lift(ctx context.Context, c Command, id citizen.ID, reason string) (Result, error) {
	if c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	covered := func(ctx context.Context) ([]citizen.ID, error) { return h.coveredBy(ctx, id) }
	result, err := h.doRelated(ctx, c, []citizen.ID{id}, covered, func(_ *journal.Law, states []*journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		if rejection := judgeLift(states[0], reason); rejection != nil {
			return verdict{}, rejection
		}
		var v verdict
		if isRestrictedThrough(states[0], "") {
			v.events = append(v.events, about(states[0], journal.RestrictionLifted{Reason: reason}, c.meta("")))
		} else {
			for _, r := range states[0].Standing.Restrictions {
				v.events = append(v.events, about(states[0], journal.RestrictionLifted{Reason: reason, Through: r.Through}, c.meta("")))
			}
		}
		for _, child := range states[1:] {
			if isRestrictedThrough(child, id.String()) {
				v.events = append(v.events, about(child, journal.RestrictionLifted{Reason: reason, Through: id.String()}, c.meta("")))
			}
		}
		return v, nil
	})
	if err != nil {
		return result, err
	}
	return result, h.followParent(ctx, c, id) // as in Restrict
}

// TellProtected tells a change for a protected person: what they can't bring to a counter themself, and the births and deaths that the
// registrar may not know of. It is recorded with the registrar's authority, which the protector passes on, under the protector's name. Of
// anybody else it is no-capacity.
func (h *Handler) TellProtected(ctx context.Context, c Command, id citizen.ID, change Change) (Result, error) {
	if c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	states, err := h.journal.FreshStates(ctx, id)
	if err != nil {
		return Result{}, err
	}
	today := h.journal.DayOf(h.journal.Now(journal.Timing{Told: true})).Date
	switch {
	case !states[0].Profile.Registered:
		return Result{}, citizen.Reject(citizen.CodeUnknownPerson)
	case !states[0].Standing.IsProtected(today):
		return Result{}, citizen.Reject(citizen.CodeNoCapacity)
	}
	protector := c.Actor
	c.protector = &protector
	c.Actor = journal.Actor{Kind: journal.ActorRegistrar, Role: journal.RoleRegistrar, ID: protector.ID, Source: protector.Source}
	return h.Tell(ctx, c, id, change)
}

func judgeRestriction(state *journal.State, r Restricting, day journal.Day) *citizen.Rejection {
	if !state.Profile.Registered || state.Gone != nil {
		return citizen.Reject(citizen.CodeUnknownPerson)
	}
	kinds := []string{journal.RestrictionViolence, journal.RestrictionAdoption, journal.RestrictionWitness, journal.RestrictionGender}
	if !slices.Contains(kinds, r.Kind) {
		return citizen.RejectAt(citizen.CodeSchema, "/data/kind")
	}
	if until, err := consent.ParseDate(r.Until); r.Until != "" && (err != nil || until < day.Date) {
		return citizen.RejectAt(citizen.CodeSchema, "/data/until")
	}
	for i, keep := range r.Keeps {
		if heldProxy(state, keep) == nil {
			return citizen.RejectAt(citizen.CodeNoCapacity, fmt.Sprintf("/data/keeps/%d", i))
		}
	}
	return judgeWhy(r.Reason)
}

func judgeLift(state *journal.State, reason string) *citizen.Rejection {
	if !state.Profile.Registered || state.Gone != nil {
		return citizen.Reject(citizen.CodeUnknownPerson)
	}
	if len(state.Standing.Restrictions) == 0 {
		return citizen.Reject(citizen.CodeNoRestriction)
	}
	return judgeWhy(reason)
}

// maxWhy bounds what somebody in office gives as a reason, in code points.
const maxWhy = 500

func judgeWhy(reason string) *citizen.Rejection {
	if strings.TrimSpace(reason) == "" || utf8.RuneCountInString(reason) > maxWhy || !utf8.ValidString(reason) {
		return citizen.RejectAt(citizen.CodeSchema, "/data/reason")
	}
	return nil
}

// coveredBy are the citizens whom a citizen's protection may concern: those for whom they act, and those covered through them already.
func (h *Handler) coveredBy(ctx context.Context, id citizen.ID) ([]citizen.ID, error) {
	wards, err := journal.NewRelatives(h.journal).ActsFor(ctx, id)
	if err != nil {
		return nil, err
	}
	covered, err := journal.NewProtection(h.journal).CoveredThrough(ctx, id)
	return distinct(slices.Concat(wards, covered)), err
}

// covers says whether a parent's or guardian's protection covers somebody: their minor child, or who was covered as one and has come of
// age since, whose address would still betray the parent.
func covers(parent citizen.ID, child *journal.State, day journal.Day) bool {
	if !child.Profile.Registered || child.Gone != nil {
		return false
	}
	if isRestrictedThrough(child, parent.String()) {
		return true
	}
	held := heldProxy(child, parent)
	return held != nil && held.Kind != journal.ProxyAttorney && (held.Until == 0 || day.Date <= held.Until) && isMinor(child, day)
}

// through is a child's part in a parent's protection: the parent goes on acting for the child, and of the others those alone whom the
// protector named.
func through(parent citizen.ID, child *journal.State, set journal.RestrictionSet) journal.RestrictionSet {
	out := journal.RestrictionSet{Kind: set.Kind, Reason: set.Reason, Through: parent.String(), Until: set.Until}
	for _, p := range child.Proxies {
		if name := p.ID.String(); p.ID == parent || slices.Contains(set.Keeps, name) {
			out.Keeps = append(out.Keeps, name)
		}
	}
	return out
}

func isRestrictedThrough(state *journal.State, through string) bool {
	return slices.ContainsFunc(state.Standing.Restrictions, func(r consent.Restriction) bool { return r.Through == through })
}

// settled is the refusal of what is as it should be already.
var settled = &citizen.Rejection{Code: "settled"}

// followParent covers or uncovers children who came to a parent in between, until each is as the parent is.
func (h *Handler) followParent(ctx context.Context, c Command, id citizen.ID) error {
	c.ID, c.Content = "", nil // not the command itself: it may be done any number of times
	covered := func(ctx context.Context) ([]citizen.ID, error) { return h.coveredBy(ctx, id) }
	_, err := h.doRelated(ctx, c, []citizen.ID{id}, covered, func(_ *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		parent := restrictionOf(states[0])
		var v verdict
		for _, child := range states[1:] {
			is := isRestrictedThrough(child, id.String())
			switch {
			case parent == nil && is:
				v.events = append(v.events, about(child, journal.RestrictionLifted{Through: id.String()}, c.meta("")))
			case parent != nil && !is && covers(id, child, day):
				v.events = append(v.events, about(child, through(id, child, *parent), c.meta("")))
			}
		}
		if len(v.events) == 0 {
			return v, settled
		}
		return v, nil
	})
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) && rejection == settled {
		return nil
	}
	return err
}

// restrictionOf is a citizen's own restriction as it may be set for their children; nil without one.
func restrictionOf(state *journal.State) *journal.RestrictionSet {
	for _, r := range state.Standing.Restrictions {
		if r.Through == "" {
			return &journal.RestrictionSet{Kind: r.Kind, Until: r.Until.String()}
		}
	}
	return nil
}
