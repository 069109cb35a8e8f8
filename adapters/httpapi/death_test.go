package httpapi_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

func deathOf(given string, members ...any) object {
	body := object{"given_names": given, "family_name": canary, "birth_date": "1980-05-17", "death_date": "1969-12-31", "reported_by": "spouse"}
	for i := 0; i+1 < len(members); i += 2 {
		if body[members[i].(string)] = members[i+1]; members[i+1] == nil {
			delete(body, members[i].(string))
		}
	}
	return body
}

// TestADeathIsReportedAndDecided: by a resident, who learns nothing, and by a registrar, whose looks the person can read.
func TestADeathIsReportedAndDecided(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report := func(key string, body object) response {
		return b.call("POST", "/v1/deaths", "ann", body, "Idempotency-Key", key)
	}
	key := uuid.NewString()
	known, unknown := report(key, deathOf("ben")), report(uuid.NewString(), deathOf("nobody"))
	require.Equal(t, http.StatusAccepted, known.status, known.text)
	require.Equal(t, unknown.text, known.text)
	require.Equal(t, unknown.header, known.header)
	require.Equal(t, http.StatusAccepted, report(key, deathOf("ben")).status)
	require.Equal(t, "command-reused", report(key, deathOf("nobody")).code())
	require.Len(t, b.events("death-reported"), 1)
	require.Equal(t, http.StatusAccepted, b.tell("ben", move("1 First St")).status, "it is held")

	require.Equal(t, "access-reason", b.call("GET", "/v1/deaths", "registrar", nil).code())
	list := b.call("GET", "/v1/deaths", "registrar", nil, "X-Access-Reason", "Daily%20queue")
	require.Equal(t, http.StatusOK, list.status, list.text)
	waiting := list.body["deaths"].([]any)
	require.Len(t, waiting, 1)
	line := waiting[0].(object)
	require.Equal(t, "ben", line["given_names"])
	require.Equal(t, "citizen", line["role"])
	require.Equal(t, "1969-12-31", line["death_date"])
	require.Contains(t, b.call("GET", "/v1/me/disclosures", "ben", nil).text, "Daily queue")
	require.NotContains(t, b.call("GET", "/v1/me/disclosures", "ann", nil).text, "Daily queue")

	path := "/v1/deaths/" + line["receipt"].(string)
	for _, token := range []string{"ann", "clerk", "officer", "moh"} {
		require.Equal(t, http.StatusForbidden, b.call("GET", "/v1/deaths", token, nil, "X-Access-Reason", "curious").status)
		require.Equal(t, http.StatusForbidden, b.call("POST", path+"/confirmation", token, nil).status)
		require.Equal(t, http.StatusForbidden, b.call("DELETE", path, token, nil).status)
	}
	require.Equal(t, http.StatusNotFound, b.call("DELETE", "/v1/deaths/000000000000", "registrar", nil).status)
	key = uuid.NewString()
	dismissed := b.call("DELETE", path, "registrar", nil, "Idempotency-Key", key)
	require.Equal(t, http.StatusOK, dismissed.status, dismissed.text)
	require.Equal(t, dismissed.text, b.call("DELETE", path, "registrar", nil, "Idempotency-Key", key).text)
	require.Equal(t, "already-corrected", b.call("DELETE", path, "registrar", nil).code())

	require.Equal(t, http.StatusAccepted, report(uuid.NewString(), deathOf("ben")).status)
	list = b.call("GET", "/v1/deaths", "registrar", nil, "X-Access-Reason", "Daily%20queue")
	path = "/v1/deaths/" + list.body["deaths"].([]any)[0].(object)["receipt"].(string)
	confirmed := b.call("POST", path+"/confirmation", "registrar", nil)
	require.Equal(t, http.StatusAccepted, confirmed.status, confirmed.text)
	require.Equal(t, "person-deceased", b.call("POST", path+"/confirmation", "registrar", nil).code())
	require.Equal(t, "person-deceased", b.tell("ben", move("2 Second St")).code())
	list = b.call("GET", "/v1/deaths", "registrar", nil, "X-Access-Reason", "Daily%20queue")
	require.Empty(t, list.body["deaths"])
	require.Len(t, b.events(journal.TypeChangeCancelled), 1)
}

func TestBadReportsAreRefusedAlike(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		change  []any
		pointer string
	}{
		"no name":           {[]any{"given_names", nil}, ""},
		"an empty name":     {[]any{"family_name", " "}, "/family_name"},
		"no birth date":     {[]any{"birth_date", "17.5.1980"}, "/birth_date"},
		"a future death":    {[]any{"death_date", "9999-12-31"}, "/death_date"},
		"by nobody":         {[]any{"reported_by", nil}, ""},
		"by a stranger":     {[]any{"reported_by", "stranger"}, "/reported_by"},
		"something unknown": {[]any{canary, 1}, ""},
	} {
		var answers []object
		for _, given := range []string{"ben", "nobody"} {
			head := b.head()
			body := maps.Clone(deathOf(given, c.change...))
			got := b.call("POST", "/v1/deaths", "ann", body, "Idempotency-Key", uuid.NewString())
			require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
			require.Equal(t, "schema", got.code(), name)
			require.Equal(t, []string{c.pointer}, got.pointers(), name)
			require.Equal(t, head, b.head())
			answers = append(answers, got.body)
		}
		require.Equal(t, answers[0], answers[1])
	}
	require.Equal(t, "idempotency-key", b.call("POST", "/v1/deaths", "ann", deathOf("ben")).code())
	for _, token := range []string{"clerk", "registrar", "officer"} {
		require.Equal(t, http.StatusForbidden, b.call("POST", "/v1/deaths", token, deathOf("ben"), "Idempotency-Key", uuid.NewString()).status)
	}
}
