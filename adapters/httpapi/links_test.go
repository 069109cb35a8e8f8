package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

const links = "/v1/streams/moh.health-card/links"

func clientOf(reference, given string) object {
	return object{"client_reference": reference, "given_names": given, "family_name": canary, "birth_date": "1980-05-17"}
}

func (b *bundle) postLinks(token string, body any, headers ...string) response {
	b.t.Helper()
	return b.call("POST", links, token, body, append([]string{"Idempotency-Key", uuid.NewString()}, headers...)...)
}

func results(got response) (out []string) {
	for _, line := range list(got.body["lines"]) {
		out = append(out, line.(object)["client_reference"].(string)+" "+line.(object)["result"].(string))
	}
	return out
}

func TestAMinistryLinksItsClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.resident("cyd")
	b.resident("dee")
	key := uuid.NewString()
	list := []any{clientOf("c-1", "cyd"), clientOf("moh-ann", "ann"), clientOf("other", "ben"), clientOf("x", "nobody")}
	got := b.call("POST", links, "moh", list, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, []string{"c-1 linked", "moh-ann linked", "other unknown", "x unknown"}, results(got))
	require.Equal(t, 2.0, got.body["linked"])
	require.Equal(t, 2.0, got.body["unknown"])
	require.NotContains(t, got.text, canary)
	again := b.call("POST", links, "moh", list, "Idempotency-Key", key)
	require.Equal(t, got.text, again.text)
	reused := b.call("POST", links, "moh", list[:1], "Idempotency-Key", key)
	require.Equal(t, http.StatusConflict, reused.status)
	require.Equal(t, "command-reused", reused.code())
	require.Len(t, b.events(journal.TypeMinistryLinked), 3, "ann and ben by themselves, cyd by the list")
	last := b.events(journal.TypeMinistryLinked)[2]
	require.Equal(t, journal.MinistryLinked{Ministry: "moh", ClientReference: "c-1", Means: "list"}, last.Event)
	require.Equal(t, int16(journal.ActorMinistry), last.ActorKind)
	require.Equal(t, "c-1", b.call("GET", "/v1/me", "cyd", nil).body["links"].([]any)[0].(object)["client_reference"])

	ndjson := fmt.Sprintf(`{"client_reference":"d-1","given_names":"dee","family_name":%q,"birth_date":"1980-05-17"}`, canary) + "\n"
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, links, strings.NewReader(ndjson))
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Idempotency-Key", uuid.NewString())
	require.Equal(t, []string{"d-1 linked"}, results(b.send(r, "moh")))
}

// TestALinkListTellsNobodysSecret: the answer for somebody protected has the same bytes as for nobody.
func TestALinkListTellsNobodysSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.resident("cyd")
	id := citizen.ID(b.people["cyd"])
	_, err := b.journal.Append(context.Background(), journal.Step{Events: []journal.New{{
		Event: journal.RestrictionSet{Kind: journal.RestrictionViolence}, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: -1,
	}}})
	require.NoError(t, err)
	hidden := b.postLinks("moh", []any{clientOf("r", "cyd")})
	nobody := b.postLinks("moh", []any{clientOf("r", "nobody")})
	require.Equal(t, http.StatusOK, hidden.status)
	require.Equal(t, nobody.text, hidden.text)
	require.Equal(t, nobody.header, hidden.header)
}

