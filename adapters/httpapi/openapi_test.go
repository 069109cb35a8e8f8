package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"github.com/stretchr/testify/require"
)

// contract judges values by the schemas of /openapi.json, which is one JSON Schema document (2020-12).
type contract struct {
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

const contractURL = "https://tellonce.example/openapi.json"

func newContract(t testing.TB, document string) *contract {
	t.Helper()
	c := &contract{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	c.compiler.Draft = jsonschema.Draft2020
	c.compiler.AssertFormat = true
	require.NoError(t, c.compiler.AddResource(contractURL, strings.NewReader(document)))
	return c
}

// at is the schema at a path of the document.
func (c *contract) at(t testing.TB, path ...string) *jsonschema.Schema {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	pointer := ""
	for _, token := range path {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(token)
	}
	if c.compiled[pointer] == nil {
		schema, err := c.compiler.Compile(contractURL + "#" + pointer)
		require.NoError(t, err, pointer)
		c.compiled[pointer] = schema
	}
	return c.compiled[pointer]
}

func (c *contract) check(t testing.TB, value any, path ...string) {
	t.Helper()
	err := c.at(t, append(path, "schema")...).Validate(value)
	require.NoError(t, err, "%v is not as documented: %#v", path, err)
}

// full is the whole document, generic.
func (b *bundle) full() object {
	b.t.Helper()
	var out object
	require.NoError(b.t, json.Unmarshal([]byte(b.call("GET", "/openapi.json", "", nil).text), &out))
	return out
}

func TestTheDocumentHoldsTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := b.call("GET", "/openapi.json", "", nil).text
	doc := b.full()
	require.Equal(t, "3.1.0", doc["openapi"])
	require.NotContains(t, text, "cdn")
	require.NotContains(t, text, "unpkg")
	for _, ref := range regexp.MustCompile(`"\$ref": "#([^"]*)"`).FindAllStringSubmatch(text, -1) {
		require.True(t, resolves(doc, ref[1]), ref[1])
	}
	ids := map[string]bool{}
	for template, item := range doc["paths"].(object) {
		for method, op := range item.(object) {
			op := op.(object)
			name := method + " " + template
			require.NotEmpty(t, op["summary"], name)
			require.False(t, ids[op["operationId"].(string)], "%s: operation id used twice", name)
			ids[op["operationId"].(string)] = true
			require.Contains(t, op, "security", name)
			requireParameters(t, template, op)
			requireProblems(t, name, op)
		}
	}
}

// resolves says whether a JSON pointer leads somewhere.
func resolves(doc any, pointer string) bool {
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		members, ok := doc.(object)
		if !ok {
			return false
		}
		if doc, ok = members[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]; !ok {
			return false
		}
	}
	return true
}

// requireParameters: each parameter of the path is described, and each described one is in it.
func requireParameters(t *testing.T, template string, op object) {
	t.Helper()
	described := map[string]bool{}
	for _, p := range list(op["parameters"]) {
		if p := p.(object); p["in"] == "path" {
			require.Equal(t, true, p["required"], template)
			described[p["name"].(string)] = true
		}
	}
	for _, name := range regexp.MustCompile(`\{([^}]*)\}`).FindAllStringSubmatch(template, -1) {
		require.True(t, described[name[1]], "%s: %s is not described", template, name[1])
		delete(described, name[1])
	}
	require.Empty(t, described, template)
}

func list(value any) []any { out, _ := value.([]any); return out }

// requireProblems: every error status has a problem with an example of each code, whose status is that one.
func requireProblems(t *testing.T, name string, op object) {
	t.Helper()
	want := []string{"500", "503"}
	if len(list(op["security"])) > 0 {
		want = append(want, "401", "403")
	}
	if op["requestBody"] != nil {
		want = append(want, "400", "413", "415", "422", "408")
	}
	responses := op["responses"].(object)
	for _, status := range want {
		require.Contains(t, responses, status, name)
	}
	for status, response := range responses {
		if status < "400" {
			continue
		}
		examples := response.(object)["content"].(object)["application/problem+json"].(object)["examples"].(object)
		require.NotEmpty(t, examples, "%s %s", name, status)
		for code, e := range examples {
			value := e.(object)["value"].(object)
			require.Equal(t, code, value["code"])
			require.Equal(t, status, strconv.Itoa(int(value["status"].(float64))), "%s %s", name, code)
		}
	}
}

// TestExamplesAreAsTheirSchemasSay: every example of the document is valid by the schema beside it.
func TestExamplesAreAsTheirSchemasSay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	checked := 0
	check := func(media object, path ...string) {
		if media["example"] != nil {
			b.contract.check(t, media["example"], path...)
			checked++
		}
		for _, e := range orEmpty(media["examples"]) {
			b.contract.check(t, e.(object)["value"], path...)
			checked++
		}
	}
	for template, item := range b.full()["paths"].(object) {
		for method, op := range item.(object) {
			for kind, media := range orEmpty(orEmpty(op.(object)["requestBody"])["content"]) {
				require.NotNil(t, media.(object)["example"], "%s %s has no example of its body", method, template)
				check(media.(object), "paths", template, method, "requestBody", "content", kind)
			}
			for status, response := range op.(object)["responses"].(object) {
				for kind, media := range orEmpty(response.(object)["content"]) {
					check(media.(object), "paths", template, method, "responses", status, "content", kind)
				}
			}
		}
	}
	require.Greater(t, checked, 200)
}

func orEmpty(value any) object { out, _ := value.(object); return out }

// TestTheExampleOfAChangeCanBeTold: what the document shows is what the hub takes.
func TestTheExampleOfAChangeCanBeTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := b.full()["paths"].(object)["/v1/changes"].(object)["post"].(object)["requestBody"].(object)["content"].(object)["application/json"].(object)["example"].(object)
	got := b.tell("ann", body)
	require.Equal(t, http.StatusAccepted, got.status, got.text)
}

func TestSchemasAreServedWhereEventsPoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	var events []object
	require.NoError(t, json.Unmarshal([]byte(b.call("GET", "/v1/streams/moh.health-card/events", "moh", nil).text), &events))
	require.Len(t, events, 1)
	place := strings.TrimPrefix(events[0]["dataschema"].(string), b.journal.Genesis().BaseURL)
	got := b.call("GET", place, "", nil)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "application/schema+json", got.header.Get("Content-Type"))
	schema, err := jsonschema.CompileString("schema.json", got.text)
	require.NoError(t, err)
	require.NoError(t, schema.Validate(events[0]["data"]))
	for _, place := range []string{"/schemas/none/1", "/schemas/address-changed/2", "/schemas/address-changed/01", "/schemas/address-changed/x", "/schemas/consent-granted/1"} {
		require.Equal(t, http.StatusNotFound, b.call("GET", place, "", nil).status, place)
	}
}

func TestAgreementsArePublic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.call("GET", "/v1/agreements", "", nil)
	require.Equal(t, http.StatusOK, got.status)
	agreements := got.body["agreements"].([]any)
	require.Len(t, agreements, 9)
	for _, a := range agreements {
		title := a.(object)["title"].(object)
		require.NotEmpty(t, title["en"])
		require.NotEmpty(t, title["fr"], fmt.Sprint(title))
		require.NotEmpty(t, a.(object)["shares"])
	}
}
