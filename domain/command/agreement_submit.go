package command

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
)

// ErrManyProposals refuses a ministry another proposal while so many of its own wait for an officer.
var ErrManyProposals = errors.New("command: too many proposals of this ministry wait for an approval")

// maxWaiting is how many proposals of a ministry may wait at once.
const maxWaiting = 20

// SubmitAgreement proposes a version of a ministry's own agreement, with why it needs each field. It is a proposal as an officer's: an officer
// approves it, or nobody. The agreement is one that the ministry has, or begins with the ministry's id and a hyphen; its stream is the
// ministry's, or begins with its id and a dot: so nobody takes a name that another may want. Errors: ErrForbidden, ErrOtherContent,
// ErrManyProposals, and the rejections older-version, agreement-ended and stream-kept.
func (h *Handler) SubmitAgreement(ctx context.Context, c Command, a consent.Agreement, reasons []journal.FieldReason) error {
	if c.Actor.Kind != journal.ActorMinistry || c.Actor.Ministry == "" || a.Ministry != c.Actor.Ministry {
		return ErrForbidden
	}
	return h.onAgreements(ctx, c, func(on *agreementLog, _ journal.Day) ([]journal.New, error) {
		if !on.mayName(&a) {
			return nil, ErrForbidden
		}
		waiting := 0
		for i := range on.versions {
			if v := &on.versions[i]; v.Agreement.Ministry == a.Ministry && v.State == consent.StateProposed {
				waiting++
			}
		}
		if waiting >= maxWaiting {
			return nil, ErrManyProposals
		}
		c := c
		c.Actor.ID = "ministry " + c.Actor.Ministry // never an officer's name
		p := proposals{Handler: h, command: c, on: on, streams: maps.Clone(on.law.Streams), documents: map[string][]byte{}, reasons: reasons}
		err := p.add(a)
		return p.events, err
	})
}

// mayName says whether an agreement's id and stream are its ministry's to use.
func (l *agreementLog) mayName(a *consent.Agreement) bool {
	known := l.of(a.ID)
	for i := range known {
		if known[i].Agreement.Ministry != a.Ministry {
			return false
		}
	}
	stream, open := l.law.Streams[a.Stream]
	if open {
		open = stream.Ministry == a.Ministry
	}
	return (len(known) > 0 || strings.HasPrefix(a.ID, a.Ministry+"-")) && (open || strings.HasPrefix(a.Stream, a.Ministry+"."))
}

// NextVersion is the number that the next version of an agreement has: one more than any that was proposed.
func (h *Handler) NextVersion(ctx context.Context, id string) (int, error) {
	on, err := h.agreementLog(ctx)
	if err != nil {
		return 0, err
	}
	next := 1
	for _, v := range on.of(id) {
		next = max(next, v.Agreement.Version+1)
	}
	return next, nil
}
