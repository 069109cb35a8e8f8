package command

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// frozenBars refuses what would be told in the name of somebody whose changes are frozen, or by a proxy whose own are: whoever got into
// somebody's account acts as them for others, too. What an authority does about them stays possible, and so does what takes a power away.
func (c Command) frozenBars(states []*journal.State, v verdict) *citizen.Rejection {
	if !actsInTheirName(c.Actor.Kind) {
		return nil
	}
	barred := map[eventstore.Aggregate]bool{}
	byFrozen := false
	for _, state := range states {
		if state.Frozen != 0 {
			barred[journal.CitizenAggregate(state.ID)] = true
			byFrozen = byFrozen || (c.Actor.Kind == journal.ActorResident && uuid.UUID(state.ID) == c.Actor.Citizen)
		}
	}
	if len(barred) == 0 {
		return nil
	}
	for i := range v.events {
		if (byFrozen || barred[v.events[i].Aggregate]) && inTheirName(v.events[i].Event) {
			return citizen.Reject(citizen.CodeFrozen)
		}
	}
	return nil
}

// actsInTheirName: whoever passes on what citizens say. Officers, registrars and protectors act by their own authority, the hub by the log's.
func actsInTheirName(kind journal.ActorKind) bool {
	switch kind {
	case journal.ActorResident, journal.ActorClerk, journal.ActorSource, journal.ActorMinistry:
		return true
	}
	return false
}

// inTheirName says whether an event is something said in the citizen's name. A death is not, nor is who acts for them no more; and one can
// always withdraw, and object.
func inTheirName(event any) bool {
	switch e := event.(type) {
	case journal.Decided, journal.ConsentWithdrawn, journal.ProxyEnded, journal.DisputeOpened, journal.RestrictionSet:
		return false
	case citizen.Change:
		return e.Type != citizen.DeathReported && e.Type != citizen.DeathRegistered
	}
	return true
}

// mayFreeze: an officer and the registrar; of protected people the protector.
func mayFreeze(kind journal.ActorKind) bool {
	return kind == journal.ActorOfficer || kind == journal.ActorRegistrar || kind == journal.ActorProtector
}

// Freeze stops everything that would be told in a citizen's name, at their own word or for an officer's reason.
func (h *Handler) Freeze(ctx context.Context, c Command, id citizen.ID, reason string) (Result, error) {
	if !mayFreeze(c.Actor.Kind) {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		if rejection := known(state, "/person"); rejection != nil {
			return verdict{}, rejection
		}
		if state.Frozen != 0 {
			return verdict{}, citizen.Reject(citizen.CodeFrozen)
		}
		frozen := journal.Frozen{Reason: reason, Scope: journal.FrozenChanges, Why: journal.FrozenByOfficer}
		return verdict{events: []journal.New{about(state, frozen, c.meta(""))}}, judgeWhy(reason)
	})
}

// Unfreeze lets changes in a citizen's name go on.
func (h *Handler) Unfreeze(ctx context.Context, c Command, id citizen.ID, reason string) (Result, error) {
	if !mayFreeze(c.Actor.Kind) {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		switch {
		case !state.Profile.Registered, state.Gone != nil:
			return verdict{}, citizen.Reject(citizen.CodeUnknownPerson)
		case state.Frozen == 0:
			return verdict{}, citizen.Reject(citizen.CodeNotFrozen)
		}
		unfrozen := journal.Unfrozen{Reason: reason, Scope: journal.FrozenChanges}
		return verdict{events: []journal.New{about(state, unfrozen, c.meta(""))}}, judgeWhy(reason)
	})
}

// ErrLink is the answer to a notice's link that is none of ours, or older than journal.LinkLife.
var ErrLink = errors.New("command: this link is not valid any more")

// linkScope is the namespace of the commands by which notices' links are used: one for each change, so that a link works once, in whatever
// notice it came, and the log keeps a keyed hash of it alone.
const linkScope = "hub/notice-link"

// NoticeLink is what a notice's link is about.
type NoticeLink struct {
	Change journal.Entry // without its content where that was erased
	Used   bool          // somebody has said that it was not them
}

// ReadLink says what a link is about, and changes nothing. ErrLink for one that leads nowhere.
func (h *Handler) ReadLink(ctx context.Context, token string) (NoticeLink, error) {
	cause, err := h.journal.OpenNoticeLink(token)
	if err != nil {
		return NoticeLink{}, ErrLink
	}
	entries, err := h.journal.Read(ctx, cause)
	if errors.Is(err, eventstore.ErrNotFound) {
		return NoticeLink{}, ErrLink
	}
	if err != nil {
		return NoticeLink{}, err
	}
	used, err := h.journal.Find(ctx, linkCommand(cause))
	if err != nil {
		return NoticeLink{}, err
	}
	return NoticeLink{Change: entries[0], Used: used[0].Found}, nil
}

// NotMe takes the word of whoever holds a notice's link that a change was not theirs: it freezes further changes and opens a dispute about
// that one, in one append, once. Who follows the link again gets the first result.
func (h *Handler) NotMe(ctx context.Context, issuer journal.Issuer, token string) (Result, error) {
	linked, err := h.ReadLink(ctx, token)
	if err != nil {
		return Result{}, err
	}
	cause := linked.Change.Position
	id, err := h.mergedInto(ctx, citizen.ID(linked.Change.Subject))
	if err != nil {
		return Result{}, err
	}
	link := linkCommand(cause)
	c := Command{ID: link.ID, Scope: link.Issuer, Issuer: issuer, Channel: journal.ChannelWeb, Actor: journal.Actor{Kind: journal.ActorHub}}
	result, err := h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		if rejection := known(state, "/person"); rejection != nil {
			return verdict{}, rejection
		}
		var v verdict
		if state.Frozen == 0 {
			v.events = append(v.events, about(state, journal.Frozen{Scope: journal.FrozenChanges, Why: journal.FrozenByNotice}, c.meta("")))
		}
		dispute := about(state, journal.DisputeOpened{About: cause}, c.meta(""))
		dispute.Cause = cause
		v.events = append(v.events, dispute)
		return v, nil
	})
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) { // they died or went since
		return Result{}, ErrLink
	}
	return result, err
}

// mergedInto is the id under which somebody is served, where theirs was merged into another.
func (h *Handler) mergedInto(ctx context.Context, id citizen.ID) (citizen.ID, error) {
	for {
		states, err := h.journal.FreshStates(ctx, id)
		if err != nil || states[0].Gone == nil || states[0].Gone.Kept.IsZero() { // of an erased record nobody is known
			return id, err
		}
		id = states[0].Gone.Kept
	}
}

func linkCommand(cause int64) journal.CommandID {
	return journal.CommandID{Issuer: linkScope, ID: hubCommandID("link", cause).String()}
}
