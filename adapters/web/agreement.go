package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/schemas"
)

// agreementLine is one version in the list.
type agreementLine struct {
	Name, Path, ID string
	Version        int
	Tag, Tone      string
	From, Until    string // civil dates; empty: open
	Waiting        bool
}

type agreementsView struct{ Waiting, All []agreementLine }

// agreementsPage lists every version of every agreement: what waits for an approval first.
func (s *server) agreementsPage(r *request) error {
	versions, err := s.Command.AgreementVersions(r.Context())
	if err != nil {
		return err
	}
	var v agreementsView
	for i := range versions {
		line := s.agreementLine(r, &versions[i])
		v.All = append(v.All, line)
		if line.Waiting {
			v.Waiting = append(v.Waiting, line)
		}
	}
	return s.show(r, http.StatusOK, "agreements", view{Title: r.say("agreements.title"), Back: "/" + r.lang() + "/looks", Data: v})
}

func (s *server) agreementLine(r *request, v *command.AgreementVersion) agreementLine {
	a := &v.Agreement
	line := agreementLine{
		Name: s.organisation(r.words, a), Path: "/" + r.lang() + agreementPath(a), ID: a.ID, Version: a.Version, From: a.ValidFrom.String(),
		Until: a.ValidUntil.String(), Tag: r.say("agreements.state." + string(v.State)), Tone: "none", Waiting: v.State == consent.StateProposed,
	}
	switch v.State {
	case consent.StateProposed:
		line.Tone = "waiting"
	case consent.StateApproved:
		line.Tone = "good"
	case consent.StateReplaced, consent.StateEnded:
	}
	return line
}

func agreementPath(a *consent.Agreement) string {
	return "/agreements/" + url.PathEscape(a.ID) + "/" + strconv.Itoa(a.Version)
}

// agreementView is one version, with what an officer may do with it.
type agreementView struct {
	agreementLine
	Purpose, Basis, Law, Ministry, Stream string
	ProposedAt, ApprovedAt, EndedAt       time.Time
	EndedOn                               string
	Rules                                 []string
	Whys                                  []whyLine // why its ministry needs each field, where it proposed it itself
	Former                                int       // the version that it replaced, or would replace; 0: none
	Changes                               []string
	AsksAnew, Narrower                    bool
	AtOnce                                []string // what is wider, and yet asks nobody who agreed to the former version
	Gap                                   string   // nothing is shared until this day, if it is approved
	Mine                                  bool     // the reader can't be told from the proposer
	InForce                               bool
	Command                               string // of the forms
	Notice                                string
	Run                                   *dryRunView
	RunNote                               string
}

// version is the version that the path names.
func (s *server) version(r *request) (command.AgreementVersion, error) {
	number, err := strconv.Atoi(r.PathValue("version"))
	if err != nil || strconv.Itoa(number) != r.PathValue("version") {
		return command.AgreementVersion{}, errNoPage
	}
	v, err := s.Command.AgreementVersion(r.Context(), r.PathValue("agreement"), number)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return v, errNoPage
	}
	return v, err
}

func (s *server) agreementPage(r *request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	page := s.agreementView(r, &v)
	if done := r.URL.Query().Get("done"); contains([]string{"proposed", "approved", "ended"}, done) {
		page.Notice = r.say("agreement.done." + done)
	}
	return s.showAgreement(r, http.StatusOK, page, nil)
}

func (s *server) showAgreement(r *request, status int, v agreementView, problems []problem) error {
	title := r.say("agreement.title", "Name", v.Name, "Version", v.Version)
	return s.show(r, status, "agreement", view{Title: title, Back: "/" + r.lang() + "/agreements", Problems: problems, Data: v})
}

func (s *server) agreementView(r *request, v *command.AgreementVersion) agreementView {
	a, labels := &v.Agreement, s.sentenceLabels(r.words)
	page := agreementView{
		agreementLine: s.agreementLine(r, v), Purpose: r.words.in(a.Purpose), Ministry: a.Ministry, Stream: a.Stream,
		Basis: r.say("agreement.basis." + a.Basis.Kind), Law: a.Basis.Reference, Rules: a.Aloud(r.lang(), labels),
		ProposedAt: v.ProposedAt, ApprovedAt: v.ApprovedAt, EndedAt: v.EndedAt, EndedOn: v.EndedOn.String(),
		Mine: s.Command.SamePerson(v, r.actor), InForce: v.State == consent.StateApproved, Command: newCommand(),
	}
	for _, reason := range v.Reasons {
		what, names := s.Command.Labels(r.lang())(reason.Event, []string{reason.Field})
		page.Whys = append(page.Whys, whyLine{Field: what + " – " + names[0], Reason: reason.Reason})
	}
	if v.Former == nil {
		return page
	}
	d := v.Difference()
	page.Former, page.Changes, page.AsksAnew, page.Narrower = v.Former.Version, d.Sentences(r.lang(), labels), v.AsksAnew(), d.Narrower()
	if v.ByConsent() {
		page.AtOnce = d.Unasked().Sentences(r.lang(), labels)
	}
	if today := s.Journal.DayOf(s.Clock()).Date; page.Waiting && a.ValidFrom > today {
		page.Gap = a.ValidFrom.String()
	}
	return page
}

