package httpapi_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// first is the first object of a list in an answer.
func first(t *testing.T, r response, member string) object {
	t.Helper()
	all := list(r.body[member])
	require.NotEmpty(t, all, r.text)
	return all[0].(object)
}

// TestAProxyActsThroughTheAPI from being named to being ended, on every route that a proxy may call.
func TestAProxyActsThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	actingFor := b.call("GET", "/v1/me/acting-for", "ben", nil)
	require.Equal(t, http.StatusOK, actingFor.status, actingFor.text)
	require.Equal(t, b.people["ben"].String(), actingFor.body["id"])
	require.Empty(t, list(actingFor.body["people"]))
	require.Equal(t, http.StatusOK, b.call("PUT", "/v1/me/proxies", "ann", object{"proxy": actingFor.body["id"]}).status)

	ward := first(t, b.call("GET", "/v1/me/acting-for", "ben", nil), "people")
	require.Equal(t, object{"id": b.people["ann"].String(), "name": "ann " + canary, "kind": "attorney", "scope": []any{}}, ward)
	behalf := []string{"X-On-Behalf-Of", ward["id"].(string)}
	call := func(method, path string, body any, headers ...string) response {
		return b.call(method, path, "ben", body, append(headers, behalf...)...)
	}
	before := b.version("ben")
	key := uuid.NewString()
	told := call("POST", "/v1/changes", move("9 Ninth St"), "Idempotency-Key", key)
	require.Equal(t, http.StatusAccepted, told.status, told.text)
	require.Equal(t, http.StatusConflict, b.call("POST", "/v1/changes", "ben", move("9 Ninth St"), "Idempotency-Key", key).status,
		"the same key for oneself is another command")
	require.Equal(t, http.StatusOK, call("POST", "/v1/changes/preview", move("9 Ninth St")).status)
	require.Equal(t, http.StatusOK, call("PUT", "/v1/me/consents/outdoors-card", nil).status)
	require.Equal(t, http.StatusOK, call("DELETE", "/v1/me/consents/outdoors-card", nil).status)
	require.Equal(t, http.StatusOK, call("PUT", "/v1/me/links/mto", object{"client_reference": "mto-ann"}).status)
	require.Equal(t, http.StatusOK, call("DELETE", "/v1/me/links/mto", nil).status)
	require.Equal(t, before, b.version("ben"), "nothing was told of the proxy")

	require.Contains(t, call("GET", "/v1/me", nil).text, "9 Ninth St")
	require.NotContains(t, b.call("GET", "/v1/me", "ben", nil).text, "9 Ninth St")
	require.Equal(t, http.StatusOK, call("GET", told.header.Get("Location"), nil).status)
	require.Equal(t, http.StatusOK, call("GET", "/v1/me/consents", nil).status)

	seen := b.call("GET", "/v1/me/proxies", "ann", nil)
	require.Len(t, list(seen.body["acts"]), 5)
	require.NotContains(t, seen.text, b.people["ben"].String(), "by kind, not by name")
	proxy := first(t, seen, "proxies")
	require.Equal(t, true, proxy["holds"])
	grant := strconv.Itoa(int(proxy["grant"].(float64)))
	require.Equal(t, "no-such-proxy", b.call("DELETE", "/v1/me/proxies/"+grant, "ben", nil).code(), "whose it is, ends it")
	key = uuid.NewString()
	ended := b.call("DELETE", "/v1/me/proxies/"+grant, "ann", nil, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, ended.status, ended.text)
	require.Equal(t, ended.text, b.call("DELETE", "/v1/me/proxies/"+grant, "ann", nil, "Idempotency-Key", key).text)
	require.Equal(t, http.StatusNotFound, call("PUT", "/v1/me/consents/outdoors-card", nil).status)
	require.Empty(t, list(b.call("GET", "/v1/me/acting-for", "ben", nil).body["people"]))
}

// TestScopesThroughTheAPI: what lies outside is no-capacity, and who acts for some things only sees nothing.
func TestScopesThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	empower := func(more object) response {
		body := object{"proxy": b.people["ben"].String()}
		for name, value := range more {
			body[name] = value
		}
		return b.call("PUT", "/v1/me/proxies", "ann", body)
	}
	require.Equal(t, http.StatusOK, empower(object{"scope": []any{"consent-granted"}, "until": "2999-12-31"}).status)
	behalf := []string{"X-On-Behalf-Of", b.people["ann"].String()}
	require.Equal(t, http.StatusOK, b.call("PUT", "/v1/me/consents/outdoors-card", "ben", nil, behalf...).status)
	for _, got := range []response{
		b.call("DELETE", "/v1/me/consents/outdoors-card", "ben", nil, behalf...),
		b.call("POST", "/v1/changes", "ben", move("1 First St"), append(behalf, "Idempotency-Key", uuid.NewString())...),
	} {
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Equal(t, "no-capacity", got.code())
		require.Empty(t, got.pointers())
	}
	require.Equal(t, http.StatusNotFound, b.call("GET", "/v1/me", "ben", nil, behalf...).status)
	for pointer, more := range map[string]object{
		"/scope/0": {"scope": []any{"no-such-type"}}, "/until": {"until": "2001-01-01"}, "/scope": {"scope": []any{}}, "": {"kind": "parent"},
		"/proxy": {"proxy": "somebody"},
	} {
		got := empower(more)
		require.Equal(t, []string{pointer}, got.pointers(), got.text)
	}
	for code, id := range map[string]string{"same-person": b.people["ann"].String(), "unknown-person": uuid.NewString()} {
		got := empower(object{"proxy": id})
		require.Equal(t, code, got.code())
		require.Equal(t, []string{"/proxy"}, got.pointers())
	}
	require.Equal(t, "circular-proxy", b.call("PUT", "/v1/me/proxies", "ben", object{"proxy": b.people["ann"].String()}).code())
	require.Equal(t, "on-behalf-of", b.call("DELETE", "/v1/me/acting-for", "ben", nil).code())
	require.Equal(t, http.StatusOK, b.call("DELETE", "/v1/me/acting-for", "ben", nil, behalf...).status)
	require.Empty(t, list(b.call("GET", "/v1/me/proxies", "ann", nil).body["proxies"]))
}

