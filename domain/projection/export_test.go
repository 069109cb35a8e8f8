package projection_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

func TestTheExportIsEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.command.Grant(b.ctx, b.as(journal.ActorSource), b.citizen, command.Choice{Agreement: "library-membership", Language: "fr"})
	require.NoError(t, err)
	b.move(b.citizen, "home", "1 Exported St")
	b.move(b.other, "home", "2 Secret St")
	_, err = b.command.Withdraw(b.ctx, b.as(journal.ActorSource), b.citizen, "library-membership")
	require.NoError(t, err)
	b.move(b.citizen, "home", "3 Exported St")
	b.read()
	officer := journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "o"}
	_, err = b.command.Hold(b.ctx, command.Command{Actor: officer}, b.citizen, journal.LegalHoldSet{Authority: "A secret court", Classes: []eventstore.Class{eventstore.Evidence}})
	require.NoError(t, err)
	_, err = audit.New(b.journal).Open(b.ctx, officer, journal.IssuerAPI, audit.Look{Kind: "timeline", Reason: "A complaint", Subject: b.citizen})
	require.NoError(t, err)

	e, err := b.projection.Export(b.ctx, b.citizen)
	require.NoError(t, err)
	entries, err := b.journal.ReadAggregate(b.ctx, journal.CitizenAggregate(b.citizen), 1, 0)
	require.NoError(t, err)
	require.Len(t, e.Records, len(entries), "every record about the person is in it")
	var sentences []string
	for _, r := range e.Records {
		require.NotEqual(t, r.Type, r.Label.EN, "each has a name that people understand")
		require.NotEqual(t, r.Label.EN, "")
		for _, d := range r.Decisions {
			sentences = append(sentences, d.Explain.EN, d.Explain.FR)
		}
	}
	require.Contains(t, sentences, "You said no to “Public library”.")
	require.Contains(t, sentences, "Vous avez dit non à «\u00a0Bibliothèque publique\u00a0».")
	require.Len(t, e.Looks, 1)
	require.Equal(t, "A complaint", e.Looks[0].Reason)
	require.NotEmpty(t, e.Given)
	require.Equal(t, "moh", e.Given[0].Ministry)
	require.Equal(t, consent.Text{EN: "Address", FR: "Adresse"}, e.Given[0].Label)
	require.Len(t, e.Kept, 4)

	written, err := json.Marshal(e)
	require.NoError(t, err)
	require.Contains(t, string(written), "3 Exported St")
	require.NotContains(t, string(written), "2 Secret St", "nothing of anybody else")
	require.NotContains(t, string(written), "A secret court", "that an order stands is said, not whose")

	erased, err := b.projection.Erasure(b.ctx, b.citizen)
	require.NoError(t, err)
	require.Nil(t, erased)
	_, err = b.command.Erase(b.ctx, b.as(journal.ActorRegistrar), b.citizen)
	require.NoError(t, err)
	erased, err = b.projection.Erasure(b.ctx, b.citizen)
	require.NoError(t, err)
	require.Equal(t, []eventstore.Class{eventstore.Facts}, erased.Classes)
	require.Equal(t, "legal-hold", erased.Kept[0].Law)
	e, err = b.projection.Export(b.ctx, b.citizen)
	require.NoError(t, err)
	written, err = json.Marshal(e)
	require.NoError(t, err)
	require.False(t, strings.Contains(string(written), "Exported St"), "what was erased is not in it any more")
}
