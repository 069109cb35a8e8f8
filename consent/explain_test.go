package consent

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

const nbsp = "\u00a0"

func TestExplain(t *testing.T) {
	t.Parallel()
	a := whole()
	en, fr := "“Student aid (OSAP)”", "«"+nbsp+"Aide étudiante (RAFEO)"+nbsp+"»"
	a.Shares[1].When.MinAge = years(16)
	a.Shares[1].When.MaxAge = years(40)
	for reason, want := range map[Reason]Text{
		None: {
			"Shared with " + en + ", by consent: Street, City.",
			"Communiqué à " + fr + ", par consentement" + nbsp + ": Rue, Ville.",
		},
		Restricted: {
			"Not shared: this person’s information is protected, and " + en + " may not receive it.",
			"Non communiqué" + nbsp + ": les renseignements de cette personne sont protégés, et " + fr + " ne peut pas les recevoir.",
		},
		NotInForce: {
			"Not shared: the agreement " + en + " was not in force on the day this was recorded.",
			"Non communiqué" + nbsp + ": l’entente " + fr + " n’était pas en vigueur le jour de l’inscription.",
		},
		NotLinked: {
			"Not shared: " + en + " is only for people who are clients of the ministry, and this person was not linked to it.",
			"Non communiqué" + nbsp + ": " + fr + " ne vise que la clientèle du ministère, et aucun lien avec cette personne n’existait.",
		},
		NoGrant: {
			"Not shared: " + en + " needs this person’s consent, and there was none.",
			"Non communiqué" + nbsp + ": " + fr + " exige le consentement de cette personne, et il n’y en avait pas.",
		},
		NotVerified: {
			"Not shared: " + en + " only receives what a registrar has verified, and this was not.",
			"Non communiqué" + nbsp + ": " + fr + " ne reçoit que ce qu’un registraire a vérifié, et ce renseignement ne l’était pas.",
		},
		MinAge: {
			"Not shared: " + en + " is only for people who are 16 or older on the effective date.",
			"Non communiqué" + nbsp + ": " + fr + " ne vise que les personnes de 16" + nbsp + "ans ou plus à la date d’effet.",
		},
		MaxAge: {
			"Not shared: " + en + " is only for people who are 40 or younger on the effective date.",
			"Non communiqué" + nbsp + ": " + fr + " ne vise que les personnes de 40" + nbsp + "ans ou moins à la date d’effet.",
		},
		AddressKind: {
			"Not shared: " + en + " only receives addresses of this kind: home or mailing.",
			"Non communiqué" + nbsp + ": " + fr + " ne reçoit que ce genre d’adresse" + nbsp + ": domicile ou adresse postale.",
		},
		Province: {
			"Not shared: " + en + " only receives addresses in: ON, QC or NU.",
			"Non communiqué" + nbsp + ": " + fr + " ne reçoit que les adresses situées ici" + nbsp + ": ON, QC ou NU.",
		},
		NoFields: {
			"Not shared: this change holds nothing that " + en + " may receive.",
			"Non communiqué" + nbsp + ": ce changement ne contient rien que " + fr + " puisse recevoir.",
		},
		Reason(99): {"Not shared with " + en + ".", "Non communiqué à " + fr + "."},
	} {
		a.Shares[1].When.Province = []string{"ON", "QC", "NU"}
		require.Equal(t, want.EN, Explain(&a, "address-changed", reason, []string{"Street", "City"}, "en"), reason)
		require.Equal(t, want.FR, Explain(&a, "address-changed", reason, []string{"Rue", "Ville"}, "fr"), reason)
	}
	a.Basis.Kind = BasisStatute
	require.Equal(t, "Shared with "+en+", by law: Street.", Explain(&a, "address-changed", None, []string{"Street"}, ""))
	require.Equal(t, "Communiqué à "+fr+", en vertu de la loi"+nbsp+": Rue.", Explain(&a, "address-changed", None, []string{"Rue"}, "fr"))
}

// TestExplainIsCompleteAndWellSet: every reason has its own sentence in both languages, and the French one keeps the typographic rules.
func TestExplainIsCompleteAndWellSet(t *testing.T) {
	t.Parallel()
	a := whole()
	badFrench := regexp.MustCompile(`[^\x{00A0}][:»%$]|«[^\x{00A0}]|[\s\x{00A0}][;!?]|'|"|\d [a-z]`)
	badEnglish := regexp.MustCompile(`\x{00A0}|'|"|\s:`)
	for _, lang := range []string{"en", "fr"} {
		fallback := Explain(&a, "address-changed", Reason(99), nil, lang)
		sentences := map[string]Reason{fallback: 99}
		for _, reason := range append(Reasons(), None) {
			sentence := Explain(&a, "address-changed", reason, []string{"x"}, lang)
			require.Regexp(t, `^[A-Z].*\.$`, sentence)
			require.NotContains(t, sentences, sentence, "%v has no sentence of its own in %s", reason, lang)
			sentences[sentence] = reason
			require.Contains(t, sentence, a.Title.In(lang))
			require.NotRegexp(t, map[string]*regexp.Regexp{"en": badEnglish, "fr": badFrench}[lang], sentence)
		}
	}
}

// TestExplainWithoutItsCondition: an older decision may be explained beside an agreement that no longer has the condition.
func TestExplainWithoutItsCondition(t *testing.T) {
	t.Parallel()
	a := Agreement{Title: Text{EN: "Tax", FR: "Impôt"}}
	require.Equal(t, "Not shared: “Tax” is only for people who are … or older on the effective date.", Explain(&a, "gone", MinAge, nil, "en"))
	require.NotPanics(t, func() { Explain(&a, "gone", Province, nil, "fr") })
}
