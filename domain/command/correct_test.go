package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func at(position int64) json.Number { return json.Number(strconv.FormatInt(position, 10)) }

// correct is a change that puts right what was told at a position.
func correct(t testing.TB, b *bundle, position int64, right command.Change) command.Change {
	t.Helper()
	c := fact(t, b.journal, journal.TypeChangeCorrected, map[string]any{"corrects": at(position), "type": right.Type, "data": right.Data})
	c.Effective = right.Effective
	return c
}

func cancel(t testing.TB, b *bundle, position int64) command.Change {
	t.Helper()
	return fact(t, b.journal, journal.TypeChangeCancelled, map[string]any{"corrects": at(position)})
}

func verify(t testing.TB, b *bundle, position int64) command.Change {
	t.Helper()
	return fact(t, b.journal, journal.TypeChangeVerified, map[string]any{"verifies": at(position)})
}

func lives(t testing.TB, b *bundle, position int64) command.Change {
	t.Helper()
	return fact(t, b.journal, journal.TypeDeathCorrected, map[string]any{"corrects": at(position)})
}

func (b *bundle) told(t testing.TB, actor journal.Actor, id citizen.ID, change command.Change) command.Result {
	t.Helper()
	result, err := b.command.Tell(context.Background(), by(actor), id, change)
	require.NoError(t, err)
	return result
}

// last are the last n entries of a citizen.
func (b *bundle) last(t testing.TB, id citizen.ID, n int) []journal.Entry {
	t.Helper()
	entries := b.history(t, id)
	return entries[len(entries)-n:]
}

// decisions are a decided's, by agreement: the reason, or the shared fields.
func decisions(b *bundle, eventType string, e journal.Entry) map[string]string {
	out := map[string]string{}
	for _, d := range e.Event.(journal.Decided).Decisions {
		if out[d.Agreement] = d.Reason.String(); d.Reason == consent.None {
			out[d.Agreement] = fmt.Sprint(b.journal.FieldNames(eventType, d.Fields))
		}
	}
	return out
}

// rederives requires that the log's decisions are what its own law and people come to.
func (b *bundle) rederives(t testing.TB) {
	t.Helper()
	report, err := audit.New(b.journal).Rederive(context.Background(), nil)
	require.NoError(t, err)
	require.Empty(t, report.Differences)
	require.Zero(t, report.Different)
}

func mailTo(t testing.TB, b *bundle, street string) command.Change {
	t.Helper()
	return fact(t, b.journal, "address-changed", map[string]any{
		"kind": "mailing", "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
}

// TestACorrectionIsDecidedAsWhatItPutsRight: one append of the correction and its decided, judged by what is right, with the citizen's own
// word: asserted.
func TestACorrectionIsDecidedAsWhatItPutsRight(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id := b.resident(t)
		_, err := b.command.Grant(ctx, by(self(id)), id, command.Choice{Agreement: "library-membership", Language: "en"})
		require.NoError(t, err)
		first := b.told(t, self(id), id, address(t, b.journal, "1 Wrong St"))
		right := mailTo(t, b, "1 Right St")
		right.Effective = "2026-01-03"
		change := correct(t, b, first.Position, right)

		preview, err := b.command.Preview(ctx, self(id), id, change)
		require.NoError(t, err)
		require.Equal(t, "address-changed", preview.Type)
		change.Preview = preview.Digest
		c := by(self(id))
		result, err := b.command.Tell(ctx, c, id, change)
		require.NoError(t, err)
		require.Equal(t, preview.Decisions, result.Decisions)

		entries := b.last(t, id, 2)
		require.Equal(t, []int64{result.Position, result.Position + 1}, []int64{entries[0].Position, entries[1].Position})
		require.Equal(t, journal.ChangeCorrected{Corrects: first.Position, Type: "address-changed", Effective: "2026-01-03", Data: right.Data}, entries[0].Event)
		require.Equal(t, "2026-01-03", entries[0].Meta.Effective)
		require.Equal(t, c.ID, entries[0].Meta.Command)
		require.Equal(t, eventstore.Facts, entries[0].Class)
		require.Equal(t, journal.Receipt(entries[0].ID), result.Receipt)
		require.Equal(t, result.Position, entries[1].Cause)
		// A library hears of home addresses only: what is right is none.
		require.Equal(t, "address-kind", decisions(b, "address-changed", entries[1])["library-membership"])
		require.Equal(t, "[street city postal_code]", decisions(b, "address-changed", b.historyAt(t, id, first.Position+1))["library-membership"])

		told, err := b.journal.Told(ctx, entries[:1])
		require.NoError(t, err)
		require.Equal(t, citizen.Change{
			Type: "address-changed", Key: "mailing", Effective: "2026-01-03", Data: right.Data, Corrects: first.Position,
		}, told[0])
		repeated, err := b.command.Tell(ctx, c, id, change)
		require.NoError(t, err)
		require.True(t, repeated.Repeated)
		require.Equal(t, result.Position, repeated.Position)
		require.Equal(t, result.Receipt, repeated.Receipt)

		stale := correct(t, b, b.told(t, clerk, id, address(t, b.journal, "2 Wrong St")).Position, address(t, b.journal, "2 Right St"))
		stale.Preview = preview.Digest
		var refused *command.StalePreview
		_, err = b.command.Tell(ctx, by(self(id)), id, stale)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "address-changed", refused.New.Type)
		b.rederives(t)
	})
}

