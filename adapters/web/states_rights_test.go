package web_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// rightsStates are what a resident agreed to, who acts for them, what is held on them and what can go.
func rightsStates() []pageState {
	return []pageState{
		{name: "rights-consents", as: "zoe", open: goTo("/consents")},
		{name: "rights-consents-asked-anew", as: "zoe", prepare: widerInForce, open: goTo("/consents")},
		{name: "rights-consents-agreed", as: "zoe", prepare: ownHub, open: func(_ *scene, b *browser, lang string) *sheet {
			form := b.get("/"+lang+"/consents", http.StatusOK).consentForm("outdoors-card", "agree")
			return b.post("/"+lang+"/consents", form, http.StatusOK)
		}},
		{name: "rights-consents-stopped", as: "zoe", prepare: ownHub, open: func(_ *scene, b *browser, lang string) *sheet {
			form := b.get("/"+lang+"/consents", http.StatusOK).consentForm("library-membership", "stop")
			return b.post("/"+lang+"/consents", form, http.StatusOK)
		}},
		{name: "rights-consents-errors", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			form := b.get("/"+lang+"/consents", http.StatusOK).consentForm("outdoors-card", "agree")
			form.Set("version", "9")
			return b.post("/"+lang+"/consents", form, http.StatusUnprocessableEntity)
		}},
		{name: "rights-proxy-attorney", as: "zoe", prepare: actsForZoe(journal.ProxyAttorney), open: goTo("/consents")},
		{name: "rights-proxy-guardian", as: "zoe", prepare: actsForZoe(journal.ProxyGuardian), open: goTo("/consents")},
		{name: "rights-my-data", as: "zoe", open: goTo("/my-data")},
		{name: "rights-my-data-erased", as: "zoe", prepare: erased, open: goTo("/my-data")},
		{name: "rights-erasure", as: "zoe", open: goTo("/erasure")},
		{name: "rights-erasure-errors", as: "zoe", open: refused("/erasure", nil)},
		{name: "rights-erasure-done", as: "zoe", prepare: erased, open: goTo("/erasure")},
	}
}

// actsForZoe lets Luc act for Zoë, which he does.
func actsForZoe(kind string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		ctx, proxying := context.Background(), command.Proxying{Proxy: s.luc, Kind: kind}
		if kind == journal.ProxyAttorney {
			proxying.Scope, proxying.Until = []string{"consent-granted"}, "2027-03-31"
		}
		_, err := s.command.GrantProxy(ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorRegistrar}}, s.zoe, proxying)
		require.NoError(t, err)
		_, err = s.command.Grant(ctx, command.Command{Actor: resident(s.luc)}, s.zoe, command.Choice{Agreement: "outdoors-card"})
		require.NoError(t, err)
	}
}

func erased(t *testing.T, s *scene) {
	b := s.as(t, "en", "zoe")
	form := b.get("/en/erasure", http.StatusOK).hidden()
	form.Set("sure", "yes")
	b.post("/en/erasure", form, http.StatusOK)
}
