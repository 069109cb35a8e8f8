package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// hook is a ministry's endpoint over TLS. It answers challenges, and keeps what comes.
type hook struct {
	t      *testing.T
	server *httptest.Server
	ca     string // PEM file of who signs its certificate

	mu     sync.Mutex
	events map[string]hooked // by cursor
	came   chan struct{}     // gets a token when something comes
}

// hooked is an event with the request that brought it.
type hooked struct {
	body   string
	header http.Header
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{t: t, events: map[string]hooked{}, came: make(chan struct{}, 1)}
	h.server = httptest.NewTLSServer(h)
	t.Cleanup(h.server.Close)
	h.ca = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})
	require.NoError(t, os.WriteFile(h.ca, text, 0o600))
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var event struct {
		ID   string
		Type string
		Data struct{ Challenge string }
	}
	if err != nil || json.Unmarshal(body, &event) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if event.Type == "tellonce.challenge.v1" {
		_, _ = io.WriteString(w, event.Data.Challenge)
		return
	}
	h.mu.Lock()
	h.events[event.ID] = hooked{string(body), r.Header}
	h.mu.Unlock()
	select {
	case h.came <- struct{}{}:
	default:
	}
}

// wait returns what came once there are so many events.
func (h *hook) wait(n int) map[string]hooked {
	h.t.Helper()
	late := time.After(2 * time.Minute)
	for {
		h.mu.Lock()
		if len(h.events) >= n {
			defer h.mu.Unlock()
			out := map[string]hooked{}
			for id, event := range h.events {
				out[id] = event
			}
			return out
		}
		h.mu.Unlock()
		select {
		case <-h.came:
		case <-late:
			require.FailNow(h.t, "events did not come")
		}
	}
}

func (h *hook) verifies(secret string, event hooked) bool {
	judge, err := standardwebhooks.NewWebhook(secret)
	require.NoError(h.t, err)
	return judge.Verify([]byte(event.body), event.header) == nil
}

// TestAWebhookThroughTheCommands: an endpoint is set from a terminal while the hub runs, gets the bytes that pull gives, each with the
// signature of a secret that stands in the keys directory alone; a rotated secret signs beside the former one; once removed, nothing comes.
func TestAWebhookThroughTheCommands(t *testing.T) {
	t.Parallel()
	proxied := make(chan struct{}, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied <- struct{}{} }))
	t.Cleanup(proxy.Close)
	places(t, func(t *testing.T, p *place) {
		const stream = "mto.licensing"
		hook := newHook(t)
		p.env = append(p.env, "HTTPS_PROXY="+proxy.URL, "TELLONCE_WEBHOOK_CA="+hook.ca, "TELLONCE_WEBHOOK_ALLOW_LOOPBACK=true")
		p.sandbox()
		hub := p.serve()
		require.Equal(t, "mto.licensing is pushed to no endpoint.\n", p.text("stream", "endpoint", "show", stream))
		set := objects(t, p.run("stream", "endpoint", "set", stream, "--url", hook.server.URL+"/hook"))[0]
		secret := set["secret"].(string)
		p.importPart(0, 150)
		pulled := len(p.readUntil(stream, 1))
		hook.wait(pulled)

		former := secret
		rotated := objects(t, p.run("stream", "endpoint", "rotate-secret", stream, "--keep", "1h"))[0]
		secret = rotated["secret"].(string)
		require.NotEmpty(t, rotated["former_until"])
		require.NotEmpty(t, p.holders(strings.TrimPrefix(secret, "whsec_")), "the search finds what is there")
		// A hub that runs takes the new secret up within moments; one that starts has it.
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
		hub = p.serve()
		p.importPart(150, 300)
		want := 0
		for _, event := range fileObjects(t, samples+"small/streams.ndjson") {
			if event["stream"] == stream {
				want++
			}
		}
		all := p.readUntil(stream, want)
		came := hook.wait(len(all))
		for i, line := range all {
			var event struct{ ID, Kind string }
			require.NoError(t, json.Unmarshal([]byte(line), &event))
			if event.Kind != "recalled" { // it may have left before it was
				require.Equal(t, line, came[event.ID].body, "the same bytes as pull")
			}
			require.True(t, hook.verifies(former, came[event.ID]), "the former secret still verifies")
			if i >= pulled {
				require.True(t, hook.verifies(secret, came[event.ID]))
			}
		}
		p.run("stream", "endpoint", "remove", stream)
		require.Equal(t, []map[string]any{{"stream": stream}}, objects(t, p.run("stream", "endpoint", "show", stream)))
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
		require.Empty(t, proxied, "no proxy is asked")
		for _, hidden := range []string{former, secret} {
			hidden = strings.TrimPrefix(hidden, "whsec_")
			require.NotContains(t, hub.stderr.String(), hidden)
			require.Empty(t, p.holders(hidden), "no secret stands on the log, nor anywhere once the endpoint is gone")
		}
	})
}

