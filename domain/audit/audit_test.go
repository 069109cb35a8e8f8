package audit_test

import (
	"context"
	"os"
	"path/filepath"
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
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

var (
	officer = journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "o.fficer"}
	source  = journal.Actor{Kind: journal.ActorSource, ID: "test"}
)

// bundle is a sandbox with the sample agreements and one resident, a client of moh.
type bundle struct {
	t        *testing.T
	ctx      context.Context
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	audit    *audit.Audit
	citizen  citizen.ID
}

func setup(t *testing.T) *bundle {
	t.Helper()
	j := journaltest.New(t, journaltest.Options{})
	b := &bundle{t: t, ctx: context.Background(), journal: j, command: command.New(j), delivery: delivery.New(j), audit: audit.New(j)}
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
	ids, err := j.Register(b.ctx, "test", "someone")
	require.NoError(t, err)
	b.citizen = ids[0]
	b.tell("person-registered", map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"})
	_, err = b.command.Link(b.ctx, b.as(), b.citizen, command.Linking{Ministry: "moh", ClientReference: "r", Means: "import"})
	require.NoError(t, err)
	return b
}

func (b *bundle) as() command.Command {
	return command.Command{ID: uuid.NewString(), Scope: "test", Actor: source, Issuer: journal.IssuerImport, Channel: journal.ChannelPhone}
}

func (b *bundle) tell(eventType string, data map[string]any) command.Result {
	b.t.Helper()
	normalised, canonical, problems := b.journal.Registry().Validate(eventType, data)
	require.Empty(b.t, problems)
	result, err := b.command.Tell(b.ctx, b.as(), b.citizen, command.Change{Type: eventType, Effective: "2026-01-05", Data: normalised, Canonical: canonical})
	require.NoError(b.t, err)
	return result
}

func (b *bundle) move() command.Result {
	b.t.Helper()
	return b.tell("address-changed", map[string]any{
		"kind": "home", "street": "1 First St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	})
}

func (b *bundle) rename() command.Result {
	b.t.Helper()
	return b.tell("name-changed", map[string]any{"given_names": "Other", "family_name": "Person", "reason": "court"})
}

func (b *bundle) head() int64 {
	b.t.Helper()
	head, err := b.journal.Head(b.ctx)
	require.NoError(b.t, err)
	return head.Position
}

func (b *bundle) look(l audit.Look) *audit.Session {
	b.t.Helper()
	if l.Reason == "" {
		l.Reason = "A complaint"
	}
	s, err := b.audit.Open(b.ctx, officer, journal.IssuerPages, l)
	require.NoError(b.t, err)
	return s
}

func (b *bundle) decisions(s *audit.Session, f audit.Filter) []audit.DecisionLine {
	b.t.Helper()
	var out []audit.DecisionLine
	require.NoError(b.t, s.Decisions(b.ctx, f, func(l audit.DecisionLine) error { out = append(out, l); return nil }))
	return out
}

// TestALookIsOnTheLogBeforeItsAnswer, sealed, in the accesses, and about the person shown.
func TestALookIsOnTheLogBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.head()
	s := b.look(audit.Look{Reason: "  A complaint ", Case: "C-1", Kind: "why", Shown: "timeline", Subject: b.citizen})
	require.Equal(t, before+1, s.Position)
	require.Equal(t, s.Position, b.head())
	require.Equal(t, audit.Look{Reason: "A complaint", Case: "C-1", Kind: "why", Shown: "timeline", Subject: b.citizen}, s.Look())
	entries, err := b.journal.Read(b.ctx, s.Position)
	require.NoError(t, err)
	e := entries[0]
	require.Equal(t, journal.Accessed{Case: "C-1", Kind: "why", Reason: "A complaint", Shown: "timeline"}, e.Event)
	require.Equal(t, "o.fficer", e.Meta.Actor)
	require.Equal(t, eventstore.AccessTrail, e.Class)
	require.Equal(t, uuid.UUID(b.citizen), e.Subject)
	require.Equal(t, journal.AccessesAggregate, e.Aggregate, "a look never conflicts with the citizen's own change")
	require.Equal(t, int16(journal.ActorOfficer), e.ActorKind)
	require.NotContains(t, string(e.Payload), "complaint")
}

func TestNothingIsShownIfTheLookCannotBeRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.journal.Store().Close())
	s, err := b.audit.Open(b.ctx, officer, journal.IssuerPages, audit.Look{Reason: "A complaint", Kind: "why", Subject: b.citizen})
	require.ErrorIs(t, err, eventstore.ErrClosed)
	require.Nil(t, s)
}

