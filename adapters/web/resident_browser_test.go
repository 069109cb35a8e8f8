package web_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// fill types into the fields of a form, and chooses where there is a choice.
func (b *tab) fill(form url.Values) {
	b.t.Helper()
	ids := make([]string, 0, len(form))
	for id := range form {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		value := form.Get(id)
		switch evaluate[string](b, `document.getElementById('`+id+`').type`) {
		case "radio":
			b.do(chromedp.Click(chromedp.CSS(`input[name="` + id + `"][value="` + value + `"]`)))
		case "select-one": // Ontario is chosen
		default:
			evaluate[string](b, `document.getElementById('`+id+`').value = ''`)
			b.do(chromedp.SendKeys(chromedp.ID(id), value))
		}
	}
}

// to goes to what a link in the page leads to, by its words.
func (b *tab) to(words string) {
	b.t.Helper()
	b.press(chromedp.Click(chromedp.Search(`//main//a[contains(normalize-space(.), "` + words + `")]`)))
}

// in is one of two texts, by language.
func in(lang, en, fr string) string { return map[string]string{"en": en, "fr": fr}[lang] }

// journeys runs a journey in each language, once on a phone and once on a desktop, without scripts.
func journeys(t *testing.T, journey func(p *pages, b *tab, lang string)) {
	t.Helper()
	for i, lang := range []string{"en", "fr"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			b := p.tab(t, sizes[i].width, sizes[i].height)
			journey(p, b, lang)
			p.quiet(t)
		})
	}
}

func TestBrowserEachKindOfChange(t *testing.T) {
	t.Parallel()
	journeys(t, func(p *pages, b *tab, lang string) {
		b.signIn(lang, "zoe")
		for _, kind := range kinds {
			b.open("/" + lang + "/" + kind.path)
			if kind.path != "contact" { // it begins with what holds
				b.click("main button")
				require.True(b.t, evaluate[bool](b, `document.activeElement.matches('.error-summary')`), kind.path)
				b.press(chromedp.Click(chromedp.CSS("a.language"))) // keeps the page, and what is wrong
				b.press(chromedp.Click(chromedp.CSS("a.language")))
			}
			b.fill(kind.form)
			b.click("main button")
			b.click("main button")
			require.Empty(b.t, p.of(b.t, p.zoe, kind.eventType))
			b.click("main button")
			b.says(in(lang, kind.enDone, kind.frDone))
			require.Len(b.t, p.of(b.t, p.zoe, kind.eventType), 1)
		}
		b.to(in(lang, "See all my receipts", "Voir tous mes reçus"))
		b.says(in(lang, "My receipts", "Mes reçus"))
	})
}

func TestBrowserAFamilyMoves(t *testing.T) {
	t.Parallel()
	journeys(t, func(p *pages, b *tab, lang string) {
		mia, _ := p.born(b.t, "Mia")
		b.signIn(lang, "zoe")
		b.open("/" + lang + "/address/home")
		b.fill(address())
		b.do(chromedp.Click(chromedp.ID("with")))
		b.click("main button")
		b.says("Mia Fournier")
		b.click("main button")
		b.click("main button")
		b.says("Mia Fournier", in(lang, "See the receipt", "Voir le reçu"))
		require.Len(b.t, p.of(b.t, mia, "address-changed"), 1)
		b.to(in(lang, "See the receipt: Mia Fournier", "Voir le reçu\u00a0: Mia Fournier"))
		b.says(in(lang, "You are acting for Mia Fournier.", "Vous agissez pour Mia Fournier."))
	})
}

func TestBrowserActingForSomebody(t *testing.T) {
	t.Parallel()
	journeys(t, func(p *pages, b *tab, lang string) {
		mia, _ := p.born(b.t, "Mia")
		b.signIn(lang, "zoe")
		b.to(in(lang, "Act for somebody else", "Agir pour une autre personne"))
		b.click("main button")
		banner := in(lang, "You are acting for Mia Fournier.", "Vous agissez pour Mia Fournier.")
		b.says(banner)
		b.to(in(lang, "Mailing address", "Adresse postale"))
		b.says(banner)
		b.fill(address())
		for range 3 {
			b.click("main button")
			b.says(banner)
		}
		require.Len(b.t, p.of(b.t, mia, "address-changed"), 1)
		b.to(in(lang, "Stop acting for somebody else", "Cesser d’agir pour une autre personne"))
		b.click("main .ontario-button--primary")
		require.NotContains(b.t, b.text(), banner)
		b.says("88 Elm St")
	})
}

