package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

type checkView struct {
	Caption, For  string
	What          string // the label of what is told
	Lines, Former []string
	Date          string // from which it holds
	Asked         bool   // the date was asked for
	DateID        string // of its first input
	With          []companion
	Told, NotTold []recipient
	Taken         []string // who is told that what they were given is wrong
	Count         int      // of organisations that will be told
	Command       string
	Digest        string
	Shown         string
	Draft         string
	Warning       string
	Differences   []string
	Form, Who     string // paths of the pages to change it; Who empty: there is none
}

// checkPage is the last step: everything once more, before anybody is told.
func (s *server) checkPage(r *request, q *flow) error {
	d, all, ok, err := s.ready(r, q)
	if !ok {
		return err
	}
	if q.told == nil && !d.Chosen {
		return r.redirect(r.base + "/" + q.path + "/who")
	}
	return s.showCheck(r, http.StatusOK, q, d, all, "")
}

func (s *server) showCheck(r *request, status int, q *flow, d draft, all []command.Telling, warning string) error {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	own := all[0]
	own.Change.Consents = choices(own.Change, d, law, r.lang())
	list, err := s.preview(r, own, law)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) { // a consent of the form is no longer on offer: choose again
		return s.showWho(r, http.StatusConflict, q, draft{With: d.With}, all, r.say("who.changed"))
	}
	if err != nil {
		return err
	}
	with, err := s.others(r, q, d, all)
	if err != nil {
		return err
	}
	v := checkView{
		Caption: q.caption(r, "/check"), For: s.forMark(r), What: r.say("resident." + q.Words + ".new"), Date: own.Change.Effective, Asked: q.Date != "", DateID: q.firstPart(q.Date),
		With: with, Told: list.told(), NotTold: list.Others, Command: d.Command, Draft: s.print(d), Warning: warning, Form: q.link(r, ""),
	}
	if q.told == nil {
		v.Who = q.link(r, "/who")
	}
	if err := s.fillCheck(r, q, &v, own.Change, law, list.preview); err != nil {
		return err
	}
	previews := []command.Preview{list.preview}
	told := v.Told
	for i := range with {
		previews, told = append(previews, with[i].list.preview), slices.Concat(told, with[i].Told)
	}
	v.Count, v.Digest, v.Shown = organisations(told), digests(previews), shown(previews)
	if status == http.StatusConflict {
		v.Differences = s.differences(r, law, r.form("shown"), v.Shown)
	}
	if err := s.explainNotTold(r, v.NotTold, d, all[0]); err != nil {
		return err
	}
	return s.show(r, status, "check", view{Title: r.say("check.title"), Back: q.link(r, q.steps()[len(q.steps())-2]), Data: v})
}

// fillCheck says what is told, what it stands in place of, and who is told that they had been given something wrong.
func (s *server) fillCheck(r *request, q *flow, v *checkView, change command.Change, law *journal.Law, preview command.Preview) error {
	data := change.Data
	if q.told != nil {
		data, _ = change.Data["data"].(map[string]any)
		v.Former = q.lines(r.words, q.told.Change.Data)
	} else if former, err := s.former(r, r.citizen(), q.form); err != nil {
		return err
	} else if former != nil && !q.Once {
		v.Former = q.lines(r.words, former.Data)
	}
	v.Lines = q.lines(r.words, data)
	for _, g := range preview.Retracted {
		a, ok := law.Agreement(g.Item.Agreement, g.Item.Version)
		if !ok {
			a = &consent.Agreement{ID: g.Item.Agreement}
		}
		v.Taken = append(v.Taken, s.organisation(r.words, a))
	}
	return nil
}

// explainNotTold says why each is not told: who could not be told even with a consent was never asked about, and so didn't refuse one.
func (s *server) explainNotTold(r *request, list []recipient, d draft, one command.Telling) error {
	asked, err := s.offer(r, draft{}, one)
	if err != nil {
		return err
	}
	for i := range list {
		if contains(d.Stop, list[i].ID) {
			list[i].Why = r.say("why.stopped")
		}
		for _, other := range asked.Others {
			if other.ID == list[i].ID {
				list[i].Why = other.Why
			}
		}
	}
	return nil
}

// checkPost is the confirmation. It carries what the page showed (the previews' digests, the form's print) and the command's id, so
// that what is confirmed is what was seen, and is told once however often it is sent.
func (s *server) checkPost(r *request, q *flow) error {
	d, all, ok, err := s.ready(r, q)
	switch {
	case !ok:
		return err
	case q.told == nil && !d.Chosen:
		return r.redirect(r.base + "/" + q.path + "/who")
	case r.form("command") != d.Command || r.form("draft") != s.print(d):
		return s.showCheck(r, http.StatusConflict, q, d, all, r.say("check.edited")) // another tab changed the form
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	seen := strings.Split(r.form("preview"), ".")
	switch {
	case slices.Contains(seen, ""):
		return errForm
	case len(seen) != len(all): // somebody was among them for whom the reader may not act any more
		return s.showCheck(r, http.StatusConflict, q, d, all, r.say("check.stale"))
	}
	asked := slices.Clone(all)
	asked[0].Change.Consents = choices(all[0].Change, d, law, r.lang())
	for i := range asked {
		asked[i].Change.Preview = seen[i]
	}
	c := r.order(d.Command, contentOf(d, all))
	c.ToldAt = s.Clock().UTC()
	results, err := s.Command.TellTogether(r.Context(), c, asked)
	var stale *command.StalePreview
	var rejection *citizen.Rejection
	switch {
	case errors.As(err, &stale):
		return s.showCheck(r, http.StatusConflict, q, d, all, r.say("check.stale"))
	case errors.As(err, &rejection):
		return s.refused(r, q, d, all, asked, rejection)
	case err != nil:
		return err
	}
	done := draft{Command: d.Command, With: d.With}
	for _, result := range results {
		done.Done = append(done.Done, result.Receipt)
	}
	if err := s.keep(r, q.name(), done); err != nil {
		return err
	}
	return r.redirect(s.after(r, q, done))
}

// contentOf is what the command of a form stands for.
func contentOf(d draft, all []command.Telling) []byte {
	change := all[0].Change
	content := append([]byte(nil), change.Canonical...)
	content = fmt.Appendf(content, "\n%s %s %q %q", change.Type, change.Effective, d.Agree, d.Stop)
	for _, one := range all[1:] {
		content = fmt.Appendf(content, " %s", one.ID)
	}
	return content
}

// refused shows a refusal where it can be mended: at its field, or among the consents.
func (s *server) refused(r *request, q *flow, d draft, all, asked []command.Telling, rejection *citizen.Rejection) error {
	p := rejectionOf(r, q.form, rejection)
	whole := rejection.Code == citizen.CodeCommandReused || rejection.Code == citizen.CodeFrozen
	if p.Field == "" && rejection.Pointer != nil && len(asked[0].Change.Consents) > 0 && !whole {
		return s.showWho(r, http.StatusConflict, q, draft{With: d.With}, all, r.say("who.changed"))
	}
	return s.showForm(r, http.StatusUnprocessableEntity, q, d, []problem{p})
}

// organisations counts the ministries among recipients: one that is told under two agreements is one.
func organisations(list []recipient) int {
	var seen []string
	for _, one := range list {
		if !contains(seen, one.Ministry) {
			seen = append(seen, one.Ministry)
		}
	}
	return len(seen)
}
