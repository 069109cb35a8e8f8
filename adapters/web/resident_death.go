package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/schemas"
)

// deathForm asks who has died, exactly as they are registered, and when. No page after it says whether the hub knows that person.
var deathForm = form{
	Path: "death", Words: "death", Type: citizen.DeathReported, Date: "death_date", Quiet: true,
	Fields: []formField{
		{ID: "given_names", Text: "death-given-names", Size: "wide", Hint: true},
		{ID: "family_name", Text: "death-family-name", Size: "wide"},
		{ID: "birth_date", Kind: fieldDate, Text: "death-birth", Hint: true, Past: true},
		{ID: "death_date", Kind: fieldDate, Hint: true, Past: true},
		{ID: "reported_by", Kind: fieldRadios, Options: []string{"spouse", "child", "executor", "funeral-home"}, Words: "resident.reported."},
	},
}

func deathFlow() *flow { return &flow{form: &deathForm, path: deathForm.Path} }

// deathPage is step 1: who has died, and when.
func (s *server) deathPage(r *request) error {
	q := deathFlow()
	if err := s.Command.StrongEnough(r.actor, q.Type); err != nil {
		return err
	}
	d, ok := s.draft(r, q.name())
	var problems []problem
	if !ok || len(d.Done) > 0 {
		d = draft{Command: newCommand()}
		if err := s.keep(r, q.name(), d); err != nil {
			return err
		}
	} else if d.Posted {
		_, _, problems = s.readDeath(r, q, d)
	}
	return s.showForm(r, http.StatusOK, q, d, problems)
}

func (s *server) deathPost(r *request) error {
	q := deathFlow()
	d, ok := s.draft(r, q.name())
	if !ok || len(d.Done) > 0 {
		d = draft{Command: newCommand()}
	}
	d.Values, d.Posted = map[string]string{}, true
	for _, id := range q.parts() {
		d.Values[id] = r.form(id)
	}
	if err := s.keep(r, q.name(), d); err != nil {
		return err
	}
	if _, _, problems := s.readDeath(r, q, d); len(problems) > 0 {
		return s.showForm(r, http.StatusUnprocessableEntity, q, d, problems)
	}
	return r.redirect("/death/check")
}

// readDeath puts the fields together: whom the report names, and what it says.
func (s *server) readDeath(r *request, q *flow, d draft) (citizen.Identity, command.Change, []problem) {
	who := citizen.Identity{GivenNames: d.Values["given_names"], FamilyName: d.Values["family_name"]}
	change := command.Change{Data: map[string]any{"reported_by": d.Values["reported_by"]}}
	var problems []problem
	for i := range q.Fields {
		field := &q.Fields[i]
		value := d.Values[field.ID]
		switch {
		case field.Kind == fieldDate:
			date, wrong := s.dateOf(r, field, d)
			if wrong != nil {
				problems = append(problems, *wrong)
			}
			if field.ID == q.Date {
				change.Effective, change.Data["death_date"] = date, date
			} else {
				who.BirthDate = date
			}
		case value == "" || field.Kind == fieldRadios && !contains(field.Options, value):
			problems = append(problems, problem{Field: field.ID, Text: r.say("resident.error." + field.ID + ".required")})
		case field.Kind != fieldRadios && !schemas.ValidText(value):
			problems = append(problems, problem{Field: field.ID, Text: r.say("resident.error." + field.ID + ".form")})
		}
	}
	if len(problems) == 0 && who.BirthDate > change.Effective {
		problems = append(problems, problem{Field: "death_date-year", Text: r.say("resident.error.death_date.before")})
	}
	return who, change, problems
}

type deathView struct {
	Caption           string
	Name, Born, Died  string
	By                string
	Told              []recipient // who is told by law, once a registrar has confirmed it
	Command           string
	Draft             string
	Form              string
	BornLink, ByLink  string
	DiedLink, Details string
}

// deathCheck is step 2: everything once more, what will stop and what happens next. Nobody is asked for a consent.
func (s *server) deathCheck(r *request) error {
	q := deathFlow()
	d, ok := s.draft(r, q.name())
	who, change, problems := s.readDeath(r, q, d)
	switch {
	case len(d.Done) > 0:
		return r.redirect("/death/done")
	case !ok, !d.Posted, len(problems) > 0:
		return r.redirect("/death")
	}
	v, err := s.deathView(r, q, d, who, change)
	if err != nil {
		return err
	}
	return s.show(r, http.StatusOK, "resident-death", view{Title: r.say("resident.death.check"), Back: q.link(r, ""), Data: v})
}

func (s *server) deathView(r *request, q *flow, d draft, who citizen.Identity, change command.Change) (deathView, error) {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return deathView{}, err
	}
	page := q.link(r, "")
	v := deathView{
		Caption: q.caption(r, "/check"), Name: who.GivenNames + " " + who.FamilyName, Born: who.BirthDate, Died: change.Effective,
		By: r.say("resident.reported." + d.Values["reported_by"]), Command: d.Command, Draft: s.print(d),
		Form: page, BornLink: page + "#birth_date-year", DiedLink: page + "#death_date-year", ByLink: page + "#reported_by",
	}
	approved := law.Book.Approved()
	for i := range approved {
		if approved[i].Basis.Kind == consent.BasisStatute && approved[i].Share(citizen.DeathRegistered) != nil {
			v.Told = append(v.Told, s.recipient(r, &approved[i]))
		}
	}
	return v, nil
}

// deathConfirm sends the report. The answer is the same whoever is named.
func (s *server) deathConfirm(r *request) error {
	q := deathFlow()
	d, ok := s.draft(r, q.name())
	who, change, problems := s.readDeath(r, q, d)
	switch {
	case len(d.Done) > 0:
		return r.redirect("/death/done")
	case !ok, !d.Posted, len(problems) > 0, r.form("command") != d.Command, r.form("draft") != s.print(d):
		return r.redirect("/death")
	}
	content := fmt.Appendf(nil, "death %q %q %s %s %s", who.GivenNames, who.FamilyName, who.BirthDate, change.Effective, d.Values["reported_by"])
	c := r.order(d.Command, content)
	c.ToldAt = s.Clock().UTC()
	err := s.Command.ReportDeath(r.Context(), c, who, change)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return s.showForm(r, http.StatusUnprocessableEntity, q, d, []problem{{Text: rejection.Sentence(r.lang())}})
	}
	if err != nil {
		return err
	}
	if err := s.keep(r, q.name(), draft{Command: d.Command, Done: []string{"told"}}); err != nil {
		return err
	}
	return r.redirect("/death/done")
}

// deathDone says thank you, and what happens next.
func (s *server) deathDone(r *request) error {
	if d, _ := s.draft(r, deathForm.Path); len(d.Done) == 0 {
		return r.redirect("/death")
	}
	return s.show(r, http.StatusOK, "resident-death-done", view{Title: r.say("resident.death.done"), Data: deathView{Details: r.at("/me")}})
}
