package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// address is a good first page of the form.
func address() url.Values {
	return url.Values{
		"street": {"12 rue de l’Église"}, "unit": {"102"}, "city": {"Sault Ste. Marie"}, "province": {"ON"}, "postal_code": {"p6a1b2"},
		"date-year": {"2026"}, "date-month": {"12"}, "date-day": {"1"},
	}
}

func with(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}

// changes is how many changes of address a resident has told.
func (p *pages) changes(t *testing.T, id citizen.ID) int {
	t.Helper()
	entries, err := p.journal.ReadAggregate(context.Background(), journal.CitizenAggregate(id), 1, 0)
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		if e.Type == "address-changed" {
			n++
		}
	}
	return n
}

func TestResidentChangesAnAddressInEnglish(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")

	b.get("/en/me", http.StatusOK).says("My details", canary, "88 Elm St", "Sudbury ON\u00a0\u00a0P3C\u00a01T5", "Since January 5, 2026",
		"613-555-0123", "All people and agreements are invented", "Nobody has seen your data yet", "Signed in as Zoë")
	b.get("/en/address/home", http.StatusOK).says("Change your address: step 1 of 3", "What is your new home address?")

	who := b.post("/en/address/home", address(), http.StatusOK)
	require.Equal(t, "/en/address/home/who", who.path)
	who.says("Who should we tell?", "Nobody has been told yet", "Ministry of Health (Health card)", "Ministry of Transportation (Driver and vehicle records)",
		"Register of electors", "Illustration only: highway traffic law", "Tell Public library", "Why: Keep your library membership current. They get: unit, street, city or town, postal code.",
		"Social assistance You are not a client of theirs.", "Tax credits and benefits The agreement with them is not in force today.",
		"Student aid (OSAP) They only need your mailing address.")
	require.NotContains(t, who.body, "checked", "nothing is ticked beforehand")

	check := b.post("/en/address/home/who", url.Values{"agree": {"library-membership"}}, http.StatusOK)
	require.Equal(t, "/en/address/home/check", check.path)
	check.says("Check your answers before we tell anyone", "102-12 rue de l’Église", "Sault Ste. Marie ON\u00a0\u00a0P6A\u00a01B2",
		"was 88 Elm St, Sudbury ON", "December 1, 2026", "Public library You agreed.", "Outdoors Card You have not agreed to this.", "Student aid (OSAP) They only need your mailing address.",
		"Confirm and tell 4 organizations")
	require.Equal(t, 1, p.changes(t, p.zoe), "nothing is told before the confirmation")

	receipt := b.post("/en/address/home/check", check.hidden(), http.StatusOK)
	require.Regexp(t, "^/en/receipts/[0-9A-Z]{12}$", receipt.path)
	receipt.says("We have your new address", receipt.path[len("/en/receipts/"):], "You told us on November 25, 2026, 14:05.",
		"It starts on December 1, 2026.", "Ministry of Health (Health card) They get:", "On its way", "Public library",
		"Outdoors Card You have not agreed to this. Not shared")
	require.Equal(t, 2, p.changes(t, p.zoe))

	p.answers(t, "moh.health-card", delivery.Applied)
	b.get(receipt.path, http.StatusOK).says("Applied 14:05:01", "On its way")
	b.get("/en/me", http.StatusOK).says("102-12 rue de l’Église", "From December 1, 2026", "Ministry of Health (Health card)",
		"Received: Address (kind of address, unit, street, city or town, province or territory, postal code, country)", "Required by law",
		"Illustration only: health insurance law")
	p.quiet(t)
}

