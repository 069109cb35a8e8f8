package projection_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// TestAWiderVersionAsksAnew: a citizen sees what they agreed to, and what a newer version asks for beyond it.
func TestAWiderVersionAsksAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const id = "outdoors-card"
	see := func() projection.Consent {
		list, err := b.projection.Consents(b.ctx, b.citizen)
		require.NoError(t, err)
		for _, c := range list {
			if c.Agreement.ID == id {
				return c
			}
		}
		require.Fail(t, "not listed")
		return projection.Consent{}
	}
	load := func(a consent.Agreement) {
		_, err := b.command.LoadAgreements(b.ctx, b.as(journal.ActorOperator), []consent.Agreement{a})
		require.NoError(t, err)
	}
	grant := func(fields ...string) {
		_, err := b.command.Grant(b.ctx, b.as(journal.ActorSource), b.citizen, command.Choice{Agreement: id, Fields: fields})
		require.NoError(t, err)
	}
	one := parse(t, b, id) // unit, street, city, province, postal_code
	grant()
	require.Empty(t, see().Asks.Changes)

	two := one
	two.Version, two.Shares = 2, []consent.Share{
		{Event: "address-changed", Fields: []string{"city", "country", "street"}, When: one.Shares[0].When}, {Event: "name-changed", Fields: []string{"family_name"}},
	}
	load(two)
	c := see()
	require.Equal(t, []any{true, 1, 2, []string{"city", "street"}}, []any{c.Granted, c.Version, c.Agreement.Version, c.Fields})
	require.Equal(t, []consent.Change{
		{What: consent.WhatFields, Event: "address-changed", Gained: []string{"country"}, Wider: true},
		{What: consent.WhatFields, Event: "name-changed", Gained: []string{"family_name"}, Wider: true},
	}, c.Asks.Changes)
	grant("street", "country")
	c = see()
	require.Equal(t, []any{2, []string{"country", "street"}}, []any{c.Version, c.Fields})
	require.Empty(t, c.Asks.Changes, "what one chose to leave out is not asked again")

	// What ended and came back knows no former consent.
	_, err := b.command.EndAgreement(b.ctx, b.as(journal.ActorOperator), id, "")
	require.NoError(t, err)
	three := two
	three.Version = 3
	load(three)
	c = see()
	require.Equal(t, []any{true, 2}, []any{c.Granted, c.Version})
	require.Empty(t, c.Fields)
	require.Len(t, c.Asks.Changes, 2)
}
