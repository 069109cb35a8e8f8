package audit_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// TestCorrectionsAreListedAsWhatTheyPutRight: an officer reads of the fact's type and fields, and what a change is about.
func TestCorrectionsAreListedAsWhatTheyPutRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := func(r command.Result) json.Number { return json.Number(strconv.FormatInt(r.Position, 10)) }
	moved, gone := b.move(), b.move()
	_, err := b.delivery.Next(b.ctx, "moh.health-card", 0, 0, 100, 0)
	require.NoError(t, err)
	right := b.tell("change-corrected", map[string]any{"corrects": at(moved), "type": "address-changed", "data": map[string]any{
		"kind": "home", "street": "1 Right St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	}})
	cancelled := b.tell("change-cancelled", map[string]any{"corrects": at(gone)})
	data, _, problems := b.journal.Registry().Validate("change-verified", map[string]any{"verifies": at(right)})
	require.Empty(t, problems)
	registrar := b.as()
	registrar.Actor = journal.Actor{Kind: journal.ActorRegistrar, Role: journal.RoleRegistrar, ID: "r.egistrar"}
	verified, err := b.command.Tell(b.ctx, registrar, b.citizen, command.Change{Type: "change-verified", Effective: "2026-01-05", Data: data})
	require.NoError(t, err)

	byPosition := map[int64][]audit.DecisionLine{}
	for _, line := range b.decisions(b.look(audit.Look{Kind: "decisions"}), audit.Filter{From: moved.Position}) {
		byPosition[line.Position] = append(byPosition[line.Position], line)
	}
	require.Empty(t, byPosition[cancelled.Position])
	for _, r := range []command.Result{right, verified} {
		require.Len(t, byPosition[r.Position], len(byPosition[moved.Position]))
		for i, line := range byPosition[r.Position] {
			want := byPosition[moved.Position][i]
			want.Position, want.Command = line.Position, line.Command
			require.Equal(t, want, line, "the same address, decided alike")
		}
	}

	_, err = b.delivery.Next(b.ctx, "moh.health-card", 0, 2, 100, 0)
	require.NoError(t, err)
	changes, err := b.look(audit.Look{Kind: "why", Subject: b.citizen}).Timeline(b.ctx)
	require.NoError(t, err)
	type line struct {
		Type, Told string
		Corrects   int64
		Decided    bool
	}
	var got []line
	for _, c := range changes {
		got = append(got, line{c.Type, c.Told, c.Corrects, len(c.Decisions) > 0})
	}
	require.Equal(t, []line{
		{"address-changed", "change-verified", right.Position, true},
		{"change-cancelled", "change-cancelled", gone.Position, false},
		{"address-changed", "change-corrected", moved.Position, true},
		{"address-changed", "address-changed", 0, true},
		{"address-changed", "address-changed", 0, true},
		{"person-registered", "person-registered", 0, false},
	}, got)
	for _, c := range changes {
		require.Equal(t, c.Position == cancelled.Position, len(c.Retracted) == 1)
		for _, why := range c.Decisions {
			require.Equal(t, why.Agreement.ID == "moh-health-card", why.Given != nil)
		}
	}
	require.Equal(t, "moh.health-card", changes[1].Retracted[0].Stream)
}
