package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tellonce/hub/domain/journal"
)

// Sessions keeps who is signed in, on the server's side. A token is a secret: it stands in no log line.
type Sessions interface {
	// Start begins a session of an actor, who is called name, and returns its token.
	Start(ctx context.Context, actor journal.Actor, name string) (token string, err error)
	// Use returns whose session a token stands for, and puts it off; ok is false if it stands for none (any more).
	Use(ctx context.Context, token string) (actor journal.Actor, name string, ok bool, err error)
	// Stands says whether a token stands for a session still, and does not put it off.
	Stands(ctx context.Context, token string) (bool, error)
	// End ends a token's session for good, if there is one.
	End(ctx context.Context, token string) error
}

// sessionCookie holds the session's token.
const sessionCookie = "tellonce-session"

// sessionName is the session's cookie by the name it has here. Over https no other host of the domain can set one of that name.
func (s *server) sessionName(r *http.Request) string {
	if s.secure(r) {
		return "__Host-" + sessionCookie
	}
	return sessionCookie
}

// token is the session's token that the browser sent; empty for none.
func (s *server) token(r *http.Request) string {
	cookie, err := r.Cookie(s.sessionName(r))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// session finds who is signed in, for the request.
func (s *server) session(r *request) error {
	token := s.token(r.Request)
	if s.Sessions == nil || token == "" {
		return nil
	}
	actor, name, ok, err := s.Sessions.Use(r.Context(), token)
	if err != nil || !ok {
		return err
	}
	r.actor, r.role, r.name = actor, actor.Role, name
	r.Request = r.WithContext(journal.WithActor(r.Context(), actor))
	return nil
}

// stands says whether who asked for a page that keeps itself up to date is signed in still.
func (s *server) stands(r *request) bool {
	ok, err := s.Sessions.Stands(r.Context(), s.token(r.Request))
	return ok && err == nil
}

// setCookie sets a cookie that no script reads and no other site's form sends; an empty value takes it away. It goes over https alone,
// but in a sandbox on this very machine, whose pages have no certificate.
func (s *server) setCookie(r *request, name, value string) {
	// #nosec G124 -- Secure, but for a sandbox on loopback
	cookie := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.secure(r.Request)}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(r.w, cookie)
}

func (s *server) secure(r *http.Request) bool {
	genesis := s.Journal.Genesis()
	if r.TLS != nil {
		return true
	}
	return strings.HasPrefix(genesis.BaseURL, "https:") && (genesis.Mode != journal.ModeSandbox || !loopback(r.Host))
}

func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// nameOf is what the page calls who is signed in: a ministry by its name in the page's language, where it has one.
func (s *server) nameOf(r *request) string {
	if name := r.words.in(s.Ministries[r.actor.Ministry]); name != "" && r.role == journal.RoleMinistry {
		return name
	}
	return r.name
}

// home says what this is to who isn't signed in; it sends everybody else to their first page.
func (s *server) home(r *request) error {
	switch home := homeOf(r.role); {
	case home != "":
		return r.redirect(home)
	case r.role != journal.RoleNone:
		return s.show(r, http.StatusOK, "sign-in-no-pages", view{Title: r.say("sign-in.no-pages.title")})
	}
	return s.show(r, http.StatusOK, "public-home", view{Title: r.say("public.home.title")})
}

// signOut ends the session on the server's side: its token is worth nothing any more, whoever has it.
func (s *server) signOut(r *request) error {
	if err := s.Sessions.End(r.Context(), s.token(r.Request)); err != nil {
		return err
	}
	s.setCookie(r, s.sessionName(r.Request), "")
	s.forgetDrafts(r)
	return r.redirect("/signed-out")
}

// signedOutPage says so, and leads to the provider's own sign-out, where there is one.
func (s *server) signedOutPage(r *request) error {
	return s.show(r, http.StatusOK, "sign-in-out", view{Title: r.say("sign-in.out.title"), Data: s.SignIn.EndSession(r.lang()) != ""})
}

// leaveProvider goes to the provider's own sign-out: by a link, for no form may lead to another site.
func (s *server) leaveProvider(r *request) error {
	address := s.SignIn.EndSession(r.lang())
	if address == "" {
		return r.redirect("/signed-out")
	}
	http.Redirect(r.w, r.Request, address, http.StatusSeeOther)
	return nil
}
