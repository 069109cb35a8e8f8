package httpapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

func (b *bundle) search(body object) response {
	b.t.Helper()
	return b.call("POST", "/v1/audit/searches", "officer", body)
}

func TestALookIsAnEventBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	number := b.told("ann", move("1 First St"))
	b.told("ben", move("1 First St"))
	ann := object{"source": "registry", "reference": "ann"}
	for name, body := range map[string]object{
		"by reference": {"reason": "Complaint 7 " + canary, "case": "2026-7", "person": ann},
		"by receipt":   {"reason": "Complaint 7 " + canary, "case": "2026-7", "receipt": strings.ToLower(number)},
	} {
		head := b.head()
		got := b.search(body)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.text)
		require.EqualValues(t, head+1, got.body["look"])
		looks := b.events(journal.TypeAccessed)
		look := looks[len(looks)-1]
		require.Equal(t, b.people["ann"], look.Subject, name)
		require.Equal(t, "officer-1", look.Meta.Actor)
		require.Equal(t, "Complaint 7 "+canary, look.Event.(journal.Accessed).Reason)
		require.Equal(t, "2026-7", look.Event.(journal.Accessed).Case)

		changes := got.body["changes"].([]any)
		require.Len(t, changes, 2, name)
		change := changes[0].(object)
		require.Equal(t, number, change["receipt"])
		require.Equal(t, "address-changed", change["type"])
		require.NotContains(t, got.text, "Kenora", "an officer sees why, not what")
		why := byAgreement(change["decisions"])
		require.Equal(t, "shared", why["moh-health-card"]["result"])
		require.Equal(t, "no-grant", why["library-membership"]["reason"])
		require.NotEqual(t, why["library-membership"]["explain"].(object)["en"], why["library-membership"]["explain"].(object)["fr"])
		require.NotEmpty(t, why["moh-health-card"]["law"])
	}
	require.Equal(t, http.StatusOK, b.call("GET", feed, "moh", nil).status)
	why := byAgreement(b.search(object{"reason": "x", "receipt": number}).body["changes"].([]any)[0].(object)["decisions"])
	require.Equal(t, "sent", why["moh-health-card"]["status"])

	head := b.head()
	nobody := b.search(object{"reason": "x", "person": object{"source": "registry", "reference": canary}})
	require.Equal(t, http.StatusNotFound, nobody.status)
	require.Equal(t, head+2, b.head(), "to have asked for nobody is a look, and a refused access")
}

func TestBadSearchesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	person := object{"source": "registry", "reference": "ann"}
	for name, c := range map[string]struct {
		body     object
		code     string
		pointers []string
	}{
		"no reason":         {object{"person": person}, "schema", []string{""}},
		"a blank reason":    {object{"person": person, "reason": "  "}, "reason", []string{}},
		"a long reason":     {object{"person": person, "reason": strings.Repeat("é", 501)}, "reason", []string{}},
		"a reason of no":    {object{"person": person, "reason": 7}, "schema", []string{"/reason"}},
		"two questions":     {object{"person": person, "receipt": "000000000000", "reason": "x"}, "schema", []string{""}},
		"a short receipt":   {object{"receipt": canary, "reason": "x"}, "schema", []string{"/receipt"}},
		"no reference":      {object{"person": object{}, "reason": "x"}, "schema", []string{"/person"}},
		"a negative place":  {object{"from": -1, "reason": "x"}, "schema", []string{"/from"}},
		"a place of text":   {object{"from": "1", "reason": "x"}, "schema", []string{"/from"}},
		"half a place":      {object{"from": 1.5, "reason": "x"}, "schema", []string{"/from"}},
		"an unknown member": {object{"reason": "x", canary: 1}, "schema", []string{""}},
	} {
		head := b.head()
		got := b.search(c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
		require.Equal(t, head, b.head(), name)
	}
}

func TestSearchesShowAPageAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 120 {
		b.told("ann", move("1 First St"))
	}
	all := b.decisions("officer", "", "application/json")
	var collected []any
	body, pages := object{"reason": "x"}, 0
	for ; pages < 100; pages++ {
		got := b.search(body)
		require.Equal(t, http.StatusOK, got.status, got.text)
		page := got.body["decisions"].([]any)
		require.Less(t, len(page), 120)
		collected = append(collected, page...)
		if got.body["next"] == nil {
			break
		}
		body["from"] = got.body["next"]
	}
	require.Equal(t, all, collected)
	require.Greater(t, pages, 5)

	body = object{"reason": "x", "person": object{"source": "registry", "reference": "ann"}}
	first := b.search(body)
	require.Len(t, first.body["changes"], 100)
	body["from"] = first.body["next"]
	rest := b.search(body)
	require.Len(t, rest.body["changes"], 21, "the registration is one of them")
	require.Nil(t, rest.body["next"])
	require.EqualValues(t, body["from"], rest.body["changes"].([]any)[0].(object)["position"])

	stream := b.search(object{"reason": "x", "stream": health}).body["decisions"].([]any)
	require.Len(t, stream, 100)
	require.Equal(t, health, stream[0].(object)["stream"])
}

