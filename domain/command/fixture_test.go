package command_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// source is the caller of most tests: it may tell anything about anyone.
var source = journal.Actor{Kind: journal.ActorSource, ID: "test", Source: "test"}

func by(actor journal.Actor) command.Command {
	return command.Command{ID: uuid.NewString(), Scope: "test", Content: []byte("content"), Actor: actor, Issuer: journal.IssuerAPI, Channel: journal.ChannelWeb}
}

func parseAgreement(t testing.TB, j *journal.Journal, name string, edit ...string) consent.Agreement {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/agreements", name+".yaml"))
	require.NoError(t, err)
	edited := strings.NewReplacer(edit...).Replace(string(text))
	a, err := schemas.ParseAgreement(name+".yaml", []byte(edited), j.Registry())
	require.NoError(t, err)
	return a
}

func fact(t testing.TB, j *journal.Journal, eventType string, data map[string]any) command.Change {
	t.Helper()
	normalised, canonical, problems := j.Registry().Validate(eventType, data)
	require.Empty(t, problems)
	return command.Change{Type: eventType, Effective: "2026-01-05", Data: normalised, Canonical: canonical}
}

func address(t testing.TB, j *journal.Journal, street string) command.Change {
	t.Helper()
	return fact(t, j, "address-changed", map[string]any{
		"kind": "home", "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
}

func person(t testing.TB, j *journal.Journal) command.Change {
	t.Helper()
	return fact(t, j, "person-registered", map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"})
}

func death(t testing.TB, j *journal.Journal) command.Change {
	t.Helper()
	return fact(t, j, "death-registered", map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"})
}

// resident registers someone new.
func (b *bundle) resident(t testing.TB) citizen.ID {
	t.Helper()
	ids, err := b.journal.Register(context.Background(), "test", uuid.NewString())
	require.NoError(t, err)
	_, err = b.command.Tell(context.Background(), by(source), ids[0], person(t, b.journal))
	require.NoError(t, err)
	return ids[0]
}

func (b *bundle) history(t testing.TB, id citizen.ID) []journal.Entry {
	t.Helper()
	entries, err := b.journal.ReadAggregate(context.Background(), journal.CitizenAggregate(id), 1, 0)
	require.NoError(t, err)
	return entries
}

func (b *bundle) head(t testing.TB) int64 {
	t.Helper()
	head, err := b.journal.Head(context.Background())
	require.NoError(t, err)
	return head.Position
}

// refused requires a rejection with a code at a pointer ("-": none), and that nothing was appended.
func (b *bundle) refused(t testing.TB, code, pointer string, ask func() error) {
	t.Helper()
	before := b.head(t)
	var rejection *citizen.Rejection
	require.ErrorAs(t, ask(), &rejection)
	require.Equal(t, code, rejection.Code)
	if pointer == "-" {
		require.Nil(t, rejection.Pointer)
	} else {
		require.NotNil(t, rejection.Pointer)
		require.Equal(t, pointer, *rejection.Pointer)
	}
	require.Equal(t, before, b.head(t), "a refused command appends nothing")
}

func shared(decisions []journal.Decision) []string {
	var out []string
	for _, d := range decisions {
		if d.Reason == consent.None {
			out = append(out, d.Agreement)
		}
	}
	return out
}