func TestALookNeedsAReasonAndARole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.head()
	for name, reason := range map[string]string{
		"none": "", "blank": " \t\n ", "too long": strings.Repeat("é", 501), "no text": "a\xffb",
	} {
		_, err := b.audit.Open(b.ctx, officer, journal.IssuerPages, audit.Look{Reason: reason})
		require.ErrorIs(t, err, audit.ErrReason, name)
	}
	may := map[journal.ActorKind]bool{journal.ActorOfficer: true, journal.ActorAuditor: true, journal.ActorProtector: true, journal.ActorOperator: true}
	for kind := journal.ActorHub; kind <= journal.ActorSource+1; kind++ {
		if !may[kind] {
			_, err := b.audit.Open(b.ctx, journal.Actor{Kind: kind}, journal.IssuerAPI, audit.Look{Reason: "because"})
			require.ErrorIs(t, err, audit.ErrForbidden, kind)
		}
	}
	require.Equal(t, before, b.head())
	for kind := range may {
		_, err := b.audit.Open(b.ctx, journal.Actor{Kind: kind}, journal.IssuerAPI, audit.Look{Reason: strings.Repeat("é", 500)})
		require.NoError(t, err)
	}
	require.NoError(t, b.audit.Refused(b.ctx, officer, "GET /v1/me", 404))
	entries, err := b.journal.Read(b.ctx, b.head())
	require.NoError(t, err)
	require.Equal(t, journal.AccessRefused{Route: "GET /v1/me", Status: 404}, entries[0].Event)
}

func TestReopenIsForWhoOpened(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.look(audit.Look{Kind: "why", Case: "C-1", Shown: "timeline", Subject: b.citizen})
	head := b.head()
	colleague := officer
	colleague.ID = "another"
	auditor := officer
	auditor.Kind = journal.ActorAuditor
	for name, test := range map[string]struct {
		actor journal.Actor
		at    int64
	}{
		"a colleague": {colleague, s.Position}, "another role": {auditor, s.Position}, "no look": {officer, 0}, "a change": {officer, 1},
		"beyond": {officer, head + 1}, "negative": {officer, -1},
	} {
		_, err := b.audit.Reopen(b.ctx, test.actor, journal.IssuerPages, test.at)
		require.ErrorIs(t, err, audit.ErrNotFound, name)
	}
	require.Equal(t, head, b.head())
	for n := range int64(3) {
		again, err := b.audit.Reopen(b.ctx, officer, journal.IssuerPages, s.Position)
		require.NoError(t, err)
		require.Equal(t, s.Look(), again.Look())
		require.Equal(t, head+n+1, again.Position, "every showing is an event")
		entries, err := b.journal.Read(b.ctx, again.Position)
		require.NoError(t, err)
		require.Equal(t, journal.Accessed{Case: "C-1", Kind: "why", Reason: "A complaint", Shown: "timeline"}, entries[0].Event)
		require.Equal(t, uuid.UUID(b.citizen), entries[0].Subject)
	}
}

func TestAPostponedLookIsShownOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.look(audit.Look{Kind: "why", Subject: b.citizen})
	s.Postpone()
	late := b.move() // what came after the look is not in it
	_, err := b.delivery.Next(b.ctx, "moh.health-card", 0, 0, 10, 0)
	require.NoError(t, err)
	head := b.head()
	again, err := b.audit.Reopen(b.ctx, officer, journal.IssuerPages, s.Position)
	require.NoError(t, err)
	require.Equal(t, s.Position, again.Position)
	require.Equal(t, head, b.head())
	changes, err := again.Timeline(b.ctx)
	require.NoError(t, err)
	require.NotEmpty(t, changes)
	for _, c := range changes {
		require.NotEqual(t, late.Position, c.Position)
	}
	for _, line := range b.decisions(again, audit.Filter{}) {
		require.NotEqual(t, late.Position, line.Position)
	}
	_, err = b.audit.Reopen(b.ctx, officer, journal.IssuerPages, s.Position)
	require.NoError(t, err)
	require.Equal(t, head+1, b.head())
	_, err = audit.New(b.journal).Reopen(b.ctx, officer, journal.IssuerPages, b.postponed())
	require.NoError(t, err)
	require.Equal(t, head+3, b.head(), "another process knows nothing of it")
}

