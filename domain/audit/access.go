// Package audit answers why, for people in office, and proves it. Every look is an event on the log before its answer is shown.
package audit

import (
	"context"
	"errors"
	"strings"
	"time"
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

// reopenFor is how long a look may be shown again to who asked for it: a page reloaded, or read in the other language.
const reopenFor = 15 * time.Minute

// Reopen returns a look that the same caller opened a short while ago; ErrNotFound for any other. It appends nothing, and lets see what
// stood on the log before the look.
func (a *Audit) Reopen(ctx context.Context, actor journal.Actor, position int64) (*Session, error) {
	head, err := a.journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if position < 0 || position > head.Position {
		return nil, ErrNotFound
	}
	entries, err := a.journal.Read(ctx, position)
	if err != nil {
		return nil, err
	}
	e := &entries[0]
	accessed, ok := e.Event.(journal.Accessed)
	mine := ok && e.Meta.Actor == actor.ID && journal.ActorKind(e.ActorKind) == actor.Kind
	if !mine || a.journal.Now(journal.Timing{}).Sub(e.RecordedAt) > reopenFor {
		return nil, ErrNotFound
	}
	subject, _ := journal.SubjectOf(&e.Recorded)
	look := Look{Reason: accessed.Reason, Case: accessed.Case, Kind: accessed.Kind, Shown: accessed.Shown, Subject: subject}
	return &Session{audit: a, look: look, Position: position}, nil
}

// Look is what was asked for, and why.
func (s *Session) Look() Look { return s.look }

// Refused records that an authenticated client was refused: the route's pattern and the status, never the URL.
func (a *Audit) Refused(ctx context.Context, actor journal.Actor, route string, status int) error {
	_, err := a.journal.Append(ctx, journal.Step{
		Origin: journal.Origin{Issuer: journal.IssuerAPI, Actor: actor.Kind},
		Events: []journal.New{{Event: journal.AccessRefused{Route: route, Status: status}, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause}},
	})
	return err
}
