package httpapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	secrets "github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/adapters/webhook"
	"github.com/tellonce/hub/domain/journal"
)

// endpoints are the hub's own, with a client that may reach this machine alone.
func (b *bundle) endpoints() *webhook.Endpoints {
	b.t.Helper()
	b.roots = x509.NewCertPool()
	vault := secrets.Endpoints(b.t.TempDir())
	client, err := webhook.New(webhook.Config{Secrets: vault, Loopback: true, Roots: b.roots})
	require.NoError(b.t, err)
	b.t.Cleanup(client.Close)
	return &webhook.Endpoints{Delivery: b.delivery, Client: client, Vault: vault, BaseURL: b.journal.Genesis().BaseURL}
}

// hook is a ministry's server over TLS, which echoes challenges.
func (b *bundle) hook() string {
	b.t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Data struct {
				Challenge string `json:"challenge"`
			} `json:"data"`
		}
		_ = json.NewDecoder(r.Body).Decode(&event)
		_, _ = io.WriteString(w, event.Data.Challenge)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	b.t.Cleanup(server.Close)
	b.roots.AddCert(server.Certificate())
	return server.URL + "/hook"
}

const endpointPath = "/v1/streams/" + health + "/endpoint"

func TestAnEndpointOverTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hook := b.hook()
	require.Equal(t, object{"stream": health}, b.call("GET", endpointPath, "moh", nil).body)
	id := uuid.NewString()
	first := b.call("PUT", endpointPath, "moh", object{"url": hook, "batch": 50}, "Idempotency-Key", id)
	require.Equal(t, http.StatusOK, first.status, first.text)
	require.True(t, strings.HasPrefix(first.body["secret"].(string), "whsec_"))
	b.contract.check(t, first.body, "paths", "/v1/streams/{stream}/endpoint", "put", "responses", "200", "content", "application/json")
	again := b.call("PUT", endpointPath, "moh", object{"url": hook, "batch": 50}, "Idempotency-Key", id)
	require.Equal(t, first.text, again.text, "a repeat is answered alike")
	require.Len(t, b.events(journal.TypeEndpointSet), 1)
	shown := b.call("GET", endpointPath, "operator", nil)
	require.Equal(t, object{"stream": health, "url": hook, "batch": 50.0, "signature": "v1"}, shown.body)
	require.Equal(t, object{}, b.call("PUT", endpointPath, "moh", object{"url": hook}).body, "what it has already is not told again")

	rotated := b.call("POST", endpointPath+"/secret", "moh", nil)
	require.Equal(t, http.StatusOK, rotated.status, rotated.text)
	require.NotEqual(t, first.body["secret"], rotated.body["secret"])
	require.NotEmpty(t, rotated.body["former_until"])
	rotated = b.call("POST", endpointPath+"/secret", "moh", object{"keep_hours": 0})
	require.NotContains(t, rotated.body, "former_until", "the former one ended at once")

	asymmetric := b.call("PUT", endpointPath, "moh", object{"url": hook, "signature": "v1a"})
	require.True(t, strings.HasPrefix(asymmetric.body["public_key"].(string), "whpk_"), asymmetric.text)
	require.Equal(t, []any{asymmetric.body["public_key"]}, b.call("GET", endpointPath, "moh", nil).body["public_keys"])

	require.Equal(t, http.StatusNoContent, b.call("DELETE", endpointPath, "moh", nil, "Idempotency-Key", uuid.NewString()).status)
	require.Equal(t, http.StatusNoContent, b.call("DELETE", endpointPath, "moh", nil).status)
	require.Equal(t, object{"stream": health}, b.call("GET", endpointPath, "moh", nil).body)
	for _, line := range strings.Split(b.logs.String(), "\n") {
		require.NotContains(t, line, "whsec_")
		require.NotContains(t, line, "/hook")
	}
}

func TestEndpointsThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hook := b.hook()
	for name, c := range map[string]struct {
		body     any
		status   int
		code     string
		pointers []string
	}{
		"no address":           {object{}, 422, "schema", []string{""}},
		"inside the network":   {object{"url": "https://10.0.0.1/"}, 422, "endpoint", []string{"/url"}},
		"nobody answers":       {object{"url": "https://127.0.0.1:1/"}, 422, "endpoint", []string{"/url"}},
		"a batch of none":      {object{"url": hook, "batch": 0}, 422, "schema", []string{"/batch"}},
		"a batch too large":    {object{"url": hook, "batch": 1001}, 422, "endpoint", []string{"/batch"}},
		"an unknown signature": {object{"url": hook, "signature": "v2"}, 422, "schema", []string{"/signature"}},
		"a bad secret":         {object{"url": hook, "secret": canary}, 422, "endpoint", []string{"/secret"}},
		"a secret for v1a":     {object{"url": hook, "secret": canary, "signature": "v1a"}, 422, "endpoint", []string{"/secret"}},
		"no challenge":         {object{"url": hook, "challenge": false}, 422, "endpoint", []string{"/challenge"}},
		"an unknown member":    {object{"url": hook, canary: 1}, 422, "schema", []string{""}},
	} {
		head := b.head()
		got := b.call("PUT", endpointPath, "moh", c.body)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
		require.Equal(t, head, b.head(), name)
	}
	none := b.call("POST", endpointPath+"/secret", "moh", nil)
	require.Equal(t, "endpoint", none.code(), "there is none to rotate the secret of")
	require.Equal(t, http.StatusOK, b.call("PUT", endpointPath, "moh", object{"url": hook}).status)
	for _, body := range []object{{"keep_hours": 721}, {"keep_hours": -1}, {"secret": "whsec_"}, {"x": 1}} {
		require.Equal(t, http.StatusUnprocessableEntity, b.call("POST", endpointPath+"/secret", "moh", body).status, body)
	}
	require.Equal(t, http.StatusBadRequest, b.call("PUT", endpointPath, "moh", object{"url": hook}, "Idempotency-Key", "x").status)
}

func TestAnEndpointIsItsMinistrys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hook := b.hook()
	for token, status := range map[string]int{"moh": 200, "operator": 200, "mto": 403, "ann": 403, "officer": 403, "": 401} {
		require.Equal(t, status, b.call("PUT", endpointPath, token, object{"url": hook}).status, token)
		require.Equal(t, status, b.call("GET", endpointPath, token, nil).status, token)
		require.Equal(t, status, b.call("POST", endpointPath+"/secret", token, nil).status, token)
		gone := status
		if status == 200 {
			gone = 204
		}
		require.Equal(t, gone, b.call("DELETE", endpointPath, token, nil).status, token)
	}
	require.Equal(t, http.StatusNotFound, b.call("PUT", "/v1/streams/no.such/endpoint", "moh", object{"url": hook}).status)
	require.Equal(t, http.StatusNotFound, b.call("GET", "/v1/streams/no.such/endpoint", "moh", nil).status)
}
