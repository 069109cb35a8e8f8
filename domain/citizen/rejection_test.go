package citizen

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryCodeHasItsPointer holds the table of INTERFACES.md; "-" is no pointer, or one that only the caller knows.
func TestEveryCodeHasItsPointer(t *testing.T) {
	t.Parallel()
	pointers := map[string]string{
		"malformed-json": "-", "unknown-type": "/type", "schema": "-", "command-reused": "/id", "unknown-person": "/person",
		"person-exists": "/person", "reference-taken": "/reference", "person-deceased": "-", "effective-too-far": "/effective", "postal-code-province": "/data/postal_code",
		"unknown-agreement": "/data/agreement", "not-by-consent": "/data/agreement", "unknown-field": "-", "no-such-grant": "/data/agreement",
		"unknown-ministry": "/data/ministry", "not-linked": "/data/ministry", "stale-preview": "-",
		"already-corrected": "/data/corrects", "already-erased": "-", "legal-hold": "-", "no-such-hold": "/data/authority", "already-verified": "/data/verifies", "circular-proxy": "/data/proxy",
		"no-capacity": "/person", "no-such-proxy": "/data/proxy", "not-dead": "/person", "not-your-change": "/data/corrects", "same-person": "-",
		"no-such-restriction": "/person", "no-such-request": "/request", "frozen": "/person", "not-frozen": "/person", "no-such-dispute": "-",
		"unknown-version": "/version", "already-approved": "/version", "older-version": "/version", "agreement-ended": "/version",
		"stream-kept": "-", "end-date": "/date",
	}
	require.Len(t, Codes(), len(pointers))
	for _, code := range Codes() {
		want, known := pointers[code]
		require.True(t, known, code)
		rejection := Reject(code)
		if want == "-" {
			require.Nil(t, rejection.Pointer, code)
			require.EqualError(t, rejection, code)
			continue
		}
		require.NotNil(t, rejection.Pointer, code)
		require.Equal(t, want, *rejection.Pointer)
		require.EqualError(t, rejection, code+` at "`+want+`"`)
	}
}

func TestRejectAt(t *testing.T) {
	t.Parallel()
	rejection := RejectAt(CodeUnknownField, "/data/fields/2")
	require.Equal(t, "/data/fields/2", *rejection.Pointer)
	require.EqualError(t, RejectAt(CodeSchema, ""), `schema at ""`, "the line itself is a pointer, too")
	*Reject(CodeUnknownPerson).Pointer = "changed by a caller"
	require.Equal(t, "/person", *Reject(CodeUnknownPerson).Pointer)
	require.Nil(t, Reject("not a code").Pointer)
}

// TestSentencesAreCompleteAndWellSet: one of its own for every code and language; the French ones keep the typographic rules.
func TestSentencesAreCompleteAndWellSet(t *testing.T) {
	t.Parallel()
	wrong := map[string]*regexp.Regexp{
		"fr": regexp.MustCompile(`[^\x{00A0}][:»%$]|«[^\x{00A0}]|[\s\x{00A0}][;!?]|'|"`),
		"en": regexp.MustCompile(`\x{00A0}|'|"|\s:`),
	}
	for lang, wrong := range wrong {
		seen := map[string]string{(&Rejection{Code: "not a code"}).Sentence(lang): "the general sentence"}
		for _, code := range Codes() {
			sentence := Reject(code).Sentence(lang)
			require.Regexp(t, `^[A-ZÀÉ].*\.$`, sentence)
			require.NotRegexp(t, wrong, sentence)
			require.NotContains(t, seen, sentence, code)
			seen[sentence] = code
		}
	}
	require.Equal(t, "This person is not registered.", Reject(CodeUnknownPerson).Sentence("en"))
	require.Equal(t, "Cette personne n’est pas inscrite.", Reject(CodeUnknownPerson).Sentence("fr"))
	require.Equal(t, Reject(CodeSchema).Sentence("en"), Reject(CodeSchema).Sentence("de"))
}
