package projection_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

const health = "moh.health-card"

// bundle is a sandbox with the sample agreements and two residents, the first a client of moh.
type bundle struct {
	t              *testing.T
	ctx            context.Context
	journal        *journal.Journal
	command        *command.Handler
	delivery       *delivery.Delivery
	projection     *projection.Projection
	citizen, other citizen.ID
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupOn(t, journaltest.New(t, journaltest.Options{}))
}

func setupOn(t *testing.T, j *journal.Journal) *bundle {
	t.Helper()
	b := &bundle{
		t: t, ctx: context.Background(), journal: j, command: command.New(j), delivery: delivery.New(j), projection: projection.New(j),
	}
	files, err := filepath.Glob("../command/testdata/agreements/*.yaml")
	require.NoError(t, err)
	agreements := make([]consent.Agreement, len(files))
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		agreements[i], err = schemas.ParseAgreement(name, text, j.Registry())
		require.NoError(t, err)
	}
	_, err = b.command.LoadAgreements(b.ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, agreements)
	require.NoError(t, err)
	ids, err := j.Register(b.ctx, "test", "someone", "someone else")
	require.NoError(t, err)
	b.citizen, b.other = ids[0], ids[1]
	for _, id := range ids {
		b.tell(journal.ActorRegistrar, id, "person-registered", map[string]any{
			"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en",
		})
	}
	_, err = b.command.Link(b.ctx, b.as(journal.ActorSource), b.citizen, command.Linking{Ministry: "moh", ClientReference: "r", Means: "import"})
	require.NoError(t, err)
	return b
}

func (b *bundle) as(kind journal.ActorKind) command.Command {
	return command.Command{ID: uuid.NewString(), Scope: "test", Actor: journal.Actor{Kind: kind, ID: "test"}, Issuer: journal.IssuerImport}
}

func (b *bundle) tell(kind journal.ActorKind, id citizen.ID, eventType string, data map[string]any) command.Result {
	b.t.Helper()
	normalised, canonical, problems := b.journal.Registry().Validate(eventType, data)
	require.Empty(b.t, problems)
	result, err := b.command.Tell(b.ctx, b.as(kind), id, command.Change{Type: eventType, Effective: "2026-01-05", Data: normalised, Canonical: canonical})
	require.NoError(b.t, err)
	return result
}

