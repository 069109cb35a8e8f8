package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// consentForm is the form of the consents page that does something about an agreement.
func (s *sheet) consentForm(agreement, do string) url.Values {
	s.t.Helper()
	for n := range s.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		form := url.Values{}
		for c := range n.Descendants() {
			if c.Type == html.ElementNode && attr(c, "name") != "" {
				form.Add(attr(c, "name"), attr(c, "value"))
			}
		}
		if form.Get("agreement") == agreement && form.Get("do") == do {
			return form
		}
	}
	require.Fail(s.t, "no form to "+do+" "+agreement)
	return nil
}

// approves puts a version in force, by two officers.
func (p *pages) approves(t *testing.T, text string) {
	t.Helper()
	ctx, a := context.Background(), p.parse(t, text)
	officer := func(name string) command.Command {
		return command.Command{Actor: journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: name}}
	}
	_, err := p.command.ProposeAgreements(ctx, officer("one"), a)
	require.NoError(t, err)
	_, err = p.command.ApproveAgreement(ctx, officer("two"), command.Approval{ID: a.ID, Version: a.Version})
	require.NoError(t, err)
}

func TestAWiderVersionAsksTheResidentAnew(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.get("/en/me", http.StatusOK).says("See what I agreed to, or change it").saysNot("A newer version")
	page := b.get("/en/consents", http.StatusOK).says("What I agreed to", "You have not agreed", "Outdoors Card", "What you would share:")
	agreed := b.post("/en/consents", page.consentForm("library-membership", "agree"), http.StatusOK)
	agreed.says("You agreed. From now on", "“Address” is shared: street, unit, city or town, postal code; only addresses of this kind: home.").saysNot("asks for more")
	require.NotContains(t, agreed.path, "library")

	p.approves(t, wider(t)) // country instead of street
	b.get("/en/me", http.StatusOK).says("A newer version of something you agreed to asks for more.")
	page = b.get("/en/consents", http.StatusOK).says("A newer version of this agreement asks for more.", "More is shared of “Address”: country.",
		"Until you agree to it, you share only what you agreed to before.", "“Address” is shared: unit, city or town, postal code;")
	p.as(t, "fr", "zoe").get("/fr/consents", http.StatusOK).says("Ce à quoi j’ai consenti", "Une version plus récente de cette entente demande davantage.",
		"Communiqué en plus, de «\u00a0Adresse\u00a0»\u00a0: pays.", "Consentir à la nouvelle version")
	p.as(t, "fr", "zoe").get("/fr/me", http.StatusOK).says("Une version plus récente d’une entente à laquelle vous avez consenti demande davantage.")

	// Between the page and the click the rules changed once more: nothing is agreed to.
	stale := page.consentForm("library-membership", "agree")
	p.approves(t, agreementText(t, "library-membership", "version: 1", "version: 3", "street", "street, province"))
	grants := p.count(t, journal.TypeConsentGranted)
	b.post("/en/consents", stale, http.StatusUnprocessableEntity).says("There is a problem", "The rules have changed since you looked.", "province or territory")
	require.Equal(t, grants, p.count(t, journal.TypeConsentGranted))

	form := b.get("/en/consents", http.StatusOK).consentForm("library-membership", "agree")
	b.post("/en/consents", form, http.StatusOK).says("You agreed.", "province or territory").saysNot("asks for more")
	b.post("/en/consents", form, http.StatusOK)
	require.Equal(t, grants+1, p.count(t, journal.TypeConsentGranted), "sent twice, it counts once")
	b.get("/en/me", http.StatusOK).saysNot("A newer version")

	stop := b.get("/en/consents", http.StatusOK).consentForm("library-membership", "stop")
	b.post("/en/consents", stop, http.StatusOK).says("You stopped it.", "within 10 seconds")
	stop.Set("command", "6f0c7c0e-53a3-4a5b-8f7e-0f4d3a3c9c11")
	b.post("/en/consents", stop, http.StatusUnprocessableEntity).says("There is no consent to withdraw.")
	p.quiet(t)
}

func TestConsentFormsThatAreWrong(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	good := b.get("/en/consents", http.StatusOK).consentForm("outdoors-card", "agree")
	grants := p.count(t, journal.TypeConsentGranted)
	for name, c := range map[string]struct {
		member, value string
		status        int
	}{
		"no command": {"command", "", http.StatusBadRequest}, "no such act": {"do", "erase", http.StatusBadRequest},
		"no such agreement": {"agreement", "nonsense", http.StatusUnprocessableEntity},
		"another version":   {"version", "9", http.StatusUnprocessableEntity},
	} {
		form := url.Values{}
		for key, values := range good {
			form[key] = values
		}
		form.Set(c.member, c.value)
		require.NotEmpty(t, b.post("/en/consents", form, c.status).text, name)
	}
	law := url.Values{"command": good["command"], "do": {"agree"}, "agreement": {"moh-health-card"}, "version": {"1"}}
	b.post("/en/consents", law, http.StatusUnprocessableEntity).says("This agreement rests on a law.")
	require.Equal(t, grants, p.count(t, journal.TypeConsentGranted))
	for _, persona := range []string{"moh", "officer"} {
		p.as(t, "en", persona).get("/en/consents", http.StatusNotFound)
	}
}

func TestBrowserConsents(t *testing.T) {
	t.Parallel()
	for _, size := range sizes {
		for _, lang := range []string{"en", "fr"} {
			t.Run(size.name+"-"+lang, func(t *testing.T) {
				t.Parallel()
				p := setup(t)
				b := p.tab(t, size.width, size.height)
				b.signIn(lang, "zoe")
				b.click(`main a[href$="/consents"]`)
				agree := `form:has(input[value="library-membership"]) button[value="agree"]`
				b.click(agree)
				p.approves(t, wider(t))
				b.open("/" + lang + "/me")
				b.click(`main .ontario-alert a`)
				require.True(t, strings.Contains(b.text(), map[string]string{"en": "asks for more", "fr": "demande davantage"}[lang]))
				b.click(agree)
				require.Zero(t, evaluate[int](b, `document.querySelectorAll('.ontario-callout').length`))
			})
		}
	}
}
