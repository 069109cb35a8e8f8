package web_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/schemas"
)

// canary is a family name that may stand in pages, and nowhere else.
const canary = "Canarynguyễn"

// sessions keeps who is signed in in memory.
type sessions struct {
	mu   sync.Mutex
	held map[string]held
}

type held struct {
	actor journal.Actor
	name  string
}

func newSessions() *sessions { return &sessions{held: map[string]held{}} }

func (s *sessions) Start(_ context.Context, actor journal.Actor, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := uuid.NewString()
	s.held[token] = held{actor, name}
	return token, nil
}

func (s *sessions) Use(_ context.Context, token string) (journal.Actor, string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[token]
	return h.actor, h.name, ok, nil
}

func (s *sessions) Stands(ctx context.Context, token string) (bool, error) {
	_, _, ok, err := s.Use(ctx, token)
	return ok, err
}

func (s *sessions) End(_ context.Context, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, token)
	return nil
}

// end ends every session.
func (s *sessions) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
}

// clock is a clock that a test can set.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time { return time.Unix(0, c.now.Load()).UTC() }

// pages is the pages of a hub on the embedded store, with two residents and the sample agreements.
type pages struct {
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	audit    *audit.Audit
	config   web.Config
	clock    *clock
	logs     *syncBuffer
	urls     *syncBuffer
	server   *httptest.Server
	zoe, luc citizen.ID
}

// syncBuffer is a buffer that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var operator = journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "test"}

func setup(t *testing.T) *pages {
	t.Helper()
	p := &pages{clock: &clock{}, logs: &syncBuffer{}, urls: &syncBuffer{}}
	p.clock.now.Store(time.Date(2026, 11, 25, 19, 5, 1, 0, time.UTC).UnixNano()) // 14:05:01 in Toronto
	p.journal = journaltest.New(t, journaltest.Options{Clock: p.clock.Now, Wall: true})
	p.command, p.delivery, p.audit = command.New(p.journal), delivery.New(p.journal), audit.New(p.journal)
	p.load(t, "../../domain/command/testdata/agreements/*.yaml")
	ctx := context.Background()
	in, err := os.Open("testdata/residents.ndjson")
	require.NoError(t, err)
	defer in.Close() //nolint:errcheck // only read
	require.NoError(t, p.command.Import(ctx, in, command.ImportOptions{Source: "import"}, func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result, "line %d %s", r.Line, r.Reason)
		return nil
	}, func() error { return nil }))
	ids, err := p.journal.Reference(ctx, "import", "zoe", "luc")
	require.NoError(t, err)
	p.zoe, p.luc = ids[0], ids[1]
	p.config = web.Config{
		Journal: p.journal, Command: p.command, Delivery: p.delivery, Projection: projection.New(p.journal), Audit: p.audit,
		Sessions: newSessions(), Personas: p.personas(), Clock: p.clock.Now,
		Logger: slog.New(slog.NewTextHandler(p.logs, nil)),
		Ministries: map[string]consent.Text{
			"moh": {EN: "Ministry of Health", FR: "Ministère de la Santé"}, "mto": {EN: "Ministry of Transportation", FR: "Ministère des Transports"},
		},
	}
	p.serve(t)
	return p
}

func (p *pages) load(t *testing.T, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var agreements []consent.Agreement
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		a, err := schemas.ParseAgreement(name, text, p.journal.Registry())
		require.NoError(t, err)
		agreements = append(agreements, a)
	}
	_, err = p.command.LoadAgreements(context.Background(), command.Command{Actor: operator}, agreements)
	require.NoError(t, err)
}

func (p *pages) personas() []web.Persona {
	resident := func(id, name string, who citizen.ID) web.Persona {
		return web.Persona{ID: id, Name: name, Role: journal.RoleCitizen, About: consent.Text{EN: "Lives in Sudbury", FR: "Habite à Sudbury"},
			Actor: journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: who.String(), Citizen: uuid.UUID(who)}}
	}
	ministry := func(id string) web.Persona {
		return web.Persona{ID: id, Name: strings.ToUpper(id), Role: journal.RoleMinistry,
			Actor: journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: id, Ministry: id}}
	}
	return []web.Persona{
		resident("zoe", "Zoë "+canary+"-Łapointe", p.zoe), resident("luc", "Luc Fournier", p.luc), ministry("moh"), ministry("library"),
		{ID: "officer", Name: "Dominique", Role: journal.RoleOfficer, Actor: journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "officer-1"}},
	}
}

