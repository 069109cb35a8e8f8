package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// actingView is who may act for a resident, what they did, and what became of other ids of the resident's.
type actingView struct {
	Proxies []proxyItem
	Acts    []actItem
	Merges  []mergeItem
}

type proxyItem struct {
	Kind, Scope string
	Until       string // ISO date; empty: open
	Tag, Tone   string
	Grant       int64
	MayEnd      bool // by the resident
	Command     string
}

type actItem struct {
	At         time.Time
	What, Kind string
}

type mergeItem struct {
	At    time.Time
	Ended []string // agreements by name
}

func (s *server) acting(r *request) (actingView, error) {
	held, err := s.Projection.Proxies(r.Context(), r.citizen())
	if err != nil {
		return actingView{}, err
	}
	acts, err := s.Projection.Acts(r.Context(), r.citizen())
	if err != nil {
		return actingView{}, err
	}
	merges, err := s.Projection.Merges(r.Context(), r.citizen())
	if err != nil {
		return actingView{}, err
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return actingView{}, err
	}
	var v actingView
	for _, p := range held {
		item := proxyItem{
			Kind: r.say("proxies.kind." + p.Kind), Scope: r.say("proxies.everything"), Until: p.Until.String(),
			Tag: r.say("proxies.holds"), Tone: "good", Grant: p.Position, MayEnd: p.Kind == journal.ProxyAttorney, Command: newCommand(),
		}
		if len(p.Scope) > 0 {
			item.Scope = r.words.list(s.typeNames(r, p.Scope))
		}
		if !p.Holds {
			item.Tag, item.Tone = r.say("proxies.holds-not"), "none"
		}
		v.Proxies = append(v.Proxies, item)
	}
	for _, a := range acts {
		v.Acts = append(v.Acts, actItem{At: a.At, What: s.typeNames(r, []string{a.Type})[0], Kind: r.say("proxies.kind." + a.Kind)})
	}
	for _, m := range merges {
		item := mergeItem{At: m.At}
		for _, id := range m.Ended {
			if a, ok := law.Book.Find(id); ok {
				id = s.organisation(r.words, a)
			}
			item.Ended = append(item.Ended, id)
		}
		v.Merges = append(v.Merges, item)
	}
	return v, nil
}

// typeNames are the names of event types for people; what is no row of the registry is about proxies.
func (s *server) typeNames(r *request, types []string) []string {
	out := make([]string, len(types))
	for i, eventType := range types {
		out[i] = r.say("proxies.ended")
		if row, ok := s.Journal.Registry().Row(eventType); ok {
			out[i] = r.words.in(row.Label)
		}
	}
	return out
}

// proxyPost ends an attorney.
func (s *server) proxyPost(r *request) error {
	id, grant := r.form("command"), r.form("grant")
	if _, err := uuid.Parse(id); err != nil {
		return errForm
	}
	held, err := s.Projection.Proxies(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	var proxy citizen.ID // nobody's: refused, unless the command is known
	for _, p := range held {
		if strconv.FormatInt(p.Position, 10) == grant {
			proxy = p.ID
		}
	}
	c := command.Command{
		ID: id, Scope: "pages/" + r.actor.Citizen.String(), Content: []byte("end proxy " + grant), Actor: r.actor, Issuer: issuer, Channel: channel,
		ToldAt: s.Clock().UTC(),
	}
	_, err = s.Command.EndProxy(r.Context(), c, r.citizen(), proxy)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return s.showConsents(r, http.StatusUnprocessableEntity, "", []problem{{Text: rejection.Sentence(r.lang())}})
	}
	if err != nil {
		return err
	}
	return r.redirect("/consents?done=ended")
}
