package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/tellonce/hub/domain/journal"
)

// signInStates are the pages by which one signs in and out. The first of all, and the one for where nobody can, are among the public ones.
func signInStates() []pageState {
	chooser := func(query string, form url.Values) func(*scene, *browser, string) *sheet {
		return func(_ *scene, b *browser, lang string) *sheet {
			page := b.toChooser(lang, query)
			if form == nil {
				return page
			}
			return b.post(page.path, form, http.StatusUnprocessableEntity)
		}
	}
	all := []pageState{
		{name: "sign-in-choose", open: chooser("", nil)},
		{name: "sign-in-choose-strong", as: "zoe", open: chooser("?acr=2", nil)},
		{name: "sign-in-choose-errors", open: chooser("", url.Values{"acr": {"1"}})},
		{name: "sign-in-out", open: goTo("/signed-out")},
		{name: "sign-in-out-provider", prepare: otherProvider, open: goTo("/signed-out")},
		{name: "sign-in-unknown-provider", prepare: otherProvider, open: goTo("/sign-in/problem/unknown")},
		{name: "sign-in-step-up", open: func(_ *scene, b *browser, lang string) *sheet {
			b.signsIn(lang, "zoe", "1")
			return b.get("/"+lang+"/name", http.StatusForbidden)
		}},
		{name: "sign-in-no-pages", prepare: otherProvider, open: func(_ *scene, b *browser, lang string) *sheet {
			b.holds("tellonce-sign-in", lang+".x")
			b.get("/sign-in/callback", http.StatusOK)
			return b.get("/"+lang+"/", http.StatusOK)
		}},
	}
	for _, why := range []string{"again", "away", "declined", "unknown"} {
		all = append(all, pageState{name: "sign-in-problem-" + why, open: goTo("/sign-in/problem/" + why)})
	}
	return all
}

// otherProvider is a hub whose people sign in with a provider of somebody else's, and whose auditor comes from there.
func otherProvider(t *testing.T, s *scene) {
	s.comesFrom(t, journal.Actor{Kind: journal.ActorAuditor, Role: journal.RoleAuditor, ID: "a", ACR: 1})
}
