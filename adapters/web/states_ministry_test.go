package web_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/journal"
)

const healthCard = "/streams/moh.health-card"

// ministryStates are a ministry's streams.
func ministryStates() []pageState {
	return []pageState{
		{name: "ministry-streams", as: "moh", open: goTo("/streams")},
		{name: "ministry-lane", as: "moh", open: goTo(healthCard + "/0")},
		{name: "ministry-lane-nothing-new", as: "moh", open: goTo(healthCard + "/0?read=0")},
		{name: "ministry-lane-unanswered", as: "moh", prepare: tellsAgain, open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post("/"+lang+healthCard+"/0", url.Values{"do": {"read"}}, http.StatusOK)
		}},
		{name: "ministry-stream", as: "moh", open: goTo(healthCard)},
		{name: "ministry-stream-paused", as: "moh", prepare: paused, open: goTo(healthCard + "?done=paused")},
		{name: "ministry-stream-alert", as: "moh", prepare: func(t *testing.T, s *scene) {
			givenUp(t, s)
			s.config.Console.Stopped = func(string) bool { return true }
			s.serve(t)
		}, open: goTo(healthCard)},
		{name: "ministry-try", as: "moh", open: goTo(healthCard + "/try")},
		{name: "ministry-try-pull-operator", as: "moh", prepare: bare, open: goTo(healthCard + "/try/pull")},
		{name: "ministry-try-pull-token", as: "moh", open: pressed(healthCard+"/try/pull", "token", nil)},
		{name: "ministry-try-pull-asked", as: "moh", prepare: ownHub, open: pressed(healthCard+"/try/pull", "send", nil)},
		{name: "ministry-try-pull-given", as: "library", prepare: func(t *testing.T, s *scene) {
			handsOver(t, s)
		}, open: goTo("/streams/library.membership/try/pull?after=1")},
		{name: "ministry-try-pull-over", as: "library", prepare: func(t *testing.T, s *scene) {
			handsOver(t, s)
			s.answers(t, "library.membership", "applied")
		}, open: goTo("/streams/library.membership/try/pull?after=1")},
		{name: "ministry-try-webhook", as: "moh", open: goTo(healthCard + "/try/webhook")},
		{name: "ministry-try-webhook-problem", as: "moh", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.pressed("/"+lang+healthCard+"/try/webhook", "endpoint", url.Values{"url": {nobodyListens}}, http.StatusUnprocessableEntity)
		}},
		{name: "ministry-try-webhook-set", as: "moh", prepare: ownHub, open: pressed(healthCard+"/try/webhook", "endpoint", url.Values{"url": {"http://127.0.0.1:9"}})},
		{name: "ministry-try-kafka", as: "moh", open: goTo(healthCard + "/try/kafka")},
		{name: "ministry-try-kafka-none", as: "library", open: goTo("/streams/library.membership/try/kafka")},
		{name: "ministry-endpoint", as: "moh", open: goTo(healthCard + "/endpoint")},
		{name: "ministry-endpoint-none", as: "moh", prepare: bare, open: goTo(healthCard + "/endpoint")},
		{name: "ministry-endpoint-problem", as: "moh", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.pressed("/"+lang+healthCard+"/endpoint", "set", url.Values{"url": {nobodyListens}, "batch": {"5"}}, http.StatusUnprocessableEntity)
		}},
		{name: "ministry-endpoint-set", as: "moh", prepare: ownHub, open: pressed(healthCard+"/endpoint", "set", url.Values{"url": {"https://hooks.example.ca/x"}, "batch": {"5"}})},
		{name: "ministry-endpoint-rotated", as: "moh", prepare: givenUp, open: pressed(healthCard+"/endpoint", "rotate", url.Values{"keep": {"24"}})},
		{name: "ministry-undelivered", as: "moh", open: goTo(healthCard + "/undelivered")},
		{name: "ministry-undelivered-parked", as: "moh", prepare: givenUp, open: goTo(healthCard + "/undelivered")},
		{name: "ministry-replay-pull", as: "library", open: goTo("/streams/library.membership/replay")},
		{name: "ministry-replay", as: "moh", open: goTo(healthCard + "/replay")},
		{name: "ministry-replay-problem", as: "moh", open: goTo(healthCard+"/replay?how=cursor&from=x&where=side", http.StatusUnprocessableEntity)},
		{name: "ministry-replay-counted", as: "moh", open: goTo(healthCard + "/replay?how=count&last=5&where=side")},
		{name: "ministry-replay-under-way", as: "moh", open: func(_ *scene, b *browser, lang string) *sheet {
			path := "/" + lang + healthCard + "/replay"
			b.post(path, b.get(path+"?how=count&last=5&where=side", http.StatusOK).hidden(), http.StatusOK)
			return b.get(path, http.StatusOK)
		}},
		{name: "ministry-drafts", as: "moh", open: goTo("/drafts")},
		{name: "ministry-draft-about", as: "moh", open: draftAt("")},
		{name: "ministry-draft-about-problem", as: "moh", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.post(b.post("/"+lang+"/drafts", nil, http.StatusOK).path, nil, http.StatusUnprocessableEntity)
		}},
		{name: "ministry-draft-fields", as: "moh", open: draftAt("about")},
		{name: "ministry-draft-why", as: "moh", open: draftAt("fields")},
		{name: "ministry-draft-basis", as: "moh", open: draftAt("why")},
		{name: "ministry-draft-basis-problem", as: "moh", open: func(s *scene, b *browser, lang string) *sheet {
			return b.post(draftAt("why")(s, b, lang).path, nil, http.StatusUnprocessableEntity)
		}},
		{name: "ministry-draft-check", as: "moh", open: draftAt("basis")},
		{name: "ministry-draft-submitted", as: "moh", prepare: ownHub, open: func(_ *scene, b *browser, lang string) *sheet {
			check := b.drafted(lang)
			form := check.form("submit")
			form.Set("way", "pull")
			return b.post(check.path, form, http.StatusOK)
		}},
		{name: "ministry-links", as: "moh", open: goTo(healthCard + "/links")},
		{name: "ministry-links-problem", as: "moh", open: func(_ *scene, b *browser, lang string) *sheet {
			return b.upload("/"+lang+healthCard+"/links", map[string]string{"command": newID()}, "list", `{"client_reference":"a"}`, http.StatusUnprocessableEntity)
		}},
		{name: "ministry-links-done", as: "moh", open: func(_ *scene, b *browser, lang string) *sheet {
			const nobody = `{"client_reference":"c-1","given_names":"Sam","family_name":"Nobody","birth_date":"1990-01-02"}`
			return b.upload("/"+lang+healthCard+"/links", map[string]string{"command": newID()}, "list", nobody, http.StatusOK)
		}},
	}
}