// historyAt is a citizen's entry at a position.
func (b *bundle) historyAt(t testing.TB, id citizen.ID, position int64) journal.Entry {
	t.Helper()
	for _, e := range b.history(t, id) {
		if e.Position == position {
			return e
		}
	}
	require.Fail(t, "nothing at this position")
	return journal.Entry{}
}

// TestACancellationIsDecidedForNobody, and brings back what held before.
func TestACancellationIsDecidedForNobody(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id := b.resident(t)
		b.told(t, self(id), id, address(t, b.journal, "1 First St"))
		_, err := b.command.Grant(ctx, by(self(id)), id, command.Choice{Agreement: "library-membership", Language: "en"})
		require.NoError(t, err)
		wrong := b.told(t, self(id), id, address(t, b.journal, "2 Second St"))
		preview := func(change command.Change) command.Preview {
			p, err := b.command.Preview(ctx, clerk, id, change)
			require.NoError(t, err)
			return p
		}
		require.Empty(t, preview(cancel(t, b, wrong.Position)).Retracted, "nobody was given it yet")
		_, err = b.delivery.Next(ctx, "library.membership", 0, 0, 100, 0)
		require.NoError(t, err)
		b.told(t, registrar, id, verify(t, b, wrong.Position))
		_, err = b.delivery.Next(ctx, "library.membership", 0, 1, 100, 0)
		require.NoError(t, err)
		later := b.told(t, self(id), id, fact(t, b.journal, "language-changed", map[string]any{"language": "fr"}))
		page, err := b.delivery.Next(ctx, "library.membership", 0, 2, 100, 0)
		require.NoError(t, err)
		require.Len(t, page.Messages, 1, "something else")
		shown := preview(cancel(t, b, wrong.Position))
		require.Len(t, preview(cancel(t, b, later.Position)).Retracted, 1)
		require.Empty(t, shown.Type)
		require.Empty(t, shown.Decisions)
		require.Len(t, shown.Retracted, 1)
		require.Equal(t, "library.membership", shown.Retracted[0].Stream)
		require.Equal(t, int64(2), shown.Retracted[0].Number, "that of its verification")
		require.Len(t, preview(correct(t, b, wrong.Position, mailTo(t, b, "2 Right St"))).Retracted, 1, "a library hears of no mailing address")
		require.Empty(t, preview(correct(t, b, wrong.Position, address(t, b.journal, "2 Right St"))).Retracted, "it hears what is right")
		result := b.told(t, clerk, id, cancel(t, b, wrong.Position))
		entries := b.last(t, id, 2)
		require.Equal(t, journal.ChangeCancelled{Corrects: wrong.Position}, entries[0].Event)
		decided, ok := entries[1].Event.(journal.Decided)
		require.True(t, ok)
		require.Empty(t, decided.Decisions)
		require.Equal(t, result.Position, entries[1].Cause)
		history, _, err := b.journal.History(ctx, id)
		require.NoError(t, err)
		home, _ := history.Profile("2026-06-01").Latest("address-changed", "home")
		require.Equal(t, "1 First St", home.Data["street"])
		b.rederives(t)
	})
}

