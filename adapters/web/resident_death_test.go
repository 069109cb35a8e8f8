package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

func someone() url.Values {
	return url.Values{
		"given_names": {"Luc"}, "family_name": {"Fournier"}, "birth_date-year": {"1958"}, "birth_date-month": {"2"}, "birth_date-day": {"28"},
		"death_date-year": {"2026"}, "death_date-month": {"11"}, "death_date-day": {"20"}, "reported_by": {"child"},
	}
}

// TestADeathIsReported in the same words and pages whether the hub knows the person or not.
func TestADeathIsReported(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			var pages [2][]string
			for i, name := range []string{"Luc", "Lux"} { // one is registered, the other is nobody
				b := p.as(t, lang, "zoe")
				form := b.get("/"+lang+"/death", http.StatusOK).says(map[string]string{"en": "We are sorry for your loss.", "fr": "Nous vous offrons nos condoléances."}[lang])
				check := b.post("/"+lang+"/death", with(someone(), "given_names", name), http.StatusOK)
				require.Equal(t, "/"+lang+"/death/check", check.path)
				check.says(name+" Fournier", map[string]string{"en": "What will stop", "fr": "Ce qui s’arrêtera"}[lang],
					map[string]string{"en": "November 20, 2026", "fr": "le 20 novembre 2026"}[lang])
				done := b.post("/"+lang+"/death/check", check.hidden(), http.StatusOK)
				require.Equal(t, "/"+lang+"/death/done", done.path)
				require.Equal(t, done.path, b.post("/"+lang+"/death/check", check.hidden(), http.StatusOK).path)
				pages[i] = []string{form.text, strings.ReplaceAll(check.text, name, "·"), done.body}
			}
			require.Equal(t, pages[0], pages[1])
			entries, err := p.journal.ReadAggregate(context.Background(), journal.CitizenAggregate(p.luc), 1, 0)
			require.NoError(t, err)
			reported := 0
			for _, e := range entries {
				if e.Type == citizen.DeathReported {
					reported++
				}
			}
			require.Equal(t, 1, reported)
			b := p.as(t, lang, "zoe")
			b.get("/"+lang+"/me", http.StatusOK).saysNot("Luc", "Lux")
			require.Equal(t, "/"+lang+"/death", b.get("/"+lang+"/death/done", http.StatusOK).path)
			require.Equal(t, "/"+lang+"/death", b.get("/"+lang+"/death/check", http.StatusOK).path)
			p.quiet(t)
		})
	}
}

func TestErrorsOfADeath(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	for _, c := range []struct{ field, value, says, at string }{
		{"given_names", "", "Enter the given names", "given_names"},
		{"family_name", "<i>", "The family name can have letters", "family_name"},
		{"birth_date-day", "", "Enter the whole date", "birth_date-day"},
		{"death_date-year", "2027", "This date can’t be in the future", "death_date-year"},
		{"death_date-month", "13", "Enter a real date", "death_date-month"},
		{"death_date-year", "1950", "The date of death can’t be before the date of birth", "death_date-year"},
		{"reported_by", "", "Choose what you were to this person", "reported_by"},
		{"reported_by", "friend", "Choose what you were to this person", "reported_by"},
	} {
		page := b.post("/en/death", with(someone(), c.field, c.value), http.StatusUnprocessableEntity)
		page.says("There is a problem", c.says)
		require.Contains(t, page.body, `<a href="#`+c.at+`">`)
		b.get("/fr/death", http.StatusOK).says("Il y a un problème")
	}
	p.quiet(t)
}