// pressed presses a button of a form, having filled in some of it.
func (b *browser) pressed(path, do string, fill url.Values, status int) *sheet {
	b.t.Helper()
	form := b.get(path, http.StatusOK).form(do)
	for name, values := range fill {
		form[name] = values
	}
	return b.post(path, form, status)
}

func pressed(path, do string, fill url.Values) func(*scene, *browser, string) *sheet {
	return func(_ *scene, b *browser, lang string) *sheet {
		b.t.Helper()
		return b.pressed("/"+lang+path, do, fill, http.StatusOK)
	}
}

// draftAt is a draft that is filled in up to a step, at the page after it.
func draftAt(step string) func(*scene, *browser, string) *sheet {
	return func(_ *scene, b *browser, lang string) *sheet {
		page := b.post("/"+lang+"/drafts", nil, http.StatusOK)
		for _, one := range draftOrder {
			if step == "" {
				break
			}
			if page = b.post(page.path, draftForms()[one], http.StatusOK); one == step {
				break
			}
		}
		return page
	}
}

// tellsAgain is Zoë moving once more, which no ministry has read yet.
func tellsAgain(t *testing.T, s *scene) {
	b := s.as(t, "en", "zoe")
	b.post("/en/address/home", with(address(), "street", "5 Third St"), http.StatusOK)
	b.post("/en/address/home/check", b.post("/en/address/home/who", nil, http.StatusOK).hidden(), http.StatusOK)
}

// bare is a hub that offers a ministry nothing beside reading.
func bare(t *testing.T, s *scene) {
	s.config.Console = web.Console{}
	s.serve(t)
}

func paused(t *testing.T, s *scene) {
	require.NoError(t, s.delivery.Pause(context.Background(), ministryActor("moh"), journal.CommandID{}, "moh.health-card"))
}

// handsOver gives the library a synthetic event, its second.
func handsOver(t *testing.T, s *scene) {
	ctx := context.Background()
	require.NoError(t, s.delivery.Synthesize(ctx, ministryActor("library"), journal.CommandID{}, "library.membership", 1, ""))
	page, err := s.delivery.Next(ctx, "library.membership", 0, 1, 10, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
}

// givenUp is a ministry whose endpoint refuses everything.
func givenUp(t *testing.T, s *scene) {
	ctx := context.Background()
	require.NoError(t, s.delivery.SetEndpoint(ctx, ministryActor("moh"), journal.CommandID{}, journal.EndpointSet{
		Stream: "moh.health-card", Kind: journal.EndpointWebhook, URL: "https://hooks.example.ca/x", Secret: "x@1", Signature: journal.SignatureHMAC, Batch: 1,
	}))
	s.push(t, failing{"http-500"}, func() bool {
		ranges, err := s.delivery.Parked(ctx, "moh.health-card")
		return err == nil && len(ranges) >= 2
	})
}