// TestAVerificationIsDecidedAsTheSameFact, now verified: an agreement that asks for that gets it only by this.
func TestAVerificationIsDecidedAsTheSameFact(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id := b.resident(t)
		sure := parseAgreement(t, b.journal, "outdoors-card", "version: 1", "version: 2\nmin_assurance: verified")
		_, err := b.command.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{sure})
		require.NoError(t, err)
		_, err = b.command.Grant(ctx, by(self(id)), id, command.Choice{Agreement: "outdoors-card", Language: "en"})
		require.NoError(t, err)
		first := b.told(t, self(id), id, address(t, b.journal, "1 First St"))
		b.told(t, registrar, id, verify(t, b, first.Position))
		entries := b.last(t, id, 2)
		require.Equal(t, journal.ChangeVerified{Verifies: first.Position}, entries[0].Event)
		before, after := decisions(b, "address-changed", b.historyAt(t, id, first.Position+1)), decisions(b, "address-changed", entries[1])
		require.Equal(t, "not-verified", before["outdoors-card"])
		require.Equal(t, "[street city province postal_code]", after["outdoors-card"])
		delete(before, "outdoors-card")
		delete(after, "outdoors-card")
		require.Equal(t, before, after)

		corrected := b.told(t, self(id), id, correct(t, b, first.Position, address(t, b.journal, "1 Right St")))
		history, _, err := b.journal.History(ctx, id)
		require.NoError(t, err)
		home, _ := history.Profile("2026-06-01").Latest("address-changed", "home")
		require.Equal(t, "asserted", home.Assurance(), "nobody has verified what the citizen says now")
		b.told(t, registrar, id, verify(t, b, corrected.Position))
		history, _, err = b.journal.History(ctx, id)
		require.NoError(t, err)
		home, _ = history.Profile("2026-06-01").Latest("address-changed", "home")
		require.Equal(t, "verified", home.Assurance())
		require.Equal(t, "1 Right St", home.Data["street"])
		b.rederives(t)
	})
}

