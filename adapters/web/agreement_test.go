package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

const agreementSamples = "../../domain/command/testdata/agreements/"

// office adds a second officer to the pages.
func (p *pages) office(t *testing.T) {
	t.Helper()
	second := p.config.Personas[len(p.config.Personas)-1]
	second.ID, second.Name, second.Actor.ID = "officer-2", "Robin", "officer-2"
	p.config.Personas = append(p.config.Personas, second)
	p.serve(t)
}

// agreementText is a sample agreement, edited.
func agreementText(t *testing.T, name string, edit ...string) string {
	t.Helper()
	text, err := os.ReadFile(agreementSamples + name + ".yaml")
	require.NoError(t, err)
	edited := strings.NewReplacer(edit...).Replace(string(text))
	require.True(t, len(edit) == 0 || edited != string(text))
	return edited
}

// wider is a second version of the library's agreement, which asks for more and gives something up.
func wider(t *testing.T) string {
	t.Helper()
	return agreementText(t, "library-membership", "version: 1", "version: 2", "street", "country")
}

func (p *pages) parse(t *testing.T, text string) consent.Agreement {
	t.Helper()
	a, err := schemas.ParseAgreement("x.yaml", []byte(text), p.journal.Registry())
	require.NoError(t, err)
	return a
}

func (b *browser) propose(text string, status int) *sheet {
	b.t.Helper()
	form := b.get("/en/agreements/propose", http.StatusOK).hidden()
	form.Set("document", text)
	return b.post("/en/agreements/propose", form, status)
}

// do posts one of the forms of a version's page, as somebody who ticked the box.
func (s *sheet) do(b *browser, what string, status int) *sheet {
	b.t.Helper()
	form := url.Values{"do": {what}, "confirm": {what}, "command": {s.field("command", "value")}}
	if what == "approve" {
		form.Set("replaces", s.field("replaces", "value"))
	}
	return b.post(strings.Split(s.path, "?")[0], form, status)
}

func TestAgreementsUnderFourEyesOnPages(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.office(t)
	o, second := p.as(t, "en", "officer"), p.as(t, "en", "officer-2")
	o.get("/en/looks", http.StatusOK).says("See the agreements")
	accesses, samples := p.count(t, journal.TypeAccessed), p.count(t, journal.TypeAgreementApproved)
	o.get("/en/agreements", http.StatusOK).says("Data-sharing agreements", "Nothing is waiting.", "Ministry of Health (Health card)", "Approved", "January 1, 2026").
		saysNot("Proposed")

	proposed := o.propose(wider(t), http.StatusOK)
	require.Equal(t, "/en/agreements/library-membership/2?done=proposed", proposed.path)
	proposed.says("Public library", "version 2", "This version is proposed. Another officer has to approve it.", "What it says",
		"Nothing is shared without the person’s consent.", "What changes from version 1", "More is shared of “Address”: country.",
		"No longer shared of “Address”: street.", "stops at once", "share what is new only if they agree again",
		"You proposed this version, or nobody knows who did.").saysNot("Approve this version", "End this agreement", "Is approved today")
	o.get("/en/agreements", http.StatusOK).saysNot("Nothing is waiting.").says("Waiting for an approval", "Proposed")
	o.post("/en/agreements/library-membership/2", url.Values{
		"do": {"approve"}, "confirm": {"approve"}, "command": {"6f0c7c0e-53a3-4a5b-8f7e-0f4d3a3c9c11"}, "replaces": {"1"},
	}, http.StatusUnprocessableEntity).says("There is a problem", "Two different people are needed for this.")

	page := second.get("/en/agreements/library-membership/2", http.StatusOK).says("Approve this version", "I have read what it says and what changes")
	unticked := second.post(page.path, url.Values{"do": {"approve"}, "command": {page.field("command", "value")}, "replaces": {"1"}}, http.StatusUnprocessableEntity)
	unticked.says("Tick the box if you have read what it says and what changes")
	require.Contains(t, unticked.body, `<a href="#confirm-approve">`)
	require.Contains(t, unticked.body, "<title>Error: ")
	require.Equal(t, samples, p.count(t, journal.TypeAgreementApproved))
	approved := page.do(second, "approve", http.StatusOK)
	approved.says("This version is approved and replaces the former one.", "Approved", "End this agreement").saysNot("Approve this version", "Dry run")
	page.do(second, "approve", http.StatusOK)
	require.Equal(t, samples+1, p.count(t, journal.TypeAgreementApproved), "sent twice, it counts once")
	second.get("/en/agreements/library-membership/1", http.StatusOK).says("Replaced").saysNot("End this agreement", "Approve this version")

	// The end, in French.
	fr := p.as(t, "fr", "officer-2")
	page = fr.get("/fr/agreements/library-membership/2", http.StatusOK).says("Bibliothèque publique, version 2", "Ce qui change par rapport à la version 1",
		"Communiqué en plus, de «\u00a0Adresse\u00a0»\u00a0: pays.", "Mettre fin à cette entente")
	fr.post(page.path, url.Values{"do": {"end"}, "command": {page.field("command", "value")}}, http.StatusUnprocessableEntity).
		says("Cochez la case si vous voulez mettre fin à cette entente")
	page.do(fr, "end", http.StatusOK).says("Cette entente a pris fin.", "Terminée", "le 25 novembre 2026").saysNot("Mettre fin à cette entente")
	fr.get("/fr/agreements", http.StatusOK).says("Ententes de communication de renseignements", "Terminée", "Rien n’est en attente.")
	require.Equal(t, accesses, p.count(t, journal.TypeAccessed), "agreements are public: to read them is no look")
	p.quiet(t)
}

