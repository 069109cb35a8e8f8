package projection_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore"
)

// onDay is noon of a day in the log's time zone.
func onDay(t *testing.T, day string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, day+"T17:00:00Z")
	require.NoError(t, err)
	return out
}

// past is a log whose clock follows what is told.
func past(t *testing.T) journaltest.Options {
	start := onDay(t, "2026-01-05")
	return journaltest.Options{Clock: func() time.Time { return start }}
}

// moves tells changes of address, one second apart.
func (b *bundle) moves(id citizen.ID, n int, from time.Time) {
	b.t.Helper()
	data := map[string]any{"kind": "home", "street": "1 First St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA"}
	normalised, canonical, problems := b.journal.Registry().Validate("address-changed", data)
	require.Empty(b.t, problems)
	for i := range n {
		c := b.as(journal.ActorSource)
		c.RecordAt = from.Add(time.Duration(i) * time.Second)
		_, err := b.command.Tell(b.ctx, c, id, command.Change{Type: "address-changed", Effective: "2026-01-05", Data: normalised, Canonical: canonical})
		require.NoError(b.t, err)
	}
}

func (b *bundle) performance() *projection.Performance {
	b.t.Helper()
	out, err := b.projection.Performance(b.ctx)
	require.NoError(b.t, err)
	return out
}

// month is a published month; nil where it is not.
func month(p *projection.Performance, name string) *projection.PerformanceMonth {
	if i := slices.IndexFunc(p.Months, func(m projection.PerformanceMonth) bool { return m.Month == name }); i >= 0 {
		return &p.Months[i]
	}
	return nil
}

func toldOf(m *projection.PerformanceMonth, eventType string) *int {
	i := slices.IndexFunc(m.Told, func(f projection.ToldFigure) bool { return f.Type == eventType })
	return m.Told[i].Changes
}

func ofAgreement(m *projection.PerformanceMonth, agreement, eventType string) projection.AgreementFigure {
	i := slices.IndexFunc(m.Agreements, func(f projection.AgreementFigure) bool { return f.Agreement == agreement && f.Type == eventType })
	return m.Agreements[i]
}

// TestNineIsSuppressedAndTenIsShown, and what is shared is not shown beside nine that are withheld.
func TestNineIsSuppressedAndTenIsShown(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, past(t), func(t *testing.T, j *journal.Journal) {
		b := setupOn(t, j)
		ten, eleven := 10, 11
		b.moves(b.citizen, 9, onDay(t, "2026-01-10"))
		b.moves(b.citizen, 10, onDay(t, "2026-02-10"))
		b.moves(b.citizen, 10, onDay(t, "2026-03-10"))
		b.moves(b.other, 9, onDay(t, "2026-03-11"))
		b.moves(b.citizen, 11, onDay(t, "2026-04-10"))
		b.moves(b.other, 10, onDay(t, "2026-04-11"))
		b.moves(b.citizen, 1, onDay(t, "2026-05-02"))
		p := b.performance()
		require.Nil(t, month(p, "2026-05"), "the month under way is not published")
		require.Nil(t, toldOf(month(p, "2026-01"), "address-changed"))
		require.Equal(t, &ten, toldOf(month(p, "2026-02"), "address-changed"))
		require.Nil(t, toldOf(month(p, "2026-04"), "name-changed"), "zero is suppressed like nine")
		hidden := projection.AgreementFigure{Agreement: "moh-health-card", Type: "address-changed"}
		for _, name := range []string{"2026-01", "2026-02", "2026-03"} {
			require.Equal(t, hidden, ofAgreement(month(p, name), "moh-health-card", "address-changed"), name)
		}
		hidden.Shared, hidden.Withheld = &eleven, &ten // the other is no client of moh
		require.Equal(t, hidden, ofAgreement(month(p, "2026-04"), "moh-health-card", "address-changed"))
		require.Len(t, p.Months, 24)
		require.Equal(t, "2026-04", p.Months[0].Month)
	})
}

// TestFiguresMoveByWholeMonths: a month appears once the first day after it has passed, whole, and stays as it is.
func TestFiguresMoveByWholeMonths(t *testing.T) {
	t.Parallel()
	b := setupOn(t, journaltest.New(t, past(t)))
	b.moves(b.citizen, 12, onDay(t, "2026-01-31"))
	before := b.performance()
	require.Nil(t, month(before, "2026-01"))
	b.moves(b.citizen, 12, onDay(t, "2026-02-01"))
	require.Equal(t, before, b.performance(), "the first day of the next month is not over")
	b.moves(b.citizen, 1, time.Date(2026, 2, 2, 4, 59, 59, 0, time.UTC)) // the last second of that day in Toronto
	require.Equal(t, before, b.performance())
	b.moves(b.citizen, 1, time.Date(2026, 2, 2, 5, 0, 0, 0, time.UTC))
	published := b.performance()
	twelve := 12
	require.Equal(t, &twelve, toldOf(month(published, "2026-01"), "address-changed"))
	b.read() // deliveries of what was told in January leave in February
	b.moves(b.citizen, 20, onDay(t, "2026-02-20"))
	require.Equal(t, published, b.performance())
}

