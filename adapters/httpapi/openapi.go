package httpapi

import (
	_ "embed" // examples.json
	"encoding/json"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tellonce/hub/domain/citizen"
)

// bearer names the security scheme.
const bearer = "bearer"

// document is the frame of /openapi.json. huma's own routes are off: its docs page loads scripts from elsewhere.
func (s *server) document() huma.Config {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Tellonce", Version: "1",
				Description: "A resident tells government once; every ministry that may know, knows; nobody else does. Errors are RFC 9457 " +
					"problems: `code` is for machines, `detail` for people, `errors` points at everything that is wrong with an input. A 503 " +
					"may be repeated; a change keeps its Idempotency-Key.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: s.Journal.Genesis().BaseURL}, {URL: "/"}},
			Tags: []*huma.Tag{
				{Name: "changes", Description: "Tell a change, or see who would be told"},
				{Name: "me", Description: "What a citizen sees and decides"},
				{Name: "persons", Description: "Registering people"},
				{Name: "deaths", Description: "Reported deaths, and a registrar's decision on each"},
				{Name: "streams", Description: "What a ministry receives, and answers"},
				{Name: "agreements", Description: "Who may know what: proposed by one officer, approved by another"},
				{Name: "protection", Description: "Protecting people: for protectors alone"},
				{Name: "audit", Description: "Why: every look is itself on the log"},
				{Name: "public", Description: "For everybody, without a token"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{bearer: {
					Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "`tellonce token issue` makes one",
				}},
			},
		},
		Formats: huma.DefaultFormats, DefaultFormat: "application/json",
	}
	config.AllowAdditionalPropertiesByDefault = true // answers may grow; bodies say no themselves
	return config
}

// marshalDocument closes the document.
func (s *server) marshalDocument() ([]byte, error) {
	api := s.api.OpenAPI()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // huma's own errors, which no route has
		delete(api.Components.Schemas.Map(), unused)
	}
	for _, schema := range api.Components.Schemas.Map() {
		for _, property := range schema.Properties {
			property.Nullable = false // huma lets every list be null; ours are empty
		}
	}
	return json.MarshalIndent(api, "", "  ")
}

// describeChanges puts the schema of each type that can be told into the document: a change's data is one of them.
func (s *server) describeChanges() {
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	var types []any
	var data []*huma.Schema
	for _, row := range s.Journal.Registry().Rows() {
		if !row.Fact && !row.About {
			continue
		}
		schema, ok := s.toldSchema(row.Type, int(row.Version))
		if !ok {
			continue
		}
		name := dataName(row.Type)
		schemas[name] = schema
		ref := &huma.Schema{Ref: "#/components/schemas/" + name}
		if row.Type == citizen.PersonRegistered {
			schemas["PersonBody"].Properties["data"] = ref
			continue
		}
		types, data = append(types, row.Type), append(data, ref)
	}
	body := schemas["ChangeBody"].Properties
	body["type"].Enum = types
	body["data"] = &huma.Schema{AnyOf: data, Description: "what is told, by the type's schema"}
}

// toldSchema is the JSON Schema of a type's data without its id, which would move the document's own references.
func (s *server) toldSchema(eventType string, version int) (*huma.Schema, bool) {
	text, ok := s.Journal.Registry().Schema(eventType, version)
	if !ok {
		return nil, false
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil { // the registry has compiled it
		return nil, false
	}
	delete(members, "$id")
	delete(members, "$schema")
	return &huma.Schema{Extensions: members}, true
}

// dataName is a type's name among the document's schemas: address-changed is AddressChangedData.
func dataName(eventType string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(eventType, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String() + "Data"
}

func eventBatchSchema() *huma.Schema {
	text := func(description string) *huma.Schema { return &huma.Schema{Type: "string", Description: description} }
	return &huma.Schema{Type: "array", Items: &huma.Schema{
		Type: "object", Required: []string{"specversion", "id", "source", "type", "kind", "sequence"},
		Properties: map[string]*huma.Schema{
			"specversion":     {Type: "string", Enum: []any{"1.0"}},
			"id":              text("the cursor"),
			"source":          text("the stream"),
			"type":            text("what kind of event"),
			"subject":         text("the person, under an id that is your ministry's alone"),
			"time":            text("when the fact was recorded"),
			"dataschema":      text("where the schema of data is"),
			"datacontenttype": text("application/json"),
			"kind":            text("fact, recalled"),
			"sequence":        text("the number, zero-padded"),
			"effective":       text("from when it holds"),
			"agreement":       text("under which it was given: id@version"),
			"assurance":       text("asserted or verified"),
			"data":            {Type: "object", Description: "the permitted fields; a recalled event has none"},
		},
	}}
}

// listMedia are the two forms of a list without end.
func (s *server) listMedia(id string) media {
	return media{
		"application/json": {Schema: &huma.Schema{Type: "array", Items: &huma.Schema{Type: "object"}}, Example: s.examples[id].Answer},
		ndjson:             {Schema: &huma.Schema{Type: "string", Description: "one object a line"}},
	}
}

// example is what the document shows of an operation. All people and numbers in it are invented.
type example struct {
	Body   any    `json:"body"`
	YAML   string `json:"yaml"` // of a body that may also be YAML
	Answer any    `json:"answer"`
}

//go:embed examples.json
var examplesJSON []byte

func readExamples() (map[string]example, error) {
	var out map[string]example
	if err := json.Unmarshal(examplesJSON, &out); err != nil {
		return nil, fmt.Errorf("examples.json: %w", err)
	}
	return out, nil
}
