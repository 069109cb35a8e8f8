package web

import (
	"net/http"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// fact is one line of "my details".
type fact struct {
	Label  string
	Lines  []string // empty: nothing is known
	Since  string   // in words: since when it holds, or from when it will
	Change string   // path of the page that changes it; empty for none yet
	Next   []fact   // what is announced: lines, and from when
}

// toldLine is one change that the resident told.
type toldLine struct {
	What    string
	At      time.Time
	Receipt string
	Note    string // what put it right later; empty for nothing
}

// seenLine is one line of "who saw my data".
type seenLine struct {
	At             time.Time
	Who, What, Why string
	Typed          bool   // Why is in its writer's own words
	Basis          string // in the page's language
	Law            string // the statute, in its own words
}

type detailsView struct {
	Facts []fact
	Told  []toldLine
	Seen  []seenLine
	Asked bool // a newer version of an agreement asks the resident anew
	Acts  bool // there is somebody for whom the reader may act
	// Partly: the reader acts for the person in some things alone, and sees nothing else.
	Partly bool
}

// latest bounds the lists of a page; lately those that have a page of their own.
const (
	latest = 50
	lately = 5
)

// details is the resident's first page: what the hub holds, what they told, and who saw it.
func (s *server) details(r *request) error {
	if r.ward != nil && len(r.ward.Scope) > 0 {
		return s.mayOnly(r)
	}
	profile, err := s.Projection.Profile(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	changes, err := s.Projection.Changes(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	seen, err := s.Projection.WhoSaw(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	v := detailsView{Facts: s.facts(r, profile)}
	if v.Asked, err = s.asked(r); err != nil {
		return err
	}
	if r.ward == nil {
		wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
		if err != nil {
			return err
		}
		v.Acts = len(wards) > 0
	}
	for _, c := range changes[:min(len(changes), lately)] {
		line := toldLine{What: s.toldLabel(r.words, c.Type, c.Change.Type), At: c.RecordedAt, Receipt: c.Receipt}
		if n := len(c.Since); n > 0 {
			line.Note = s.mention(r, &c.Since[n-1])
		}
		v.Told = append(v.Told, line)
	}
	for i := range seen[:min(len(seen), latest)] {
		v.Seen = append(v.Seen, s.seen(r, &seen[i]))
	}
	return s.show(r, http.StatusOK, "details", view{Title: detailsTitle(r), Data: v})
}

// detailsTitle names nobody: titles stand in histories.
func detailsTitle(r *request) string {
	if r.ward != nil {
		return r.say("resident.acting.details")
	}
	return r.say("details.title")
}

// facts lists what holds and, with it, what is announced, each with the page that changes it.
func (s *server) facts(r *request, profile *citizen.Profile) []fact {
	var out []fact
	for i := range forms {
		f := &forms[i]
		if f.Once { // not one of what holds
			continue
		}
		line := fact{Label: r.say("resident." + f.Words + ".what"), Change: r.at("/" + f.Path)}
		now, ok := held(profile, f.Type, f.Key)
		if ok {
			line.Lines, line.Since = f.lines(r.words, now.Data), s.since(r, now.Effective)
		}
		for _, next := range profile.Announced {
			if next.Type == f.Type && next.Key == f.Key && next.Position != now.Position {
				line.Next = append(line.Next, fact{Lines: f.lines(r.words, next.Data), Since: s.since(r, next.Effective)})
			}
		}
		out = append(out, line)
		if f.Type == citizen.NameChanged {
			born, _ := profile.Latest(citizen.PersonRegistered, "")
			out = append(out, fact{Label: r.say("details.born"), Lines: nonEmpty(r.words.date(text(born.Data, "birth_date")))})
		}
	}
	return out
}

// mayOnly is the first page of somebody who acts for a person in some things alone: what they may change, and nothing that is known.
func (s *server) mayOnly(r *request) error {
	v := detailsView{Partly: true}
	for i := range forms {
		if f := &forms[i]; mayTellFor(r.ward, f.Type) {
			v.Facts = append(v.Facts, fact{Label: r.say("resident." + f.Words + ".what"), Change: r.at("/" + f.Path)})
		}
	}
	return s.show(r, http.StatusOK, "details", view{Title: detailsTitle(r), Data: v})
}

// since says since when a fact holds, or from which day to come.
func (s *server) since(r *request, effective string) string {
	if effective > s.Journal.DayOf(s.Clock()).Date.String() {
		return r.say("details.from", "Date", r.words.date(effective))
	}
	return r.say("details.since", "Date", r.words.date(effective))
}

// phone writes a Canadian E.164 number as people do, 613-555-0123; others stay as they are.
func phone(number string) string {
	if len(number) == 12 && number[:2] == "+1" {
		return number[2:5] + "-" + number[5:8] + "-" + number[8:]
	}
	return number
}

func (s *server) typeLabel(w *words, eventType string) string {
	if row, ok := s.Journal.Registry().Row(eventType); ok {
		return w.in(row.Label)
	}
	return eventType
}

func (s *server) seen(r *request, seen *projection.Seen) seenLine {
	line := seenLine{At: seen.At}
	if look := seen.Access; look != nil {
		line.Who, line.What, line.Why, line.Typed = r.say(lookerKey(look.Actor)), r.say(lookedKey(look)), look.Reason, true
		if look.Case != "" {
			line.Basis = r.say("seen.case", "Case", look.Case)
		}
		if look.HiddenUntil != "" {
			line.Basis, line.Law = r.say("seen.hidden", "Case", look.Case, "Date", r.words.date(look.HiddenUntil)), look.HiddenWhy
		}
		return line
	}
	line.Who, line.Why = s.organisation(r.words, &seen.Law), r.words.in(seen.Law.Purpose)
	if key, ok := seenKeys[seen.Given.Item.Kind]; ok {
		line.What = r.say(key)
	} else {
		fields := r.words.list(inSentence(s.labels(r, seen.Type, seen.Fields)))
		line.What = r.say("seen.got", "What", s.typeLabel(r.words, seen.Type), "Fields", fields)
	}
	switch seen.Law.Basis.Kind {
	case consent.BasisStatute:
		line.Basis, line.Law = r.say("seen.statute"), seen.Law.Basis.Reference
	case consent.BasisConsent:
		line.Basis = r.say("seen.consent")
	}
	return line
}

// seenKeys are what a ministry was told without values, by the kind of item.
var seenKeys = map[string]string{
	"retracted": "seen.retracted", "ended": "seen.ended", "left-scope": "seen.left-scope", "erased": "seen.erased", "rekeyed": "seen.rekeyed",
}

// lookedKey says what somebody in office looked at.
func lookedKey(look *projection.Access) string {
	switch {
	case look.Refused:
		return "seen.refused"
	case look.Kind == audit.KindDetails:
		return "seen.details"
	}
	return "seen.look"
}

// lookerKey names who may look, by the kind of their role.
func lookerKey(kind journal.ActorKind) string {
	switch kind {
	case journal.ActorOfficer:
		return "looker.officer"
	case journal.ActorAuditor:
		return "looker.auditor"
	case journal.ActorProtector:
		return "looker.protector"
	case journal.ActorClerk:
		return "looker.clerk"
	case journal.ActorRegistrar:
		return "looker.registrar"
	case journal.ActorHub, journal.ActorResident, journal.ActorMinistry, journal.ActorOperator, journal.ActorSource:
	}
	return "looker.operator"
}

// answer is one organisation's line on a receipt.
type answer struct {
	Name   string
	Fields []string
	Tag    string // text of the status tag
	Tone   string // good, waiting, bad or none
	At     time.Time
	Note   string
	Quote  string // the ministry's own words
}

func (s *server) outcome(r *request, change citizen.Change, o *projection.Outcome) answer {
	a := answer{Name: s.organisation(r.words, &o.Agreement), Fields: inSentence(s.labels(r, change.Type, o.Fields))}
	switch {
	case o.Reason != consent.None:
		a.Tag, a.Tone, a.Note = r.say("status.not-told"), "none", whyNot(r, &o.Agreement, change.Type, o.Reason)
	case o.Given == nil:
		a.Tag, a.Tone = r.say("status.on-its-way"), "waiting"
		if o.Agreement.Deliver == consent.DeliverEffective {
			a.Note = r.say("receipt.on-the-day", "Date", r.words.date(change.Effective))
		}
	default:
		a.Tag, a.Tone, a.At = r.say(statusKeys[o.Given.Status]), statusTones[o.Given.Status], o.Given.At
		if !o.Given.StatusAt.IsZero() {
			a.At = o.Given.StatusAt
		}
		switch {
		case o.Given.Status == journal.StatusSent:
			a.Note = r.say("receipt.no-answer-yet")
		case o.Refusal != "":
			a.Note, a.Quote = r.say("receipt.they-wrote"), o.Refusal
		}
	}
	return a
}

// statusKeys and statusTones are how far a fact is that was given a number.
var (
	statusKeys = map[journal.Status]string{
		journal.StatusSent: "status.sent", journal.StatusReceived: "status.received", journal.StatusApplied: "status.applied",
		journal.StatusRejected: "status.rejected", journal.StatusRecalled: "status.recalled",
	}
	statusTones = map[journal.Status]string{
		journal.StatusSent: "waiting", journal.StatusReceived: "good", journal.StatusApplied: "good", journal.StatusRejected: "bad",
		journal.StatusRecalled: "none",
	}
)
