package command

import (
	"context"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Refer gives a source's reference to a child that was registered with its birth, and by which nobody in office could name it until then.
// From the answer on the reference names it everywhere. A reference under which the caller knows somebody else is reference-taken; one of
// somebody who is hidden from them is as good as free. To give the same again does no harm.
func (h *Handler) Refer(ctx context.Context, actor journal.Actor, child citizen.ID, ref journal.SourceReference) error {
	if !mayRefer(actor) {
		return ErrForbidden
	}
	if err := h.mayBeNamed(ctx, actor, child); err != nil {
		return err
	}
	owner, err := journal.NewProtection(h.journal).Refer(ctx, actor, ref, child)
	if err != nil {
		return err
	}
	if owner != child {
		return citizen.Reject(citizen.CodeReferenceTaken)
	}
	return h.followGone(ctx, child)
}

// mayRefer: who helps people to tell a change; of protected people the protector.
func mayRefer(actor journal.Actor) bool {
	return actor.Kind == journal.ActorClerk || actor.Kind == journal.ActorRegistrar || actor.Kind == journal.ActorProtector
}

func (h *Handler) mayBeNamed(ctx context.Context, actor journal.Actor, child citizen.ID) error {
	states, err := h.journal.FreshStates(ctx, child)
	if err != nil {
		return err
	}
	day := h.journal.DayOf(h.journal.Now(journal.Timing{}))
	if rejection := known(h.seen(actor, states, day)[0], "/child"); rejection != nil {
		return rejection
	}
	return nil
}

// followGone takes a reference back that was given while its citizen went: who is erased or replaced has none, who is merged has those of
// the id that stays. If the process dies before it, the reference leads to an id that is not served.
func (h *Handler) followGone(ctx context.Context, id citizen.ID) error {
	states, err := h.journal.FreshStates(ctx, id)
	if err != nil {
		return err
	}
	gone := states[0].Gone
	switch {
	case gone == nil:
		return nil
	case gone.Why == journal.TypeCitizensMerged:
		return h.leadOver(ctx, id, gone.Kept)
	}
	if err := h.journal.GiveReferences(ctx, id, citizen.ID{}); err != nil {
		return err
	}
	return citizen.RejectAt(citizen.CodeUnknownPerson, "/child")
}
