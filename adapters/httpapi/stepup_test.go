package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestAWeakLogInIsAskedForAStrongerOne, as RFC 9470 has it, and only where the registry demands one.
func TestAWeakLogInIsAskedForAStrongerOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	weak := b.actors["ann"]
	weak.ACR = 1
	b.actors["weak ann"] = weak
	weak.ACR = 2
	b.actors["strong ann"] = weak
	married := object{"type": "marital-status-changed", "effective": "2026-06-01", "data": object{"status": "married"}}
	death := object{
		"given_names": "ben", "family_name": canary, "birth_date": "1980-05-17", "death_date": "2026-01-02", "reported_by": "child",
	}
	for path, body := range map[string]object{"/v1/changes": married, "/v1/changes/preview": married, "/v1/deaths": death} {
		got := b.call("POST", path, "weak ann", body, "Idempotency-Key", uuid.NewString())
		require.Equal(t, http.StatusUnauthorized, got.status, path)
		require.Equal(t, "insufficient-user-authentication", got.code())
		require.Equal(t, `Bearer realm="tellonce", error="insufficient_user_authentication", acr_values="2"`, got.header.Get("WWW-Authenticate"))
	}
	require.Equal(t, http.StatusAccepted, b.tell("weak ann", move("1 First St")).status)
	require.Equal(t, http.StatusAccepted, b.tell("strong ann", married).status)
}
