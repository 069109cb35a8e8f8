package consent

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExplainToCitizenIsCompleteAndWellSet: every reason, what was shared by law and by consent, and a consent that was withdrawn have a
// sentence of their own in each language, which speaks to the person.
func TestExplainToCitizenIsCompleteAndWellSet(t *testing.T) {
	t.Parallel()
	byConsent, byLaw := whole(), whole()
	byLaw.Basis = Basis{Kind: BasisStatute, Reference: "Invented Act, s. 4"}
	wrong := map[string]*regexp.Regexp{
		"fr": regexp.MustCompile(`[^\x{00A0}][:»%$]|«[^\x{00A0}]|[\s\x{00A0}][;!?]|'|"|\d [a-z]`), "en": regexp.MustCompile(`\x{00A0}|'|"|\s:`),
	}
	for _, lang := range []string{"en", "fr"} {
		sentences := map[string]bool{ExplainToCitizen(&byConsent, "address-changed", Reason(99), false, nil, lang): true}
		say := func(a *Agreement, reason Reason, saidNo bool) {
			sentence := ExplainToCitizen(a, "address-changed", reason, saidNo, []string{"x"}, lang)
			require.Regexp(t, `^[A-Z“«].*\.$`, sentence)
			require.False(t, sentences[sentence], "%v has no sentence of its own in %s: %s", reason, lang, sentence)
			sentences[sentence] = true
			require.Contains(t, sentence, a.Title.In(lang))
			require.NotRegexp(t, wrong[lang], sentence)
		}
		for _, reason := range append(Reasons(), None) {
			say(&byConsent, reason, false)
		}
		say(&byConsent, NoGrant, true)
		say(&byLaw, None, false)
	}
	require.Equal(t, "You said no to “Student aid (OSAP)”.", ExplainToCitizen(&byConsent, "address-changed", NoGrant, true, nil, "en"))
	require.Equal(t, "You are not linked to “Student aid (OSAP)”.", ExplainToCitizen(&byConsent, "address-changed", NotLinked, false, nil, "en"))
	require.Equal(t, "Shared with “Student aid (OSAP)”: Street. The law cited is: Invented Act, s. 4.",
		ExplainToCitizen(&byLaw, "address-changed", None, false, []string{"Street"}, "en"))
	require.Equal(t, "Shared with “Student aid (OSAP)”: Street. The law cited is: not named.",
		ExplainToCitizen(func() *Agreement { a := byLaw; a.Basis.Reference = ""; return &a }(), "address-changed", None, false, []string{"Street"}, "en"))
}
