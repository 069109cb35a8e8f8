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
	"github.com/tellonce/hub/domain/journal"
)

// kinds are the forms but the address's: what a resident fills in, and what they read of it.
var kinds = []struct {
	path       string
	form       url.Values
	en, fr     string // of what was told, on the page that asks to check it
	enDone     string
	frDone     string
	eventType  string
	wrong      url.Values // what is refused, each at its field
	wrongAt    []string
	wrongTexts []string // in English
}{
	{
		path: "name", eventType: "name-changed", en: "Zoë Nguyễn", fr: "Zoë Nguyễn", enDone: "We have your new name", frDone: "Nous avons votre nouveau nom",
		form:       url.Values{"given_names": {"Zoë"}, "family_name": {"Nguyễn"}, "reason": {"marriage"}, "date-year": {"2026"}, "date-month": {"11"}, "date-day": {"20"}},
		wrong:      url.Values{"given_names": {""}, "family_name": {"<b>"}, "date-year": {"2026"}},
		wrongAt:    []string{"given_names", "family_name", "reason", "date-month"},
		wrongTexts: []string{"Enter the given names", "The family name can have letters", "Choose why your name has changed", "Enter the whole date"},
	},
	{
		path: "contact", eventType: "contact-changed", en: "zoe@example.ca 613-555-0199", fr: "zoe@example.ca 613-555-0199",
		enDone: "We have your new contact details", frDone: "Nous avons vos nouvelles coordonnées",
		form:  url.Values{"email": {"zoe@example.ca"}, "phone": {"(613) 555-0199"}},
		wrong: url.Values{"email": {"nobody"}, "phone": {"call me"}}, wrongAt: []string{"email", "phone"},
		wrongTexts: []string{"Enter a real e-mail address", "Enter a real phone number"},
	},
	{
		path: "marital-status", eventType: "marital-status-changed", en: "Common-law", fr: "En union de fait",
		enDone: "We have your new marital status", frDone: "Nous avons votre nouvel état matrimonial",
		form:  url.Values{"status": {"common-law"}, "date-year": {"2026"}, "date-month": {"11"}, "date-day": {"1"}},
		wrong: url.Values{"status": {"happy"}, "date-year": {"2026"}, "date-month": {"2"}, "date-day": {"30"}}, wrongAt: []string{"status", "date-day"},
		wrongTexts: []string{"Choose your marital status", "Enter a real date"},
	},
	{
		path: "language", eventType: "language-changed", en: "French", fr: "Français", enDone: "We have your preferred language", frDone: "Nous avons votre langue préférée",
		form: url.Values{"language": {"fr"}}, wrong: url.Values{}, wrongAt: []string{"language"}, wrongTexts: []string{"Choose a language"},
	},
	{
		path: "notice-preference", eventType: "notice-preference-changed", en: "Text message", fr: "Message texte",
		enDone: "We know how notices should reach you", frDone: "Nous savons comment les avis doivent vous parvenir",
		form: url.Values{"channel": {"text"}}, wrong: url.Values{"channel": {"pigeon"}}, wrongAt: []string{"channel"},
		wrongTexts: []string{"Choose how notices should reach you"},
	},
	{
		path: "birth", eventType: "birth-registered", en: "Mia Canary", fr: "Mia Canary", enDone: "Your child is registered", frDone: "Votre enfant est inscrit",
		form: url.Values{
			"child_given_names": {"Mia"}, "child_family_name": {"Canary"}, "child_birth_date-year": {"2026"}, "child_birth_date-month": {"11"}, "child_birth_date-day": {"2"},
		},
		wrong: url.Values{
			"child_given_names": {"Mia"}, "child_family_name": {""}, "child_birth_date-year": {"2026"}, "child_birth_date-month": {"12"}, "child_birth_date-day": {"2"},
		},
		wrongAt: []string{"child_family_name", "child_birth_date-year"}, wrongTexts: []string{"Enter the family name of the child", "This date can’t be in the future"},
	},
}

