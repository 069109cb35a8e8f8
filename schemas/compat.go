package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// checkSchema refuses at start a schema that would not protect the hub: one whose format nobody checks, that lets unknown members
// pass, or whose members are not those of its row.
func checkSchema(row *Row, schema *jsonschema.Schema) error {
	if allowed, ok := schema.AdditionalProperties.(bool); !ok || allowed {
		return errors.New("additionalProperties is not false")
	}
	if !slices.Equal(schema.Types, []string{"object"}) {
		return errors.New("its type is not object")
	}
	if row.Key != "" && (schema.Properties[row.Key] == nil || !slices.Contains(schema.Required, row.Key)) {
		return fmt.Errorf("the key %s is no required member", row.Key)
	}
	named := map[string]bool{}
	for _, field := range append(slices.Clone(row.Fields), row.Private...) {
		if schema.Properties[field.Name] == nil {
			return fmt.Errorf("the field %s is no member", field.Name)
		}
		if named[field.Name] {
			return fmt.Errorf("the field %s is named twice", field.Name)
		}
		named[field.Name] = true
	}
	for name := range schema.Properties {
		if row.Fact && !named[name] {
			return fmt.Errorf("the member %s is neither shareable nor private", name)
		}
	}
	return nil
}

// checkFormats walks a schema's source and refuses a format that has no checker: the validator would let every value pass. It looks
// at the source, not at the compiled schema, so that no keyword can hide a subschema from it. A member of the data that is called
// "format" is told apart by its value, which is a schema and no string.
func checkFormats(v any) error {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["format"].(string); ok && formats[name] == nil {
			return fmt.Errorf("the format %q has no checker", name)
		}
		for _, value := range v {
			if err := checkFormats(value); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range v {
			if err := checkFormats(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkGolden refuses a schema that refuses, or rewrites, the golden example beside it. Each version's example must also upcast to
// one that the newest schema accepts.
func (r *Registry) checkGolden(row *Row, read func(name string) ([]byte, error)) error {
	for version := 1; version <= int(row.Version); version++ {
		source, err := read(row.Type + "/" + strconv.Itoa(version) + ".example.json")
		if err != nil {
			return err
		}
		example, malformed := ParseObject(source, MaxLine)
		if malformed != nil {
			return fmt.Errorf("golden example of version %d: %s", version, malformed.Detail)
		}
		newest, err := r.Upcast(row.Type, version, example)
		if err != nil {
			return fmt.Errorf("golden example of version %d: %w", version, err)
		}
		normalised, _, problems := r.Validate(row.Type, newest)
		if problems != nil {
			return fmt.Errorf("golden example of version %d, at %q: %s", version, *problems[0].Pointer, problems[0].Detail)
		}
		if _, changed := r.byType[row.Type].normalize(newest); changed {
			return fmt.Errorf("golden example of version %d is not normalised (%d members)", version, len(normalised))
		}
	}
	return nil
}
