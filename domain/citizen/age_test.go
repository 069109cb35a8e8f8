package citizen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMinorUntil(t *testing.T) {
	t.Parallel()
	for born, last := range map[string]string{
		"2008-05-17": "2026-05-16", "2008-01-01": "2025-12-31", "2008-03-01": "2026-02-28", "2008-02-29": "2026-02-28",
		"2006-03-01": "2024-02-29", "": "", "2008-02-30": "", "soon": "",
	} {
		require.Equal(t, last, MinorUntil(born), born)
	}
}

// TestTheDayAfterOneIsOfAge counts birthdays the other way: on the day after, the eighteenth has come, and not before.
func TestTheDayAfterOneIsOfAge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		born := time.Date(1900, 1, rapid.IntRange(1, 60000).Draw(t, "born"), 0, 0, 0, 0, time.UTC)
		last, err := time.Parse(time.DateOnly, MinorUntil(born.Format(time.DateOnly)))
		require.NoError(t, err)
		require.Equal(t, AgeOfMajority-1, yearsOld(born, last))
		require.Equal(t, AgeOfMajority, yearsOld(born, last.AddDate(0, 0, 1)))
	})
}

// yearsOld counts the days that are called like the day of birth, or come right after it where there is none of its name.
func yearsOld(born, on time.Time) int {
	years := 0
	for y := born.Year() + 1; y <= on.Year(); y++ {
		birthday := time.Date(y, born.Month(), born.Day(), 0, 0, 0, 0, time.UTC)
		if !birthday.After(on) {
			years++
		}
	}
	return years
}