func (b *bundle) move(id citizen.ID, kind, street string) command.Result {
	b.t.Helper()
	return b.tell(journal.ActorSource, id, "address-changed", map[string]any{
		"kind": kind, "street": street, "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
}

func (b *bundle) read() {
	b.t.Helper()
	_, err := b.delivery.Next(b.ctx, health, 0, 0, 100, 0)
	require.NoError(b.t, err)
}

func TestProfileIsTheLatestFactOfEachKind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move(b.citizen, "home", "1 First St")
	mailing := b.move(b.citizen, "mailing", "PO Box 1")
	home := b.move(b.citizen, "home", "2 Second St")
	b.move(b.other, "home", "3 Other St")
	p, err := b.projection.Profile(b.ctx, b.citizen)
	require.NoError(t, err)
	require.True(t, p.Registered)
	streets, assured := map[int64]any{}, map[string]string{}
	for _, f := range p.Facts {
		assured[f.Change.Type] = f.Assurance()
		if f.Change.Type == "address-changed" {
			streets[f.Position] = f.Change.Data["street"]
		}
	}
	require.Equal(t, map[int64]any{mailing.Position: "PO Box 1", home.Position: "2 Second St"}, streets)
	require.Equal(t, map[string]string{"person-registered": "verified", "address-changed": "asserted"}, assured)
	_, err = b.projection.Profile(b.ctx, citizen.ID(uuid.New()))
	require.ErrorIs(t, err, projection.ErrNotFound)
}

func find(told projection.Told, agreement string) projection.Outcome {
	i := slices.IndexFunc(told.Outcomes, func(o projection.Outcome) bool { return o.Agreement.ID == agreement })
	if i < 0 {
		return projection.Outcome{}
	}
	return told.Outcomes[i]
}

func TestChangesSayWhatCameOfThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var moves []command.Result
	for range 4 {
		moves = append(moves, b.move(b.citizen, "home", "1 First St"))
	}
	b.read()
	moh := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, Ministry: "moh"}
	require.NoError(t, b.delivery.Record(b.ctx, moh, journal.CommandID{}, health, []delivery.Receipt{
		{From: "1.0.1", To: "1.0.2", Status: "received"}, {From: "1.0.2", To: "1.0.2", Status: "applied"},
		{From: "1.0.3", To: "1.0.3", Status: "rejected", Reason: "Unknown client"},
	}))
	last := b.move(b.citizen, "home", "2 Second St")
	changes, err := b.projection.Changes(b.ctx, b.citizen)
	require.NoError(t, err)
	require.Len(t, changes, 6)
	require.Equal(t, last.Position, changes[0].Position, "newest first")
	require.Equal(t, last.Receipt, changes[0].Receipt)
	require.Equal(t, "person-registered", changes[5].Change.Type)
	require.Equal(t, "verified", changes[5].Change.Assurance())
	require.Nil(t, find(changes[0], "moh-health-card").Given, "not disclosed yet")
	var statuses []journal.Status
	for i, told := range changes[1:5] {
		require.Equal(t, moves[3-i].Position, told.Position)
		o := find(told, "moh-health-card")
		require.Equal(t, consent.None, o.Reason)
		require.Equal(t, "Health card", o.Agreement.Title.EN)
		require.Equal(t, []string{"kind", "street", "city", "province", "postal_code", "country"}, o.Fields)
		require.Equal(t, int64(4-i), o.Given.Number)
		statuses = append(statuses, o.Given.Status)
		require.Equal(t, o.Given.Number == 3, o.Refusal == "Unknown client")
		require.Equal(t, consent.NoGrant, find(told, "outdoors-card").Reason)
		require.Nil(t, find(told, "outdoors-card").Given)
		require.Equal(t, consent.NotLinked, find(told, "mto-licensing").Reason)
	}
	require.Equal(t, []journal.Status{journal.StatusSent, journal.StatusRejected, journal.StatusApplied, journal.StatusReceived}, statuses)
	require.True(t, slices.IsSortedFunc(changes[0].Outcomes, func(a, b projection.Outcome) int { return strings.Compare(a.Agreement.ID, b.Agreement.ID) }))
}

// TestOtherPeoplesThingsAreNotFound: exactly like what is not there at all.
func TestOtherPeoplesThingsAreNotFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine, theirs := b.move(b.citizen, "home", "1 First St"), b.move(b.other, "home", "3 Other St")
	told, err := b.projection.Receipt(b.ctx, b.citizen, strings.ToLower(mine.Receipt))
	require.NoError(t, err)
	require.Equal(t, mine.Position, told.Position)
	for name, ask := range map[string]struct {
		id      citizen.ID
		receipt string
	}{
		"another's": {b.citizen, theirs.Receipt}, "nobody's": {b.citizen, "000000000000"}, "empty": {b.citizen, ""}, "of a stranger": {citizen.ID(uuid.New()), mine.Receipt},
	} {
		_, err := b.projection.Receipt(b.ctx, ask.id, ask.receipt)
		require.ErrorIs(t, err, projection.ErrNotFound, name)
	}
	_, err = b.projection.Changes(b.ctx, citizen.ID(uuid.New()))
	require.ErrorIs(t, err, projection.ErrNotFound)
}

