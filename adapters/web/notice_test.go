package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

func (p *pages) head(t *testing.T) int64 {
	t.Helper()
	head, err := p.journal.Head(context.Background())
	require.NoError(t, err)
	return head.Position
}

// TestThisWasNotMe: the link of a notice, without a sign-in and without a script. To look at it changes nothing; one button does, once.
func TestThisWasNotMe(t *testing.T) {
	t.Parallel()
	for lang, say := range map[string]struct{ asks, button, done, expired, label string }{
		"en": {"Was this you?", "This was not me", "Changes are stopped", "not valid any more", "Contact details"},
		"fr": {"Était-ce vous?", "Ce n’était pas moi", "Les changements sont bloqués", "n’est plus valide", "Coordonnées"},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			told, err := p.command.Tell(context.Background(), command.Command{
				ID: uuid.NewString(), Scope: "test", Actor: journal.Actor{Kind: journal.ActorResident, Citizen: uuid.UUID(p.zoe)},
			}, p.zoe, command.Change{Type: citizen.ContactChanged, Effective: "2026-11-25", Data: map[string]any{"email": "canary@example.ca"}})
			require.NoError(t, err)
			token, err := p.journal.NoticeLink(told.Position)
			require.NoError(t, err)
			b, path, before := p.browser(t), "/"+lang+"/notices/"+token, p.head(t)
			for range 2 {
				page := b.get(path, http.StatusOK).says(say.asks, say.label, say.button).saysNot("canary")
				require.NotContains(t, page.body, "<script")
				require.Equal(t, "no-store", page.header.Get("Cache-Control"))
			}
			require.Equal(t, before, p.head(t), "to look changes nothing")

			request, err := http.NewRequest(http.MethodPost, p.server.URL+path, strings.NewReader(""))
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("Origin", "https://elsewhere.example")
			response, err := b.client.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusForbidden, response.StatusCode, "another site's form")
			require.Equal(t, before, p.head(t))

			for range 2 {
				require.Equal(t, path, b.post(path, url.Values{}, http.StatusOK).says(say.done).saysNot(say.button).path)
				require.Equal(t, before+2, p.head(t), "frozen and a dispute, once")
			}
			for _, wrong := range []string{token[:len(token)-1], "x", strings.Repeat("A", 59)} {
				b.get("/"+lang+"/notices/"+wrong, http.StatusNotFound).says(say.expired)
				b.post("/"+lang+"/notices/"+wrong, url.Values{}, http.StatusNotFound).says(say.expired)
			}
			require.NotContains(t, p.logs.String(), token)
			require.NotContains(t, p.urls.String(), uuid.UUID(p.zoe).String())

			zoe := p.as(t, lang, "zoe")
			zoe.get("/"+lang+"/address/home", http.StatusOK)
			refused := (&citizen.Rejection{Code: citizen.CodeFrozen}).Sentence(lang)
			zoe.post("/"+lang+"/address/home", url.Values{
				"street": {"1 First St"}, "city": {"Sudbury"}, "province": {"ON"}, "postal_code": {"P3E 4H5"}, "date-year": {"2026"}, "date-month": {"12"}, "date-day": {"1"},
			}, http.StatusUnprocessableEntity).says(refused)
		})
	}
}