// TestADeathIsReportedConfirmedAndTakenBack: a report changes nothing; a death ends grants; taken back, they hold again.
func TestADeathIsReportedConfirmedAndTakenBack(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		id := b.resident(t)
		_, err := b.command.Grant(ctx, by(self(id)), id, command.Choice{Agreement: "outdoors-card", Language: "en"})
		require.NoError(t, err)
		shared := func() string {
			b.told(t, clerk, id, correct(t, b, b.told(t, clerk, id, address(t, b.journal, "1 First St")).Position, address(t, b.journal, "2 Second St")))
			return decisions(b, "address-changed", b.last(t, id, 1)[0])["outdoors-card"]
		}
		all := "[street city province postal_code]"
		require.Equal(t, all, shared())

		data := map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"}
		b.told(t, clerk, id, fact(t, b.journal, "death-reported", data))
		require.Empty(t, decisions(b, "death-reported", b.last(t, id, 1)[0]), "it is held")
		require.Equal(t, all, shared(), "nothing has changed")

		before := b.told(t, clerk, id, address(t, b.journal, "3 Third St"))
		died := b.told(t, registrar, id, fact(t, b.journal, "death-registered", data))
		b.refused(t, "no-capacity", "/data/corrects", func() error {
			_, err := b.command.Tell(ctx, by(registrar), id, cancel(t, b, died.Position))
			return err
		})
		b.refused(t, "person-deceased", "-", func() error {
			_, err := b.command.Tell(ctx, by(clerk), id, address(t, b.journal, "4 Fourth St"))
			return err
		})
		b.told(t, clerk, id, correct(t, b, before.Position, address(t, b.journal, "3 Right St")))
		require.Equal(t, "no-grant", decisions(b, "address-changed", b.last(t, id, 1)[0])["outdoors-card"], "put right, but its grant has ended")

		result := b.told(t, registrar, id, lives(t, b, died.Position))
		entries := b.last(t, id, 2)
		require.Equal(t, journal.DeathCorrected{Corrects: died.Position}, entries[0].Event)
		require.Empty(t, entries[1].Event.(journal.Decided).Decisions)
		require.Equal(t, result.Position, entries[1].Cause)
		states, err := b.journal.FreshStates(ctx, id)
		require.NoError(t, err)
		granted, ok := states[0].Standing.Grant("outdoors-card")
		require.True(t, ok)
		require.Equal(t, result.Position, granted.Since, "from here on: nothing told in between was under it")
		require.Equal(t, all, shared())
		b.refused(t, "not-dead", "/person", func() error {
			_, err := b.command.Tell(ctx, by(registrar), id, lives(t, b, died.Position))
			return err
		})
		again := b.told(t, registrar, id, fact(t, b.journal, "death-registered", data))
		b.refused(t, "not-your-change", "/data/corrects", func() error {
			_, err := b.command.Tell(ctx, by(registrar), id, lives(t, b, before.Position))
			return err
		})
		dated := b.told(t, registrar, id, correct(t, b, again.Position, fact(t, b.journal, "death-registered", map[string]any{
			"death_date": "2026-01-03", "reported_by": "spouse",
		})))
		deceased := func() bool {
			history, _, err := b.journal.History(ctx, id)
			require.NoError(t, err)
			return history.Profile("2026-06-01").Deceased
		}
		require.True(t, deceased())
		b.told(t, registrar, id, lives(t, b, again.Position))
		require.False(t, deceased())
		b.refused(t, "already-corrected", "/data/verifies", func() error {
			_, err := b.command.Tell(ctx, by(registrar), id, verify(t, b, dated.Position))
			return err
		})
		b.rederives(t)
	})
}

// TestABirthDatePutRightChangesAges from then on, and nothing that was decided.
func TestABirthDatePutRightChangesAges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.load(t)
	id := b.resident(t)
	_, err := b.command.Link(context.Background(), by(clerk), id, command.Linking{Ministry: "mto", ClientReference: "r", Means: "counter"})
	require.NoError(t, err)
	reason := func() string {
		b.told(t, clerk, id, address(t, b.journal, "1 First St"))
		return decisions(b, "address-changed", b.last(t, id, 1)[0])["mto-licensing"]
	}
	require.Equal(t, "[street city province postal_code]", reason())
	decided := b.last(t, id, 1)[0]
	child := fact(t, b.journal, "person-registered", map[string]any{
		"given_names": "Invented", "family_name": "Person", "birth_date": "2014-05-17", "language": "en",
	})
	registered := b.history(t, id)[0].Position
	_, err = b.command.Tell(context.Background(), by(self(id)), id, correct(t, b, registered, child))
	require.ErrorIs(t, err, command.ErrForbidden, "a registration is not the resident's to put right")
	b.told(t, registrar, id, correct(t, b, registered, child))
	require.Equal(t, "min-age", reason())
	require.Equal(t, decided, b.historyAt(t, id, decided.Position))
	b.rederives(t)
}