func TestConsentsAndLinks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	consents := func() map[string]projection.Consent {
		list, err := b.projection.Consents(b.ctx, b.citizen)
		require.NoError(t, err)
		out := map[string]projection.Consent{}
		var ids []string
		for _, c := range list {
			ids = append(ids, c.Agreement.ID)
			c.Agreement = consent.Agreement{}
			out[ids[len(ids)-1]] = c
		}
		require.Equal(t, []string{"arts-newsletter", "library-membership", "osap-contact", "outdoors-card"}, ids, "by consent only, by id")
		return out
	}
	require.Equal(t, projection.Consent{}, consents()["outdoors-card"])
	first, err := b.command.Grant(b.ctx, b.as(journal.ActorSource), b.citizen, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	all := []string{"unit", "street", "city", "province", "postal_code"}
	require.Equal(t, projection.Consent{Granted: true, Version: 1, Fields: all, Since: first.Position}, consents()["outdoors-card"])
	_, err = b.command.Grant(b.ctx, b.as(journal.ActorSource), b.citizen, command.Choice{Agreement: "outdoors-card", Fields: []string{"city"}})
	require.NoError(t, err)
	require.Equal(t, projection.Consent{Granted: true, Version: 1, Fields: []string{"city"}, Since: first.Position}, consents()["outdoors-card"], "replaced: unbroken")
	_, err = b.command.Withdraw(b.ctx, b.as(journal.ActorSource), b.citizen, "outdoors-card")
	require.NoError(t, err)
	require.Equal(t, projection.Consent{}, consents()["outdoors-card"])
	library := parse(t, b, "library-membership")
	require.Equal(t, []string{"street", "unit", "city", "postal_code", "family_name", "language"}, projection.AllFields(&library))

	_, err = b.command.Link(b.ctx, b.as(journal.ActorSource), b.citizen, command.Linking{Ministry: "mccss", ClientReference: "s"})
	require.NoError(t, err)
	links, err := b.projection.Links(b.ctx, b.citizen)
	require.NoError(t, err)
	require.Len(t, links, 2)
	require.Equal(t, []string{"mccss", "moh"}, []string{links[0].Ministry, links[1].Ministry})
	links, err = b.projection.Links(b.ctx, b.other)
	require.NoError(t, err)
	require.Empty(t, links)
}

func parse(t *testing.T, b *bundle, name string) consent.Agreement {
	t.Helper()
	text, err := os.ReadFile("../command/testdata/agreements/" + name + ".yaml")
	require.NoError(t, err)
	a, err := schemas.ParseAgreement(name, text, b.journal.Registry())
	require.NoError(t, err)
	return a
}

// TestWhoSaw: ministries that were given a fact, and people in office who looked, newest first; a look that the law hides shows on its day.
func TestWhoSaw(t *testing.T) {
	t.Parallel()
	b := setup(t)
	seen := func(id citizen.ID) []projection.Seen {
		out, err := b.projection.WhoSaw(b.ctx, id)
		require.NoError(t, err)
		return out
	}
	require.Empty(t, seen(b.citizen))
	b.move(b.citizen, "home", "1 First St")
	require.Empty(t, seen(b.citizen), "permitted is not yet seen")
	b.read()
	got := seen(b.citizen)
	require.Len(t, got, 1)
	require.Equal(t, "address-changed", got[0].Type)
	require.Equal(t, "Health card", got[0].Law.Title.EN)
	require.Equal(t, []string{"kind", "street", "city", "province", "postal_code", "country"}, got[0].Fields)
	require.Equal(t, journal.StatusSent, got[0].Given.Status)
	require.Nil(t, got[0].Access)
	require.Empty(t, seen(b.other))

	officer := journal.Actor{Kind: journal.ActorOfficer, ID: "o.fficer"}
	_, err := audit.New(b.journal).Open(b.ctx, officer, journal.IssuerPages, audit.Look{Reason: "A complaint", Case: "C-1", Kind: "why", Subject: b.citizen})
	require.NoError(t, err)
	today := b.journal.DayOf(b.journal.Now(journal.Timing{})).Date.String()
	for _, hidden := range []string{today, "9999-12-31"} {
		_, err := b.journal.Append(b.ctx, journal.Step{Origin: journal.Origin{Actor: journal.ActorAuditor}, Events: []journal.New{{
			Event:     journal.Accessed{Kind: "why", Reason: "hidden until " + hidden, HiddenUntil: hidden, HiddenWhy: "inquiry"},
			Aggregate: journal.AccessesAggregate, Subject: b.citizen, Cause: eventstore.NoCause,
		}}})
		require.NoError(t, err)
	}
	var looks []projection.Access
	for _, s := range seen(b.citizen) {
		if s.Access != nil {
			require.Nil(t, s.Given)
			looks = append(looks, *s.Access)
		}
	}
	require.ElementsMatch(t, []projection.Access{
		{Actor: journal.ActorOfficer, Kind: "why", Reason: "A complaint", Case: "C-1"},
		{Actor: journal.ActorAuditor, Kind: "why", Reason: "hidden until " + today, HiddenUntil: today, HiddenWhy: "inquiry"},
	}, looks)
	require.Empty(t, seen(b.other))
	list := seen(b.citizen)
	require.True(t, slices.IsSortedFunc(list, func(a, b projection.Seen) int { return b.At.Compare(a.At) }))
}
