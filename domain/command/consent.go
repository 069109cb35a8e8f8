package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Grant appends a citizen's consent to an agreement; a later grant replaces a former one.
func (h *Handler) Grant(ctx context.Context, c Command, id citizen.ID, choice Choice) (Result, error) {
	if !mayAnswerFor(c.Actor) {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, judgeGrant(c, choice, ""))
}

// Withdraw ends a citizen's consent to an agreement. One can always withdraw what is granted.
func (h *Handler) Withdraw(ctx context.Context, c Command, id citizen.ID, agreement string) (Result, error) {
	if !mayAnswerFor(c.Actor) {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, judgeWithdrawal(c, agreement, ""))
}

func judgeGrant(c Command, choice Choice, effective string) judge {
	return func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := mayTellNow(state, journal.TypeConsentGranted, effective, day); rejection != nil {
			return verdict{}, rejection
		}
		event, rejection := grant(law, c, state, choice, "/data")
		if rejection != nil {
			return verdict{}, rejection
		}
		return verdict{byLaw: true, events: []journal.New{about(state, event, c.meta(effective))}}, nil
	}
}

func judgeWithdrawal(c Command, agreement, effective string) judge {
	return func(_ *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := mayTellNow(state, journal.TypeConsentWithdrawn, effective, day); rejection != nil {
			return verdict{}, rejection
		}
		event, rejection := withdrawal(state, agreement, "/data")
		if rejection != nil {
			return verdict{}, rejection
		}
		return verdict{events: []journal.New{about(state, event, c.meta(effective))}}, nil
	}
}

// judgeChoice is one consent of a change's form. A form names an agreement once.
func judgeChoice(law *journal.Law, c Command, state *journal.State, before []Choice, choice Choice, pointer string) (any, *citizen.Rejection) {
	if slices.ContainsFunc(before, func(b Choice) bool { return b.Agreement == choice.Agreement }) {
		return nil, citizen.RejectAt(citizen.CodeSchema, pointer+"/agreement")
	}
	if choice.Withdraw {
		return withdrawal(state, choice.Agreement, pointer)
	}
	return grant(law, c, state, choice, pointer)
}

// grant is a consent as it goes on the log. Its fields are nil (all that the agreement shares) or at least one.
func grant(law *journal.Law, c Command, state *journal.State, choice Choice, pointer string) (any, *citizen.Rejection) {
	agreement, ok := law.Book.Find(choice.Agreement)
	if !ok {
		return nil, citizen.RejectAt(citizen.CodeUnknownAgreement, pointer+"/agreement")
	}
	if agreement.Basis.Kind != consent.BasisConsent {
		return nil, citizen.RejectAt(citizen.CodeNotByConsent, pointer+"/agreement")
	}
	if choice.Fields != nil && len(choice.Fields) == 0 { // on the log no fields are all fields: an empty list must never get there
		return nil, citizen.RejectAt(citizen.CodeSchema, pointer+"/fields")
	}
	for i, field := range choice.Fields {
		if !agreement.SharesField(field) {
			return nil, citizen.RejectAt(citizen.CodeUnknownField, fmt.Sprintf("%s/fields/%d", pointer, i))
		}
	}
	grantor, capacity := c.grantor(state)
	return journal.ConsentGranted{
		Agreement: agreement.ID, Version: agreement.Version, Fields: choice.Fields, NoticeHash: noticeHash(agreement, choice.Language),
		Language: choice.Language, Grantor: grantor.String(), Capacity: capacity,
	}, nil
}

func withdrawal(state *journal.State, agreement, pointer string) (any, *citizen.Rejection) {
	granted, ok := state.Standing.Grant(agreement)
	if !ok {
		return nil, citizen.RejectAt(citizen.CodeNoSuchGrant, pointer+"/agreement")
	}
	return journal.ConsentWithdrawn{Agreement: agreement, Grant: granted.Position}, nil
}

// noticeHash is SHA-256 of the text by which the citizen was asked: title and purpose, a line each, in the language shown.
func noticeHash(a *consent.Agreement, language string) string {
	title, purpose := a.Title.EN, a.Purpose.EN
	if language == "fr" {
		title, purpose = a.Title.FR, a.Purpose.FR
	}
	sum := sha256.Sum256([]byte(title + "\n" + purpose + "\n"))
	return hex.EncodeToString(sum[:])
}
