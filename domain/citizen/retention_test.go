package citizen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "2036-02-28", KeptUntil(ClassFacts, day))
	require.Equal(t, "2033-02-28", KeptUntil(ClassEvidence, day))
	require.Equal(t, "2028-02-28", KeptUntil(ClassAccesses, day))
	require.Equal(t, "2028-02-28", KeptUntil(ClassContact, day))
	require.Empty(t, KeptUntil(5, day))
	seen := map[string]bool{}
	for _, r := range Retentions() {
		for _, lang := range []string{"en", "fr"} {
			sentence := KeptSentence(r.Class, KeptByRetention, lang)
			require.NotEmpty(t, sentence)
			require.False(t, seen[sentence], "each class has its own sentence in each language")
			seen[sentence] = true
			require.Contains(t, KeptSentence(r.Class, KeptByHold, lang), map[string]string{"en": "authority", "fr": "autorité"}[lang])
		}
	}
	require.Empty(t, KeptSentence(9, KeptByRetention, "en"))
	Retentions()[0].Years = 1
	require.Equal(t, "2036-02-28", KeptUntil(ClassFacts, day), "the schedule is not the caller's to change")
}
