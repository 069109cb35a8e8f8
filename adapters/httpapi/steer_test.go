package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

const stream = "/v1/streams/" + health

// A stream is paused and resumed by its ministry or an operator; a repeat changes nothing.
func TestAStreamIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	id := uuid.NewString()
	for range 2 {
		require.Equal(t, http.StatusNoContent, b.call("POST", stream+"/pause", "moh", nil, "Idempotency-Key", id).status)
	}
	require.Len(t, b.events(journal.TypeStreamPaused), 1)
	require.Equal(t, "stream-paused", b.call("GET", feed, "moh", nil).body["code"])
	require.Equal(t, "not-your-stream", b.call("POST", stream+"/resume", "library", nil).body["code"])
	require.Equal(t, http.StatusNoContent, b.call("POST", stream+"/resume", "operator", nil).status)
	require.Equal(t, []string{"1.0.1"}, ids(t, b.call("GET", feed, "moh", nil).text))
}

// Synthetic events are on the stream, marked; what was given is previewed and sent to the side; what can't be is refused with its code.
func TestWhatWasGivenIsSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	post := func(path string, body any, headers ...string) response {
		return b.call("POST", stream+path, "moh", body, headers...)
	}
	require.Equal(t, http.StatusNoContent, post("/synthetic", object{"count": 3, "type": "address-changed"}).status)
	page := b.call("GET", feed, "moh", nil)
	require.Equal(t, []string{"1.0.1", "1.0.2", "1.0.3"}, ids(t, page.text))
	require.Contains(t, page.text, `"kind":"synthetic"`)
	require.Contains(t, page.text, `"subject":"v0.`)

	preview := post("/replays", object{"last": 2, "side": true, "preview": true})
	require.Equal(t, object{"preview": true, "parts": []any{object{"from": "1.0.2", "to": "1.0.3", "events": 2.0, "recalled": 0.0}}}, preview.body, preview.text)
	b.contract.check(t, preview.body, "paths", "/v1/streams/{stream}/replays", "post", "responses", "200", "content", "application/json")
	require.Empty(t, b.events(journal.TypeReplayAsked), "a preview changes nothing")
	id := uuid.NewString()
	for range 2 {
		require.Equal(t, http.StatusOK, post("/replays", object{"from": "1.0.1", "to": "1.0.2", "side": true}, "Idempotency-Key", id).status)
	}
	require.Len(t, b.events(journal.TypeReplayAsked), 1)
	listed := b.call("GET", stream+"/replays", "moh", nil)
	require.Len(t, listed.body["replays"], 1)
	require.Equal(t, false, listed.body["replays"].([]any)[0].(object)["done"])
	b.contract.check(t, listed.body, "paths", "/v1/streams/{stream}/replays", "get", "responses", "200", "content", "application/json")
	undelivered := b.call("GET", stream+"/undelivered", "moh", nil)
	require.Equal(t, object{"held": []any{}, "parked": []any{}}, undelivered.body)

	for name, c := range map[string]struct {
		path string
		body object
		code string
	}{
		"no way named":       {"/replays", object{"side": true}, "replay"},
		"nowhere to":         {"/replays", object{"last": 1}, "no-endpoint"},
		"beyond the last":    {"/replays", object{"from": "1.0.4", "side": true}, "unknown-cursor"},
		"nothing since":      {"/replays", object{"since": "2999-01-01T00:00:00Z", "side": true}, "nothing-to-send"},
		"no cursor":          {"/replays", object{"from": "four", "side": true}, "schema"},
		"nothing is parked":  {"/redrive", object{"from": "1.0.1"}, "not-parked"},
		"two lanes":          {"/redrive", object{"from": "1.0.1", "to": "1.1.1"}, "unknown-cursor"},
		"too many":           {"/synthetic", object{"count": 1001}, "synthetic"},
		"not on this stream": {"/synthetic", object{"type": "death-reported"}, "synthetic"},
	} {
		head := b.head()
		refused := post(c.path, c.body)
		require.Equal(t, c.code, refused.body["code"], "%s: %s", name, refused.text)
		require.Equal(t, head, b.head(), name)
	}
}
