package command

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Disputing is what a citizen objects to: a change told in their name, or that something was disclosed.
type Disputing struct {
	About  int64  // position of the change, or of the fact that was disclosed
	Stream string // of a disclosure: to whom, and under which cursor
	Cursor string
	Text   string // at most maxWhy characters; may be empty
}

// OpenDispute takes a citizen's objection to a change in their own history, or to a disclosure of one. Only themself or a proxy objects; also
// while their changes are frozen. Whether the cursor was given for that fact is the caller's to know: it comes from who-saw-my-data.
func (h *Handler) OpenDispute(ctx context.Context, c Command, id citizen.ID, d Disputing) (Result, error) {
	if c.Actor.Kind != journal.ActorResident || c.Actor.Citizen == uuid.Nil {
		return Result{}, ErrForbidden
	}
	own, err := h.isOwn(ctx, id, d.About)
	if err != nil {
		return Result{}, err
	}
	return h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		if rejection := known(state, "/person"); rejection != nil {
			return verdict{}, rejection
		}
		if !own {
			return verdict{}, citizen.RejectAt(citizen.CodeNotYourChange, "/data/about")
		}
		if !isText(d.Text) {
			return verdict{}, citizen.RejectAt(citizen.CodeSchema, "/data/text")
		}
		dispute := about(state, journal.DisputeOpened{About: d.About, Cursor: d.Cursor, Stream: d.Stream, Text: strings.TrimSpace(d.Text)}, c.meta(""))
		dispute.Cause = d.About
		return verdict{events: []journal.New{dispute}}, nil
	})
}

// isOwn says whether a position holds something about a citizen, also under an id that was merged into theirs.
func (h *Handler) isOwn(ctx context.Context, id citizen.ID, position int64) (bool, error) {
	merged, err := journal.NewRelatives(h.journal).MergedInto(ctx, id)
	if err != nil {
		return false, err
	}
	entries, err := h.journal.Read(ctx, position)
	if errors.Is(err, eventstore.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	subject := citizen.ID(entries[0].Subject)
	own := subject == id
	for _, other := range merged {
		own = own || subject == other
	}
	return own, nil
}

// isText says whether a text may be empty or as long as a reason.
func isText(text string) bool {
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxWhy
}

// AnswerDispute is an officer's answer, upheld or refused, with its reason; of protected people a protector's. Once. It undoes nothing by
// itself: a registrar puts the change right, and an officer ends the freeze.
func (h *Handler) AnswerDispute(ctx context.Context, c Command, dispute int64, outcome, text string) (Result, error) {
	if c.Actor.Kind != journal.ActorOfficer && c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	entries, err := h.journal.Read(ctx, dispute)
	if err != nil && !errors.Is(err, eventstore.ErrNotFound) {
		return Result{}, err
	}
	var id citizen.ID // nobody's, where there is no dispute
	if len(entries) == 1 && entries[0].Type == journal.TypeDisputeOpened {
		id = citizen.ID(entries[0].Subject)
	}
	for range maxAttempts {
		states, answered, err := h.answered(ctx, id, dispute)
		if err != nil {
			return Result{}, err
		}
		result, err := h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
			switch {
			case !state.Profile.Registered, isErased(state), answered && state.Version == states:
				return verdict{}, citizen.Reject(citizen.CodeNoDispute)
			case state.Version != states: // somebody answered, or told something, since we looked
				return verdict{}, errMoved
			case outcome != journal.DisputeUpheld && outcome != journal.DisputeRefused:
				return verdict{}, citizen.RejectAt(citizen.CodeSchema, "/data/outcome")
			}
			if rejection := judgeWhy(text); rejection != nil {
				return verdict{}, citizen.RejectAt(rejection.Code, "/data/text")
			}
			answer := about(state, journal.DisputeAnswered{Dispute: dispute, Outcome: outcome, Text: strings.TrimSpace(text)}, c.meta(""))
			answer.Cause = dispute
			return verdict{events: []journal.New{answer}}, nil
		})
		if !errors.Is(err, errMoved) {
			return result, err
		}
	}
	return Result{}, ErrBusy
}

// isErased says whether somebody is not here any more. Whose id was merged into another still is.
func isErased(state *journal.State) bool {
	return state.Gone != nil && state.Gone.Why != journal.TypeCitizensMerged
}

// errMoved says that the citizen's records are others than when the command began: look again.
var errMoved = &citizen.Rejection{Code: "moved"}

// answered says whether a dispute of a citizen has its answer, as of a version of their aggregate.
func (h *Handler) answered(ctx context.Context, id citizen.ID, dispute int64) (version int32, answered bool, err error) {
	entries, err := h.journal.ReadAggregate(ctx, journal.CitizenAggregate(id), 1, 0)
	for i := range entries {
		version = entries[i].Version
		if a, ok := entries[i].Event.(journal.DisputeAnswered); ok && a.Dispute == dispute {
			answered = true
		}
	}
	return version, answered, err
}
