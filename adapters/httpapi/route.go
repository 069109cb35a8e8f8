package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// route is one line of the API, with all that the document says about it.
type route struct {
	method, path string
	id           string // operation id
	tag          string
	summary      string
	description  string
	roles        []journal.Role // who may call; none: anyone
	status       int            // of success; 0: 200
	body         any            // a value of the request body's type, for the document; nil: no body
	optionalBody bool
	behalf       bool     // a proxy may call it for somebody else
	yaml         bool     // the body may also be YAML
	codes        []string // problems, apart from those that every route of its kind has
}

// What a route that changes something may also answer: its command may be repeated.
var repeatCodes = []string{citizen.CodeCommandReused, codeIdempotencyKey, codeBusy, codeUnknownOutcome}

// register adds a route whose answer is JSON (or empty). Parameters are strings: what they may hold is judged by the route, so that every
// refusal is one of ours.
func register[I, O any](s *server, rt route, handler func(context.Context, *I) (*O, error)) {
	op := s.operation(rt)
	if example := s.examples[rt.id].Answer; example != nil { // huma fills the schema in
		op.Responses[statusText(rt.status)].Content = media{"application/json": {Example: example}}
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		work, cancel := context.WithTimeout(ctx, workTime)
		defer cancel()
		out, err := handler(work, in)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		return out, nil
	})
	s.documentBody(rt)
}

// media are the media types of an answer.
type media = map[string]*huma.MediaType

// plain adds a route that writes its own answer: feeds, lists without end, documents.
func (s *server) plain(rt route, params []*huma.Param, answers media, handler func(http.ResponseWriter, *http.Request) error) {
	op := s.operation(rt)
	op.Parameters = params
	op.Responses[statusText(rt.status)].Content = answers
	s.api.OpenAPI().AddOperation(&op)
	s.api.Adapter().Handle(&op, op.Middlewares.Handler(func(c huma.Context) {
		r, w := humago.Unwrap(c)
		if err := handler(w, r); err != nil {
			s.failed(r.Context(), err).write(w)
		}
	}))
}

// failed is the answer to an error. What is nobody's fault but the hub's is logged.
func (s *server) failed(ctx context.Context, err error) *problem {
	p := problemOf(ctx, err)
	if p.cause != nil {
		s.Logger.ErrorContext(ctx, "a request failed", "error", p.cause)
	}
	return p
}

// operation is the document's side of a route, with the middlewares that stand before it.
func (s *server) operation(rt route) huma.Operation {
	op := huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary, Description: rt.description,
		DefaultStatus: rt.status, SkipValidateParams: true, Security: []map[string][]string{}, Responses: map[string]*huma.Response{},
	}
	op.Responses[statusText(rt.status)] = &huma.Response{Description: http.StatusText(max(rt.status, http.StatusOK))}
	codes := slices.Clone(rt.codes)
	codes = append(codes, codeInternal, codeUnavailable)
	if len(rt.roles) > 0 {
		op.Middlewares = append(op.Middlewares, gate(rt.roles), behalf(rt.behalf))
		op.Security = []map[string][]string{{bearer: {}}}
		op.Description = strings.TrimSpace(op.Description + "\n\nRoles: " + joinRoles(rt.roles) + ".")
		codes = append(codes, codeUnauthenticated, codeForbidden, codeOnBehalf)
	} else {
		s.public[rt.method+" "+rt.path] = true
	}
	if rt.behalf {
		op.Parameters = append(op.Parameters, onBehalfParam)
	}
	if mayBeFrozen(rt) {
		codes = append(codes, citizen.CodeFrozen)
	}
	if rt.body != nil {
		op.Middlewares = append(op.Middlewares, s.readBody(rt.optionalBody, rt.yaml))
		codes = append(codes, codeTooLarge, codeMediaType, codeBodyTimeout, citizen.CodeMalformedJSON, citizen.CodeSchema)
	}
	s.documentProblems(&op, codes)
	return op
}

func statusText(status int) string { return strconv.Itoa(max(status, http.StatusOK)) }

func joinRoles(roles []journal.Role) string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return strings.Join(names, ", ")
}

// documentProblems lists every problem of a route under its status, each with an example.
func (s *server) documentProblems(op *huma.Operation, codes []string) {
	schema := s.schema(reflect.TypeFor[problem]())
	for _, code := range codes {
		p := newProblem(code)
		status := strconv.Itoa(p.Status)
		response := op.Responses[status]
		if response == nil {
			response = &huma.Response{Description: http.StatusText(p.Status), Content: media{
				p.ContentType(""): {Schema: schema, Examples: map[string]*huma.Example{}},
			}}
			op.Responses[status] = response
		}
		response.Content[p.ContentType("")].Examples[code] = &huma.Example{Summary: p.Detail, Value: p}
	}
}

func (s *server) schema(t reflect.Type) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, "")
}

// documentBody adds the request body to a route's operation. It comes after huma.Register, which would read and judge the body itself.
func (s *server) documentBody(rt route) {
	if rt.body == nil {
		return
	}
	item := s.api.OpenAPI().Paths[rt.path]
	op := map[string]*huma.Operation{http.MethodPost: item.Post, http.MethodPut: item.Put}[rt.method]
	op.RequestBody = &huma.RequestBody{Required: !rt.optionalBody, Content: media{
		"application/json": {Schema: s.schema(reflect.TypeOf(rt.body)), Example: s.examples[rt.id].Body},
	}}
	if rt.yaml {
		op.RequestBody.Content[yamlType] = &huma.MediaType{
			Schema: &huma.Schema{Type: "string", Description: "the same in YAML"}, Example: s.examples[rt.id].YAML,
		}
	}
}

// gate lets only some roles pass. Who is calling was put into the context by whoever checked the token.
func gate(roles []journal.Role) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		actor, ok := journal.ActorFrom(c.Context())
		_, w := humago.Unwrap(c)
		switch {
		case !ok:
			newProblem(codeUnauthenticated).write(w)
		case !mayCall(actor, roles):
			newProblem(codeForbidden).write(w)
		default:
			next(c)
		}
	}
}

func mayCall(actor journal.Actor, roles []journal.Role) bool {
	return slices.ContainsFunc(roles, func(role journal.Role) bool {
		kind, ok := role.Kind()
		return ok && kind == actor.Kind
	})
}

// caller is who is calling. The gate has let them pass, so there is one.
func caller(ctx context.Context) journal.Actor {
	actor, _ := journal.ActorFrom(ctx)
	return actor
}

// self is the citizen who is calling.
func self(ctx context.Context) citizen.ID { return citizen.ID(caller(ctx).Citizen) }

// query reads a request's query strictly: an unknown parameter, or one that stands twice, is refused, for a misspelt `after` must not
// start a feed from the beginning.
func query(r *http.Request, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newProblem(codeBadQuery)
	}
	out := make(map[string]string, len(values))
	for name, list := range values {
		if len(list) != 1 || !slices.Contains(known, name) {
			return nil, badQuery("parameters are " + strings.Join(known, ", ") + ", each at most once")
		}
		out[name] = list[0]
	}
	return out, nil
}

// badQuery refuses a query, saying which values are allowed.
func badQuery(detail string) error {
	p := newProblem(codeBadQuery)
	p.Detail += " Here: " + detail + "."
	return p
}
