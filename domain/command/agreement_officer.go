package command

import (
	"context"
	"maps"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Approval is what an officer approves.
type Approval struct {
	ID      string
	Version int
	// Replaces, if set, is the version in force with which the officer compared it, 0 for none: if another is in force by now, the approval
	// is refused with stale-preview.
	Replaces *int
}

// ApproveAgreement puts a proposed version in force, by another officer than the one who proposed it. It is the rule from its approval on,
// also where its validity begins later: until that day nothing is shared under the agreement, by the former version neither. Errors:
// ErrForbidden, and the rejections unknown-version, already-approved, older-version, agreement-ended, same-person, stale-preview and
// stream-kept.
func (h *Handler) ApproveAgreement(ctx context.Context, c Command, a Approval) (AgreementVersion, error) {
	if c.Actor.Kind != journal.ActorOfficer {
		return AgreementVersion{}, ErrForbidden
	}
	err := h.onAgreements(ctx, c, func(on *agreementLog, _ journal.Day) ([]journal.New, error) {
		v := on.find(a.ID, a.Version)
		if v == nil {
			return nil, on.unknown(a.ID)
		}
		if rejection := h.mayApprove(c, v, a, on.law); rejection != nil {
			return nil, rejection
		}
		approved := journal.AgreementApproved{By: h.by(c.Actor, a.ID, a.Version), ID: a.ID, Version: a.Version}
		return append([]journal.New{agreementEvent(approved, v.position)}, opens(maps.Clone(on.law.Streams), &v.Agreement)...), nil
	})
	if err != nil {
		return AgreementVersion{}, err
	}
	return h.AgreementVersion(ctx, a.ID, a.Version)
}

func (h *Handler) mayApprove(c Command, v *AgreementVersion, a Approval, law *journal.Law) *citizen.Rejection {
	switch v.State {
	case consent.StateApproved:
		return citizen.Reject(citizen.CodeAlreadyApproved)
	case consent.StateReplaced:
		return citizen.Reject(citizen.CodeOlderVersion)
	case consent.StateEnded:
		return citizen.Reject(citizen.CodeAgreementEnded)
	case consent.StateProposed:
	}
	if h.SamePerson(v, c.Actor) {
		return citizen.Reject(citizen.CodeSamePerson)
	}
	if a.Replaces != nil && *a.Replaces != replaced(v) {
		return citizen.Reject(citizen.CodeStalePreview)
	}
	return keepsStream(law.Streams, &v.Agreement)
}

// replaced is the number of the version that a version replaces, 0 for none.
func replaced(v *AgreementVersion) int {
	if v.Former == nil {
		return 0
	}
	return v.Former.Version
}

// SamePerson says whether an officer can't be told from the one who proposed a version, and so may not approve it. Outside a sandbox
// that holds for everybody where one of the two has no name.
func (h *Handler) SamePerson(v *AgreementVersion, officer journal.Actor) bool {
	by := h.by(officer, v.Agreement.ID, v.Agreement.Version)
	if by == "" || v.proposedBy == "" {
		return !h.sandbox()
	}
	return by == v.proposedBy
}

// EndAgreement ends an agreement with all its versions, by an officer or an operator, from here on; what was proposed for it lapses. on is
// the day of the end for people to read (ISO 8601): today if empty, never one to come (a version whose validity ends does that) nor one
// before the agreement began. Errors: ErrForbidden, and the rejections unknown-version, agreement-ended, schema and end-date.
func (h *Handler) EndAgreement(ctx context.Context, c Command, id, on string) ([]AgreementVersion, error) {
	if c.Actor.Kind != journal.ActorOfficer && c.Actor.Kind != journal.ActorOperator {
		return nil, ErrForbidden
	}
	err := h.onAgreements(ctx, c, func(l *agreementLog, day journal.Day) ([]journal.New, error) {
		versions := l.of(id)
		if len(versions) == 0 {
			return nil, l.unknown(id)
		}
		began, version := h.began(versions)
		if version == 0 {
			return nil, citizen.RejectAt(citizen.CodeAgreementEnded, "/id")
		}
		date := day.Date
		if on != "" {
			var err error
			if date, err = consent.ParseDate(on); err != nil {
				return nil, citizen.RejectAt(citizen.CodeSchema, "/date")
			}
		}
		if date > day.Date || date < began {
			return nil, citizen.Reject(citizen.CodeEndDate)
		}
		ended := journal.AgreementEnded{By: h.by(c.Actor, id, version), Date: date.String(), ID: id}
		return []journal.New{agreementEvent(ended, eventstore.NoCause)}, nil
	})
	if err != nil {
		return nil, err
	}
	l, err := h.agreementLog(ctx)
	if err != nil {
		return nil, err
	}
	return l.of(id), nil
}

// began is the day since which one of an agreement's versions is on the log (approved, or else proposed) and has not ended, and the
// newest of them; 0 if all have ended.
func (h *Handler) began(versions []AgreementVersion) (since consent.Date, newest int) {
	var approved, proposed time.Time
	earlier := func(a *time.Time, b time.Time) {
		if !b.IsZero() && (a.IsZero() || b.Before(*a)) {
			*a = b
		}
	}
	for i := range versions {
		if v := &versions[i]; v.State != consent.StateEnded {
			newest = v.Agreement.Version
			earlier(&proposed, v.ProposedAt)
			earlier(&approved, v.ApprovedAt)
		}
	}
	if approved.IsZero() {
		approved = proposed
	}
	return h.journal.DayOf(approved).Date, newest
}
