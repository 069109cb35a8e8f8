package command_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

var allClasses = []eventstore.Class{eventstore.Facts, eventstore.Evidence, eventstore.AccessTrail, eventstore.Contact}

func asCitizen(id citizen.ID) command.Command {
	return by(journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: uuid.UUID(id)})
}

func TestErasureTakesWhatMayGoAndNamesTheRest(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{Clock: fixedClock}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		ids, err := b.journal.Register(ctx, "test", "a reference")
		require.NoError(t, err)
		_, err = b.command.Tell(ctx, by(source), ids[0], person(t, b.journal))
		require.NoError(t, err)
		_, err = b.command.Tell(ctx, by(source), ids[0], address(t, b.journal, "1 Canary St"))
		require.NoError(t, err)
		other := b.resident(t)

		c := asCitizen(ids[0])
		e, err := b.command.Erase(ctx, c, ids[0])
		require.NoError(t, err)
		require.Equal(t, []eventstore.Class{eventstore.Facts}, e.Erased.Classes)
		require.Equal(t, []journal.Kept{
			{Class: eventstore.Evidence, Law: "retention", Until: "2033-03-01"}, {Class: eventstore.AccessTrail, Law: "retention", Until: "2028-03-01"},
			{Class: eventstore.Contact, Law: "retention", Until: "2028-03-01"},
		}, e.Erased.Kept)
		require.Len(t, e.Keys, 2, "the facts' key and the secret of the pairwise ids")

		history := b.history(t, ids[0])
		var types []string
		for _, entry := range history {
			types = append(types, entry.Type)
			require.Equal(t, entry.Class == eventstore.Facts, entry.IsErased(), entry.Type)
		}
		require.Equal(t, []string{
			"person-registered", "decided", "address-changed", "decided", "erased", "keys-destroyed", "keys-destroyed",
		}, types)
		_, err = b.journal.Pairwise(ctx, "moh", 1, ids[0])
		require.ErrorIs(t, err, seal.ErrDestroyed)
		found, err := b.journal.Reference(ctx, "test", "a reference")
		require.NoError(t, err)
		require.True(t, found[0].IsZero(), "the reference leads nowhere")

		again, err := b.command.Erase(ctx, c, ids[0])
		require.NoError(t, err)
		require.True(t, again.Repeated)
		require.Equal(t, e.Keys, again.Keys)
		require.Equal(t, e.Position, again.Position)
		require.Len(t, b.history(t, ids[0]), len(history), "a repeat appends nothing")
		b.refused(t, citizen.CodeAlreadyErased, "-", func() error {
			_, err := b.command.Erase(ctx, asCitizen(ids[0]), ids[0])
			return err
		})
		_, err = b.command.Erase(ctx, asCitizen(ids[0]), other)
		require.ErrorIs(t, err, command.ErrForbidden)
		for _, entry := range b.history(t, other) {
			require.NoError(t, entry.Err, "nobody else's key is touched")
		}
	})
}

func fixedClock() time.Time { return time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC) }

func TestNobodyUnknownIsErased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := citizen.ID(uuid.New())
	b.refused(t, citizen.CodeUnknownPerson, "/person", func() error {
		_, err := b.command.Erase(context.Background(), asCitizen(id), id)
		return err
	})
}

// The process dies after the event and before the keys: the follower finishes it, once, whoever runs it.
func TestTheEraserFinishesWhatACrashCutOff(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{Clock: fixedClock}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		id := b.resident(t)
		_, err := b.journal.Append(ctx, journal.Step{Events: []journal.New{{
			Event:     journal.Erased{Classes: []eventstore.Class{eventstore.Facts}},
			Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause,
		}}})
		require.NoError(t, err)
		require.NoError(t, b.history(t, id)[0].Err, "nothing has destroyed the key yet")
		for range 2 {
			_, err = b.journal.CatchUp(ctx, b.command.Eraser(), b.head(t)+1)
			require.NoError(t, err)
			require.True(t, b.history(t, id)[0].IsErased())
		}
		history := b.history(t, id)
		require.NoError(t, b.journal.Rebuild(ctx, b.command.Eraser(), nil), "as after a restore")
		require.Len(t, b.history(t, id), len(history))
	})
}

func TestALegalHoldKeeps(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{Clock: fixedClock}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		id := b.resident(t)
		hold := journal.LegalHoldSet{Authority: "Invented Court 12-3", Classes: []eventstore.Class{eventstore.Facts}, Until: "2026-03-01"}
		_, err := b.command.Hold(ctx, asCitizen(id), id, hold)
		require.ErrorIs(t, err, command.ErrForbidden)
		for pointer, wrong := range map[string]journal.LegalHoldSet{
			"/data/authority": {Classes: allClasses}, "/data/classes": {Authority: "x"},
			"/data/until": {Authority: "x", Classes: allClasses, Until: "2026-02-28"},
		} {
			b.refused(t, citizen.CodeSchema, pointer, func() error { _, err := b.command.Hold(ctx, asOfficer("a"), id, wrong); return err })
		}
		b.refused(t, citizen.CodeSchema, "/data/classes", func() error {
			_, err := b.command.Hold(ctx, asOfficer("a"), id, journal.LegalHoldSet{Authority: "x", Classes: []eventstore.Class{eventstore.IdentityTie}})
			return err
		})
		_, err = b.command.Hold(ctx, asOfficer("a"), id, hold)
		require.NoError(t, err)
		b.refused(t, citizen.CodeLegalHold, "-", func() error { _, err := b.command.Erase(ctx, asCitizen(id), id); return err })
		b.refused(t, citizen.CodeNoSuchHold, "/data/authority", func() error {
			_, err := b.command.LiftHold(ctx, asOfficer("a"), id, "another")
			return err
		})
		_, err = b.command.Hold(ctx, asOfficer("a"), id, journal.LegalHoldSet{Authority: "b", Classes: []eventstore.Class{eventstore.Evidence}})
		require.NoError(t, err)
		_, err = b.command.LiftHold(ctx, asOfficer("a"), id, hold.Authority)
		require.NoError(t, err)
		e, err := b.command.Erase(ctx, asCitizen(id), id)
		require.NoError(t, err)
		require.Equal(t, journal.Kept{Class: eventstore.Evidence, Law: "legal-hold"}, e.Erased.Kept[0])
	})
}

