package audit

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// ErrSameOfficer refuses an officer who would open alone what takes two.
var ErrSameOfficer = errors.New("audit: it takes another officer than the one who asked")

// ErrNoRequest refuses what nobody asked for in the last 24 hours.
var ErrNoRequest = errors.New("audit: there is no such request")

// requestHolds is how long another officer may open what one asked for.
const requestHolds = 24 * time.Hour

// Tie is what joins the two identities of one person.
type Tie struct {
	Old, New citizen.ID
	Position int64 // of the replacement
	At       time.Time
}

// AskTie is the first protector's half of reading a tie: it shows nothing. The session's position names the request.
func (a *Audit) AskTie(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, who Who) (*Session, error) {
	look.Kind, look.Shown = KindTieAsked, ""
	return a.OpenPerson(ctx, actor, issuer, look, who)
}

// OpenTie is the second protector's half: within 24 hours, and another one than who asked. The log says so before the record is opened.
func (a *Audit) OpenTie(ctx context.Context, actor journal.Actor, issuer journal.Issuer, request int64, reason string) (Tie, error) {
	look, err := a.judge(actor, Look{Kind: KindTieOpened, Reason: reason, Shown: "the new identity"})
	if err != nil {
		return Tie{}, err
	}
	e, asked, err := a.lookAt(ctx, request)
	if errors.Is(err, ErrNotFound) {
		return Tie{}, ErrNoRequest
	}
	if err != nil {
		return Tie{}, err
	}
	subject, about := journal.SubjectOf(&e.Recorded)
	late := a.journal.Now(journal.Timing{}).Sub(e.RecordedAt) > requestHolds
	if asked.Kind != KindTieAsked || !about || late {
		return Tie{}, ErrNoRequest
	}
	if strings.EqualFold(strings.TrimSpace(e.Meta.Actor), strings.TrimSpace(actor.ID)) {
		return Tie{}, ErrSameOfficer
	}
	look.Subject, look.Case = subject, asked.Case
	if _, err := a.append(ctx, actor, issuer, look, citizen.ID{}); err != nil {
		return Tie{}, err
	}
	two, err := seal.WithTwoOfficers(ctx, e.Meta.Actor, actor.ID)
	if err != nil {
		return Tie{}, ErrSameOfficer
	}
	entries, err := a.journal.ReadAggregate(two, journal.CitizenAggregate(subject), 1, 0)
	if err != nil {
		return Tie{}, err
	}
	for i := range entries {
		if replaced, ok := entries[i].Event.(journal.IdentityReplaced); ok {
			successor, err := citizen.ParseID(replaced.New)
			return Tie{Old: subject, New: successor, Position: entries[i].Position, At: entries[i].RecordedAt}, err
		}
	}
	return Tie{}, ErrNotFound
}
