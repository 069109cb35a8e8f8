package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/schemas"
)

// bodyTime bounds how long a request's body may take to arrive.
const bodyTime = 20 * time.Second

type bodyKey struct{}

// bodyFrom is the request's body as readBody read it; nil where an optional one was left out.
func bodyFrom(ctx context.Context) []byte {
	body, _ := ctx.Value(bodyKey{}).([]byte)
	return body
}

// readBody is the middleware that reads a body, bounded in size and time, before its route. Routes find it with bodyFrom.
func (s *server) readBody(optional, yaml bool) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(c)
		body, p := s.takeBody(w, r, optional, yaml)
		if p != nil {
			p.write(w)
			return
		}
		next(huma.WithValue(c, bodyKey{}, body))
	}
}

func (s *server) takeBody(w http.ResponseWriter, r *http.Request, optional, yaml bool) ([]byte, *problem) {
	body, p := s.readLimited(w, r, s.MaxBody)
	switch {
	case p != nil:
		return nil, p
	case optional && len(body) == 0:
		return nil, nil
	case !isMedia(r.Header, jsonType) && (!yaml || !isMedia(r.Header, yamlType)):
		return nil, newProblem(codeMediaType)
	}
	return body, nil
}

// readLimited reads a body of at most so many bytes.
func (*server) readLimited(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *problem) {
	if r.ContentLength > most {
		return nil, newProblem(codeTooLarge)
	}
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(bodyTime)) // a recorder in a test has no deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	_ = controller.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, newProblem(codeTooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, newProblem(codeBodyTimeout)
	case err != nil: // the caller went away, or its framing is broken
		return nil, newProblem(codeCancelled)
	}
	return body, nil
}

// The media types of bodies.
const (
	jsonType = "application/json"
	yamlType = "application/yaml"
)

// isMedia says whether a request's headers announce a media type in UTF-8 and nothing around it.
func isMedia(h http.Header, want string) bool {
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset, named := params["charset"]
	return err == nil && media == want && (!named || strings.EqualFold(charset, "utf-8")) && h.Get("Content-Encoding") == ""
}

// parseBody reads the body as one JSON object, strictly.
func (s *server) parseBody(ctx context.Context) (*object, error) {
	members, p := schemas.ParseObject(bodyFrom(ctx), int(s.MaxBody))
	if p != nil {
		return nil, notJSON("object", p)
	}
	return newObject(members), nil
}

// parseList reads the body as one JSON array.
func (s *server) parseList(ctx context.Context) ([]any, error) {
	return parseArray(bodyFrom(ctx), int(s.MaxBody))
}

// parseArray reads one JSON array of at most so many bytes, by the same rules as an object: it is parsed as the only member of one.
func parseArray(text []byte, most int) ([]any, error) {
	const open, end = `{"list":`, `}`
	body := slices.Concat([]byte(open), text, []byte(end))
	members, p := schemas.ParseObject(body, most+len(open)+len(end))
	if p != nil {
		return nil, notJSON("array", p)
	}
	if len(members) != 1 { // the body closed the array and went on
		return nil, notJSON("array", &schemas.Problem{Detail: "there is more than one value"})
	}
	list, ok := members["list"].([]any)
	if !ok {
		return nil, newProblem(citizen.CodeSchema, schemaFault("", "must be an array"))
	}
	return list, nil
}

// notJSON says what kind of value was wanted and what is wrong with the text; there is no place in it to point at.
func notJSON(wanted string, p *schemas.Problem) *problem {
	malformed := newProblem(citizen.CodeMalformedJSON)
	malformed.Detail = "This is not one well-formed JSON " + wanted + ": " + p.Detail + "."
	return malformed
}

// object reads the members of one JSON object and collects everything that is wrong with them. Every member must be asked for by name
// before done: what was not is unknown.
type object struct {
	members map[string]any
	at      string // JSON pointer
	faults  *[]fault
	asked   map[string]bool
}

func newObject(members map[string]any) *object {
	return &object{members: members, faults: &[]fault{}, asked: map[string]bool{}}
}

// wrong adds a fault at a member, or at the object itself where name is empty.
func (o *object) wrong(name, detail string) {
	at := o.at
	if name != "" {
		at += "/" + pointerToken(name)
	}
	*o.faults = append(*o.faults, schemaFault(at, detail))
}

