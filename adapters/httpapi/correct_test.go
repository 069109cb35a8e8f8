package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
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
	wrong := b.position("ann", b.told("ann", move("1 Wrong St")))
	body := about("change-corrected", object{"corrects": wrong, "type": "address-changed", "data": address("1 Right St")})
	preview := b.call("POST", "/v1/changes/preview", "ann", body)
	require.Equal(t, http.StatusOK, preview.status, preview.text)
	health := byAgreement(preview.body["decisions"])["moh-health-card"]
	require.Equal(t, "shared", health["result"])
	require.Contains(t, health["fields"], "street")
	body["preview"] = preview.body["digest"]
	b.told("ann", body)

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
	cancelled := b.call("POST", "/v1/changes/preview", "ann", about("change-cancelled", object{"corrects": gone}))
	require.Empty(t, cancelled.body["decisions"])
	b.told("ann", about("change-cancelled", object{"corrects": gone}))
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
