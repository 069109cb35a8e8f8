package audit_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

func TestTheSampleRederives(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.sample(t)
	decided := p.count(t, journal.TypeDecided)
	require.Greater(t, decided, int64(1500))
	var last, total int64
	report, err := p.process(t).audit.Rederive(p.ctx, func(done, of int64) {
		require.Greater(t, done, last)
		last, total = done, of
	})
	require.NoError(t, err)
	require.Equal(t, audit.Report{Same: decided}, report)
	head, err := p.journal.Head(p.ctx)
	require.NoError(t, err)
	require.Equal(t, head.Position+1, last)
	require.Equal(t, last, total)
}

// TestAnEmptyLogRederives: nothing was decided, and nothing differs.
func TestAnEmptyLogRederives(t *testing.T) {
	t.Parallel()
	require.Equal(t, audit.Report{}, setupProof(t).rederived(t))
}

// TestDecidedByTheLawOfItsTime: each change is judged by the agreements, the grant and the link that held just before it, not by today's.
func TestDecidedByTheLawOfItsTime(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.someone(t, "r-1", "1980-05-17")
	b := p.about(t, "r-1")
	b.move()
	_, err := b.command.Link(b.ctx, b.as(), b.citizen, command.Linking{Ministry: "moh", ClientReference: "r", Means: "import"})
	require.NoError(t, err)
	b.move()
	_, err = b.command.Grant(b.ctx, b.as(), b.citizen, command.Choice{Agreement: "outdoors-card", Fields: []string{"city"}})
	require.NoError(t, err)
	b.move()
	narrower := sampleAgreements(t, p.journal)
	for i := range narrower {
		if narrower[i].ID == "outdoors-card" || narrower[i].ID == "moh-health-card" {
			narrower[i].Version = 2
			narrower[i].Shares[0].Fields = []string{"city", "province"}
		}
	}
	p.load(t, narrower)
	b.move()
	_, err = b.command.Withdraw(b.ctx, b.as(), b.citizen, "outdoors-card")
	require.NoError(t, err)
	b.move()
	require.Equal(t, audit.Report{Same: p.count(t, journal.TypeDecided)}, p.rederived(t))
}

// TestTheLawsOwnCasesRederive: protection, its end, corrections, verifications, cancellations, a death and its being taken back, and an
// agreement that takes verified facts only.
func TestTheLawsOwnCasesRederive(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	id := p.someone(t, "r-1", "1980-05-17")
	b := p.about(t, "r-1")
	as := func(kind journal.ActorKind) command.Command {
		c := b.as()
		c.Actor = journal.Actor{Kind: kind, ID: "someone"}
		return c
	}
	verified := p.candidate(t, "elections-register", func(a *consent.Agreement) { a.MinAssurance = consent.AssuranceVerified })
	tell := func(c command.Command, eventType string, data map[string]any) command.Result {
		normalised, canonical, problems := b.journal.Registry().Validate(eventType, data)
		require.Empty(t, problems)
		result, err := b.command.Tell(b.ctx, c, id, command.Change{Type: eventType, Effective: "2026-01-05", Data: normalised, Canonical: canonical})
		require.NoError(t, err)
		return result
	}
	at := func(r command.Result) json.Number { return json.Number(strconv.FormatInt(r.Position, 10)) }
	own := journal.CitizenAggregate(id)
	put := func(event any) {
		_, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{{Event: event, Aggregate: own, Subject: id, Cause: eventstore.NoCause}}})
		require.NoError(t, err)
		_, err = p.journal.FreshStates(p.ctx, id)
		require.NoError(t, err)
	}
	_, err := b.command.Grant(b.ctx, as(journal.ActorSource), id, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	moved := b.move()
	p.load(t, []consent.Agreement{verified})
	b.move()
	tell(as(journal.ActorRegistrar), journal.TypeChangeVerified, map[string]any{"verifies": at(moved)})
	other := map[string]any{"kind": "home", "street": "2 First St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA"}
	tell(as(journal.ActorClerk), journal.TypeChangeCorrected, map[string]any{"corrects": at(moved), "type": "address-changed", "data": other})
	tell(as(journal.ActorClerk), journal.TypeChangeCancelled, map[string]any{"corrects": at(b.rename())})
	put(journal.RestrictionSet{Kind: journal.RestrictionViolence})
	b.move()
	put(journal.RestrictionLifted{})
	b.move()
	died := tell(as(journal.ActorRegistrar), citizen.DeathRegistered, map[string]any{"death_date": "2026-01-04", "reported_by": "spouse"})
	tell(as(journal.ActorRegistrar), journal.TypeDeathCorrected, map[string]any{"corrects": at(died)})
	b.move()
	reasons := map[string]int{}
	session, err := p.audit.Open(p.ctx, officer, journal.IssuerPages, audit.Look{Reason: "test", Kind: audit.KindDecisions})
	require.NoError(t, err)
	require.NoError(t, session.Decisions(p.ctx, audit.Filter{}, func(l audit.DecisionLine) error { reasons[l.Reason]++; return nil }))
	require.Positive(t, reasons["not-verified"])
	require.Equal(t, audit.Report{Same: p.count(t, journal.TypeDecided)}, p.rederived(t))
	entries, err := p.journal.ReadAggregate(p.ctx, own, 1, 0)
	require.NoError(t, err)
	restricted := 0
	for _, e := range entries {
		if d, ok := e.Event.(journal.Decided); ok && d.UnderRestriction() {
			restricted++
		}
	}
	require.Equal(t, 1, restricted)
}

