package httpapi_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// office adds a second officer.
func (b *bundle) office() {
	b.actors["robin"] = journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "robin", Source: "registry"}
}

// yaml is a sample agreement's text, edited.
func (b *bundle) yaml(name string, edit ...string) string {
	b.t.Helper()
	text, err := os.ReadFile("testdata/agreements/" + name + ".yaml")
	require.NoError(b.t, err)
	edited := strings.NewReplacer(edit...).Replace(string(text))
	require.True(b.t, len(edit) == 0 || edited != string(text))
	return edited
}

func (b *bundle) proposeYAML(token, text string) response {
	b.t.Helper()
	return b.call("POST", "/v1/agreements/proposals", token, text, "Content-Type", "application/yaml")
}

// approval is the version in an answer: what tests look at.
func stateOf(body object) []any {
	document := body["document"].(object)
	return []any{document["id"], document["version"], body["state"], body["may_approve"]}
}

func TestAgreementsThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.office()
	head := b.head()
	list := b.call("GET", "/v1/agreements/versions", "officer", nil)
	require.Equal(t, http.StatusOK, list.status)
	require.Len(t, list.body["agreements"], 9)
	require.Equal(t, head, b.head(), "agreements are public: to read them is no look")

	two := b.yaml("outdoors-card", "version: 1", "version: 2", "street", "country")
	got := b.proposeYAML("officer", two)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, []any{"outdoors-card", 2.0, "proposed", false}, stateOf(got.body))
	require.Equal(t, []any{1.0, true, true, true}, []any{got.body["replaces"], got.body["wider"], got.body["narrower"], got.body["asks_anew"]})
	require.Contains(t, got.body["changes"], object{"en": "More is shared of “Address”: Country.", "fr": "Communiqué en plus, de «\u00a0Adresse\u00a0»\u00a0: Pays."})
	require.NotEmpty(t, got.body["rules"])
	list = b.call("GET", "/v1/agreements/versions", "robin", nil)
	waiting := list.body["agreements"].([]any)[slices.IndexFunc(list.body["agreements"].([]any), func(v any) bool { return v.(object)["state"] == "proposed" })]
	require.Equal(t, []any{"outdoors-card", 2.0, "proposed", true}, stateOf(waiting.(object)))

	approve := func(token string, body object, headers ...string) response {
		return b.call("POST", "/v1/agreements/approvals", token, body, headers...)
	}
	refused := approve("officer", object{"id": "outdoors-card", "version": 2})
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	require.Equal(t, "same-person", refused.code())
	require.Empty(t, refused.pointers())
	stale := approve("robin", object{"id": "outdoors-card", "version": 2, "replaces": 0})
	require.Equal(t, []any{http.StatusConflict, "stale-preview"}, []any{stale.status, stale.code()})
	key := uuid.NewString()
	approved := approve("robin", object{"id": "outdoors-card", "version": 2, "replaces": 1}, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, approved.status, approved.text)
	require.Equal(t, []any{"outdoors-card", 2.0, "approved", false}, stateOf(approved.body))
	require.Equal(t, got.body["changes"], approved.body["changes"])
	head = b.head()
	require.Equal(t, approved.text, approve("robin", object{"id": "outdoors-card", "version": 2, "replaces": 1}, "Idempotency-Key", key).text)
	require.Equal(t, head, b.head(), "a repeat counts once")
	require.Equal(t, "command-reused", approve("robin", object{"id": "outdoors-card", "version": 2}, "Idempotency-Key", key).code())

	end := func(body object) response { return b.call("POST", "/v1/agreements/endings", "officer", body) }
	late := end(object{"id": "outdoors-card", "date": "2999-01-01"})
	require.Equal(t, []any{422, "end-date", []string{"/date"}}, []any{late.status, late.code(), late.pointers()})
	ended := end(object{"id": "outdoors-card"})
	require.Equal(t, http.StatusOK, ended.status, ended.text)
	for _, v := range ended.body["agreements"].([]any) {
		require.Equal(t, "ended", v.(object)["state"])
	}
	over := end(object{"id": "outdoors-card"})
	require.Equal(t, []any{422, "agreement-ended", []string{"/id"}}, []any{over.status, over.code(), over.pointers()})
	public := b.call("GET", "/v1/agreements", "", nil)
	require.Len(t, public.body["agreements"], 8)
}

// TestADocumentComesBackAsItWas: what GET /v1/agreements gives, POST takes, as JSON; word for word the same is no change.
func TestADocumentComesBackAsItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := b.head()
	for _, a := range b.call("GET", "/v1/agreements", "", nil).body["agreements"].([]any) {
		got := b.call("POST", "/v1/agreements/proposals", "officer", a)
		require.Equal(t, http.StatusOK, got.status, got.text)
		require.Equal(t, "approved", got.body["state"])
		require.Equal(t, a, got.body["document"])
	}
	require.Equal(t, head, b.head())
	a, err := schemas.ParseAgreement("x", []byte(b.yaml("outdoors-card", "version: 1", "version: 2", "min_age: 12", "min_age: 13")), b.journal.Registry())
	require.NoError(t, err)
	require.Equal(t, "proposed", b.call("POST", "/v1/agreements/proposals", "operator", string(schemas.MarshalDocument(a))).body["state"])
}

func TestProposalsAreRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := b.head()
	for name, c := range map[string]struct {
		text    string
		status  int
		code    string
		details []string
	}{
		"unknown field":   {b.yaml("outdoors-card", "street", "shoe_size"), 422, "schema", []string{`10:45: address-changed has no field "shoe_size" that can be shared`}},
		"several faults":  {b.yaml("outdoors-card", "version: 1", "version: 0", "population: all", "population: some"), 422, "schema", []string{"2:10: version must be between 1 and 2147483647", `8:13: population is "some", must be all or linked`}},
		"no YAML":         {"id: [", 422, "schema", nil},
		"not an object":   {"- 1", 422, "schema", []string{"1:1: an agreement must be a mapping"}},
		"nothing":         {"", 422, "schema", nil},
		"other content":   {b.yaml("outdoors-card", "street", "country"), 409, "other-content", nil},
		"another lane":    {b.yaml("outdoors-card", "version: 1", "version: 2\nlanes: 3"), 422, "stream-kept", nil},
		"another owner":   {b.yaml("outdoors-card", "version: 1", "version: 2", "ministry: mnr", "ministry: moh"), 422, "stream-kept", nil},
		"a broken letter": {"id: \xff", 422, "schema", nil},
	} {
		got := b.proposeYAML("officer", c.text)
		require.Equal(t, []any{c.status, c.code}, []any{got.status, got.code()}, "%s: %s", name, got.text)
		require.NotEmpty(t, got.body["errors"], name)
		if c.details != nil {
			var details []string
			for _, e := range got.body["errors"].([]any) {
				require.Equal(t, "", e.(object)["pointer"], name)
				details = append(details, e.(object)["detail"].(string))
			}
			require.Equal(t, c.details, details, name)
		}
		require.Equal(t, head, b.head(), name)
	}
	require.Equal(t, []string{"/version"}, b.proposeYAML("officer", b.yaml("outdoors-card", "street", "country")).pointers())
	require.Equal(t, []string{"/lanes"}, b.proposeYAML("officer", b.yaml("outdoors-card", "version: 1", "version: 2\nlanes: 3")).pointers())
	require.Equal(t, http.StatusUnsupportedMediaType, b.call("POST", "/v1/agreements/proposals", "officer", "id: x", "Content-Type", "text/plain").status)
	require.Equal(t, http.StatusUnsupportedMediaType,
		b.call("POST", "/v1/agreements/approvals", "officer", `{}`, "Content-Type", "application/yaml").status, "only a proposal can be YAML")
	require.Equal(t, http.StatusRequestEntityTooLarge, b.proposeYAML("officer", strings.Repeat("x", 65_537)).status)
	require.Equal(t, "idempotency-key", b.call("POST", "/v1/agreements/proposals", "officer", "id: x", "Content-Type", "application/yaml", "Idempotency-Key", "1").code())
}

func TestApprovalsAndEndingsAreRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.office()
	require.Equal(t, http.StatusOK, b.proposeYAML("officer", b.yaml("outdoors-card", "version: 1", "version: 2")).status)
	head := b.head()
	for name, c := range map[string]struct {
		place, body string
		code        string
		pointers    []string
	}{
		"no members":        {"approvals", `{}`, "schema", []string{"", ""}},
		"a member too much": {"approvals", `{"id":"outdoors-card","version":2,"who":"me"}`, "schema", []string{""}},
		"wrong values":      {"approvals", `{"id":"","version":0}`, "schema", []string{"/id", "/version"}},
		"wrong types":       {"approvals", `{"id":7,"version":"2","replaces":-1}`, "schema", []string{"/id", "/replaces", "/version"}},
		"half a version":    {"approvals", `{"id":"outdoors-card","version":1.5}`, "schema", []string{"/version"}},
		"a huge version":    {"approvals", `{"id":"outdoors-card","version":99999999999}`, "schema", []string{"/version"}},
		"unknown":           {"approvals", `{"id":"nonsense","version":2}`, "unknown-version", []string{"/id"}},
		"unknown version":   {"approvals", `{"id":"outdoors-card","version":3}`, "unknown-version", []string{"/version"}},
		"approved already":  {"approvals", `{"id":"outdoors-card","version":1}`, "already-approved", []string{"/version"}},
		"nothing to end":    {"endings", `{}`, "schema", []string{""}},
		"no date":           {"endings", `{"id":"outdoors-card","date":"2026-02-30"}`, "schema", []string{"/date"}},
		"no such agreement": {"endings", `{"id":"nonsense"}`, "unknown-version", []string{"/id"}},
	} {
		got := b.call("POST", "/v1/agreements/"+c.place, "robin", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
		require.Equal(t, head, b.head(), name)
	}
}

// TestWhoMayDoWhatWithAgreements is every role against every route.
func TestWhoMayDoWhatWithAgreements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	routes := map[string]struct {
		method string
		body   any
		may    []string
	}{
		"versions":  {"GET", nil, []string{"officer", "auditor", "protector", "operator"}},
		"proposals": {"POST", object{}, []string{"officer", "operator"}},
		"approvals": {"POST", object{}, []string{"officer"}},
		"endings":   {"POST", object{}, []string{"officer", "operator"}},
	}
	for name, route := range routes {
		for token := range b.actors {
			got := b.call(route.method, "/v1/agreements/"+name, token, route.body)
			if slices.Contains(route.may, token) {
				require.NotContains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, got.status, "%s may use %s", token, name)
				continue
			}
			require.Equal(t, http.StatusForbidden, got.status, "%s may not use %s", token, name)
		}
	}
	var documented struct {
		Paths map[string]any `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(b.call("GET", "/openapi.json", "", nil).text), &documented))
	for path := range documented.Paths {
		if rest, ok := strings.CutPrefix(path, "/v1/agreements/"); ok {
			require.Contains(t, routes, rest, "a route without its row here")
		}
	}
}
