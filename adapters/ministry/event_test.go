package ministry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
)

// TestTheHubsOwnBytes reads what the hub promises to write for ever.
func TestTheHubsOwnBytes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../domain/delivery/testdata/encoder-1.ndjson")
	require.NoError(t, err)
	kinds := map[string]ministry.Event{}
	for line := range bytes.Lines(text) {
		e, err := ministry.ParseEvent(line)
		require.NoError(t, err)
		require.Equal(t, stream, e.Stream)
		if _, seen := kinds[e.Kind]; !seen {
			kinds[e.Kind] = e
		}
	}
	require.Subset(t, keys(kinds), []string{"fact", "snapshot", "correction", "retracted", "ended", "left-scope", "erased", "rekeyed", "recalled"})
	fact := kinds["fact"]
	require.Equal(t, ministry.Cursor{Generation: 1, Number: 42}, fact.Cursor)
	require.Equal(t, "2026-04-01", fact.Effective)
	require.Equal(t, "moh-health-card@1", fact.Agreement)
	require.Equal(t, ministry.Asserted, fact.Assurance)
	require.Equal(t, "2026-03-08T02:59:59Z", fact.Time.Format("2006-01-02T15:04:05Z07:00"))
	require.JSONEq(t, `{"city":"Windsor"}`, string(kinds["snapshot"].Data))
	name, version := fact.Fact()
	require.Equal(t, "address-changed 1", name+" "+version)
	require.Equal(t, "1.0.41", kinds["correction"].Corrects.String())
	require.Nil(t, kinds["recalled"].Data)
	erased := kinds["erased"]
	cursors, err := erased.Erased()
	require.NoError(t, err)
	require.Equal(t, "[1.0.7 1.0.41 1.0.1000000000000]", fmt.Sprint(cursors))
	rekeyed := kinds["rekeyed"]
	kept, err := rekeyed.Rekeyed()
	require.NoError(t, err)
	require.Equal(t, "v1.vutsrqponmlkjihgfedcba9876543210", kept)
}

func keys[K comparable, V any](m map[K]V) (out []K) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func TestWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]map[string]any{
		"another version":        {"specversion": "0.3"},
		"no cursor":              {"id": "canary"},
		"a cursor spelt oddly":   {"id": "1.00.1"},
		"a number of nobody":     {"id": "1.0.0", "sequence": "000000000000"},
		"another sequence":       {"sequence": "000000000002"},
		"a source of no stream":  {"source": "https://canary.example/"},
		"another one's type":     {"type": "canary.v1"},
		"no kind":                {"kind": ""},
		"a time that is none":    {"time": "canary"},
		"no effective date":      {"effective": ""},
		"nobody":                 {"subject": ""},
		"data that is no object": {"data": []any{"canary"}},
		"no data":                {"data": nil},
		"corrects what":          {"corrects": "canary"},
		"a correction of what":   {"kind": "correction"},
		"a text as object":       {"subject": map[string]any{"canary": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := given(0, 1, ministry.KindFact, members)
			_, err := ministry.ParseEvent(text)
			require.ErrorIs(t, err, ministry.ErrEvent)
			require.NotContains(t, err.Error(), "canary")
			_, err = ministry.ParseBatch(batch(fact(1), text))
			require.ErrorIs(t, err, ministry.ErrEvent)
		})
	}
	for _, text := range []string{"", "null", "{}", "[]", `{"data":`, "[null]"} {
		_, err := ministry.ParseEvent([]byte(text))
		require.ErrorIs(t, err, ministry.ErrEvent, text)
	}
	for _, text := range []string{"", "null", "{}", `[{}]`, "[1]"} {
		_, err := ministry.ParseBatch([]byte(text))
		require.ErrorIs(t, err, ministry.ErrEvent, text)
	}
	none, err := ministry.ParseBatch([]byte("[]"))
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestAnEventPrintsAsItsCursor: whatever the verb, and in a log.
func TestAnEventPrintsAsItsCursor(t *testing.T) {
	t.Parallel()
	e := parse(t, fact(7))[0]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.Equal(t, "event 1.0.7 (fact)", fmt.Sprintf(verb, e))
	}
	require.Equal(t, "1.0.7", e.LogValue().String())
	require.Equal(t, "ministry: the event was rejected", ministry.Reject("canary").Error())
}

func TestCursors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1.0.1", "2.11.9007199254740993"} {
		c, err := ministry.ParseCursor(text)
		require.NoError(t, err)
		require.Equal(t, text, c.String())
	}
	for _, text := range []string{"", "1.0", "1.0.1.0", "0.0.1", "1.-1.1", "1.0.0", "01.0.1", "1.0.+1", " 1.0.1", "1.0.99999999999999999999"} {
		_, err := ministry.ParseCursor(text)
		require.ErrorIs(t, err, ministry.ErrCursor, text)
	}
	var none ministry.Cursor
	require.NoError(t, json.Unmarshal([]byte(`""`), &none))
	require.True(t, none.IsZero())
}

func FuzzParseEvent(f *testing.F) {
	text, err := os.ReadFile("../../domain/delivery/testdata/encoder-1.ndjson")
	require.NoError(f, err)
	for line := range bytes.Lines(text) {
		f.Add(line)
	}
	f.Add([]byte(`[{"specversion":"1.0"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ministry.ParseEvent(text)
		if err != nil {
			require.ErrorIs(t, err, ministry.ErrEvent)
			require.Less(t, len(err.Error()), 120, "an error of its own words only")
			return
		}
		require.False(t, e.Cursor.IsZero())
		require.NotEmpty(t, e.Stream)
		require.Equal(t, e.Kind == ministry.KindRecalled, e.Data == nil)
		require.True(t, e.Data == nil || json.Valid(e.Data))
		both, err := ministry.ParseBatch(batch(text, text))
		require.NoError(t, err)
		require.Equal(t, []ministry.Event{e, e}, both)
		e.Fact()
		_, _ = e.Erased()
		_, _ = e.Rekeyed()
		require.True(t, strings.HasPrefix(fmt.Sprintf("%+v", e), "event "))
	})
}
