package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestACitizenSeesWhatTheyTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	b.told("ann", move("2 Second St"))
	me := b.call("GET", "/v1/me", "ann", nil)
	require.Equal(t, http.StatusOK, me.status, me.text)
	facts := me.body["facts"].([]any)
	require.Len(t, facts, 2, "the latest of each kind")
	home := facts[0].(object)
	require.Equal(t, "address-changed", home["type"])
	require.Equal(t, "home", home["key"])
	require.Equal(t, "asserted", home["assurance"])
	require.Equal(t, "2 Second St "+canary, home["data"].(object)["street"])
	require.Equal(t, "verified", facts[1].(object)["assurance"], "registered by the registrar")
	links := me.body["links"].([]any)
	require.Len(t, links, 1)
	require.Equal(t, "moh-ann", links[0].(object)["client_reference"])
}

func TestConsentsAreGivenAndWithdrawn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	state := func() object {
		list := b.call("GET", "/v1/me/consents", "ann", nil)
		require.Equal(t, http.StatusOK, list.status)
		return byAgreement(list.body["consents"])["outdoors-card"]
	}
	require.Equal(t, false, state()["granted"])

	got := b.call("PUT", "/v1/me/consents/outdoors-card", "ann", nil)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, state()["shares"], state()["fields"], "no fields: all that it shares")
	since := state()["since"]
	require.Equal(t, got.body["position"], since)

	key := uuid.NewString()
	narrow := b.call("PUT", "/v1/me/consents/outdoors-card", "ann", object{"fields": []any{"city"}, "language": "fr"}, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, narrow.status, narrow.text)
	head := b.head()
	require.Equal(t, narrow.text, b.call("PUT", "/v1/me/consents/outdoors-card", "ann", object{"language": "fr", "fields": []any{"city"}}, "Idempotency-Key", key).text)
	require.Equal(t, head, b.head())
	require.Equal(t, []any{"city"}, state()["fields"])
	require.Equal(t, since, state()["since"], "a replaced grant continues")
	reused := b.call("DELETE", "/v1/me/consents/outdoors-card", "ann", nil, "Idempotency-Key", key)
	require.Equal(t, http.StatusConflict, reused.status)

	b.told("ann", move("1 Outdoors St"))
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/streams/mnr.outdoors-card/events", "mnr", nil).status)
	key = uuid.NewString()
	gone := b.call("DELETE", "/v1/me/consents/outdoors-card", "ann", nil, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, gone.status)
	require.NotEmpty(t, gone.body["in_flight_until"])
	handed := gone.body["handed_over"].([]any)
	require.Len(t, handed, 1, "to whom something had been handed over")
	require.Equal(t, "mnr", handed[0].(object)["ministry"])
	require.Equal(t, 1.0, handed[0].(object)["events"])
	require.Equal(t, gone.text, b.call("DELETE", "/v1/me/consents/outdoors-card", "ann", nil, "Idempotency-Key", key).text)
	require.Equal(t, false, state()["granted"])

	for name, c := range map[string]struct {
		method, path string
		body         any
		status       int
		code         string
		pointers     []string
	}{
		"withdrawn already":    {"DELETE", "/v1/me/consents/outdoors-card", nil, 422, "no-such-grant", []string{}},
		"an unknown agreement": {"PUT", "/v1/me/consents/none", nil, 422, "unknown-agreement", []string{}},
		"a statute":            {"PUT", "/v1/me/consents/mof-tax", nil, 422, "not-by-consent", []string{}},
		"a field not shared":   {"PUT", "/v1/me/consents/outdoors-card", object{"fields": []any{"city", canary}}, 422, "unknown-field", []string{"/fields/1"}},
		"no fields":            {"PUT", "/v1/me/consents/outdoors-card", object{"fields": []any{}}, 422, "schema", []string{"/fields"}},
		"a field of no text":   {"PUT", "/v1/me/consents/outdoors-card", object{"fields": []any{1}}, 422, "schema", []string{"/fields/0"}},
		"another member":       {"PUT", "/v1/me/consents/outdoors-card", object{canary: 1}, 422, "schema", []string{""}},
		"no JSON":              {"PUT", "/v1/me/consents/outdoors-card", "x", 400, "malformed-json", []string{}},
		"an unknown ministry":  {"PUT", "/v1/me/links/none", object{"client_reference": "1"}, 422, "unknown-ministry", []string{}},
		"no reference":         {"PUT", "/v1/me/links/moh", object{}, 422, "schema", []string{""}},
		"no such reference":    {"PUT", "/v1/me/links/moh", object{"client_reference": "é"}, 422, "schema", []string{"/client_reference"}},
		"not linked":           {"DELETE", "/v1/me/links/mto", nil, 422, "not-linked", []string{}},
	} {
		head := b.head()
		got := b.call(c.method, c.path, "ann", c.body)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
		require.Equal(t, head, b.head(), name)
	}
	require.Equal(t, http.StatusBadRequest, b.call("DELETE", "/v1/me/links/moh", "ann", nil, "Idempotency-Key", "1").status)
	require.Equal(t, http.StatusOK, b.call("DELETE", "/v1/me/links/moh", "ann", nil).status)
	require.Empty(t, b.call("GET", "/v1/me", "ann", nil).body["links"])
}

