package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// publicStates are pages that everybody may see, and those that say that something can't be shown.
func publicStates() []pageState {
	return []pageState{
		{name: "public-home", open: goTo("/")},
		{name: "public-sharing", open: goTo("/who-gets-what")},
		{name: "public-privacy", open: goTo("/privacy")},
		{name: "public-accessibility", open: goTo("/accessibility")},
		{name: "public-licences", open: goTo("/licences")},
		{name: "public-licence", open: goTo("/licences/tellonce")},
		{name: "public-sign-in", open: goTo("/sign-in")},
		{name: "public-sign-in-none", prepare: noPersonas, open: goTo("/sign-in")},
		{name: "public-performance-none", open: goTo("/performance")},
		{name: "public-performance-month", prepare: inJanuary, open: goTo("/performance")},
		{name: "public-notice", open: func(s *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/notices/"+s.notice, http.StatusOK)
		}},
		{name: "public-notice-done", prepare: notMe, open: func(s *scene, b *browser, lang string) *sheet {
			return b.get("/"+lang+"/notices/"+s.notice, http.StatusOK)
		}},
		{name: "public-notice-expired", open: goTo("/notices/x", http.StatusNotFound)},
		{name: "public-problem-no-page", open: goTo("/nonsense", http.StatusNotFound)},
		{name: "public-problem-not-yours", as: "zoe", open: goTo("/looks", http.StatusNotFound)},
		{name: "public-problem-forbidden", as: "moh", open: goTo("/streams/library.membership/0", http.StatusForbidden)},
		{name: "public-problem-form", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/erasure", url.Values{"sure": {"yes"}}, http.StatusBadRequest)
		}},
		{name: "public-problem-large", as: "zoe", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+"/erasure", url.Values{"sure": {strings.Repeat("a", 70_000)}}, http.StatusRequestEntityTooLarge)
		}},
		{name: "public-problem-broken", as: "zoe", prepare: ownHub, open: func(s *scene, b *browser, lang string) *sheet {
			closer, ok := s.journal.Store().(interface{ Close() error })
			require.True(b.t, ok)
			require.NoError(b.t, closer.Close())
			return b.get("/"+lang+"/my-data", http.StatusInternalServerError)
		}},
	}
}

func noPersonas(t *testing.T, s *scene) {
	s.config.Personas = nil
	s.serve(t)
}

// inJanuary is when two months are published.
func inJanuary(_ *testing.T, s *scene) {
	s.clock.now.Store(time.Date(2027, 1, 2, 17, 0, 0, 0, time.UTC).UnixNano())
}

// notMe is Zoë saying by the link in a notice that the change was not hers: further changes are stopped.
func notMe(t *testing.T, s *scene) {
	_, err := s.command.NotMe(context.Background(), journal.IssuerPages, s.notice)
	require.NoError(t, err)
}
