package httpapi_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

func ref(reference string) object { return object{"source": "registry", "reference": reference} }

// looks are what a citizen reads of looks at them, newest first.
func (b *bundle) looks(token string) (out []object) {
	b.t.Helper()
	got := b.call("GET", "/v1/me/disclosures", token, nil)
	require.Equal(b.t, http.StatusOK, got.status, got.text)
	for _, line := range got.body["disclosures"].([]any) {
		if look, ok := line.(object)["look"].(object); ok {
			out = append(out, look)
		}
	}
	return out
}

// lines are a list of the audit, as text, one line each.
func (b *bundle) lines(token, path string) []string {
	b.t.Helper()
	got := b.call("GET", path, token, nil, "X-Access-Reason", "x", "Accept", "application/x-ndjson")
	require.Equal(b.t, http.StatusOK, got.status, got.text)
	return strings.Split(strings.TrimSpace(got.text), "\n")
}

func TestWhoSeesAProtectedPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	before := map[string][]string{}
	for _, path := range []string{"/v1/audit/decisions", "/v1/audit/consents"} {
		before[path] = b.lines("officer", path)
	}
	hidden := b.hide("hid")
	require.Equal(t, http.StatusOK, b.call("PUT", "/v1/me/links/moh", "hid", object{"client_reference": "h"}).status)
	b.told("hid", move("2 Hidden St"))

	require.Contains(t, b.call("GET", "/v1/me", "hid", nil).text, "2 Hidden St", "themself")
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/me/receipts/"+hidden.receipt, "hid", nil).status)
	for _, who := range []object{{"person": ref("hid")}, {"receipt": hidden.receipt}} {
		who["reason"] = "A complaint"
		require.Len(t, b.call("POST", "/v1/audit/searches", "protector", who).body["changes"], 3)
		require.Equal(t, http.StatusNotFound, b.call("POST", "/v1/audit/searches", "officer", who).status)
	}
	for path, want := range before {
		require.Equal(t, want, b.lines("officer", path), "no line more, and none less")
		require.Equal(t, want, b.lines("auditor", path))
		require.Equal(t, want, b.lines("operator", path))
		require.Greater(t, len(b.lines("protector", path)), len(want))
	}
	decisions := b.call("POST", "/v1/audit/searches", "officer", object{"reason": "x", "stream": health}).body["decisions"].([]any)
	for _, d := range decisions {
		require.NotEqual(t, "restricted", d.(object)["reason"])
	}
	require.Equal(t, []string{""}, b.lines("officer", "/v1/audit/decisions?reason=restricted"))

	// Who asked in vain is known to the person, and to nobody whom it does not concern.
	looks := b.looks("hid")
	require.Len(t, looks, 4)
	refused := 0
	for _, look := range looks {
		if look["refused"] == true {
			require.Equal(t, "officer", look["role"])
			refused++
		}
	}
	require.Equal(t, 2, refused)

	lifted := b.call("POST", "/v1/protection/lifts", "protector", object{"person": ref("hid"), "reason": "Over"})
	require.Equal(t, http.StatusOK, lifted.status, lifted.text)
	changes := b.call("POST", "/v1/audit/searches", "officer", object{"reason": "x", "person": ref("hid")}).body["changes"].([]any)
	require.Len(t, changes, 2, "what was told while they were protected still says so, and stays with protectors")
	require.Len(t, b.call("POST", "/v1/audit/searches", "protector", object{"reason": "x", "person": ref("hid")}).body["changes"], 3)
	require.Equal(t, []string{""}, b.lines("officer", "/v1/audit/decisions?reason=restricted"))
	require.NotEqual(t, []string{""}, b.lines("protector", "/v1/audit/decisions?reason=restricted"))
}

func TestAProtectorIsJudged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	head := b.head()
	for name, c := range map[string]struct {
		body     object
		code     string
		pointers []string
	}{
		"nothing":        {object{}, "schema", []string{"", "", ""}},
		"an odd kind":    {object{"person": ref("ann"), "kind": "shyness", "reason": "r"}, "schema", []string{"/kind"}},
		"no reason":      {object{"person": ref("ann"), "kind": "violence", "reason": " "}, "schema", []string{"/reason"}},
		"over":           {object{"person": ref("ann"), "kind": "violence", "reason": "r", "until": "1999-12-31"}, "schema", []string{"/until"}},
		"nobody":         {object{"person": ref("none"), "kind": "violence", "reason": "r"}, "unknown-person", []string{"/person/reference"}},
		"keeps nobody":   {object{"person": ref("ann"), "kind": "violence", "reason": "r", "keeps": []any{ref("none")}}, "unknown-person", []string{"/keeps/0/reference"}},
		"keeps no proxy": {object{"person": ref("ann"), "kind": "violence", "reason": "r", "keeps": []any{ref("ben")}}, "no-capacity", []string{"/keeps/0"}},
	} {
		got := b.call("POST", "/v1/protection/restrictions", "protector", c.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s: %s", name, got.text)
		require.Equal(t, c.code, got.code(), name)
		require.Equal(t, c.pointers, got.pointers(), name)
	}
	require.Equal(t, "no-such-restriction", b.call("POST", "/v1/protection/lifts", "protector", object{"person": ref("ann"), "reason": "r"}).code())
	require.Equal(t, head, b.head(), "nothing is written")
	for _, path := range []string{"restrictions", "lifts", "replacements", "replacements/1", "ties", "ties/1"} {
		for _, token := range []string{"ann", "clerk", "registrar", "moh", "officer", "auditor", "operator"} {
			require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/protection/"+path, token, object{}).status, "%s %s", token, path)
		}
	}
}

