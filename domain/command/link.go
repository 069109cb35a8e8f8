package command

import (
	"context"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Linking is what links a citizen to a ministry's client.
type Linking struct {
	Ministry        string
	ClientReference string
	Means           string // how it was proved: import, sign-in, counter
}

// Link says that a citizen is a ministry's client. Linking again ends the former link.
func (h *Handler) Link(ctx context.Context, c Command, id citizen.ID, l Linking) (Result, error) {
	if !mayAnswerFor(c.Actor) {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, judgeLink(c, l, ""))
}

// Unlink ends a link.
func (h *Handler) Unlink(ctx context.Context, c Command, id citizen.ID, ministry string) (Result, error) {
	if !mayAnswerFor(c.Actor) {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, judgeUnlink(c, ministry, ""))
}

func judgeLink(c Command, l Linking, effective string) judge {
	return func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := mayTellNow(state, journal.TypeMinistryLinked, effective, day); rejection != nil {
			return verdict{}, rejection
		}
		if !law.Book.HasMinistry(l.Ministry) {
			return verdict{}, citizen.RejectAt(citizen.CodeUnknownMinistry, "/data/ministry")
		}
		event := journal.MinistryLinked{Ministry: l.Ministry, ClientReference: l.ClientReference, Means: l.Means}
		return verdict{byLaw: true, events: []journal.New{about(state, event, c.meta(effective))}}, nil
	}
}

func judgeUnlink(c Command, ministry, effective string) judge {
	return func(_ *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := mayTellNow(state, journal.TypeMinistryUnlinked, effective, day); rejection != nil {
			return verdict{}, rejection
		}
		if _, ok := state.Standing.Link(ministry); !ok {
			return verdict{}, citizen.RejectAt(citizen.CodeNotLinked, "/data/ministry")
		}
		return verdict{events: []journal.New{about(state, journal.MinistryUnlinked{Ministry: ministry}, c.meta(effective))}}, nil
	}
}
