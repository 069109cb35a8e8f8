package web_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// TestAReceiptSaysWhatPutItRight, and to whom a wrong value was taken back; "my details" says so, too.
func TestAReceiptSaysWhatPutItRight(t *testing.T) {
	t.Parallel()
	p := setup(t)
	first := p.tell(t)
	ctx := context.Background()
	_, err := p.delivery.Next(ctx, "library.membership", 0, 0, 100, 0)
	require.NoError(t, err)
	b := p.as(t, "en", "zoe")
	b.get("/en/receipts/"+first, http.StatusOK).saysNot("What was told about it later")

	moved := p.at(t, first)
	line := fmt.Sprintf(`{"id":"0b6c1b1e-5a0e-4d0e-9a51-0d7a5a2f1c22","person":"zoe","channel":"counter","told_at":"2026-11-24T15:00:00Z",`+
		`"type":"change-cancelled","effective":"2026-11-25","data":{"corrects":%d}}`, moved) + "\n"
	var position int64
	require.NoError(t, p.command.Import(ctx, strings.NewReader(line), command.ImportOptions{Source: "import"}, func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result)
		position = *r.Position
		return nil
	}, func() error { return nil }))
	_, err = p.delivery.Next(ctx, "library.membership", 0, 1, 100, 0)
	require.NoError(t, err)
	cancelled := p.receiptAt(t, position)

	b.get("/en/me", http.StatusOK).says("Cancellation (Address)", "Cancellation on November 25, 2026", "Told that something they had received is wrong")
	b.get("/en/receipts/"+first, http.StatusOK).says("What was told about it later", "Cancellation on November 25, 2026", "Receipt "+cancelled)
	b.get("/en/receipts/"+cancelled, http.StatusOK).says(
		"We have your change: Cancellation (Address)", "It is about what you told us on November 25, 2026", "Receipt "+first,
		"Who we told that it was wrong", "Public library Sent 14:05:01", "Nobody is told about this change.",
	).saysNot("It starts on", "We have your new address")
	b.get("/fr/receipts/"+cancelled, http.StatusOK).says("Annulation (Adresse)", "Qui nous avons informé de l’erreur")
	p.quiet(t)
}

// at is the position of what a receipt number of Zoë's stands for.
func (p *pages) at(t *testing.T, receipt string) int64 {
	t.Helper()
	told, err := p.config.Projection.Receipt(context.Background(), p.zoe, receipt)
	require.NoError(t, err)
	return told.Position
}

// receiptAt is the number that stands for what was told at a position.
func (p *pages) receiptAt(t *testing.T, position int64) string {
	t.Helper()
	entries, err := p.journal.Read(context.Background(), position)
	require.NoError(t, err)
	return journal.Receipt(entries[0].ID)
}

// live opens the events of a receipt's page and returns what comes, event by event.
func (b *browser) live(path string) (*http.Response, func() (kind, data string)) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path+"/live", nil)
	require.NoError(b.t, err)
	response, err := b.client.Do(request)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	return response, func() (kind, data string) {
		b.t.Helper()
		for lines.Scan() {
			switch line := lines.Text(); {
			case line == "" && kind != "":
				return kind, data
			case strings.HasPrefix(line, "event: "):
				kind = strings.TrimPrefix(line, "event: ")
			case strings.HasPrefix(line, "data: "):
				data += strings.TrimPrefix(line, "data: ") + "\n"
			}
		}
		return "end", ""
	}
}

// TestAReceiptKeepsItselfUpToDate until every ministry has answered for good.
func TestAReceiptKeepsItselfUpToDate(t *testing.T) {
	t.Parallel()
	for lang, words := range map[string][]string{"en": {"On its way", "Applied", "Rejected"}, "fr": {"En route", "Appliqué", "Refusé"}} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			number := p.tell(t)
			b := p.as(t, lang, "zoe")
			path := "/" + lang + "/receipts/" + number
			require.Contains(t, b.get(path, http.StatusOK).body, `data-live="`+path+`/live"`)
			response, next := b.live(path)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			require.Equal(t, policy, response.Header.Get("Content-Security-Policy"))
			kind, data := next()
			require.Equal(t, "status", kind)
			require.Contains(t, data, words[0])
			require.NotContains(t, data, words[1])

			p.answers(t, "moh.health-card", "applied")
			for !strings.Contains(data, words[1]) {
				kind, data = next()
				require.Equal(t, "status", kind)
			}
			for _, stream := range p.toldStreams(t, number) {
				p.answers(t, stream, "rejected")
			}
			for kind != "done" {
				require.NotEqual(t, "end", kind)
				if kind, data = next(); kind == "status" {
					require.NotContains(t, data, "<script")
				}
			}
			last := b.get(path, http.StatusOK).says(words[2])
			require.NotContains(t, last.body, "<script", "nothing is awaited any more")
			p.quiet(t)
		})
	}
}

// toldStreams are the streams that a change is given to.
func (p *pages) toldStreams(t *testing.T, number string) (out []string) {
	t.Helper()
	told, err := p.config.Projection.Receipt(context.Background(), p.zoe, number)
	require.NoError(t, err)
	for i := range told.Outcomes {
		if told.Outcomes[i].Reason == consent.None {
			out = append(out, told.Outcomes[i].Agreement.Stream)
		}
	}
	return out
}

// TestTheEventsOfAReceiptAreItsOwners, like its page; and they end with the session and with the hub.
func TestTheEventsOfAReceiptAreItsOwners(t *testing.T) {
	t.Parallel()
	p := setup(t)
	drain, stop := context.WithCancel(context.Background())
	p.config.Drain = drain
	p.server.Close()
	p.serve(t)
	number := p.tell(t)
	path := "/en/receipts/" + number
	p.as(t, "en", "luc").get(path+"/live", http.StatusNotFound)
	p.as(t, "en", "zoe").get("/en/receipts/AAAAAAAAAAAA/live", http.StatusNotFound)
	p.as(t, "en", "moh").get(path+"/live", http.StatusNotFound)
	require.Equal(t, "/en/sign-in", p.browser(t).get(path+"/live", http.StatusOK).path)

	_, next := p.as(t, "en", "zoe").live(path)
	kind, _ := next()
	require.Equal(t, "status", kind)
	p.config.Sessions.(*sessions).end()
	p.answers(t, "moh.health-card", "applied")
	kind, _ = next()
	require.Equal(t, "end", kind, "the session has ended")

	_, next = p.as(t, "en", "zoe").live(path)
	kind, _ = next()
	require.Equal(t, "status", kind)
	stop()
	kind, _ = next()
	require.Equal(t, "end", kind, "the hub stops")
}