// readUntil reads a stream's lines until there are so many: a read that meets the push may end before it.
func (p *place) readUntil(stream string, n int) (lines []string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		lines = strings.Split(strings.TrimSpace(p.run("stream", "read", stream)), "\n")
		return lines[0] != "" && len(lines) >= n
	}, 2*time.Minute, 10*time.Millisecond)
	return lines
}

// text runs a command that must succeed, for its text.
func (p *place) text(args ...string) string {
	p.t.Helper()
	return p.run(append(args, "--output", "text")...)
}

// importPart tells lines of the small sample set.
func (p *place) importPart(from, to int) {
	p.t.Helper()
	text, err := os.ReadFile(samples + "small/changes.ndjson")
	require.NoError(p.t, err)
	lines := bytes.SplitAfter(text, []byte("\n"))
	_, errs, code := p.try(bytes.NewReader(bytes.Join(lines[from:to], nil)), "import", "--clock", "told", "-")
	require.Equal(p.t, 0, code, errs)
}

// holders are the files below the place's folder that hold a text.
func (p *place) holders(text string) (out []string) {
	p.t.Helper()
	require.NoError(p.t, filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func TestWhatAnEndpointCannotBe(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	hook := newHook(t)
	const stream = "mto.licensing"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no address":                {nil, "--url"},
		"inside the network":        {[]string{"--url", "https://169.254.169.254/latest/meta-data"}, "--url must not be an address inside a network"},
		"loopback without the flag": {[]string{"--url", hook.server.URL}, "--url must not be an address inside a network"},
		"an unknown certificate":    {[]string{"--url", hook.server.URL, "--webhook-allow-loopback"}, "(tls)"},
		"nobody there":              {[]string{"--url", "https://127.0.0.1:1", "--webhook-allow-loopback"}, "(refused)"},
		"a batch of none":           {[]string{"--url", hook.server.URL, "--webhook-allow-loopback", "--batch", "-1"}, "--batch"},
		"a certificate half":        {[]string{"--url", "https://hooks.example.ca/", "--webhook-cert", "x"}, "go together"},
		"a network that is none":    {[]string{"--url", "https://hooks.example.ca/", "--webhook-allow-network", "10"}, "is no network"},
		"a network that is public":  {[]string{"--url", "https://hooks.example.ca/", "--webhook-allow-network", "0.0.0.0/0"}, "no part of a private network"},
		"an empty secret":           {[]string{"--url", "https://hooks.example.ca/", "--secret-file", "/dev/null"}, "empty"},
	} {
		_, errs, code := p.try(nil, append([]string{"stream", "endpoint", "set", stream}, c.args...)...)
		require.NotEqual(t, 0, code, name)
		require.Contains(t, errs, c.want, name)
	}
	_, errs, code := p.try(nil, "stream", "endpoint", "set", "no.such", "--url", "https://hooks.example.ca/")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "stream list")
	p.run("stream", "endpoint", "set", stream, "--url", "https://hooks.example.ca/", "--no-challenge")
	require.Contains(t, p.run("stream", "endpoint", "show", stream), `"url":"https://hooks.example.ca/"`)

	production := &place{t: t, dir: t.TempDir()}
	production.run("init", "--public-url", "https://hub.example.ca")
	_, errs, code = production.try(nil, "serve", "--webhook-allow-loopback")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "for a sandbox")
}
