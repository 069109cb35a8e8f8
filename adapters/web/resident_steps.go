package web

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// flowFunc answers one request of a form.
type flowFunc func(*request, *flow) error

// flowPages registers the pages of a form's steps. find says which flow a request is about.
func (s *server) flowPages(handle func(method, path string, page pageFunc), path string, find func(*request) (*flow, error)) {
	of := func(page flowFunc) pageFunc {
		return func(r *request) error {
			q, err := find(r)
			if err != nil {
				return err
			}
			if r.ward != nil && !mayTellFor(r.ward, q.Type) {
				return errNoPage
			}
			if r.Method == http.MethodPost && r.form("for") != s.forMark(r) { // in another window they went on for somebody else
				return s.show(r, http.StatusConflict, "problem", view{Title: r.say("resident.other.title"), Data: r.say("resident.other.text")})
			}
			if r.Method == http.MethodGet { // what was typed is kept before it is judged, and the log-in with it
				if err := s.Command.StrongEnough(r.actor, q.Type); err != nil {
					return err
				}
			}
			return page(r, q)
		}
	}
	handle("GET", path, of(s.formPage))
	handle("POST", path, of(s.formPost))
	handle("GET", path+"/who", of(s.whoPage))
	handle("POST", path+"/who", of(s.whoPost))
	handle("GET", path+"/check", of(s.checkPage))
	handle("POST", path+"/check", of(s.checkPost))
	handle("GET", path+"/done", of(s.donePage))
}

// steps are the pages of a flow up to the confirmation.
func (q *flow) steps() []string {
	if q.told != nil || q.Quiet { // what is put right asks for no new consents
		return []string{"", "/check"}
	}
	return []string{"", "/who", "/check"}
}

// caption is where in the flow a page is.
func (q *flow) caption(r *request, page string) string {
	what := r.say("resident." + q.Words + ".caption")
	if q.told != nil {
		what = r.say("resident.correct.caption")
	}
	steps := q.steps()
	at := 0
	for i := range steps {
		if steps[i] == page {
			at = i + 1
		}
	}
	return r.say("resident.step", "What", what, "Step", r.words.number(at), "Of", r.words.number(len(steps)))
}

// begin is a form that was not yet filled in: with what was told, or what holds, where it begins so.
func (s *server) begin(r *request, q *flow) (draft, error) {
	d := draft{Command: newCommand(), Values: map[string]string{}}
	for i := range q.Fields {
		d.Values[q.Fields[i].ID] = q.Fields[i].Chosen
	}
	switch {
	case q.told != nil:
		d.Values = q.typed(&q.told.Change)
	case q.Filled:
		fact, err := s.former(r, r.citizen(), q.form)
		if err != nil || fact == nil {
			return d, err
		}
		d.Values = q.typed(fact)
		for i := range q.Fields {
			for _, part := range q.Fields[i].parts() {
				if q.Fields[i].Kind == fieldDate { // when the new one begins is not when the former did
					d.Values[part] = ""
				}
			}
		}
	}
	return d, nil
}

// former is the fact of a form that holds of somebody now; nil for none, and where who asks may not see it.
func (s *server) former(r *request, id citizen.ID, f *form) (*citizen.Change, error) {
	if r.ward != nil && len(r.ward.Scope) > 0 {
		return nil, nil //nolint:nilnil // nothing to see is no error
	}
	profile, err := s.Projection.Profile(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if fact, ok := held(profile, f.Type, f.Key); ok {
		return &fact.Change, nil
	}
	return nil, nil //nolint:nilnil // nothing told is no error
}

// formPage is step 1: what has changed, and from when.
func (s *server) formPage(r *request, q *flow) error {
	d, ok := s.draft(r, q.name())
	if !ok || len(d.Done) > 0 { // that change was told; this is a new one
		var err error
		if d, err = s.begin(r, q); err != nil {
			return err
		}
		if err := s.keep(r, q.name(), d); err != nil {
			return err
		}
	}
	var problems []problem
	if d.Posted {
		_, found, err := s.judge(r, q, d)
		if err != nil {
			return err
		}
		problems = found
	}
	return s.showForm(r, http.StatusOK, q, d, problems)
}

// formPost takes step 1. What is wrong is said at once, with what was typed; the form is kept, so that the language link shows the same.
func (s *server) formPost(r *request, q *flow) error {
	d, ok := s.draft(r, q.name())
	if !ok || len(d.Done) > 0 {
		d = draft{Command: newCommand()}
	}
	d.Values = map[string]string{}
	for _, id := range q.parts() {
		d.Values[id] = r.form(id)
	}
	d.With = nil
	wards, err := s.companions(r, q)
	if err != nil {
		return err
	}
	for i := range wards {
		if mark := s.mark(r, wards[i].ID); contains(r.PostForm["with"], mark) {
			d.With = append(d.With, mark)
		}
	}
	d.Posted, d.Chosen, d.Today = true, false, s.Journal.DayOf(s.Clock()).Date.String()
	if err := s.keep(r, q.name(), d); err != nil {
		return err
	}
	_, problems, err := s.judge(r, q, d)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return s.showForm(r, http.StatusUnprocessableEntity, q, d, problems)
	}
	return r.redirect(r.base + "/" + q.path + q.steps()[1])
}