// TestEachKindOfChange is told by the same steps, in both languages.
func TestEachKindOfChange(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			b := p.as(t, lang, "zoe")
			for _, kind := range kinds {
				path := "/" + lang + "/" + kind.path
				b.get(path, http.StatusOK).says(map[string]string{"en": "step 1 of 3", "fr": "étape 1 de 3"}[lang])
				who := b.post(path, kind.form, http.StatusOK)
				require.Equal(t, path+"/who", who.path, kind.path)
				require.NotContains(t, who.body, "checked")
				check := b.post(path+"/who", nil, http.StatusOK)
				require.Equal(t, path+"/check", check.path)
				check.says(map[string]string{"en": kind.en, "fr": kind.fr}[lang])
				require.Empty(t, p.of(t, p.zoe, kind.eventType), "nothing is told before the confirmation")
				receipt := b.post(path+"/check", check.hidden(), http.StatusOK)
				receipt.says(map[string]string{"en": kind.enDone, "fr": kind.frDone}[lang], map[string]string{"en": kind.en, "fr": kind.fr}[lang])
				require.Len(t, p.of(t, p.zoe, kind.eventType), 1)
				again := b.post(path+"/check", check.hidden(), http.StatusOK)
				require.Equal(t, receipt.path, again.path, "sent twice, told once")
				require.Len(t, p.of(t, p.zoe, kind.eventType), 1)
			}
			b.get("/"+lang+"/me", http.StatusOK).says(map[string]string{"en": "Zoë Nguyễn", "fr": "Zoë Nguyễn"}[lang], "613-555-0199")
			p.quiet(t)
		})
	}
}

// of are the changes of a type that a resident told in these tests.
func (p *pages) of(t *testing.T, id citizen.ID, eventType string) (out []journal.Entry) {
	t.Helper()
	entries, err := p.journal.ReadAggregate(context.Background(), journal.CitizenAggregate(id), 1, 0)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Type == eventType && journal.Channel(e.Channel) == journal.ChannelWeb && e.Meta.Actor == p.zoe.String() {
			out = append(out, e)
		}
	}
	return out
}

func TestErrorsOfEachForm(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for _, lang := range []string{"en", "fr"} {
		b := p.as(t, lang, "zoe")
		for _, kind := range kinds {
			page := b.post("/"+lang+"/"+kind.path, kind.wrong, http.StatusUnprocessableEntity)
			for i, at := range kind.wrongAt {
				require.Contains(t, page.body, `<a href="#`+at+`">`, "%s %s", kind.path, at)
				if lang == "en" {
					page.says(kind.wrongTexts[i])
				}
			}
			for field, typed := range kind.wrong {
				if page.field(field, "type") == "text" {
					require.Equal(t, typed[0], page.field(field, "value"), "what was typed stays")
				}
			}
		}
		b.post("/"+lang+"/contact", url.Values{"email": {""}, "phone": {""}}, http.StatusUnprocessableEntity).
			says(map[string]string{"en": "Enter an e-mail address, a phone number or both", "fr": "Entrez une adresse courriel, un numéro de téléphone ou les deux"}[lang])
	}
	p.quiet(t)
}

// born lets Zoë tell the birth of a child, and returns the child and the birth's receipt.
func (p *pages) born(t *testing.T, given string) (citizen.ID, string) {
	t.Helper()
	data := map[string]any{"child_given_names": given, "child_family_name": "Fournier", "child_birth_date": "2020-05-04"}
	result, err := p.command.Tell(context.Background(), command.Command{Actor: resident(p.zoe)}, p.zoe,
		command.Change{Type: citizen.BirthRegistered, Effective: "2020-05-04", Data: data})
	require.NoError(t, err)
	child, err := journal.NewRelatives(p.journal).ChildOf(context.Background(), p.zoe, result.Position)
	require.NoError(t, err)
	return child, result.Receipt
}

// marks are the values of the choices of a name, by their labels.
func (s *sheet) marks(name string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for n := range s.root.Descendants() {
		if attr(n, "name") == name {
			for l := range s.root.Descendants() {
				if l.Data == "label" && attr(l, "for") == attr(n, "id") {
					out[strings.TrimSpace(textOf(l))] = attr(n, "value")
				}
			}
		}
	}
	return out
}

