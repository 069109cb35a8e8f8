package web_test

import (
	"net/http"
	"net/url"
	"testing"
)

// ministryStates are a ministry's streams.
func ministryStates() []pageState {
	return []pageState{
		{name: "ministry-streams", as: "moh", open: goTo("/streams")},
		{name: "ministry-lane", as: "moh", open: goTo("/streams/moh.health-card/0")},
		{name: "ministry-lane-nothing-new", as: "moh", open: goTo("/streams/moh.health-card/0?read=0")},
		{name: "ministry-lane-unanswered", as: "moh", prepare: tellsAgain, open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/streams/moh.health-card/0", url.Values{"do": {"read"}}, http.StatusOK)
		}},
	}
}

// tellsAgain is Zoë moving once more, which no ministry has read yet.
func tellsAgain(t *testing.T, s *scene) {
	b := s.as(t, "en", "zoe")
	b.post("/en/address/home", with(address(), "street", "5 Third St"), http.StatusOK)
	b.post("/en/address/home/check", b.post("/en/address/home/who", nil, http.StatusOK).hidden(), http.StatusOK)
}