func TestBrowserCorrectingAndCancelling(t *testing.T) {
	t.Parallel()
	journeys(t, func(p *pages, b *tab, lang string) {
		number, contact := p.tell(b.t), p.tellContact(b.t)
		b.signIn(lang, "zoe")
		b.open("/" + lang + "/receipts/" + number)
		b.to(in(lang, "Correct a mistake in it", "Corriger une erreur"))
		b.fill(url.Values{"street": {"14 Paris Street"}})
		b.click("main button")
		b.says("14 Paris Street")
		b.click("main button")
		b.says("14 Paris Street", in(lang, "Correction (Address)", "Correction (Adresse)"))
		b.open("/" + lang + "/receipts/" + contact)
		b.to(in(lang, "Take it back", "Le retirer"))
		b.click("main button")
		b.says(in(lang, "Cancellation (Contact details)", "Annulation (Coordonnées)"))
		require.Len(b.t, p.of(b.t, p.zoe, "change-cancelled"), 1)
	})
}

// TestBrowserADeathByKeyboard alone, from the sign-in on.
func TestBrowserADeathByKeyboard(t *testing.T) {
	t.Parallel()
	journeys(t, func(_ *pages, b *tab, lang string) {
		b.signIn(lang, "zoe")
		b.tabTo(in(lang, "Tell us that somebody has died", "Nous dire qu’une personne est décédée"))
		b.press(chromedp.KeyEvent(kb.Enter))
		b.says(in(lang, "We are sorry for your loss.", "Nous vous offrons nos condoléances."))
		form := someone()
		for _, id := range []string{
			"given_names", "family_name", "birth_date-year", "birth_date-month", "birth_date-day", "death_date-year", "death_date-month", "death_date-day",
		} {
			b.typed(id, form.Get(id))
		}
		b.tabTo("reported_by")
		b.do(chromedp.KeyEvent(kb.ArrowDown)) // the second: a son or a daughter
		b.tabTo(in(lang, "Continue", "Continuer"))
		b.press(chromedp.KeyEvent(kb.Enter))
		b.says("Luc Fournier", in(lang, "What will stop", "Ce qui s’arrêtera"), in(lang, "Their son or daughter", "Son fils ou sa fille"))
		b.tabTo(in(lang, "Yes, tell you this", "Oui, vous le dire"))
		b.press(chromedp.KeyEvent(" "))
		b.says(in(lang, "Thank you. We are sorry for your loss.", "Merci. Nous vous offrons nos condoléances."))
		require.NotContains(b.t, b.text(), "Fournier")
	})
}

// TestBrowserAnAddressByKeyboardInFrench, as TestBrowserResidentByKeyboard does it in English.
func TestBrowserAnAddressByKeyboardInFrench(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.tab(t, 320, 640)
	b.signIn("fr", "zoe")
	b.tabTo("Modifier\u00a0: Adresse du domicile")
	b.press(chromedp.KeyEvent(kb.Enter))
	for _, field := range [][2]string{
		{"street", "12, rue Paris"}, {"city", "Sudbury"}, {"postal_code", "p3e4h5"}, {"date-year", "2026"}, {"date-month", "12"}, {"date-day", "1"},
	} {
		b.typed(field[0], field[1])
	}
	b.press(chromedp.KeyEvent(kb.Enter))
	b.tabTo("Continuer")
	b.press(chromedp.KeyEvent(kb.Enter))
	button := strings.TrimSpace(evaluate[string](b, `document.querySelector('main button').textContent`))
	b.tabTo(button)
	b.press(chromedp.KeyEvent(" "))
	b.says("Nous avons votre nouvelle adresse")
	require.Equal(t, 2, p.changes(t, p.zoe))
}
