package command_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// TestNothingIsToldInAFrozenName walks every way in, by everybody: what is in the citizen's name is refused, the rest is not.
func TestNothingIsToldInAFrozenName(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx, j := context.Background(), b.journal
		b.load(t)
		id, attorney, other := b.bornOn(t, "1980-05-17"), b.bornOn(t, "1975-01-01"), b.bornOn(t, "1970-01-01")
		b.proxied(t, registrar, id, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney})
		b.proxied(t, registrar, other, command.Proxying{Proxy: id, Kind: journal.ProxyAttorney})
		for _, agreement := range []string{"library-membership", "outdoors-card"} {
			_, err := b.command.Grant(ctx, by(self(id)), id, command.Choice{Agreement: agreement, Language: "en"})
			require.NoError(t, err)
		}
		told, err := b.command.Tell(ctx, by(self(id)), id, address(t, j, "1 First St"))
		require.NoError(t, err)
		_, err = b.command.Freeze(ctx, by(officer), id, "They called")
		require.NoError(t, err)
		b.refused(t, citizen.CodeFrozen, "/person", func() error {
			_, err := b.command.Freeze(ctx, by(officer), id, "Again")
			return err
		})

		ways := map[string]func(c command.Command) error{
			"tell": func(c command.Command) error {
				_, err := b.command.Tell(ctx, c, id, address(t, j, "2 Second St"))
				return err
			},
			"grant": func(c command.Command) error {
				_, err := b.command.Grant(ctx, c, id, command.Choice{Agreement: "outdoors-card", Language: "en"})
				return err
			},
			"link": func(c command.Command) error {
				_, err := b.command.Link(ctx, c, id, command.Linking{Ministry: "moh", ClientReference: "1", Means: "sign-in"})
				return err
			},
			"cancel": func(c command.Command) error {
				_, err := b.command.Tell(ctx, c, id, command.Change{Type: journal.TypeChangeCancelled, Effective: "2026-01-05", Data: map[string]any{"corrects": told.Position}})
				return err
			},
			"preference": func(c command.Command) error {
				_, err := b.command.Tell(ctx, c, id, fact(t, j, citizen.NoticePreference, map[string]any{"channel": "letter"}))
				return err
			},
		}
		for name, ask := range ways {
			for _, actor := range []journal.Actor{self(id), self(attorney), clerk, source} {
				c := by(actor)
				if name == "cancel" && actor.Kind == journal.ActorSource {
					continue
				}
				b.refused(t, citizen.CodeFrozen, "/person", func() error { return ask(c) })
			}
		}
		b.refused(t, citizen.CodeFrozen, "/person", func() error {
			_, err := b.command.Preview(ctx, self(id), id, address(t, j, "2 Second St"))
			return err
		})
		b.refused(t, citizen.CodeFrozen, "/person", func() error {
			_, err := b.command.Erase(ctx, by(self(id)), id)
			return err
		})
		b.refused(t, citizen.CodeFrozen, "/person", func() error { // who got into their account acts as them for others, too
			_, err := b.command.Tell(ctx, by(self(id)), other, address(t, j, "2 Second St"))
			return err
		})
		line := importLine(t, j, b, id)
		require.Equal(t, citizen.CodeFrozen, line.Reason)

		_, err = b.command.Withdraw(ctx, by(self(id)), id, "library-membership")
		require.NoError(t, err, "one can always withdraw")
		_, err = b.command.OpenDispute(ctx, by(self(id)), id, command.Disputing{About: told.Position})
		require.NoError(t, err, "and object")
		_, err = b.command.EndProxy(ctx, by(self(id)), id, attorney)
		require.NoError(t, err, "and take a power back")
		_, err = b.command.Tell(ctx, by(clerk), id, fact(t, j, citizen.DeathReported, map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"}))
		require.NoError(t, err, "a death is not told in their name")
		_, err = b.command.Tell(ctx, by(registrar), id, address(t, j, "3 Third St"))
		require.NoError(t, err, "the registrar acts by their own authority")

		for _, actor := range []journal.Actor{self(id), clerk, source, operator} {
			_, err := b.command.Unfreeze(ctx, by(actor), id, "Please")
			require.ErrorIs(t, err, command.ErrForbidden)
		}
		b.refused(t, citizen.CodeSchema, "/data/reason", func() error {
			_, err := b.command.Unfreeze(ctx, by(officer), id, " ")
			return err
		})
		_, err = b.command.Unfreeze(ctx, by(registrar), id, "They came with two documents")
		require.NoError(t, err)
		b.refused(t, citizen.CodeNotFrozen, "/person", func() error {
			_, err := b.command.Unfreeze(ctx, by(officer), id, "Again")
			return err
		})
		_, err = b.command.Tell(ctx, by(self(id)), id, address(t, j, "4 Fourth St"))
		require.NoError(t, err)
	})
}

