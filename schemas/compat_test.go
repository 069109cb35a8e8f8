package schemas

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// invented is a type that only this test knows, with changes to its schema and example.
func invented(t *testing.T, schemaChanges, exampleChanges map[string]any) error {
	t.Helper()
	schema := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": Base + "pet-changed/1", "type": "object",
		"properties": map[string]any{
			"kind": map[string]any{"enum": []string{"cat", "dog"}}, "name": map[string]any{"type": "string", "format": formatText},
		},
		"required": []string{"kind", "name"}, "additionalProperties": false,
	}
	example := map[string]any{"kind": "cat", "name": "Minou"}
	for key, value := range schemaChanges {
		schema[key] = value
	}
	for key, value := range exampleChanges {
		example[key] = value
	}
	row := fact("pet-changed", "Pet", "Animal", field("name", "Name", "Nom"), field("kind", "Kind", "Sorte")).keyed("kind")
	r := &Registry{byType: map[string]*shape{}}
	return r.add(&row, func(name string) ([]byte, error) {
		switch name {
		case "pet-changed/1.json":
			return json.Marshal(schema)
		case "pet-changed/1.example.json":
			return json.Marshal(example)
		}
		return nil, errors.New("no such file")
	})
}

func TestStartRefusesBadSchemas(t *testing.T) {
	t.Parallel()
	require.NoError(t, invented(t, nil, nil))
	properties := func(name any) map[string]any {
		return map[string]any{"properties": map[string]any{"kind": map[string]any{"enum": []string{"cat"}}, "name": name}}
	}
	for name, test := range map[string]struct {
		schema, example map[string]any
		message         string
	}{
		"a format without checker":  {properties(map[string]any{"type": "string", "format": "hostname"}), nil, "no checker"},
		"such a format deep inside": {map[string]any{"then": map[string]any{"allOf": []any{map[string]any{"format": "colour"}}}}, nil, "no checker"},
		"unknown members pass":      {map[string]any{"additionalProperties": true}, nil, "additionalProperties"},
		"not an object":             {map[string]any{"type": []string{"object", "null"}}, nil, "type is not object"},
		"a field of the row missing": {map[string]any{"properties": map[string]any{"kind": map[string]any{"enum": []string{"cat"}}}}, nil,
			"the field name is no member"},
		"a member in no list": {map[string]any{"properties": map[string]any{
			"kind": map[string]any{"enum": []string{"cat"}}, "name": map[string]any{"type": "string"}, "chip": map[string]any{"type": "string"},
		}}, nil, "the member chip is neither"},
		"the key not required":   {map[string]any{"required": []string{"name"}}, nil, "the key kind"},
		"another id":             {map[string]any{"$id": Base + "pet-changed/2"}, nil, "$id"},
		"no schema at all":       {map[string]any{"type": 7}, nil, ""},
		"example refused":        {nil, map[string]any{"name": ""}, "golden example"},
		"example not normalised": {nil, map[string]any{"name": " Minou"}, "not normalised"},
		"example with unknown":   {nil, map[string]any{"colour": "red"}, "golden example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, invented(t, test.schema, test.example), test.message)
		})
	}
}

// A member that happens to be called "format" is data, not a format.
func TestMemberCalledFormat(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkFormats(map[string]any{"properties": map[string]any{"format": map[string]any{"type": "string"}}}))
	require.Error(t, checkFormats(map[string]any{"properties": map[string]any{"format": map[string]any{"format": "colour"}}}))
}
