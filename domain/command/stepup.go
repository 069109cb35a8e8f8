package command

import (
	"fmt"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// WeakLogin refuses a resident who may tell what they tell, but not with the log-in they came by: one of ACR is asked for (RFC 9470).
type WeakLogin struct{ ACR int }

// Error says what happened; it holds nothing personal.
func (w *WeakLogin) Error() string {
	return fmt.Sprintf("command: this needs a log-in of level %d", w.ACR)
}

// twoFactors is the strongest log-in that there is.
const twoFactors = 2

// StrongEnough says whether a caller's log-in is what the registry demands for telling a type: nil, or a *WeakLogin. Use cases ask themselves;
// a form asks before it is filled in. People in office and sources tell what others told
// them, and answer for it themselves.
func (h *Handler) StrongEnough(actor journal.Actor, eventType string) error {
	if row, ok := h.journal.Registry().Row(eventType); ok {
		return atLeast(actor, row.ACR)
	}
	return nil
}

// strongEnoughFor is StrongEnough for what is about something told before: that fact's type counts. Where it is somebody else's, the answer
// must not show what stands there, and two factors are asked for whatever it is.
func (h *Handler) strongEnoughFor(actor journal.Actor, id citizen.ID, on *target) error {
	switch {
	case citizen.ID(actor.Citizen) != id:
		return atLeast(actor, twoFactors)
	case on.subject == id:
		return h.StrongEnough(actor, on.fact.Type)
	}
	return nil
}

func atLeast(actor journal.Actor, acr int) error {
	if actor.Kind == journal.ActorResident && actor.ACR > 0 && actor.ACR < acr {
		return &WeakLogin{ACR: acr}
	}
	return nil
}