// TestAnApprovalSaysWithWhatItWasCompared: another version was approved while the officer was reading.
func TestAnApprovalSaysWithWhatItWasCompared(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.office(t)
	o, second := p.as(t, "en", "officer"), p.as(t, "en", "officer-2")
	o.propose(wider(t), http.StatusOK)
	o.propose(agreementText(t, "library-membership", "version: 1", "version: 3"), http.StatusOK)
	read := second.get("/en/agreements/library-membership/3", http.StatusOK).says("What changes from version 1", "The rules are the same.")
	second.get("/en/agreements/library-membership/2", http.StatusOK).do(second, "approve", http.StatusOK)
	read.do(second, "approve", http.StatusUnprocessableEntity).says("The rules have changed since you looked.", "What changes from version 2")
	second.get("/en/agreements/library-membership/3", http.StatusOK).do(second, "approve", http.StatusOK).says("replaces the former one")
}

func TestDryRunOnAPage(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.office(t)
	p.tell(t)
	o, second := p.as(t, "en", "officer"), p.as(t, "en", "officer-2")
	o.propose(wider(t), http.StatusOK).says("Dry run", "nobody is named").saysNot("People more")
	head, err := p.journal.Head(context.Background())
	require.NoError(t, err)
	page := second.get("/en/agreements/library-membership/2", http.StatusOK).do(second, "dry-run", http.StatusOK)
	report, err := p.audit.DryRun(context.Background(), p.candidate(t, "library-membership", 2), nil)
	require.NoError(t, err)
	require.Positive(t, report.Facts)
	require.Less(t, report.Facts, int64(1000))
	page.says(fmt.Sprintf("Changes that were judged %d People", report.Facts), "Address – Street", "Address – Country", "People more", "People fewer")
	after, err := p.journal.Head(context.Background())
	require.NoError(t, err)
	require.Equal(t, head.Position, after.Position, "a dry run changes nothing")
	p.as(t, "fr", "officer-2").post("/fr/agreements/library-membership/2", url.Values{"do": {"dry-run"}}, http.StatusOK).
		says(fmt.Sprintf("Changements jugés %d Personnes", report.Facts), "Adresse – Rue", "Personnes en moins")

	// A version that doesn't wait has no dry run.
	second.post("/en/agreements/library-membership/1", url.Values{"do": {"dry-run"}}, http.StatusBadRequest)
	p.config.DryRunTime = 1
	p.serve(t)
	p.as(t, "en", "officer-2").post("/en/agreements/library-membership/2", url.Values{"do": {"dry-run"}}, http.StatusOK).
		says("The record is too long to be judged while you wait.").saysNot("People more")
	p.quiet(t)
}

func (p *pages) candidate(t *testing.T, id string, version int) consent.Agreement {
	t.Helper()
	v, err := p.command.AgreementVersion(context.Background(), id, version)
	require.NoError(t, err)
	return v.Agreement
}

func TestAProposalThatIsWrongSaysWhere(t *testing.T) {
	t.Parallel()
	p := setup(t)
	o := p.as(t, "en", "officer")
	before := p.count(t, journal.TypeAgreementProposed)
	bad := strings.Replace(strings.Replace(wider(t), "country", "shoe_size", 1), "population: all", "population: some", 1)
	page := o.propose(bad, http.StatusUnprocessableEntity)
	page.says("There is a problem", "2 things are wrong with the agreement.", `8:13: population is "some", must be all or linked`, "shoe_size")
	require.Contains(t, page.body, `<a href="#document">`)
	require.Contains(t, page.body, "shoe_size, ", "what was typed stays")
	for text, says := range map[string]string{
		"":      "Enter the agreement",
		"id: [": "1 thing is wrong with the agreement.",
		agreementText(t, "library-membership", "street", "country"):                              "This version was proposed with other content.",
		agreementText(t, "library-membership", "version: 1", "version: 2\nlanes: 7"):             "This stream is open already, with another ministry or another number of lanes, and keeps them.",
		agreementText(t, "library-membership", "version: 1", "version: 2", "city", "city\u0000"): "wrong with the agreement",
	} {
		o.propose(text, http.StatusUnprocessableEntity).says(says)
	}
	fr := p.as(t, "fr", "officer")
	form := fr.get("/fr/agreements/propose", http.StatusOK).says("Proposer une version d’une entente").hidden()
	form.Set("document", bad)
	fr.post("/fr/agreements/propose", form, http.StatusUnprocessableEntity).says("2\u00a0choses ne vont pas dans l’entente.")
	require.Equal(t, before, p.count(t, journal.TypeAgreementProposed))
	o.propose(strings.ReplaceAll(wider(t), "\n", "\r\n"), http.StatusOK).says("This version is proposed.")
	require.Equal(t, before+1, p.count(t, journal.TypeAgreementProposed))
}