func TestWhoMayPutRight(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	id, other := b.resident(t), b.resident(t)
	registered := b.history(t, id)[0].Position
	moved := b.told(t, clerk, id, address(t, b.journal, "1 First St")).Position
	died := b.told(t, registrar, b.resident(t), death(t, b.journal)).Position
	report := fact(t, b.journal, "death-reported", map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"})
	officer := journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "officer"}
	right := correct(t, b, moved, address(t, b.journal, "1 Right St"))
	for name, test := range map[string]struct {
		actor  journal.Actor
		change command.Change
	}{
		"another's":                         {self(other), right},
		"another's, cancelled":              {self(other), cancel(t, b, moved)},
		"verified by oneself":               {self(id), verify(t, b, moved)},
		"verified by a clerk":               {clerk, verify(t, b, moved)},
		"verified by a source":              {source, verify(t, b, moved)},
		"a death taken back by a clerk":     {clerk, lives(t, b, died)},
		"a death taken back by a source":    {source, lives(t, b, died)},
		"a death taken back by oneself":     {self(id), lives(t, b, died)},
		"one's own death":                   {self(id), report},
		"one's own registration, cancelled": {self(id), cancel(t, b, registered)},
		"an officer":                        {officer, right},
		"nobody":                            {journal.Actor{}, right},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.head(t)
			_, err := b.command.Tell(ctx, by(test.actor), id, test.change)
			require.ErrorIs(t, err, command.ErrForbidden)
			_, err = b.command.Preview(ctx, test.actor, id, test.change)
			require.ErrorIs(t, err, command.ErrForbidden)
			require.Equal(t, before, b.head(t))
		})
	}
}

// TestWhatCantBePutRight: each with its code and pointer, and nothing written.
func TestWhatCantBePutRight(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		id, other, nobody := b.resident(t), b.resident(t), citizen.ID(uuid.New())
		move := func(street string) command.Change { return address(t, b.journal, street) }
		told := func(id citizen.ID, change command.Change) int64 { return b.told(t, source, id, change).Position }
		theirs, plain := told(other, move("x")), told(id, move("1 First St"))
		wrong := told(id, move("2 Second St"))
		correction := told(id, correct(t, b, wrong, move("2 Right St")))
		gone := told(id, move("3 Third St"))
		cancellation := told(id, cancel(t, b, gone))
		stood := told(id, move("4 Fourth St"))
		verification := b.told(t, registrar, id, verify(t, b, stood)).Position
		report := told(id, fact(t, b.journal, "death-reported", map[string]any{"death_date": "2026-01-04", "reported_by": "child"}))
		registered := b.history(t, id)[0].Position
		const corrects, verifies = "/data/corrects", "/data/verifies"
		far := correct(t, b, plain, move("x"))
		far.Effective = "2999-01-01"
		province := move("x")
		province.Data["postal_code"] = "H2X 1Y4"
		tests := map[string]struct {
			code, pointer string
			id            citizen.ID
			change        command.Change
		}{
			"nobody's":                     {"unknown-person", "/person", nobody, correct(t, b, plain, move("x"))},
			"nobody's, cancelled":          {"unknown-person", "/person", nobody, cancel(t, b, plain)},
			"another's":                    {"not-your-change", corrects, id, correct(t, b, theirs, move("x"))},
			"another's, cancelled":         {"not-your-change", corrects, id, cancel(t, b, theirs)},
			"another's, verified":          {"not-your-change", verifies, id, verify(t, b, theirs)},
			"a decided":                    {"not-your-change", corrects, id, correct(t, b, plain+1, move("x"))},
			"a cancellation":               {"not-your-change", corrects, id, cancel(t, b, cancellation)},
			"a verification":               {"not-your-change", corrects, id, cancel(t, b, verification)},
			"a verification, verified":     {"not-your-change", verifies, id, verify(t, b, verification)},
			"nothing yet":                  {"not-your-change", corrects, id, correct(t, b, b.head(t)+7, move("x"))},
			"far beyond":                   {"not-your-change", corrects, id, cancel(t, b, 9007199254740991)},
			"corrected already":            {"already-corrected", corrects, id, correct(t, b, wrong, move("x"))},
			"corrected, then cancelled":    {"already-corrected", corrects, id, cancel(t, b, wrong)},
			"corrected, then verified":     {"already-corrected", verifies, id, verify(t, b, wrong)},
			"a correction":                 {"already-corrected", corrects, id, correct(t, b, correction, move("x"))},
			"a correction, cancelled":      {"already-corrected", corrects, id, cancel(t, b, correction)},
			"cancelled already":            {"already-corrected", corrects, id, correct(t, b, gone, move("x"))},
			"cancelled twice":              {"already-corrected", corrects, id, cancel(t, b, gone)},
			"verified twice":               {"already-verified", verifies, id, verify(t, b, stood)},
			"verified from the start":      {"already-verified", verifies, id, verify(t, b, b.registeredBy(t, registrar))},
			"a report, verified":           {"no-capacity", verifies, id, verify(t, b, report)},
			"a registration, cancelled":    {"no-capacity", corrects, id, cancel(t, b, registered)},
			"another type":                 {"schema", "/data/type", id, correct(t, b, plain, fact(t, b.journal, "language-changed", map[string]any{"language": "fr"}))},
			"too far":                      {"effective-too-far", "/effective", id, far},
			"another province":             {"postal-code-province", "/data/data/postal_code", id, correct(t, b, plain, province)},
			"a death of one who lives":     {"not-dead", "/person", id, lives(t, b, plain)},
			"a second report of the other": {"unknown-person", "/person", nobody, fact(t, b.journal, "death-reported", map[string]any{"death_date": "2026-01-04", "reported_by": "child"})},
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				subject := test.id
				if name == "verified from the start" {
					entries, err := b.journal.Read(ctx, mustPosition(t, test.change))
					require.NoError(t, err)
					subject, _ = journal.SubjectOf(&entries[0].Recorded)
				}
				b.refused(t, test.code, test.pointer, func() error {
					_, err := b.command.Tell(ctx, by(registrar), subject, test.change)
					return err
				})
				_, err := b.command.Preview(ctx, registrar, subject, test.change)
				require.EqualError(t, err, fmt.Sprintf("%s at %q", test.code, test.pointer))
			})
		}
	})
}