// serve starts the pages as they are configured, with the sandbox's identity provider beside them where there are personas.
func (p *pages) serve(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(p.urls, r.RequestURI+"\n")
		mux.ServeHTTP(w, r)
	}))
	p.config.SignIn, p.config.Chooser = nil, nil
	if len(p.config.Personas) > 0 {
		p.provide(t, mux)
	}
	p.start(t, mux)
}

// start puts the pages beside what is in mux already.
func (p *pages) start(t *testing.T, mux *http.ServeMux) {
	t.Helper()
	handler, err := web.New(p.config)
	require.NoError(t, err)
	for _, pattern := range web.Patterns() {
		mux.Handle(pattern, handler)
	}
	p.server.Start()
	t.Cleanup(p.server.Close)
}

// browser is one person's, with cookies.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

func (p *pages) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t: t, base: p.server.URL, client: &http.Client{Jar: jar}}
}

// as is signed in as a persona. How one signs in is tested in sign_in_test.go.
func (p *pages) as(t *testing.T, lang, persona string) *browser {
	t.Helper()
	b := p.browser(t)
	for _, one := range p.config.Personas {
		if one.ID == persona {
			token, err := p.config.Sessions.Start(context.Background(), one.Actor, one.Name)
			require.NoError(t, err)
			b.client.Jar.SetCookies(mustParse(t, p.server.URL), []*http.Cookie{{Name: "tellonce-session", Value: token}})
		}
	}
	b.get("/"+lang+"/", http.StatusOK)
	return b
}

// sheet is a page that came back, having passed the rules that every page obeys.
type sheet struct {
	t      *testing.T
	path   string // after redirects
	header http.Header
	body   string
	root   *html.Node
	text   string // what people read, in one line
}

func (b *browser) get(path string, status int) *sheet {
	b.t.Helper()
	response, err := b.client.Get(b.base + path)
	require.NoError(b.t, err)
	return b.read(response, status)
}

func (b *browser) post(path string, form url.Values, status int) *sheet {
	b.t.Helper()
	response, err := b.client.PostForm(b.base+path, form)
	require.NoError(b.t, err)
	return b.read(response, status)
}

func (b *browser) read(response *http.Response, status int) *sheet {
	b.t.Helper()
	body, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, response.Body.Close())
	require.Equal(b.t, status, response.StatusCode, "%s: %s", response.Request.URL.Path, body)
	root, err := html.Parse(bytes.NewReader(body))
	require.NoError(b.t, err)
	s := &sheet{t: b.t, path: response.Request.URL.RequestURI(), header: response.Header, body: string(body), root: root, text: textOf(root)}
	s.check()
	return s
}

// says requires texts in what people read.
func (s *sheet) says(texts ...string) *sheet {
	s.t.Helper()
	for _, text := range texts {
		require.Contains(s.t, s.text, text)
	}
	return s
}

func (s *sheet) saysNot(texts ...string) *sheet {
	s.t.Helper()
	for _, text := range texts {
		require.NotContains(s.t, s.text, text)
	}
	return s
}

// field is an attribute of the form field with a name.
func (s *sheet) field(name, attribute string) string {
	s.t.Helper()
	for n := range s.root.Descendants() {
		if n.Type == html.ElementNode && attr(n, "name") == name {
			return attr(n, attribute)
		}
	}
	require.Fail(s.t, "no field "+name)
	return ""
}

// hidden are the hidden fields of the page's forms.
func (s *sheet) hidden() url.Values {
	out := url.Values{}
	for n := range s.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attr(n, "type") == "hidden" {
			out.Add(attr(n, "name"), attr(n, "value"))
		}
	}
	return out
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		} else if c.Type == html.ElementNode && (c.Data != "span" || attr(c, "class") == "line" || strings.HasPrefix(attr(c, "class"), "line ")) && c.Data != "a" && c.Data != "q" && c.Data != "time" {
			b.WriteString(" ")
		}
	}
	return strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return r == ' ' || r == '\n' || r == '\t' }), " ")
}
