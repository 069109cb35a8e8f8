package command_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

func asMinistry(id string) command.Command {
	c := by(journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: id, Ministry: id})
	c.Channel = journal.ChannelNone
	return c
}

func rebates(ministry, id, stream string) consent.Agreement {
	return consent.Agreement{
		ID: id, Version: 1, Ministry: ministry, Stream: stream, Title: consent.Text{EN: "Rebates", FR: "Remises"}, Purpose: consent.Text{EN: "Send", FR: "Envoyer"},
		Basis: consent.Basis{Kind: consent.BasisConsent}, Population: consent.PopulationAll, Shares: []consent.Share{{Event: "address-changed", Fields: []string{"city"}}},
		Lanes: 1, Deliver: consent.DeliverTold, OnLeaving: consent.LeavingNothing,
	}
}

// TestAMinistryProposesItsOwn: it proposes, with its reasons, what one officer alone then puts in force; never another's, and never under a name
// that another may want.
func TestAMinistryProposesItsOwn(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ctx, reasons := context.Background(), []journal.FieldReason{{Event: "address-changed", Field: "city", Reason: "Cheques go to a city"}}
		submit := func(c command.Command, a consent.Agreement) error {
			return b.command.SubmitAgreement(ctx, c, a, reasons)
		}
		for _, other := range []consent.Agreement{
			rebates("mto", "mto-rebates", "mto.rebates"), rebates("moh", "mto-rebates", "moh.rebates"), rebates("moh", "moh-rebates", "mto.rebates"),
			rebates("moh", "rebates", "moh.rebates"), rebates("moh", "moh-rebates", "rebates"),
		} {
			require.ErrorIs(t, submit(asMinistry("moh"), other), command.ErrForbidden, other.ID+" "+other.Stream)
		}
		require.ErrorIs(t, submit(asOfficer("Dominique"), rebates("moh", "moh-rebates", "moh.rebates")), command.ErrForbidden)
		_, err := b.command.ProposeAgreements(ctx, asMinistry("moh"), rebates("moh", "moh-rebates", "moh.rebates"))
		require.ErrorIs(t, err, command.ErrForbidden)
		require.Empty(t, b.states(t))

		next, err := b.command.NextVersion(ctx, "moh-rebates")
		require.NoError(t, err)
		require.Equal(t, 1, next)
		c := asMinistry("moh")
		require.NoError(t, submit(c, rebates("moh", "moh-rebates", "moh.rebates")))
		require.NoError(t, submit(c, rebates("moh", "moh-rebates", "moh.rebates")), "the same command again")
		require.Equal(t, []string{"moh-rebates 1 proposed"}, b.states(t))
		wider := rebates("moh", "moh-rebates", "moh.rebates")
		wider.Shares[0].Fields = []string{"city", "street"}
		require.ErrorIs(t, submit(asMinistry("moh"), wider), command.ErrOtherContent)
		v := b.approve(t, asOfficer("moh"), "moh-rebates", 1) // also an officer of that name is another person
		require.Equal(t, reasons, v.Reasons)
		next, err = b.command.NextVersion(ctx, "moh-rebates")
		require.NoError(t, err)
		require.Equal(t, 2, next)
		for i := range 20 {
			name := fmt.Sprintf("moh-%d", i)
			require.NoError(t, submit(asMinistry("moh"), rebates("moh", name, "moh."+name)))
		}
		require.ErrorIs(t, submit(asMinistry("moh"), rebates("moh", "moh-more", "moh.more")), command.ErrManyProposals)
		require.NoError(t, submit(asMinistry("mto"), rebates("mto", "mto-rebates", "mto.rebates")), "another's do not count")
	})
}

func TestDraftsAreTheirMinistrysAlone(t *testing.T) {
	t.Parallel()
	onBothStores(t, production, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		require.NoError(t, b.command.KeepDraft(ctx, "moh", "a", []byte("first")))
		require.NoError(t, b.command.KeepDraft(ctx, "moh", "a", []byte("second")))
		require.NoError(t, b.command.KeepDraft(ctx, "mohx", "a", []byte("another's")))
		d, ok, err := b.command.Draft(ctx, "moh", "a")
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, "second", string(d.Text))
		require.False(t, d.At.IsZero())
		_, ok, err = b.command.Draft(ctx, "mo", "ha")
		require.NoError(t, err)
		require.False(t, ok)
		require.ErrorIs(t, b.command.KeepDraft(ctx, "moh", "b", make([]byte, 32<<10+1)), command.ErrDraft)
		for i := range command.MaxDrafts - 1 {
			require.NoError(t, b.command.KeepDraft(ctx, "moh", fmt.Sprint(i), []byte("x")))
		}
		require.ErrorIs(t, b.command.KeepDraft(ctx, "moh", "b", []byte("x")), command.ErrDraft)
		require.NoError(t, b.command.KeepDraft(ctx, "moh", "a", nil))
		all, err := b.command.Drafts(ctx, "moh")
		require.NoError(t, err)
		require.Len(t, all, command.MaxDrafts-1)
		all, err = b.command.Drafts(ctx, "mohx")
		require.NoError(t, err)
		require.Len(t, all, 1)
	})
}
