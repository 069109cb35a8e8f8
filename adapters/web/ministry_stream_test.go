package web_test

import (
	"bytes"
	"context"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

func TestStreamsPageSaysHowItStands(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	stopped := false
	p.config.Console.Stopped = func(string) bool { return stopped }
	p.serve(t)
	p.tell(t)
	m := p.as(t, "en", "moh")
	path := "/en/streams/moh.health-card"
	page := m.get(path, http.StatusOK)
	page.says("Events wait", "Health card", "Last answer for good Never", "not sent to an address", "tellonce.moh.health-card", "Nothing has happened yet",
		"tellonce stream pause moh.health-card", p.server.URL+"/v1/streams/moh.health-card/pause")
	p.clock.now.Add(int64(3 * time.Hour))
	m.get(path, http.StatusOK).says("3 hours")
	p.answers(t, "moh.health-card", "applied")
	m.get(path, http.StatusOK).says("Up to date", "100%", "1.0.1–1.0.2: Applied", "Your ministry", "November 25, 2026, 17:05")

	stopped = true
	m.get(path, http.StatusOK).says("Stopped", "An alert stands")
	paused := m.post(path, page.form("pause"), http.StatusOK)
	paused.says("The stream is paused.", "Paused", "Resume this stream", "tellonce stream resume moh.health-card")
	_, err := p.delivery.Next(context.Background(), "moh.health-card", 0, 0, 10, 0)
	require.ErrorIs(t, err, delivery.ErrPaused)
	m.get(path+"/0", http.StatusConflict).says("This stream is paused")
	m.post(path+"/0", url.Values{"do": {"read"}}, http.StatusConflict).says("This stream is paused")
	m.get(path+"/try/pull", http.StatusOK).says("This stream is paused")
	m.post(path, paused.form("resume"), http.StatusOK).says("The stream goes on.", "Pause this stream")
	m.post(path, page.form("pause"), http.StatusOK) // the same form again is the same command
	m.get(path, http.StatusOK).says("Pause this stream")
	p.as(t, "fr", "moh").get("/fr/streams/moh.health-card", http.StatusOK).says("Arrêté", "Mettre ce flux en pause", "100\u00a0%")
	p.quiet(t)
}

func TestConsoleIsTheStreamsMinistrysAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	m := p.as(t, "en", "moh")
	refused := p.count(t, journal.TypeAccessRefused)
	for i, below := range []string{"", "/undelivered", "/replay", "/endpoint", "/links"} {
		m.get("/en/streams/library.membership"+below, http.StatusForbidden)
		m.post("/en/streams/library.membership"+below, url.Values{"do": {"pause"}, "command": {newID()}}, http.StatusForbidden)
		require.Equal(t, refused+2*i+2, p.count(t, journal.TypeAccessRefused))
		p.as(t, "en", "zoe").get("/en/streams/moh.health-card"+below, http.StatusNotFound)
		refused++
	}
	for _, form := range []url.Values{{}, {"do": {"pause"}}, {"do": {"burn"}, "command": {newID()}}} {
		m.post("/en/streams/moh.health-card", form, http.StatusBadRequest)
		m.post("/en/streams/moh.health-card/undelivered", form, http.StatusBadRequest)
	}
	require.Zero(t, p.count(t, journal.TypeStreamPaused))
}

// failing is an endpoint that answers with a status, and with words that a page must not take for its own.
type failing struct{ code string }

func (f failing) Post(context.Context, journal.EndpointSet, []delivery.Message) delivery.Outcome {
	return delivery.Outcome{Code: f.code, Excerpt: "<b>no such client"}
}

