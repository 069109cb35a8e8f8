package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// endpoints stands for the webhooks of a hub: what answers the challenge is up to the test.
type endpoints struct {
	delivery *delivery.Delivery
	mu       sync.Mutex
	fault    *delivery.EndpointError
}

func (e *endpoints) Set(ctx context.Context, actor journal.Actor, command journal.CommandID, set journal.EndpointSet, _ string, _ bool) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault != nil {
		return "", e.fault
	}
	if set.URL == nobodyListens {
		return "", &delivery.EndpointError{Member: "url", Detail: "did not answer the challenge with its text (refused)"}
	}
	set.Kind, set.Secret = journal.EndpointWebhook, set.Stream+"@1"
	if set.Signature == journal.SignatureEd25519 {
		return "whpk_public", e.delivery.SetEndpoint(ctx, actor, command, set)
	}
	return "whsec_once", e.delivery.SetEndpoint(ctx, actor, command, set)
}

func (e *endpoints) Rotate(context.Context, journal.Actor, journal.CommandID, string, time.Duration, string) (string, time.Time, error) {
	return "whsec_another", time.Date(2026, 11, 26, 19, 0, 0, 0, time.UTC), nil
}

func (e *endpoints) Show(ctx context.Context, _ journal.Actor, stream string) (*journal.EndpointSet, []string, error) {
	settings, err := e.delivery.Settings(ctx, stream)
	if err == nil && settings.Endpoint != nil && settings.Endpoint.Signature == journal.SignatureEd25519 {
		return settings.Endpoint, []string{"whpk_public"}, nil
	}
	return settings.Endpoint, nil, err
}

func (e *endpoints) Remove(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string) error {
	return e.delivery.SetEndpoint(ctx, actor, command, journal.EndpointSet{Stream: stream})
}

const nobodyListens = "https://nobody.example.ca/"

// console gives the pages all that a ministry's can have.
func (p *pages) console(t *testing.T) *endpoints {
	t.Helper()
	e := &endpoints{delivery: p.delivery}
	p.config.Console = web.Console{
		Endpoints: e, Loopback: true,
		Token: func(actor journal.Actor) (string, time.Time, error) {
			return "token-of-" + actor.Ministry, p.clock.Now().Add(time.Hour), nil
		},
		Kafka: func(stream string) []string {
			return map[string][]string{"moh.health-card": {"broker:9092"}}[stream]
		},
		Stopped: func(string) bool { return false },
	}
	p.serve(t)
	return e
}

// form is the page's hidden fields and one button.
func (s *sheet) form(do string) url.Values {
	f := url.Values{"do": {do}}
	for name, values := range s.hidden() {
		f[name] = values[:1]
	}
	return f
}

func TestFirstEventByPull(t *testing.T) {
	t.Parallel()
	for lang, says := range map[string][]string{
		"en": {"valid until November 25, 2026, 15:05", "You should see", "The event waits to be taken.", "Its number is 1.0.1", "It works"},
		"fr": {"jusqu’à ce moment\u00a0: le 25 novembre 2026, 15\u00a0h\u00a005", "Vous devriez voir", "L’événement attend qu’on le prenne.", "Son numéro est 1.0.1", "Cela fonctionne"},
	} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			p.console(t)
			m := p.as(t, lang, "library")
			m.get("/"+lang+"/streams/library.membership/try", http.StatusOK).says("Webhook", "Kafka")
			path := "/" + lang + "/streams/library.membership/try/pull"
			page := m.get(path, http.StatusOK)
			page.says(p.server.URL, says[1], `"`+p.server.URL+`/v1/streams/library.membership/events?wait=20s"`).saysNot("token-of-library")
			token := m.post(path, page.form("token"), http.StatusOK)
			token.says("(umask 077; echo 'token-of-library' > token)", says[0])
			m.get(path, http.StatusOK).saysNot("token-of-library") // it was shown once

			sent := m.post(path, page.form("send"), http.StatusOK)
			require.Equal(t, path+"?after=0", sent.path)
			sent.says(says[2])
			sent.saysNot(says[4])
			m.post(path, page.form("send"), http.StatusOK) // sent twice, it counts once
			require.Equal(t, 1, p.count(t, journal.TypeSyntheticAsked))

			ctx := context.Background()
			page1, err := p.delivery.Next(ctx, "library.membership", 0, 0, 10, 0)
			require.NoError(t, err)
			require.Len(t, page1.Messages, 1)
			given := m.get(sent.path, http.StatusOK)
			given.says(says[3], `-d '[{"from":"1.0.1","to":"1.0.1","status":"applied"}]' `+p.server.URL+"/v1/streams/library.membership/receipts")
			p.answers(t, "library.membership", "applied")
			m.get(sent.path, http.StatusOK).says(says[4])
			m.get(path, http.StatusOK).says("events?after=1.0.1&wait=20s") // another trial begins behind it
			p.quiet(t)
		})
	}
}

