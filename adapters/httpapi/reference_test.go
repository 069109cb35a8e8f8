package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// born tells a birth of a resident's child, and returns its position; the child is signed in under its name.
func (b *bundle) born(parent, name string) int64 {
	b.t.Helper()
	before := b.wards(parent)
	got := b.tell(parent, object{"type": "birth-registered", "effective": "2026-01-05", "data": object{
		"child_given_names": name, "child_family_name": canary, "child_birth_date": "2026-01-02",
	}})
	require.Equal(b.t, http.StatusAccepted, got.status, got.text)
	for id := range b.wards(parent) {
		if !before[id] {
			b.people[name] = id
			b.actors[name] = journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: id}
		}
	}
	return int64(got.body["position"].(float64))
}

// wards are those for whom somebody may act.
func (b *bundle) wards(who string) map[uuid.UUID]bool {
	b.t.Helper()
	out := map[uuid.UUID]bool{}
	for _, ward := range b.call("GET", "/v1/me/acting-for", who, nil).body["people"].([]any) {
		out[uuid.MustParse(ward.(object)["id"].(string))] = true
	}
	return out
}

// referring is the body that gives a reference to the child of a birth that was told about a parent.
func referring(parent string, birth int64, reference string) object {
	return object{"child": object{"parent": ref(parent), "birth": birth}, "source": "registry", "reference": reference}
}

func (b *bundle) refer(token string, body object) response {
	b.t.Helper()
	return b.call("POST", "/v1/persons/references", token, body, "X-Access-Reason", "the%20parent%20is%20here")
}

// TestANewbornIsNamedEverywhere once somebody in office gave it a reference, which the child reads.
func TestANewbornIsNamedEverywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	birth := b.born("ann", "kim")
	head := b.head()
	require.Equal(t, "access-reason", b.call("POST", "/v1/persons/references", "registrar", referring("ann", birth, "kim"), "X-Access-Reason", " ").code())
	require.Equal(t, head, b.head())
	for _, token := range []string{"ann", "kim", "moh", "officer", "auditor", "operator"} {
		require.Equal(t, http.StatusForbidden, b.refer(token, referring("ann", birth, "kim")).status, token)
	}
	require.Equal(t, "unknown-person", b.call("POST", "/v1/erasures", "registrar", object{"person": ref("kim")}).code())
	for i, token := range []string{"registrar", "clerk"} {
		got := b.refer(token, referring("ann", birth, "kim"))
		require.Equal(t, http.StatusOK, got.status, got.text)
		require.EqualValues(t, b.head(), got.body["look"])
		require.Len(t, b.looks("kim"), i+1)
		require.Contains(t, b.looks("kim"), object{"role": token, "kind": "reference", "reason": "the parent is here"})
	}
	require.Empty(t, b.looks("ann"))

	about := move("1 First St")
	about["person"] = ref("kim")
	require.Equal(t, http.StatusAccepted, b.tell("clerk", about).status)
	require.Contains(t, b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("kim")}, "X-Access-Reason", "help").text, "1 First St")
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/links", "clerk", object{"person": ref("kim"), "ministry": "moh", "client_reference": "moh-kim"}).status)
	guardian := object{"person": ref("kim"), "proxy": ref("ben")}
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/proxies", "registrar", object{"person": ref("kim"), "proxy": ref("ben"), "kind": "guardian"}).status)
	told := b.call("POST", "/v1/changes", "ben", move("2 Second St"), "Idempotency-Key", uuid.NewString(), "X-On-Behalf-Of", b.people["kim"].String())
	require.Equal(t, http.StatusAccepted, told.status, told.text)
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/proxies/end", "registrar", guardian).status)
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/audit/searches", "officer", object{"person": ref("kim"), "reason": "complaint"}).status)
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/protection/restrictions", "protector", object{"person": ref("kim"), "kind": "adoption", "reason": "r"}).status)
	require.Equal(t, "unknown-person", b.call("POST", "/v1/erasures", "registrar", object{"person": ref("kim")}).code(), "protected, it is nobody to the registrar")
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/protection/lifts", "protector", object{"person": ref("kim"), "reason": "r"}).status)
	erased := b.call("POST", "/v1/erasures", "registrar", object{"person": ref("kim")})
	require.Equal(t, http.StatusOK, erased.status, erased.text)
	require.Equal(t, "unknown-person", b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("kim")}, "X-Access-Reason", "help").code())
	again := b.refer("registrar", referring("ann", birth, "kim"))
	require.Equal(t, "unknown-person", again.code())
	require.Equal(t, []string{"/child"}, again.pointers())
}