// push lets couriers push until a condition holds.
func (p *pages) push(t *testing.T, poster delivery.Poster, until func() bool) {
	t.Helper()
	p.clock.now.Store(time.Now().Add(time.Hour).UnixNano()) // what may leave until a time has it left
	couriers, err := delivery.NewCouriers(delivery.CourierConfig{
		Delivery: p.delivery, Poster: poster, Owner: "test", Logger: slog.New(slog.DiscardHandler), Schedule: []time.Duration{time.Nanosecond},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- couriers.Run(ctx) }()
	require.Eventually(t, until, time.Minute, 20*time.Millisecond)
	stop()
	require.NoError(t, <-done)
}

func TestUndeliveredIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	p.tell(t)
	ctx, path := context.Background(), "/en/streams/moh.health-card/undelivered"
	m := p.as(t, "en", "moh")
	m.get(path, http.StatusOK).says("No event was given up.", "No event waits.")
	require.NoError(t, p.delivery.SetEndpoint(ctx, ministryActor("moh"), journal.CommandID{}, journal.EndpointSet{
		Stream: "moh.health-card", Kind: journal.EndpointWebhook, URL: "https://hooks.example.ca/x", Secret: "x@1", Signature: journal.SignatureHMAC, Batch: 1,
	}))
	parked := func() int {
		ranges, err := p.delivery.Parked(ctx, "moh.health-card")
		require.NoError(t, err)
		return len(ranges)
	}
	p.push(t, failing{"http-500"}, func() bool { return parked() == 2 })
	m = p.as(t, "en", "moh") // the clock went on: the session, too
	page := m.get(path, http.StatusOK)
	page.says("http-500 – 2 events", "It answered with status 500.", "no such client", "1.0.1", "1.0.2",
		"tellonce stream redrive moh.health-card 1.0.1..1.0.1", "tellonce stream redrive moh.health-card --all").saysNot("Elm St", "Church")
	m.get("/en/streams/moh.health-card", http.StatusOK).says("Events were given up", "2 events were given up.")
	form := url.Values{"do": {"one"}, "command": {newID()}, "from": {"1.0.1"}, "to": {"1.0.1"}}
	m.post(path, form, http.StatusOK).says("They are tried again.", "1 event")
	require.Equal(t, 1, parked())
	m.post(path, form, http.StatusOK) // the same form again is the same command
	for _, bad := range []url.Values{
		{"do": {"one"}, "command": {newID()}, "from": {"x"}, "to": {"1.0.1"}}, {"do": {"one"}, "command": {newID()}, "from": {"2.0.1"}, "to": {"2.0.1"}},
		{"do": {"one"}, "command": {newID()}, "from": {"1.0.2"}, "to": {"1.0.1"}}, {"do": {"one"}, "from": {"1.0.1"}, "to": {"1.0.1"}},
	} {
		m.post(path, bad, http.StatusBadRequest)
	}
	m.post(path, page.form("all"), http.StatusOK).says("They are tried again.", "No event was given up.")
	require.Zero(t, parked())
	m.post(path, url.Values{"do": {"all"}, "command": {newID()}}, http.StatusOK).says("There was nothing to try again.")
	p.as(t, "fr", "moh").get("/fr"+path[3:], http.StatusOK).says("Non livré")
	p.quiet(t)
}

func TestReplayIsCountedFirst(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	p.tell(t)
	p.answers(t, "moh.health-card", "applied")
	path := "/en/streams/moh.health-card/replay"
	m := p.as(t, "en", "moh")
	m.get(path, http.StatusOK).says("Which events?", "To the Kafka topic beside the stream").saysNot("To your webhook", "This would send")
	for query, c := range map[string]struct{ at, says string }{
		"how=cursor&where=side":                      {"from", "Enter the first number"},
		"how=cursor&from=1.0.9&where=side":           {"from", "numbers that this stream has given"},
		"how=cursor&from=1.0.2&to=1.0.1&where=side":  {"to", "a later number of the same lane"},
		"how=time&since=yesterday&where=side":        {"since", "a real date and time"},
		"how=count&last=0&where=side":                {"last", "Enter how many"},
		"how=prayer&where=side":                      {"how", "Choose which events"},
		"how=time&since=2026-12-24+18:00&where=side": {"", "nothing to send again"},
		"how=count&last=5&where=stream":              {"", "This stream is sent to no webhook"},
	} {
		wrong := m.get(path+"?"+query, http.StatusUnprocessableEntity)
		wrong.says("There is a problem", c.says)
		if c.at != "" {
			require.Contains(t, wrong.body, `<a href="#`+c.at+`">`, query)
		}
	}
	require.Zero(t, p.count(t, journal.TypeReplayAsked), "to count changes nothing")
	counted := m.get(path+"?how=count&last=5&where=side", http.StatusOK)
	counted.says("This would send 2 events, 0 recalled", "tellonce stream replay moh.health-card --last 5 --side --yes", `{"last":5,"side":true}`)
	m.get(path+"?how=cursor&from=1.0.2&where=side", http.StatusOK).says("This would send 1 event, 0 recalled", "--from 1.0.2 --side")
	m.get(path+"?how=time&since=2026-11-25+14:05&where=side", http.StatusOK).says("This would send 2 events", "--since 2026-11-25T19:05:00Z")
	form := counted.hidden()
	m.post(path, form, http.StatusOK).says("The events are on their way again.", "1.0.1–1.0.2 were asked for again.")
	m.post(path, form, http.StatusOK)
	require.Equal(t, 1, p.count(t, journal.TypeReplayAsked), "sent twice, it counts once")
	m.get(path, http.StatusOK).says("Replays to the topic beside the stream", "0 of 2")
	form.Set("command", newID())
	form.Set("last", "0")
	m.post(path, form, http.StatusBadRequest)
	p.as(t, "fr", "moh").get("/fr"+path[3:]+"?how=count&last=5&where=side", http.StatusOK).says("Ceci enverrait 2\u00a0événements, dont 0 rappelés")
	p.quiet(t)
}

