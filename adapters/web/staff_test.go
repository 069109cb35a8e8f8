package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// tell lets Zoë tell a new address through the pages, agreeing to tell the library; it returns the receipt number.
func (p *pages) tell(t *testing.T) string {
	t.Helper()
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	check := b.post("/en/address/home/who", url.Values{"agree": {"library-membership"}}, http.StatusOK)
	return strings.TrimPrefix(b.post("/en/address/home/check", check.hidden(), http.StatusOK).path, "/en/receipts/")
}

func TestMinistrySeesItsStreamFill(t *testing.T) {
	t.Parallel()
	p := setup(t)
	m := p.as(t, "en", "moh")
	m.get("/en/streams", http.StatusOK).says("Your streams", "moh.health-card", "Health card", "Events wait").saysNot("library")
	lane := m.get("/en/streams/moh.health-card/0", http.StatusOK)
	lane.says("Events of stream moh.health-card", "Last number given: 0.", "No event has been read yet.")

	// The address of the import waits; then the resident's own.
	m.post("/en/streams/moh.health-card/0", url.Values{"do": {"read"}}, http.StatusOK).says("1 new event was read.", "Last number given: 1.", "1.0.1", "Not answered yet")
	p.tell(t)
	read := m.post("/en/streams/moh.health-card/0", url.Values{"do": {"read"}}, http.StatusOK)
	read.says("1 new event was read.", "Last number given: 2.", "1.0.2 Address", "November 25, 2026, 14:05", "December 1, 2026", "v1.", "…", "102",
		"Mark as applied")
	require.Less(t, strings.Index(read.text, "1.0.2 Address"), strings.Index(read.text, "1.0.1 Address"), "the newest first")
	m.post("/en/streams/moh.health-card/0", url.Values{"do": {"read"}}, http.StatusOK).says("There are no new events.")

	m.post("/en/streams/moh.health-card/0", url.Values{"do": {"apply"}, "from": {"1.0.2"}, "to": {"1.0.2"}}, http.StatusOK).
		says("1 event is marked as applied.", "Applied", "Not answered yet")
	all := m.post("/en/streams/moh.health-card/0", url.Values{"do": {"apply"}, "from": {"1.0.1"}, "to": {"1.0.2"}}, http.StatusOK)
	all.says("2 events are marked as applied.").saysNot("Mark as applied", "Mark all")
	p.as(t, "fr", "moh").get("/fr/streams/moh.health-card/0", http.StatusOK).says("Événements du flux moh.health-card", "Carte Santé", "Dernier numéro attribué\u00a0: 2.",
		"le 25 novembre 2026, 14\u00a0h\u00a005", "le 1er décembre 2026", "Appliqué")
	p.quiet(t)
}

// count is how many records of a type are on the log.
func (p *pages) count(t *testing.T, eventType string) int {
	t.Helper()
	recs, err := p.journal.Store().ReadAll(context.Background(), 0, 10_000)
	require.NoError(t, err)
	n := 0
	for _, rec := range recs {
		if rec.Type == eventType {
			n++
		}
	}
	return n
}

func TestEveryViewOfGivenEventsIsOnTheLog(t *testing.T) {
	t.Parallel()
	p := setup(t)
	m := p.as(t, "en", "moh")
	m.get("/en/streams/moh.health-card/0", http.StatusOK)
	require.Zero(t, p.count(t, journal.TypeDisclosed)+p.count(t, journal.TypeRedelivered), "an empty page costs nothing")
	m.post("/en/streams/moh.health-card/0", url.Values{"do": {"read"}}, http.StatusOK)
	require.Equal(t, 1, p.count(t, journal.TypeDisclosed))
	before := p.count(t, journal.TypeRedelivered)
	m.get("/en/streams/moh.health-card/0", http.StatusOK)
	require.Equal(t, 1, p.count(t, journal.TypeDisclosed), "getting a page discloses nothing")
	require.Equal(t, before+1, p.count(t, journal.TypeRedelivered))
}

