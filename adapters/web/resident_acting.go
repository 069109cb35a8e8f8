package web

import (
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/projection"
)

// actingCookie holds for whom a resident acts, sealed; none: for themself.
const actingCookie = "tellonce-acting"

// acting is what the cookie says.
type actingFor struct {
	Ward uuid.UUID `json:"ward"`
}

// behalf makes a page one that a resident may use for somebody for whom they act: it is about that person then, and says so. All other
// pages are about the reader themself. That they may act is asked anew at each page, and once more by what is told.
func (s *server) behalf(page pageFunc) pageFunc {
	return func(r *request) error {
		cookie, err := r.Cookie(actingCookie)
		var acting actingFor
		if err != nil || !s.drafts.open(cookie.Value, sealContext(r, actingCookie), &acting) {
			return page(r)
		}
		wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
		if err != nil {
			return err
		}
		at := slices.IndexFunc(wards, func(w projection.Ward) bool { return uuid.UUID(w.ID) == acting.Ward })
		if at < 0 { // it has ended
			s.setCookie(r, actingCookie, "")
			return r.redirect("/acting")
		}
		r.ward = &wards[at]
		return page(r)
	}
}

// mayTellFor says whether somebody who acts for a person may tell a type for them.
func mayTellFor(ward *projection.Ward, eventType string) bool {
	return len(ward.Scope) == 0 || contains(ward.Scope, eventType)
}

// mark is what stands for a person in a form that the reader sends: nobody else can tell whom it means.
func (s *server) mark(r *request, id citizen.ID) string {
	sum := s.Journal.Digest("web person mark", r.actor.Citizen[:], []byte(r.actor.ID), id[:])
	return hex.EncodeToString(sum[:8])
}

// forMark is the mark of whom a form is about, which the form carries back; empty for the reader themself.
func (s *server) forMark(r *request) string {
	if r.citizen() == citizen.ID(r.actor.Citizen) {
		return ""
	}
	return s.mark(r, r.citizen())
}

type actingPageView struct {
	Lines []wardLine
	Now   bool // the reader acts for somebody now
}

type wardLine struct {
	Name, Kind, Scope string
	Until             string
	Mark              string
	Now               bool
}

// actingPage lists for whom a resident may act, and lets them begin and stop.
func (s *server) actingPage(r *request) error {
	var now *projection.Ward
	if r.ward != nil {
		now, r.ward = r.ward, nil // the page is about the reader
	}
	wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	v := actingPageView{Now: now != nil}
	for i := range wards {
		w := &wards[i]
		line := wardLine{
			Name: w.Name, Kind: r.say("proxies.kind." + w.Kind), Scope: r.say("proxies.everything"), Until: w.Until.String(), Mark: s.mark(r, w.ID),
			Now: now != nil && now.ID == w.ID,
		}
		if len(w.Scope) > 0 {
			line.Scope = r.words.list(inSentence(s.typeNames(r, w.Scope)))
		}
		v.Lines = append(v.Lines, line)
	}
	return s.show(r, http.StatusOK, "resident-acting", view{Title: r.say("resident.acting.title"), Back: r.at("/me"), Data: v})
}

// actingPost begins to act for somebody, or stops.
func (s *server) actingPost(r *request) error {
	mark := r.form("person")
	if mark == "" {
		s.setCookie(r, actingCookie, "")
		return r.redirect("/me")
	}
	wards, err := s.Projection.ActingFor(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	for i := range wards {
		if s.mark(r, wards[i].ID) == mark {
			sealed, err := s.drafts.seal(actingFor{Ward: uuid.UUID(wards[i].ID)}, sealContext(r, actingCookie))
			if err != nil {
				return err
			}
			s.setCookie(r, actingCookie, sealed)
			return r.redirect("/me")
		}
	}
	return errNoPage
}