// TestAFamilyMoves: one form, a change for each, one append, a receipt for each.
func TestAFamilyMoves(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			mia, _ := p.born(t, "Mia")
			noah, _ := p.born(t, "Noah")
			b := p.as(t, lang, "zoe")
			form := b.get("/"+lang+"/address/home", http.StatusOK)
			form.says(map[string]string{"en": "Who is moving with you?", "fr": "Qui déménage avec vous?"}[lang])
			require.NotContains(t, form.body, "checked")
			marks := form.marks("with")
			require.Len(t, marks, 2)
			b.post("/"+lang+"/address/home", withAll(address(), "with", marks["Mia Fournier"], "nobody’s mark"), http.StatusOK).says("Mia Fournier").saysNot("Noah")
			check := b.post("/"+lang+"/address/home/who", url.Values{"agree": {"library-membership"}}, http.StatusOK)
			check.says(map[string]string{"en": "Moves with you Mia Fournier", "fr": "Déménage avec vous Mia Fournier"}[lang])
			done := b.post("/"+lang+"/address/home/check", check.hidden(), http.StatusOK)
			require.Equal(t, "/"+lang+"/address/home/done", done.path)
			done.says("Mia Fournier", map[string]string{"en": "You Receipt", "fr": "Vous Reçu"}[lang])
			own, theirs := p.of(t, p.zoe, "address-changed"), p.of(t, mia, "address-changed")
			require.Len(t, own, 1)
			require.Len(t, theirs, 1)
			require.Empty(t, p.of(t, noah, "address-changed"))
			require.Equal(t, own[0].RecordedAt, theirs[0].RecordedAt, "one append")
			done.says(journal.Receipt(own[0].ID), journal.Receipt(theirs[0].ID))
			b.get("/"+lang+"/receipts/"+journal.Receipt(theirs[0].ID), http.StatusOK).
				says("12 rue de l’Église", map[string]string{"en": "You are acting for Mia Fournier.", "fr": "Vous agissez pour Mia Fournier."}[lang])
			again := b.post("/"+lang+"/address/home/check", check.hidden(), http.StatusOK)
			require.Equal(t, done.path, again.path)
			require.Len(t, p.of(t, mia, "address-changed"), 1)
			states, err := p.journal.FreshStates(context.Background(), p.zoe, mia)
			require.NoError(t, err)
			_, agreed := states[0].Standing.Grant("library-membership")
			require.True(t, agreed)
			_, agreed = states[1].Standing.Grant("library-membership")
			require.False(t, agreed, "a form’s consents are its writer’s own")
			list := b.get("/"+lang+"/receipts", http.StatusOK)
			list.says(journal.Receipt(own[0].ID), journal.Receipt(theirs[0].ID), "Mia Fournier", "Noah Fournier")
			p.quiet(t)
		})
	}
}

func withAll(form url.Values, name string, values ...string) url.Values {
	form[name] = values
	return form
}

// TestCorrectingAndCancelling what was told, from its receipt.
func TestCorrectingAndCancelling(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "fr"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			number := p.tell(t)
			_, err := p.delivery.Next(context.Background(), "library.membership", 0, 0, 100, 0)
			require.NoError(t, err)
			b := p.as(t, lang, "zoe")
			path := "/" + lang + "/receipts/" + number
			b.get(path, http.StatusOK).says(map[string]string{"en": "Correct a mistake in it", "fr": "Corriger une erreur"}[lang])
			form := b.get(path+"/correct", http.StatusOK)
			form.says(map[string]string{"en": "step 1 of 2", "fr": "étape 1 de 2"}[lang])
			require.NotEmpty(t, form.field("street", "value"), "what was told stands in the form")
			wrong := b.post(path+"/correct", with(address(), "postal_code", "H2X 1Y4"), http.StatusUnprocessableEntity)
			require.Contains(t, wrong.body, `<a href="#postal_code">`)
			b.post(path+"/correct", with(address(), "street", ""), http.StatusUnprocessableEntity)
			check := b.post(path+"/correct", with(address(), "street", "13 rue de l’Église"), http.StatusOK)
			require.Equal(t, path+"/correct/check", check.path)
			check.says("102-13 rue de l’Église")
			receipt := b.post(path+"/correct/check", check.hidden(), http.StatusOK)
			receipt.says("102-13 rue de l’Église", map[string]string{"en": "Correction (Address)", "fr": "Correction (Adresse)"}[lang])
			require.Equal(t, receipt.path, b.post(path+"/correct/check", check.hidden(), http.StatusOK).path)
			require.Len(t, p.of(t, p.zoe, "change-corrected"), 1)
			require.NotContains(t, b.get(path, http.StatusOK).body, path+"/correct", "once")

			// taking back what was put right is refused, with its sentence
			b.get(path+"/cancel", http.StatusUnprocessableEntity).says(map[string]string{"en": "This can’t be taken back", "fr": "Ceci ne peut pas être retiré"}[lang])
			other := p.tellContact(t)
			path = "/" + lang + "/receipts/" + other
			cancel := b.get(path+"/cancel", http.StatusOK).says("zoe@example.ca", map[string]string{"en": "Take it back only if it was never true.", "fr": "Retirez-le seulement si ce n’était pas vrai."}[lang])
			require.Empty(t, p.of(t, p.zoe, "change-cancelled"))
			taken := b.post(path+"/cancel", cancel.hidden(), http.StatusOK)
			taken.says(map[string]string{"en": "Cancellation (Contact details)", "fr": "Annulation (Coordonnées)"}[lang])
			require.Equal(t, taken.path, b.post(path+"/cancel", cancel.hidden(), http.StatusOK).path)
			require.Len(t, p.of(t, p.zoe, "change-cancelled"), 1)
			b.get("/"+lang+"/receipts/"+strings.Repeat("A", 12)+"/correct", http.StatusNotFound)
			p.as(t, lang, "luc").get(path+"/correct", http.StatusNotFound)
			b.get("/"+lang+"/receipts", http.StatusOK).says(number, other)
			p.quiet(t)
		})
	}
}

