package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// position is that of a change in the log, by its receipt.
func (b *bundle) position(token, receipt string) json.Number {
	b.t.Helper()
	got := b.call("GET", "/v1/me/receipts/"+receipt, token, nil)
	require.Equal(b.t, http.StatusOK, got.status, got.text)
	number, err := json.Marshal(got.body["position"])
	require.NoError(b.t, err)
	return json.Number(number)
}

func about(eventType string, data object, members ...any) object {
	body := object{"type": eventType, "effective": "2026-01-05", "data": data}
	for i := 0; i+1 < len(members); i += 2 {
		body[members[i].(string)] = members[i+1]
	}
	return body
}

// TestAResidentPutsRight what they told: previewed as what is right, and told under a receipt of its own.
func TestAResidentPutsRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.told("ann", move("1 Wrong St"))
	wrong := b.position("ann", first)
	body := about("change-corrected", object{"corrects": wrong, "type": "address-changed", "data": address("1 Right St")})
	preview := b.call("POST", "/v1/changes/preview", "ann", body)
	require.Equal(t, http.StatusOK, preview.status, preview.text)
	decided := byAgreement(preview.body["decisions"])["moh-health-card"]
	require.Equal(t, "shared", decided["result"])
	require.Contains(t, decided["fields"], "street")
	body["preview"] = preview.body["digest"]
	right := b.told("ann", body)
	receipt := b.call("GET", "/v1/me/receipts/"+right, "ann", nil).body
	require.Equal(t, "change-corrected", receipt["told"])
	require.Equal(t, "address-changed", receipt["type"])
	require.Equal(t, true, receipt["stands"])
	require.Equal(t, "1 Right St "+canary, receipt["data"].(object)["street"])
	require.Equal(t, first, receipt["about"].(object)["receipt"])
	replaced := b.call("GET", "/v1/me/receipts/"+first, "ann", nil).body
	require.Equal(t, false, replaced["stands"])
	require.Equal(t, right, replaced["since"].([]any)[0].(object)["receipt"])
	require.Nil(t, replaced["about"])
	require.Equal(t, http.StatusNotFound, b.call("GET", "/v1/me/receipts/"+right, "ben", nil).status)

	again := b.tell("ann", about("change-cancelled", object{"corrects": wrong}))
	require.Equal(t, http.StatusUnprocessableEntity, again.status)
	require.Equal(t, "already-corrected", again.code())
	require.Equal(t, []string{"/data/corrects"}, again.pointers())
	bens := b.tell("ben", about("change-cancelled", object{"corrects": wrong}))
	require.Equal(t, "not-your-change", bens.code())
	inner := b.tell("ann", about("change-corrected", object{"corrects": wrong, "type": "address-changed", "data": object{"kind": "home"}}))
	require.Equal(t, "schema", inner.code())
	require.Contains(t, inner.pointers(), "/data/data")

	gone := b.position("ann", b.told("ann", move("2 Gone St")))
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/streams/"+health+"/events", "moh", nil).status)
	cancelled := b.call("POST", "/v1/changes/preview", "ann", about("change-cancelled", object{"corrects": gone}))
	require.Empty(t, cancelled.body["decisions"])
	require.Equal(t, health, cancelled.body["retracted"].([]any)[0].(object)["stream"])
	require.Equal(t, "moh", cancelled.body["retracted"].([]any)[0].(object)["ministry"])
	taken := b.told("ann", about("change-cancelled", object{"corrects": gone}))
	events := b.call("GET", "/v1/streams/"+health+"/events?after=1.0.2", "moh", nil)
	require.Contains(t, events.text, `"kind":"retracted"`)
	receipt = b.call("GET", "/v1/me/receipts/"+taken, "ann", nil).body
	require.Empty(t, receipt["decisions"])
	retracted := receipt["retracted"].([]any)[0].(object)
	require.Equal(t, health, retracted["stream"])
	require.Equal(t, "sent", retracted["status"])
	seen := b.call("GET", "/v1/me/disclosures", "ann", nil).text
	require.Contains(t, seen, `"kind":"retracted"`)
}

// TestWhatIsAnnouncedIsNotYetTrue: told last, but from a later day on.
func TestWhatIsAnnouncedIsNotYetTrue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	later := b.journal.DayOf(b.journal.Now(journal.Timing{Told: true})).From.AddDate(0, 0, 30).Format(time.DateOnly)
	b.told("ann", move("1 Now St"))
	b.told("ann", with("effective", later, "data", address("2 Then St")))
	me := b.call("GET", "/v1/me", "ann", nil).body
	streets := func(member string) (out []any) {
		for _, f := range me[member].([]any) {
			if f.(object)["type"] == "address-changed" {
				out = append(out, f.(object)["data"].(object)["street"])
			}
		}
		return out
	}
	require.Equal(t, []any{"1 Now St " + canary}, streets("facts"))
	require.Equal(t, []any{"2 Then St " + canary}, streets("announced"))
}

// TestARegistrarVerifiesAndTakesDeathsBack; nobody else does.
func TestARegistrarVerifiesAndTakesDeathsBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann := object{"reference": "ann"}
	moved := b.position("ann", b.told("ann", move("1 First St")))
	verification := about("change-verified", object{"verifies": moved})
	require.Equal(t, http.StatusForbidden, b.tell("ann", verification).status)
	verification["person"] = ann
	require.Equal(t, http.StatusForbidden, b.tell("clerk", verification).status)
	preview := b.call("POST", "/v1/changes/preview", "registrar", verification)
	require.Contains(t, byAgreement(preview.body["decisions"])["moh-health-card"]["fields"], "street")
	b.told("registrar", verification)
	require.Equal(t, "already-verified", b.tell("registrar", verification).code())

	death := object{"death_date": "2026-01-04", "reported_by": "spouse"}
	require.Equal(t, http.StatusForbidden, b.tell("ann", about("death-reported", death)).status)
	b.told("clerk", about("death-reported", death, "person", ann))
	require.Equal(t, "not-dead", b.tell("registrar", about("death-corrected", object{"corrects": moved}, "person", ann)).code())
	died := b.position("ann", b.told("registrar", about("death-registered", death, "person", ann)))
	taken := about("death-corrected", object{"corrects": died}, "person", ann)
	require.Equal(t, http.StatusForbidden, b.tell("clerk", taken).status)
	b.told("registrar", taken)
	b.told("ann", move("2 Second St"))
	states, err := b.journal.FreshStates(context.Background(), citizen.ID(b.people["ann"]))
	require.NoError(t, err)
	require.False(t, states[0].Profile.Deceased)
}
