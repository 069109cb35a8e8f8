package httpapi_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// request is one operation of the document, made concrete.
type request struct {
	method, template, path string
	body                   any
	public                 bool
}

// requests are all operations of the document, their path parameters filled with what is ann's, their bodies with the document's examples.
func (b *bundle) requests(number string) []request {
	b.t.Helper()
	var full struct {
		Paths map[string]map[string]struct {
			Security    []map[string][]string `json:"security"`
			RequestBody struct {
				Content map[string]struct {
					Example any `json:"example"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
	}
	require.NoError(b.t, json.Unmarshal([]byte(b.call("GET", "/openapi.json", "", nil).text), &full))
	fill := strings.NewReplacer("{number}", number, "{agreement}", "outdoors-card", "{ministry}", "moh", "{stream}", health, "{type}", "address-changed", "{version}", "1")
	var out []request
	for template, item := range full.Paths {
		for method, op := range item {
			out = append(out, request{
				method: strings.ToUpper(method), template: template, path: fill.Replace(template), body: op.RequestBody.Content["application/json"].Example,
				public: len(op.Security) == 0,
			})
		}
	}
	require.Greater(b.t, len(out), 15, "the document must list the API")
	slices.SortFunc(out, func(a, b request) int { return strings.Compare(a.template+a.method, b.template+b.method) })
	return out
}

// version is how many records a citizen's own sequence has.
func (b *bundle) version(name string) int32 {
	b.t.Helper()
	states, err := b.journal.FreshStates(context.Background(), citizen.ID(b.people[name]))
	require.NoError(b.t, err)
	return states[0].Version
}

func TestOneCitizenNeverReachesAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const secret = "Annsplace"
	body := move(secret)
	body["consents"] = []any{object{"agreement": "outdoors-card"}}
	number := b.told("ann", body)
	require.Contains(t, b.call("GET", "/v1/me/receipts/"+number, "ann", nil).text, secret)
	before := b.version("ann")
	for _, r := range b.requests(number) {
		got := b.call(r.method, r.path, "ben", r.body, "Idempotency-Key", uuid.NewString(), "X-Access-Reason", "curious")
		require.NotContains(t, got.text, secret, "%s %s", r.method, r.template)
		require.Equal(t, before, b.version("ann"), "%s %s changed what is ann's", r.method, r.template)
		if strings.Contains(r.template, "{number}") {
			require.Equal(t, http.StatusNotFound, got.status, r.template)
			nothing := b.call(r.method, strings.Replace(r.path, number, "000000000000", 1), "ben", r.body)
			require.Equal(t, nothing.text, got.text, "another's and nobody's are answered alike")
		}
		if got.status == http.StatusForbidden || got.status == http.StatusNotFound {
			refused := b.events(journal.TypeAccessRefused)
			require.NotEmpty(t, refused)
			last := refused[len(refused)-1]
			require.Equal(t, journal.AccessRefused{Route: r.method + " " + r.template, Status: got.status}, last.Event)
			require.Equal(t, int16(journal.ActorResident), last.ActorKind)
		}
	}
	require.Contains(t, b.call("GET", "/v1/me", "ann", nil).text, secret)
	require.Equal(t, true, byAgreement(b.call("GET", "/v1/me/consents", "ann", nil).body["consents"])["outdoors-card"]["granted"])
}

func TestEveryRouteDemandsACaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	number := b.told("ann", move("1 First St"))
	head := b.head()
	for _, r := range b.requests(number) {
		got := b.call(r.method, r.path, "", r.body, "Idempotency-Key", uuid.NewString())
		if r.public {
			require.Equal(t, http.StatusOK, got.status, r.template)
			continue
		}
		require.Equal(t, http.StatusUnauthorized, got.status, "%s %s", r.method, r.template)
		require.Equal(t, "unauthenticated", got.code())
		require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
	}
	require.Equal(t, head, b.head(), "a 401 is no event")
}

func TestEveryTokenAgainstEveryStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	law, err := b.journal.FreshLaw(context.Background())
	require.NoError(t, err)
	require.Greater(t, len(law.Streams), 5)
	b.told("ann", move("1 First St"))
	tokens := slices.Sorted(maps.Keys(b.actors))
	require.Greater(t, len(tokens), 14)
	refusals := 0
	for _, stream := range slices.Sorted(maps.Keys(law.Streams)) {
		for _, token := range tokens {
			actor := b.actors[token]
			owner := actor.Ministry == law.Streams[stream].Ministry && actor.Kind == journal.ActorMinistry
			read := b.call("GET", "/v1/streams/"+stream+"/events", token, nil)
			answer := b.call("POST", "/v1/streams/"+stream+"/receipts", token, []any{})
			linked := b.call("POST", "/v1/streams/"+stream+"/links", token, []any{clientOf("r", "nobody")}, "Idempotency-Key", uuid.NewString())
			if owner {
				if linked.status != http.StatusOK {
					require.Equal(t, "no-links", linked.code(), "%s links on %s", token, stream)
				}
				require.Equal(t, http.StatusOK, read.status, "%s reads %s", token, stream)
				require.Equal(t, http.StatusNoContent, answer.status, "%s answers %s", token, stream)
				continue
			}
			require.Equal(t, http.StatusForbidden, read.status, "%s reads %s", token, stream)
			require.NotContains(t, read.text, "Kenora")
			require.Equal(t, http.StatusForbidden, linked.status, "%s links on %s", token, stream)
			refusals += 2
			if token == "operator" {
				require.Equal(t, http.StatusNoContent, answer.status)
				continue
			}
			require.Equal(t, http.StatusForbidden, answer.status, "%s answers %s", token, stream)
			refusals++
		}
	}
	require.Len(t, b.events(journal.TypeAccessRefused), refusals, "every refusal is on the log")

	for token, status := range map[string]int{"moh": 404, "ann": 403, "officer": 403, "": 401} {
		require.Equal(t, status, b.call("GET", "/v1/streams/no.such/events", token, nil).status, token)
		require.Equal(t, status, b.call("POST", "/v1/streams/no.such/receipts", token, []any{}).status, token)
		require.Equal(t, status, b.call("POST", "/v1/streams/no.such/links", token, []any{}, "Idempotency-Key", uuid.NewString()).status, token)
	}
}

func TestAMinistryListsItsOwnStreams(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	names := func(got response) (out []string) {
		require.Equal(t, http.StatusOK, got.status, got.text)
		for _, s := range got.body["streams"].([]any) {
			out = append(out, s.(object)["stream"].(string))
		}
		return out
	}
	require.Equal(t, []string{health}, names(b.call("GET", "/v1/streams", "moh", nil)))
	require.Greater(t, len(names(b.call("GET", "/v1/streams", "operator", nil))), 5)
	lane := func() object {
		out := b.call("GET", "/v1/streams", "moh", nil).body["streams"].([]any)[0].(object)["lanes"].([]any)[0].(object)
		for _, age := range []string{"oldest_due_seconds", "oldest_unanswered_seconds"} {
			require.IsType(t, 0.0, out[age])
			delete(out, age)
		}
		return out
	}
	at := func(due, unanswered, received, applied, rejected float64, last, settled string) object {
		out := object{"lane": 0.0, "due": due, "received": received, "applied": applied, "rejected": rejected, "unanswered": unanswered}
		for name, cursor := range map[string]string{"last": last, "settled": settled} {
			if cursor != "" {
				out[name] = cursor
			}
		}
		return out
	}
	require.Equal(t, at(1, 0, 0, 0, 0, "", ""), lane())
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/streams/moh.health-card/events", "moh", nil).status)
	require.Equal(t, at(0, 1, 0, 0, 0, "1.0.1", ""), lane())
	b.told("ann", move("2 First St"))
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/streams/moh.health-card/events?after=1.0.1", "moh", nil).status)
	answer := func(from, to, status string) {
		said := []any{object{"from": from, "to": to, "status": status}}
		require.Equal(t, http.StatusNoContent, b.call("POST", "/v1/streams/moh.health-card/receipts", "moh", said).status)
	}
	answer("1.0.1", "1.0.2", "received")
	require.Equal(t, at(0, 2, 2, 0, 0, "1.0.2", ""), lane())
	answer("1.0.1", "1.0.1", "applied")
	require.Equal(t, at(0, 1, 1, 1, 0, "1.0.2", "1.0.1"), lane())
	head := b.head()
	for range 10 {
		answer("1.0.1", "1.0.2", "received")
		answer("1.0.1", "1.0.1", "applied")
	}
	require.Equal(t, head, b.head(), "what says nothing new adds nothing to the log")
	answer("1.0.2", "1.0.2", "rejected")
	require.Equal(t, at(0, 0, 0, 1, 1, "1.0.2", "1.0.2"), lane())
}

func TestReceiptsAreJudged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 {
		b.told("ann", move("1 First St"))
	}
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/streams/moh.health-card/events", "moh", nil).status)
	good := object{"from": "1.0.1", "to": "1.0.2", "status": "received"}
	post := func(body any, headers ...string) response {
		return b.call("POST", "/v1/streams/moh.health-card/receipts", "moh", body, headers...)
	}
	for name, c := range map[string]struct {
		body     any
		status   int
		code     string
		pointers []string
	}{
		"an object":          {object{}, 422, "schema", []string{""}},
		"no JSON":            {"[", 400, "malformed-json", []string{}},
		"two arrays":         {`[],[]`, 400, "malformed-json", []string{}},
		"an array and more":  {`[],"x":1`, 400, "malformed-json", []string{}},
		"closed too early":   {`[]}`, 400, "malformed-json", []string{}},
		"a key twice":        {`[{"from":"1.0.1","from":"1.0.1"}]`, 400, "malformed-json", []string{}},
		"no object":          {[]any{good, 7}, 422, "schema", []string{"/1"}},
		"missing members":    {[]any{object{}}, 422, "schema", []string{"/0", "/0", "/0"}},
		"an unknown member":  {[]any{object{"from": "1.0.1", "to": "1.0.1", "status": "applied", canary: 1}}, 422, "schema", []string{"/0"}},
		"a number":           {[]any{object{"from": 1, "to": "1.0.1", "status": "applied"}}, 422, "schema", []string{"/0/from"}},
		"no cursor":          {[]any{good, object{"from": canary, "to": "1.0.1", "status": "applied"}}, 422, "receipt", []string{"/1/from"}},
		"never given out":    {[]any{object{"from": "1.0.1", "to": "1.0.4", "status": "applied"}}, 422, "receipt", []string{"/0/to"}},
		"backwards":          {[]any{object{"from": "1.0.2", "to": "1.0.1", "status": "applied"}}, 422, "receipt", []string{"/0/to"}},
		"another generation": {[]any{object{"from": "2.0.1", "to": "2.0.1", "status": "applied"}}, 422, "receipt", []string{"/0/from"}},
		"an unknown status":  {[]any{object{"from": "1.0.1", "to": "1.0.1", "status": canary}}, 422, "receipt", []string{"/0/status"}},
		"a reason too much":  {[]any{object{"from": "1.0.1", "to": "1.0.1", "status": "applied", "reason": canary}}, 422, "receipt", []string{"/0/reason"}},
		"a long reason":      {[]any{object{"from": "1.0.1", "to": "1.0.1", "status": "rejected", "reason": strings.Repeat("x", 501)}}, 422, "receipt", []string{"/0/reason"}},
	} {
		head := b.head()
		got := post(c.body)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
		require.Equal(t, head, b.head(), "%s: none is recorded", name)
	}

	key := uuid.NewString()
	list := []any{good, object{"from": "1.0.3", "to": "1.0.3", "status": "rejected", "reason": "no such client " + canary}}
	require.Equal(t, http.StatusNoContent, post(list, "Idempotency-Key", key).status)
	head := b.head()
	require.Equal(t, http.StatusNoContent, post(list, "Idempotency-Key", key).status)
	require.Equal(t, head, b.head(), "a repeat counts once")
	reused := post([]any{good}, "Idempotency-Key", key)
	require.Equal(t, http.StatusConflict, reused.status)
	require.Equal(t, "command-reused", reused.code())
	require.Equal(t, http.StatusBadRequest, post(list, "Idempotency-Key", "x").status)
	rejected := b.events(journal.TypeReceiptRejected)
	require.Len(t, rejected, 1)
	require.Equal(t, b.people["ann"], rejected[0].Subject, "sealed under the citizen's key")
}
