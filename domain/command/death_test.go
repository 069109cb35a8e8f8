package command_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// named registers someone new of a name.
func (b *bundle) named(t testing.TB, given string) citizen.ID {
	t.Helper()
	ids, err := b.journal.Register(context.Background(), "test", uuid.NewString())
	require.NoError(t, err)
	data := map[string]any{"given_names": given, "family_name": "Person", "birth_date": "1950-02-03", "language": "en"}
	b.told(t, source, ids[0], fact(t, b.journal, "person-registered", data))
	return ids[0]
}

func identity(given string) citizen.Identity {
	return citizen.Identity{GivenNames: given, FamilyName: "Person", BirthDate: "1950-02-03"}
}

func report(t testing.TB, b *bundle) command.Change {
	t.Helper()
	return fact(t, b.journal, "death-reported", map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"})
}

// queue is what a registrar sees waiting.
func (b *bundle) queue(t testing.TB) []audit.ReportedDeath {
	t.Helper()
	reports, err := audit.New(b.journal).ReportedDeaths(context.Background(), registrar, journal.IssuerAPI, audit.Look{Reason: "daily queue"})
	require.NoError(t, err)
	return reports
}

// TestAResidentReportsADeath of whoever they name exactly; whether there is somebody shows in nothing.
func TestAResidentReportsADeath(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		me, relative := b.named(t, "Ann"), b.named(t, "Ben")
		b.named(t, "Twin")
		b.named(t, "Twin")
		hidden := b.named(t, "Hidden")
		_, err := b.command.Restrict(ctx, by(protector), hidden, command.Restricting{Kind: journal.RestrictionViolence, Reason: "a threat"})
		require.NoError(t, err)
		for name, test := range map[string]struct {
			who   citizen.Identity
			about citizen.ID // whose report it becomes
		}{
			"nobody":           {who: identity("No One")},
			"two of that name": {who: identity("Twin")},
			"oneself":          {who: identity("Ann")},
			"a protected one":  {who: identity("Hidden")},
			"almost":           {who: identity("ben")},
			"another day":      {who: citizen.Identity{GivenNames: "Ben", FamilyName: "Person", BirthDate: "1950-03-02"}},
			"a relative":       {who: identity(" Ben "), about: relative},
		} {
			t.Run(name, func(t *testing.T) {
				before, c := b.head(t), by(self(me))
				require.NoError(t, b.command.ReportDeath(ctx, c, test.who, report(t, b)))
				appended := b.head(t) - before
				if test.about.IsZero() {
					require.Equal(t, int64(1), appended)
					entries, err := b.journal.Read(ctx, b.head(t))
					require.NoError(t, err)
					require.Equal(t, journal.TypeAccessed, entries[0].Type)
					require.Equal(t, uuid.Nil, entries[0].Subject)
				} else {
					require.Equal(t, int64(2), appended, "with its decided")
					entries := b.last(t, test.about, 2)
					require.Equal(t, "death-reported", entries[0].Type)
					require.Equal(t, me.String(), entries[0].Meta.Actor)
				}
				before = b.head(t)
				require.NoError(t, b.command.ReportDeath(ctx, c, test.who, report(t, b)))
				require.Equal(t, before, b.head(t), "a repeat counts once")
				c.Content = []byte("other")
				require.EqualError(t, b.command.ReportDeath(ctx, c, test.who, report(t, b)), `command-reused at "/id"`)
			})
		}
		require.ErrorIs(t, b.command.ReportDeath(ctx, by(clerk), identity("Ben"), report(t, b)), command.ErrForbidden)
		states, err := b.journal.FreshStates(ctx, relative)
		require.NoError(t, err)
		require.False(t, states[0].Profile.Deceased, "it is held")
	})
}