func TestResidentChangesAnAddressInFrench(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "fr", "zoe")

	b.get("/fr/me", http.StatusOK).says("Mes renseignements", "Sudbury (Ontario)\u00a0\u00a0P3C\u00a01T5", "Depuis le 5 janvier 2026",
		"Session ouverte\u00a0: Zoë", "Toutes les personnes et toutes les ententes sont inventées")
	wrong := b.post("/fr/address/home", with(with(with(address(), "street", ""), "postal_code", "H2X 1Y4"), "date-month", "13"), http.StatusUnprocessableEntity)
	wrong.says("Il y a un problème", "Entrez le numéro et le nom de rue", "Entrez une date réelle, comme 2026\u00a012\u00a001")
	wrong.saysNot("Ce code postal") // the rules come after the shape
	wrong = b.post("/fr/address/home", with(address(), "postal_code", "H2X 1Y4"), http.StatusUnprocessableEntity)
	wrong.says("Ce code postal ne se trouve pas dans cette province. Vérifiez les deux.")
	require.Contains(t, wrong.body, "<title>Erreur\u00a0: Quelle est la nouvelle adresse")
	require.Equal(t, "H2X 1Y4", wrong.field("postal_code", "value"))
	require.Equal(t, "true", wrong.field("postal_code", "aria-invalid"))
	require.Equal(t, "postal_code-hint postal_code-error", wrong.field("postal_code", "aria-describedby"))
	b.get("/en/address/home", http.StatusOK).says("This postal code is not in that province. Check both.") // the language link keeps the page

	b.post("/fr/address/home", address(), http.StatusOK).says("Qui devons-nous informer?", "En vertu de la loi", "Seulement si vous acceptez",
		"Informer\u00a0: Bibliothèque publique", "Reçoit\u00a0: unité, rue, ville, code postal.", "Vous ne faites pas partie de sa clientèle.")
	check := b.post("/fr/address/home/who", nil, http.StatusOK)
	check.says("Sault Ste. Marie (Ontario)\u00a0\u00a0P6A\u00a01B2", "auparavant\u00a0: 88 Elm St", "le 1er décembre 2026", "Confirmer et informer 3\u00a0organismes",
		"Bibliothèque publique Vous n’avez pas donné votre accord.")
	receipt := b.post("/fr/address/home/check", check.hidden(), http.StatusOK)
	receipt.says("Nous avons votre nouvelle adresse", "Vous nous l’avez dit le 25 novembre 2026, 14\u00a0h\u00a005.", "En route",
		"Ministère de la Santé (Carte Santé)", "Non communiqué")
	require.Equal(t, 2, p.changes(t, p.zoe))
	p.quiet(t)
}

// answers lets a ministry read everything of its stream and answer it.
func (p *pages) answers(t *testing.T, stream, status string) {
	t.Helper()
	ctx := context.Background()
	page, err := p.delivery.Next(ctx, stream, 0, 0, 100, 0)
	require.NoError(t, err)
	require.NotEmpty(t, page.Messages)
	open, err := p.delivery.Stream(ctx, stream)
	require.NoError(t, err)
	actor := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: open.Ministry, Ministry: open.Ministry}
	first, last := page.Messages[0].Cursor.String(), page.Messages[len(page.Messages)-1].Cursor.String()
	require.NoError(t, p.delivery.Record(ctx, actor, journal.CommandID{}, stream, []delivery.Receipt{{From: first, To: last, Status: status}}))
}

// quiet requires that nothing personal has come into logs or URLs.
func (p *pages) quiet(t *testing.T) {
	t.Helper()
	for _, secret := range []string{canary, "Canary", url.QueryEscape(canary), "Elm", "glise", "P6A", "p6a", p.zoe.String(), "zoe%40", "zoe@"} {
		require.NotContains(t, p.logs.String(), secret)
		require.NotContains(t, p.urls.String(), secret)
	}
}

func TestErrorsOfTheAddressForm(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	for name, c := range map[string]struct{ field, value, says, at string }{
		"no street":        {"street", "", "Enter the street number and name", "street"},
		"a strange street": {"street", "12 Elm <b>", "The street can have letters", "street"},
		"an emoji":         {"unit", "🏠", "The unit can have letters", "unit"},
		"no city":          {"city", " ", "Enter the city, town or First Nation community", "city"},
		"no province":      {"province", "", "Choose the province or territory", "province"},
		"no such province": {"province", "XX", "Choose the province or territory", "province"},
		"no postal code":   {"postal_code", "", "Enter the postal code", "postal_code"},
		"no real code":     {"postal_code", "D1D 1D1", "Enter a real postal code, like P3E 4H5", "postal_code"},
		"another province": {"postal_code", "H2X 1Y4", "This postal code is not in that province. Check both.", "postal_code"},
		"no day":           {"date-day", "", "Enter the whole date", "date-day"},
		"no such day":      {"date-day", "32", "Enter a real date", "date-day"},
		"no number":        {"date-year", "soon", "Enter a real date", "date-year"},
		"no such month":    {"date-month", "13", "Enter a real date", "date-month"},
		"too far":          {"date-year", "2028", "The date is more than 365 days ahead. Choose an earlier date.", "date-year"},
	} {
		page := b.post("/en/address/home", with(address(), c.field, c.value), http.StatusUnprocessableEntity)
		require.Contains(t, page.body, "<title>Error: What is your new home address?", name)
		require.Contains(t, page.body, `<a href="#`+c.at+`">`, name)
		page.says("There is a problem", c.says)
		require.Equal(t, "true", page.field(c.at, "aria-invalid"), name)
		for field, typed := range with(address(), c.field, c.value) {
			if field != "province" {
				require.Equal(t, trimmed(typed[0]), page.field(field, "value"), "%s: what was typed stays in %s", name, field)
			}
		}
	}
	require.Equal(t, 1, p.changes(t, p.zoe))
	p.quiet(t)
}

