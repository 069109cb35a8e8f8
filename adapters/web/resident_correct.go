package web

import (
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// correction is the flow that puts right what a receipt stands for: the same form, filled in with what was told.
func (s *server) correction(r *request) (*flow, error) {
	told, f, err := s.standing(r)
	if err != nil {
		return nil, err
	}
	return &flow{form: f, path: "receipts/" + told.Receipt + "/correct", told: &told}, nil
}

// standing is what a receipt stands for, where it can be put right on pages; after a confirmation it can't any more, but is still the one
// whose form leads to its receipt.
func (s *server) standing(r *request) (projection.Told, *form, error) {
	told, err := s.told(r)
	if err != nil {
		return told, nil, err
	}
	f := formOf(told.Change.Type, told.Change.Key)
	if f == nil || f.Once || told.Type != told.Change.Type {
		return told, nil, errNoPage
	}
	return told, f, nil
}

type cancelView struct {
	What    string
	Lines   []string
	Taken   []string // who is told that what they were given is wrong
	Receipt string
	Command string
	Preview string
	For     string
	Warning string
	Link    string
}

// cancelPage asks once more before what was told is taken back.
func (s *server) cancelPage(r *request) error {
	told, f, err := s.standing(r)
	if err != nil {
		return err
	}
	return s.showCancel(r, http.StatusOK, &told, f, newCommand(), "")
}

func (s *server) showCancel(r *request, status int, told *projection.Told, f *form, id, warning string) error {
	preview, err := s.previewOf(r.Context(), r.actor, command.Telling{ID: r.citizen(), Change: s.cancellation(told)})
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return s.show(r, http.StatusUnprocessableEntity, "problem", view{
			Title: r.say("resident.cancel.not.title"), Back: r.at("/receipts/" + told.Receipt), Data: rejection.Sentence(r.lang()),
		})
	}
	if err != nil {
		return err
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	v := cancelView{
		What: s.typeLabel(r.words, told.Change.Type), Lines: f.lines(r.words, told.Change.Data), Receipt: told.Receipt, Command: id,
		Preview: preview.Digest, For: s.forMark(r), Warning: warning, Link: r.at("/receipts/" + told.Receipt + "/correct"),
	}
	for _, g := range preview.Retracted {
		a, ok := law.Agreement(g.Item.Agreement, g.Item.Version)
		if !ok {
			a = &consent.Agreement{ID: g.Item.Agreement}
		}
		v.Taken = append(v.Taken, s.organisation(r.words, a))
	}
	return s.show(r, status, "resident-cancel", view{Title: r.say("resident.cancel.title"), Back: r.at("/receipts/" + told.Receipt), Data: v})
}

// cancellation is what takes a change back.
func (s *server) cancellation(told *projection.Told) command.Change {
	data := map[string]any{"corrects": told.Position}
	change := command.Change{Type: journal.TypeChangeCancelled, Effective: told.Change.Effective, Data: data}
	if normalised, canonical, problems := s.Journal.Registry().Validate(change.Type, data); len(problems) == 0 {
		change.Data, change.Canonical = normalised, canonical
	}
	return change
}

// cancelPost takes a change back, once.
func (s *server) cancelPost(r *request) error {
	told, f, err := s.standing(r)
	if err != nil {
		return err
	}
	id := r.form("command")
	if _, err := uuid.Parse(id); err != nil || r.form("preview") == "" || r.form("for") != s.forMark(r) {
		return errForm
	}
	change := s.cancellation(&told)
	change.Preview = r.form("preview")
	c := r.order(id, append([]byte("cancel "), change.Canonical...))
	c.ToldAt = s.Clock().UTC()
	result, err := s.Command.Tell(r.Context(), c, r.citizen(), change)
	var stale *command.StalePreview
	var rejection *citizen.Rejection
	switch {
	case errors.As(err, &stale):
		return s.showCancel(r, http.StatusConflict, &told, f, id, r.say("check.stale"))
	case errors.As(err, &rejection):
		return s.show(r, http.StatusUnprocessableEntity, "problem", view{
			Title: r.say("resident.cancel.not.title"), Back: r.at("/receipts/" + told.Receipt), Data: rejection.Sentence(r.lang()),
		})
	case err != nil:
		return err
	}
	return r.redirect(r.base + "/receipts/" + result.Receipt)
}
