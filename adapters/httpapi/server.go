// Package httpapi is the hub's HTTP API (INTERFACES.md, "API", and the pull feed): it says who is calling, reads what they ask strictly,
// hands it to a domain room and writes the answer down. It keeps no rule of its own. Every error is an RFC 9457 problem with a code, and
// /openapi.json describes them all.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/schemas"
)

// Config is what the API needs.
type Config struct {
	Journal    *journal.Journal
	Command    *command.Handler
	Delivery   *delivery.Delivery
	Projection *projection.Projection
	Audit      *audit.Audit
	Endpoints  Endpoints
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Drain ends when the hub begins to stop: waiting reads and live feeds then end at once. Nil: never.
	Drain context.Context
	// Heartbeat is how often a live feed says that it is alive; 0: every 15 s.
	Heartbeat time.Duration
	// MaxBody is the most bytes a request's body may have; 0: 65,536.
	MaxBody int64
}

// server is the API.
type server struct {
	Config
	mux     *http.ServeMux
	api     huma.API
	metrics *metrics
	public  map[string]bool // patterns that need no token
	// protection says whom a caller may not know of.
	protection journal.Protection
	examples   map[string]example // by operation id
	compress   func(http.Handler) http.HandlerFunc
}

// New returns the API's handler. Who is calling is in the request's context (journal.WithActor), put there by the caller's middleware.
// Errors: a metric that is registered already.
func New(c Config) (http.Handler, error) {
	if c.Drain == nil {
		c.Drain = context.Background()
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = schemas.MaxLine
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	s := &server{Config: c, mux: http.NewServeMux(), metrics: m, public: map[string]bool{}, protection: journal.NewProtection(c.Journal)}
	if s.examples, err = readExamples(); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	if s.compress, err = newCompressor(); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	s.api = humago.New(s.mux, s.document())
	s.changeRoutes()
	s.personRoutes()
	s.deathRoutes()
	s.citizenRoutes()
	s.consentRoutes()
	s.proxyRoutes()
	s.mergeRoutes()
	s.referenceRoutes()
	s.ministryRoutes()
	s.feedRoutes()
	s.endpointRoutes()
	s.steerRoutes()
	s.officerRoutes()
	s.protectorRoutes()
	s.agreementRoutes()
	s.erasureRoutes()
	s.noticeRoutes()
	if err := s.publicRoutes(); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return s, nil
}

const (
	// answerTime bounds how long an ordinary answer may take to leave. Feeds and long lists set their own.
	answerTime = 30 * time.Second
	// workTime is what of it the work may take: then there is still time to say that it took too long.
	workTime = 25 * time.Second
)

// ServeHTTP answers one request and tells log and metrics about it, by the route's pattern: never the URL, and of the caller the role
// alone.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	rec := &recorder{ResponseWriter: w}
	for name, value := range securityHeaders {
		rec.Header().Set(name, value)
	}
	_ = http.NewResponseController(rec).SetWriteDeadline(started.Add(answerTime)) // a recorder in a test has no deadlines
	handler, pattern := s.mux.Handler(r)
	defer func() {
		panicked := recover()
		if panicked != nil {
			s.panicked(rec, pattern, panicked)
		}
		s.done(rec, r, pattern, time.Since(started))
		if panicked != nil && rec.wrote && rec.status != http.StatusInternalServerError {
			panic(http.ErrAbortHandler) // half an answer must not look whole
		}
	}()
	if pattern == "" {
		unmatched(rec, r, handler)
		return
	}
	s.mux.ServeHTTP(rec, r)
}

// securityHeaders stand on every answer.
var securityHeaders = map[string]string{
	"Cache-Control":                "no-store",
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// unmatched answers for what no route matches: 405 where the path has other methods (the mux alone knows which), else 404.
func unmatched(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	probe := &discard{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	p := newProblem(codeNotFound)
	if probe.status == http.StatusMethodNotAllowed {
		p = newProblem(codeMethodNotAllowed)
		p.allow = probe.header.Get("Allow")
	}
	p.write(w)
}

// panicked answers a bug with 500 and no detail. Of the value only its type is logged: it may hold personal data.
func (s *server) panicked(rec *recorder, pattern string, value any) {
	if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return
	}
	s.Logger.Error("a request panicked", "route", pattern, "type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
	if !rec.wrote {
		newProblem(codeInternal).write(rec)
	}
}

// refusedTime bounds the append of a refused access, which happens even if the caller has gone.
const refusedTime = 5 * time.Second

// done records a refused access, then logs and counts the request. Small answers leave only when ServeHTTP returns, so the record is on the
// log before the caller sees the refusal.
func (s *server) done(rec *recorder, r *http.Request, pattern string, took time.Duration) {
	actor, known := journal.ActorFrom(r.Context())
	refused := rec.status == http.StatusForbidden || rec.status == http.StatusNotFound
	if known && refused && pattern != "" && !s.public[pattern] {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), refusedTime)
		defer cancel()
		if err := s.Audit.Refused(ctx, actor, pattern, rec.status); err != nil {
			s.Logger.Error("a refused access could not be recorded", "route", pattern, "status", rec.status, "error", err)
		}
	}
	route := pattern
	if route == "" {
		route = "none"
	}
	s.Logger.Info("request",
		"method", methodLabel(r.Method), "route", route, "status", rec.status, "duration_ms", took.Seconds()*1000, "role", string(actor.Role))
	s.metrics.observe(route, rec.status, took)
}

// methodLabel bounds what a caller can write into the log.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// recorder remembers an answer's status.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader remembers the first final status.
func (r *recorder) WriteHeader(status int) {
	if !r.wrote && status >= http.StatusOK {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends 200 first if nothing else was.
func (r *recorder) Write(b []byte) (int, error) {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a ResponseWriter that keeps headers and status only.
type discard struct {
	header http.Header
	status int
}

// Header is the kept header.
func (d *discard) Header() http.Header { return d.header }

// Write keeps nothing.
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader keeps the status.
func (d *discard) WriteHeader(status int) { d.status = status }
