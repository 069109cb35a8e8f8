package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// someone is a person as a caller may name them: by a reference of the registry, by the receipt number of a change, by the hub's own id.
type someone struct {
	reference, receipt string
	id                 uuid.UUID
}

// ask is one request that names one person, as one role sends it. name puts a person into its body, path and headers.
type ask struct {
	role   string
	method string
	op     string // method and path pattern, and where the person stands
	name   func(someone) (path string, body any, headers []string)
}

// asks are all ways to ask about a person: every operation of the document, for every place where its path, its example body or the header
// of a proxy names one, by every role but those who see the protected.
func (b *bundle) asks() []ask {
	b.t.Helper()
	var out []ask
	doc := b.full()
	for _, r := range b.requests("{number}") {
		if r.public {
			continue
		}
		at := func(where string, name func(someone) (string, any, []string)) {
			for _, role := range []string{"ben", "clerk", "registrar", "officer", "auditor", "operator", "moh"} {
				out = append(out, ask{role: role, method: r.method, op: r.method + " " + r.template + " " + where, name: name})
			}
		}
		path := strings.ReplaceAll(r.path, "{request}", "1")
		path = strings.ReplaceAll(path, "{position}", "1")
		if strings.Contains(path, "{number}") {
			at("{number}", func(p someone) (string, any, []string) {
				return strings.ReplaceAll(path, "{number}", p.receipt), r.body, nil
			})
		}
		for _, body := range bodies(doc, r) {
			for _, place := range places(body, "") {
				at(place, func(p someone) (string, any, []string) { return path, named(body, place, p), nil })
			}
		}
		if strings.HasPrefix(path, "/v1/me") || path == "/v1/changes" || path == "/v1/changes/preview" {
			at("X-On-Behalf-Of", func(p someone) (string, any, []string) {
				body := named(r.body, "-", p)
				if o, ok := body.(object); ok {
					delete(o, "person") // residents name nobody so
					delete(o, "channel")
				}
				return strings.ReplaceAll(path, "{number}", p.receipt), body, []string{"X-On-Behalf-Of", p.id.String()}
			})
		}
	}
	sort.Slice(out, func(i, k int) bool { return out[i].op+out[i].role < out[k].op+out[k].role })
	return out
}

// bodies are a request's example, and what else its schema lets it name a person by.
func bodies(doc object, r request) []any {
	example, ok := r.body.(object)
	if !ok {
		return []any{r.body}
	}
	op := orEmpty(orEmpty(doc["paths"])[r.template])[strings.ToLower(r.method)]
	media := orEmpty(orEmpty(orEmpty(orEmpty(op)["requestBody"])["content"])["application/json"])
	ref, _ := orEmpty(media["schema"])["$ref"].(string)
	schemas := orEmpty(orEmpty(doc["components"])["schemas"])
	properties := orEmpty(orEmpty(schemas[strings.TrimPrefix(ref, "#/components/schemas/")])["properties"])
	out := []any{r.body}
	for name, value := range map[string]any{"person": object{"source": "registry", "reference": "x"}, "receipt": "x"} {
		if _, there := example[name]; there || properties[name] == nil {
			continue
		}
		body := maps.Clone(example)
		delete(body, "person")
		delete(body, "receipt")
		body[name] = value
		out = append(out, body)
	}
	return out
}

// places are the JSON pointers of a body at which a person is named: members reference and receipt of objects.
func places(body any, at string) (out []string) {
	switch v := body.(type) {
	case object:
		for name, value := range v {
			if _, text := value.(string); text && (name == "reference" || name == "receipt") {
				out = append(out, at+"/"+name)
			}
			out = append(out, places(value, at+"/"+name)...)
		}
	case []any:
		for i, value := range v {
			out = append(out, places(value, fmt.Sprintf("%s/%d", at, i))...)
		}
	}
	slices.Sort(out)
	return out
}

// named is a copy of a body that names somebody at a place, and Ann's reference at all others.
func named(body any, place string, p someone) any {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil
	}
	var out any
	if json.Unmarshal(encoded, &out) != nil {
		return nil
	}
	for _, at := range places(out, "") {
		path := strings.Split(at, "/")[1:]
		var holder any = out
		for _, token := range path[:len(path)-1] {
			switch v := holder.(type) {
			case object:
				holder = v[token]
			case []any:
				var i int
				_, _ = fmt.Sscan(token, &i)
				holder = v[i]
			}
		}
		member := path[len(path)-1]
		value := map[string]string{"reference": "ann", "receipt": "000000000000"}[member]
		if at == place {
			value = map[string]string{"reference": p.reference, "receipt": p.receipt}[member]
		}
		o, _ := holder.(object)
		o[member] = value
		if _, there := o["source"]; there && member == "reference" {
			o["source"] = "registry"
		}
	}
	return out
}

// hide makes a person with an address who is protected.
func (b *bundle) hide(reference string) someone {
	b.t.Helper()
	p := b.ordinary(reference)
	got := b.call("POST", "/v1/protection/restrictions", "protector", object{
		"person": object{"reference": reference}, "kind": "violence", "reason": "test",
	})
	require.Equal(b.t, http.StatusOK, got.status, got.text)
	return p
}

func (b *bundle) ordinary(reference string) someone {
	b.t.Helper()
	b.resident(reference)
	return someone{reference: reference, receipt: b.told(reference, move("1 First St")), id: b.people[reference]}
}

// erase makes a person with an address who was erased since.
func (b *bundle) erase(reference string) someone {
	b.t.Helper()
	p := b.ordinary(reference)
	_, err := command.New(b.journal).Erase(context.Background(), command.Command{ID: uuid.NewString(), Scope: "t", Actor: b.actors[reference]}, citizen.ID(p.id))
	require.NoError(b.t, err)
	return p
}