// upload posts a form with a file.
func (b *browser) upload(path string, fields map[string]string, name, content string, status int) *sheet {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for field, value := range fields {
		require.NoError(b.t, w.WriteField(field, value))
	}
	if name != "" {
		part, err := w.CreateFormFile(name, "clients.ndjson")
		require.NoError(b.t, err)
		_, err = part.Write([]byte(content))
		require.NoError(b.t, err)
	}
	require.NoError(b.t, w.Close())
	response, err := b.client.Post(b.base+path, w.FormDataContentType(), &body)
	require.NoError(b.t, err)
	return b.read(response, status)
}

func TestClientsAreLinkedByAList(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.console(t)
	path := "/en/streams/moh.health-card/links"
	m := p.as(t, "en", "moh")
	page := m.get(path, http.StatusOK)
	page.says("Link your clients to stream moh.health-card", "clients.ndjson", "at most 4 MB")
	m.get("/en/streams/moh.health-card", http.StatusOK).says("Link your clients")
	fields := map[string]string{"command": page.field("command", "value")}
	line := func(reference, given, family, born string) string {
		return `{"client_reference":"` + reference + `","given_names":"` + given + `","family_name":"` + family + `","birth_date":"` + born + `"}`
	}
	for name, c := range map[string]struct{ field, content, says string }{
		"no file":      {"", "", "Choose the file with your list"},
		"an empty one": {"list", "\n", "Choose the file with your list"},
		"no JSON":      {"list", "Tremblay;Zoé", "Upload a JSON array, or one JSON object a line"},
		"a member":     {"list", `{"client_reference":"a","given_names":"Zoé","family_name":"Tremblay","birth_date":"17 May"}`, "Line 1: check birth_date"},
		"one too many": {"list", strings.Replace(line("a", "Zoé", "Tremblay", "1980-05-17"), "{", `{"sin":"x",`, 1), "has a member that is not asked for"},
	} {
		wrong := m.upload(path, fields, c.field, c.content, http.StatusUnprocessableEntity)
		wrong.says("There is a problem", c.says)
		require.Contains(t, wrong.body, `<a href="#list">`, name)
		require.NotContains(t, wrong.text, "17 May", name)
	}
	before := p.count(t, journal.TypeAccessed)
	list := line("c-1", "Sam", "Nobody", "1990-01-02") + "\n" + line("c-2", "Luc", "Fournier", "1975-03-02") + "\n"
	done := m.upload(path, fields, "list", list, http.StatusOK)
	done.says("Your list was taken.", "Lines that linked nobody", "c-1", "Unknown").saysNot("Nobody", "1990-01-02")
	require.Equal(t, before+1, p.count(t, journal.TypeAccessed), "a list is a look")
	m.upload(path, fields, "list", "["+line("c-3", "Sam", "Nobody", "1990-01-02")+"]", http.StatusBadRequest) // the same form, another list
	fields["command"] = newID()
	m.upload(path, fields, "list", strings.Repeat(" ", 5<<20), http.StatusRequestEntityTooLarge)
	m.post(path, url.Values{"command": {newID()}}, http.StatusBadRequest)
	p.as(t, "en", "library").get("/en/streams/library.membership/links", http.StatusNotFound)
	p.as(t, "fr", "moh").get("/fr"+path[3:], http.StatusOK).says("Relier votre clientèle")
	p.quiet(t)
}

func newID() string { return uuid.NewString() }

func ministryActor(id string) journal.Actor {
	return journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: id, Ministry: id}
}