// about is the proof's log with a citizen to tell things about.
func (p *proof) about(t *testing.T, reference string) *bundle {
	t.Helper()
	b := *p.bundle
	ids, err := p.journal.Reference(p.ctx, "import", reference)
	require.NoError(t, err)
	b.t, b.citizen = t, ids[0]
	return &b
}

// appendDecided appends an address change with a decided of the test's making, as a hub with a fault in it would.
func (p *proof) appendDecided(t *testing.T, id citizen.ID, forge func(*journal.Decided)) int64 {
	t.Helper()
	states, err := p.journal.FreshStates(p.ctx, id)
	require.NoError(t, err)
	law, err := p.journal.FreshLaw(p.ctx)
	require.NoError(t, err)
	change := citizen.Change{Type: "address-changed", Effective: "2026-01-05", Data: map[string]any{
		"kind": "home", "street": "1 First St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
	}}
	decided := p.journal.Judge(law, states[0], change, p.journal.DayOf(p.journal.Now(journal.Timing{})))
	forge(&decided)
	own := journal.CitizenAggregate(id)
	results, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{
		{Event: change, Aggregate: own, Subject: id, Cause: eventstore.NoCause, Meta: journal.Meta{Effective: change.Effective}},
		{Event: decided, Aggregate: own, Subject: id, Cause: eventstore.CauseBefore(1)},
	}})
	require.NoError(t, err)
	return results[0].Position
}

// TestEveryWrongDecisionIsFound: whatever is wrong in a line, it is named; the same decision unforged is the same.
func TestEveryWrongDecisionIsFound(t *testing.T) {
	t.Parallel()
	line := func(d *journal.Decided, id string) *journal.Decision {
		for i := range d.Decisions {
			if d.Decisions[i].Agreement == id {
				return &d.Decisions[i]
			}
		}
		return &journal.Decision{}
	}
	one := func(agreement, what string) []audit.Difference {
		return []audit.Difference{{Agreement: agreement, What: what}}
	}
	for name, test := range map[string]struct {
		forge func(*journal.Decided)
		want  []audit.Difference
	}{
		"nothing":              {func(*journal.Decided) {}, nil},
		"engine alone":         {func(d *journal.Decided) { d.Engine++ }, nil},
		"a field too many":     {func(d *journal.Decided) { line(d, "elections-register").Fields |= 1 }, one("elections-register", audit.DiffersInFields)},
		"a field less":         {func(d *journal.Decided) { line(d, "elections-register").Fields &^= 8 }, one("elections-register", audit.DiffersInFields)},
		"shared, not granted":  {func(d *journal.Decided) { line(d, "outdoors-card").Reason = consent.None }, one("outdoors-card", audit.DiffersInReason)},
		"another version":      {func(d *journal.Decided) { line(d, "outdoors-card").Version = 2 }, one("outdoors-card", audit.DiffersInVersion)},
		"condition bits":       {func(d *journal.Decided) { line(d, "elections-register").Conditions = 1 }, one("elections-register", audit.DiffersInConditions)},
		"the first is missing": {func(d *journal.Decided) { d.Decisions = d.Decisions[1:] }, one("elections-register", audit.DiffersMissing)},
		"all are missing but one": {func(d *journal.Decided) { d.Decisions = d.Decisions[:1] }, []audit.Difference{
			{Agreement: "library-membership", What: audit.DiffersMissing}, {Agreement: "mccss-assistance", What: audit.DiffersMissing},
			{Agreement: "mof-tax", What: audit.DiffersMissing}, {Agreement: "moh-health-card", What: audit.DiffersMissing},
			{Agreement: "mto-licensing", What: audit.DiffersMissing}, {Agreement: "osap-contact", What: audit.DiffersMissing},
			{Agreement: "outdoors-card", What: audit.DiffersMissing},
		}},
		"one too many": {func(d *journal.Decided) {
			d.Decisions = append(d.Decisions, journal.Decision{Agreement: "zz", Version: 1})
		}, one("zz", audit.DiffersExtra)},
		"an earlier law": {func(d *journal.Decided) { d.Agreements-- }, []audit.Difference{{What: audit.DiffersInLaw}}},
		"two at once": {func(d *journal.Decided) { d.Agreements--; line(d, "outdoors-card").Fields = 2 }, []audit.Difference{
			{What: audit.DiffersInLaw}, {Agreement: "outdoors-card", What: audit.DiffersInFields},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupProof(t)
			id := p.someone(t, "r-1", "1980-05-17")
			position := p.appendDecided(t, id, test.forge)
			want := audit.Report{Same: p.count(t, journal.TypeDecided)}
			if test.want != nil {
				want = audit.Report{Same: want.Same - 1, Different: 1}
				for _, d := range test.want {
					d.Position = position
					want.Differences = append(want.Differences, d)
				}
			}
			require.Equal(t, want, p.rederived(t))
		})
	}
}