func TestALinkListIsReadStrictly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := clientOf("c", "cyd")
	with := func(name string, value any) []any {
		o := clientOf("c", "cyd")
		if o[name] = value; value == nil {
			delete(o, name)
		}
		return []any{good, o}
	}
	long := make([]any, 10_001)
	for i := range long {
		long[i] = object{}
	}
	for name, c := range map[string]struct {
		body     any
		status   int
		code     string
		pointers []string
	}{
		"an object":           {object{}, 422, "schema", []string{""}},
		"nothing":             {[]any{}, 422, "schema", []string{""}},
		"too many":            {long, 422, "schema", []string{""}},
		"no JSON":             {"[", 400, "malformed-json", []string{}},
		"no reference":        {with("client_reference", nil), 422, "schema", []string{"/1"}},
		"no birth date":       {with("birth_date", nil), 422, "schema", []string{"/1"}},
		"no date":             {with("birth_date", "1980-02-30"), 422, "schema", []string{"/1/birth_date"}},
		"a name of nothing":   {with("given_names", "  "), 422, "schema", []string{"/1/given_names"}},
		"a control character": {with("family_name", "A\u202eB"), 422, "schema", []string{"/1/family_name"}},
		"a long postal code":  {with("postal_code", strings.Repeat("1", 21)), 422, "schema", []string{"/1/postal_code"}},
		"an unknown member":   {with(canary, 1), 422, "schema", []string{"/1"}},
		"a number":            {with("given_names", 7), 422, "schema", []string{"/1/given_names"}},
		"too large":           {`["` + strings.Repeat("x", 4<<20) + `"]`, 413, "too-large", []string{}},
	} {
		head := b.head()
		got := b.postLinks("moh", c.body)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
		require.Equal(t, head, b.head(), "%s: nothing is taken", name)
	}
	require.Equal(t, http.StatusBadRequest, b.call("POST", links, "moh", []any{good}).status, "the key is mandatory")
	require.Equal(t, http.StatusUnsupportedMediaType, b.postLinks("moh", []any{good}, "Content-Type", "text/csv").status)
	broken := b.postLinks("moh", "{}\n{\n", "Content-Type", "application/x-ndjson")
	require.Equal(t, "malformed-json", broken.code())
	require.Contains(t, broken.text, "line 2")
	none := b.call("POST", "/v1/streams/mnr.outdoors-card/links", "mnr", []any{good}, "Idempotency-Key", uuid.NewString())
	require.Equal(t, 422, none.status)
	require.Equal(t, "no-links", none.code())
}

func TestAClerkLinksWhoIsAtTheCounter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.resident("cyd")
	person := object{"reference": "cyd", "source": "registry"}
	body := object{"person": person, "ministry": "moh", "client_reference": "c-7"}
	key := uuid.NewString()
	got := b.call("POST", "/v1/links", "clerk", body, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, got.text, b.call("POST", "/v1/links", "clerk", body, "Idempotency-Key", key).text)
	linked := b.events(journal.TypeMinistryLinked)
	last := linked[len(linked)-1]
	require.Equal(t, journal.MinistryLinked{Ministry: "moh", ClientReference: "c-7", Means: "counter"}, last.Event)
	require.Equal(t, int16(journal.ChannelCounter), last.Channel)
	require.Equal(t, int16(journal.ActorClerk), last.ActorKind)
	for name, c := range map[string]struct {
		path     string
		body     object
		code     string
		pointers []string
	}{
		"an unknown ministry": {
			"/v1/links", object{"person": person, "ministry": "nobody", "client_reference": "c"}, "unknown-ministry", []string{"/ministry"},
		},
		"an unknown person": {
			"/v1/links", object{"person": object{"reference": "x"}, "ministry": "moh", "client_reference": "c"}, "unknown-person",
			[]string{"/person/reference"},
		},
		"no reference": {"/v1/links", object{"person": person, "ministry": "moh"}, "schema", []string{""}},
		"no link":      {"/v1/links/end", object{"person": person, "ministry": "mto"}, "not-linked", []string{"/ministry"}},
	} {
		got := b.call("POST", c.path, "clerk", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
	}
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/links/end", "clerk", object{"person": person, "ministry": "moh"}).status)
	require.Empty(t, b.call("GET", "/v1/me", "cyd", nil).body["links"])
	for _, token := range []string{"ann", "moh", "officer", "operator", "auditor"} {
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/links", token, body).status, token)
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/links/end", token, body).status, token)
	}
}