// TestTheProtectedAreInNoFigure: with and without what somebody hidden told, and was given, the figures are the same.
func TestTheProtectedAreInNoFigure(t *testing.T) {
	t.Parallel()
	var figures []*projection.Performance
	for _, told := range []int{0, 45} {
		b := setupOn(t, journaltest.New(t, past(t)))
		b.moves(b.citizen, 45, onDay(t, "2026-01-10"))
		b.read()
		b.append(b.other, journal.MinistryLinked{ClientReference: "r2", Means: "import", Ministry: "moh"})
		b.append(b.other, journal.RestrictionSet{Kind: journal.RestrictionViolence, Reason: "test"})
		b.moves(b.other, told, onDay(t, "2026-01-12"))
		b.append(b.other, journal.RestrictionLifted{})
		b.moves(b.other, told, onDay(t, "2026-01-13"))
		_, err := b.delivery.Next(b.ctx, health, 0, 45, 100, 0)
		require.NoError(t, err)
		b.moves(b.citizen, 1, onDay(t, "2026-02-02"))
		figures = append(figures, b.performance())
		require.NotNil(t, toldOf(month(figures[0], "2026-01"), "address-changed"))
		require.NotNil(t, month(figures[0], "2026-01").Within)
	}
	require.Equal(t, figures[0], figures[1])
}

// TestDelaysAreOfWhatLeftByItself: by the time from recorded to disclosed, and not of what comes along later.
func TestDelaysAreOfWhatLeftByItself(t *testing.T) {
	t.Parallel()
	b := setupOn(t, journaltest.New(t, past(t)))
	b.moves(b.citizen, 100, onDay(t, "2026-01-10")) // the head is at the last: 2 within 1 s, 11 within 10 s, 61 within 1 min
	b.read()
	require.Nil(t, month(b.performance(), "2026-01"))
	b.moves(b.citizen, 1, onDay(t, "2026-02-02"))
	require.Equal(t, []int{0, 20, 60, 100, 0}, month(b.performance(), "2026-01").Within, "100 deliveries: to 20 %")
}

// TestWhatWaitsForItsDayIsNoDelay: an agreement that delivers on effective dates says nothing of how fast the hub is.
func TestWhatWaitsForItsDayIsNoDelay(t *testing.T) {
	t.Parallel()
	b := setupOn(t, journaltest.New(t, past(t)))
	waiting := parse(t, b, "moh-health-card")
	waiting.Version, waiting.Deliver = 2, consent.DeliverEffective
	_, err := b.command.LoadAgreements(b.ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, []consent.Agreement{waiting})
	require.NoError(t, err)
	b.moves(b.citizen, 100, onDay(t, "2026-01-10"))
	b.read()
	b.moves(b.citizen, 1, onDay(t, "2026-02-02"))
	require.NotNil(t, toldOf(month(b.performance(), "2026-01"), "address-changed"))
	require.Nil(t, month(b.performance(), "2026-01").Within)
}

func figureRows(t *testing.T, j *journal.Journal) []eventstore.Row {
	t.Helper()
	rows, err := j.Store().Scan(t.Context(), projection.Figures{}.Name(), nil, nil, 0, false)
	require.NoError(t, err)
	return rows
}

// TestRebuiltFiguresAreTheSame, also after somebody who counted was erased.
func TestRebuiltFiguresAreTheSame(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, past(t), func(t *testing.T, j *journal.Journal) {
		b := setupOn(t, j)
		view := projection.NewFigures(j)
		for i, day := range []string{"2026-01-10", "2026-01-20", "2026-02-10", "2026-03-05"} {
			b.moves(b.citizen, 15, onDay(t, day))
			b.moves(b.other, 15, onDay(t, day).Add(time.Hour))
			_, err := b.delivery.Next(b.ctx, health, 0, int64(15*i), 100, 0)
			require.NoError(t, err)
			if i == 2 {
				b.append(b.other, journal.RestrictionSet{Kind: journal.RestrictionViolence, Reason: "test"})
			}
			head, err := j.Head(b.ctx)
			require.NoError(t, err)
			_, err = j.CatchUp(b.ctx, view, head.Position-int64(i))
			require.NoError(t, err)
		}
		figures := b.performance()
		_, err := b.command.Erase(b.ctx, b.self(b.citizen), b.citizen)
		require.NoError(t, err)
		require.Equal(t, figures, b.performance())
		rows := figureRows(t, j)
		require.NotEmpty(t, rows)
		require.NoError(t, j.Rebuild(b.ctx, view, nil))
		require.Equal(t, rows, figureRows(t, j))
		require.Equal(t, figures, b.performance())
	})
}