func TestACitizenSeesWhoSaw(t *testing.T) {
	t.Parallel()
	b := setup(t)
	number := b.told("ann", move("1 First St"))
	outcome := func() object {
		got := b.call("GET", "/v1/me/receipts/"+number, "ann", nil)
		require.Equal(t, http.StatusOK, got.status)
		return byAgreement(got.body["decisions"])["moh-health-card"]
	}
	require.Equal(t, "shared", outcome()["result"])
	require.NotContains(t, outcome(), "status", "permission is not yet disclosure")

	events := b.call("GET", "/v1/streams/moh.health-card/events", "moh", nil)
	require.Equal(t, http.StatusOK, events.status)
	require.Equal(t, "sent", outcome()["status"])
	require.Equal(t, http.StatusNoContent, b.call("POST", "/v1/streams/moh.health-card/receipts", "moh",
		[]any{object{"from": "1.0.1", "to": "1.0.1", "status": "applied"}}).status)
	require.Equal(t, "applied", outcome()["status"])
	require.NotEmpty(t, outcome()["status_at"])
	require.NotContains(t, outcome(), "answer")
	require.Equal(t, http.StatusNoContent, b.call("POST", "/v1/streams/moh.health-card/receipts", "moh",
		[]any{object{"from": "1.0.1", "to": "1.0.1", "status": "rejected", "reason": "Unknown client"}}).status)
	require.Equal(t, []any{"rejected", "Unknown client"}, []any{outcome()["status"], outcome()["answer"]})

	search := object{"reason": "Complaint 7", "case": "7", "person": object{"source": "registry", "reference": "ann"}}
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/audit/searches", "officer", search).status)
	seen := b.call("GET", "/v1/me/disclosures", "ann", nil)
	require.Equal(t, http.StatusOK, seen.status)
	lines := seen.body["disclosures"].([]any)
	require.Len(t, lines, 2)
	var look, disclosure object
	for _, line := range lines {
		if l, ok := line.(object)["look"].(object); ok {
			look = l
		}
		if d, ok := line.(object)["disclosure"].(object); ok {
			disclosure = d
		}
	}
	require.Equal(t, object{"role": "officer", "kind": "search", "reason": "Complaint 7", "case": "7"}, look)
	require.Equal(t, "rejected", disclosure["status"])
	require.Equal(t, "moh", disclosure["ministry"])
	require.Equal(t, "address-changed", disclosure["type"])
	require.Contains(t, disclosure["fields"], "street")
	require.Empty(t, b.call("GET", "/v1/me/disclosures", "ben", nil).body["disclosures"])
}
