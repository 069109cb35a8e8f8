package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// stepView is one step of a draft.
type stepView struct {
	Step     string
	Number   int
	ID       string
	Draft    agreementDraft
	Fields   []textField // of the steps about and why, with the law of basis
	Groups   []fieldGroup
	Basis    []choiceLine
	People   []choiceLine
	Ways     []choiceLine
	Command  string
	Check    draftReading
	Example  string // a stream of the ministry's own, to try things on; empty for none
	Document string // as an operator would propose it
}

// fieldGroup is what an event type can share.
type fieldGroup struct {
	Event, Label string
	Fields       []choiceLine
}

type choiceLine struct {
	ID, Value, Label, Hint string
	Chosen                 bool
}

// draftReading is how an agreement will be read by residents, in each language, and by an officer.
type draftReading struct {
	Readings []reading
	Whys     []whyLine
	ID       string
	Stream   string
}

// reading is an agreement in one language.
type reading struct {
	Lang, Title, Purpose string
	Rules                []string
}

type whyLine struct{ Field, Reason string }

// draftPage is a step of a draft. The last one is reached once all before are right.
func (s *server) draftPage(r *request) error {
	id, d, err := s.readDraft(r)
	if err != nil {
		return err
	}
	step := r.PathValue("step")
	if d.Submitted > 0 {
		return s.showSubmitted(r, &d)
	}
	if step == stepCheck {
		for _, before := range draftSteps[:len(draftSteps)-1] {
			if len(draftProblems(r, before, &d)) > 0 {
				return r.redirect(draftPath(id, before))
			}
		}
	}
	var problems []problem
	if contains(d.Posted, step) {
		problems = draftProblems(r, step, &d)
	}
	return s.showStep(r, http.StatusOK, id, step, d, problems)
}

// draftPost takes a step. What is wrong is said at once; the draft is kept all the same.
func (s *server) draftPost(r *request) error {
	id, d, err := s.readDraft(r)
	if err != nil {
		return err
	}
	step := r.PathValue("step")
	switch do := r.form("do"); {
	case do == "drop":
		if err := s.Command.KeepDraft(r.Context(), r.actor.Ministry, id, nil); err != nil {
			return err
		}
		return r.redirect("/drafts")
	case d.Submitted > 0:
		return r.redirect(draftPath(id, stepCheck))
	case step == stepCheck:
		return s.submitDraft(r, id, d)
	}
	d.fill(r, step, s.shareable())
	problems := draftProblems(r, step, &d)
	if err := s.keepDraft(r, id, &d); errors.Is(err, command.ErrDraft) {
		problems = append(problems, problem{"", r.say("ministry.draft.long")})
	} else if err != nil {
		return err
	}
	switch {
	case len(problems) > 0:
		return s.showStep(r, http.StatusUnprocessableEntity, id, step, d, problems)
	case r.form("do") == "later":
		return r.redirect("/drafts")
	}
	return r.redirect(draftPath(id, nextStep(step)))
}

// submitDraft proposes the agreement: from then on an officer sees it, and decides.
func (s *server) submitDraft(r *request, id string, d agreementDraft) error {
	for _, before := range draftSteps[:len(draftSteps)-1] {
		if len(draftProblems(r, before, &d)) > 0 {
			return r.redirect(draftPath(id, before))
		}
	}
	refuse := func(text string) error {
		return s.showStep(r, http.StatusUnprocessableEntity, id, stepCheck, d, []problem{{"", text}})
	}
	if d.Way = r.form("way"); !contains(ways, d.Way) {
		return s.showStep(r, http.StatusUnprocessableEntity, id, stepCheck, d, []problem{{"way", r.say("ministry.draft.error.way")}})
	}
	a := s.draftAgreement(r.actor.Ministry, &d)
	var err error
	if a.Version, err = s.Command.NextVersion(r.Context(), a.ID); err != nil {
		return err
	}
	if _, err := schemas.ParseAgreement("", schemas.MarshalDocument(a), s.Journal.Registry()); err != nil { // JSON is YAML, too
		return refuse(r.say("ministry.draft.refused"))
	}
	commandID, err := ministryCommand(r, "submit "+id+" "+string(schemas.MarshalDocument(a)))
	if err != nil {
		return err
	}
	c := command.Command{ID: commandID.ID, Scope: commandID.Issuer, Content: commandID.Content, Actor: r.actor, Issuer: issuer}
	var reasons []journal.FieldReason
	for _, field := range d.Fields {
		event, name, _ := strings.Cut(field, " ")
		reasons = append(reasons, journal.FieldReason{Event: event, Field: name, Reason: d.Why[field]})
	}
	err = s.Command.SubmitAgreement(r.Context(), c, a, reasons)
	var rejection *citizen.Rejection
	switch {
	case errors.As(err, &rejection):
		return refuse(rejection.Sentence(r.lang()))
	case errors.Is(err, command.ErrManyProposals):
		return refuse(r.say("ministry.draft.many"))
	case errors.Is(err, command.ErrOtherContent), errors.Is(err, command.ErrForbidden):
		return refuse(r.say("ministry.draft.refused"))
	case err != nil:
		return err
	}
	// If the process dies here the proposal stands, and the draft is a draft still: sent again, it is the same command.
	d.Submitted = a.Version
	if err := s.keepDraft(r, id, &d); err != nil {
		return err
	}
	return r.redirect(draftPath(id, stepCheck))
}

