package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal/journaltest"
)

// TestPerformanceIsPublic: without a token, by the document, and what is suppressed is null with a note that says so in both languages.
func TestPerformanceIsPublic(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 10, 17, 0, 0, 0, time.UTC)
	b := setupWith(t, options{journal: journaltest.Options{Clock: func() time.Time { return now }}})
	months := func() []any {
		got := b.call("GET", "/v1/performance", "", nil)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "public, max-age=3600", got.header.Get("Cache-Control"))
		b.contract.check(t, got.body, "paths", "/v1/performance", "get", "responses", "200", "content", "application/json")
		note := got.body["note"].(object)
		require.Contains(t, note["en"], "suppressed")
		require.Contains(t, note["fr"], "masqué")
		require.InEpsilon(t, 10.0, got.body["threshold"], 0)
		return got.body["months"].([]any)
	}
	require.NotContains(t, months()[0].(object)["month"], "2026-01")
	for range 12 {
		b.told("ann", move("1 First St"))
	}
	now = time.Date(2026, 2, 2, 17, 0, 0, 0, time.UTC)
	b.told("ann", move("2 Second St"))
	newest := months()[0].(object)
	require.Equal(t, "2026-01", newest["month"])
	told := map[string]any{}
	for _, f := range newest["told"].([]any) {
		told[f.(object)["type"].(string)] = f.(object)["changes"]
	}
	require.Contains(t, told, "person-registered")
	require.Nil(t, told["person-registered"], "two")
	require.InEpsilon(t, 12.0, told["address-changed"], 0)
	require.NotEmpty(t, newest["agreements"])
	for _, f := range newest["agreements"].([]any) {
		require.Nil(t, f.(object)["shared"])
		require.Nil(t, f.(object)["withheld"])
	}
	for bucket, share := range newest["within"].(object) {
		require.Nil(t, share, bucket)
	}
	require.Equal(t, http.StatusOK, b.call("GET", "/v1/performance", "moh", nil).status)
}
