package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/projection"
)

// consentLine is one agreement by consent, as a resident decides about it.
type consentLine struct {
	ID, Name, Purpose string
	Version           int // the newest: what one agrees to now
	Granted           bool
	Tag, Tone         string
	Gets              []string // what is shared of whom agreed, or would be, a sentence for each kind of change
	Asks              []string // what a newer version asks for beyond what was agreed to
	Command           string
}

type consentsView struct {
	Lines  []consentLine
	Notice string
	Acting actingView
}

// consentsPage lists what a resident may agree to, and what they agreed to. A wider version of an agreement asks anew, here.
func (s *server) consentsPage(r *request) error {
	notice := ""
	if done := r.URL.Query().Get("done"); contains([]string{"agreed", "stopped", "ended"}, done) {
		notice = r.say("consents.done." + done)
	}
	return s.showConsents(r, http.StatusOK, notice, nil)
}

func (s *server) showConsents(r *request, status int, notice string, problems []problem) error {
	list, err := s.Projection.Consents(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	v := consentsView{Notice: notice}
	if v.Acting, err = s.acting(r); err != nil {
		return err
	}
	for i := range list {
		v.Lines = append(v.Lines, s.consentLine(r, &list[i]))
	}
	return s.show(r, status, "consents", view{Title: r.say("consents.title"), Back: "/" + r.lang() + "/me", Problems: problems, Data: v})
}

func (s *server) consentLine(r *request, c *projection.Consent) consentLine {
	labels := s.sentenceLabels(r.words)
	line := consentLine{
		ID: c.Agreement.ID, Name: s.organisation(r.words, &c.Agreement), Purpose: r.words.in(c.Agreement.Purpose), Version: c.Agreement.Version,
		Granted: c.Granted, Tag: r.say("consents.not-agreed"), Tone: "none", Asks: c.Asks.Sentences(r.lang(), labels), Command: newCommand(),
	}
	shown := c.Agreement
	if c.Granted {
		line.Tag, line.Tone = r.say("consents.agreed"), "good"
		shown.Shares = granted(c)
	}
	line.Gets = shown.Aloud(r.lang(), labels)[:len(shown.Shares)]
	return line
}

// granted are the shares of an agreement cut down to what was agreed to.
func granted(c *projection.Consent) []consent.Share {
	var out []consent.Share
	for _, share := range c.Agreement.Shares {
		var fields []string
		for _, f := range share.Fields {
			if contains(c.Fields, f) && !asks(c, share.Event, f) {
				fields = append(fields, f)
			}
		}
		if share.Fields = fields; len(fields) > 0 {
			out = append(out, share)
		}
	}
	return out
}

func asks(c *projection.Consent, event, field string) bool {
	for _, change := range c.Asks.Changes {
		if change.Event == event && contains(change.Gained, field) {
			return true
		}
	}
	return false
}

// consentsPost agrees to the version that the page showed, or stops; or ends who acts for the resident.
func (s *server) consentsPost(r *request) error {
	id, do, agreement := r.form("command"), r.form("do"), r.form("agreement")
	if do == "end-proxy" {
		return s.proxyPost(r)
	}
	if _, err := uuid.Parse(id); err != nil || (do != "agree" && do != "stop") {
		return errForm
	}
	c := command.Command{
		ID: id, Scope: "pages/" + r.actor.Citizen.String(), Content: []byte(do + " " + agreement + "@" + r.form("version")), Actor: r.actor,
		Issuer: issuer, Channel: channel, ToldAt: s.Clock().UTC(),
	}
	done := "agreed"
	var err error
	if do == "agree" {
		err = s.agree(r, c, agreement)
	} else {
		done = "stopped"
		_, err = s.Command.Withdraw(r.Context(), c, r.citizen(), agreement)
	}
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return s.showConsents(r, http.StatusUnprocessableEntity, "", []problem{{Text: rejection.Sentence(r.lang())}})
	}
	if err != nil {
		return err
	}
	return r.redirect("/consents?done=" + done)
}

// agree grants what the page named. The grant lists the fields: should a wider version be approved at this very moment, it covers no more.
func (s *server) agree(r *request, c command.Command, agreement string) error {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	a, ok := law.Book.Find(agreement)
	if !ok {
		return citizen.Reject(citizen.CodeUnknownAgreement)
	}
	if strconv.Itoa(a.Version) != r.form("version") {
		return citizen.Reject(citizen.CodeStalePreview)
	}
	_, err = s.Command.Grant(r.Context(), c, r.citizen(), command.Choice{Agreement: agreement, Fields: projection.AllFields(a), Language: r.lang()})
	return err
}

// asked says whether a newer version of an agreement asks the resident for more than they agreed to.
func (s *server) asked(r *request) (bool, error) {
	list, err := s.Projection.Consents(r.Context(), r.citizen())
	return slices.ContainsFunc(list, func(c projection.Consent) bool { return c.Granted && len(c.Asks.Changes) > 0 }), err
}
