package httpapi_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tellonce/hub/adapters/httpapi"
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary stands in every text that a test tells: it must not be found in logs, metrics or errors.
const canary = "Zanzibarquist"

const health = "moh.health-card"

// bundle is the API on a real store, with the sample agreements and two residents, ann and ben, both clients of moh.
type bundle struct {
	t        testing.TB
	journal  *journal.Journal
	delivery *delivery.Delivery
	handler  http.Handler
	logs     *buffer
	metrics  *prometheus.Registry
	drain    context.CancelFunc
	actors   map[string]journal.Actor // by bearer token
	document document
	contract *contract
	people   map[string]uuid.UUID
	roots    *x509.CertPool // by which endpoints are trusted
}

// options change what setup makes.
type options struct {
	journal   journaltest.Options
	on        *journal.Journal // on this journal; nil: on a new one by the options above
	heartbeat time.Duration
}

func setup(t testing.TB) *bundle { return setupWith(t, options{}) }

func setupWith(t testing.TB, o options) *bundle {
	t.Helper()
	j := o.on
	if j == nil {
		j = journaltest.New(t, o.journal)
	}
	drain, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	b := &bundle{
		t: t, journal: j, delivery: delivery.New(j), logs: &buffer{}, metrics: prometheus.NewRegistry(), drain: cancel, actors: map[string]journal.Actor{},
		people: map[string]uuid.UUID{},
	}
	b.loadAgreements()
	api, err := httpapi.New(httpapi.Config{
		Journal: j, Command: command.New(j), Delivery: b.delivery, Projection: projection.New(j), Audit: audit.New(j),
		Endpoints: b.endpoints(),
		Logger:    slog.New(slog.NewJSONHandler(b.logs, nil)), Registerer: b.metrics, Drain: drain, Heartbeat: o.heartbeat,
	})
	require.NoError(t, err)
	b.handler = b.signedIn(api)
	b.staff()
	b.readDocument()
	for _, name := range []string{"ann", "ben"} {
		b.resident(name)
		require.Equal(t, http.StatusOK, b.call("PUT", "/v1/me/links/moh", name, object{"client_reference": "moh-" + name}).status)
	}
	return b
}

func (b *bundle) loadAgreements() {
	b.t.Helper()
	files, err := filepath.Glob("testdata/agreements/*.yaml")
	require.NoError(b.t, err)
	agreements := make([]consent.Agreement, len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(b.t, err)
		agreements[i], err = schemas.ParseAgreement(name, text, b.journal.Registry())
		require.NoError(b.t, err)
	}
	_, err = command.New(b.journal).LoadAgreements(context.Background(), command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, agreements)
	require.NoError(b.t, err)
}

// signedIn stands for the middleware that cmd wires: it knows tokens by name.
func (b *bundle) signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if actor, ok := b.actors[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; ok {
			r = r.WithContext(journal.WithActor(r.Context(), actor))
		}
		next.ServeHTTP(w, r)
	})
}

// staff are tokens for every role, and one for every ministry by its id.
func (b *bundle) staff() {
	b.t.Helper()
	for _, role := range journal.Roles() {
		if kind, _ := role.Kind(); role != journal.RoleCitizen && role != journal.RoleMinistry {
			b.actors[string(role)] = journal.Actor{Kind: kind, Role: role, ID: string(role) + "-1", Source: "registry"}
		}
	}
	law, err := b.journal.FreshLaw(context.Background())
	require.NoError(b.t, err)
	for _, stream := range law.Streams {
		b.actors[stream.Ministry] = journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: stream.Ministry, Ministry: stream.Ministry}
	}
}

// resident registers a person through the API and gives them a token.
func (b *bundle) resident(name string) {
	b.t.Helper()
	body := object{"reference": name, "data": object{"given_names": name, "family_name": canary, "birth_date": "1980-05-17", "language": "en"}}
	require.Equal(b.t, http.StatusCreated, b.call("POST", "/v1/persons", "registrar", body).status)
	ids, err := b.journal.Reference(context.Background(), "registry", name)
	require.NoError(b.t, err)
	id := uuid.UUID(ids[0])
	b.people[name] = id
	b.actors[name] = journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: id}
}

type object = map[string]any

func address(street string) object {
	return object{"kind": "home", "street": street + " " + canary, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA"}
}

func move(street string) object {
	return object{"type": "address-changed", "effective": "2026-01-05", "data": address(street)}
}

// response is an answer, decoded.
type response struct {
	status int
	header http.Header
	text   string
	body   object // nil where it is no object
}

// code is a problem's.
func (r response) code() string { code, _ := r.body["code"].(string); return code }

// pointers are those of a problem's faults, in order.
func (r response) pointers() []string {
	list, _ := r.body["errors"].([]any)
	out := make([]string, len(list))
	for i := range list {
		out[i], _ = list[i].(object)["pointer"].(string)
	}
	return out
}

// call sends one request in process. body is nothing (nil), text as it is, or anything else as JSON. headers are names and values. Every
// problem that comes back must stand in the document, and hold nothing that was told.
func (b *bundle) call(method, path, token string, body any, headers ...string) response {
	b.t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, reader(b.t, body))
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.send(r, token)
}

