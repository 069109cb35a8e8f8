package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tellonce/hub/domain/journal"
)

// sessionCookie holds the session's token.
const sessionCookie = "tellonce-session"

// session is who is signed in.
func (s *server) session(r *http.Request) (journal.Actor, bool) {
	if s.Sessions == nil {
		return journal.Actor{}, false
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return journal.Actor{}, false
	}
	actor, err := s.Sessions.Read(cookie.Value)
	return actor, err == nil && actor.Role != journal.RoleNone
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

// nameOf is the name of the persona who is signed in.
func (s *server) nameOf(w *words, actor journal.Actor) string {
	for _, p := range s.Personas {
		if p.Actor.Role == actor.Role && p.Actor.ID == actor.ID && p.Actor.Citizen == actor.Citizen && p.Actor.Ministry == actor.Ministry {
			return s.personaName(w, &p)
		}
	}
	return ""
}

// personaName is a ministry's name in the page's language, where it has one; anybody else's own.
func (s *server) personaName(w *words, p *Persona) string {
	if name := w.in(s.Ministries[p.Actor.Ministry]); name != "" && p.Role == journal.RoleMinistry {
		return name
	}
	return p.Name
}

// home sends everybody to their first page.
func (s *server) home(r *request) error {
	if home := homeOf(r.role); home != "" {
		return r.redirect(home)
	}
	return r.redirect("/sign-in")
}

// personaGroup is the personas of one role.
type personaGroup struct {
	Title    string
	Personas []personaChoice
}

type personaChoice struct{ ID, Name, About string }

// signInPage is the persona chooser of a sandbox. Elsewhere it says that sign-in is not set up yet.
func (s *server) signInPage(r *request) error {
	if len(s.Personas) == 0 {
		return s.show(r, http.StatusOK, "no-sign-in", view{Title: r.say("sign-in.none.title")})
	}
	return s.chooser(r, http.StatusOK, nil)
}

func (s *server) chooser(r *request, status int, problems []problem) error {
	var groups []personaGroup
	for _, role := range []struct {
		role journal.Role
		key  string
	}{{journal.RoleCitizen, "role.citizen"}, {journal.RoleMinistry, "role.ministry"}, {journal.RoleOfficer, "role.officer"}} {
		group := personaGroup{Title: r.say(role.key)}
		for _, p := range s.Personas {
			if p.Role == role.role {
				choice := personaChoice{ID: p.ID, Name: s.personaName(r.words, &p), About: r.words.in(p.About)}
				if choice.About == choice.Name {
					choice.About = ""
				}
				group.Personas = append(group.Personas, choice)
			}
		}
		if len(group.Personas) > 0 {
			groups = append(groups, group)
		}
	}
	return s.show(r, status, "sign-in", view{Title: r.say("sign-in.title"), Problems: problems, Data: groups})
}

// signIn begins a session with a token of its own: whatever cookie came along stands for nothing any more.
func (s *server) signIn(r *request) error {
	for _, p := range s.Personas {
		if p.ID != r.form("persona") {
			continue
		}
		token, err := s.Sessions.Start(p.Actor)
		if err != nil {
			return err
		}
		s.setCookie(r, sessionCookie, token)
		s.forgetDrafts(r)
		return r.redirect(homeOf(p.Role))
	}
	return s.chooser(r, http.StatusUnprocessableEntity, []problem{{Field: "persona-0-0", Text: r.say("error.persona")}})
}

func (s *server) signOut(r *request) error {
	s.setCookie(r, sessionCookie, "")
	s.forgetDrafts(r)
	return r.redirect("/sign-in")
}