func TestWhatIsKeptGoesOnItsDay(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{Clock: fixedClock}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		gone, held, dead, revived := b.resident(t), b.resident(t), b.resident(t), b.resident(t)
		_, err := b.command.Hold(ctx, asOfficer("a"), held, journal.LegalHoldSet{Authority: "b", Classes: []eventstore.Class{eventstore.Evidence}})
		require.NoError(t, err)
		for _, id := range []citizen.ID{gone, held} {
			_, err = b.command.Erase(ctx, asCitizen(id), id)
			require.NoError(t, err)
		}
		for _, id := range []citizen.ID{dead, revived} {
			_, err = b.command.Tell(ctx, by(journal.Actor{Kind: journal.ActorRegistrar, ID: "r"}), id, death(t, b.journal))
			require.NoError(t, err)
		}
		_, err = b.journal.Append(ctx, journal.Step{Events: []journal.New{{
			Event: journal.DeathCorrected{Corrects: 1}, Aggregate: journal.CitizenAggregate(revived), Subject: revived, Cause: eventstore.NoCause,
		}}})
		require.NoError(t, err)
		sweepAt := func(day string) int {
			at, err := time.Parse(time.RFC3339, day+"T17:00:00Z")
			require.NoError(t, err)
			_, err = b.journal.Append(ctx, journal.Step{Timing: journal.Timing{At: at}, Events: []journal.New{{
				Event: journal.AccessRefused{Route: "r", Status: 404}, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause,
			}}})
			require.NoError(t, err)
			n, err := b.command.Retention().Sweep(ctx)
			require.NoError(t, err)
			return n
		}
		erased := func(id citizen.ID, class eventstore.Class) bool {
			for _, e := range b.history(t, id) {
				if event, ok := e.Event.(journal.KeysDestroyed); ok && event.Class == class {
					return true
				}
			}
			return false
		}
		require.Zero(t, sweepAt("2028-03-01"), "the last day is a day on which it is kept")
		require.Equal(t, 4, sweepAt("2028-03-02"), "accesses and contact of the two")
		require.Equal(t, 1, sweepAt("2033-03-02"), "evidence of the one who is not held")
		require.True(t, erased(gone, eventstore.Evidence))
		require.False(t, erased(held, eventstore.Evidence))
		require.False(t, erased(dead, eventstore.Facts))
		require.Equal(t, 1, sweepAt("2036-03-02"), "facts, ten years after the death that stands")
		require.True(t, erased(dead, eventstore.Facts))
		require.False(t, erased(revived, eventstore.Facts))
		require.Zero(t, sweepAt("2036-03-03"))
		_, err = b.command.LiftHold(ctx, asOfficer("a"), held, "b")
		require.NoError(t, err)
		require.Equal(t, 1, sweepAt("2036-03-04"), "once the hold is lifted")
		require.NoError(t, b.journal.Rebuild(ctx, b.command.Retention(), nil))
		require.Zero(t, sweepAt("2036-03-05"))
	})
}

// After an erasure nothing that the hub can read holds what was told: not the files, and no key that would open them.
func TestACanaryIsGoneAfterErasure(t *testing.T) {
	t.Parallel()
	data, keyDir := filepath.Join(t.TempDir(), "data"), t.TempDir()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: data})
	require.NoError(t, err)
	keys, err := sqlite.OpenKeys(ctx, keyDir)
	require.NoError(t, err)
	j := journaltest.Begin(t, journaltest.Options{}, store, keys)
	b := &bundle{journal: j, command: command.New(j)}
	id := b.resident(t)
	_, err = b.command.Tell(ctx, by(source), id, address(t, j, "7 Zanzibarcanary Street"))
	require.NoError(t, err)
	stored, err := keys.Keys(ctx, seal.KeyID{Subject: uuid.UUID(id), Class: eventstore.Facts})
	require.NoError(t, err)
	require.NotEmpty(t, stored[0].Wrapped)
	_, err = b.command.Erase(ctx, asCitizen(id), id)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	require.NoError(t, keys.Close())
	for _, dir := range []string{data, keyDir} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.False(t, bytes.Contains(content, []byte("Zanzibarcanary")), path)
			require.False(t, bytes.Contains(content, stored[0].Wrapped), "%s still holds the key, wrapped", path)
			return nil
		}))
	}
}
