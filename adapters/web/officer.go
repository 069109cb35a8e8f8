package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// lookView is the officer's question.
type lookView struct{ Reason, Case, Receipt, Person string }

// The bounds of the officer's fields, in code points.
const (
	maxReason = 500
	maxCase   = 64
)

func (s *server) lookForm(r *request) error {
	return s.showLook(r, http.StatusOK, lookView{}, nil)
}

func (s *server) showLook(r *request, status int, v lookView, problems []problem) error {
	return s.show(r, status, "look-form", view{Title: r.say("look.title"), Problems: problems, Data: v})
}

// lookPost asks: the reason goes to the log before the answer is shown, also where there is nothing to show.
func (s *server) lookPost(r *request) error {
	v := lookView{Reason: r.form("reason"), Case: r.form("case"), Receipt: r.form("receipt"), Person: r.form("person")}
	if problems := checkLook(r, v); len(problems) > 0 {
		return s.showLook(r, http.StatusUnprocessableEntity, v, problems)
	}
	number := receiptNumber(v.Receipt)
	look := audit.Look{Reason: v.Reason, Case: v.Case, Kind: audit.KindSearch, Shown: shownAll}
	who := audit.Who{Receipt: number, Sources: s.Sources, Reference: v.Person}
	switch {
	case number != "":
		look.Shown = shownReceipt + number
	case r.actor.Source != "":
		who.Sources = append([]string{r.actor.Source}, s.Sources...)
	}
	session, err := s.Audit.OpenPerson(r.Context(), r.actor, issuer, look, who)
	if errors.Is(err, audit.ErrNotFound) {
		field := "receipt"
		if number == "" {
			field = "person"
		}
		return s.showLook(r, http.StatusUnprocessableEntity, v, []problem{{Field: field, Text: r.say("error." + field + ".unknown")}})
	}
	if err != nil {
		return err
	}
	session.Postpone()
	return r.redirect("/looks/" + strconv.FormatInt(session.Position, 10))
}

// What a look shows, as it stands on the log.
const (
	shownAll     = "all changes"
	shownReceipt = "receipt "
)

func checkLook(r *request, v lookView) []problem {
	var out []problem
	switch n := utf8.RuneCountInString(v.Reason); {
	case n == 0:
		out = append(out, problem{"reason", r.say("error.reason.required")})
	case n > maxReason:
		out = append(out, problem{"reason", r.say("error.reason.long")})
	}
	if utf8.RuneCountInString(v.Case) > maxCase {
		out = append(out, problem{"case", r.say("error.case.long")})
	}
	switch {
	case v.Receipt == "" && v.Person == "":
		out = append(out, problem{"receipt", r.say("error.receipt.required")})
	case v.Receipt != "" && v.Person != "":
		out = append(out, problem{"receipt", r.say("error.receipt.both")})
	}
	return out
}

// receiptNumber takes a receipt number as people type it: spaces and hyphens, any case, and the letters that Crockford's alphabet reads
// as digits.
func receiptNumber(text string) string {
	return strings.NewReplacer(" ", "", "-", "", noBreak, "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
}

// decisionCard is why one agreement got a fact, or did not.
type decisionCard struct {
	Name      string
	Agreement string // id and version
	Sentence  string
	Shared    bool
	Fields    []string
	Law       string
	Grant     string // position of the grant
	Cursor    string
	GivenAt   time.Time
	Tag, Tone string
	AnswerAt  time.Time
}

type changeCard struct {
	What, Receipt, Channel, Effective string
	Position                          string
	At                                time.Time
	Cards                             []decisionCard
}

type timelineView struct {
	Position string
	Reason   string
	Case     string
	One      bool // a single change, looked up by its receipt
	Changes  []changeCard
}

// lookPage shows what a look lets see, for a while, to the officer who gave the reason. Each showing is on the log.
func (s *server) lookPage(r *request) error {
	position, err := strconv.ParseInt(r.PathValue("position"), 10, 64)
	if err != nil {
		return errNoPage
	}
	session, err := s.Audit.Reopen(r.Context(), r.actor, issuer, position)
	if err != nil {
		return err
	}
	changes, err := session.Timeline(r.Context())
	if err != nil {
		return err
	}
	look := session.Look()
	receipt, one := strings.CutPrefix(look.Shown, shownReceipt)
	v := timelineView{Position: r.words.number(int(session.Position)), Reason: look.Reason, Case: look.Case, One: one}
	for i := range changes {
		if one && changes[i].Receipt != receipt {
			continue
		}
		v.Changes = append(v.Changes, s.changeCard(r, &changes[i]))
	}
	return s.show(r, http.StatusOK, "look", view{Title: r.say("timeline.title"), Back: "/" + r.lang() + "/looks", Data: v})
}

func (s *server) changeCard(r *request, c *audit.Change) changeCard {
	card := changeCard{
		What: s.toldLabel(r.words, c.Told, c.Type), Receipt: c.Receipt, At: c.RecordedAt, Effective: c.Effective,
		Position: r.words.number(int(c.Position)), Channel: r.say(channelKey(c.Channel)),
	}
	for i := range c.Decisions {
		card.Cards = append(card.Cards, s.decisionCard(r, c.Type, &c.Decisions[i]))
	}
	return card
}

func (s *server) decisionCard(r *request, eventType string, why *audit.Why) decisionCard {
	a := &why.Agreement
	fields := s.labels(r, eventType, why.Line.Fields)
	card := decisionCard{
		Name: s.organisation(r.words, a), Agreement: a.ID + "@" + strconv.Itoa(a.Version), Shared: why.Reason == consent.None, Fields: fields,
		Sentence: consent.Explain(a, eventType, why.Reason, inSentence(fields), r.lang()), Law: a.Basis.Reference,
	}
	if why.Grant != 0 {
		card.Grant = r.words.number(int(why.Grant))
	}
	switch given := why.Given; {
	case given != nil:
		cursor := delivery.Cursor{Generation: s.Journal.Genesis().Generation, Lane: given.Lane, Number: given.Number}
		card.Cursor, card.GivenAt, card.AnswerAt = cursor.String(), given.At, given.StatusAt
		card.Tag, card.Tone = r.say(statusKeys[given.Status]), statusTones[given.Status]
	case card.Shared:
		card.Tag, card.Tone = r.say("status.on-its-way"), "waiting"
	default:
		card.Tag, card.Tone = r.say("status.withheld"), "none"
	}
	return card
}

func channelKey(channel journal.Channel) string {
	switch channel {
	case journal.ChannelWeb:
		return "channel.web"
	case journal.ChannelPhone:
		return "channel.phone"
	case journal.ChannelCounter:
		return "channel.counter"
	case journal.ChannelPost:
		return "channel.post"
	case journal.ChannelNone:
	}
	return "channel.none"
}