// TestAReferenceOfTheHiddenIsFree: whoever registers somebody under it gets another person, who stays another.
func TestAReferenceOfTheHiddenIsFree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hide("hid")
	body := object{"reference": "hid", "source": "registry", "data": object{"given_names": "Other", "family_name": canary, "birth_date": "1990-01-01", "language": "fr"}}
	require.Equal(t, http.StatusCreated, b.call("POST", "/v1/persons", "clerk", body).status)
	again := b.call("POST", "/v1/persons", "clerk", body)
	require.Equal(t, "person-exists", again.code())
	about := move("5 Other St")
	about["person"] = ref("hid")
	require.Equal(t, http.StatusAccepted, b.tell("clerk", about).status)
	details := b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("hid")}, "X-Access-Reason", "help").text
	require.Contains(t, details, "5 Other St")
	require.NotContains(t, details, "1 First St")
	mine := b.call("GET", "/v1/me", "hid", nil).text
	require.Contains(t, mine, "1 First St")
	require.NotContains(t, mine, "5 Other St")
	require.Contains(t, b.call("POST", "/v1/persons/details", "protector", object{"person": ref("hid")}, "X-Access-Reason", "help").text, "1 First St")
	require.Equal(t, http.StatusOK, b.call("POST", "/v1/protection/lifts", "protector", object{"person": ref("hid"), "reason": "Over"}).status)
	require.Contains(t, b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("hid")}, "X-Access-Reason", "help").text, "1 First St")
}

func TestAProtectorTellsForTheProtected(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hide("hid")
	about := move("3 Third St")
	about["person"] = ref("hid")
	tell := func(token string, body object) response {
		return b.call("POST", "/v1/protection/changes", token, body, "Idempotency-Key", uuid.NewString())
	}
	require.Equal(t, http.StatusAccepted, tell("protector", about).status)
	require.Contains(t, b.call("GET", "/v1/me", "hid", nil).text, "3 Third St")
	about["person"] = ref("ann")
	require.Equal(t, "no-capacity", tell("protector", about).code())
	about["person"] = ref("none")
	require.Equal(t, "unknown-person", tell("protector", about).code())
	require.Equal(t, http.StatusForbidden, tell("registrar", about).status)
}

func TestALookAtDetailsIsAnEventFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	head := b.head()
	person := object{"person": ref("ann")}
	for _, reason := range []string{"", " ", "%zz", strings.Repeat("x", 501)} {
		require.Equal(t, "access-reason", b.call("POST", "/v1/persons/details", "clerk", person, "X-Access-Reason", reason).code())
	}
	require.Equal(t, head, b.head())
	got := b.call("POST", "/v1/persons/details", "clerk", person, "X-Access-Reason", "Aide%20au%20guichet", "X-Access-Case", "G-1")
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Contains(t, got.text, "1 First St")
	require.EqualValues(t, head+1, got.body["look"])
	require.Equal(t, head+1, b.head())
	require.Equal(t, []object{{"role": "clerk", "kind": "details", "reason": "Aide au guichet", "case": "G-1"}}, b.looks("ann"))
	unknown := b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("none")}, "X-Access-Reason", "x")
	require.Equal(t, "unknown-person", unknown.code())
	require.Equal(t, []string{"/person/reference"}, unknown.pointers())
	require.Equal(t, head+2, b.head(), "to have asked is a look")
	for _, token := range []string{"ann", "moh", "officer", "auditor", "operator"} {
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/persons/details", token, person, "X-Access-Reason", "x").status, token)
	}
	closer, ok := b.journal.Store().(interface{ Close() error })
	require.True(t, ok)
	require.NoError(t, closer.Close())
	got = b.call("POST", "/v1/persons/details", "clerk", person, "X-Access-Reason", "x")
	require.GreaterOrEqual(t, got.status, 500)
	require.NotContains(t, got.text, "First St")
}