// sentenceLabels are labels as they stand within a sentence.
func (s *server) sentenceLabels(w *words) consent.Labels {
	labels := s.Command.Labels(w.lang)
	return func(event string, fields []string) (string, []string) {
		event, fields = labels(event, fields)
		return event, inSentence(fields)
	}
}

// agreementPost does what one of the page's forms asks.
func (s *server) agreementPost(r *request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	page := s.agreementView(r, &v)
	do := r.form("do")
	switch {
	case do == "dry-run" && page.Waiting:
		if err := s.dryRun(r, &v.Agreement, &page); err != nil {
			return err
		}
		return s.showAgreement(r, http.StatusOK, page, nil)
	case do != "approve" && do != "end":
		return errForm
	case r.form("confirm") != do:
		return s.showAgreement(r, http.StatusUnprocessableEntity, page, []problem{{"confirm-" + do, r.say("error.confirm." + do)}})
	}
	c, err := s.officerCommand(r, do+" "+v.Agreement.ID+"@"+strconv.Itoa(v.Agreement.Version))
	if err != nil {
		return err
	}
	done := "ended"
	if do == "approve" {
		done = "approved"
		var replaces int
		if replaces, err = strconv.Atoi(r.form("replaces")); err != nil {
			return errForm
		}
		approval := command.Approval{ID: v.Agreement.ID, Version: v.Agreement.Version, Replaces: &replaces}
		_, err = s.Command.ApproveAgreement(r.Context(), c, approval)
	} else {
		_, err = s.Command.EndAgreement(r.Context(), c, v.Agreement.ID, "")
	}
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return s.showAgreement(r, http.StatusUnprocessableEntity, page, []problem{{Text: rejection.Sentence(r.lang())}})
	}
	if err != nil {
		return err
	}
	return r.redirect(agreementPath(&v.Agreement) + "?done=" + done)
}

// officerCommand is the command of an officer's form, under the id that the form brought: sent twice, it counts once.
func (s *server) officerCommand(r *request, content string) (command.Command, error) {
	id, err := uuid.Parse(r.form("command"))
	if err != nil {
		return command.Command{}, errForm
	}
	return command.Command{
		ID: id.String(), Scope: "pages/officer/" + r.actor.ID, Content: []byte(content), Actor: r.actor, Issuer: issuer,
	}, nil
}

type proposeView struct {
	Document, Command string
	Faults            []string // of the document, in English, each with its place
}

func (s *server) proposePage(r *request) error {
	return s.showPropose(r, http.StatusOK, proposeView{Command: newCommand()}, nil)
}

func (s *server) showPropose(r *request, status int, v proposeView, problems []problem) error {
	return s.show(r, status, "propose", view{Title: r.say("propose.title"), Back: "/" + r.lang() + "/agreements", Problems: problems, Data: v})
}

// proposePost reads an agreement as authors write it. A new attempt is a new command: another text under the old id would be refused.
func (s *server) proposePost(r *request) error {
	v := proposeView{Document: strings.ReplaceAll(r.PostForm.Get("document"), "\r\n", "\n"), Command: newCommand()}
	refuse := func(text string) error {
		return s.showPropose(r, http.StatusUnprocessableEntity, v, []problem{{"document", text}})
	}
	if strings.TrimSpace(v.Document) == "" {
		return refuse(r.say("error.document.required"))
	}
	a, err := schemas.ParseAgreement("", []byte(v.Document), s.Journal.Registry())
	if err != nil {
		for _, fault := range strings.Split(err.Error(), "\n") {
			v.Faults = append(v.Faults, strings.TrimLeft(fault, ": "))
		}
		return refuse(r.say("error.document.faults", "Count", len(v.Faults)))
	}
	c, err := s.officerCommand(r, "propose "+string(schemas.MarshalDocument(a)))
	if err != nil {
		return err
	}
	_, err = s.Command.ProposeAgreements(r.Context(), c, a)
	var rejection *citizen.Rejection
	switch {
	case errors.As(err, &rejection):
		return refuse(rejection.Sentence(r.lang()))
	case errors.Is(err, command.ErrOtherContent):
		return refuse(r.say("error.document.other"))
	case err != nil:
		return err
	}
	return r.redirect(agreementPath(&a) + "?done=proposed")
}