// postponed is a look of which nothing was shown.
func (b *bundle) postponed() int64 {
	s := b.look(audit.Look{Kind: "why", Subject: b.citizen})
	s.Postpone()
	return s.Position
}

// TestDecisionsAreFilteredAndInOrder compares every filter with picking from the whole list by hand.
func TestDecisionsAreFilteredAndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.move()
	_, err := b.command.Grant(b.ctx, b.as(), b.citizen, command.Choice{Agreement: "outdoors-card", Fields: []string{"street", "city"}})
	require.NoError(t, err)
	second, third := b.rename(), b.move()
	s := b.look(audit.Look{Kind: "decisions"})
	b.move() // after the look
	all := b.decisions(s, audit.Filter{})
	require.Len(t, all, len(first.Decisions)+len(second.Decisions)+len(third.Decisions))
	for i := range all[1:] {
		before, after := all[i], all[i+1]
		require.True(t, before.Position < after.Position || before.Position == after.Position && before.Agreement < after.Agreement)
	}
	at := func(position int64, agreement string) audit.DecisionLine {
		for _, line := range all {
			if line.Position == position && line.Agreement == agreement {
				require.NotEmpty(t, line.Command)
				line.Command = ""
				return line
			}
		}
		return audit.DecisionLine{}
	}
	require.Equal(t, audit.DecisionLine{
		Position: third.Position, Type: "address-changed", Agreement: "outdoors-card", Version: 1, Stream: "mnr.outdoors-card", Result: "shared",
		Fields: []string{"city", "street"},
	}, at(third.Position, "outdoors-card"))
	require.Equal(t, audit.DecisionLine{
		Position: first.Position, Type: "address-changed", Agreement: "outdoors-card", Version: 1, Stream: "mnr.outdoors-card", Result: "withheld",
		Fields: []string{}, Reason: "no-grant",
	}, at(first.Position, "outdoors-card"))
	for _, f := range []audit.Filter{
		{Stream: "moh.health-card"}, {Reason: "no-grant"}, {Stream: "mnr.outdoors-card", Reason: "no-grant"}, {Stream: "no.such"},
		{From: second.Position}, {From: second.Position + 1}, {To: second.Position}, {To: second.Position + 1}, {To: second.Position + 2},
		{From: first.Position, To: first.Position + 1}, {From: first.Position, To: first.Position}, {From: third.Position, To: 1 << 40}, {From: 1 << 40},
	} {
		var want []audit.DecisionLine
		for _, line := range all {
			if (f.Stream == "" || line.Stream == f.Stream) && (f.Reason == "" || line.Reason == f.Reason) && line.Position >= f.From &&
				(f.To == 0 || line.Position < f.To) {
				want = append(want, line)
			}
		}
		require.Equal(t, want, b.decisions(s, f), "%+v", f)
	}
	require.ErrorIs(t, s.Decisions(b.ctx, audit.Filter{}, func(audit.DecisionLine) error { return context.Canceled }), context.Canceled)
}

func TestConsentsListsGrantsLinksAndTheirEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.command.Grant(b.ctx, b.as(), b.citizen, command.Choice{Agreement: "outdoors-card", Fields: []string{"city"}})
	require.NoError(t, err)
	_, err = b.command.Withdraw(b.ctx, b.as(), b.citizen, "outdoors-card")
	require.NoError(t, err)
	_, err = b.command.Unlink(b.ctx, b.as(), b.citizen, "moh")
	require.NoError(t, err)
	s := b.look(audit.Look{Kind: "consents"})
	var got []audit.ConsentLine
	require.NoError(t, s.Consents(b.ctx, func(l audit.ConsentLine) error {
		require.Equal(t, b.citizen.String(), l.Citizen)
		require.NotEmpty(t, l.Command)
		require.False(t, l.RecordedAt.IsZero())
		got = append(got, audit.ConsentLine{Type: l.Type, Agreement: l.Agreement, Version: l.Version, Fields: l.Fields, Ministry: l.Ministry})
		return nil
	}))
	require.Equal(t, []audit.ConsentLine{
		{Type: "ministry-linked", Ministry: "moh"}, {Type: "consent-granted", Agreement: "outdoors-card", Version: 1, Fields: []string{"city"}},
		{Type: "consent-withdrawn", Agreement: "outdoors-card"}, {Type: "ministry-unlinked", Ministry: "moh"},
	}, got)
}

func TestTimelineSaysWhyAndWhatLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.move()
	grant, err := b.command.Grant(b.ctx, b.as(), b.citizen, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	second := b.move()
	_, err = b.command.Withdraw(b.ctx, b.as(), b.citizen, "outdoors-card")
	require.NoError(t, err)
	_, err = b.delivery.Next(b.ctx, "moh.health-card", 0, 0, 10, 0)
	require.NoError(t, err)
	_, err = b.look(audit.Look{Kind: "list"}).Timeline(b.ctx)
	require.ErrorIs(t, err, audit.ErrNotFound, "a look at nobody shows nobody")
	changes, err := b.look(audit.Look{Kind: "why", Subject: b.citizen}).Timeline(b.ctx)
	require.NoError(t, err)
	require.Len(t, changes, 3)
	require.Equal(t, []int64{second.Position, first.Position}, []int64{changes[0].Position, changes[1].Position}, "newest first")
	require.Equal(t, second.Receipt, changes[0].Receipt)
	require.Equal(t, "2026-01-05", changes[0].Effective)
	require.Equal(t, journal.ChannelPhone, changes[0].Channel)
	find := func(c audit.Change, id string) audit.Why {
		for _, w := range c.Decisions {
			if w.Line.Agreement == id {
				return w
			}
		}
		return audit.Why{}
	}
	cards, moh := find(changes[0], "outdoors-card"), find(changes[0], "moh-health-card")
	require.Equal(t, consent.None, cards.Reason)
	require.Equal(t, grant.Position, cards.Grant, "the grant that held then")
	require.Nil(t, cards.Given)
	require.Equal(t, "Outdoors Card", cards.Agreement.Title.EN)
	require.NotNil(t, moh.Given)
	require.Equal(t, int64(2), moh.Given.Number)
	require.Equal(t, journal.StatusSent, moh.Given.Status)
	require.Equal(t, consent.NoGrant, find(changes[1], "outdoors-card").Reason)
	require.Zero(t, find(changes[1], "outdoors-card").Grant)
}

func TestOpenPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	result := b.move()
	open := func(who audit.Who) (*audit.Session, error) {
		return b.audit.OpenPerson(b.ctx, officer, journal.IssuerPages, audit.Look{Kind: audit.KindSearch, Reason: "A complaint", Shown: "all"}, who)
	}
	for name, who := range map[string]audit.Who{
		"receipt": {Receipt: result.Receipt}, "in small letters": {Receipt: strings.ToLower(result.Receipt)},
		"reference": {Sources: []string{"test"}, Reference: "someone"}, "the first source that knows it": {Sources: []string{"import", "test"}, Reference: "someone"},
	} {
		s, err := open(who)
		require.NoError(t, err, name)
		require.Equal(t, b.citizen, s.Look().Subject, name)
		require.Equal(t, b.head(), s.Position)
	}
	for name, who := range map[string]audit.Who{
		"receipt": {Receipt: "000000000000"}, "reference": {Sources: []string{"test"}, Reference: "nobody"},
		"another source": {Sources: []string{"import"}, Reference: "someone"}, "nothing": {},
	} {
		before := b.head()
		_, err := open(who)
		require.ErrorIs(t, err, audit.ErrNotFound, name)
		require.Equal(t, before+1, b.head(), "to have asked is a look")
		entries, err := b.journal.Read(b.ctx, b.head())
		require.NoError(t, err)
		require.Equal(t, journal.Accessed{Kind: audit.KindSearch, Reason: "A complaint", Shown: "nothing found"}, entries[0].Event)
		require.Equal(t, uuid.Nil, entries[0].Subject)
	}
}
