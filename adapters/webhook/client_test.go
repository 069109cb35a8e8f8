package webhook

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

func TestAnEventIsPosted(t *testing.T) {
	t.Parallel()
	b := setup(t, answer(http.StatusNoContent))
	one := message(42)
	require.Equal(t, delivery.Outcome{}, b.post(one))
	seen := b.seen()
	require.Len(t, seen, 1)
	require.Equal(t, string(one.Structured()), string(seen[0].body), "the same bytes as every other way")
	require.Equal(t, "application/cloudevents+json; charset=utf-8", seen[0].header.Get("Content-Type"))
	require.Equal(t, "1.0.42", seen[0].header.Get("webhook-id"))
	judge, err := standardwebhooks.NewWebhook(b.secret.text())
	require.NoError(t, err)
	require.NoError(t, judge.Verify(seen[0].body, seen[0].header))
	require.Error(t, judge.Verify(append(seen[0].body, ' '), seen[0].header), "the judge judges")
	require.Equal(t, 1, testutil.CollectAndCount(b.client.duration))
}

func TestABatchIsPosted(t *testing.T) {
	t.Parallel()
	b := setup(t, answer(http.StatusOK))
	b.endpoint.Batch = 10
	require.Empty(t, b.post(message(7), message(8), message(9)).Code)
	require.Empty(t, b.post(message(10)).Code)
	seen := b.seen()
	for i, want := range []struct {
		id     string
		events int
	}{{"1.0.7..1.0.9", 3}, {"1.0.10", 1}} {
		require.Equal(t, "application/cloudevents-batch+json; charset=utf-8", seen[i].header.Get("Content-Type"))
		require.Equal(t, want.id, seen[i].header.Get("webhook-id"))
		var events []map[string]any
		require.NoError(t, json.Unmarshal(seen[i].body, &events))
		require.Len(t, events, want.events)
	}
	require.Equal(t, seen[0].remote, seen[1].remote, "the connection is used again")
}

// While two secrets are valid, a ministry that knows either can verify; when the old one has ended, only the new one signs.
func TestTwoSecrets(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := setupWith(t, answer(http.StatusOK), func(c *Config) { c.Clock = func() time.Time { return now } }, func(*tls.Config, *authority) {})
	old := b.secret
	fresh := made(t, journal.SignatureHMAC)
	old.until = now.Add(time.Hour)
	b.secrets.texts[secretName] = formatSecrets([]secret{fresh, old})
	verifies := func(s secret, r received) bool {
		judge, err := standardwebhooks.NewWebhook(s.text())
		require.NoError(t, err)
		return judge.VerifyIgnoringTimestamp(r.body, r.header) == nil
	}
	require.Empty(t, b.post(message(1)).Code)
	now = now.Add(time.Hour)
	require.Empty(t, b.post(message(1)).Code)
	seen := b.seen()
	require.True(t, verifies(fresh, seen[0]) && verifies(old, seen[0]))
	require.True(t, verifies(fresh, seen[1]))
	require.False(t, verifies(old, seen[1]))
}

func TestEd25519(t *testing.T) {
	t.Parallel()
	b := setup(t, answer(http.StatusOK))
	key := made(t, journal.SignatureEd25519)
	b.secrets.texts[secretName] = formatSecrets([]secret{key})
	require.Empty(t, b.post(message(1)).Code)
	seen := b.seen()[0]
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key.verifier(), "whpk_"))
	require.NoError(t, err)
	signature, ok := strings.CutPrefix(seen.header.Get("webhook-signature"), "v1a,")
	require.True(t, ok)
	raw, err := base64.StdEncoding.DecodeString(signature)
	require.NoError(t, err)
	content := seen.header.Get("webhook-id") + "." + seen.header.Get("webhook-timestamp") + "." + string(seen.body)
	require.True(t, ed25519.Verify(public, []byte(content), raw))
	require.NotContains(t, key.verifier(), base64.StdEncoding.EncodeToString(key.private[:16]))
}

