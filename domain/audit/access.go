// Package audit answers why, for people in office, and proves it. Every look is an event on the log before its answer is shown.
package audit

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tellonce/hub/consent"
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

// ErrHidden refuses to hide a look from the person it is about: that needs a case, a legal reason, and a day at most MaxHidden ahead.
var ErrHidden = errors.New("audit: a look is hidden only with a case and a legal reason, until a day at most 180 days ahead")

// MaxHidden is the most days for which a look may be hidden from the person it is about.
const MaxHidden = 180

// Audit opens looks. There is no other way to the officer's lists.
type Audit struct {
	journal    *journal.Journal
	trail      journal.Trail
	protection journal.Protection
	// postponed are looks of this process whose answer is yet to be shown, by position.
	postponed sync.Map
}

// New returns an Audit on a journal.
func New(j *journal.Journal) *Audit {
	return &Audit{journal: j, trail: journal.NewTrail(j), protection: journal.NewProtection(j)}
}

// The kinds of query that the rules below tell apart, as they stand on the log.
const (
	KindSearch    = "search"
	KindDecisions = "decisions"
	KindConsents  = "consents"
	KindDetails   = "details"   // a person's current details, for a change told with help
	KindReference = "reference" // who a child is, to give it a reference
	KindDeaths    = "reported-deaths"
	KindTieAsked  = "tie-asked"
	KindTieOpened = "tie-opened"
)

// Look is what somebody in office asks for, and why.
type Look struct {
	Reason  string     // mandatory
	Case    string     // a case number, maybe
	Kind    string     // kind of query
	Shown   string     // bounds of what is shown, never values
	Subject citizen.ID // the person shown; zero for a list over all
	// HiddenUntil is the day from which on the person sees the look, ISO 8601; empty: at once. HiddenWhy is the law for it.
	HiddenUntil string
	HiddenWhy   string
}

// Session is one look that is on the log.
type Session struct {
	audit *Audit
	actor journal.Actor
	look  Look
	// Position is where the look stands on the log.
	Position int64
}

// Open appends the look and returns what it lets see. If the append fails, nothing is shown. A subject of whom the actor may know nothing is
// ErrNotFound, after the look is on the log.
func (a *Audit) Open(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look) (*Session, error) {
	look, err := a.judge(actor, look)
	if err != nil {
		return nil, err
	}
	if look.Subject.IsZero() {
		return a.append(ctx, actor, issuer, look, citizen.ID{})
	}
	hidden, err := a.protection.Hidden(ctx, actor, look.Subject)
	if err != nil {
		return nil, err
	}
	if hidden[0] {
		return a.missing(ctx, actor, issuer, look, look.Subject)
	}
	return a.append(ctx, actor, issuer, look, citizen.ID{})
}

// judge says whether somebody may look, and tidies the look.
func (a *Audit) judge(actor journal.Actor, look Look) (Look, error) {
	if !mayLook(actor.Kind, look.Kind) {
		return look, ErrForbidden
	}
	if look.Reason = strings.TrimSpace(look.Reason); look.Reason == "" || utf8.RuneCountInString(look.Reason) > 500 || !utf8.ValidString(look.Reason) {
		return look, ErrReason
	}
	if look.HiddenUntil == "" && look.HiddenWhy == "" {
		return look, nil
	}
	today := a.journal.DayOf(a.journal.Now(journal.Timing{}))
	until, err := consent.ParseDate(look.HiddenUntil)
	last := consent.DateOf(today.From.AddDate(0, 0, MaxHidden))
	why := strings.TrimSpace(look.HiddenWhy)
	if err != nil || until <= today.Date || until > last || look.Case == "" || why == "" || utf8.RuneCountInString(why) > 500 || !mayHide(actor.Kind) {
		return look, ErrHidden
	}
	return look, nil
}

// mayLook: people's current details, and who a child is, are for whoever helps them to tell a change; reported deaths are for the registrar; what ties two
// identities is for protectors; all else for those who answer for the hub.
func mayLook(actor journal.ActorKind, kind string) bool {
	switch kind {
	case KindDetails, KindReference:
		return actor == journal.ActorClerk || actor == journal.ActorRegistrar || actor == journal.ActorProtector
	case KindDeaths:
		return actor == journal.ActorRegistrar
	case KindTieAsked, KindTieOpened:
		return actor == journal.ActorProtector
	}
	return mayHide(actor) || actor == journal.ActorOperator
}