// TestWhatIsDecidedAboutNothing, and what nobody decided, are differences.
func TestWhatIsDecidedAboutNothing(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	id := p.someone(t, "r-1", "1980-05-17")
	same, own := p.count(t, journal.TypeDecided), journal.CitizenAggregate(id)
	results, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{
		{Event: citizen.Change{Type: "language-changed", Data: map[string]any{"language": "fr"}}, Aggregate: own, Subject: id, Cause: eventstore.NoCause},
		{Event: journal.MinistryUnlinked{Ministry: "moh"}, Aggregate: own, Subject: id, Cause: eventstore.NoCause},
		{Event: journal.Decided{Engine: 1}, Aggregate: own, Subject: id, Cause: eventstore.CauseBefore(1)},
	}})
	require.NoError(t, err)
	fact := results[0].Position
	require.Equal(t, audit.Report{Same: same, Different: 2, Differences: []audit.Difference{
		{Position: fact + 1, What: audit.DiffersUnreadable}, {Position: fact, What: audit.DiffersUndecided},
	}}, p.rederived(t))
}

// TestDifferencesAreListedToAHundred, and all are counted.
func TestDifferencesAreListedToAHundred(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	id := p.someone(t, "r-1", "1980-05-17")
	for range 30 {
		p.appendDecided(t, id, func(d *journal.Decided) {
			for i := range d.Decisions {
				d.Decisions[i].Version = 9
			}
		})
	}
	report := p.rederived(t)
	require.Equal(t, int64(30), report.Different)
	require.Len(t, report.Differences, 100)
}

// TestErasedDecisionsAreCountedApart, whichever of the two keys is gone: that of the facts or that of the evidence.
func TestErasedDecisionsAreCountedApart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		classes []eventstore.Class
		erased  int64 // of the three decisions about one of two citizens
	}{
		"nothing":  {nil, 0},
		"facts":    {[]eventstore.Class{eventstore.Facts}, 3},
		"evidence": {[]eventstore.Class{eventstore.Evidence}, 3},
		"both":     {[]eventstore.Class{eventstore.Facts, eventstore.Evidence}, 3},
		"contact":  {[]eventstore.Class{eventstore.Contact}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupProof(t)
			for _, reference := range []string{"r-1", "r-2"} {
				p.someone(t, reference, "1980-05-17")
				b := p.about(t, reference)
				b.move()
				b.rename()
			}
			gone := uuid.UUID(p.about(t, "r-1").citizen)
			for _, class := range test.classes {
				p.keys.Destroy(seal.KeyID{Subject: gone, Class: class})
			}
			require.Equal(t, audit.Report{Same: 6 - test.erased, Erased: test.erased}, p.rederived(t))
		})
	}
}
