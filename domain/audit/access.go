// Package audit answers why, for people in office, and proves it. Every look is an event on the log before its answer is shown.
package audit

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// ErrReason refuses a look without a reason, or with one too long to be one.
var ErrReason = errors.New("audit: a look needs a reason, of at most 500 characters")

// ErrForbidden refuses a caller whose role may not look.
var ErrForbidden = errors.New("audit: not allowed for this caller")

// ErrNotFound is the answer for what is not there.
var ErrNotFound = errors.New("audit: not found")

// Audit opens looks. There is no other way to the officer's lists.
type Audit struct {
	journal *journal.Journal
	trail   journal.Trail
}

// New returns an Audit on a journal.
func New(j *journal.Journal) *Audit { return &Audit{journal: j, trail: journal.NewTrail(j)} }

// Look is what an officer asks for, and why.
type Look struct {
	Reason  string     // mandatory
	Case    string     // a case number, maybe
	Kind    string     // kind of query: decisions, consents, why, search
	Shown   string     // bounds of what is shown, never values
	Subject citizen.ID // the person shown; zero for a list over all
}

// Session is one look that is on the log.
type Session struct {
	audit *Audit
	look  Look
	// Position is where the look stands on the log.
	Position int64
}

// Open appends the look and returns what it lets see. If the append fails, nothing is shown.
func (a *Audit) Open(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look) (*Session, error) {
	switch actor.Kind {
	case journal.ActorOfficer, journal.ActorAuditor, journal.ActorProtector, journal.ActorOperator:
	default:
		return nil, ErrForbidden
	}
	if look.Reason = strings.TrimSpace(look.Reason); look.Reason == "" || utf8.RuneCountInString(look.Reason) > 500 || !utf8.ValidString(look.Reason) {
		return nil, ErrReason
	}
	results, err := a.journal.Append(ctx, journal.Step{
		Origin: journal.Origin{Issuer: issuer, Actor: actor.Kind},
		Events: []journal.New{{
			Event:     journal.Accessed{Case: look.Case, Kind: look.Kind, Reason: look.Reason, Shown: look.Shown},
			Aggregate: journal.AccessesAggregate, Subject: look.Subject, Cause: eventstore.NoCause, Meta: journal.Meta{Actor: actor.ID},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &Session{audit: a, look: look, Position: results[0].Position}, nil
}

// Refused records that an authenticated client was refused: the route's pattern and the status, never the URL.
func (a *Audit) Refused(ctx context.Context, actor journal.Actor, route string, status int) error {
	_, err := a.journal.Append(ctx, journal.Step{
		Origin: journal.Origin{Issuer: journal.IssuerAPI, Actor: actor.Kind},
		Events: []journal.New{{Event: journal.AccessRefused{Route: route, Status: status}, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause}},
	})
	return err
}
