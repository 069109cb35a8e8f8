package web

import (
	"net/http"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
)

// sharing is an agreement in force, in plain words.
type sharing struct {
	Name, Purpose, Law string
	ByLaw              bool
	Gets               []string // a sentence for each kind of change
	Rules              []string // that hold for all of them
	Kinds              []string // the kinds of change alone
}

// sharings are the agreements in force today: those by law first, each group as the law has them, by their id.
func (s *server) sharings(r *request) (byLaw, byConsent []sharing, err error) {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return nil, nil, err
	}
	today, labels := s.Journal.DayOf(s.Clock()).Date, s.sentenceLabels(r.words)
	for _, a := range law.Book.Approved() {
		if a.ValidFrom > today || a.ValidUntil != 0 && a.ValidUntil < today {
			continue
		}
		said := a.Aloud(r.lang(), labels)
		one := sharing{
			Name: s.organisation(r.words, &a), Purpose: r.words.in(a.Purpose), Law: a.Basis.Reference, ByLaw: a.Basis.Kind == consent.BasisStatute,
			Gets: said[:len(a.Shares)], Rules: said[len(a.Shares):],
		}
		for i := range a.Shares {
			kind, _ := labels(a.Shares[i].Event, nil)
			one.Kinds = append(one.Kinds, kind)
		}
		if one.ByLaw {
			byLaw = append(byLaw, one)
		} else {
			byConsent = append(byConsent, one)
		}
	}
	return byLaw, byConsent, nil
}

type sharingView struct{ ByLaw, ByConsent []sharing }

// sharingPage reads the agreements in force to anybody: who gets what and why.
func (s *server) sharingPage(r *request) error {
	var v sharingView
	var err error
	if v.ByLaw, v.ByConsent, err = s.sharings(r); err != nil {
		return err
	}
	return s.show(r, http.StatusOK, "public-sharing", view{Title: r.say("public.sharing.title"), Data: v})
}

// privacyView is the privacy notice, from what is in force: what can be told, who gets it, and how long it is kept.
type privacyView struct {
	Told []string // the kinds of change
	Who  []sharing
	Kept []string // a sentence for each class
}

func (s *server) privacyPage(r *request) error {
	byLaw, byConsent, err := s.sharings(r)
	if err != nil {
		return err
	}
	v := privacyView{Who: append(byLaw, byConsent...)}
	for _, row := range s.Journal.Registry().Rows() {
		if row.Fact {
			v.Told = append(v.Told, r.words.in(row.Label))
		}
	}
	for _, kept := range citizen.Retentions() {
		v.Kept = append(v.Kept, citizen.KeptSentence(kept.Class, citizen.KeptByRetention, r.lang()))
	}
	return s.show(r, http.StatusOK, "public-privacy", view{Title: r.say("public.privacy.title"), Data: v})
}

// accessibilityPage says what was done so that everybody can use these pages, what was not, and where to say that something is in the way.
func (s *server) accessibilityPage(r *request) error {
	return s.show(r, http.StatusOK, "public-accessibility", view{Title: r.say("public.accessibility.title"), Data: s.Contact})
}

// aboutPages are pages about the service, for anybody.
func (s *server) aboutPages(handle handleFunc) {
	handle("GET", "/who-gets-what", anybody, s.sharingPage)
	handle("GET", "/privacy", anybody, s.privacyPage)
	handle("GET", "/accessibility", anybody, s.accessibilityPage)
	handle("GET", "/licences", anybody, s.licencesPage)
	handle("GET", "/licences/{file}", anybody, s.licencePage)
}