// TestARegistrarDecidesOnReports: the queue holds what waits, each look at it is seen by the person, and what was decided is gone from it.
func TestARegistrarDecidesOnReports(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		ann, ben, cy, dee := b.named(t, "Ann"), b.named(t, "Ben"), b.named(t, "Cy"), b.named(t, "Dee")
		before := b.head(t)
		require.Empty(t, b.queue(t))
		require.Equal(t, before+1, b.head(t), "a look at nothing is a look")
		var receipts []string
		for _, id := range []citizen.ID{ann, ben, cy, ann, dee} {
			receipts = append(receipts, b.told(t, clerk, id, report(t, b)).Receipt)
		}
		_, err := b.command.Restrict(ctx, by(protector), dee, command.Restricting{Kind: journal.RestrictionViolence, Reason: "a threat"})
		require.NoError(t, err)

		before = b.head(t)
		queue := b.queue(t)
		require.Equal(t, before+3, b.head(t), "a look at each of three people")
		var got []string
		for _, r := range queue {
			got = append(got, r.Receipt)
		}
		require.Equal(t, receipts[:4], got, "the oldest first, and nobody who is protected")
		require.Equal(t, identity("Ben"), queue[1].Person)
		require.Equal(t, "2026-01-04", queue[1].DeathDate)
		require.Equal(t, "spouse", queue[1].ReportedBy)
		require.Equal(t, journal.ActorClerk, queue[1].By)
		looks, err := journal.NewTrail(b.journal).Accesses(ctx, ben)
		require.NoError(t, err)
		require.Len(t, looks, 1)

		c := by(registrar)
		died, err := b.command.ConfirmDeath(ctx, c, receipts[0])
		require.NoError(t, err)
		entries := b.last(t, ann, 2)
		require.Equal(t, died.Position, entries[0].Position)
		require.Equal(t, citizen.DeathRegistered, entries[0].Type)
		require.Equal(t, map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"}, entries[0].Event.(citizen.Change).Data)
		require.True(t, entries[0].Event.(citizen.Change).Verified)
		again, err := b.command.ConfirmDeath(ctx, c, receipts[0])
		require.NoError(t, err)
		require.Equal(t, died.Receipt, again.Receipt)
		c = by(registrar)
		dismissed, err := b.command.DismissDeath(ctx, c, receipts[1])
		require.NoError(t, err)
		again, err = b.command.DismissDeath(ctx, c, receipts[1])
		require.NoError(t, err)
		require.Equal(t, dismissed.Receipt, again.Receipt)
		queue = b.queue(t)
		require.Len(t, queue, 1, "both of Ann's are settled, and Ben's")
		require.Equal(t, receipts[2], queue[0].Receipt)
		b.rederives(t)

		moved := b.told(t, clerk, cy, address(t, b.journal, "1 First St")).Receipt
		for name, receipt := range map[string]string{"nothing": "000000000000", "no report": moved, "a protected person's": receipts[4], "empty": ""} {
			before := b.head(t)
			_, err := b.command.ConfirmDeath(ctx, by(registrar), receipt)
			require.ErrorIs(t, err, command.ErrNoReport, name)
			_, err = b.command.DismissDeath(ctx, by(registrar), receipt)
			require.ErrorIs(t, err, command.ErrNoReport, name)
			require.Equal(t, before, b.head(t))
		}
		for _, actor := range []journal.Actor{clerk, source, self(cy), protector, {}} {
			_, err := b.command.ConfirmDeath(ctx, by(actor), receipts[2])
			require.ErrorIs(t, err, command.ErrForbidden)
			_, err = b.command.DismissDeath(ctx, by(actor), receipts[2])
			require.ErrorIs(t, err, command.ErrForbidden)
			_, err = audit.New(b.journal).ReportedDeaths(ctx, actor, journal.IssuerAPI, audit.Look{Reason: "curious"})
			require.ErrorIs(t, err, audit.ErrForbidden)
		}
		_, err = audit.New(b.journal).ReportedDeaths(ctx, registrar, journal.IssuerAPI, audit.Look{Reason: " "})
		require.ErrorIs(t, err, audit.ErrReason)

		_, err = b.command.Erase(ctx, by(self(cy)), cy)
		require.NoError(t, err)
		require.Empty(t, b.queue(t), "nobody is left to decide on")
		entries, err = b.journal.Read(ctx, b.head(t))
		require.NoError(t, err)
		require.Equal(t, uuid.Nil, entries[0].Subject, "a look at nobody")
		require.NoError(t, b.journal.Rebuild(ctx, audit.NewDeaths(b.journal), nil))
		require.Empty(t, b.queue(t))
	})
}

// TestADeathThatWasPutRightIsTakenBackWhole: also the correction of its date, given or not yet given.
func TestADeathThatWasPutRightIsTakenBackWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load(t)
	ctx := context.Background()
	id := b.resident(t)
	_, err := b.command.Link(ctx, by(clerk), id, command.Linking{Ministry: "moh", ClientReference: "r", Means: "counter"})
	require.NoError(t, err)
	died := b.told(t, registrar, id, death(t, b.journal))
	right := fact(t, b.journal, "death-registered", map[string]any{"death_date": "2026-01-02", "reported_by": "spouse"})
	dated := b.told(t, registrar, id, correct(t, b, died.Position, right))
	b.told(t, registrar, id, lives(t, b, died.Position))
	states, err := b.journal.FreshStates(ctx, id)
	require.NoError(t, err)
	for _, position := range []int64{died.Position, dated.Position} {
		require.False(t, states[0].Stands(position))
	}
	page, err := b.delivery.Next(ctx, "moh.health-card", 0, 0, 100, 0)
	require.NoError(t, err)
	require.Empty(t, page.Messages, "nothing of it was given, and nothing is")

	died = b.told(t, registrar, id, death(t, b.journal))
	dated = b.told(t, registrar, id, correct(t, b, died.Position, right))
	page, err = b.delivery.Next(ctx, "moh.health-card", 0, 0, 100, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	taken := b.told(t, registrar, id, lives(t, b, died.Position))
	page, err = b.delivery.Next(ctx, "moh.health-card", 0, 1, 100, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	given, err := journal.NewTrail(b.journal).Given(ctx, id)
	require.NoError(t, err)
	require.Len(t, given, 2)
	require.Equal(t, dated.Position, given[0].Item.Position)
	require.Equal(t, "retracted", given[1].Item.Kind)
	require.Equal(t, taken.Position, given[1].Item.Position)
	require.Equal(t, int64(1), given[1].Item.Corrects)
}
