package command_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// TestAFormIsOneAppend: grants and withdrawals, then the change, then decided, which was judged with them.
func TestAFormIsOneAppend(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id := b.resident(t)
	_, err := b.command.Grant(ctx, by(source), id, command.Choice{Agreement: "library-membership", Language: "en"})
	require.NoError(t, err)
	grantAt := b.head(t)
	before := grantAt + 1

	c := by(journal.Actor{Kind: journal.ActorResident, Role: journal.RoleCitizen, ID: id.String(), Citizen: uuid.UUID(id)})
	c.ToldAt = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	change := address(t, b.journal, "1 First St")
	change.Consents = []command.Choice{
		{Agreement: "outdoors-card", Fields: []string{"city"}, Language: "fr"}, {Agreement: "library-membership", Withdraw: true},
	}
	result, err := b.command.Tell(ctx, c, id, change)
	require.NoError(t, err)
	require.Equal(t, before+2, result.Position)
	require.False(t, result.Repeated)
	require.Equal(t, before+3, b.head(t))

	entries := b.history(t, id)
	entries = entries[len(entries)-4:]
	var types []string
	for i, e := range entries {
		types = append(types, e.Type)
		require.Equal(t, before+int64(i), e.Position)
		require.Equal(t, entries[0].RecordedAt, e.RecordedAt)
		require.Equal(t, int16(journal.ActorResident), e.ActorKind)
		require.Equal(t, int16(journal.IssuerAPI), e.Issuer)
		require.Equal(t, int16(journal.ChannelWeb), e.Channel)
		require.Equal(t, uuid.UUID(id), e.Subject)
		require.Equal(t, c.ID, e.Meta.Command)
		require.Equal(t, "2026-01-05", e.Meta.Effective)
		if e.Type == journal.TypeDecided {
			require.Equal(t, result.Position, e.Cause)
			continue
		}
		require.Equal(t, eventstore.NoCause, e.Cause)
		require.Equal(t, journal.Meta{ToldAt: c.ToldAt, Effective: "2026-01-05", Actor: id.String(), Command: c.ID}, e.Meta)
	}
	require.Equal(t, []string{journal.TypeConsentGranted, journal.TypeConsentWithdrawn, "address-changed", journal.TypeDecided}, types)
	granted, ok := entries[0].Event.(journal.ConsentGranted)
	require.True(t, ok)
	require.Equal(t, journal.ConsentGranted{
		Agreement: "outdoors-card", Version: 1, Fields: []string{"city"}, Language: "fr", Capacity: "self", Grantor: id.String(),
		NoticeHash: granted.NoticeHash,
	}, granted)
	require.Len(t, granted.NoticeHash, 64)
	require.Equal(t, journal.ConsentWithdrawn{Agreement: "library-membership", Grant: grantAt}, entries[1].Event)
	require.Equal(t, change.Data, entries[2].Event.(citizen.Change).Data)
	require.Equal(t, journal.Receipt(entries[2].ID), result.Receipt)

	decided, ok := entries[3].Event.(journal.Decided)
	require.True(t, ok)
	require.Equal(t, result.Decisions, decided.Decisions)
	require.Equal(t, consent.EngineVersion, decided.Engine)
	law, err := b.journal.FreshLaw(ctx)
	require.NoError(t, err)
	require.Equal(t, law.Version, decided.Agreements)
	reasons := map[string]consent.Reason{}
	for _, d := range decided.Decisions {
		reasons[d.Agreement] = d.Reason
		if d.Agreement == "outdoors-card" {
			require.Equal(t, []string{"city"}, b.journal.FieldNames("address-changed", d.Fields), "judged with the form's own grant")
		}
	}
	require.Equal(t, consent.None, reasons["outdoors-card"])
	require.Equal(t, consent.NoGrant, reasons["library-membership"], "judged with the form's own withdrawal")
	require.Equal(t, consent.NotLinked, reasons["moh-health-card"])
	again, err := b.command.Tell(ctx, by(source), id, address(t, b.journal, "2 Second St"))
	require.NoError(t, err)
	require.Equal(t, result.Decisions, again.Decisions, "what this process remembers is what it appended")
}

