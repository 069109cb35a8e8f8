package schemas_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/schemas"
)

func corrected(eventType any, data any) map[string]any {
	return map[string]any{"corrects": json.Number("41"), "type": eventType, "data": data}
}

// TestACorrectionIsJudgedByTheTypeItCorrects: by its schema, with its texts normalised, and with pointers into the data in the data.
func TestACorrectionIsJudgedByTheTypeItCorrects(t *testing.T) {
	t.Parallel()
	r := registry(t)
	move := func(street, code string) map[string]any {
		return map[string]any{"kind": "home", "street": street, "city": "Kenora", "province": "ON", "postal_code": code, "country": "CA"}
	}
	data := corrected("address-changed", move("  1 Zoe\u0308 St ", "p9n3x9"))
	normalised, canonical, problems := r.Validate("change-corrected", data)
	require.Empty(t, problems)
	require.Equal(t, corrected("address-changed", move("1 Zoë St", "P9N 3X9")), normalised)
	want, err := schemas.Canonical(normalised)
	require.NoError(t, err)
	require.Equal(t, string(want), string(canonical))
	require.Equal(t, "  1 Zoe\u0308 St ", data["data"].(map[string]any)["street"], "what was sent is left alone")

	line, problem := r.ParseLine(envelope(t, "change-corrected", map[string]any{"data.type": "address-changed", "data.data": move(" 1 Zoë St", "P9N 3X9")}))
	require.Nil(t, problem)
	require.Equal(t, move("1 Zoë St", "P9N 3X9"), line.Data["data"])
	require.Equal(t, string(canonical), string(line.Canonical))
	require.Contains(t, string(line.Content), `" 1 Zoë St"`)

	missing := move("1 First St", "P9N 3X9")
	delete(missing, "city")
	for name, test := range map[string]struct {
		data          map[string]any
		pointer, rule string
	}{
		"no such type":       {corrected("horoscope-changed", map[string]any{}), "/type", "enum"},
		"a type that tells":  {corrected("consent-granted", map[string]any{"agreement": "a"}), "/type", "enum"},
		"itself":             {corrected("change-corrected", corrected("language-changed", map[string]any{"language": "fr"})), "/type", "enum"},
		"not a type":         {corrected(7, map[string]any{}), "/type", "type"},
		"not data":           {corrected("language-changed", "fr"), "/data", "type"},
		"missing":            {corrected("address-changed", missing), "/data", "required"},
		"too much":           {corrected("language-changed", map[string]any{"language": "fr", "x": 1}), "/data", "unknown-member"},
		"wrong":              {corrected("language-changed", map[string]any{"language": "de"}), "/data/language", "enum"},
		"of genesis":         {map[string]any{"corrects": json.Number("0"), "type": "language-changed", "data": map[string]any{"language": "fr"}}, "/corrects", "minimum"},
		"a part of a number": {map[string]any{"corrects": json.Number("4.5"), "type": "language-changed", "data": map[string]any{"language": "fr"}}, "/corrects", "type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			normalised, _, problems := r.Validate("change-corrected", test.data)
			require.Nil(t, normalised)
			require.Len(t, problems, 1)
			require.Equal(t, schemas.CodeSchema, problems[0].Code)
			require.Equal(t, test.pointer, *problems[0].Pointer)
			require.Equal(t, test.rule, problems[0].Rule)
		})
	}
	_, problem = r.ParseLine(envelope(t, "change-corrected", map[string]any{"data.data": map[string]any{"language": "de"}}))
	require.Equal(t, "/data/data/language", *problem.Pointer)
}
