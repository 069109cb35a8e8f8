package main

import (
	"context"
	"slices"
	"strings"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// The bounds of the persona chooser.
const (
	personaResidents = 6
	personaRecords   = 2000 // of the log's beginning, in which residents are looked for
)

// personas are who one can be in a sandbox: some residents, every ministry, and people in office of each role.
func (h *hub) personas(ctx context.Context) ([]web.Persona, error) {
	residents, err := h.residents(ctx)
	if err != nil {
		return nil, err
	}
	law, err := h.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var offices []web.Persona
	for _, a := range law.Book.Approved() {
		if seen[a.Ministry] {
			continue
		}
		seen[a.Ministry] = true
		offices = append(offices, web.Persona{
			ID: "ministry-" + a.Ministry, Name: ministryName(a.Ministry), Role: journal.RoleMinistry, About: a.Title,
			Actor: journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: a.Ministry, Ministry: a.Ministry},
		})
	}
	officer := consent.Text{EN: "Privacy officer", FR: "Responsable de la protection de la vie privée"}
	return slices.Concat(residents, offices, []web.Persona{
		officePersona("clerk", "Charlie Clerk", journal.RoleClerk, consent.Text{EN: "At the counter", FR: "Au comptoir"}),
		officePersona("registrar", "Reese Registrar", journal.RoleRegistrar, consent.Text{EN: "Registers births and deaths", FR: "Inscrit les naissances et les décès"}),
		// Two officers, for an agreement needs four eyes.
		officePersona("officer", "Dominique Officer", journal.RoleOfficer, officer),
		officePersona("officer-2", "Robin Officer", journal.RoleOfficer, officer),
		officePersona("protector", "Parker Protector", journal.RoleProtector, consent.Text{EN: "Restricts who sees people at risk", FR: "Restreint qui voit les personnes en danger"}),
		officePersona("auditor", "Avery Auditor", journal.RoleAuditor, consent.Text{EN: "Checks the log", FR: "Vérifie le journal"}),
	}), nil
}

// officePersona is somebody in office, by a name that no directory has.
func officePersona(id, name string, role journal.Role, about consent.Text) web.Persona {
	kind, _ := role.Kind()
	return web.Persona{ID: id, Name: name, Role: role, About: about, Actor: journal.Actor{Kind: kind, Role: role, ID: "sandbox " + id}}
}

// residents are the first people who were registered; the sandbox's identity provider knows them. Their names are shown in the chooser: a sandbox holds invented people only.
func (h *hub) residents(ctx context.Context) ([]web.Persona, error) {
	recs, err := h.store.ReadAll(ctx, 0, personaRecords)
	if err != nil {
		return nil, err
	}
	recs = slices.DeleteFunc(recs, func(r eventstore.Recorded) bool { return r.Type != citizen.PersonRegistered })
	entries, err := h.journal.Open(ctx, recs[:min(len(recs), personaResidents)])
	if err != nil {
		return nil, err
	}
	var out []web.Persona
	for i := range entries {
		change, ok := entries[i].Event.(citizen.Change)
		if !ok {
			continue
		}
		given, _ := change.Data["given_names"].(string)
		family, _ := change.Data["family_name"].(string)
		id := entries[i].Subject
		if err := h.refer(ctx, citizen.ID(id)); err != nil {
			return nil, err
		}
		out = append(out, web.Persona{
			ID: "resident-" + id.String(), Name: given + " " + family, Role: journal.RoleCitizen, About: consent.Text{EN: "Resident", FR: "Résident ou résidente"},
			Actor: journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: id},
		})
	}
	return out, nil
}

// ministries are names for people to read, by the ids of the sample agreements.
var ministries = map[string]consent.Text{
	"arts":      {EN: "Arts council", FR: "Conseil des arts"},
	"elections": {EN: "Elections office", FR: "Bureau des élections"},
	"library":   {EN: "Public library", FR: "Bibliothèque publique"},
	"mccss":     {EN: "Ministry of Children, Community and Social Services", FR: "Ministère des Services à l’enfance et des Services sociaux et communautaires"},
	"mcu":       {EN: "Ministry of Colleges and Universities", FR: "Ministère des Collèges et Universités"},
	"mnr":       {EN: "Ministry of Natural Resources", FR: "Ministère des Richesses naturelles"},
	"mof":       {EN: "Ministry of Finance", FR: "Ministère des Finances"},
	"moh":       {EN: "Ministry of Health", FR: "Ministère de la Santé"},
	"mto":       {EN: "Ministry of Transportation", FR: "Ministère des Transports"},
}

// ministryName is a ministry's name in English, or its id where it has none.
func ministryName(id string) string {
	if name, ok := ministries[id]; ok {
		return name.EN
	}
	return strings.ToUpper(id)
}