// importLine imports one change of an address of somebody.
func importLine(t *testing.T, j *journal.Journal, b *bundle, id citizen.ID) command.LineResult {
	t.Helper()
	ctx := context.Background()
	_, err := journal.NewProtection(j).Refer(ctx, source, journal.SourceReference{Source: "import", Reference: "frozen-1"}, id)
	require.NoError(t, err)
	line := `{"id":"` + uuid.NewString() + `","person":"frozen-1","channel":"web","type":"address-changed","told_at":"2026-01-05T12:00:00Z","effective":"2026-01-05","data":` +
		`{"kind":"home","street":"9 Ninth St","city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}}` + "\n"
	var out []command.LineResult
	keep := func(r command.LineResult) error { out = append(out, r); return nil }
	require.NoError(t, b.command.Import(ctx, bytes.NewReader([]byte(line)), command.ImportOptions{Source: "import"}, keep, func() error { return nil }))
	require.Len(t, out, 1)
	return out[0]
}

// TestALinkWorksOnce: it freezes and opens a dispute in one append, whoever follows it again gets the first result, and it never freezes
// anew what an officer let go on.
func TestALinkWorksOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	j := journaltest.New(t, journaltest.Options{Clock: clock})
	b := &bundle{journal: j, command: command.New(j)}
	ctx, id := context.Background(), b.resident(t)
	told, err := b.command.Tell(ctx, by(self(id)), id, fact(t, b.journal, citizen.ContactChanged, map[string]any{"email": "a@example.ca"}))
	require.NoError(t, err)
	token, err := b.journal.NoticeLink(told.Position)
	require.NoError(t, err)
	again, err := b.journal.NoticeLink(told.Position)
	require.NoError(t, err)

	before := b.head(t)
	link, err := b.command.ReadLink(ctx, token)
	require.NoError(t, err)
	require.False(t, link.Used)
	require.Equal(t, told.Position, link.Change.Position)
	require.Equal(t, before, b.head(t), "reading changes nothing")

	first, err := b.command.NotMe(ctx, journal.IssuerPages, token)
	require.NoError(t, err)
	require.Equal(t, before+2, b.head(t))
	entries := b.history(t, id)
	require.Equal(t, journal.Frozen{Scope: journal.FrozenChanges, Why: journal.FrozenByNotice}, entries[len(entries)-2].Event)
	require.Equal(t, journal.DisputeOpened{About: told.Position}, entries[len(entries)-1].Event)
	require.Equal(t, told.Position, entries[len(entries)-1].Cause)
	require.Equal(t, before+1, b.state(t, id).Frozen)

	_, err = b.command.Unfreeze(ctx, by(officer), id, "It was them")
	require.NoError(t, err)
	head := b.head(t)
	for _, token := range []string{token, again} {
		repeated, err := b.command.NotMe(ctx, journal.IssuerPages, token)
		require.NoError(t, err)
		require.True(t, repeated.Repeated)
		require.Equal(t, first.Position, repeated.Position)
	}
	require.Equal(t, head, b.head(t))
	require.Zero(t, b.state(t, id).Frozen)
	link, err = b.command.ReadLink(ctx, token)
	require.NoError(t, err)
	require.True(t, link.Used)

	for _, bad := range []string{"", "x", token[1:], token + "A", token[:10] + "A" + token[11:]} {
		_, err := b.command.NotMe(ctx, journal.IssuerPages, bad)
		require.ErrorIs(t, err, command.ErrLink, bad)
	}
	now = now.Add(journal.LinkLife + time.Minute)
	_, err = b.command.ReadLink(ctx, token)
	require.ErrorIs(t, err, command.ErrLink, "it has expired")
}