func mustPosition(t testing.TB, c command.Change) int64 {
	t.Helper()
	n, ok := c.Data["verifies"].(json.Number)
	require.True(t, ok)
	position, err := n.Int64()
	require.NoError(t, err)
	return position
}

// registeredBy is the position of somebody's registration.
func (b *bundle) registeredBy(t testing.TB, actor journal.Actor) int64 {
	t.Helper()
	ids, err := b.journal.Register(context.Background(), "test", uuid.NewString())
	require.NoError(t, err)
	return b.told(t, actor, ids[0], person(t, b.journal)).Position
}

// TestAnErasedChangeCantBePutRight: not even by the one who told it.
func TestAnErasedChangeCantBePutRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.resident(t)
	moved := b.told(t, self(id), id, address(t, b.journal, "1 First St")).Position
	_, err := b.command.Erase(context.Background(), by(self(id)), id)
	require.NoError(t, err)
	for _, change := range []command.Change{correct(t, b, moved, address(t, b.journal, "x")), cancel(t, b, moved)} {
		b.refused(t, "already-erased", "/data/corrects", func() error {
			_, err := b.command.Tell(context.Background(), by(self(id)), id, change)
			return err
		})
	}
}

// TestTwoCorrectionsAtOnce: of two that were judged by the same state one wins, whichever processes they come through.
func TestTwoCorrectionsAtOnce(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	id := b.resident(t)
	for range 20 {
		moved := b.told(t, self(id), id, address(t, b.journal, "1 First St")).Position
		errs := make(chan error, len(replicas))
		for _, j := range replicas {
			change := correct(t, b, moved, address(t, b.journal, "1 Right St"))
			go func() {
				_, err := command.New(j).Tell(context.Background(), by(self(id)), id, change)
				errs <- err
			}()
		}
		first, second := <-errs, <-errs
		if first == nil {
			first, second = second, first
		}
		require.NoError(t, second)
		require.EqualError(t, first, `already-corrected at "/data/corrects"`)
	}
}