// TestAReferenceIsGivenToNobodyElse: what is refused, with its code and pointers, and that it gives nothing.
func TestAReferenceIsGivenToNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	birth := b.born("ann", "kim")
	without := func(name string) object {
		body := maps.Clone(referring("ann", birth, "free"))
		delete(body, name)
		return body
	}
	for name, c := range map[string]struct {
		body     object
		code     string
		pointers []string
	}{
		"nothing":             {object{}, "schema", []string{"", ""}},
		"no child":            {without("child"), "schema", []string{""}},
		"no reference":        {without("reference"), "schema", []string{""}},
		"a long reference":    {referring("ann", birth, fmt.Sprintf("%065d", 1)), "schema", []string{"/reference"}},
		"no birth":            {object{"child": object{"parent": ref("ann")}, "reference": "free"}, "schema", []string{"/child"}},
		"no parent":           {object{"child": object{"birth": birth}, "reference": "free"}, "schema", []string{"/child"}},
		"a birth that is not": {object{"child": object{"parent": ref("ann"), "birth": 1.5}, "reference": "free"}, "schema", []string{"/child/birth"}},
		"before the log":      {referring("ann", -1, "free"), "schema", []string{"/child/birth"}},
		"the log's beginning": {referring("ann", 0, "free"), "schema", []string{"/child/birth"}},
		"a text":              {object{"child": object{"parent": ref("ann"), "birth": "1"}, "reference": "free"}, "schema", []string{"/child/birth"}},
		"one more":            {object{"child": object{"parent": ref("ann"), "birth": birth, "name": "Kim"}, "reference": "free"}, "schema", []string{"/child"}},
		"nobody's":            {referring("none", birth, "free"), "unknown-person", []string{"/child"}},
		"somebody else's":     {referring("ben", birth, "free"), "unknown-person", []string{"/child"}},
		"what is no birth":    {referring("ann", birth+1, "free"), "unknown-person", []string{"/child"}},
		"beyond the log":      {referring("ann", 1<<62, "free"), "unknown-person", []string{"/child"}},
		"another's reference": {referring("ann", birth, "ben"), "reference-taken", []string{"/reference"}},
		"the parent's":        {referring("ann", birth, "ann"), "reference-taken", []string{"/reference"}},
	} {
		got := b.refer("registrar", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
	}
	require.Equal(t, "unknown-person", b.call("POST", "/v1/erasures", "registrar", object{"person": ref("free")}).code())
	require.Contains(t, b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("ben")}, "X-Access-Reason", "help").text, `"ben"`)
}

// TestAHiddenNewbornIsNobody: whoever names a protected child, or gives another one the reference of somebody protected, gets the very
// answer of a birth that was never told and of a reference that is free: bytes, records on the log, calls of the store.
func TestAHiddenNewbornIsNobody(t *testing.T) {
	t.Parallel()
	b, calls := setupCounted(t, false)
	asked := func(body object) func(someone) (string, any, []string) {
		return func(someone) (string, any, []string) { return "/v1/persons/references", body, nil }
	}
	hidden, sibling := b.born("ann", "hid"), b.born("ann", "sib")
	require.Equal(t, http.StatusOK, b.refer("protector", referring("ann", hidden, "hid")).status)
	require.Equal(t, http.StatusOK, b.refer("registrar", referring("ann", sibling, "sib")).status)
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/protection/restrictions", "protector", object{"person": ref("hid"), "kind": "adoption", "reason": "r"}).status)
	for _, role := range []string{"clerk", "registrar"} {
		do := func(body object) outcome {
			return b.do(ask{role: role, method: "POST", op: "refer", name: asked(body)}, someone{}, calls)
		}
		do(referring("ann", sibling+1, "any")) // what is read and made once
		do(referring("ann", sibling, "warm-"+role))
		want := do(referring("ann", sibling+1, "any"))
		require.Equal(t, http.StatusUnprocessableEntity, want.status)
		got := do(referring("ann", hidden, "any"))
		require.True(t, sameOutcome(want, got), "the child:\n%+v\n%+v", want, got)
		want = do(referring("ann", sibling, "free-"+role))
		require.Equal(t, http.StatusOK, want.status)
		got = do(referring("ann", sibling, "hid"))
		require.True(t, sameOutcome(want, got), "the reference:\n%+v\n%+v", want, got)
	}
	require.Equal(t, http.StatusOK, b.refer("protector", referring("ann", hidden, "hid-2")).status)
	got := b.refer("protector", referring("ann", sibling, "hid-2"))
	require.Equal(t, "reference-taken", got.code(), "to a protector they are somebody")
}
