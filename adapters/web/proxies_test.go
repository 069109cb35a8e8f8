package web_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// endForm is the form that ends an attorney.
func (s *sheet) endForm() (url.Values, bool) {
	s.t.Helper()
	for n := range s.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		form := url.Values{}
		for c := range n.Descendants() {
			if c.Type == html.ElementNode && attr(c, "name") != "" {
				form.Add(attr(c, "name"), attr(c, "value"))
			}
		}
		if form.Get("do") == "end-proxy" {
			return form, true
		}
	}
	return nil, false
}

func resident(id citizen.ID) journal.Actor {
	return journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: uuid.UUID(id)}
}

func TestAResidentSeesAndEndsWhoActsForThem(t *testing.T) {
	t.Parallel()
	ctx, p := context.Background(), setup(t)
	b := p.as(t, "en", "zoe")
	b.get("/en/consents", http.StatusOK).says("Who may act for me", "Nobody may act for you.").saysNot("What they did for me")
	ask := func(actor journal.Actor) command.Command {
		return command.Command{ID: uuid.NewString(), Scope: "test", Actor: actor, Issuer: journal.IssuerAPI}
	}
	grant := func(kind string, scope ...string) {
		_, err := p.command.GrantProxy(ctx, ask(journal.Actor{Kind: journal.ActorRegistrar}), p.zoe, command.Proxying{
			Proxy: p.luc, Kind: kind, Scope: scope, Until: "2027-03-31",
		})
		require.NoError(t, err)
	}
	grant(journal.ProxyAttorney, "consent-granted")
	_, err := p.command.Grant(ctx, ask(resident(p.luc)), p.zoe, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	page := b.get("/en/consents", http.StatusOK)
	page.says("Attorney", "May act today", "May act in: Consent given.", "Until March 31, 2027", "What they did for me", "Consent given (Attorney)").saysNot("Luc", p.luc.String())
	p.as(t, "fr", "zoe").get("/fr/consents", http.StatusOK).says("Mandataire", "Peut agir pour\u00a0: Consentement donné.", "Dernier jour inclus, le 31 mars 2027.")
	form, ok := page.endForm()
	require.True(t, ok)
	b.post("/en/consents", form, http.StatusOK).says("You ended it.", "Nobody may act for you.", "Consent given (Attorney)")
	b.post("/en/consents", form, http.StatusOK)
	form.Set("command", uuid.NewString())
	b.post("/en/consents", form, http.StatusUnprocessableEntity).says("Nobody of this name may act for this person.")
	form.Set("command", "none")
	b.post("/en/consents", form, http.StatusBadRequest)

	grant(journal.ProxyGuardian)
	page = b.get("/en/consents", http.StatusOK).says("Guardian", "May act in: everything.", "Only the registrar can end this.")
	_, ok = page.endForm()
	require.False(t, ok)
	_, err = p.command.EndProxy(ctx, ask(resident(p.luc)), p.zoe, p.luc)
	require.NoError(t, err)
	b.get("/en/consents", http.StatusOK).says("Nobody may act for you.", "Stopped acting for you (Guardian)")
	p.quiet(t)
}

func TestAResidentIsToldOfAMerge(t *testing.T) {
	t.Parallel()
	ctx, p := context.Background(), setup(t)
	_, err := p.command.Grant(ctx, command.Command{Actor: resident(p.luc)}, p.luc, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	officer := command.Command{Actor: journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "one"}}
	_, err = p.command.Merge(ctx, officer, p.luc, p.zoe, "test")
	require.NoError(t, err)
	p.as(t, "en", "zoe").get("/en/consents", http.StatusOK).says("They were made one on November 25, 2026", "has ended. Agree again", "Outdoors Card")
	p.as(t, "fr", "zoe").get("/fr/consents", http.StatusOK).says("Ils ont été réunis le 25 novembre 2026", "ont pris fin")
}
