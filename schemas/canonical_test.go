package schemas_test

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/schemas"
)

// texts draws strings that a canonical encoder may get wrong: controls, quotes, and both sides of the surrogates' place in the order.
func texts() *rapid.Generator[string] {
	return rapid.StringOf(rapid.OneOf(
		rapid.Rune(),
		rapid.RuneFrom([]rune("\x00\b\t\n\f\r\x1f\x7f\"\\/<>&aé\u2028\ud7ff\ue000\uffff\U00010000\U0010ffff")),
	))
}

// values draws a decoded JSON value of at most so many levels.
func values(levels int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 5
		if levels == 0 {
			most = 3
		}
		switch rapid.IntRange(0, most).Draw(t, "kind") {
		case 0:
			return texts().Draw(t, "text")
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return nil
		case 3:
			f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).Draw(t, "number")
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		case 4:
			return rapid.SliceOfN(values(levels-1), 0, 4).Draw(t, "array")
		}
		return rapid.MapOfN(texts(), values(levels-1), 0, 20).Draw(t, "object")
	})
}

// The judge is the reference implementation of RFC 8785 in Go.
func TestCanonicalAgainstJCS(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := values(3).Draw(t, "value")
		got, err := schemas.Canonical(value)
		require.NoError(t, err)
		plain, err := json.Marshal(value)
		require.NoError(t, err)
		want, err := jcs.Transform(plain)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	})
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		`{"a":1,"b":[true,null,"x"]}`:       map[string]any{"b": []any{true, nil, "x"}, "a": 1},
		`["a","b"]`:                         []string{"a", "b"},
		`[0,1e+21,1,100000000000000000000]`: []any{json.Number("-0"), json.Number("1e21"), json.Number("1.0"), json.Number("1E20")},
		`[-7,1.5]`:                          []any{int64(-7), 1.5},
		`"\u000b\u001f/</é"`:                "\v\x1f/</é",
		"{\"\U00010000\":1,\"\ue000\":2}":   map[string]any{"\ue000": 2, "\U00010000": 1}, // by UTF-16, not by code point
		`{"a":1,"aa":2}`:                    map[string]any{"aa": 2, "a": 1},
	} {
		got, err := schemas.Canonical(value)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	for _, value := range []any{
		json.Number("1e400"), math.NaN(), math.Inf(1), "a\xff", map[string]any{"\xff": 1}, []any{struct{}{}}, map[string]any{"a": uint8(1)},
	} {
		_, err := schemas.Canonical(value)
		require.Error(t, err)
	}
}