// TestAVersionThatBeginsLaterWarns: it would be the rule at once, and share nothing until its day.
func TestAVersionThatBeginsLaterWarns(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.office(t)
	o := p.as(t, "en", "officer")
	o.propose(agreementText(t, "library-membership", "version: 1", "version: 2", "from: 2026-01-01", "from: 2027-01-01"), http.StatusOK).
		says("If this version is approved today, nothing is shared under this agreement until January 1, 2027")
	p.as(t, "fr", "officer").get("/fr/agreements/library-membership/2", http.StatusOK).says("avant le 1er janvier 2027")
}

func TestAgreementPagesAreTheOfficers(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for _, persona := range []string{"zoe", "moh"} {
		b := p.as(t, "en", persona)
		for _, path := range []string{"/en/agreements", "/en/agreements/propose", "/en/agreements/library-membership/1"} {
			b.get(path, http.StatusNotFound)
		}
		b.post("/en/agreements/library-membership/1", url.Values{"do": {"end"}, "confirm": {"end"}}, http.StatusNotFound)
		b.post("/en/agreements/propose", url.Values{"document": {wider(t)}}, http.StatusNotFound)
	}
	require.Zero(t, p.count(t, journal.TypeAgreementEnded))
	o := p.as(t, "en", "officer")
	for _, path := range []string{"library-membership/9", "library-membership/01", "library-membership/x", "nonsense/1", "library-membership/0"} {
		o.get("/en/agreements/"+path, http.StatusNotFound)
	}
	for _, form := range []url.Values{
		{}, {"do": {"erase"}}, {"do": {"end"}, "confirm": {"end"}}, {"do": {"end"}, "confirm": {"end"}, "command": {"x"}},
		{"do": {"approve"}, "confirm": {"approve"}, "command": {"6f0c7c0e-53a3-4a5b-8f7e-0f4d3a3c9c11"}, "replaces": {"x"}},
	} {
		o.post("/en/agreements/library-membership/1", form, http.StatusBadRequest)
	}
	require.Zero(t, p.count(t, journal.TypeAgreementEnded))
}

func TestBrowserAgreements(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for _, lang := range []string{"en", "fr"} {
			t.Run(size.name+"-"+lang, func(t *testing.T) {
				t.Parallel()
				p := setup(t)
				p.office(t)
				p.tell(t)
				b := p.tab(t, size.width, size.height)
				b.signIn(lang, "officer")
				b.click(`main a[href$="/agreements"]`)
				b.click(`main a[href$="/propose"]`)
				b.click("main button") // nothing typed
				require.True(t, evaluate[bool](b, `document.activeElement.matches('.error-summary')`))
				b.do(chromedp.SetValue(chromedp.ID("document"), "id: ["))
				b.click("main button")
				b.do(chromedp.SetValue(chromedp.ID("document"), wider(t)))
				b.click("main button")
				b.says(map[string]string{"en": "You proposed this version", "fr": "Vous avez proposé cette version"}[lang])
				b.signIn(lang, "officer-2")
				b.open("/" + lang + "/agreements")
				b.click(`main table a[href$="/library-membership/2"]`)
				b.click(`main button[value="dry-run"]`)
				require.Equal(t, "region", evaluate[string](b, `document.activeElement.getAttribute('role')`), "what came of it has the focus")
				b.says(map[string]string{"en": "People fewer", "fr": "Personnes en moins"}[lang])
				b.click(`main button[value="approve"]`) // without the tick
				require.True(t, evaluate[bool](b, `document.activeElement.matches('.error-summary')`))
				b.do(chromedp.Click(chromedp.ID("confirm-approve")))
				b.click(`main button[value="approve"]`)
				b.says(map[string]string{"en": "This version is approved", "fr": "Cette version est approuvée"}[lang])
				b.do(chromedp.Click(chromedp.ID("confirm-end")))
				b.click(`main button[value="end"]`)
				b.says(map[string]string{"en": "This agreement has ended.", "fr": "Cette entente a pris fin."}[lang])
			})
		}
	}
}

func TestBrowserApprovalByKeyboard(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.office(t)
	_, err := p.command.ProposeAgreements(context.Background(), command.Command{Actor: operator}, p.parse(t, wider(t)))
	require.NoError(t, err)
	b := p.tab(t, 320, 640)
	b.signIn("en", "officer-2")
	b.tabTo("See the agreements")
	b.press(chromedp.KeyEvent(kb.Enter))
	b.tabTo("Public library version 2")
	b.press(chromedp.KeyEvent(kb.Enter))
	b.tabTo("confirm-approve")
	b.do(chromedp.KeyEvent(" "))
	b.tabTo("do") // the button
	b.press(chromedp.KeyEvent(kb.Enter))
	b.says("This version is approved and replaces the former one.")
}
