package web

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/schemas"
)

// notAsked are the facts that residents do not tell by a form of the table, and why.
var notAsked = map[string]string{
	citizen.PersonRegistered: "for a clerk or a registrar", citizen.DeathRegistered: "for a registrar", citizen.DeathReported: "about somebody else: deathForm",
}

// TestEveryFactHasItsForm: a new kind of change is an entry of the table and its texts.
func TestEveryFactHasItsForm(t *testing.T) {
	t.Parallel()
	registry, err := schemas.New()
	require.NoError(t, err)
	catalogues := map[string]map[string]map[string]string{"en": catalogue(t, "en"), "fr": catalogue(t, "fr")}
	names := map[string]bool{}
	for _, f := range append([]form{deathForm}, forms...) {
		row, ok := registry.Row(f.Type)
		require.True(t, ok, f.Type)
		require.Equal(t, row.Key == "", f.Key == "", "%s: facts of a type that has several are told apart", f.Path)
		require.False(t, names[f.Path], "two forms at %s", f.Path)
		names[f.Path] = true
		for lang, texts := range catalogues {
			keys := []string{".title", ".caption"}
			if !f.Quiet {
				keys = append(keys, ".what", ".new", ".done")
			}
			for _, key := range keys {
				require.Contains(t, texts, "resident."+f.Words+key, lang)
			}
			for i := range f.Fields {
				field := &f.Fields[i]
				require.Contains(t, texts, "resident.field."+field.text(), lang)
				if field.Hint {
					require.Contains(t, texts, "resident.hint."+field.text(), lang)
				}
				if field.Kind != fieldDate && !field.Optional {
					require.Contains(t, texts, "resident.error."+field.ID+".required", lang)
				}
				for _, value := range field.Options {
					require.Contains(t, texts, field.Words+value, lang)
				}
			}
		}
		if f.Date != "" {
			require.NotEmpty(t, f.firstPart(f.Date), "%s: the date is a field", f.Path)
		}
	}
	for _, row := range registry.Rows() {
		asked := slices.ContainsFunc(forms, func(f form) bool { return f.Type == row.Type })
		require.Equal(t, row.Fact && notAsked[row.Type] == "", asked, row.Type)
	}
}

func TestPhoneNumbersAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"613-555-0123": "+16135550123", "(613) 555-0123": "+16135550123", "613.555.0123": "+16135550123", "1 613 555 0123": "+16135550123",
		"+1 613 555-0123": "+16135550123", "+33 1 23 45 67 89": "+33123456789", "613\u00a0555\u20110123": "+16135550123",
		"": "", "call me": "call me", "555-0123": "555-0123", "613-555-0123 x4": "613-555-0123 x4",
	} {
		require.Equal(t, want, e164(typed), typed)
	}
}
