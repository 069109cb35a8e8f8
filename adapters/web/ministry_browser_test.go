package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
)

// TestBrowserTryTurnsGreen by itself with a script, and by its Refresh link without; the buttons that copy are there only where they work.
func TestBrowserTryTurnsGreen(t *testing.T) {
	t.Parallel()
	words := map[string][]string{
		"en": {"The event waits to be taken.", "Its number is", "It works"}, "fr": {"L’événement attend qu’on le prenne.", "Son numéro est", "Cela fonctionne"},
	}
	for _, size := range sizes {
		for lang, says := range words {
			for name, open := range map[string]func(*pages, *testing.T, int64, int64) *tab{"script": (*pages).scripted, "no-script": (*pages).tab} {
				t.Run(size.name+"-"+lang+"-"+name, func(t *testing.T) {
					t.Parallel()
					p := setup(t)
					p.console(t)
					b := open(p, t, size.width, size.height)
					b.signIn(lang, "library")
					b.click(`main table a`)
					b.click(`main a[href$="/try"]`)
					b.click(`main a[href$="/pull"]`)
					b.click(`main button[value="token"]`)
					b.says("token-of-library")
					require.Equal(t, name == "script", evaluate[bool](b, `document.querySelector('button[data-copy]').getBoundingClientRect().width > 0`))
					b.click(`main button[value="send"]`)
					b.says(says[0])
					see := func(words string) {
						if name == "script" {
							b.until("document.body.innerText.includes(`" + words + "`)")
							return
						}
						b.click(`main a[href*="after=0"]`)
						b.says(words)
					}
					_, err := p.delivery.Next(context.Background(), "library.membership", 0, 0, 10, 0)
					require.NoError(t, err)
					see(says[1])
					p.answers(t, "library.membership", "applied")
					see(says[2])
					b.look()
				})
			}
		}
	}
}

// TestBrowserAgreement is a whole draft, from the list to the officer’s desk, without a script.
func TestBrowserAgreement(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			b := p.tab(t, 320, 640)
			b.signIn(lang, "moh")
			before := p.count(t, journal.TypeAgreementProposed)
			b.open("/" + lang + "/drafts")
			b.click("main button")
			for id, text := range map[string]string{"title_en": "Rebates", "title_fr": "Remises", "purpose_en": "Send rebates", "purpose_fr": "Envoyer les remises", "name": "rebates"} {
				b.do(chromedp.SendKeys(chromedp.ID(id), text))
			}
			b.press(chromedp.KeyEvent("\r")) // Enter in a field goes on, and drops nothing
			b.do(chromedp.Click(chromedp.ID("field-address-changed-city")))
			b.click("main button")
			b.do(chromedp.SendKeys(chromedp.ID("why-address-changed-city"), "Cheques"))
			b.press(chromedp.KeyEvent("\r"))
			b.do(chromedp.Click(chromedp.ID("basis")), chromedp.Click(chromedp.ID("population")))
			b.click("main button")
			b.says("Send rebates", "Envoyer les remises")
			b.do(chromedp.Click(chromedp.ID("way")))
			b.click("main button")
			b.says("moh-rebates@1")
			require.Equal(t, before+1, p.count(t, journal.TypeAgreementProposed))
		})
	}
}