// send is call for a request that is made already.
func (b *bundle) send(r *http.Request, token string) response {
	b.t.Helper()
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	got := response{status: w.Code, header: w.Header(), text: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &got.body) // arrays and empty answers have no body
	b.checkAnswer(r.Method, r.URL.Path, got)
	return got
}

// checkAnswer requires that an answer is as the document says.
func (b *bundle) checkAnswer(method, path string, got response) {
	b.t.Helper()
	if got.status >= http.StatusBadRequest {
		b.checkProblem(method, path, got)
	}
	template, op, ok := b.document.find(method, path)
	if !ok {
		return
	}
	media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	status := strconv.Itoa(got.status)
	require.Contains(b.t, op.Responses, status, "%s %s: an undocumented status", method, template)
	if media == "" {
		require.Empty(b.t, op.Responses[status].Content, "%s %s", method, template)
		return
	}
	require.Contains(b.t, op.Responses[status].Content, media, "%s %s", method, template)
	if strings.HasSuffix(media, "json") && !strings.HasSuffix(media, "ndjson") && media != "application/schema+json" {
		var value any
		require.NoError(b.t, json.Unmarshal([]byte(got.text), &value))
		b.contract.check(b.t, value, "paths", template, strings.ToLower(method), "responses", status, "content", media)
	}
}

func reader(t testing.TB, body any) io.Reader {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return http.NoBody
	case string:
		return strings.NewReader(body)
	}
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	return bytes.NewReader(encoded)
}

// tell tells a change under a command id of its own.
func (b *bundle) tell(token string, body object) response {
	b.t.Helper()
	return b.call("POST", "/v1/changes", token, body, "Idempotency-Key", uuid.NewString())
}

// told tells a change that must be accepted, and returns its receipt number.
func (b *bundle) told(token string, body object) string {
	b.t.Helper()
	got := b.tell(token, body)
	require.Equal(b.t, http.StatusAccepted, got.status, got.text)
	return got.body["receipt"].(string)
}

// head is the position of the log's last record.
func (b *bundle) head() int64 {
	b.t.Helper()
	head, err := b.journal.Head(context.Background())
	require.NoError(b.t, err)
	return head.Position
}

// last are the log's records of a type.
func (b *bundle) events(eventType string) []journal.Entry {
	b.t.Helper()
	recs, err := b.journal.Store().ReadAll(context.Background(), 0, 100_000)
	require.NoError(b.t, err)
	entries, err := b.journal.Open(context.Background(), recs)
	require.NoError(b.t, err)
	var out []journal.Entry
	for _, e := range entries {
		if e.Type == eventType {
			out = append(out, e)
		}
	}
	return out
}

// document is /openapi.json as far as tests look at it.
type document struct {
	OpenAPI string                          `json:"openapi"`
	Paths   map[string]map[string]operation `json:"paths"`
}

type operation struct {
	Security  []map[string][]string `json:"security"`
	Responses map[string]struct {
		Content map[string]struct {
			Examples map[string]any `json:"examples"`
		} `json:"content"`
	} `json:"responses"`
}

func (b *bundle) readDocument() {
	b.t.Helper()
	got := b.call("GET", "/openapi.json", "", nil)
	require.Equal(b.t, http.StatusOK, got.status)
	require.NoError(b.t, json.Unmarshal([]byte(got.text), &b.document))
	b.contract = newContract(b.t, got.text)
}

// checkProblem requires that a problem has its form, is documented for its route, and repeats nothing of what was sent.
func (b *bundle) checkProblem(method, path string, got response) {
	b.t.Helper()
	require.Equal(b.t, "application/problem+json", got.header.Get("Content-Type"), got.text)
	require.EqualValues(b.t, got.status, got.body["status"])
	require.NotEmpty(b.t, got.body["detail"])
	require.NotContains(b.t, got.text, canary)
	_, op, ok := b.document.find(method, path)
	if !ok {
		return // no route: 404 or 405
	}
	documented := op.Responses[strconv.Itoa(got.status)].Content["application/problem+json"].Examples
	require.Contains(b.t, documented, got.code(), "%s %s: an undocumented problem", method, path)
}

func (d *document) find(method, path string) (template string, op operation, ok bool) {
	for template, item := range d.Paths {
		if op, ok := item[strings.ToLower(method)]; ok && matches(template, path) {
			return template, op, true
		}
	}
	return "", operation{}, false
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	for i := range want {
		if len(want) != len(got) || (want[i] != got[i] && !strings.HasPrefix(want[i], "{")) {
			return false
		}
	}
	return true
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