func trimmed(s string) string {
	if s == " " {
		return ""
	}
	return s
}

func TestConfirmationIsOneChangeHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	check := b.post("/en/address/home/who", url.Values{"agree": {"outdoors-card"}}, http.StatusOK)
	before := b.client.Jar.Cookies(mustParse(t, p.server.URL))
	first := b.post("/en/address/home/check", check.hidden(), http.StatusOK)
	require.Equal(t, first.path, b.post("/en/address/home/check", check.hidden(), http.StatusOK).path, "sent again after the answer")
	require.Equal(t, first.path, b.get("/en/address/home/check", http.StatusOK).path, "the page again")
	b.client.Jar.SetCookies(mustParse(t, p.server.URL), before)
	require.Equal(t, first.path, b.post("/en/address/home/check", check.hidden(), http.StatusOK).path, "sent twice before the answer")
	require.Equal(t, 2, p.changes(t, p.zoe))
	require.Empty(t, b.get("/en/address/home", http.StatusOK).field("street", "value"), "the next change starts with an empty form")
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

func TestConfirmationOfWhatWasNotShown(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	check := b.post("/en/address/home/who", nil, http.StatusOK).says("Confirm and tell 3 organizations")

	// The law moves between the page and the button.
	p.load(t, "testdata/more/*.yaml")
	stale := b.post("/en/address/home/check", check.hidden(), http.StatusConflict)
	stale.says("The rules changed after you looked at this page, so we have not told anyone.", "City register", "Confirm and tell 4 organizations")
	require.Equal(t, 1, p.changes(t, p.zoe))

	// Another window changes the form between the page and the button.
	b.post("/en/address/home", with(address(), "street", "1 Other St"), http.StatusOK)
	b.post("/en/address/home/who", nil, http.StatusOK)
	edited := b.post("/en/address/home/check", stale.hidden(), http.StatusConflict)
	edited.says("Your answers were changed in another window", "1 Other St")
	require.Equal(t, 1, p.changes(t, p.zoe))

	b.post("/en/address/home/check", edited.hidden(), http.StatusOK).says("We have your new address")
	require.Equal(t, 2, p.changes(t, p.zoe))
}

func TestConsentIsAskedStoppedAndExact(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	// By statute, or not on offer: ticking it by hand does nothing.
	b.post("/en/address/home/who", url.Values{"agree": {"library-membership", "moh-health-card", "osap-contact", "nonsense"}}, http.StatusOK)
	check := b.get("/en/address/home/check", http.StatusOK).says("Confirm and tell 4 organizations")
	require.Contains(t, b.get("/en/address/home/who", http.StatusOK).body, `value="library-membership" aria-describedby="agree-library-membership-hint" checked`)
	b.post("/en/address/home/check", check.hidden(), http.StatusOK)

	states, err := p.journal.FreshStates(context.Background(), p.zoe)
	require.NoError(t, err)
	grant, ok := states[0].Standing.Grant("library-membership")
	require.True(t, ok)
	require.ElementsMatch(t, []string{"street", "unit", "city", "postal_code"}, grant.Fields, "the fields that the page named")

	who := b.post("/en/address/home", with(address(), "street", "5 Third St"), http.StatusOK)
	who.says("You agreed before", "Stop telling Public library").saysNot("Tell Public library")
	require.NotContains(t, who.body, "checked")
	check = b.post("/en/address/home/who", url.Values{"stop": {"library-membership"}}, http.StatusOK)
	check.says("Public library You said stop.", "Confirm and tell 3 organizations")
	b.post("/en/address/home/check", check.hidden(), http.StatusOK)
	states, err = p.journal.FreshStates(context.Background(), p.zoe)
	require.NoError(t, err)
	_, ok = states[0].Standing.Grant("library-membership")
	require.False(t, ok)
}

func TestMailingAddressOfSomebodyWhoIsToldNobody(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "luc")
	b.get("/en/me", http.StatusOK).says("Mailing address You have not told us Add: Mailing address")
	b.post("/en/address/mailing", address(), http.StatusOK).says("No organization has to be told by law", "We will not tell")
	check := b.post("/en/address/mailing/who", nil, http.StatusOK)
	check.says("New mailing address", "We will tell Nobody Change").saysNot("was ")
	b.post("/en/address/mailing/check", check.hidden(), http.StatusOK).says("Nobody is told about this change.")
	require.Equal(t, 1, p.changes(t, p.luc))
}

