// Package schemas holds the shape of everything that is told to the hub: a JSON Schema and a golden example per event type and
// version, the registry table with what the hub knows of each type, the rules of texts, postal codes, phones and e-mail addresses,
// and the reading of an agreement's YAML.
//
// New compiles everything once and refuses to start with a schema that this package can't judge. After that a Registry only reads,
// and may be used from any number of goroutines.
package schemas

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Base is the base URL of the schemas' own ids. The hub serves them below its own base.
const Base = "https://tellonce.example/schemas/"

//go:embed */*.json
var files embed.FS

// Registry knows every event type that can be told.
type Registry struct {
	list   []*Row
	byType map[string]*shape
}

// shape is a row with its compiled newest schema.
type shape struct {
	row     *Row
	schema  *jsonschema.Schema
	texts   []string       // members that are texts
	postal  bool           // has a postal code, whose form depends on the country
	sources map[int][]byte // by version, as told
	// delivered is by version, too: what ministries receive. Nil where the type is no fact.
	delivered map[int][]byte
}

// New compiles the schemas of every row. It fails on a schema that is no valid JSON Schema, uses a format without a checker, lets
// unknown members pass, lacks a field of its row, or refuses its golden example.
func New() (*Registry, error) {
	r := &Registry{byType: map[string]*shape{}}
	for _, row := range rows() {
		if err := r.add(&row, readEmbedded); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", row.Type, err)
		}
	}
	return r, nil
}

// readEmbedded reads a file of this package: <type>/<version>.json or <type>/<version>.example.json.
func readEmbedded(name string) ([]byte, error) { return files.ReadFile(name) }

// add compiles the schemas of a row, oldest first, and checks them.
func (r *Registry) add(row *Row, read func(name string) ([]byte, error)) error {
	s := &shape{row: row, sources: map[int][]byte{}, delivered: map[int][]byte{}}
	for version := 1; version <= int(row.Version); version++ {
		name := row.Type + "/" + strconv.Itoa(version)
		source, err := read(name + ".json")
		if err != nil {
			return err
		}
		document, fault := ParseObject(source, MaxLine)
		if fault != nil {
			return fmt.Errorf("version %d: %s", version, fault.Detail)
		}
		compiled, err := compileSchema(Base+name, source, document)
		if err != nil {
			return fmt.Errorf("version %d: %w", version, err)
		}
		s.sources[version], s.schema = source, compiled
		if row.Fact {
			if s.delivered[version], err = deliveredSchema(row, version, document); err != nil {
				return fmt.Errorf("version %d: %w", version, err)
			}
		}
	}
	if err := checkSchema(row, s.schema); err != nil {
		return err
	}
	for name, member := range s.schema.Properties {
		switch member.Format {
		case formatText:
			s.texts = append(s.texts, name)
		case formatPostalCode:
			s.postal = true
		}
	}
	if _, twice := r.byType[row.Type]; twice {
		return errors.New("the type has two rows")
	}
	r.list = append(r.list, row)
	r.byType[row.Type] = s
	return r.checkGolden(row, read)
}

func compileSchema(url string, source []byte, document map[string]any) (*jsonschema.Schema, error) {
	if err := checkFormats(document); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.Draft = jsonschema.Draft2020
	compiler.AssertFormat = true
	compiler.Formats = formats
	if err := compiler.AddResource(url, bytes.NewReader(source)); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(url)
	if err != nil {
		return nil, err
	}
	if compiled.Location != url+"#" {
		return nil, fmt.Errorf("its $id is not %s", url)
	}
	return compiled, nil
}

// Row returns the row of an event type.
func (r *Registry) Row(eventType string) (*Row, bool) {
	s, ok := r.byType[eventType]
	if !ok {
		return nil, false
	}
	return s.row, true
}

// Rows returns every row in the table's order.
func (r *Registry) Rows() []*Row { return r.list }

// Schema returns the JSON Schema of the data of an event type as it is told, in one version. What a ministry receives is a part of that:
// DeliveredSchema.
func (r *Registry) Schema(eventType string, version int) (schema []byte, ok bool) {
	s, ok := r.byType[eventType]
	if !ok {
		return nil, false
	}
	schema, ok = s.sources[version]
	return schema, ok
}

// Validate is step 3 of a change's life. It normalises data (texts trimmed and in NFC, postal codes in their form; data itself is left alone) and judges it by the
// newest schema of its type. It returns the normalised data with its canonical bytes, or every problem with its pointer relative to
// data. An event type without a row is a problem with code unknown-type.
func (r *Registry) Validate(eventType string, data map[string]any) (normalised map[string]any, canonical []byte, problems []Problem) {
	s, ok := r.byType[eventType]
	if !ok {
		return nil, nil, []Problem{{Code: CodeUnknownType, Rule: "type", Detail: "there is no such event type"}}
	}
	if data == nil {
		data = map[string]any{}
	}
	normalised, _, problems = r.judge(s, data)
	if problems != nil {
		return nil, nil, problems
	}
	canonical, err := Canonical(normalised)
	if err != nil { // a string that is not UTF-8, from a caller that did not decode with ParseObject
		return nil, nil, []Problem{*schemaProblem("", "encoding", "")}
	}
	return normalised, canonical, nil
}

// normalize returns data with its texts and postal code normalised: data itself if there was nothing to do.
func (s *shape) normalize(data map[string]any) (normalised map[string]any, changed bool) {
	normalised = data
	set := func(name, before, after string) {
		if after == before {
			return
		}
		if !changed {
			changed = true
			normalised = make(map[string]any, len(data))
			for key, value := range data {
				normalised[key] = value
			}
		}
		normalised[name] = after
	}
	for _, name := range s.texts {
		if text, ok := data[name].(string); ok {
			set(name, text, NormalizeText(text))
		}
	}
	if s.postal {
		if code, ok := data["postal_code"].(string); ok {
			set("postal_code", code, normalizePostal(code, data["country"] == "CA"))
		}
	}
	return normalised, changed
}
