package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// draftForms are an agreement's draft, step by step, all of it right.
func draftForms() map[string]url.Values {
	return map[string]url.Values{
		"about": {"name": {"rebates"}, "title_en": {"Home rebates"}, "title_fr": {"Remises pour la maison"},
			"purpose_en": {"Send rebates to where you live"}, "purpose_fr": {"Envoyer les remises où vous habitez"}},
		"fields": {"field-address-changed": {"city", "street", "nonsense"}, "field-nonsense": {"city"}},
		"why":    {"why-address-changed-street": {"Cheques go to a street"}, "why-address-changed-city": {"Cheques go to a city"}},
		"basis":  {"basis": {"consent"}, "law": {""}, "population": {"all"}},
	}
}

var draftOrder = []string{"about", "fields", "why", "basis"}

// drafted fills a draft in up to its last page, and returns that.
func (b *browser) drafted(lang string) *sheet {
	b.t.Helper()
	page := b.post("/"+lang+"/drafts", nil, http.StatusOK)
	for _, step := range draftOrder {
		require.True(b.t, strings.HasSuffix(page.path, "/"+step), page.path)
		page = b.post(page.path, draftForms()[step], http.StatusOK)
	}
	require.True(b.t, strings.HasSuffix(page.path, "/check"), page.path)
	return page
}

func TestMinistryWritesAnAgreement(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.office(t)
	p.console(t)
	m := p.as(t, "en", "moh")
	m.get("/en/streams", http.StatusOK).says("Your agreements, and how to ask for another one")
	check := m.drafted("en")
	check.says("Send rebates to where you live", "Envoyer les remises où vous habitez", "“Address” is shared: street, city or town.",
		"«\u00a0Adresse\u00a0» est communiqué\u00a0: rue, ville.", "Nothing is shared without the person’s consent.", "Cheques go to a street",
		"moh-rebates", "moh.rebates", "tellonce agreement propose agreement.yaml", "Try it with an event about nobody")
	m.get("/en/drafts", http.StatusOK).says("Home rebates", "Health card", "Approved")
	require.Zero(t, p.count(t, journal.TypeAgreementProposed)-p.proposed(t), "a draft is no event")

	noWay := m.post(check.path, check.form("submit"), http.StatusUnprocessableEntity)
	noWay.says("Choose how you will take its events")
	form := noWay.form("submit")
	form.Set("way", "webhook")
	submitted := m.post(check.path, form, http.StatusOK)
	submitted.says("Your proposal", "Proposed", "A privacy officer looks at it", "moh-rebates@1")
	m.post(check.path, form, http.StatusOK)
	m.get("/en/drafts", http.StatusOK).says("You have no draft.", "Home rebates")

	o := p.as(t, "en", "officer")
	o.get("/en/agreements", http.StatusOK).says("Home rebates")
	page := o.get("/en/agreements/moh-rebates/1", http.StatusOK)
	page.says("Why you need each field", "Address – Street", "Cheques go to a street")
	approve := url.Values{"do": {"approve"}, "confirm": {"approve"}, "command": {newID()}, "replaces": {"0"}}
	o.post(page.path, approve, http.StatusOK).says("Approved")
	m.get(submitted.path, http.StatusOK).says("It is in force, and its stream is open.")
	m.get("/en/streams/moh.rebates/try/webhook", http.StatusOK)
	p.as(t, "fr", "moh").get("/fr/drafts", http.StatusOK).says("Remises pour la maison", "Vos ententes")
	p.quiet(t)
}

// proposed is how many proposals the sample agreements are.
func (p *pages) proposed(t *testing.T) int {
	t.Helper()
	versions, err := p.command.AgreementVersions(t.Context())
	require.NoError(t, err)
	return len(versions)
}

func TestErrorsOfADraft(t *testing.T) {
	t.Parallel()
	p := setup(t)
	m := p.as(t, "en", "moh")
	begun := m.post("/en/drafts", nil, http.StatusOK)
	id := strings.Split(begun.path, "/")[3]
	at := func(step string) string { return "/en/drafts/" + id + "/" + step }
	m.get(at("check"), http.StatusOK).says("What is it for?") // the first step that is not right
	for name, c := range map[string]struct {
		step, field, value, at string
	}{
		"no name":      {"about", "name", "", "name"},
		"a strange":    {"about", "name", "Home Rebates", "name"},
		"no title":     {"about", "title_fr", "", "title_fr"},
		"a long one":   {"about", "purpose_en", strings.Repeat("x", 301), "purpose_en"},
		"two lines":    {"about", "purpose_fr", "a\nb", "purpose_fr"},
		"no field":     {"fields", "field-address-changed", "nonsense", "fields"},
		"no basis":     {"basis", "basis", "", "basis"},
		"no law":       {"basis", "basis", "statute", "law"},
		"whom it's on": {"basis", "population", "some", "population"},
	} {
		form := url.Values{}
		for field, values := range draftForms()[c.step] {
			form[field] = values
		}
		form[c.field] = []string{c.value}
		wrong := m.post(at(c.step), form, http.StatusUnprocessableEntity)
		wrong.says("There is a problem")
		require.Contains(t, wrong.body, `<a href="#`+c.at+`">`, name)
		m.get(at(c.step), http.StatusOK).says("There is a problem") // the draft keeps what was typed
	}
	m.post(at("fields"), draftForms()["fields"], http.StatusOK)
	wrong := m.post(at("why"), url.Values{"why-address-changed-street": {"Cheques"}}, http.StatusUnprocessableEntity)
	require.Contains(t, wrong.body, `<a href="#why-address-changed-city">`)
	later := with(draftForms()["about"], "do", "later")
	m.post(at("about"), later, http.StatusOK).says("Your agreements", "Home rebates")

	other := p.as(t, "en", "library")
	other.get(at("about"), http.StatusNotFound)
	other.post(at("about"), draftForms()["about"], http.StatusNotFound)
	p.as(t, "en", "zoe").get("/en/drafts", http.StatusNotFound)
	m.get(at("nonsense"), http.StatusNotFound)
	for range 19 {
		m.post("/en/drafts", nil, http.StatusOK)
	}
	m.post("/en/drafts", nil, http.StatusUnprocessableEntity).says("there are 20")
	m.post(at("about"), url.Values{"do": {"drop"}}, http.StatusOK).saysNot("Home rebates")
	m.get(at("about"), http.StatusNotFound)
	p.quiet(t)
}
