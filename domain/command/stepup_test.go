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

// TestWhatNeedsAStrongLogIn: by the registry's row, for residents alone; a correction as the fact that it corrects.
func TestWhatNeedsAStrongLogIn(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id := b.resident(t)
		with := func(acr int) journal.Actor { a := self(id); a.ACR = acr; return a }
		needs := func(change command.Change, acr int) {
			t.Helper()
			var weak *command.WeakLogin
			_, err := b.command.Preview(ctx, with(1), id, change)
			if acr == 1 {
				require.NoError(t, err)
				return
			}
			require.ErrorAs(t, err, &weak)
			require.Equal(t, acr, weak.ACR)
			_, err = b.command.Tell(ctx, by(with(1)), id, change)
			require.ErrorAs(t, err, &weak)
			for _, actor := range []journal.Actor{with(2), with(0), clerk} {
				_, err = b.command.Preview(ctx, actor, id, change)
				require.NoError(t, err)
			}
		}
		name := fact(t, b.journal, "name-changed", map[string]any{"given_names": "Zoë", "family_name": "Łapointe", "reason": "marriage"})
		needs(address(t, b.journal, "1 First St"), 1)
		needs(fact(t, b.journal, "language-changed", map[string]any{"language": "fr"}), 1)
		needs(name, 2)
		needs(fact(t, b.journal, "marital-status-changed", map[string]any{"status": "married"}), 2)

		home, called := b.told(t, clerk, id, address(t, b.journal, "1 First St")), b.told(t, clerk, id, name)
		needs(cancel(t, b, home.Position), 1)
		needs(cancel(t, b, called.Position), 2)
		needs(correct(t, b, called.Position, name), 2)

		// What stands at somebody else's position is not seen by the answer.
		other := b.resident(t)
		theirs, nothing := b.told(t, clerk, other, name), b.told(t, clerk, other, address(t, b.journal, "2 Second St"))
		for _, position := range []int64{theirs.Position, nothing.Position, 1 << 40} {
			var rejection *citizen.Rejection
			_, err := b.command.Preview(ctx, with(1), id, cancel(t, b, position))
			require.ErrorAs(t, err, &rejection)
			require.Equal(t, citizen.CodeNotYourChange, rejection.Code)
			var weak *command.WeakLogin
			for _, someone := range []citizen.ID{other, citizen.ID(uuid.New())} {
				_, err = b.command.Preview(ctx, with(1), someone, cancel(t, b, position))
				require.ErrorAs(t, err, &weak, "for somebody else it is always two factors")
			}
		}
		var weak *command.WeakLogin
		require.ErrorAs(t, b.command.ReportDeath(ctx, by(with(1)), identity("Ben"), report(t, b)), &weak)
		require.NoError(t, b.command.ReportDeath(ctx, by(with(2)), identity("Ben"), report(t, b)))
	})
}