func TestALookMayBeHiddenForATime(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	now.Store(time.Date(2026, 3, 1, 17, 0, 0, 0, time.UTC).Unix())
	b := setupWith(t, options{journal: journaltest.Options{Wall: true, Clock: func() time.Time { return time.Unix(now.Load(), 0) }}})
	look := func(edit object) response {
		body := object{"reason": "An inquiry", "case": "C-9", "person": ref("ann"), "hidden_until": "2026-08-28", "hidden_why": "Invented Inquiries Act, s. 4"}
		for name, value := range edit {
			if body[name] = value; value == nil {
				delete(body, name)
			}
		}
		return b.call("POST", "/v1/audit/searches", "officer", body)
	}
	head := b.head()
	for name, edit := range map[string]object{
		"without a case": {"case": nil}, "without its law": {"hidden_why": nil}, "a law without a day": {"hidden_until": nil}, "today": {"hidden_until": "2026-03-01"},
		"too long": {"hidden_until": "2026-08-29"}, "an empty law": {"hidden_why": " "},
	} {
		got := look(edit)
		require.Equal(t, "hidden", got.code(), name)
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
	}
	require.Equal(t, "schema", look(object{"hidden_until": "soon"}).code())
	require.Equal(t, head, b.head(), "nothing is written")
	require.Equal(t, http.StatusOK, look(nil).status)
	require.Empty(t, b.looks("ann"))
	now.Store(time.Date(2026, 8, 28, 3, 59, 0, 0, time.UTC).Unix()) // the evening before, in Toronto
	b.told("ben", object{"type": "language-changed", "effective": "2026-08-27", "data": object{"language": "fr"}})
	require.Empty(t, b.looks("ann"))
	now.Store(time.Date(2026, 8, 28, 4, 0, 0, 0, time.UTC).Unix())
	require.Equal(t, []object{{
		"role": "officer", "kind": "search", "reason": "An inquiry", "case": "C-9", "hidden_until": "2026-08-28", "hidden_why": "Invented Inquiries Act, s. 4",
	}}, b.looks("ann"), "it appears by itself")
}

func TestTwoProtectorsReplaceAnIdentity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.actors["protector-2"] = journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "protector-2", Source: "registry"}
	old := b.ordinary("hunted")
	body := object{
		"person": ref("hunted"), "references": []any{ref("hunted")}, "reason": "Danger", "case": "C-7",
		"data": object{"given_names": "New", "family_name": canary, "birth_date": "1981-06-18", "language": "fr"},
	}
	asked := b.call("POST", "/v1/protection/replacements", "protector", body)
	require.Equal(t, http.StatusOK, asked.status, asked.text)
	do := "/v1/protection/replacements/" + text(asked.body["request"])
	same := object{"data": body["data"], "references": body["references"]}
	require.Equal(t, "same-person", b.call("POST", do, "protector", same).code())
	for _, wrong := range []string{"0", "-1", "x", "99999"} {
		require.Equal(t, "no-such-request", b.call("POST", "/v1/protection/replacements/"+wrong, "protector-2", same).code(), wrong)
	}
	require.Equal(t, "no-such-request", b.call("POST", do, "protector-2", object{"data": body["data"]}).code(), "not what was asked for")
	key := uuid.NewString()
	done := b.call("POST", do, "protector-2", same, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, done.status, done.text)
	again := b.call("POST", do, "protector-2", same, "Idempotency-Key", key)
	require.Equal(t, done.text, again.text)
	details := b.call("POST", "/v1/persons/details", "clerk", object{"person": ref("hunted")}, "X-Access-Reason", "x").text
	require.Contains(t, details, "1981-06-18")
	require.NotContains(t, details, "First St")
	require.Equal(t, http.StatusNotFound, b.call("POST", "/v1/audit/searches", "officer", object{"reason": "x", "receipt": old.receipt}).status)

	tie := object{"receipt": old.receipt, "reason": "A court asks", "case": "C-8"}
	first := b.call("POST", "/v1/protection/ties", "protector", tie)
	require.Equal(t, http.StatusOK, first.status, first.text)
	open := "/v1/protection/ties/" + text(first.body["request"])
	head := b.head()
	require.Equal(t, "same-person", b.call("POST", open, "protector", object{"reason": "A court asks"}).code())
	require.Equal(t, "reason", b.call("POST", open, "protector-2", object{"reason": " "}).code())
	require.Equal(t, "no-such-request", b.call("POST", "/v1/protection/ties/1", "protector-2", object{"reason": "A court asks"}).code())
	require.Equal(t, head, b.head())
	got := b.call("POST", open, "protector-2", object{"reason": "A court asks"})
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, old.id.String(), got.body["old"])
	ids, err := b.journal.Reference(t.Context(), "registry", "hunted")
	require.NoError(t, err)
	require.Equal(t, ids[0].String(), got.body["new"])
	looks := b.events(journal.TypeAccessed)
	last := looks[len(looks)-1]
	require.Equal(t, journal.Accessed{Case: "C-8", Kind: "tie-opened", Reason: "A court asks", Shown: "the new identity"}, last.Event)
	require.Equal(t, "protector-2", last.Meta.Actor)
	require.Equal(t, old.id, last.Subject)
	nothing := b.call("POST", "/v1/protection/ties", "protector", object{"person": ref("ann"), "reason": "A court asks"})
	require.Equal(t, http.StatusOK, nothing.status)
	require.Equal(t, http.StatusNotFound, b.call("POST", "/v1/protection/ties/"+text(nothing.body["request"]), "protector-2", object{"reason": "r"}).status)
}