// TestDecidedIsThereWithoutAgreements: no decided would say that somebody is restricted, or that a type is no one's.
func TestDecidedIsThereWithoutAgreements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.resident(t) // no agreements at all
	b.load(t)
	_, err := b.command.Tell(context.Background(), by(source), id, person(t, b.journal))
	require.Error(t, err)
	ids, err := b.journal.Register(context.Background(), "test", "second")
	require.NoError(t, err)
	_, err = b.command.Tell(context.Background(), by(source), ids[0], person(t, b.journal)) // no agreement names the type
	require.NoError(t, err)
	for _, id := range []citizen.ID{id, ids[0]} {
		entries := b.history(t, id)
		require.Len(t, entries, 2)
		decided, ok := entries[1].Event.(journal.Decided)
		require.True(t, ok)
		require.Empty(t, decided.Decisions)
		require.Equal(t, entries[0].Position, entries[1].Cause)
	}
}

func TestEveryRejectionHasItsPointer(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, nobody, dead := b.resident(t), citizen.ID(uuid.New()), b.resident(t)
	_, err := b.command.Grant(ctx, by(source), dead, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	_, err = b.command.Tell(ctx, by(source), dead, death(t, b.journal))
	require.NoError(t, err)
	tell := func(id citizen.ID, change command.Change, edit func(*command.Change)) func() error {
		return func() error {
			if edit != nil {
				edit(&change)
			}
			_, err := b.command.Tell(ctx, by(source), id, change)
			return err
		}
	}
	consents := func(choices ...command.Choice) func(*command.Change) {
		return func(c *command.Change) { c.Consents = choices }
	}
	grant := func(id citizen.ID, choice command.Choice) func() error {
		return func() error { _, err := b.command.Grant(ctx, by(source), id, choice); return err }
	}
	withdraw := func(id citizen.ID, agreement string) func() error {
		return func() error { _, err := b.command.Withdraw(ctx, by(source), id, agreement); return err }
	}
	link := func(id citizen.ID, ministry string) func() error {
		return func() error {
			_, err := b.command.Link(ctx, by(source), id, command.Linking{Ministry: ministry, ClientReference: "r", Means: "counter"})
			return err
		}
	}
	unlink := func(id citizen.ID, ministry string) func() error {
		return func() error { _, err := b.command.Unlink(ctx, by(source), id, ministry); return err }
	}
	move := func() command.Change { return address(t, b.journal, "1 First St") }
	ok := command.Choice{Agreement: "outdoors-card"}
	day := b.journal.DayOf(b.journal.Now(journal.Timing{Told: true})).From.AddDate(0, 0, 366).Format(time.DateOnly)
	for name, test := range map[string]struct {
		code, pointer string
		ask           func() error
	}{
		"tell nobody":            {"unknown-person", "/person", tell(nobody, move(), nil)},
		"register again":         {"person-exists", "/person", tell(id, person(t, b.journal), nil)},
		"tell the dead":          {"person-deceased", "-", tell(dead, move(), nil)},
		"tell too far":           {"effective-too-far", "/effective", tell(id, move(), func(c *command.Change) { c.Effective = day })},
		"tell another province":  {"postal-code-province", "/data/postal_code", tell(id, move(), func(c *command.Change) { c.Data["postal_code"] = "H2X 1Y4" })},
		"form unknown agreement": {"unknown-agreement", "/consents/1/agreement", tell(id, move(), consents(ok, command.Choice{Agreement: "no"}))},
		"form by statute":        {"not-by-consent", "/consents/0/agreement", tell(id, move(), consents(command.Choice{Agreement: "moh-health-card"}))},
		"form field": {"unknown-field", "/consents/1/fields/1",
			tell(id, move(), consents(command.Choice{Agreement: "library-membership"}, command.Choice{Agreement: "outdoors-card", Fields: []string{"city", "email"}}))},
		"form no fields":       {"schema", "/consents/0/fields", tell(id, move(), consents(command.Choice{Agreement: "outdoors-card", Fields: []string{}}))},
		"form twice":           {"schema", "/consents/1/agreement", tell(id, move(), consents(ok, ok))},
		"form both":            {"schema", "/consents/1/agreement", tell(id, move(), consents(ok, command.Choice{Agreement: "outdoors-card", Withdraw: true}))},
		"form no grant":        {"no-such-grant", "/consents/0/agreement", tell(id, move(), consents(command.Choice{Agreement: "outdoors-card", Withdraw: true}))},
		"grant nobody":         {"unknown-person", "/person", grant(nobody, ok)},
		"grant dead":           {"person-deceased", "-", grant(dead, ok)},
		"grant unknown":        {"unknown-agreement", "/data/agreement", grant(id, command.Choice{Agreement: "no"})},
		"grant statute":        {"not-by-consent", "/data/agreement", grant(id, command.Choice{Agreement: "moh-health-card"})},
		"grant field":          {"unknown-field", "/data/fields/0", grant(id, command.Choice{Agreement: "outdoors-card", Fields: []string{"kind"}})},
		"grant no fields":      {"schema", "/data/fields", grant(id, command.Choice{Agreement: "outdoors-card", Fields: []string{}})},
		"withdraw nobody":      {"unknown-person", "/person", withdraw(nobody, "outdoors-card")},
		"withdraw not granted": {"no-such-grant", "/data/agreement", withdraw(id, "outdoors-card")},
		"withdraw unknown":     {"no-such-grant", "/data/agreement", withdraw(id, "no")},
		"withdraw of the dead": {"no-such-grant", "/data/agreement", withdraw(dead, "outdoors-card")},
		"link nobody":          {"unknown-person", "/person", link(nobody, "moh")},
		"link dead":            {"person-deceased", "-", link(dead, "moh")},
		"link unknown":         {"unknown-ministry", "/data/ministry", link(id, "no")},
		"unlink nobody":        {"unknown-person", "/person", unlink(nobody, "moh")},
		"unlink dead":          {"person-deceased", "-", unlink(dead, "moh")},
		"unlink not linked":    {"not-linked", "/data/ministry", unlink(id, "moh")},
	} {
		t.Run(name, func(t *testing.T) { b.refused(t, test.code, test.pointer, test.ask) })
	}
}

// TestARepeatedCommandGivesTheFirstResult, also when the rules would refuse it now; with other content it is refused.
func TestARepeatedCommandGivesTheFirstResult(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id := b.resident(t)
	change := address(t, b.journal, "1 First St")
	change.Consents = []command.Choice{{Agreement: "outdoors-card"}}
	commands := map[string]func(c command.Command) (command.Result, error){}
	commands["tell"] = func(c command.Command) (command.Result, error) { return b.command.Tell(ctx, c, id, change) }
	commands["link"] = func(c command.Command) (command.Result, error) {
		return b.command.Link(ctx, c, id, command.Linking{Ministry: "moh", ClientReference: "r"})
	}
	commands["unlink"] = func(c command.Command) (command.Result, error) { return b.command.Unlink(ctx, c, id, "moh") }
	commands["withdraw"] = func(c command.Command) (command.Result, error) {
		return b.command.Withdraw(ctx, c, id, "outdoors-card")
	}
	commands["grant"] = func(c command.Command) (command.Result, error) {
		return b.command.Grant(ctx, c, id, command.Choice{Agreement: "library-membership"})
	}
	commands["death"] = func(c command.Command) (command.Result, error) {
		return b.command.Tell(ctx, c, id, death(t, b.journal))
	}
	firsts, used := map[string]command.Result{}, map[string]command.Command{}
	for _, name := range []string{"tell", "link", "unlink", "withdraw", "grant", "death"} {
		used[name] = by(source)
		result, err := commands[name](used[name])
		require.NoError(t, err, name)
		firsts[name] = result
		again, err := commands[name](used[name])
		require.NoError(t, err, name)
		require.Equal(t, command.Result{Position: result.Position, Receipt: result.Receipt, Repeated: true}, again, name)
	}
	head := b.head(t)
	for name, ask := range commands { // after the death the rules refuse each of them
		again, err := ask(used[name])
		require.NoError(t, err, name)
		require.Equal(t, command.Result{Position: firsts[name].Position, Receipt: firsts[name].Receipt, Repeated: true}, again, name)
		other := used[name]
		other.Content = []byte("other")
		b.refused(t, "command-reused", "/id", func() error { _, err := ask(other); return err })
		elsewhere := used[name]
		elsewhere.Scope = "another client"
		_, err = ask(elsewhere)
		require.Error(t, err, "ids are each client's own")
	}
	require.Equal(t, head, b.head(t))
}

func TestReusedWhileTheRulesWouldAccept(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, c := b.resident(t), by(source)
	_, err := b.command.Tell(ctx, c, id, address(t, b.journal, "1 First St"))
	require.NoError(t, err)
	c.Content = []byte("other")
	b.refused(t, "command-reused", "/id", func() error { _, err := b.command.Tell(ctx, c, id, address(t, b.journal, "2 Second St")); return err })
}

// TestThePreviewIsWhatTellDoes, by digest, and a confirmation of what has changed in between is refused with what holds now.
func TestThePreviewIsWhatTellDoes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	b.load(t)
	id, change := b.resident(t), address(t, b.journal, "1 First St")
	change.Consents = []command.Choice{{Agreement: "outdoors-card", Fields: []string{"city"}}}
	preview := func() command.Preview {
		head := b.head(t)
		p, err := b.command.Preview(ctx, source, id, change)
		require.NoError(t, err)
		require.Equal(t, head, b.head(t))
		return p
	}
	first := preview()
	require.Equal(t, first, preview())
	require.Equal(t, []string{"elections-register", "outdoors-card"}, shared(first.Decisions))
	change.Preview = first.Digest
	result, err := b.command.Tell(ctx, by(source), id, change)
	require.NoError(t, err)
	require.Equal(t, first.Decisions, result.Decisions)

	// Another replica ends the validity of an agreement: this one's memory of the law is stale.
	there := command.New(replicas[1])
	newer := parseAgreement(t, b.journal, "elections-register", "version: 1", "version: 2", "fields: [unit, street, city,", "fields: [unit, city,")
	_, err = there.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{newer})
	require.NoError(t, err)
	before := b.head(t)
	_, err = b.command.Tell(ctx, by(source), id, change)
	var stale *command.StalePreview
	require.ErrorAs(t, err, &stale)
	require.Equal(t, before, b.head(t))
	require.NotEqual(t, first.Digest, stale.New.Digest)
	require.Equal(t, preview(), stale.New)
	change.Preview = stale.New.Digest
	result, err = b.command.Tell(ctx, by(source), id, change)
	require.NoError(t, err)
	require.Equal(t, stale.New.Decisions, result.Decisions)

	// The same command again, confirmed long ago, is not stale.
	c := by(source)
	_, err = b.command.Tell(ctx, c, id, change)
	require.NoError(t, err)
	_, err = b.command.Link(ctx, by(source), id, command.Linking{Ministry: "moh", ClientReference: "r"})
	require.NoError(t, err)
	again, err := b.command.Tell(ctx, c, id, change)
	require.NoError(t, err)
	require.True(t, again.Repeated)

	// A digest is of one person and type.
	other := b.resident(t)
	_, err = b.command.Tell(ctx, by(source), other, change)
	require.ErrorAs(t, err, &stale)
	change.Preview = ""
	_, err = b.command.Preview(ctx, source, citizen.ID(uuid.New()), change)
	var rejection *citizen.Rejection
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, "unknown-person", rejection.Code)
}