func pointerToken(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (o *object) take(name string, required bool) (any, bool) {
	o.asked[name] = true
	value, ok := o.members[name]
	if !ok && required {
		o.wrong("", "the member "+name+" is missing")
	}
	return value, ok
}

// member reads one member of a type; the zero value where it is missing or wrong.
func member[T any](o *object, name string, required bool, kind string) (out T, ok bool) {
	value, there := o.take(name, required)
	if !there {
		return out, false
	}
	if out, ok = value.(T); !ok {
		o.wrong(name, "must be "+kind)
	}
	return out, ok
}

// text reads a string that passes a test; detail says what it must be.
func (o *object) text(name string, required bool, valid func(string) bool, detail string) string {
	text, ok := member[string](o, name, required, "a string")
	if ok && !valid(text) {
		o.wrong(name, detail)
		return ""
	}
	return text
}

// oneOf reads a string that is one of a few.
func (o *object) oneOf(name string, allowed ...string) string {
	return o.text(name, false, func(s string) bool { return slices.Contains(allowed, s) }, "must be one of "+strings.Join(allowed, ", "))
}

// flag reads a boolean.
func (o *object) flag(name string) bool {
	value, _ := member[bool](o, name, false, "true or false")
	return value
}

// object reads an object; nil where it is missing or wrong.
func (o *object) object(name string, required bool) *object {
	members, ok := member[map[string]any](o, name, required, "an object")
	if !ok {
		return nil
	}
	return &object{members: members, at: o.at + "/" + pointerToken(name), faults: o.faults, asked: map[string]bool{}}
}

// each calls fn with the objects of an array, in order.
func (o *object) each(name string, fn func(*object)) {
	list, _ := member[[]any](o, name, false, "an array")
	for i, value := range list {
		if item := o.item(name, i, value); item != nil {
			fn(item)
			item.done()
		}
	}
}

func (o *object) item(name string, i int, value any) *object {
	at := o.at + "/" + strconv.Itoa(i)
	if name != "" {
		at = o.at + "/" + pointerToken(name) + "/" + strconv.Itoa(i)
	}
	members, ok := value.(map[string]any)
	if !ok {
		*o.faults = append(*o.faults, schemaFault(at, "must be an object"))
		return nil
	}
	return &object{members: members, at: at, faults: o.faults, asked: map[string]bool{}}
}

// texts reads an array of distinct strings with at least one item; nil where it is missing.
func (o *object) texts(name string) []string {
	list, ok := member[[]any](o, name, false, "an array")
	if !ok {
		return nil
	}
	if len(list) == 0 {
		o.wrong(name, "at least one item is needed")
	}
	var out []string
	for i, value := range list {
		text, ok := value.(string)
		at := o.at + "/" + pointerToken(name) + "/" + strconv.Itoa(i)
		switch {
		case !ok:
			*o.faults = append(*o.faults, schemaFault(at, "must be a string"))
		case slices.Contains(out, text):
			*o.faults = append(*o.faults, schemaFault(at, "stands twice"))
		default:
			out = append(out, text)
		}
	}
	return out
}

// done refuses members that nobody asked for. Their names are not repeated: they may be personal data.
func (o *object) done() {
	for name := range o.members {
		if !o.asked[name] {
			o.wrong("", "there is a member that does not belong here")
			return
		}
	}
}

// err is the answer to everything that was wrong, nil if nothing was.
func (o *object) err() error {
	if len(*o.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(*o.faults, func(a, b fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return newProblem(citizen.CodeSchema, *o.faults...)
}

// canonical are the RFC 8785 bytes of a body with the place it was sent to: what an Idempotency-Key stands for.
func canonical(place string, content any) ([]byte, error) {
	body, err := schemas.Canonical(content)
	if err != nil { // a number beyond the range of a double: no valid body holds one
		return nil, newProblem(citizen.CodeSchema, schemaFault("", "a number is too large"))
	}
	return bytes.Join([][]byte{[]byte(place), body}, []byte("\n")), nil
}

// isReference says whether a text can be a source's or a ministry's reference, or a source's name.
func isReference(s string) bool { return schemas.ValidReference(s) }

const referenceDetail = "must be 1 to 64 printable ASCII characters"
