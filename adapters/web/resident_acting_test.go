package web_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// TestActingForSomebody: every page says so, and what is told is told for that person.
func TestActingForSomebody(t *testing.T) {
	t.Parallel()
	p := setup(t)
	mia, birth := p.born(t, "Mia")
	b := p.as(t, "en", "zoe")
	b.get("/en/me", http.StatusOK).says("Act for somebody else").saysNot("You are acting for")
	acting := b.get("/en/acting", http.StatusOK).says("Mia Fournier", "You are: Parent.", "You may act in: everything.", "Act for Mia Fournier")
	me := b.post("/en/acting", acting.hidden(), http.StatusOK)
	require.Equal(t, "/en/me", me.path)
	me.says("You are acting for Mia Fournier.", "May 4, 2020").saysNot("88 Elm St", "Have my information erased", "Tell us that somebody has died")
	b.get("/en/receipts/"+birth, http.StatusNotFound) // Zoë’s own

	form := b.get("/en/address/home", http.StatusOK).says("You are acting for Mia Fournier.").saysNot("Who is moving with you?")
	stale := b.post("/en/address/home", address(), http.StatusConflict) // a window in which she was herself
	stale.says("You went on for somebody else")
	who := b.post("/en/address/home", with(address(), "for", form.field("for", "value")), http.StatusOK).says("You are acting for Mia Fournier.")
	check := b.post("/en/address/home/who", who.hidden(), http.StatusOK).saysNot("was 88 Elm St")
	receipt := b.post("/en/address/home/check", check.hidden(), http.StatusOK).says("We have your new address", "You are acting for Mia Fournier.")
	told := p.of(t, mia, "address-changed")
	require.Len(t, told, 1)
	require.Equal(t, "/en/receipts/"+journal.Receipt(told[0].ID), receipt.path)
	require.Empty(t, p.of(t, p.zoe, "address-changed"))
	b.get("/fr/me", http.StatusOK).says("Vous agissez pour Mia Fournier.")

	b.post("/en/acting", url.Values{"person": {"nobody"}}, http.StatusNotFound)
	b.post("/en/acting", url.Values{"person": {""}}, http.StatusOK).says("88 Elm St").saysNot("You are acting for")
	b.post("/en/address/home", with(address(), "for", form.field("for", "value")), http.StatusConflict) // a window of before
	p.quiet(t)
}

// rosa registers somebody who lets Zoë tell her addresses, and nothing else.
func (p *pages) rosa(t *testing.T) citizen.ID {
	t.Helper()
	ctx := context.Background()
	ids, err := p.journal.Register(ctx, "import", "rosa")
	require.NoError(t, err)
	_, err = p.command.Tell(ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorSource, ID: "import", Source: "import"}}, ids[0], command.Change{
		Type: citizen.PersonRegistered, Effective: "2026-01-05",
		Data: map[string]any{"given_names": "Rosa", "family_name": "Example", "birth_date": "1941-08-02", "language": "fr"},
	})
	require.NoError(t, err)
	_, err = p.command.GrantProxy(ctx, command.Command{Actor: resident(ids[0])}, ids[0],
		command.Proxying{Proxy: p.zoe, Kind: journal.ProxyAttorney, Scope: []string{"address-changed"}})
	require.NoError(t, err)
	return ids[0]
}

// TestActingInSomeThingsAlone shows nothing of the person.
func TestActingInSomeThingsAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	rosa := p.rosa(t)
	told, err := p.command.Tell(context.Background(), command.Command{Actor: resident(rosa)}, rosa,
		command.Change{Type: citizen.ContactChanged, Effective: "2026-11-25", Data: map[string]any{"email": "rosa@example.ca"}})
	require.NoError(t, err)
	b := p.as(t, "en", "zoe")
	b.get("/en/receipts/"+told.Receipt, http.StatusNotFound)
	b.post("/en/acting", b.get("/en/acting", http.StatusOK).says("You may act in: address.").hidden(), http.StatusOK).
		says("You are acting for Rosa Example.", "Home address", "Mailing address").saysNot("rosa@example.ca", "1941", "Contact", "Marital")
	for _, path := range []string{"/name", "/contact", "/birth", "/receipts", "/receipts/" + told.Receipt, "/receipts/" + told.Receipt + "/correct"} {
		b.get("/en"+path, http.StatusNotFound)
	}
	form := b.get("/en/address/mailing", http.StatusOK)
	who := b.post("/en/address/mailing", with(address(), "for", form.field("for", "value")), http.StatusOK).saysNot("Only if you agree Which")
	check := b.post("/en/address/mailing/who", who.hidden(), http.StatusOK)
	done := b.post("/en/address/mailing/check", check.hidden(), http.StatusOK)
	require.Equal(t, "/en/address/mailing/done", done.path)
	require.Len(t, p.of(t, rosa, "address-changed"), 1)

	_, err = p.command.EndProxy(context.Background(), command.Command{Actor: resident(rosa)}, rosa, p.zoe)
	require.NoError(t, err)
	ended := b.get("/en/me", http.StatusOK)
	require.Equal(t, "/en/acting", ended.path)
	ended.says("There is nobody for whom you may act.")
	p.quiet(t)
}

// TestAProxyThatEndsMeanwhile: nobody is told, and the page says that something has changed.
func TestAProxyThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	p := setup(t)
	rosa := p.rosa(t)
	b := p.as(t, "en", "zoe")
	marks := b.get("/en/address/home", http.StatusOK).marks("with")
	b.post("/en/address/home", withAll(address(), "with", marks["Rosa Example"]), http.StatusOK).says("What is told about Rosa Example")
	check := b.post("/en/address/home/who", nil, http.StatusOK).says("Moves with you Rosa Example")
	_, err := p.command.EndProxy(context.Background(), command.Command{Actor: resident(rosa)}, rosa, p.zoe)
	require.NoError(t, err)
	now := b.post("/en/address/home/check", check.hidden(), http.StatusConflict).says("Please check again").saysNot("Rosa")
	require.Empty(t, p.of(t, p.zoe, "address-changed"))
	b.post("/en/address/home/check", now.hidden(), http.StatusOK).says("We have your new address")
	require.Empty(t, p.of(t, rosa, "address-changed"))
}
