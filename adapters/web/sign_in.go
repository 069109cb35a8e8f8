package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// SignIn is the identity provider with which people sign in. Its errors that are the reader's to know have a method Refusal that says which
// of the pages below /sign-in/problem/ tells it: again, away, declined or unknown.
type SignIn interface {
	// Begin returns the address of the provider's page for one sign-in, and a secret for this browser alone that Finish wants back. acr 2
	// asks for two factors; carry comes back from Finish.
	Begin(ctx context.Context, lang string, acr int, carry string) (address, secret string, err error)
	// Finish reads the provider's answer: who came, and what they are called.
	Finish(ctx context.Context, secret string, answer url.Values) (actor journal.Actor, name, carry string, err error)
	// EndSession is the provider's own page for signing out; empty if it has none.
	EndSession(lang string) string
}

const (
	// attemptCookie holds a sign-in under way: the language, a point, the provider's secret. returnCookie holds where somebody wanted to go.
	attemptCookie = "tellonce-sign-in"
	returnCookie  = "tellonce-return"
	// callbackPath is where the provider sends people back to; it has no language of its own.
	callbackPath = "/sign-in/callback"
)

// signInPage leads to the provider by a link: no form may lead to another site.
func (s *server) signInPage(r *request) error {
	if s.SignIn == nil {
		return s.show(r, http.StatusOK, "no-sign-in", view{Title: r.say("sign-in.none.title")})
	}
	return s.show(r, http.StatusOK, "sign-in", view{Title: r.say("sign-in.button"), Data: s.Chooser != nil})
}

// signInFirst keeps where somebody wanted to go, and lets them sign in.
func (s *server) signInFirst(r *request) error {
	s.rememberWay(r)
	return r.redirect("/sign-in")
}

// rememberWay keeps the page that was asked for, for after the sign-in. What only a page's script asks for is none.
func (s *server) rememberWay(r *request) {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return
	}
	way := r.URL.EscapedPath()
	if r.Method == http.MethodGet {
		way = r.URL.RequestURI()
	}
	s.setCookie(r, returnCookie, url.QueryEscape(way))
}

// way is where the reader goes on after the sign-in, in the page's language: where they wanted to go, or to the start page.
func (r *request) way() string {
	cookie, err := r.Cookie(returnCookie)
	if err != nil {
		return "/" + r.lang() + "/"
	}
	way, err := url.QueryUnescape(cookie.Value)
	if err != nil || len(way) < 4 {
		return "/" + r.lang() + "/"
	}
	return "/" + r.lang() + way[3:]
}

// startSignIn goes to the provider. A query acr=2 asks for two factors.
func (s *server) startSignIn(r *request) error {
	if s.Chooser != nil && r.Host != s.Chooser.Host() { // a sandbox's provider knows this machine by one name
		http.Redirect(r.w, r.Request, "http://"+s.Chooser.Host()+r.URL.RequestURI(), http.StatusSeeOther)
		return nil
	}
	acr := 1
	if r.URL.Query().Get("acr") == "2" {
		acr = 2
	}
	address, secret, err := s.SignIn.Begin(r.Context(), r.lang(), acr, r.way())
	if err != nil {
		return s.notSignedIn(r, err)
	}
	s.setCookie(r, attemptCookie, r.lang()+"."+secret)
	http.Redirect(r.w, r.Request, address, http.StatusSeeOther)
	return nil
}

// callback is what the provider sends people back to, in the language in which they left.
func (s *server) callback(w http.ResponseWriter, r *http.Request) {
	lang := languages[0]
	if cookie, err := r.Cookie(attemptCookie); err == nil && strings.HasPrefix(cookie.Value, "fr.") {
		lang = "fr"
	}
	s.page(lang, callbackPath, anybody, s.finishSignIn)(w, r)
}

// finishSignIn begins a session with a token of its own. The one that the browser had ends: whoever gave it to the browser is not signed in
// as this person. If the process dies before the answer, the new session stands unused until it expires.
func (s *server) finishSignIn(r *request) error {
	secret := ""
	if cookie, err := r.Cookie(attemptCookie); err == nil {
		_, secret, _ = strings.Cut(cookie.Value, ".")
		s.setCookie(r, attemptCookie, "")
	}
	actor, name, way, err := s.SignIn.Finish(r.Context(), secret, r.URL.Query())
	if err != nil {
		return s.notSignedIn(r, err)
	}
	token, err := s.Sessions.Start(r.Context(), actor, name)
	if err == nil {
		err = s.Sessions.End(r.Context(), s.token(r.Request))
	}
	if err != nil {
		return err
	}
	if r.role != journal.RoleNone && (r.role != actor.Role || r.actor.ID != actor.ID) { // somebody else was at this browser
		s.forgetDrafts(r)
	}
	s.setCookie(r, s.sessionName(r.Request), token)
	if _, err := r.Cookie(returnCookie); err == nil {
		s.setCookie(r, returnCookie, "")
	}
	if !s.opens(way, actor.Role) {
		way = "/" + r.lang() + cmp.Or(homeOf(actor.Role), "/")
	}
	http.Redirect(r.w, r.Request, way, http.StatusSeeOther)
	return nil
}

// opens says whether way is the path of a page of ours that a role can get. Nothing else is ever gone to after a sign-in.
func (s *server) opens(way string, role journal.Role) bool {
	u, err := url.Parse(way)
	if err != nil || u.Scheme != "" || u.Host != "" || path.Clean(u.Path) != u.Path || strings.ContainsAny(u.Path, "\\\x00\r\n") {
		return false
	}
	_, pattern := s.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: u.Path}})
	needs, known := s.roles[pattern]
	return known && needs == role && role != anybody
}

// signInProblems are the pages that say why somebody is not signed in.
var signInProblems = []string{"again", "away", "declined", "unknown"}

// notSignedIn leads to the page that says why. The operator reads more; nothing of the person stands there.
func (s *server) notSignedIn(r *request, err error) error {
	var refused interface{ Refusal() string }
	if !errors.As(err, &refused) {
		return err
	}
	s.Logger.Warn("somebody could not sign in", "why", refused.Refusal(), "error", err)
	for _, known := range signInProblems {
		if known == refused.Refusal() {
			return r.redirect("/sign-in/problem/" + known)
		}
	}
	return err
}

// signInProblem says why somebody is not signed in, and what they can do.
func (s *server) signInProblem(r *request, why string) error {
	return s.show(r, http.StatusOK, "sign-in-problem", view{
		Title: r.say("sign-in.problem." + why + ".title"),
		Data:  signInFailure{Text: r.say("sign-in.problem." + why + ".text"), Out: s.SignIn.EndSession(r.lang()) != "", Known: why != "unknown"},
	})
}

type signInFailure struct {
	Text  string
	Out   bool // the provider has a sign-out of its own
	Known bool // the same person may try again
}

// stepUp asks a resident for a stronger log-in than they came by, and keeps where they were: what they typed is in their drafts.
func (s *server) stepUp(r *request, weak *command.WeakLogin) error {
	s.rememberWay(r)
	return s.show(r, http.StatusForbidden, "sign-in-step-up", view{Title: r.say("sign-in.step-up.title"), Data: weak.ACR})
}
