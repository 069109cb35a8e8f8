package projection_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

func at(r command.Result) json.Number { return json.Number(strconv.FormatInt(r.Position, 10)) }

func (b *bundle) correct(of command.Result, kind, street string) command.Result {
	b.t.Helper()
	return b.tell(journal.ActorSource, b.citizen, "change-corrected", map[string]any{"corrects": at(of), "type": "address-changed", "data": map[string]any{
		"kind": kind, "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	}})
}

// TestChangesSayWhatPutsThemRight: what replaced what, what only takes back, and which ministry heard what of it.
func TestChangesSayWhatPutsThemRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.move(b.citizen, "home", "1 Wrong St")
	gone := b.move(b.citizen, "mailing", "2 Gone St")
	b.read()
	right := b.correct(first, "home", "1 Right St")
	verified := b.tell(journal.ActorRegistrar, b.citizen, "change-verified", map[string]any{"verifies": at(right)})
	cancelled := b.tell(journal.ActorSource, b.citizen, "change-cancelled", map[string]any{"corrects": at(gone)})
	_, err := b.delivery.Next(b.ctx, health, 0, 2, 100, 0)
	require.NoError(t, err)

	changes, err := b.projection.Changes(b.ctx, b.citizen)
	require.NoError(t, err)
	told := map[int64]projection.Told{}
	for _, c := range changes {
		told[c.Position] = c
	}
	require.Len(t, changes, 6, "with the registration")
	require.Equal(t, cancelled.Position, changes[0].Position)
	mention := func(r command.Result) projection.Mention {
		c := told[r.Position]
		return projection.Mention{Position: r.Position, Receipt: r.Receipt, Type: c.Type, RecordedAt: c.RecordedAt}
	}
	wrong, put, proof, back := told[first.Position], told[right.Position], told[verified.Position], told[cancelled.Position]
	require.Equal(t, []projection.Mention{mention(right)}, wrong.Since)
	require.Nil(t, wrong.About)
	require.False(t, wrong.Stands())
	require.Equal(t, "1 Wrong St", wrong.Change.Data["street"], "what was told once stays as it was")

	require.Equal(t, "change-corrected", put.Type)
	require.Equal(t, "address-changed", put.Change.Type)
	require.Equal(t, mention(first), *put.About)
	require.Equal(t, []projection.Mention{mention(verified)}, put.Since)
	require.True(t, put.Stands(), "verified, and not replaced")
	require.Equal(t, "asserted", put.Change.Assurance())
	require.Equal(t, consent.None, find(put, "moh-health-card").Reason)
	require.Equal(t, "correction", find(put, "moh-health-card").Given.Item.Kind)
	require.Empty(t, put.Retracted)

	require.Equal(t, "change-verified", proof.Type)
	require.Equal(t, mention(right), *proof.About)
	require.Equal(t, "1 Right St", proof.Change.Data["street"])
	require.Equal(t, "verified", proof.Change.Assurance())

	require.Equal(t, "change-cancelled", back.Type)
	require.Equal(t, mention(gone), *back.About)
	require.Equal(t, "2 Gone St", back.Change.Data["street"], "what it takes back")
	require.Empty(t, back.Outcomes)
	require.NotEmpty(t, back.Retracted)
	require.Equal(t, health, back.Retracted[0].Stream)
	require.False(t, func() bool { c := told[gone.Position]; return c.Stands() }())

	receipt, err := b.projection.Receipt(b.ctx, b.citizen, cancelled.Receipt)
	require.NoError(t, err)
	require.Equal(t, back, receipt)
	profile, err := b.projection.Profile(b.ctx, b.citizen)
	require.NoError(t, err)
	home, _ := profile.Latest("address-changed", "home")
	require.Equal(t, "1 Right St", home.Data["street"])
	require.Equal(t, "verified", home.Assurance())
	require.Equal(t, verified.Position, home.Position)
	_, found := profile.Latest("address-changed", "mailing")
	require.False(t, found)

	seen, err := b.projection.WhoSaw(b.ctx, b.citizen)
	require.NoError(t, err)
	kinds := map[string]int{}
	for _, s := range seen {
		kinds[s.Given.Item.Kind]++
		if s.Given.Item.Position != cancelled.Position {
			require.Equal(t, "address-changed", s.Type)
		}
		if s.Given.Item.Kind == "correction" {
			require.Contains(t, s.Fields, "street")
		}
	}
	require.Equal(t, map[string]int{"fact": 2, "correction": 2, "retracted": 1}, kinds)
}

// TestTheProfileKnowsTwoAxes: today's values whatever was told last, and what is announced.
func TestTheProfileKnowsTwoAxes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	day := b.journal.DayOf(b.journal.Now(journal.Timing{Told: true}))
	on := func(days int, street string) {
		data, _, problems := b.journal.Registry().Validate("address-changed", map[string]any{
			"kind": "home", "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
		})
		require.Empty(t, problems)
		effective := day.From.AddDate(0, 0, days).Format("2006-01-02")
		_, err := b.command.Tell(b.ctx, b.as(journal.ActorSource), b.citizen, command.Change{Type: "address-changed", Effective: effective, Data: data})
		require.NoError(t, err)
	}
	on(-10, "1 Now St")
	on(30, "2 Then St")
	on(-40, "0 Before St")
	profile, err := b.projection.Profile(b.ctx, b.citizen)
	require.NoError(t, err)
	home, _ := profile.Latest("address-changed", "home")
	require.Equal(t, "1 Now St", home.Data["street"])
	require.Len(t, profile.Announced, 1)
	require.Equal(t, "2 Then St", profile.Announced[0].Data["street"])
}
