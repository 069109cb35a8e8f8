package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// taker is a ministry's endpoint that refuses every tenth number the first time it comes alone.
type taker struct {
	t *testing.T

	mu      sync.Mutex
	refused map[string]bool
	bodies  map[string]string // by cursor, as it first came
	last    map[string]string // by subject: the sequence of the event that came last for the first time
	wrong   []string
}

// batched is what a taker looks at.
type batched struct{ ID, Sequence, Subject, Kind string }

func (k *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // the hub was killed as it sent: nothing is taken
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if bytes.HasPrefix(body, []byte("{")) { // a challenge: events come in batches
		var challenge struct{ Data struct{ Challenge string } }
		_ = json.Unmarshal(body, &challenge)
		_, _ = io.WriteString(w, challenge.Data.Challenge)
		return
	}
	var events []json.RawMessage
	k.mu.Lock()
	defer k.mu.Unlock()
	if json.Unmarshal(body, &events) != nil {
		k.wrong = append(k.wrong, "a body that is no batch")
		return
	}
	for _, text := range events {
		var e batched
		_ = json.Unmarshal(text, &e)
		if strings.HasSuffix(e.Sequence, "3") && !k.refused[e.ID] {
			if len(events) == 1 { // of a batch nobody knows which one it was
				k.refused[e.ID] = true
			}
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	for _, text := range events {
		k.take(string(text))
	}
}

func (k *taker) take(text string) {
	var e batched
	_ = json.Unmarshal([]byte(text), &e)
	before, again := k.bodies[e.ID]
	switch {
	case again && before != text && e.Kind != "recalled":
		k.wrong = append(k.wrong, e.ID+" has two contents")
	case !again && e.Subject != "":
		if e.Sequence < k.last[e.Subject] { // zero-padded
			k.wrong = append(k.wrong, fmt.Sprintf("%s came after %s", e.ID, k.last[e.Subject]))
		}
		k.last[e.Subject] = e.Sequence
	}
	if !again {
		k.bodies[e.ID] = text
	}
}

func (k *taker) wait(n int) {
	k.t.Helper()
	require.Eventually(k.t, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.bodies) >= n
	}, 5*time.Minute, 20*time.Millisecond, "events did not come")
}

// TestCouriersThroughKills imports while the hub that pushes to an endpoint is killed again and again, and the endpoint refuses every tenth event
// once: everything arrives, each person's events in order, and what comes twice has the same bytes.
func TestCouriersThroughKills(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		const stream = "mto.licensing"
		k := &taker{t: t, refused: map[string]bool{}, bodies: map[string]string{}, last: map[string]string{}}
		server := httptest.NewServer(k)
		t.Cleanup(server.Close)
		p.env = append(p.env, "TELLONCE_WEBHOOK_ALLOW_LOOPBACK=true")
		p.sandbox()
		hub := p.serve()
		p.run("stream", "endpoint", "set", stream, "--url", server.URL+"/hook", "--batch", "50")
		importing := p.command("import", "--clock", "told", absolute(t, samples+"full/changes.ndjson"))
		require.NoError(t, importing.Start())
		for kills := 1; kills <= 2; kills++ { // each waits for the lease of who was killed
			k.wait(40 * kills)
			hub.kill()
			hub = p.serve()
		}
		require.NoError(t, importing.Wait())
		pulled := p.readUntil(stream, 200)
		k.wait(len(pulled))
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
		require.Empty(t, k.wrong)
		for _, line := range pulled {
			var e batched
			require.NoError(t, json.Unmarshal([]byte(line), &e))
			require.Contains(t, k.bodies, e.ID)
			if e.Kind != "recalled" { // it may have left before it was
				require.Equal(t, line, k.bodies[e.ID])
			}
		}
	})
}