var strangers atomic.Int64

// nobody is a person who was never registered.
func nobody() someone {
	n := strangers.Add(1)
	return someone{reference: fmt.Sprintf("never-%06d", n), receipt: fmt.Sprintf("%012d", n), id: uuid.New()}
}

// outcome is all that a request came to, as far as it may be compared: the answer, and the records on the log.
type outcome struct {
	status  int
	headers string
	body    string
	events  []string
	calls   string
}

// do sends an ask about somebody.
func (b *bundle) do(a ask, p someone, calls tally) outcome {
	b.t.Helper()
	b.settle()
	path, body, headers := a.name(p)
	headers = append(headers, "Idempotency-Key", uuid.NewString(), "X-Access-Reason", "curious")
	before := b.head()
	clear(calls)
	got := b.call(a.method, path, a.role, body, headers...)
	counts := fmt.Sprint(calls)
	if got.header.Get("Location") != "" {
		got.header.Set("Location", "*") // a receipt's
	}
	return outcome{
		status: got.status, headers: fmt.Sprint(got.header), body: plain(got.text), events: b.since(before), calls: counts,
	}
}

// settle brings the views to the head, so that what was told before is no work of the next request.
func (b *bundle) settle() {
	b.t.Helper()
	ctx := context.Background()
	for _, view := range []journal.View{journal.NewTrail(b.journal), journal.NewProtection(b.journal), journal.NewRelatives(b.journal)} {
		_, err := b.journal.CatchUp(ctx, view, b.head()+1)
		require.NoError(b.t, err)
	}
}

// plain is an answer without the positions, receipts and ids that no two requests share.
func plain(text string) string {
	var value any
	decoder := json.NewDecoder(bytes.NewBufferString(text))
	if decoder.Decode(&value) != nil {
		return text
	}
	o, ok := value.(object)
	if !ok {
		return text
	}
	for _, name := range []string{"position", "look", "receipt", "request"} {
		if _, there := o[name]; there {
			o[name] = "*"
		}
	}
	encoded, err := json.Marshal(o)
	if err != nil {
		return text
	}
	return string(encoded)
}

// since describes the records after a position by all that stands on the log in the clear, but for random ids and the sealed bytes.
func (b *bundle) since(position int64) []string {
	b.t.Helper()
	recs, err := b.journal.Store().ReadAll(context.Background(), position+1, 1000)
	require.NoError(b.t, err)
	out := make([]string, len(recs))
	for i := range recs {
		r := &recs[i]
		out[i] = fmt.Sprint(r.Type, r.Schema, r.Aggregate.Category, r.Issuer, r.ActorKind, r.Channel, r.Class, r.Cause == eventstore.NoCause, r.Subject == uuid.Nil)
	}
	return out
}

// compare sends every ask about somebody of a kind and about nobody, and returns those that were answered differently.
func (b *bundle) compare(calls tally, kind func(reference string) someone, only func(ask) bool) (differ []string, asked int) {
	b.t.Helper()
	for i, a := range b.asks() {
		if only != nil && !only(a) {
			continue
		}
		asked++
		p := kind(fmt.Sprintf("known-%06d", i))
		b.do(a, nobody(), calls) // what is read once for each role and route
		want := b.do(a, nobody(), calls)
		if got := b.do(a, p, calls); !sameOutcome(got, want) {
			differ = append(differ, fmt.Sprintf("%s %s:\n  %+v\n  %+v", a.role, a.op, got, want))
		}
	}
	return differ, asked
}

func sameOutcome(a, b outcome) bool {
	return a.status == b.status && a.headers == b.headers && a.body == b.body && slices.Equal(a.events, b.events) && a.calls == b.calls
}

// TestTheProtectedAreNobody: whoever asks about a protected person, in whatever way the document allows, gets the very answer of somebody
// who was never registered: status, headers, bytes, the same records on the log, and after the same number of calls of the store.
func TestTheProtectedAreNobody(t *testing.T) {
	t.Parallel()
	b, calls := setupCounted(t, false)
	differ, asked := b.compare(calls, b.hide, nil)
	require.Empty(t, differ)
	require.Greater(t, asked, 150)
	t.Logf("%d ways to ask were answered alike", asked)
}

// TestWithoutRestrictionsTheyAreSomebody is the negative control of the test above: a hub that sees no restriction fails it.
func TestWithoutRestrictionsTheyAreSomebody(t *testing.T) {
	t.Parallel()
	b, calls := setupCounted(t, true)
	known := []string{"POST /v1/changes", "POST /v1/changes/preview", "POST /v1/persons", "POST /v1/persons/details", "POST /v1/audit/searches"}
	differ, _ := b.compare(calls, b.hide, func(a ask) bool { return slices.Contains(known, strings.Join(strings.Fields(a.op)[:2], " ")) })
	routes := map[string]bool{}
	for _, d := range differ {
		routes[strings.Join(strings.Fields(d)[1:3], " ")] = true
	}
	for _, route := range known {
		require.True(t, routes[route], route)
	}
}

// TestTheErasedAreNobody, too, by every reference. A receipt number of theirs still leads officers to what must stay on record.
func TestTheErasedAreNobody(t *testing.T) {
	t.Parallel()
	b, calls := setupCounted(t, false)
	byReference := func(a ask) bool { return strings.HasSuffix(a.op, "/reference") }
	differ, asked := b.compare(calls, b.erase, byReference)
	require.Empty(t, differ)
	require.Greater(t, asked, 50)
}