// decisions reads a list of decisions.
func (b *bundle) decisions(token, query, accept string) (out []any) {
	b.t.Helper()
	got := b.call("GET", "/v1/audit/decisions"+query, token, nil, "X-Access-Reason", url.PathEscape("Contrôle 100 %"), "Accept", accept)
	require.Equal(b.t, http.StatusOK, got.status, got.text)
	require.Equal(b.t, accept, got.header.Get("Content-Type"))
	if accept == "application/json" {
		require.NoError(b.t, json.Unmarshal([]byte(got.text), &out))
		return out
	}
	for line := range strings.Lines(got.text) {
		var one any
		require.NoError(b.t, json.Unmarshal([]byte(line), &one))
		out = append(out, one)
	}
	return out
}

func TestDecisionsAreListedWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	b.told("ben", move("1 First St"))
	array := b.decisions("auditor", "", "application/json")
	looks := b.events(journal.TypeAccessed)
	require.Equal(t, "Contrôle 100 %", looks[len(looks)-1].Event.(journal.Accessed).Reason)
	require.Equal(t, int16(journal.ActorAuditor), looks[len(looks)-1].ActorKind)
	require.Equal(t, array, b.decisions("auditor", "", "application/x-ndjson"))
	last := array[len(array)-1].(object)["position"].(float64)
	for query, want := range map[string]func(object) bool{
		"?stream=moh.health-card": func(d object) bool { return d["stream"] == health },
		"?reason=no-grant":        func(d object) bool { return d["reason"] == "no-grant" },
		"?from=" + text(last):     func(d object) bool { return d["position"] == last },
		"?to=" + text(last):       func(d object) bool { return d["position"].(float64) < last },
	} {
		var filtered []any
		for _, d := range array {
			if want(d.(object)) {
				filtered = append(filtered, d)
			}
		}
		require.NotEmpty(t, filtered)
		require.Equal(t, filtered, b.decisions("officer", query, "application/json"), query)
	}
	require.Empty(t, b.decisions("officer", "?stream=none", "application/json"))
	require.Empty(t, b.decisions("officer", "?stream=none", "application/x-ndjson"))
	for _, query := range []string{"?from=x", "?to=-1", "?reason=" + canary, "?form=1", "?from=1&from=1"} {
		got := b.call("GET", "/v1/audit/decisions"+query, "officer", nil, "X-Access-Reason", "x")
		require.Equal(t, "bad-query", got.code(), query)
	}
	consents := b.call("GET", "/v1/audit/consents", "officer", nil, "X-Access-Reason", "x")
	require.Equal(t, http.StatusOK, consents.status)
	require.Equal(t, 2, strings.Count(consents.text, "ministry-linked"))
	require.Equal(t, "bad-query", b.call("GET", "/v1/audit/consents?x=1", "officer", nil, "X-Access-Reason", "x").code())
}

func text(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func TestAReasonIsMandatory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := b.head()
	for _, place := range []string{"/v1/audit/decisions", "/v1/audit/consents"} {
		for _, reason := range []string{"", " ", "%20", "%", "%zz", "%ff", strings.Repeat("x", 501)} {
			got := b.call("GET", place, "officer", nil, "X-Access-Reason", reason)
			require.Equal(t, http.StatusBadRequest, got.status, reason)
			require.Equal(t, "access-reason", got.code())
		}
		require.Equal(t, "access-reason", b.call("GET", place, "officer", nil).code())
		require.Equal(t, "access-reason", b.call("GET", place, "officer", nil, "X-Access-Reason", "x", "X-Access-Case", "é").code())
	}
	require.Equal(t, head, b.head())
	for _, token := range []string{"ann", "clerk", "moh", "registrar"} {
		require.Equal(t, http.StatusForbidden, b.call("GET", "/v1/audit/decisions", token, nil, "X-Access-Reason", "x").status, token)
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/audit/searches", token, object{"reason": "x"}).status, token)
	}
}

// torn is a connection that breaks while the answer is written.
type torn struct{ *httptest.ResponseRecorder }

func (torn) Write([]byte) (int, error) { return 0, errors.New("torn") }

func TestHalfAListDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for path, token := range map[string]string{"/v1/audit/decisions": "officer", feed: "moh"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-Access-Reason", "x")
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.handler.ServeHTTP(torn{httptest.NewRecorder()}, r) }, path)
	}
}