// mayHide: an inquiry is an officer's.
func mayHide(actor journal.ActorKind) bool {
	return actor == journal.ActorOfficer || actor == journal.ActorAuditor || actor == journal.ActorProtector
}

// append puts a look on the log. about is a protected person who was asked for and is not shown.
func (a *Audit) append(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, about citizen.ID) (*Session, error) {
	accessed := journal.Accessed{
		Case: look.Case, HiddenUntil: look.HiddenUntil, HiddenWhy: look.HiddenWhy, Kind: look.Kind, Reason: look.Reason, Shown: look.Shown,
	}
	if !about.IsZero() {
		accessed.About = about.String()
	}
	results, err := a.journal.Append(ctx, journal.Step{
		Origin: journal.Origin{Issuer: issuer, Actor: actor.Kind},
		Events: []journal.New{{
			Event: accessed, Aggregate: journal.AccessesAggregate, Subject: look.Subject, Cause: eventstore.NoCause, Meta: journal.Meta{Actor: actor.ID},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &Session{audit: a, actor: actor, look: look, Position: results[0].Position}, nil
}

// nothing is what a look shows that finds nobody.
const nothing = "nothing found"

// missing puts a look on the log that finds nobody; about is a protected person behind the question, if there is one. That alone differs,
// inside the sealed content.
func (a *Audit) missing(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, about citizen.ID) (*Session, error) {
	look.Subject, look.Shown = citizen.ID{}, nothing
	if _, err := a.append(ctx, actor, issuer, look, about); err != nil {
		return nil, err
	}
	return nil, ErrNotFound
}

// Postpone says that nothing was shown yet, and that the look will be reopened for it: a page that is redirected to. If the process dies
// here, or another one shows the page, that is a look of its own, and the person reads of one more than there was.
func (s *Session) Postpone() { s.audit.postponed.Store(s.Position, s.audit.journal.Clock()) }

// showsPostponed says, once, whether a look's answer is yet to be shown.
func (a *Audit) showsPostponed(position int64) bool {
	a.postponed.Range(func(key, at any) bool {
		if since, ok := at.(time.Time); ok && a.journal.Clock().Sub(since) > reopenFor {
			a.postponed.Delete(key) // nobody came
		}
		return true
	})
	_, postponed := a.postponed.LoadAndDelete(position)
	return postponed
}

// reopenFor is how long a look may be shown again to who asked for it: a page reloaded, or read in the other language.
const reopenFor = 15 * time.Minute

// Reopen shows a look again that the same caller opened a short while ago, for the same reason; ErrNotFound for any other. Every showing is
// an event of its own: but for the first one of a postponed look, which is that look, this appends one. A session lets see what stands on
// the log before it.
func (a *Audit) Reopen(ctx context.Context, actor journal.Actor, issuer journal.Issuer, position int64) (*Session, error) {
	e, accessed, err := a.lookAt(ctx, position)
	if err != nil {
		return nil, err
	}
	mine := e.Meta.Actor == actor.ID && journal.ActorKind(e.ActorKind) == actor.Kind
	if !mine || a.journal.Now(journal.Timing{}).Sub(e.RecordedAt) > reopenFor {
		return nil, ErrNotFound
	}
	subject, _ := journal.SubjectOf(&e.Recorded)
	look := Look{
		Reason: accessed.Reason, Case: accessed.Case, Kind: accessed.Kind, Shown: accessed.Shown, Subject: subject, HiddenUntil: accessed.HiddenUntil,
		HiddenWhy: accessed.HiddenWhy,
	}
	hidden, err := a.protection.Hidden(ctx, actor, subject)
	if err != nil {
		return nil, err
	}
	if !hidden[0] && a.showsPostponed(position) {
		return &Session{audit: a, actor: actor, look: look, Position: position}, nil
	}
	return a.Open(ctx, actor, issuer, look)
}

// lookAt is the look at a position; ErrNotFound for anything else.
func (a *Audit) lookAt(ctx context.Context, position int64) (*journal.Entry, journal.Accessed, error) {
	head, err := a.journal.Head(ctx)
	if err != nil {
		return nil, journal.Accessed{}, err
	}
	if position < 0 || position > head.Position {
		return nil, journal.Accessed{}, ErrNotFound
	}
	entries, err := a.journal.Read(ctx, position)
	if err != nil {
		return nil, journal.Accessed{}, err
	}
	accessed, ok := entries[0].Event.(journal.Accessed)
	if !ok {
		return nil, journal.Accessed{}, ErrNotFound
	}
	return &entries[0], accessed, nil
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
