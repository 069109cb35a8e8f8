package consent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseDateRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "2026", "2026-1-5", "2026-01-5", "20260105", "2026-01-05T00:00:00Z", "2026-01-05 ", " 2026-01-05", "2026/01/05", "2026-01/05",
		"2026-00-05", "2026-13-05", "2026-01-00", "2026-01-32", "2026-04-31", "2026-06-31", "2026-09-31", "2026-11-31", "2026-02-29",
		"1900-02-29", "0000-01-01", "+026-01-05", "-026-01-05", "2026-0a-05", "2026-01-0:", "２０２６-01-05", "12026-01-05", "2026-01-/5",
	} {
		d, err := ParseDate(text)
		require.Error(t, err, text)
		require.Zero(t, d)
		if text != "" {
			require.NotContains(t, err.Error(), text, "a date may be personal")
		}
	}
}

func TestParseDateReads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Date{
		"0001-01-01": 10101, "9999-12-31": 99991231, "2000-02-29": 20000229, "2024-02-29": 20240229, "2026-01-31": 20260131,
		"2026-04-30": 20260430, "2026-02-28": 20260228, "2026-10-09": 20261009,
	} {
		d, err := ParseDate(text)
		require.NoError(t, err, text)
		require.Equal(t, want, d)
		require.Equal(t, text, d.String())
	}
	require.Empty(t, Date(0).String())
}

// TestDatesAreThoseOfTheCalendar compares every day of 800 years with package time.
func TestDatesAreThoseOfTheCalendar(t *testing.T) {
	t.Parallel()
	before := Date(0)
	for day := time.Date(1600, 1, 1, 12, 0, 0, 0, time.UTC); day.Year() < 2400; day = day.AddDate(0, 0, 1) {
		d, err := ParseDate(day.Format(time.DateOnly))
		if err != nil || d != DateOf(day) || d.String() != day.Format(time.DateOnly) || d <= before {
			require.Fail(t, "not the calendar's", "%v: %v %v", day, d, err)
		}
		before = d
	}
}

func TestParseDateTakesWhatTimeTakes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]`).Draw(t, "text")
		want, err := time.Parse(time.DateOnly, text)
		got, ours := ParseDate(text)
		require.Equal(t, err == nil && want.Year() > 0, ours == nil, text)
		if ours == nil {
			require.Equal(t, DateOf(want), got)
		}
	})
}

func TestDateOfIsTheDayInItsOwnPlace(t *testing.T) {
	t.Parallel()
	toronto, err := time.LoadLocation("America/Toronto")
	require.NoError(t, err)
	instant := time.Date(2026, 1, 6, 4, 59, 59, 0, time.UTC)
	require.Equal(t, Date(20260106), DateOf(instant))
	require.Equal(t, Date(20260105), DateOf(instant.In(toronto)))
	require.Equal(t, Date(20260106), DateOf(instant.Add(time.Second).In(toronto)))
	require.Zero(t, DateOf(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, Date(99991231), DateOf(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)))
	require.Zero(t, DateOf(time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, Date(10101), DateOf(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func TestYearsTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		born, on Date
		want     int
	}{
		{20100301, 20260228, 15}, {20100301, 20260301, 16}, {20100301, 20260302, 16},
		{20080229, 20260228, 17}, {20080229, 20260301, 18}, // a common year: older on 1 March
		{20080229, 20280228, 19}, {20080229, 20280229, 20}, {20080229, 20280301, 20}, // a leap year: on the 29th
		{20080228, 20280228, 20}, {20080301, 20280229, 19},
		{20080229, 21000228, 91}, {20080229, 21000301, 92}, // 2100 is no leap year
		{20251231, 20260101, 0}, {20251231, 20261230, 0}, {20251231, 20261231, 1},
		{20260301, 20260301, 0}, {20260302, 20260301, -1}, {20270301, 20260301, -1}, {20270301, 20260228, -2},
	} {
		require.Equal(t, test.want, test.born.YearsTo(test.on), "%v to %v", test.born, test.on)
	}
}

func TestYearsToCountsBirthdays(t *testing.T) {
	t.Parallel()
	days := rapid.Custom(func(t *rapid.T) time.Time {
		year := rapid.IntRange(1996, 2032).Draw(t, "year")
		return time.Date(year, 1, rapid.IntRange(1, 366).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
	})
	rapid.Check(t, func(t *rapid.T) {
		born, on := days.Draw(t, "born"), days.Draw(t, "on")
		want := oracleAge(born.Format(time.DateOnly), on.Format(time.DateOnly))
		require.Equal(t, want, DateOf(born).YearsTo(DateOf(on)))
	})
}
