package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tellonce/hub/schemas"
)

func (s *server) publicRoutes() error {
	register(s, route{
		method: http.MethodGet, path: "/v1/agreements", id: "agreements", tag: "public", summary: "The data-sharing agreements in force",
		description: "Every agreement that is approved and has not ended, in both languages: who may know what, why, and under which conditions.",
	}, s.agreements)
	s.plain(route{
		method: http.MethodGet, path: "/schemas/{type}/{version}", id: "schema", tag: "public", codes: []string{codeNotFound},
		summary: "The JSON Schema of an event's data, as a ministry receives it", description: "Where an event's `dataschema` leads.",
	}, []*huma.Param{
		{Name: "type", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}, Example: "address-changed"},
		{Name: "version", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}, Example: "1"},
	}, media{schemaType: {Schema: &huma.Schema{Type: "object"}}}, s.eventSchema)
	list := s.api.OpenAPI().Components.Schemas.Map()["AgreementsOutputBody"].Properties["agreements"]
	list.Items = s.schema(reflect.TypeFor[agreementBody]())
	s.performanceRoutes()
	s.mayBeNull()
	s.describeChanges()
	document, err := s.marshalDocument()
	if err != nil {
		return err
	}
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", publicCache)
		_, _ = w.Write(document) // a caller that is gone needs no answer
	})
	s.public["GET /openapi.json"] = true
	return nil
}

const (
	schemaType  = "application/schema+json"
	publicCache = "public, max-age=300"
)

type agreementsOutput struct {
	Body struct {
		Agreements []json.RawMessage `json:"agreements"`
	}
}

// agreementBody is an agreement's document (schemas.MarshalDocument), for the document of the API.
type agreementBody struct {
	ID                string       `json:"id" example:"library-membership"`
	Version           int          `json:"version" example:"1"`
	Ministry          string       `json:"ministry" example:"library"`
	Stream            string       `json:"stream" example:"library.membership"`
	Title             bilingue     `json:"title"`
	Purpose           bilingue     `json:"purpose"`
	Basis             basisBody    `json:"basis"`
	Population        string       `json:"population" enum:"all,linked" doc:"linked: the ministry's clients only"`
	ClientReference   bool         `json:"client_reference" doc:"the ministry's own reference of the person travels along"`
	Shares            []shareBody  `json:"shares"`
	Valid             validityBody `json:"valid"`
	Lanes             int          `json:"lanes"`
	Deliver           string       `json:"deliver" enum:"told,effective"`
	Snapshot          bool         `json:"snapshot"`
	ReceivesProtected bool         `json:"receives_protected"`
	OnLeaving         string       `json:"on_leaving" enum:"nothing,notify"`
}

type basisBody struct {
	Kind      string `json:"kind" enum:"consent,statute"`
	Reference string `json:"reference,omitempty" doc:"the statute"`
}

type shareBody struct {
	Event  string         `json:"event" example:"address-changed"`
	Fields []string       `json:"fields"`
	When   map[string]any `json:"when,omitempty" doc:"conditions, all of which must hold: min_age, max_age, address_kind, province"`
}

type validityBody struct {
	From  string `json:"from,omitempty" format:"date"`
	Until string `json:"until,omitempty" format:"date" doc:"included"`
}

// agreements is GET /v1/agreements.
func (s *server) agreements(ctx context.Context, _ *struct{}) (*agreementsOutput, error) {
	list, err := s.Command.Agreements(ctx)
	if err != nil {
		return nil, err
	}
	out := &agreementsOutput{}
	out.Body.Agreements = make([]json.RawMessage, len(list))
	for i, a := range list {
		out.Body.Agreements[i] = schemas.MarshalDocument(a)
	}
	return out, nil
}

// eventSchema is GET /schemas/{type}/{version}.
func (s *server) eventSchema(w http.ResponseWriter, r *http.Request) error {
	version, err := strconv.Atoi(r.PathValue("version"))
	if err != nil || strconv.Itoa(version) != r.PathValue("version") {
		return newProblem(codeNotFound)
	}
	schema, ok := s.Journal.Registry().DeliveredSchema(r.PathValue("type"), version)
	if !ok {
		return newProblem(codeNotFound)
	}
	w.Header().Set("Content-Type", schemaType)
	w.Header().Set("Cache-Control", publicCache)
	_, err = w.Write(schema)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}