func TestStepsCannotBeSkipped(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	require.Equal(t, "/en/address/home", b.get("/en/address/home/who", http.StatusOK).path)
	require.Equal(t, "/en/address/home", b.get("/en/address/home/check", http.StatusOK).path)
	require.Equal(t, "/en/address/home", b.post("/en/address/home/check", url.Values{"preview": {"x"}}, http.StatusOK).path)
	b.post("/en/address/home", address(), http.StatusOK)
	require.Equal(t, "/en/address/home/who", b.get("/en/address/home/check", http.StatusOK).path)
	require.Equal(t, 1, p.changes(t, p.zoe))
}

func TestFormUnderWayIsItsWritersAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	at := mustParse(t, p.server.URL)
	var drafts []*http.Cookie
	for _, c := range b.client.Jar.Cookies(at) {
		if c.Name == "tellonce-form-address-home" {
			drafts = append(drafts, c)
		}
	}
	require.Len(t, drafts, 1)
	other := p.as(t, "en", "luc")
	other.client.Jar.SetCookies(at, drafts)
	require.Empty(t, other.get("/en/address/home", http.StatusOK).field("street", "value"), "another's cookie")
	p.clock.now.Add(int64(2 * 3600 * 1e9))
	require.Empty(t, b.get("/en/address/home", http.StatusOK).field("street", "value"), "two hours later")
}

func TestReceiptIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	check := b.post("/en/address/home/who", nil, http.StatusOK)
	receipt := b.post("/en/address/home/check", check.hidden(), http.StatusOK)
	p.as(t, "en", "luc").get(receipt.path, http.StatusNotFound).says("Page not found")
	p.as(t, "en", "officer").get(receipt.path, http.StatusNotFound).says("Page not found")
	require.Equal(t, "/en/sign-in", p.browser(t).get(receipt.path, http.StatusOK).path)
}

func TestMinistryRejectsWithItsReason(t *testing.T) {
	t.Parallel()
	p := setup(t)
	number := p.tell(t)
	ctx := context.Background()
	page, err := p.delivery.Next(ctx, "library.membership", 0, 0, 100, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	cursor := page.Messages[0].Cursor.String()
	actor := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: "library", Ministry: "library"}
	b := p.as(t, "en", "zoe")
	b.get("/en/receipts/"+number, http.StatusOK).says("They have not answered yet. Sent 14:05:01")
	receipt := delivery.Receipt{From: cursor, To: cursor, Status: delivery.StatusRejected, Reason: "No card with this <name>"}
	require.NoError(t, p.delivery.Record(ctx, actor, journal.CommandID{}, "library.membership", []delivery.Receipt{receipt}))
	b.get("/en/receipts/"+number, http.StatusOK).says("They wrote: No card with this <name> Rejected 14:05:01")
	b.get("/fr/receipts/"+number, http.StatusOK).says("L’organisme a écrit\u00a0: No card with this <name> Refusé")
	p.quiet(t)
}

func TestDatesToComeAndPast(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.tell(t)
	b := p.as(t, "fr", "zoe")
	b.get("/fr/me", http.StatusOK).says("Dès le 1er décembre 2026")
	p.clock.now.Add(int64(6 * 24 * 3600 * 1e9))
	b.get("/fr/me", http.StatusOK).says("Depuis le 1er décembre 2026")
}

func TestNothingIsToldAfterADeath(t *testing.T) {
	t.Parallel()
	p := setup(t)
	line := `{"id":"0b6c1b1e-5a0e-4d0e-9a51-0d7a5a2f1c21","person":"luc","channel":"counter","told_at":"2026-11-24T15:00:00Z","type":"death-registered",` +
		`"effective":"2026-11-20","data":{"death_date":"2026-11-20","reported_by":"executor"}}` + "\n"
	require.NoError(t, p.command.Import(context.Background(), strings.NewReader(line), command.ImportOptions{Source: "import"},
		func(r command.LineResult) error { require.Equal(t, command.Accepted, r.Result); return nil }, func() error { return nil }))
	page := p.as(t, "en", "luc").post("/en/address/home", address(), http.StatusUnprocessableEntity)
	page.says("There is a problem", "A death is registered for this person.")
	require.Contains(t, page.body, "<title>Error: ")
}
