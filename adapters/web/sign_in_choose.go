package web

import (
	"net/http"

	"github.com/tellonce/hub/domain/journal"
)

// Chooser is the sandbox's identity provider, as far as its page is one of these.
type Chooser interface {
	// Host is the host, with its port, at which the provider stands.
	Host() string
	// Asked is the level of log-in that a waiting request asks for; ok is false where none waits under this id (any more).
	Asked(request string) (acr int, ok bool)
	// Choose answers a waiting request as a persona, by its id, and returns where the browser goes on; ok is false where there is no such
	// request or persona.
	Choose(request, persona string, acr int) (address string, ok bool)
}

// chooserView is the page on which one chooses whom to be.
type chooserView struct {
	Groups []personaGroup
	Strong bool // two factors are asked for
}

// personaGroup is the personas of one role.
type personaGroup struct {
	Title    string
	Personas []personaChoice
}

type personaChoice struct {
	ID, Name, About string
	Now             bool // who is signed in already
}

// chooserPage is the persona chooser of a sandbox's identity provider. It stands on this very machine, by its own name, or not at all.
func (s *server) chooserPage(r *request) error {
	acr, ok := s.Chooser.Asked(r.PathValue("request"))
	switch {
	case !loopback(r.Host):
		return errNoPage
	case !ok:
		return r.redirect("/sign-in/problem/again")
	}
	return s.showChooser(r, http.StatusOK, acr, nil)
}

// chooserPost answers the request as the persona that was chosen.
func (s *server) chooserPost(r *request) error {
	acr, ok := s.Chooser.Asked(r.PathValue("request"))
	switch {
	case !loopback(r.Host):
		return errNoPage
	case !ok:
		return r.redirect("/sign-in/problem/again")
	}
	level := 1
	if r.form("acr") == "2" {
		level = 2
	}
	address, ok := s.Chooser.Choose(r.PathValue("request"), r.form("persona"), level)
	if !ok {
		return s.showChooser(r, http.StatusUnprocessableEntity, acr, []problem{{Field: "persona-0-0", Text: r.say("error.persona")}})
	}
	http.Redirect(r.w, r.Request, address, http.StatusSeeOther)
	return nil
}

func (s *server) showChooser(r *request, status, acr int, problems []problem) error {
	v := chooserView{Strong: acr > 1}
	for _, role := range []journal.Role{
		journal.RoleCitizen, journal.RoleClerk, journal.RoleRegistrar, journal.RoleMinistry, journal.RoleOfficer, journal.RoleProtector, journal.RoleAuditor,
	} {
		group := personaGroup{Title: r.say("sign-in.role." + string(role))}
		for i := range s.Personas {
			if p := &s.Personas[i]; p.Role == role {
				group.Personas = append(group.Personas, s.choice(r, p))
			}
		}
		if len(group.Personas) > 0 {
			v.Groups = append(v.Groups, group)
		}
	}
	return s.show(r, status, "sign-in-choose", view{Title: r.say("sign-in.title"), Problems: problems, Data: v})
}

func (s *server) choice(r *request, p *Persona) personaChoice {
	c := personaChoice{ID: p.ID, Name: p.Name, About: r.words.in(p.About)}
	if name := r.words.in(s.Ministries[p.Actor.Ministry]); name != "" && p.Role == journal.RoleMinistry {
		c.Name = name
	}
	if c.About == c.Name {
		c.About = ""
	}
	c.Now = r.role == p.Role && r.actor.ID == p.Actor.ID
	return c
}