func TestFirstEventByWebhook(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	m := p.as(t, "en", "library")
	path := "/en/streams/library.membership/try/webhook"
	page := m.get(path, http.StatusOK)
	page.says("tellonce stream listen --addr 127.0.0.1:0 --secret-file secret", "listening").saysNot("public https addresses only")

	form := page.form("endpoint")
	form.Set("url", nobodyListens)
	refused := m.post(path, form, http.StatusUnprocessableEntity)
	refused.says("There is a problem", "Nothing was changed: the address did not answer the challenge. Nothing listens at that address.")
	require.Equal(t, nobodyListens, refused.field("url", "value"))
	require.Contains(t, refused.body, `<a href="#url">`)
	form = refused.form("endpoint")
	form.Set("url", "http://127.0.0.1:1/x")
	set := m.post(path, form, http.StatusOK)
	set.says("(umask 077; echo 'whsec_once' > secret)", "http://127.0.0.1:1/x")
	m.get(path, http.StatusOK).says("This stream is sent to http://127.0.0.1:1/x").saysNot("whsec_once")

	sent := m.post(path, set.form("send"), http.StatusOK)
	sent.says("The event waits to be taken.", "Your endpoint’s answer counts")
	p.clock.now.Store(time.Now().Add(time.Hour).UnixNano()) // what may leave until a time has it left
	couriers, err := delivery.NewCouriers(delivery.CourierConfig{Delivery: p.delivery, Poster: poster{}, Owner: "test", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- couriers.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	events := m.events(t, sent.path)
	require.Contains(t, events, "It works", "the page turns green by itself")
	m.get(sent.path, http.StatusOK).says("It works", "Its number is 1.0.1")
}

// poster is an endpoint that takes everything.
type poster struct{}

func (poster) Post(context.Context, journal.EndpointSet, []delivery.Message) delivery.Outcome {
	return delivery.Outcome{}
}

// events is what a page that keeps itself up to date is told, until nothing more is awaited.
func (b *browser) events(t *testing.T, path string) string {
	t.Helper()
	before, query, _ := strings.Cut(path, "?")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+before+"/live?"+query, nil)
	require.NoError(t, err)
	response, err := b.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // only read
	require.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "event: done")
	return string(text)
}

func TestKafkaIsTriedWhereItIs(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	m := p.as(t, "en", "moh")
	m.get("/en/streams/moh.health-card/try/kafka", http.StatusOK).says("kcat -b broker:9092 -t tellonce.moh.health-card -p 0 -C")
	p.as(t, "en", "library").get("/en/streams/library.membership/try/kafka", http.StatusOK).says("does not send this stream to Kafka").saysNot("kcat -b")
}

func TestTryPagesAreTheStreamsMinistrysAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	m := p.as(t, "en", "moh")
	for _, path := range []string{"/try", "/try/pull", "/try/webhook", "/endpoint", "/try/pull/live?after=0"} {
		m.get("/en/streams/library.membership"+path, http.StatusForbidden)
		m.get("/en/streams/nonsense"+path, http.StatusNotFound)
	}
	for _, path := range []string{"/try/pigeon", "/try/pull?after=x", "/try/pull?after=-1", "/try/pull/live", "/try/pigeon/live?after=0"} {
		m.get("/en/streams/moh.health-card"+path, http.StatusNotFound)
	}
	for _, form := range []url.Values{{}, {"do": {"token"}}, {"do": {"endpoint"}}, {"do": {"send"}}, {"do": {"send"}, "command": {"x"}, "last": {"0"}}} {
		m.post("/en/streams/moh.health-card/try/pull", form, http.StatusBadRequest)
	}
	m.get("/en/streams/moh.health-card/try/pull", http.StatusOK).says("tellonce token issue --role ministry --ministry moh").saysNot("Make a token")
	m.get("/en/streams/moh.health-card/endpoint", http.StatusOK).says("Webhooks are not set up on this hub")
	require.Zero(t, p.count(t, journal.TypeSyntheticAsked))
}

func TestEndpointOfAStream(t *testing.T) {
	t.Parallel()
	p := setup(t)
	e := p.console(t)
	m := p.as(t, "en", "moh")
	path := "/en/streams/moh.health-card/endpoint"
	page := m.get(path, http.StatusOK)
	page.says("not sent to an address", "tellonce stream endpoint set moh.health-card").saysNot("Change the secret")
	form := page.form("set")
	for name, c := range map[string]struct{ batch, at, says string }{
		"no number": {"x", "batch", "Enter a number from 1 to 1000"}, "too many": {"1001", "batch", "Enter a number from 1 to 1000"},
		"no address": {"1", "url", "Enter an address that the hub may send to"},
	} {
		e.fault = &delivery.EndpointError{Member: "url", Detail: "must begin with https://"}
		form.Set("url", "http://example.ca")
		form.Set("batch", c.batch)
		wrong := m.post(path, form, http.StatusUnprocessableEntity)
		wrong.says(c.says)
		require.Contains(t, wrong.body, `<a href="#`+c.at+`">`, name)
	}
	e.fault = nil
	form = page.form("set")
	form.Set("url", "https://hooks.example.ca/x")
	form.Set("batch", "50")
	form.Set("signature", "v1")
	set := m.post(path, form, http.StatusOK)
	set.says("answered the challenge", "whsec_once", "https://hooks.example.ca/x", "50")
	m.get(path, http.StatusOK).saysNot("whsec_once")
	form = set.form("rotate")
	form.Set("keep", "721")
	m.post(path, form, http.StatusUnprocessableEntity).says("0 to 720")
	form.Set("keep", "24")
	m.post(path, form, http.StatusOK).says("whsec_another", "stays valid until November 26, 2026, 14:00")
	m.post(path, set.form("remove"), http.StatusOK).says("Nothing is sent to an address any more.", "not sent to an address")
	form = set.form("set")
	form.Set("command", m.get(path, http.StatusOK).field("command", "value"))
	form.Set("url", "https://hooks.example.ca/x")
	form.Set("batch", "1")
	form.Set("signature", "v1a")
	m.post(path, form, http.StatusOK).says("whpk_public", "v1a: a public key")
	p.as(t, "fr", "moh").get("/fr"+path[3:], http.StatusOK).says("Clé publique", "Changer d’adresse")
	p.quiet(t)
}
