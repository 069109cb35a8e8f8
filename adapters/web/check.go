package web

import (
	"errors"
	"net/http"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
)

type checkView struct {
	Kind          string
	Address       []string
	Former        []string
	Date          string
	Told, NotTold []recipient
	Count         int // of organisations that will be told
	Command       string
	Digest        string
	Draft         string
	Warning       string
}

// checkPage is step 3: everything once more, before anybody is told.
func (s *server) checkPage(r *request, kind string) error {
	d, change, ok, err := s.ready(r, kind)
	switch {
	case err != nil:
		return err
	case d.Done != "":
		return r.redirect("/receipts/" + d.Done)
	case !ok:
		return r.redirect("/address/" + kind)
	case !d.Chosen:
		return r.redirect("/address/" + kind + "/who")
	}
	return s.showCheck(r, http.StatusOK, kind, d, change, "")
}

func (s *server) showCheck(r *request, status int, kind string, d draft, change command.Change, warning string) error {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	change.Consents = choices(change, d, law, r.lang())
	list, err := s.preview(r, change, law)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) { // a consent of the form is no longer on offer: choose again
		change.Consents = nil
		return s.showWho(r, http.StatusConflict, kind, draft{}, change, r.say("who.changed"))
	}
	if err != nil {
		return err
	}
	former, err := s.former(r.Context(), r.citizen(), kind)
	if err != nil {
		return err
	}
	v := checkView{
		Kind: kind, Address: r.words.addressLines(change.Data), Date: change.Effective, Told: list.told(), NotTold: list.Others,
		Count: organisations(list.told()), Command: d.Command, Digest: list.digest, Draft: s.print(d), Warning: warning,
	}
	if former != nil {
		v.Former = r.words.addressLines(former)
	}
	if err := s.explainNotTold(r, v.NotTold, d, change); err != nil {
		return err
	}
	return s.show(r, status, "check", view{Title: r.say("check.title"), Back: "/" + r.lang() + "/address/" + kind + "/who", Data: v})
}

// explainNotTold says why each is not told: who could not be told even with a consent was never asked about, and so didn't refuse one.
func (s *server) explainNotTold(r *request, list []recipient, d draft, change command.Change) error {
	change.Consents = nil
	asked, err := s.offer(r, draft{}, change)
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

// checkPost is the confirmation. It carries what the page showed (the preview's digest, the form's print) and the command's id, so
// that what is confirmed is what was seen, and is told once however often it is sent.
func (s *server) checkPost(r *request, kind string) error {
	d, change, ok, err := s.ready(r, kind)
	switch {
	case err != nil:
		return err
	case d.Done != "":
		return r.redirect("/receipts/" + d.Done)
	case !ok:
		return r.redirect("/address/" + kind)
	case !d.Chosen:
		return r.redirect("/address/" + kind + "/who")
	case r.form("command") != d.Command || r.form("draft") != s.print(d):
		return s.showCheck(r, http.StatusConflict, kind, d, change, r.say("check.edited")) // another tab changed the form
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	change.Consents, change.Preview = choices(change, d, law, r.lang()), r.form("preview")
	if change.Preview == "" {
		return errForm
	}
	result, err := s.Command.Tell(r.Context(), s.command(r, d, change), r.citizen(), change)
	var stale *command.StalePreview
	var rejection *citizen.Rejection
	switch {
	case errors.As(err, &stale):
		return s.showCheck(r, http.StatusConflict, kind, d, change, r.say("check.stale"))
	case errors.As(err, &rejection):
		return s.refused(r, kind, d, change, rejection)
	case err != nil:
		return err
	}
	if err := s.keep(r, kind, draft{Command: d.Command, Done: result.Receipt}); err != nil {
		return err
	}
	return r.redirect("/receipts/" + result.Receipt)
}

// refused shows a refusal where it can be mended: at its field, or among the consents.
func (s *server) refused(r *request, kind string, d draft, change command.Change, rejection *citizen.Rejection) error {
	p := rejectionOf(r, rejection)
	if p.Field == "" && rejection.Pointer != nil && len(change.Consents) > 0 && rejection.Code != citizen.CodeCommandReused && rejection.Code != citizen.CodeFrozen {
		change.Consents = nil
		return s.showWho(r, http.StatusConflict, kind, draft{}, change, r.say("who.changed"))
	}
	return s.showAddress(r, http.StatusUnprocessableEntity, kind, d, []problem{p})
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
