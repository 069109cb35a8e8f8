package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/httpapi"
	"github.com/tellonce/hub/domain/journal"
)

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := b.head()
	for path, method := range map[string]string{"/": "GET", "/v1": "GET", "/v1/nothing": "POST", "/docs": "GET", "/openapi.yaml": "GET", "/v1/me/receipts": "GET", "/metrics": "GET"} {
		got := b.call(method, path, "ann", nil)
		require.Equal(t, http.StatusNotFound, got.status, path)
		require.Equal(t, "not-found", got.code())
	}
	got := b.call("PATCH", "/v1/me/consents/x", "ann", nil)
	require.Equal(t, http.StatusMethodNotAllowed, got.status)
	require.Equal(t, "method-not-allowed", got.code())
	require.Equal(t, "DELETE, PUT", got.header.Get("Allow"))
	require.Equal(t, "POST", b.call("GET", "/v1/changes", "ann", nil).header.Get("Allow"))
	require.Equal(t, head, b.head(), "what no route has is nobody's thing")
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{"/v1/me", "/v1/agreements", "/nothing", feed, "/v1/streams"} {
		h := b.call("GET", path, "ann", nil).header
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Equal(t, "no-store", h.Get("Cache-Control"))
	}
	require.Contains(t, b.call("GET", "/schemas/address-changed/1", "", nil).header.Get("Cache-Control"), "public")
}

// TestNothingPersonalIsLogged plants a name in everything that a caller can send, and looks for it in everything that comes out but the
// answers to those whose it is.
func TestNothingPersonalIsLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	b.tell("ann", withData("street", "\u0007"+canary))
	b.tell("ann", with("type", canary))
	b.call("POST", "/v1/changes", "ann", `{"`+canary, "Idempotency-Key", canary)
	b.call("GET", "/v1/me/receipts/"+canary, "ann", nil)
	b.call("PUT", "/v1/me/links/"+canary, "ann", object{"client_reference": canary})
	b.call("GET", "/v1/streams/"+canary+"/events?after="+canary, "moh", nil)
	b.call("GET", feed+"?after="+canary, "moh", nil, "User-Agent", canary, "Referer", canary)
	b.call("GET", feed, "moh", nil)
	b.call("GET", "/v1/audit/decisions", "officer", nil, "X-Access-Reason", canary)
	b.call("POST", "/v1/audit/searches", "officer", object{"reason": canary, "person": object{"source": "registry", "reference": canary}})
	b.call("GET", "/"+canary, "ann", nil)
	b.call(strings.ToUpper(canary), "/v1/me", "ann", nil)
	logs, metrics := b.logs.String(), b.scrape()
	require.Greater(t, strings.Count(logs, "\n"), 15)
	require.Contains(t, metrics, `tellonce_http_requests_total{class="2xx",route="POST /v1/changes"} 1`)
	require.Contains(t, metrics, `tellonce_http_requests_total{class="4xx",route="none"} 2`)
	for _, secret := range []string{canary, strings.ToUpper(canary), "Kenora", b.people["ann"].String(), "officer-1", "moh-ann"} {
		require.NotContains(t, logs, secret)
		require.NotContains(t, metrics, secret)
	}
	for line := range strings.Lines(logs) {
		var members object
		require.NoError(t, json.Unmarshal([]byte(line), &members))
		if members["msg"] == "request" {
			require.ElementsMatch(t, []string{"time", "level", "msg", "method", "route", "status", "duration_ms", "role"}, keys(members))
		}
	}
}

func keys(o object) (out []string) {
	for name := range o {
		out = append(out, name)
	}
	return out
}

func (b *bundle) scrape() string {
	b.t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(b.metrics, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestTheSameCommandAtTheSameTimeCountsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := len(b.events("address-changed"))
	key := uuid.NewString()
	answers := make([]response, 16)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = b.call("POST", "/v1/changes", "ann", move("1 First St"), "Idempotency-Key", key) })
	}
	all.Wait()
	for _, got := range answers {
		require.Equal(t, http.StatusAccepted, got.status, got.text)
		require.Equal(t, answers[0].text, got.text)
	}
	require.Len(t, b.events("address-changed"), before+1)
}

func TestABugIs500WithoutDetail(t *testing.T) {
	t.Parallel()
	logs := &buffer{}
	b := setup(t)
	api, err := httpapi.New(httpapi.Config{ // no rooms behind it: the routes panic
		Journal: b.journal, Logger: slog.New(slog.NewJSONHandler(logs, nil)), Registerer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(journal.WithActor(context.Background(), b.actors["ann"]), http.MethodGet, "/v1/me", nil)
	api.ServeHTTP(w, r)
	b.checkAnswer("GET", "/v1/me", response{status: w.Code, header: w.Header(), text: w.Body.String(), body: decoded(t, w.Body.Bytes())})
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "nil")
	require.Contains(t, logs.String(), `"msg":"a request panicked"`)
	require.Contains(t, logs.String(), `"status":500`)
}

func decoded(t *testing.T, text []byte) (out object) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

func TestAStoreThatIsGoneIsA503OrA500AndLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.journal.Store().Close())
	got := b.call("GET", "/v1/me", "ann", nil)
	require.Equal(t, http.StatusServiceUnavailable, got.status, got.text)
	require.Equal(t, "1", got.header.Get("Retry-After"))
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := httpapi.New(httpapi.Config{Journal: b.journal, Logger: slog.New(slog.DiscardHandler), Registerer: b.metrics})
	require.Error(t, err)
}

func TestTheOperatorsEndpoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var failure error
	var logs bytes.Buffer
	handler := httpapi.Operator(httpapi.OperatorConfig{
		Gatherer: b.metrics, Ready: func(context.Context) error { return failure }, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, path, nil))
		return w
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		require.Equal(t, http.StatusOK, get("GET", path).Code, path)
	}
	failure = errors.New("the database at db-7.internal does not answer")
	require.Equal(t, http.StatusOK, get("GET", "/healthz").Code, "alive is not ready")
	w := get("GET", "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Body.String(), "db-7")
	require.Contains(t, logs.String(), "db-7")
	require.Regexp(t, regexp.MustCompile(`tellonce_http_requests_total\{class="2xx",route="[A-Z]+ /v1/`), get("GET", "/metrics").Body.String())
	require.Equal(t, http.StatusMethodNotAllowed, get("POST", "/metrics").Code)
	require.Equal(t, http.StatusNotFound, get("GET", "/v1/me").Code)
}