// ready is a form whose first page is right, as what it tells of each person; ok is false where the reader was sent to another page.
func (s *server) ready(r *request, q *flow) (d draft, all []command.Telling, ok bool, err error) {
	d, found := s.draft(r, q.name())
	if len(d.Done) > 0 {
		return d, nil, false, r.redirect(s.after(r, q, d))
	}
	if !found || !d.Posted {
		return d, nil, false, r.redirect(r.base + "/" + q.path)
	}
	all, problems, err := s.judge(r, q, d)
	if err == nil && len(problems) > 0 {
		err = r.redirect(r.base + "/" + q.path)
		return d, nil, false, err
	}
	return d, all, err == nil, err
}

// after is where a form leads that was told: to its receipt, or to all of them.
func (s *server) after(r *request, q *flow, d draft) string {
	if len(d.Done) == 1 && (r.ward == nil || len(r.ward.Scope) == 0) {
		return r.base + "/receipts/" + d.Done[0]
	}
	return r.base + "/" + q.path + "/done"
}

// doneView lists the receipts of a form that was told of several people, or by somebody who may see no more than the numbers.
type doneView struct {
	Lines []doneLine
	Home  string
}

type doneLine struct{ Name, Receipt, Link string }

// donePage is what a form leads to that has no receipt page of its own.
func (s *server) donePage(r *request, q *flow) error {
	d, _ := s.draft(r, q.name())
	if len(d.Done) == 0 {
		return r.redirect(r.base + "/" + q.path)
	}
	wards, err := s.chosen(r, q, d)
	if err != nil {
		return err
	}
	v := doneView{Home: r.at("/me")}
	for i, number := range d.Done {
		line := doneLine{Name: r.say("resident.you"), Receipt: number, Link: r.at("/receipts/" + number)}
		switch {
		case i > 0 && i <= len(wards):
			line.Name = wards[i-1].Name
		case r.ward != nil:
			line.Name = r.ward.Name
		}
		if of := append([]projection.Ward{{}}, wards...); i < len(of) && len(of[i].Scope) > 0 || r.ward != nil && len(r.ward.Scope) > 0 {
			line.Link = ""
		}
		v.Lines = append(v.Lines, line)
	}
	return s.show(r, http.StatusOK, "resident-done", view{Title: r.say("resident." + q.Words + ".done"), Data: v})
}

// companions are the people who may change with the resident: those for whom they act in this.
func (s *server) companions(r *request, q *flow) ([]projection.Ward, error) {
	if !q.Together || q.told != nil || r.ward != nil {
		return nil, nil
	}
	wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
	var out []projection.Ward
	for i := range wards {
		if mayTellFor(&wards[i], q.Type) {
			out = append(out, wards[i])
		}
	}
	return out, err
}

// chosen are the companions who are ticked.
func (s *server) chosen(r *request, q *flow, d draft) ([]projection.Ward, error) {
	if len(d.With) == 0 {
		return nil, nil
	}
	wards, err := s.companions(r, q)
	var out []projection.Ward
	for i := range wards {
		if contains(d.With, s.mark(r, wards[i].ID)) {
			out = append(out, wards[i])
		}
	}
	return out, err
}

// order is the command of a resident's form.
func (r *request) order(id string, content []byte) command.Command {
	if r.ward != nil { // the same for somebody else is another command
		content = append([]byte(r.citizen().String()+"\n"), content...)
	}
	who := r.actor.Citizen.String()
	if r.actor.Citizen == uuid.Nil {
		who = r.actor.ID
	}
	return command.Command{
		ID: id, Scope: "pages/" + who, Content: content, Actor: r.actor, Issuer: journal.IssuerPages, Channel: r.channel(),
	}
}

// channel is how what these pages tell came to us.
func (r *request) channel() journal.Channel {
	if r.actor.Kind == journal.ActorClerk {
		return journal.ChannelCounter
	}
	return journal.ChannelWeb
}

// preview is who would be told of one person's change.
func (s *server) previewOf(ctx context.Context, actor journal.Actor, one command.Telling) (command.Preview, error) {
	return s.Command.Preview(ctx, actor, one.ID, one.Change)
}
