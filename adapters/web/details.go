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
}

// latest bounds the lists of a page.
const latest = 50

// details is the resident's first page: what the hub holds, what they told, and who saw it.
func (s *server) details(r *request) error {
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
	for _, c := range changes[:min(len(changes), latest)] {
		line := toldLine{What: s.toldLabel(r.words, c.Type, c.Change.Type), At: c.RecordedAt, Receipt: c.Receipt}
		if n := len(c.Since); n > 0 {
			line.Note = s.mention(r, &c.Since[n-1])
		}
		v.Told = append(v.Told, line)
	}
	for i := range seen[:min(len(seen), latest)] {
		v.Seen = append(v.Seen, s.seen(r, &seen[i]))
	}
	return s.show(r, http.StatusOK, "details", view{Title: r.say("details.title"), Data: v})
}

func (s *server) facts(r *request, profile *citizen.Profile) []fact {
	text := func(f citizen.Fact, name string) string { t, _ := f.Data[name].(string); return t }
	registered, _ := profile.Latest(citizen.PersonRegistered, "")
	latest := func(eventType, key string) (citizen.Fact, bool) {
		if f, ok := profile.Latest(eventType, key); ok || (eventType != citizen.NameChanged && eventType != citizen.LanguageChanged) {
			return f, ok
		}
		return registered, true // a name and a language are told with the registration
	}
	var out []fact
	// add shows what holds and, under the same label, what is announced.
	add := func(label, eventType, key, change string, lines func(citizen.Fact) []string) {
		f := fact{Label: label, Change: change}
		held, ok := latest(eventType, key)
		if ok {
			f.Lines, f.Since = lines(held), s.since(r, held.Effective)
		}
		if ok || change != "" {
			out = append(out, f)
		}
		for _, next := range profile.Announced {
			if next.Type == eventType && next.Key == key && next.Position != held.Position {
				out = append(out, fact{Label: label, Lines: lines(next), Since: s.since(r, next.Effective)})
			}
		}
	}
	add(r.say("details.name"), "name-changed", "", "", func(f citizen.Fact) []string { return nonEmpty(text(f, "given_names") + " " + text(f, "family_name")) })
	out = append(out, fact{Label: r.say("details.born"), Lines: nonEmpty(r.words.date(text(registered, "birth_date")))})
	for _, kind := range []string{consent.AddressHome, consent.AddressMailing} {
		add(r.say("addresses."+kind), addressChanged, kind, "/"+r.lang()+"/address/"+kind, func(f citizen.Fact) []string { return r.words.addressLines(f.Data) })
	}
	add(r.say("details.contact"), "contact-changed", "", "", func(f citizen.Fact) []string { return nonEmpty(text(f, "email"), phone(text(f, "phone"))) })
	add(r.say("details.marital"), "marital-status-changed", "", "", func(f citizen.Fact) []string { return nonEmpty(r.say("marital." + text(f, "status"))) })
	add(r.say("details.language"), "language-changed", "", "", func(f citizen.Fact) []string {
		if text(f, "language") == "" { // erased
			return nil
		}
		return nonEmpty(r.say("language." + text(f, "language")))
	})
	add(r.say("details.notices"), citizen.NoticePreference, "", "", func(f citizen.Fact) []string { return nonEmpty(r.say("notices." + text(f, "channel"))) })
	return out
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