// TestHowAnEndpointFails: every way in which a real server fails has its word, within a bounded time, and nothing of the events in it.
func TestHowAnEndpointFails(t *testing.T) {
	t.Parallel()
	hijack := func(fn func(net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				fn(conn)
				_ = conn.Close()
			}
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    delivery.Outcome
	}{
		"slow headers": {func(_ http.ResponseWriter, r *http.Request) { until(r) }, delivery.Outcome{Code: "timeout", Down: true}},
		"headers that never end": {hijack(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(conn, "X-More: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}), delivery.Outcome{Code: "network", Down: true}},
		"a slow body of a 200": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			until(r)
		}, delivery.Outcome{}},
		"a slow body of a 500": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "broken")
			_ = http.NewResponseController(w).Flush()
			until(r)
		}, delivery.Outcome{Code: "http-500", Excerpt: "broken"}},
		"a body that never ends": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write([]byte(strings.Repeat(canary+" ", 1000))); err != nil {
					return
				}
			}
		}, delivery.Outcome{}},
		"a reset":             {hijack(func(conn net.Conn) { _ = conn.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0) }), delivery.Outcome{Code: "reset", Down: true}},
		"closed at once":      {hijack(func(net.Conn) {}), delivery.Outcome{Code: "reset", Down: true}},
		"half an answer":      {hijack(func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 20") }), delivery.Outcome{Code: "network", Down: true}},
		"no HTTP":             {hijack(func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n\r\n") }), delivery.Outcome{Code: "network", Down: true}},
		"a redirect":          {answer(http.StatusTemporaryRedirect, "Location", "/elsewhere"), delivery.Outcome{Code: "redirect"}},
		"moved for good":      {answer(http.StatusMovedPermanently, "Location", "https://127.0.0.1:1/"), delivery.Outcome{Code: "redirect"}},
		"gone":                {answer(http.StatusGone), delivery.Outcome{Code: "gone", Gone: true}},
		"too many":            {answer(http.StatusTooManyRequests, "Retry-After", "120"), delivery.Outcome{Code: "http-429", Down: true, RetryAfter: 2 * time.Minute}},
		"unavailable":         {answer(http.StatusServiceUnavailable), delivery.Outcome{Code: "http-503", Down: true}},
		"a bad gateway":       {answer(http.StatusBadGateway), delivery.Outcome{Code: "http-502", Down: true}},
		"a gateway's timeout": {answer(http.StatusGatewayTimeout), delivery.Outcome{Code: "http-504", Down: true}},
		"an event refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"error":"unknown street: 1 `+canary+` St","subject":"P-1","code":417}`)
		}, delivery.Outcome{Code: "http-422", Excerpt: `{"error":"unknown *: * * *","*":"*-*","code":*}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, c.handler, func(c *Config) {
				if name == "slow headers" {
					c.Timeout = 300 * time.Millisecond
				}
			}, func(*tls.Config, *authority) {})
			got := b.post(message(1))
			require.Equal(t, c.want, got)
			require.Len(t, b.seen(), 1, "asked once, at one place")
			require.NotContains(t, fmt.Sprintf("%+v", got), canary)
		})
	}
}

// Of an answer without end little is read, and one that dawdles is left before the request's time is over.
func TestAnAnswerIsBounded(t *testing.T) {
	t.Parallel()
	written := make(chan int, 1)
	b := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		sent := 0
		for chunk := make([]byte, 32<<10); ; {
			n, err := w.Write(chunk)
			if sent += n; err != nil {
				written <- sent
				return
			}
		}
	})
	require.Empty(t, b.post(message(1)).Code)
	require.Less(t, <-written, 16<<20, "what the sockets hold, and no more")

	b = setup(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		until(r)
	})
	ctx, cancel := context.WithTimeout(context.Background(), delivery.D)
	defer cancel()
	require.Empty(t, b.client.Post(ctx, b.endpoint, []delivery.Message{message(1)}).Code)
	require.NoError(t, ctx.Err())
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour)
	plain := func(*tls.Config, *authority) {}
	for name, c := range map[string]struct {
		change func(*Config)
		server func(*tls.Config, *authority)
		code   string
	}{
		"of another host": {func(*Config) {}, func(s *tls.Config, a *authority) {
			s.Certificates = []tls.Certificate{a.issue(t, soon, "hooks.example.ca")}
		}, "tls"},
		"expired": {func(*Config) {}, func(s *tls.Config, a *authority) {
			s.Certificates = []tls.Certificate{a.issue(t, time.Now().Add(-time.Minute), "127.0.0.1")}
		}, "tls"},
		"of an unknown authority": {func(c *Config) { c.Roots = x509.NewCertPool() }, plain, "tls"},
		"an old TLS":              {func(*Config) {}, func(s *tls.Config, _ *authority) { s.MinVersion, s.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "tls"},
		"the hub's is wanted":     {func(*Config) {}, func(s *tls.Config, a *authority) { s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, a.pool }, "tls"},
		"as it should be":         {func(*Config) {}, plain, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, answer(http.StatusOK), c.change, c.server)
			require.Equal(t, delivery.Outcome{Code: c.code, Down: c.code != ""}, b.post(message(1)))
			require.Equal(t, c.code == "", len(b.seen()) == 1, "nothing is said to whom we do not know")
		})
	}
}

func TestTheHubHasACertificate(t *testing.T) {
	t.Parallel()
	var own tls.Certificate
	b := setupWith(t, answer(http.StatusOK), func(c *Config) {
		c.Certificate = func() (*tls.Certificate, error) { return &own, nil }
	}, func(s *tls.Config, a *authority) {
		s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, a.pool
		own = a.issue(t, time.Now().Add(time.Hour), "hub.example.ca")
	})
	require.Equal(t, delivery.Outcome{}, b.post(message(1)))
}

func TestNothingIsSentWithoutASecret(t *testing.T) {
	t.Parallel()
	b := setup(t, answer(http.StatusOK))
	for _, text := range []string{"", "whsec_c2hvcnQ=", "whsk_AAAA"} {
		b.secrets.texts[secretName] = []byte(text)
		require.Equal(t, delivery.Outcome{Code: "secret-missing", Down: true}, b.post(message(1)))
	}
	delete(b.secrets.texts, secretName)
	require.Equal(t, delivery.Outcome{Code: "secret-missing", Down: true}, b.post(message(1)))
	require.Empty(t, b.seen())
}

func TestADeadEndpoint(t *testing.T) {
	t.Parallel()
	b := setup(t, answer(http.StatusOK))
	b.server.Close()
	require.Equal(t, delivery.Outcome{Code: "refused", Down: true}, b.post(message(1)))
	b.endpoint.URL = "https://no-such-host.invalid/hook"
	require.Equal(t, delivery.Outcome{Code: "dns", Down: true}, b.post(message(1)))
}

// The hub that stops is not the endpoint's fault.
func TestStopping(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	b := setup(t, func(_ http.ResponseWriter, r *http.Request) { close(arrived); until(r) })
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan delivery.Outcome)
	go func() { done <- b.client.Post(ctx, b.endpoint, []delivery.Message{message(1)}) }()
	<-arrived
	stop()
	require.Equal(t, delivery.Outcome{Code: "stopped", Down: true}, <-done)
}

// A proxy from the environment would see what leaves, and would reach what the guard refuses.
func TestNoProxyIsAsked(t *testing.T) {
	asked := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	b := setup(t, answer(http.StatusOK))
	require.Empty(t, b.post(message(1)).Code)
	require.Nil(t, b.client.transport.Proxy, "for a loopback address no proxy is asked by Go's own rule, so its being unset is looked at, too")
	require.False(t, asked)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"120":                             2 * time.Minute,
		" 5 ":                             5 * time.Second,
		"86400":                           24 * time.Hour,
		"86401":                           24 * time.Hour,
		"99999999999999999999999999":      24 * time.Hour,
		"-5":                              0,
		"1.5":                             0,
		"soon":                            0,
		"Tue, 01 Dec 2026 12:00:30 GMT":   30 * time.Second,
		"Tue, 01 Dec 2026 11:00:00 GMT":   0,
		"Wed, 01 Dec 2027 12:00:00 GMT":   24 * time.Hour,
		"Tuesday, 01-Dec-26 12:00:30 GMT": 30 * time.Second,
	} {
		require.Equal(t, want, retryAfter(text, now), text)
	}
}

func TestFailureNamesNothing(t *testing.T) {
	t.Parallel()
	require.Equal(t, "network", failure(context.Background(), errors.New(canary)))
}