func (p *pages) tellContact(t *testing.T) string {
	t.Helper()
	told, err := p.command.Tell(context.Background(), command.Command{Actor: resident(p.zoe)}, p.zoe,
		command.Change{Type: citizen.ContactChanged, Effective: "2026-11-25", Data: map[string]any{"email": "zoe@example.ca"}})
	require.NoError(t, err)
	return told.Receipt
}

// TestABirthCantBeTakenBackOnPages: a child hangs on it.
func TestABirthCantBeTakenBackOnPages(t *testing.T) {
	t.Parallel()
	p := setup(t)
	_, birth := p.born(t, "Mia")
	b := p.as(t, "en", "zoe")
	require.NotContains(t, b.get("/en/receipts/"+birth, http.StatusOK).says("Your child is registered", "Mia Fournier").body, "/correct")
	b.get("/en/receipts/"+birth+"/correct", http.StatusNotFound)
	b.get("/en/receipts/"+birth+"/cancel", http.StatusNotFound)
}

// TestAStalePreviewSaysWhatHasChanged since it was shown.
func TestAStalePreviewSaysWhatHasChanged(t *testing.T) {
	t.Parallel()
	p := setup(t)
	b := p.as(t, "en", "zoe")
	b.post("/en/address/home", address(), http.StatusOK)
	check := b.post("/en/address/home/who", nil, http.StatusOK)
	p.load(t, "testdata/more/*.yaml")
	stale := b.post("/en/address/home/check", check.hidden(), http.StatusConflict)
	stale.says("What has changed since you looked", "would now be told.")
	require.Equal(t, 1, p.changes(t, p.zoe), "nobody was told")
	fr := p.as(t, "fr", "zoe")
	fr.post("/fr/address/home", address(), http.StatusOK)
	check = fr.post("/fr/address/home/who", url.Values{"agree": {"library-membership"}}, http.StatusOK)
	hidden := check.hidden()
	_, err := p.command.Restrict(context.Background(), command.Command{Actor: journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "protector-1"}}, p.zoe,
		command.Restricting{Kind: journal.RestrictionViolence, Reason: "a threat"})
	require.NoError(t, err)
	fr.post("/fr/address/home/check", hidden, http.StatusConflict).says("Ce qui a changé depuis votre lecture", "ne serait plus informé.")
	b.post("/en/address/home/check", stale.hidden(), http.StatusConflict)
	require.Equal(t, 1, p.changes(t, p.zoe))
}

// TestReceiptsAreListed with how far each is.
func TestReceiptsAreListed(t *testing.T) {
	t.Parallel()
	p := setup(t)
	number := p.tell(t)
	b := p.as(t, "en", "zoe")
	b.get("/en/receipts", http.StatusOK).says("My receipts", number, "0 of ")
	for i, stream := range p.toldStreams(t, number) {
		p.answers(t, stream, map[bool]string{true: "rejected", false: "applied"}[i == 0])
	}
	b.get("/en/receipts", http.StatusOK).says("Rejected by 1")
	p.as(t, "en", "luc").get("/en/receipts", http.StatusOK).says("Nobody to tell").saysNot(number)
}
