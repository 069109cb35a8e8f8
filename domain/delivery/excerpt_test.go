package delivery_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/webhook"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// TestWhatAnEndpointSaidDiesWithThePerson: its words stand nowhere in clear, and nobody reads them after the erasure of whom its event was about.
// Those about others, and about nobody, stay.
func TestWhatAnEndpointSaidDiesWithThePerson(t *testing.T) {
	courierTest(t, 3, 1, func(t *testing.T, r *rounds) {
		said := delivery.Outcome{Code: "http-422", Excerpt: "deceased according to our own register"}
		require.NoError(t, r.delivery.Synthesize(r.ctx, operator, journal.CommandID{}, r.stream, 1, ""))
		r.tell(0, 1, 2)
		r.answers(func([]delivery.Message) delivery.Outcome { return said })
		r.endpoint(1)
		r.courier("one")
		time.Sleep(time.Second)
		held, err := r.delivery.Held(r.ctx, r.stream)
		require.NoError(t, err)
		require.Len(t, held, 4)
		for _, h := range held {
			require.Equal(t, said.Excerpt, h.Excerpt, h.Number)
		}
		r.until(func() bool { return len(r.parked()) == 4 })
		require.Equal(t, slices.Repeat([]string{said.Excerpt}, 4), r.excerpts(1, 2, 3, 4))
		for _, row := range r.courierRows() {
			require.NotContains(t, string(row.Value), "deceased")
		}

		_, err = r.journal.DestroyKeys(r.ctx, r.people[1], eventstore.Facts)
		require.NoError(t, err)
		require.Equal(t, []string{said.Excerpt, said.Excerpt, "", said.Excerpt}, r.excerpts(1, 2, 3, 4))
		require.Empty(t, r.parked()[2].Excerpt)
		require.Equal(t, "http-422", r.parked()[2].Code)
	})
}

// TestABatchIsNotQuoted: what is said of many may be about any of them, and must not outlive one under another's key.
func TestABatchIsNotQuoted(t *testing.T) {
	courierTest(t, 3, 1, func(t *testing.T, r *rounds) {
		r.tell(0, 1, 2)
		r.answers(func(messages []delivery.Message) delivery.Outcome {
			return delivery.Outcome{Code: "http-503", Excerpt: fmt.Sprint("so many: ", len(messages)), Down: true}
		})
		r.endpoint(10)
		r.courier("one")
		time.Sleep(time.Second)
		require.Equal(t, []string{"1,2,3 http-503"}, r.requests())
		require.Equal(t, []string{"", "", ""}, r.excerpts(1, 2, 3))
		time.Sleep(time.Minute)
		require.Contains(t, r.excerpts(1, 2, 3), "so many: 1", "of a single one it is kept")
	})
}

// courierRows is all that the courier of lane 0 has noted.
func (r *rounds) courierRows() []eventstore.Row {
	r.Helper()
	rows, err := r.journal.Store().Scan(r.ctx, "courier/"+r.stream+"/0", nil, nil, 0, false)
	require.NoError(r, err)
	require.NotEmpty(r, rows)
	return rows
}

// oneSecret is a keys directory that holds one.
type oneSecret struct{}

func (oneSecret) Read(string) ([]byte, error) {
	return []byte("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))), nil
}

// TestAnEchoStandsNowhere: an endpoint that repeats what it was sent, however it spells it, leaves nothing of it: not on the log, not in a view,
// not in what the ministry and operators are shown.
func TestAnEchoStandsNowhere(t *testing.T) {
	t.Parallel()
	const canary = "Zanzibarquist & Fils d’Érôme"
	spellings := map[string]func(string) string{
		"as it is": func(s string) string { return s }, "upper case": strings.ToUpper, "lower case": strings.ToLower,
		"base64":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 url":  func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"base64 word": func(string) string { return base64.StdEncoding.EncodeToString([]byte("Zanzibarquis")) },
		"url-encoded": url.QueryEscape, "url path": url.PathEscape, "html-escaped": html.EscapeString, "quoted": func(s string) string { return fmt.Sprintf("%+q", s) },
		"hex":       func(s string) string { return hex.EncodeToString([]byte(s)) },
		"in pieces": func(s string) string { return strings.Join(regexp.MustCompile(`.{1,5}`).FindAllString(s, -1), " ") },
		"in a word": func(s string) string { return "x" + strings.ReplaceAll(s, " ", "x") + "x" },
		"its half":  func(s string) string { return s[:9] },
	}
	for name, spell := range spellings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, journaltest.New(t, journaltest.Options{}))
			server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
				body, _ := io.ReadAll(in.Body)
				out.WriteHeader(http.StatusUnprocessableEntity)
				if bytes.Contains(body, []byte("Zanzibarquist")) {
					_, _ = io.WriteString(out, "unfit: "+spell(canary))
				}
			}))
			defer server.Close()
			w.move(canary)
			w.parkedBy(server.URL)

			parked, err := w.delivery.Parked(w.ctx, "s.statute")
			require.NoError(t, err)
			require.Len(t, parked, 1)
			shown := parked[0].Excerpt
			require.Contains(t, shown, "unfit: ")
			// What is left is ours, or a letter of an escape.
			rest := regexp.MustCompile(`unfit|amp|[A-Za-z]{1,2}\b|[^A-Za-z0-9]`).ReplaceAllString(shown, "")
			require.Empty(t, rest, shown)

			w.nowhere("Zanzib", "zanzib", "ZANZIB", "barquist", "WmFu", "emliYX", "5a616e", spell(canary))
		})
	}
}

// parkedBy pushes the statute's stream to an endpoint until an event is parked.
func (w *world) parkedBy(url string) {
	w.Helper()
	client, err := webhook.New(webhook.Config{Secrets: oneSecret{}, Loopback: true})
	require.NoError(w, err)
	defer client.Close()
	endpoint := hook("s.statute", url)
	endpoint.Batch = 1
	require.NoError(w, w.delivery.SetEndpoint(w.ctx, operator, journal.CommandID{}, endpoint))
	couriers, err := delivery.NewCouriers(delivery.CourierConfig{
		Delivery: w.delivery, Poster: client, Owner: "one", Logger: slog.New(slog.DiscardHandler), Schedule: []time.Duration{0, time.Millisecond},
	})
	require.NoError(w, err)
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	done := make(chan error, 1)
	go func() { done <- couriers.Run(ctx) }()
	err = eventstore.Follow(ctx, w.journal.Store(), w.journal.Store(), 0, 1000, func(page []eventstore.Recorded) error {
		if slices.ContainsFunc(page, func(r eventstore.Recorded) bool { return r.Type == journal.TypeParked }) {
			return io.EOF
		}
		return nil
	})
	cancel()
	<-done
	require.ErrorIs(w, err, io.EOF, "nothing was parked")
}

// nowhere requires that no record of the log, as it lies there, and no row of a view holds one of the texts.
func (w *world) nowhere(texts ...string) {
	w.Helper()
	recs, err := w.journal.Store().ReadAll(w.ctx, 0, 10_000)
	require.NoError(w, err)
	rows, err := w.journal.Store().Scan(w.ctx, "courier/s.statute/0", nil, nil, 0, false)
	require.NoError(w, err)
	require.NotEmpty(w, rows)
	for _, text := range texts {
		for i := range recs {
			require.NotContains(w, string(recs[i].Payload), text, recs[i].Type)
		}
		for _, row := range rows {
			require.NotContains(w, string(row.Value), text)
		}
		for key, value := range w.rows() {
			require.NotContains(w, value, text, key)
		}
	}
}