func TestWithdrawnEventIsRecalledOnTheMinistrysPage(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.tell(t)
	m := p.as(t, "en", "library")
	m.post("/en/streams/library.membership/0", url.Values{"do": {"read"}}, http.StatusOK).says("1.0.1 Address", "Église")
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", with(address(), "street", "5 Third St"), http.StatusOK)
	check := b.post("/en/address/home/who", url.Values{"stop": {"library-membership"}}, http.StatusOK)
	b.post("/en/address/home/check", check.hidden(), http.StatusOK)
	m.get("/en/streams/library.membership/0", http.StatusOK).says("1.0.1 Recalled").saysNot("Église", "5 Third St")
}

func TestMinistrySeesNothingOfOthers(t *testing.T) {
	t.Parallel()
	p := setup(t)
	m := p.as(t, "en", "moh")
	refused := p.count(t, journal.TypeAccessRefused)
	m.get("/en/streams/library.membership/0", http.StatusForbidden).says("You can’t do this here")
	m.post("/en/streams/library.membership/0", url.Values{"do": {"read"}}, http.StatusForbidden)
	require.Equal(t, refused+2, p.count(t, journal.TypeAccessRefused))
	require.Zero(t, p.count(t, journal.TypeDisclosed))
	m.get("/en/streams/nonsense/0", http.StatusNotFound)
	for _, lane := range []string{"1", "-1", "00", "x"} {
		m.get("/en/streams/moh.health-card/"+lane, http.StatusNotFound)
	}
	for _, form := range []url.Values{
		{}, {"do": {"erase"}}, {"do": {"apply"}}, {"do": {"apply"}, "from": {"1.0.1"}, "to": {"1.0.1"}}, {"do": {"apply"}, "from": {"1.1.1"}, "to": {"1.1.1"}},
		{"do": {"apply"}, "from": {"1.0.1"}, "to": {"1.0.999"}},
	} {
		m.post("/en/streams/moh.health-card/0", form, http.StatusBadRequest).says("We could not read the form")
	}
}

func TestOfficerAsksWhy(t *testing.T) {
	t.Parallel()
	p := setup(t)
	number := p.tell(t)
	p.answers(t, "moh.health-card", "applied")
	o := p.as(t, "en", "officer")
	o.get("/en/looks", http.StatusOK).says("Ask who was told, and why", "Your reason for looking (required)", "Case number (optional)")

	form := url.Values{"reason": {"You asked who has your new address"}, "case": {"C-88213"}, "receipt": {strings.ToLower(number[:4] + "-" + number[4:8] + " " + number[8:])}}
	look := o.post("/en/looks", form, http.StatusOK)
	require.Regexp(t, `^/en/looks/\d+$`, look.path)
	look.says("Who was told, and why", "You asked who has your new address", "Case C-88213", "Address", number,
		"Shared with “Health card”, by law: kind of address, unit, street, city or town, province or territory, postal code, country.",
		"moh-health-card@1", "Illustration only: health insurance law", "1.0.2", "Applied", "Consent given at position",
		"Not shared: “Outdoors Card” needs this person’s consent, and there was none.", "Withheld", "December 1, 2026", "Told by web page")
	require.Equal(t, 1, strings.Count(look.body, `<section class="change">`), "a receipt shows its change alone")
	look.saysNot("Église", "Sault Ste. Marie", "Elm St") // why, not what

	person := o.post("/en/looks", url.Values{"reason": {"test"}, "person": {"zoe"}}, http.StatusOK)
	require.Equal(t, 4, strings.Count(person.body, `<section class="change">`), "registration, two addresses, contact")
	b := p.as(t, "en", "zoe")
	b.post("/en/address/mailing", address(), http.StatusOK)
	b.post("/en/address/mailing/check", b.post("/en/address/mailing/who", nil, http.StatusOK).hidden(), http.StatusOK)
	again := o.get(person.path, http.StatusOK)
	require.Equal(t, 5, strings.Count(again.body, `<section class="change">`), "shown again it is a look of its own, and newer")
	o.get("/fr"+person.path[3:], http.StatusOK).says("Qui a été informé, et pourquoi", "Communiqué à «\u00a0Carte Santé\u00a0»", "donné à la position")

	p.as(t, "en", "zoe").get("/en/me", http.StatusOK).says("A privacy officer", "You asked who has your new address", "Case C-88213",
		"Looked at who was told about your changes")
	p.quiet(t)
}

