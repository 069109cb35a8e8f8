package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCommandsMayBeSentAgainInAnyOrder: whatever is resent and in which order, each command counts once and is answered the same for ever,
// and an id with other content is refused.
func TestCommandsMayBeSentAgainInAnyOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rapid.Check(t, func(t *rapid.T) {
		type command struct {
			key   string
			token string
			first *response
			body  object
		}
		commands := make([]*command, rapid.IntRange(1, 4).Draw(t, "commands"))
		for i := range commands {
			commands[i] = &command{
				key: uuid.NewString(), token: rapid.SampledFrom([]string{"ann", "ben"}).Draw(t, "token"), body: move(fmt.Sprint(i, " First St")),
			}
		}
		for range rapid.IntRange(1, 10).Draw(t, "sends") {
			c := rapid.SampledFrom(commands).Draw(t, "which")
			head := b.head()
			if c.first != nil && rapid.Bool().Draw(t, "changed") {
				got := b.call("POST", "/v1/changes", c.token, move("other"), "Idempotency-Key", c.key)
				require.Equal(t, "command-reused", got.code())
				require.Equal(t, head, b.head())
				continue
			}
			got := b.call("POST", "/v1/changes", c.token, c.body, "Idempotency-Key", c.key)
			require.Equal(t, http.StatusAccepted, got.status, got.text)
			if c.first == nil {
				c.first = &got
				require.Equal(t, head+2, b.head(), "the change and what was decided")
				require.EqualValues(t, head+1, got.body["position"])
				continue
			}
			require.Equal(t, c.first.text, got.text)
			require.Equal(t, head, b.head())
		}
	})
}

// FuzzBodies sends any bytes as a body: the answer is never the hub's fault, always documented, and nothing is appended.
func FuzzBodies(f *testing.F) {
	good, err := json.Marshal(move("1 First St"))
	require.NoError(f, err)
	for _, seed := range []string{
		string(good), "", "{}", "[]", "null", `{"type":"address-changed"}`, `{"type":"address-changed","effective":"2026-01-05","data":{"kind":[]}}`,
		`{"type":"birth-registered","effective":"2026-01-05","data":{},"consents":[{"agreement":"outdoors-card","fields":["city"]}],"preview":"0"}`,
		strings.Repeat(`[`, 100), `{"data":` + strings.Repeat(`{"a":`, 20), `{"a/b~c":1e400}`, "\xff", `{"type":"\udc00"}`, "{\"effective\":\"\u0000\"}",
	} {
		f.Add(seed)
	}
	shared := setup(f)
	f.Fuzz(func(t *testing.T, body string) {
		b := *shared
		b.t = t
		head := b.head()
		for path, token := range map[string]string{"/v1/changes/preview": "ann", "/v1/streams/moh.health-card/receipts": "moh"} {
			got := b.call("POST", path, token, body)
			require.Less(t, got.status, http.StatusInternalServerError, got.text)
		}
		require.Equal(t, head, b.head())
	})
}
