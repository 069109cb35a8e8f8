package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// TestBrowserSignsIn in a real browser, whose policies hold for the whole way: by the sandbox's provider, without a script, by keyboard; what
// needs a second factor asks for one, and what was typed is kept.
func TestBrowserSignsIn(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for lang, words := range map[string]struct{ link, second, confirm, step, out string }{
			"en": {"Go to the sign-in page", "Confirm with your second factor (sandbox)", "Confirm that it’s me", "Confirm that it’s you", "You are signed out"},
			"fr": {"Aller à la page d’ouverture de session", "Confirmer avec votre second facteur (bac à sable)", "Confirmer que c’est moi", "Confirmez que c’est bien vous", "Votre session est fermée"},
		} {
			t.Run(size.name+"-"+lang, func(t *testing.T) {
				t.Parallel()
				p := setup(t)
				b := p.tab(t, size.width, size.height)
				b.open("/" + lang + "/me")
				b.tabTo(words.link)
				b.press(chromedp.KeyEvent(kb.Enter))
				b.tabTo("persona-0-0")
				b.do(chromedp.KeyEvent(" "))
				b.press(chromedp.KeyEvent(kb.Enter)) // the first button: one factor
				require.Equal(t, "/"+lang+"/me", evaluate[string](b, `location.pathname`))

				b.open("/" + lang + "/name")
				b.says(words.step)
				b.tabTo(words.confirm)
				b.press(chromedp.KeyEvent(kb.Enter))
				require.True(t, evaluate[bool](b, `document.querySelector('input:checked').value === 'zoe'`))
				b.tabTo("acr") // the first button
				b.press(chromedp.KeyEvent(kb.Enter))
				require.Equal(t, "/"+lang+"/name", evaluate[string](b, `location.pathname`))
				require.Empty(t, evaluate[string](b, `location.search`))

				b.open("/" + lang + "/me")
				b.click(`form[action$="/sign-out"] button`)
				b.says(words.out)
				b.open("/" + lang + "/me")
				require.Equal(t, "/"+lang+"/sign-in", evaluate[string](b, `location.pathname`))
			})
		}
	}
}
