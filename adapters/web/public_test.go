package web_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
)

// TestHomeSaysWhatThisIs to who isn't signed in; others go to their own first page.
func TestHomeSaysWhatThisIs(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	b.get("/en/", http.StatusOK).says("Something changed? Tell us once.", "How it works", "Sign in")
	b.get("/fr/", http.StatusOK).says("Du nouveau? Dites-le-nous une seule fois.", "Ouvrir une session")
	require.Equal(t, "/en/me", p.as(t, "en", "zoe").get("/en/", http.StatusOK).path)
}

// TestAgreementsInForce are read to anybody, in words; one that ended, or has not begun, is not.
func TestAgreementsInForce(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	page := b.get("/en/who-gets-what", http.StatusOK)
	page.says("By law", "Ministry of Health (Health card)", "It is shared by law: no consent is asked.", "Only if you agree", "Public library",
		"“Address” is shared: street, unit")
	require.Less(t, strings.Index(page.text, "Health card"), strings.Index(page.text, "Only if you agree"))
	require.Greater(t, strings.Index(page.text, "Public library"), strings.Index(page.text, "Only if you agree"))
	b.get("/fr/who-gets-what", http.StatusOK).says("Selon la loi", "Ministère de la Santé (Carte Santé)", "Seulement si vous acceptez")
	b.get("/en/privacy", http.StatusOK).saysNot("Consent given").says("Public library Address, Name", "Your consent", "Invented Records Act")

	page.saysNot("Tax credits") // its agreement begins later
	_, err := p.command.EndAgreement(t.Context(), command.Command{Actor: operator}, "library-membership", "")
	require.NoError(t, err)
	for _, path := range []string{"/en/who-gets-what", "/en/privacy"} {
		b.get(path, http.StatusOK).saysNot("Public library")
	}
}

func TestAccessibilityStatementSaysWhereToWrite(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.browser(t).get("/en/accessibility", http.StatusOK).says("WCAG) 2.2", "has not named an address")
	p.config.Contact = "acces@tellonce.example"
	p.serve(t)
	p.browser(t).get("/fr/accessibility", http.StatusOK).says("Écrivez ou appelez\u00a0: acces@tellonce.example")
}

func TestLicences(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.browser(t)
	b.get("/en/licences", http.StatusOK).says("Tellonce", "Apache-2.0")
	own, err := os.ReadFile("../../LICENSE")
	require.NoError(t, err)
	page := b.get("/fr/licences/tellonce", http.StatusOK)
	require.Contains(t, page.text, strings.Join(strings.Fields(string(own)), " "))
	b.get("/en/licences/list", http.StatusNotFound)
	b.get("/en/licences/..%2f.keep", http.StatusNotFound)

	p.config.PlainLook = true
	p.serve(t)
	p.browser(t).get("/en/licences", http.StatusOK).says("is not part of this build").saysNot("typefaces are unchanged")
}