func TestPersonIsFoundInTheFirstSourceThatKnowsThem(t *testing.T) {
	t.Parallel()
	p := setup(t)
	ids, err := p.journal.Register(context.Background(), "elsewhere", "zoe")
	require.NoError(t, err)
	require.NotEqual(t, p.zoe, ids[0])
	form := url.Values{"reason": {"test"}, "person": {"zoe"}}
	p.config.Sources = []string{"nowhere", "import", "elsewhere"}
	p.serve(t)
	p.as(t, "en", "officer").post("/en/looks", form, http.StatusOK).says("Address")
	p.config.Sources = []string{"nowhere"}
	p.serve(t)
	p.as(t, "en", "officer").post("/en/looks", form, http.StatusUnprocessableEntity)
	p.config.Personas[4].Actor.Source = "import" // the officer's own client
	p.serve(t)
	p.as(t, "en", "officer").post("/en/looks", form, http.StatusOK).says("Address")
}

func TestOfficerWithoutAReasonSeesNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	number := p.tell(t)
	o := p.as(t, "en", "officer")
	looks := p.count(t, journal.TypeAccessed)
	for name, c := range map[string]struct {
		form url.Values
		at   string
		says string
	}{
		"no reason":     {url.Values{"reason": {"  "}, "receipt": {number}}, "reason", "Enter your reason for looking"},
		"a long reason": {url.Values{"reason": {strings.Repeat("é", 501)}, "receipt": {number}}, "reason", "at most 500 characters"},
		"a long case":   {url.Values{"reason": {"test"}, "case": {strings.Repeat("1", 65)}, "receipt": {number}}, "case", "at most 64"},
		"nobody":        {url.Values{"reason": {"test"}}, "receipt", "Enter a receipt number or a person’s reference"},
		"both":          {url.Values{"reason": {"test"}, "receipt": {number}, "person": {"zoe"}}, "receipt", "not both"},
	} {
		page := o.post("/en/looks", c.form, http.StatusUnprocessableEntity)
		page.says("There is a problem", c.says).saysNot("Shared with")
		require.Contains(t, page.body, "<title>Error: ", name)
		require.Contains(t, page.body, `<a href="#`+c.at+`">`, name)
		require.Equal(t, looks, p.count(t, journal.TypeAccessed), name)
	}
}

func TestLooksThatFindNothingAreOnTheLog(t *testing.T) {
	t.Parallel()
	p := setup(t)
	o := p.as(t, "fr", "officer")
	for field, says := range map[string]string{"receipt": "Aucun changement n’a ce numéro de reçu", "person": "Aucune personne n’a cette référence"} {
		before := p.count(t, journal.TypeAccessed)
		page := o.post("/fr/looks", url.Values{"reason": {"essai"}, field: {"0000"}}, http.StatusUnprocessableEntity)
		page.says(says)
		require.Equal(t, "0000", page.field(field, "value"))
		require.Equal(t, before+1, p.count(t, journal.TypeAccessed))
	}
}

