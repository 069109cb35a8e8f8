package web

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// maxForm is how many bytes a form may have.
const maxForm = 64 << 10

// request is one call of a page: who calls, in which language, and where the answer goes.
type request struct {
	*http.Request
	w     http.ResponseWriter
	words *words
	route string // the pattern's path: what may stand in a log
	actor journal.Actor
	role  journal.Role     // of who is signed in; RoleNone for nobody
	name  string           // of who is signed in, as their provider says
	ward  *projection.Ward // for whom a resident acts; nil: the page is about themself
	base  string           // below the language, before the pages of a resident; empty for the residents' own
}

// pageFunc answers one request. What it returns as an error is answered by a plain page.
type pageFunc func(*request) error

// errNoPage is the answer for a page that is not there, or not the caller's.
var errNoPage = errors.New("web: no such page")

// errForm refuses a form that can't be read; errTooLarge one over maxForm.
var (
	errForm     = errors.New("web: the form can't be read")
	errTooLarge = errors.New("web: the form is too large")
)

// page wraps a page with what all have in common: the session, the role, and what is answered to an error.
func (s *server) page(lang, route string, role journal.Role, answer pageFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := &request{Request: r, w: w, words: s.pages[lang].words, route: route}
		w.Header().Set("Cache-Control", "no-store")
		err := s.session(req)
		if err == nil {
			err = s.answer(req, role, answer)
		}
		if err == nil {
			return
		}
		s.fail(req, err)
	}
}

func (s *server) answer(r *request, role journal.Role, answer pageFunc) error {
	switch {
	case role == anybody:
	case r.role == journal.RoleNone:
		return s.signInFirst(r)
	case r.role != role: // an authenticated client was refused: that is an event, as in the API
		if err := s.Audit.Refused(r.Context(), r.actor, r.route, http.StatusNotFound); err != nil {
			return err
		}
		return errNoPage
	}
	if r.Method == http.MethodPost {
		limit := int64(maxForm)
		if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") { // is read by the page that wants a file, and by no other
			limit = maxUpload
		}
		r.Body = http.MaxBytesReader(r.w, r.Body, limit)
		var large *http.MaxBytesError
		if err := r.ParseForm(); errors.As(err, &large) {
			return errTooLarge
		} else if err != nil {
			return errForm
		}
	}
	return answer(r)
}

// fail answers an error with a plain page. Only what is nobody's mistake but ours is logged, by its route and never by its URL.
func (s *server) fail(r *request, err error) {
	status, key := http.StatusInternalServerError, "problem.broken"
	var weak *command.WeakLogin
	switch {
	case errors.As(err, &weak) && s.SignIn != nil:
		if err = s.stepUp(r, weak); err == nil {
			return
		}
	case errors.Is(err, errNoPage), errors.Is(err, projection.ErrNotFound), errors.Is(err, audit.ErrNotFound),
		errors.Is(err, delivery.ErrUnknownStream), errors.Is(err, delivery.ErrUnknownLane):
		status, key = http.StatusNotFound, "problem.no-page"
	case errors.Is(err, command.ErrForbidden), errors.Is(err, audit.ErrForbidden), errors.Is(err, delivery.ErrNotYours):
		status, key = http.StatusForbidden, "problem.forbidden"
	case errors.Is(err, errTooLarge):
		status, key = http.StatusRequestEntityTooLarge, "problem.form"
	case errors.Is(err, errForm):
		status, key = http.StatusBadRequest, "problem.form"
	case errors.Is(err, delivery.ErrPaused):
		status, key = http.StatusConflict, "problem.paused"
	case errors.Is(err, command.ErrBusy), errors.Is(err, delivery.ErrBusy):
		status, key = http.StatusServiceUnavailable, "problem.busy"
	case r.Context().Err() != nil:
		return // the reader is gone
	default:
		s.Logger.Error("a page failed", "route", r.Method+" "+r.route, "error", err)
	}
	if err := s.show(r, status, "problem", view{Title: r.say(key + ".title"), Data: r.say(key + ".text")}); err != nil {
		s.Logger.Error("the page of an error failed", "route", r.route, "error", err)
		http.Error(r.w, http.StatusText(status), status)
	}
}

// view is what a page's template gets.
type view struct {
	Title    string // the h1 and the head of the title
	Problems []problem
	Back     string // path of the Back link; empty for none
	Data     any

	// Filled by show.
	Lang, Path, OtherPath string
	Sandbox               bool
	Name                  string // who is signed in; empty for nobody
	Home                  string
	SignedIn              bool
	ActsFor               string // whom the page is about, where it is somebody for whom the reader acts
}

// problem is one thing wrong with a form: at a field (its id in the page), or about the whole of it.
type problem struct{ Field, Text string }

// Of is the sentence at a field, empty if nothing is wrong with it.
func (v view) Of(field string) string {
	for _, p := range v.Problems {
		if p.Field == field {
			return p.Text
		}
	}
	return ""
}

// show renders a page whole before its first byte leaves.
func (s *server) show(r *request, status int, name string, v view) error {
	v.Lang, v.Path, v.OtherPath = r.lang(), r.URL.EscapedPath(), otherPath(r.Request)
	v.Sandbox = s.Journal.Genesis().Mode == journal.ModeSandbox
	if r.ward != nil {
		v.ActsFor = r.ward.Name
	}
	v.SignedIn, v.Name = r.role != journal.RoleNone, s.nameOf(r)
	v.Home = "/" + v.Lang + cmp.Or(homeOf(r.role), "/")
	var b bytes.Buffer
	if err := s.pages[v.Lang].templates[name].ExecuteTemplate(&b, "layout", v); err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	r.w.Header().Set("Content-Language", v.Lang)
	r.w.WriteHeader(status)
	_, _ = r.w.Write(b.Bytes()) // a reader that is gone needs no answer
	return nil
}

// otherPath is this page in the other language.
func otherPath(r *http.Request) string {
	path, other := r.URL.EscapedPath(), "/fr/"
	if langOf(path) == "fr" {
		other = "/en/"
	}
	if len(path) > 4 && path[3] == '/' {
		other += path[4:]
	}
	if r.Method == http.MethodGet && r.URL.RawQuery != "" {
		other += "?" + r.URL.Query().Encode()
	}
	return other
}

func (r *request) lang() string { return r.words.lang }

// say is a text of the catalogue in the page's language; pairs are names and values of its placeholders.
func (r *request) say(key string, pairs ...any) string { return r.words.say(key, pairs...) }

// citizen is who a resident's page is about: the reader, or for whom they act.
func (r *request) citizen() citizen.ID {
	if r.ward != nil {
		return r.ward.ID
	}
	return citizen.ID(r.actor.Citizen)
}

// at is the path of one of a resident's pages, in the same language.
func (r *request) at(path string) string { return "/" + r.lang() + r.base + path }

// form is a field of the posted form, as typed but for the space around it.
func (r *request) form(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }

// redirect ends a post: the answer is a page to get, in the same language.
func (r *request) redirect(path string) error {
	http.Redirect(r.w, r.Request, "/"+r.lang()+path, http.StatusSeeOther)
	return nil
}

// security is the policy of every page (UX.md): nothing but ourselves, no script inside a page, nobody's frame.
const security = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; img-src 'self' data:; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard puts the headers of every answer, and refuses a form that another site posts.
func (s *server) guard(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lang := langOf(r.URL.Path)
		req := &request{Request: r, w: w, words: s.pages[lang].words, route: "another site's form"}
		w.Header().Set("Cache-Control", "no-store")
		s.fail(req, command.ErrForbidden)
	}))
	next = protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", security)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // no-referrer would post with "Origin: null"
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
