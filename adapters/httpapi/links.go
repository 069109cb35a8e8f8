package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

const (
	ndjsonType = "application/x-ndjson"
	maxList    = 4 << 20 // bytes of a list of clients
	maxFaults  = 100     // how many faults of a list are told
	listTime   = 5 * time.Minute
)

// linkRoutes link people to ministries, by a ministry's list and at a counter.
func (s *server) linkRoutes() {
	rt := route{
		method: http.MethodPost, path: "/v1/streams/{stream}/links", id: "links", tag: "streams",
		roles:   []journal.Role{journal.RoleMinistry},
		summary: "Link your clients by exact reference data",
		description: "A list of at most 10,000 of your clients, as a JSON array or as NDJSON. Each is matched against current names, birth date " +
			"and, where you give it, the postal code of the home address. `linked`: one person is meant, and now linked to you under your " +
			"reference. `ambiguous`: more than one person is meant; a postal code may help. `unknown`: nobody is, or nobody of whom you may " +
			"know, or somebody who is your client under another reference. Of a list with a fault nothing is taken. The same list under the " +
			"same Idempotency-Key is answered again and links nobody twice. Every list is a look that is recorded, with its counts.",
		codes: slices.Concat(repeatCodes, []string{
			codeUnknownStream, codeOthersStream, codeNoLinks, codeTooLarge, codeMediaType, codeBodyTimeout, citizen.CodeMalformedJSON,
			citizen.CodeSchema,
		}),
	}
	text := &huma.Schema{Type: "string"}
	s.plain(rt, []*huma.Param{
		{Name: "stream", In: "path", Required: true, Description: "a stream's name", Schema: text, Example: "moh.health-card"},
		{Name: "Idempotency-Key", In: "header", Required: true, Description: "the list's id, the same for every repeat",
			Schema: &huma.Schema{Type: "string", Format: "uuid"}},
	}, media{"application/json": {Schema: s.schema(reflect.TypeFor[linksAnswer]()), Example: linksExample}}, s.links)
	s.api.OpenAPI().Paths[rt.path].Post.RequestBody = &huma.RequestBody{Required: true, Content: media{
		jsonType:   {Schema: s.schema(reflect.TypeFor[[]clientLine]()), Example: clientsExample},
		ndjsonType: {Schema: text, Example: clientsNDJSON},
	}}
	s.counterRoutes()
}

// clientLine is one item of the body, for the document; readClients reads it.
type clientLine struct {
	_               struct{} `additionalProperties:"false"`
	ClientReference string   `json:"client_reference" minLength:"1" maxLength:"64" doc:"your own reference of the client"`
	GivenNames      string   `json:"given_names" minLength:"1" maxLength:"200"`
	FamilyName      string   `json:"family_name" minLength:"1" maxLength:"200"`
	BirthDate       string   `json:"birth_date" format:"date"`
	PostalCode      string   `json:"postal_code,omitempty" maxLength:"20" doc:"of the home address: tells people of one name apart"`
}

// linksAnswer is what came of a list.
type linksAnswer struct {
	Linked    int         `json:"linked"`
	Ambiguous int         `json:"ambiguous"`
	Unknown   int         `json:"unknown"`
	Lines     []linkedRow `json:"lines" doc:"in the order of the list"`
}

type linkedRow struct {
	ClientReference string `json:"client_reference"`
	Result          string `json:"result" enum:"linked,ambiguous,unknown"`
}

var (
	clientsExample = []clientLine{
		{ClientReference: "8805-222-127-CL", GivenNames: "Zoë", FamilyName: "Tremblay", BirthDate: "1980-05-17", PostalCode: "P9N 3X9"},
		{ClientReference: "9916-333-238-DM", GivenNames: "Sam", FamilyName: "Nobody", BirthDate: "1990-01-02"},
	}
	clientsNDJSON = `{"client_reference":"8805-222-127-CL","given_names":"Zoë","family_name":"Tremblay","birth_date":"1980-05-17"}` + "\n"
	linksExample  = linksAnswer{Linked: 1, Unknown: 1, Lines: []linkedRow{
		{ClientReference: "8805-222-127-CL", Result: command.Linked}, {ClientReference: "9916-333-238-DM", Result: command.Unknown},
	}}
)

// links is POST /v1/streams/{stream}/links.
func (s *server) links(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.mayOpen(r); err != nil {
		return err
	}
	id, err := commandID(r.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	body, p := s.readLimited(w, r, maxList)
	if p != nil {
		return p
	}
	list, err := parseClients(r.Header, body)
	if err != nil {
		return err
	}
	clients, err := readClients(list)
	if err != nil {
		return err
	}
	content, err := schemas.Canonical(list)
	if err != nil {
		return newProblem(citizen.CodeSchema, schemaFault("", "a number is too large"))
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(listTime))
	stream := r.PathValue("stream")
	c := s.command(r.Context(), id, journal.ChannelNone, slices.Concat([]byte("POST /v1/streams/"+stream+"/links\n"), content))
	results, err := s.Command.LinkList(r.Context(), c, stream, clients)
	if err != nil {
		return err
	}
	answer := linksAnswer{Lines: make([]linkedRow, len(results))}
	count := map[string]*int{command.Linked: &answer.Linked, command.Ambiguous: &answer.Ambiguous, command.Unknown: &answer.Unknown}
	for i, result := range results {
		answer.Lines[i] = linkedRow{ClientReference: clients[i].Reference, Result: result}
		*count[result]++
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// parseClients reads the body as a JSON array, or as a JSON object a line.
func parseClients(h http.Header, body []byte) ([]any, error) {
	if !isMedia(h, ndjsonType) {
		if !isMedia(h, jsonType) {
			return nil, newProblem(codeMediaType)
		}
		return parseArray(body, maxList)
	}
	list := []any{}
	for line := range bytes.Lines(body) {
		members, p := schemas.ParseObject(bytes.TrimSuffix(line, []byte("\n")), schemas.MaxLine)
		if p != nil {
			return nil, notJSON(fmt.Sprintf("object in line %d", len(list)+1), p)
		}
		list = append(list, members)
	}
	return list, nil
}

// readClients reads the shape of a list of clients.
func readClients(list []any) ([]command.Client, error) {
	if len(list) == 0 || len(list) > command.MaxClients {
		return nil, newProblem(citizen.CodeSchema, schemaFault("", fmt.Sprintf("must have 1 to %d lines", command.MaxClients)))
	}
	root := newObject(nil)
	out := make([]command.Client, 0, len(list))
	for i, value := range list {
		o := root.item("", i, value)
		if o == nil {
			continue
		}
		one := command.Client{Reference: o.text("client_reference", true, isReference, referenceDetail)}
		one.GivenNames = o.text("given_names", true, schemas.ValidText, textDetail)
		one.FamilyName = o.text("family_name", true, schemas.ValidText, textDetail)
		one.BirthDate = o.text("birth_date", true, isDate, "must be a date, yyyy-mm-dd")
		one.PostalCode = o.text("postal_code", false, isPostalCode, "must be 1 to 20 characters")
		o.done()
		var err error
		if one.Content, err = schemas.Canonical(value); err != nil {
			*root.faults = append(*root.faults, schemaFault(o.at, "a number is too large"))
		}
		out = append(out, one)
		if len(*root.faults) >= maxFaults {
			break
		}
	}
	return out, root.err()
}

const textDetail = "must be 1 to 200 letters, marks, digits and the punctuation of names"

func isDate(s string) bool {
	_, err := consent.ParseDate(s)
	return err == nil
}

func isPostalCode(s string) bool { return s != "" && len(s) <= 20 && schemas.ValidText(s) }
