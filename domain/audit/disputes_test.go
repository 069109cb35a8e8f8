package audit_test

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

// TestOpenDisputes: the list says what waits, each person shown has a look on the log before it, and nobody who is hidden is in it.
func TestOpenDisputes(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		ctx, h, a := context.Background(), command.New(j), audit.New(j)
		officer := journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "officer-1"}
		protector := journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "protector-1"}
		look := audit.Look{Reason: "The week's disputes"}
		var people []citizen.ID
		var opened []int64
		for range 2 {
			ids, err := j.Register(ctx, "test", uuid.NewString())
			require.NoError(t, err)
			data := map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"}
			by := func(actor journal.Actor) command.Command {
				return command.Command{Actor: actor, Issuer: journal.IssuerAPI}
			}
			_, err = h.Tell(ctx, by(journal.Actor{Kind: journal.ActorSource}), ids[0], command.Change{Type: citizen.PersonRegistered, Effective: "2026-01-05", Data: data})
			require.NoError(t, err)
			self := journal.Actor{Kind: journal.ActorResident, Citizen: uuid.UUID(ids[0])}
			told, err := h.Tell(ctx, by(self), ids[0], command.Change{Type: citizen.ContactChanged, Effective: "2026-01-05", Data: map[string]any{"email": "a@example.ca"}})
			require.NoError(t, err)
			d, err := h.OpenDispute(ctx, by(self), ids[0], command.Disputing{About: told.Position, Text: "Not me"})
			require.NoError(t, err)
			people, opened = append(people, ids[0]), append(opened, d.Position)
		}
		before, err := j.Head(ctx)
		require.NoError(t, err)
		list, err := a.OpenDisputes(ctx, officer, journal.IssuerAPI, look)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, people[0], list[0].Citizen)
		require.Equal(t, opened[0], list[0].Position)
		require.Equal(t, citizen.ContactChanged, list[0].AboutType)
		require.Equal(t, "Not me", list[0].Text)
		require.False(t, list[0].ByLink)
		looks, err := j.Store().ReadAll(ctx, before.Position+1, 10)
		require.NoError(t, err)
		require.Len(t, looks, 2, "one for each person")
		for i := range looks {
			require.Equal(t, journal.TypeAccessed, looks[i].Type)
			require.Equal(t, uuid.UUID(people[i]), looks[i].Subject)
		}
		_, err = a.OpenDisputes(ctx, officer, journal.IssuerAPI, audit.Look{})
		require.ErrorIs(t, err, audit.ErrReason)
		_, err = a.OpenDisputes(ctx, journal.Actor{Kind: journal.ActorClerk}, journal.IssuerAPI, look)
		require.ErrorIs(t, err, audit.ErrForbidden)

		_, err = h.AnswerDispute(ctx, command.Command{Actor: officer, Issuer: journal.IssuerAPI}, opened[0], journal.DisputeUpheld, "It was not you")
		require.NoError(t, err)
		_, err = h.Restrict(ctx, command.Command{Actor: protector, Issuer: journal.IssuerAPI}, people[1], command.Restricting{Kind: journal.RestrictionViolence, Reason: "Danger"})
		require.NoError(t, err)
		list, err = a.OpenDisputes(ctx, officer, journal.IssuerAPI, look)
		require.NoError(t, err)
		require.Empty(t, list)
		list, err = a.OpenDisputes(ctx, protector, journal.IssuerAPI, look)
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}