func (s *server) showStep(r *request, status int, id, step string, d agreementDraft, problems []problem) error {
	v := stepView{Step: step, ID: id, Draft: d, Command: newCommand()}
	page := view{Title: r.say("ministry.draft." + step + ".title"), Back: "/" + r.lang() + "/drafts", Problems: problems}
	for i, one := range draftSteps {
		if one == step {
			if v.Number = i + 1; i > 0 {
				page.Back = "/" + r.lang() + draftPath(id, draftSteps[i-1])
			}
		}
	}
	text := func(id, label, hint, value, size string) textField {
		return textField{ID: id, Label: label, Hint: hint, Value: value, Size: size, Error: page.Of(id), Max: maxWhy}
	}
	labels := s.Command.Labels(r.lang())
	switch step {
	case stepAbout:
		for _, f := range []struct{ id, value string }{
			{"title_en", d.TitleEN}, {"title_fr", d.TitleFR}, {"purpose_en", d.PurposeEN}, {"purpose_fr", d.PurposeFR},
		} {
			v.Fields = append(v.Fields, text(f.id, r.say("ministry.draft.field."+f.id), r.say("ministry.draft.hint."+f.id), f.value, "wide"))
		}
		v.Fields = append(v.Fields, text("name", r.say("ministry.draft.field.name"), r.say("ministry.draft.name-hint", "Ministry", r.actor.Ministry), d.Name, "medium"))
	case stepFields:
		v.Groups = s.fieldGroups(labels, &d)
	case stepWhy:
		for _, field := range d.Fields {
			event, name, _ := strings.Cut(field, " ")
			what, names := labels(event, []string{name})
			v.Fields = append(v.Fields, text(whyID(field), what+" – "+names[0], "", d.Why[field], "wide"))
		}
	case stepBasis:
		v.Fields = []textField{text("law", r.say("ministry.draft.field.law"), r.say("ministry.draft.hint.law"), d.Law, "wide")}
		v.Fields[0].Optional = true
		for _, kind := range []string{consent.BasisConsent, consent.BasisStatute} {
			v.Basis = append(v.Basis, choiceLine{Value: kind, Label: r.say("ministry.draft.basis." + kind), Chosen: d.Basis == kind})
		}
		for _, kind := range []string{consent.PopulationLinked, consent.PopulationAll} {
			v.People = append(v.People, choiceLine{Value: kind, Label: r.say("ministry.draft.population." + kind), Chosen: d.Population == kind})
		}
	case stepCheck:
		a := s.draftAgreement(r.actor.Ministry, &d)
		v.Check, v.Document = s.checkAgreement(&a, &d, labels), indented(schemas.MarshalDocument(a))
		for _, way := range ways {
			v.Ways = append(v.Ways, choiceLine{Value: way, Label: r.say("ministry.way." + way), Hint: r.say("ministry.way-text." + way), Chosen: d.Way == way})
		}
		var err error
		if v.Example, err = s.someStream(r); err != nil {
			return err
		}
	}
	page.Data = v
	return s.show(r, status, "ministry-draft", page)
}

// fieldGroups are what can be shared, by event type.
func (s *server) fieldGroups(labels consent.Labels, d *agreementDraft) (out []fieldGroup) {
	for _, row := range s.Journal.Registry().Rows() {
		if !row.Fact || len(row.Fields) == 0 {
			continue
		}
		what, names := labels(row.Type, row.FieldNames())
		group := fieldGroup{Event: row.Type, Label: what}
		for i, name := range row.FieldNames() {
			group.Fields = append(group.Fields, choiceLine{
				ID: "field-" + row.Type + "-" + name, Value: name, Label: names[i], Chosen: d.has(row.Type, name),
			})
		}
		out = append(out, group)
	}
	return out
}

// checkAgreement reads an agreement aloud in both languages.
func (s *server) checkAgreement(a *consent.Agreement, d *agreementDraft, labels consent.Labels) draftReading {
	v := draftReading{ID: a.ID, Stream: a.Stream}
	for _, lang := range languages {
		w := s.pages[lang].words
		v.Readings = append(v.Readings, reading{Lang: lang, Title: w.in(a.Title), Purpose: w.in(a.Purpose), Rules: a.Aloud(lang, s.sentenceLabels(w))})
	}
	for _, field := range d.Fields {
		event, name, _ := strings.Cut(field, " ")
		what, names := labels(event, []string{name})
		v.Whys = append(v.Whys, whyLine{Field: what + " – " + names[0], Reason: d.Why[field]})
	}
	return v
}

// someStream is a stream that the ministry has already; empty for none.
func (s *server) someStream(r *request) (string, error) {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return "", err
	}
	first := ""
	for name, stream := range law.Streams {
		if stream.Ministry == r.actor.Ministry && (first == "" || name < first) {
			first = name
		}
	}
	return first, nil
}

// submittedView is how a proposal stands.
type submittedView struct {
	Name, Tag, Tone string
	ID, Stream, Way string
	Version         int
	InForce         bool
	Example         string
}

// showSubmitted says how the proposal stands, and what comes next.
func (s *server) showSubmitted(r *request, d *agreementDraft) error {
	a := s.draftAgreement(r.actor.Ministry, d)
	version, err := s.Command.AgreementVersion(r.Context(), a.ID, d.Submitted)
	if err != nil {
		return err
	}
	line := s.agreementLine(r, &version)
	v := submittedView{
		Name: d.title(r.words), Tag: line.Tag, Tone: line.Tone, ID: a.ID, Stream: a.Stream, Way: d.Way, Version: d.Submitted,
		InForce: version.State == consent.StateApproved,
	}
	if v.Example, err = s.someStream(r); err != nil {
		return err
	}
	return s.show(r, http.StatusOK, "ministry-submitted", view{Title: r.say("ministry.submitted.title"), Back: "/" + r.lang() + "/drafts", Data: v})
}
