package command_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// TestAFamilyTellsTogether: a change each, in one append, once; or none.
func TestAFamilyTellsTogether(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		parent, child, other := b.resident(t), b.resident(t), b.resident(t)
		_, err := b.command.GrantProxy(ctx, by(registrar), child, command.Proxying{Proxy: parent, Kind: journal.ProxyAttorney})
		require.NoError(t, err)
		me := journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: parent.String(), Citizen: uuid.UUID(parent)}
		family := func(ids ...citizen.ID) (all []command.Telling) {
			for _, id := range ids {
				all = append(all, command.Telling{ID: id, Change: address(t, b.journal, "12 Paris St")})
			}
			return all
		}
		length := func() [3]int {
			return [3]int{len(b.history(t, parent)), len(b.history(t, child)), len(b.history(t, other))}
		}
		before := length()

		_, err = b.command.TellTogether(ctx, by(me), family(parent, other))
		require.ErrorIs(t, err, command.ErrForbidden, "a stranger among them")
		require.Equal(t, before, length(), "or none")
		all := family(parent, child)
		all[1].Change.Preview = "another"
		var stale *command.StalePreview
		_, err = b.command.TellTogether(ctx, by(me), all)
		require.ErrorAs(t, err, &stale)
		require.Equal(t, before, length())
		_, err = b.command.TellTogether(ctx, by(me), nil)
		require.ErrorIs(t, err, command.ErrForbidden)

		all = family(parent, child)
		for i := range all {
			preview, err := b.command.Preview(ctx, me, all[i].ID, all[i].Change)
			require.NoError(t, err)
			all[i].Change.Preview = preview.Digest
		}
		c := by(me)
		results, err := b.command.TellTogether(ctx, c, all)
		require.NoError(t, err)
		for i, id := range []citizen.ID{parent, child} {
			history := b.history(t, id)
			told, decided := history[len(history)-2], history[len(history)-1]
			require.Equal(t, "address-changed", told.Type)
			require.Equal(t, told.Position, results[i].Position)
			require.Equal(t, journal.Receipt(told.ID), results[i].Receipt)
			require.IsType(t, journal.Decided{}, decided.Event)
			require.Equal(t, told.Position, decided.Cause, "each decision is about its own change")
		}
		require.Equal(t, results[0].Position+2, results[1].Position, "one append")
		again, err := b.command.TellTogether(ctx, c, all)
		require.NoError(t, err)
		for i := range again {
			require.True(t, again[i].Repeated)
			require.Equal(t, results[i].Receipt, again[i].Receipt)
			require.Equal(t, results[i].Position, again[i].Position)
		}
	})
}