// TestDisputes: a citizen objects to what is theirs, an officer answers once.
func TestDisputes(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx, j := context.Background(), b.journal
		id, other := b.resident(t), b.resident(t)
		told, err := b.command.Tell(ctx, by(self(id)), id, address(t, j, "1 First St"))
		require.NoError(t, err)
		for _, position := range []int64{0, told.Position + 1000} {
			b.refused(t, citizen.CodeNotYourChange, "/data/about", func() error {
				_, err := b.command.OpenDispute(ctx, by(self(id)), id, command.Disputing{About: position})
				return err
			})
		}
		b.refused(t, citizen.CodeNotYourChange, "/data/about", func() error {
			_, err := b.command.OpenDispute(ctx, by(self(other)), other, command.Disputing{About: told.Position})
			return err
		})
		_, err = b.command.OpenDispute(ctx, by(clerk), id, command.Disputing{About: told.Position})
		require.ErrorIs(t, err, command.ErrForbidden)
		opened, err := b.command.OpenDispute(ctx, by(self(id)), id, command.Disputing{About: told.Position, Text: " It was not me. "})
		require.NoError(t, err)

		_, err = b.command.AnswerDispute(ctx, by(self(id)), opened.Position, journal.DisputeUpheld, "Yes")
		require.ErrorIs(t, err, command.ErrForbidden)
		for _, position := range []int64{0, told.Position, opened.Position + 1000} {
			b.refused(t, citizen.CodeNoDispute, "-", func() error {
				_, err := b.command.AnswerDispute(ctx, by(officer), position, journal.DisputeUpheld, "Yes")
				return err
			})
		}
		b.refused(t, citizen.CodeSchema, "/data/outcome", func() error {
			_, err := b.command.AnswerDispute(ctx, by(officer), opened.Position, "maybe", "Yes")
			return err
		})
		b.refused(t, citizen.CodeSchema, "/data/text", func() error {
			_, err := b.command.AnswerDispute(ctx, by(officer), opened.Position, journal.DisputeUpheld, "")
			return err
		})
		c := by(officer)
		answered, err := b.command.AnswerDispute(ctx, c, opened.Position, journal.DisputeUpheld, "It was not you. A registrar puts it right.")
		require.NoError(t, err)
		again, err := b.command.AnswerDispute(ctx, c, opened.Position, journal.DisputeUpheld, "It was not you. A registrar puts it right.")
		require.NoError(t, err)
		require.Equal(t, answered.Position, again.Position)
		b.refused(t, citizen.CodeNoDispute, "-", func() error {
			_, err := b.command.AnswerDispute(ctx, by(officer), opened.Position, journal.DisputeRefused, "No")
			return err
		})

		_, err = b.command.Restrict(ctx, by(protector), id, command.Restricting{Kind: journal.RestrictionViolence, Reason: "Danger"})
		require.NoError(t, err)
		hidden, err := b.command.OpenDispute(ctx, by(self(id)), id, command.Disputing{About: told.Position})
		require.NoError(t, err)
		b.refused(t, citizen.CodeNoDispute, "-", func() error { // as if there were none
			_, err := b.command.AnswerDispute(ctx, by(officer), hidden.Position, journal.DisputeUpheld, "Yes")
			return err
		})
		b.refused(t, citizen.CodeUnknownPerson, "/person", func() error {
			_, err := b.command.Freeze(ctx, by(officer), id, "Reason")
			return err
		})
		_, err = b.command.AnswerDispute(ctx, by(protector), hidden.Position, journal.DisputeRefused, "No")
		require.NoError(t, err)
		_, err = b.command.Freeze(ctx, by(protector), id, "They asked")
		require.NoError(t, err)
	})
}

// TestAMergeTakesAFreezeOver: who is frozen under one id is so under the one that stays, what they objected to is still answered, and a link
// about the id that went stops the one that stays.
func TestAMergeTakesAFreezeOver(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx, j := context.Background(), b.journal
		going, kept, last := b.resident(t), b.resident(t), b.resident(t)
		told, err := b.command.Tell(ctx, by(self(going)), going, address(t, j, "1 First St"))
		require.NoError(t, err)
		dispute, err := b.command.OpenDispute(ctx, by(self(going)), going, command.Disputing{About: told.Position})
		require.NoError(t, err)
		_, err = b.command.Freeze(ctx, by(officer), going, "They called")
		require.NoError(t, err)
		_, err = b.command.Merge(ctx, by(officer), going, kept, "The same person")
		require.NoError(t, err)
		b.refused(t, citizen.CodeFrozen, "/person", func() error {
			_, err := b.command.Tell(ctx, by(self(kept)), kept, address(t, j, "2 Second St"))
			return err
		})
		_, err = b.command.AnswerDispute(ctx, by(officer), dispute.Position, journal.DisputeUpheld, "It was not you")
		require.NoError(t, err)
		_, err = b.command.Unfreeze(ctx, by(officer), kept, "They came")
		require.NoError(t, err)
		_, err = b.command.Merge(ctx, by(officer), kept, last, "The same person")
		require.NoError(t, err)
		require.Zero(t, b.state(t, last).Frozen)
		token, err := j.NoticeLink(told.Position)
		require.NoError(t, err)
		_, err = b.command.NotMe(ctx, journal.IssuerPages, token)
		require.NoError(t, err)
		require.NotZero(t, b.state(t, last).Frozen)
	})
}