// TestWhoIsNoProxyFindsNobody: somebody real and somebody who does not exist are answered with the same bytes, on every route, and a route
// that no proxy may call says so before it does anything.
func TestWhoIsNoProxyFindsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	number := b.told("ann", move("1 First St"))
	head, refused := b.head(), 0
	behalf := 0
	for _, r := range b.requests(number) {
		if r.public {
			continue
		}
		ask := func(token, id string) response {
			return b.call(r.method, r.path, token, r.body, "Idempotency-Key", uuid.NewString(), "X-On-Behalf-Of", id)
		}
		real, nobody := ask("ben", b.people["ann"].String()), ask("ben", uuid.NewString())
		require.Equal(t, nobody.text, real.text, "%s %s", r.method, r.template)
		require.Equal(t, nobody.status, real.status)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}, real.status, "%s %s: %s", r.method, r.template, real.text)
		if real.status != http.StatusBadRequest {
			refused += 2
		}
		if real.status == http.StatusNotFound {
			behalf++
			require.Equal(t, "on-behalf-of", ask("ben", "somebody").code())
		}
		if got := ask("registrar", uuid.NewString()); got.status != http.StatusForbidden {
			require.Equal(t, "on-behalf-of", got.code(), "%s %s", r.method, r.template)
		} else {
			refused++
		}
	}
	require.Equal(t, 10, behalf, "the routes that a proxy may call")
	require.Equal(t, head+int64(refused), b.head(), "and nothing but refusals is on the log")
}

// TestStaffArrangeProxies: by reference, and each kind by those who may.
func TestStaffArrangeProxies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := func(kind string) object {
		return object{"person": object{"reference": "ann"}, "proxy": object{"reference": "ben"}, "kind": kind}
	}
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/proxies", "clerk", body("attorney")).status)
	got := b.call("POST", "/v1/proxies", "clerk", body("guardian"))
	require.Equal(t, "no-capacity", got.code())
	require.Equal(t, []string{"/kind"}, got.pointers())
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/proxies", "registrar", body("guardian")).status)
	require.Equal(t, "guardian", first(t, b.call("GET", "/v1/me/acting-for", "ben", nil), "people")["kind"])
	require.Equal(t, []string{"/kind"}, b.call("POST", "/v1/proxies", "registrar", body("friend")).pointers())
	for _, member := range []string{"person", "proxy"} {
		unknown := body("attorney")
		unknown[member] = object{"reference": "nobody"}
		got := b.call("POST", "/v1/proxies", "clerk", unknown)
		require.Equal(t, "unknown-person", got.code())
		require.Equal(t, []string{"/" + member}, got.pointers())
	}
	end := body("")
	delete(end, "kind")
	require.Equal(t, "no-capacity", b.call("POST", "/v1/proxies/end", "clerk", end).code())
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/proxies/end", "registrar", end).status)
	got = b.call("POST", "/v1/proxies/end", "registrar", end)
	require.Equal(t, "no-such-proxy", got.code())
	require.Equal(t, []string{"/proxy"}, got.pointers())
	for _, token := range []string{"ann", "officer", "auditor", "operator", "moh"} {
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/proxies", token, body("attorney")).status, token)
	}
}

// TestMergesThroughTheAPI: with a reason, by those who may; then both references are one person, who sees which consents have ended.
func TestMergesThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, http.StatusOK, b.call("PUT", "/v1/me/consents/outdoors-card", "ann", nil).status)
	b.told("ann", move("1 First St"))
	body := func(going, kept, reason string) object {
		return object{"going": object{"source": "registry", "reference": going}, "kept": object{"source": "registry", "reference": kept}, "reason": reason}
	}
	for _, token := range []string{"ann", "clerk", "registrar", "auditor", "operator", "moh"} {
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/merges", token, body("ann", "ben", "test")).status, token)
	}
	for _, reason := range []string{"", "  ", strings.Repeat("x", 501)} {
		require.Equal(t, []string{"/reason"}, b.call("POST", "/v1/merges", "officer", body("ann", "ben", reason)).pointers())
	}
	require.Equal(t, []string{"/going"}, b.call("POST", "/v1/merges", "officer", body("nobody", "ben", "test")).pointers())
	require.Equal(t, []string{"/kept"}, b.call("POST", "/v1/merges", "officer", body("ann", "nobody", "test")).pointers())
	key := uuid.NewString()
	merged := b.call("POST", "/v1/merges", "officer", body("ann", "ben", "one certificate"), "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, merged.status, merged.text)
	require.Equal(t, "same-person", b.call("POST", "/v1/merges", "officer", body("ann", "ben", "test")).code(), "both references are one person now")
	require.Len(t, b.events(journal.TypeCitizensMerged), 1)

	require.Contains(t, b.call("GET", "/v1/me", "ben", nil).text, "1 First St")
	require.Equal(t, []any{"outdoors-card"}, first(t, b.call("GET", "/v1/me/proxies", "ben", nil), "merges")["consents_ended"])
	require.Equal(t, http.StatusNotFound, b.call("GET", "/v1/me", "ann", nil).status)
	require.Equal(t, "unknown-person", b.call("PUT", "/v1/me/consents/outdoors-card", "ann", nil).code())
}
