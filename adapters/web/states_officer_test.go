package web_test

import (
	"net/http"
	"net/url"
	"strings"
)

// officerStates are an officer's questions and the agreements.
func officerStates() []pageState {
	look := func(field string, value func(*scene) string) func(*scene, *browser, string) *sheet {
		return func(s *scene, b *browser, lang string) *sheet {
			form := url.Values{"reason": {"You asked who has your new address"}, "case": {"C-88213"}, field: {value(s)}}
			return b.post("/"+lang+"/looks", form, http.StatusOK)
		}
	}
	do := func(version, what string, status int) func(*scene, *browser, string) *sheet {
		return func(_ *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/agreements/library-membership/"+version, http.StatusOK).do(b, what, status)
		}
	}
	propose := func(document func(*browser) string) func(*scene, *browser, string) *sheet {
		return func(_ *scene, b *browser, lang string) *sheet {
			form := b.get("/"+lang+"/agreements/propose", http.StatusOK).hidden()
			form.Set("document", document(b))
			return b.post("/"+lang+"/agreements/propose", form, http.StatusUnprocessableEntity)
		}
	}
	return []pageState{
		{name: "officer-looks", as: "officer", open: goTo("/looks")},
		{name: "officer-looks-errors", as: "officer", open: refused("/looks", url.Values{"case": {strings.Repeat("1", 65)}})},
		{name: "officer-looks-unknown", as: "officer", open: refused("/looks", url.Values{"reason": {"test"}, "receipt": {"0000"}})},
		{name: "officer-look-receipt", as: "officer", open: look("receipt", func(s *scene) string { return s.receipt })},
		{name: "officer-look-person", as: "officer", open: look("person", func(*scene) string { return "zoe" })},
		{name: "officer-agreements", as: "officer", open: goTo("/agreements")},
		{name: "officer-agreement-in-force", as: "officer", open: goTo("/agreements/moh-health-card/1")},
		{name: "officer-agreement-mine", as: "officer", open: goTo("/agreements/library-membership/2?done=proposed")},
		{name: "officer-agreement-waiting", as: "officer-2", open: goTo("/agreements/library-membership/2")},
		{name: "officer-agreement-dry-run", as: "officer-2", prepare: ownHub, open: do("2", "dry-run", http.StatusOK)}, // one at a time on a hub
		{name: "officer-agreement-approve-errors", as: "officer-2", open: refused("/agreements/library-membership/2",
			url.Values{"do": {"approve"}, "command": {"6f0c7c0e-53a3-4a5b-8f7e-0f4d3a3c9c11"}, "replaces": {"1"}})},
		{name: "officer-agreement-end-errors", as: "officer", open: refused("/agreements/moh-health-card/1",
			url.Values{"do": {"end"}, "command": {"6f0c7c0e-53a3-4a5b-8f7e-0f4d3a3c9c11"}})},
		{name: "officer-agreement-approved", as: "officer-2", prepare: ownHub, open: do("2", "approve", http.StatusOK)},
		{name: "officer-agreement-replaced", as: "officer", prepare: widerInForce, open: goTo("/agreements/library-membership/1")},
		{name: "officer-agreement-ended", as: "officer", prepare: ownHub, open: do("1", "end", http.StatusOK)},
		{name: "officer-propose", as: "officer", open: goTo("/agreements/propose")},
		{name: "officer-propose-errors", as: "officer", open: propose(func(b *browser) string {
			return strings.Replace(wider(b.t), "country", "shoe_size", 1)
		})},
		{name: "officer-propose-empty", as: "officer", open: propose(func(*browser) string { return "" })},
	}
}
