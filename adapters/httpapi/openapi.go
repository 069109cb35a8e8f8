package httpapi

import (
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
				Description: "A resident tells government once; every ministry that may know, knows; nobody else does. Errors are RFC 9457 problems: `code` is for " +
					"machines, `detail` for people, `errors` points at everything that is wrong with an input. A 503 may be repeated; a change keeps its Idempotency-Key.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: s.Journal.Genesis().BaseURL}, {URL: "/"}},
			Tags: []*huma.Tag{
				{Name: "changes", Description: "Tell a change, or see who would be told"},
				{Name: "me", Description: "What a citizen sees and decides"},
				{Name: "persons", Description: "Registering people"},
				{Name: "streams", Description: "What a ministry receives, and answers"},
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
		if !row.Fact {
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
			"specversion": {Type: "string", Enum: []any{"1.0"}}, "id": text("the cursor"), "source": text("the stream"),
			"type": text("what kind of event"), "subject": text("the person, under an id that is your ministry's alone"), "time": text("when the fact was recorded"),
			"dataschema": text("schema of data"), "datacontenttype": text("application/json"), "kind": text("fact, recalled"),
			"sequence": text("the number, zero-padded"), "effective": text("from when it holds"), "agreement": text("under which it was given: id@version"),
			"assurance": text("asserted or verified"), "data": {Type: "object", Description: "the permitted fields; a recalled event has none"},
		},
	}}
}

func listContent(example any) map[string]*huma.MediaType {
	object := &huma.Schema{Type: "object"}
	line, err := json.Marshal(example)
	if err != nil { // an example of this file
		line = []byte("{}")
	}
	return map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: "array", Items: object}, Example: []any{example}},
		ndjson:             {Schema: &huma.Schema{Type: "string"}, Example: fmt.Sprintf("%s\n", line)},
	}
}

type example = map[string]any