// TestImportPutsRight: also what stands before it in the same input, with the registrar's authority of a sandbox's source.
func TestImportPutsRight(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	run := func(in *input) []command.LineResult {
		var out []command.LineResult
		err := b.command.Import(ctx, bytes.NewReader(in.text.Bytes()), command.ImportOptions{Source: "test"},
			func(r command.LineResult) error { out = append(out, r); return nil }, func() error { return nil })
		require.NoError(t, err)
		return out
	}
	in, head := &input{}, b.head(t)
	in.add("p", "person-registered", aPerson)                                                                             // head+1, and its decided
	in.add("p", "address-changed", anAddress)                                                                             // head+3
	in.add("q", "person-registered", aPerson)                                                                             // head+5
	in.add("p", "change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"address-changed","data":%s}`, head+3, anAddress)) // head+7
	in.add("p", "change-verified", fmt.Sprintf(`{"verifies":%d}`, head+7))                                                // head+9
	in.add("p", "change-corrected", fmt.Sprintf(`{"corrects":%d.0,"type":"person-registered","data":%s}`, head+1, aPerson))
	in.add("p", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, head+3))
	in.add("q", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, head+3))
	in.add("q", "change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"address-changed","data":{"kind":"home"}}`, head+3))
	in.add("q", "change-corrected", fmt.Sprintf(`{"corrects":%d,"type":"no-such-type","data":{}}`, head+3))
	in.add("q", "death-reported", `{"death_date":"2026-01-04","reported_by":"child"}`)   // head+13
	in.add("q", "death-registered", `{"death_date":"2026-01-04","reported_by":"child"}`) // head+15
	in.add("q", "death-corrected", fmt.Sprintf(`{"corrects":%d}`, head+15))              // head+17
	in.add("q", "language-changed", french)                                              // head+19
	in.add("nobody", "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, head+3))
	results := run(in)
	var got []string
	for _, r := range results {
		line := r.Result + " " + r.Reason
		if r.Pointer != nil {
			line += " " + *r.Pointer
		}
		if r.Position != nil {
			line += fmt.Sprint(*r.Position - head)
		}
		got = append(got, line)
	}
	require.Equal(t, []string{
		"accepted 1", "accepted 3", "accepted 5", "accepted 7", "accepted 9", "accepted 11", "rejected already-corrected /data/corrects",
		"rejected not-your-change /data/corrects", "rejected schema /data/data", "rejected schema /data/type", "accepted 13", "accepted 15",
		"accepted 17", "accepted 19", "rejected unknown-person /person",
	}, got)
	for _, r := range run(in) {
		require.NotEqual(t, command.Accepted, r.Result)
	}
	b.rederives(t)

	ids, err := b.journal.Reference(ctx, "test", "p")
	require.NoError(t, err)
	history, _, err := b.journal.History(ctx, ids[0])
	require.NoError(t, err)
	profile := history.Profile("2026-06-01")
	home, _ := profile.Latest("address-changed", "home")
	require.Equal(t, "verified", home.Assurance())
	registered, _ := profile.Latest("person-registered", "")
	require.Equal(t, "verified", registered.Assurance(), "put right with a registrar's authority")
}

// TestASourceOfProductionHasNoRegistrarsAuthority.
func TestASourceOfProductionHasNoRegistrarsAuthority(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, production)
	b := &bundle{journal: j, command: command.New(j)}
	in := &input{}
	in.add("p", "person-registered", aPerson)
	in.add("p", "change-verified", `{"verifies":1}`)
	in.add("p", "death-registered", `{"death_date":"2026-01-04","reported_by":"child"}`)
	in.add("p", "death-corrected", `{"corrects":3}`)
	var got []string
	err := b.command.Import(context.Background(), bytes.NewReader(in.text.Bytes()), command.ImportOptions{Source: "test"}, func(r command.LineResult) error {
		got = append(got, r.Result+" "+r.Reason)
		if r.Pointer != nil {
			require.Equal(t, "/type", *r.Pointer)
		}
		return nil
	}, func() error { return nil })
	require.NoError(t, err)
	require.Equal(t, []string{"accepted ", "rejected no-capacity", "accepted ", "rejected no-capacity"}, got)
}