func TestLookIsItsOfficersAloneAndForAWhile(t *testing.T) {
	t.Parallel()
	p := setup(t)
	number := p.tell(t)
	o := p.as(t, "en", "officer")
	look := o.post("/en/looks", url.Values{"reason": {"test"}, "receipt": {number}}, http.StatusOK)
	looks := p.count(t, journal.TypeAccessed)
	require.Equal(t, 1, looks, "asked and shown is one look")
	o.get(look.path, http.StatusOK)
	o.get("/fr"+look.path[3:], http.StatusOK)
	require.Equal(t, looks+2, p.count(t, journal.TypeAccessed), "every showing is on the log")
	for _, other := range []string{"zoe", "moh"} {
		p.as(t, "en", other).get(look.path, http.StatusNotFound)
	}
	second := p.config.Personas[len(p.config.Personas)-1]
	second.ID, second.Actor.ID = "officer-2", "officer-2"
	p.config.Personas = append(p.config.Personas, second)
	p.serve(t)
	p.as(t, "en", "officer-2").get(look.path, http.StatusNotFound)
	for _, position := range []string{"0", "1", "-1", "999999", "x", "9223372036854775807"} {
		o.get("/en/looks/"+position, http.StatusNotFound)
	}
	p.clock.now.Add(int64(16 * 60 * 1e9))
	o = p.as(t, "en", "officer")
	o.get(look.path, http.StatusNotFound)
}

// The store is closed under the page: nothing can be appended.
func TestAnswerIsNotShownIfTheLookCannotBeRecorded(t *testing.T) {
	t.Parallel()
	p := setup(t)
	number := p.tell(t)
	o := p.as(t, "en", "officer")
	closer, ok := p.journal.Store().(interface{ Close() error })
	require.True(t, ok)
	require.NoError(t, closer.Close())
	page := o.post("/en/looks", url.Values{"reason": {"test"}, "receipt": {number}}, http.StatusInternalServerError)
	page.says("Sorry, something went wrong").saysNot("Shared with")
	require.Contains(t, p.logs.String(), "a page failed")
	p.quiet(t)
}

// TestResidentReadsWhatKindOfLookItWas: at their details, in vain since they are protected, or hidden from them until now.
func TestResidentReadsWhatKindOfLookItWas(t *testing.T) {
	t.Parallel()
	p := setup(t)
	look := func(actor journal.ActorKind, subject citizen.ID, accessed journal.Accessed) {
		_, err := p.journal.Append(context.Background(), journal.Step{Origin: journal.Origin{Actor: actor}, Events: []journal.New{{
			Event: accessed, Aggregate: journal.AccessesAggregate, Subject: subject, Cause: eventstore.NoCause,
		}}})
		require.NoError(t, err)
	}
	look(journal.ActorRegistrar, p.zoe, journal.Accessed{Kind: audit.KindDetails, Reason: "At the counter"})
	look(journal.ActorClerk, citizen.ID{}, journal.Accessed{Kind: audit.KindDetails, Reason: "Curious", About: p.zoe.String()})
	look(journal.ActorOfficer, p.zoe, journal.Accessed{Kind: audit.KindSearch, Reason: "An inquiry", Case: "C-9", HiddenUntil: "2026-11-02", HiddenWhy: "Inquiries Act"})
	look(journal.ActorOfficer, p.zoe, journal.Accessed{Kind: audit.KindSearch, Reason: "Not yet to be read", Case: "C-10", HiddenUntil: "2027-01-01", HiddenWhy: "Inquiries Act"})
	p.as(t, "en", "zoe").get("/en/me", http.StatusOK).says("A registrar", "Looked at your current details, to help you tell a change", "At the counter",
		"Asked about you, and was answered as if you did not exist: you are protected", "Curious",
		"Case C-9. By law this was not shown to you before November 2, 2026.", "Inquiries Act").saysNot("Not yet to be read")
	p.as(t, "fr", "zoe").get("/fr/me", http.StatusOK).says("Une personne responsable du registre", "A consulté vos renseignements actuels",
		"la même réponse que si vous n’existiez pas", "ceci ne vous a pas été montré avant le 2 novembre 2026")
	p.quiet(t)
}