// The document's examples. All people and numbers in them are invented.
var (
	addressExample = example{
		"kind": "home", "unit": "Apt 3", "street": "264½ Queen St E", "city": "Sault Ste. Marie", "province": "ON", "postal_code": "P6A 7N9", "country": "CA",
	}
	changeExample = example{
		"type": "address-changed", "effective": "2026-11-25", "data": addressExample, "consents": []any{example{"agreement": "library-membership", "language": "en"}},
	}
	personExample = example{
		"reference": "person-000000", "data": example{"given_names": "Gaétan", "family_name": "Dvořák", "birth_date": "1983-03-01", "language": "en"},
	}
	acceptedExample = example{"receipt": "7ZK3M9QX2B4D", "position": 4711}
	positionExample = example{"position": 4711}
	titleExample    = example{"en": "Health card", "fr": "Carte Santé"}
	sharedExample   = example{
		"agreement": "moh-health-card", "version": 1, "stream": "moh.health-card", "ministry": "moh", "title": titleExample, "result": "shared",
		"fields": []any{"city", "postal_code", "street"},
	}
	withheldExample = example{
		"agreement": "library-membership", "version": 1, "stream": "library.membership", "ministry": "library",
		"title": example{"en": "Public library", "fr": "Bibliothèque publique"}, "result": "withheld", "fields": []any{}, "reason": "no-grant",
	}
	previewExample = example{"digest": "3f9a0c5e7b1d24680f1e2d3c4b5a6978", "decisions": []any{withheldExample, sharedExample}}
	factExample    = example{
		"type": "address-changed", "key": "home", "effective": "2026-11-25", "data": addressExample, "assurance": "asserted", "position": 4711,
		"recorded_at": "2026-11-25T14:05:01Z",
	}
	meExample          = example{"facts": []any{factExample}, "links": []any{example{"ministry": "moh", "client_reference": "8805-222-127-CL", "since": 17}}}
	disclosuresExample = example{"disclosures": []any{
		example{"at": "2026-11-25T14:05:02Z", "disclosure": example{
			"type": "address-changed", "agreement": "moh-health-card", "version": 1, "stream": "moh.health-card", "ministry": "moh", "title": titleExample,
			"fields": []any{"street", "city"}, "status": "received", "status_at": "2026-11-25T14:06:00Z",
		}},
		example{"at": "2026-11-24T09:30:00Z", "look": example{"role": "officer", "kind": "search", "reason": "Complaint 2026-118", "case": "2026-118"}},
	}}
	consentsExample = example{"consents": []any{example{
		"agreement": "library-membership", "version": 1, "ministry": "library", "stream": "library.membership",
		"title": example{"en": "Public library", "fr": "Bibliothèque publique"}, "purpose": example{"en": "Keep your library membership current", "fr": "Tenir à jour votre abonnement"},
		"shares": []any{"street", "city"}, "granted": true, "fields": []any{"street"}, "since": 42,
	}}}
	receiptExample = example{
		"receipt": "7ZK3M9QX2B4D", "position": 4711, "recorded_at": "2026-11-25T14:05:01Z", "type": "address-changed", "effective": "2026-11-25",
		"data": addressExample, "assurance": "asserted", "decisions": []any{withheldExample, sharedExample},
	}
	streamsExample  = example{"streams": []any{example{"stream": "moh.health-card", "ministry": "moh", "lanes": []any{example{"lane": 0, "last": "1.0.42"}}}}}
	receiptsExample = []any{
		example{"from": "1.0.1", "to": "1.0.40", "status": "applied"}, example{"from": "1.0.41", "to": "1.0.41", "status": "rejected", "reason": "no such client"},
	}
	eventExample = example{
		"specversion": "1.0", "id": "1.0.42", "source": "https://tellonce.example/streams/moh.health-card", "type": "tellonce.address-changed.v1",
		"subject": "v1.9k2m4q6s8u0v1t3r5p7n9l1j3h5f7d9b", "time": "2026-11-25T14:05:01Z", "dataschema": "https://tellonce.example/schemas/address-changed/1",
		"datacontenttype": "application/json", "kind": "fact", "sequence": "000000000042", "effective": "2026-11-25", "agreement": "moh-health-card@1",
		"assurance": "asserted", "data": example{"city": "Sault Ste. Marie", "street": "264½ Queen St E"},
	}
	searchExample = example{"reason": "Complaint 2026-118: was the address shared?", "case": "2026-118", "person": example{"source": "import", "reference": "person-000000"}}
	whyExample    = example{
		"agreement": "library-membership", "version": 1, "stream": "library.membership", "ministry": "library",
		"title": example{"en": "Public library", "fr": "Bibliothèque publique"}, "result": "withheld", "fields": []any{}, "reason": "no-grant",
		"purpose": example{"en": "Keep your library membership current", "fr": "Tenir à jour votre abonnement"}, "basis": "consent",
		"explain": example{"en": "Not shared with Public library: there is no consent.", "fr": "Non communiqué : il n’y a pas de consentement."},
	}
	foundExample = example{"look": 4720, "changes": []any{example{
		"position": 4711, "recorded_at": "2026-11-25T14:05:01Z", "receipt": "7ZK3M9QX2B4D", "type": "address-changed", "effective": "2026-11-25",
		"decisions": []any{whyExample},
	}}}
	decisionExample = example{
		"position": 4711, "command": "781b9a43-d04c-450b-8620-f0877e5fe381", "type": "address-changed", "agreement": "library-membership", "version": 1,
		"stream": "library.membership", "result": "withheld", "fields": []any{}, "reason": "no-grant",
	}
	consentExample = example{
		"position": 42, "recorded_at": "2026-11-25T14:05:01Z", "command": "781b9a43-d04c-450b-8620-f0877e5fe381", "citizen": "5b05816f-ac0e-46d5-9613-2dfb84492cd4",
		"type": "consent-granted", "agreement": "library-membership", "version": 1, "fields": []any{"street"},
	}
	agreementsExample = example{"agreements": []any{example{
		"id": "library-membership", "version": 1, "ministry": "library", "stream": "library.membership", "title": example{"en": "Public library", "fr": "Bibliothèque publique"},
		"purpose": example{"en": "Keep your library membership current", "fr": "Tenir à jour votre abonnement"}, "basis": example{"kind": "consent"},
		"population": "all", "client_reference": false, "shares": []any{example{"event": "address-changed", "fields": []any{"street", "city"}, "when": example{"min_age": 12}}},
		"valid": example{"from": "2026-01-01"}, "lanes": 1, "deliver": "told", "snapshot": true, "receives_protected": false, "on_leaving": "nothing",
	}}}
)
