package audit_test

import (
	"slices"
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

// candidate is the next version of a sample agreement, changed.
func (p *proof) candidate(t *testing.T, id string, change func(*consent.Agreement)) consent.Agreement {
	t.Helper()
	agreements := sampleAgreements(t, p.journal)
	i := slices.IndexFunc(agreements, func(a consent.Agreement) bool { return a.ID == id })
	require.GreaterOrEqual(t, i, 0)
	agreements[i].Version++
	change(&agreements[i])
	return agreements[i]
}

func (p *proof) dryRun(t *testing.T, candidate consent.Agreement) audit.DryRunReport {
	t.Helper()
	report, err := p.process(t).audit.DryRun(p.ctx, candidate, nil)
	require.NoError(t, err)
	return report
}

// field is one line of a report.
func field(t *testing.T, r audit.DryRunReport, eventType, name string) audit.FieldEffect {
	t.Helper()
	i := slices.IndexFunc(r.Fields, func(f audit.FieldEffect) bool { return f.Type == eventType && f.Field == name })
	require.GreaterOrEqual(t, i, 0)
	return r.Fields[i]
}

// TestTheSameRulesChangeNothing, for every agreement of the sample, whatever they are based on and whenever the next version begins.
func TestTheSameRulesChangeNothing(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.sample(t)
	for _, a := range sampleAgreements(t, p.journal) {
		a.Version, a.ValidFrom = 7, 20300101
		report := p.dryRun(t, a)
		require.Equal(t, []any{a.ID, 7, 1}, []any{report.Agreement, report.Version, report.Replaces})
		require.NotZero(t, report.Facts, a.ID)
		require.Positive(t, report.SharedBefore, a.ID)
		require.Equal(t, report.SharedBefore, report.SharedAfter, a.ID)
		for _, f := range report.Fields {
			require.Equal(t, f.Before, f.After)
			require.Zero(t, f.GainedFacts+f.LostFacts+f.GainedCitizens+f.LostCitizens, "%s %s", a.ID, f.Field)
		}
		withheld := int64(0)
		for _, w := range report.Withheld {
			require.Equal(t, w.Before, w.After, w.Reason)
			withheld += w.After
		}
		require.Equal(t, report.Facts, report.SharedAfter+withheld, "every fact is shared or withheld for a reason")
	}
}

// TestBeforeIsWhatWasDecided: what a dry run says of the rules in force is what the decisions of the log say, where there was one version.
func TestBeforeIsWhatWasDecided(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.sample(t)
	session, err := p.audit.Open(p.ctx, officer, journal.IssuerPages, audit.Look{Reason: "test", Kind: "decisions"})
	require.NoError(t, err)
	shared, fields, withheld := map[string]int64{}, map[[3]string]int64{}, map[[2]string]int64{}
	require.NoError(t, session.Decisions(p.ctx, audit.Filter{}, func(l audit.DecisionLine) error {
		if l.Result == "shared" {
			shared[l.Agreement]++
		} else {
			withheld[[2]string{l.Agreement, l.Reason}]++
		}
		for _, name := range l.Fields {
			fields[[3]string{l.Agreement, l.Type, name}]++
		}
		return nil
	}))
	for _, a := range sampleAgreements(t, p.journal) {
		a.Version++
		report := p.dryRun(t, a)
		require.Equal(t, shared[a.ID], report.SharedBefore, a.ID)
		for _, f := range report.Fields {
			require.Equal(t, fields[[3]string{a.ID, f.Type, f.Field}], f.Before, "%s %s", a.ID, f.Field)
		}
		for _, w := range report.Withheld {
			require.Equal(t, withheld[[2]string{a.ID, w.Reason}], w.Before, "%s %s", a.ID, w.Reason)
		}
	}
}

// TestAfterIsWhatWouldHaveBeenDecided: the same people telling the same to a hub where the candidate was the agreement from the beginning.
func TestAfterIsWhatWouldHaveBeenDecided(t *testing.T) {
	t.Parallel()
	thirty := 30
	change := func(a *consent.Agreement) {
		for i := range a.Shares {
			a.Shares[i].When.MinAge = &thirty
			a.Shares[i].Fields = a.Shares[i].Fields[:1]
		}
		a.Shares = append(a.Shares, consent.Share{Event: "language-changed", Fields: []string{"language"}})
	}
	p, under := setupProof(t), setupProof(t)
	p.sample(t)
	candidate := p.candidate(t, "mof-tax", change)
	under.load(t, []consent.Agreement{candidate})
	under.sample(t)
	report := p.dryRun(t, candidate)
	would := under.dryRun(t, under.candidate(t, "mof-tax", func(a *consent.Agreement) { change(a); a.Version = 3 }))
	require.Equal(t, would.SharedBefore, report.SharedAfter)
	require.NotEqual(t, report.SharedBefore, report.SharedAfter)
	for _, f := range would.Fields {
		if f.Before > 0 {
			require.Equal(t, f.Before, field(t, report, f.Type, f.Field).After, "%s %s", f.Type, f.Field)
		}
	}
	for _, w := range would.Withheld {
		require.Contains(t, reasonsAfter(report), audit.ReasonEffect{Reason: w.Reason, After: w.Before})
	}
}

func reasonsAfter(r audit.DryRunReport) []audit.ReasonEffect {
	var out []audit.ReasonEffect
	for _, w := range r.Withheld {
		out = append(out, audit.ReasonEffect{Reason: w.Reason, After: w.After})
	}
	return out
}

func TestADryRunCountsWhoGainsAndLoses(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	for _, reference := range []string{"r-1", "r-2", "r-3"} {
		p.someone(t, reference, "1980-05-17")
		b := p.about(t, reference)
		if reference != "r-3" {
			_, err := b.command.Link(b.ctx, b.as(), b.citizen, command.Linking{Ministry: "moh", ClientReference: reference, Means: "import"})
			require.NoError(t, err)
		}
		b.tell("address-changed", map[string]any{
			"kind": "home", "unit": "2", "street": "1 First St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
		})
		b.move()
		b.rename()
	}
	before := p.records(t)
	report := p.dryRun(t, p.candidate(t, "moh-health-card", func(a *consent.Agreement) {
		a.Shares = []consent.Share{
			{Event: "address-changed", Fields: []string{"city", "province"}}, // of seven
			{Event: "language-changed", Fields: []string{"language"}},
		}
	}))
	require.Equal(t, before, p.records(t), "counting leaves no trace")
	require.Equal(t,
		audit.FieldEffect{Type: "address-changed", Field: "city", Before: 4, After: 4},
		field(t, report, "address-changed", "city"))
	require.Equal(t,
		audit.FieldEffect{Type: "address-changed", Field: "street", Before: 4, LostFacts: 4, LostCitizens: 2},
		field(t, report, "address-changed", "street"))
	require.Equal(t,
		audit.FieldEffect{Type: "address-changed", Field: "unit", Before: 2, LostFacts: 2, LostCitizens: 2},
		field(t, report, "address-changed", "unit"))
	require.Equal(t,
		audit.FieldEffect{Type: "name-changed", Field: "family_name", Before: 2, LostFacts: 2, LostCitizens: 2},
		field(t, report, "name-changed", "family_name"))
	require.Equal(t, audit.FieldEffect{Type: "language-changed", Field: "language"}, field(t, report, "language-changed", "language"))
	require.Equal(t, []int64{9, 3, 6, 4}, []int64{report.Facts, report.Citizens, report.SharedBefore, report.SharedAfter})
	require.Equal(t, []audit.ReasonEffect{{Reason: "not-linked", Before: 3, After: 2}}, report.Withheld)

	all := p.dryRun(t, p.candidate(t, "moh-health-card", func(a *consent.Agreement) { a.Population = consent.PopulationAll }))
	require.Equal(t,
		audit.FieldEffect{Type: "address-changed", Field: "city", Before: 4, After: 6, GainedFacts: 2, GainedCitizens: 1},
		field(t, all, "address-changed", "city"))
	require.Empty(t, slices.DeleteFunc(all.Withheld, func(r audit.ReasonEffect) bool { return r.After == 0 }))
}

// TestANewAgreement gains from the beginning of the log what it would have been given.
func TestANewAgreement(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.someone(t, "r-1", "1980-05-17")
	p.about(t, "r-1").move()
	report := p.dryRun(t, p.candidate(t, "elections-register", func(a *consent.Agreement) { a.ID, a.ValidFrom = "new", 20400101 }))
	require.Zero(t, report.Replaces)
	require.Equal(t,
		audit.FieldEffect{Type: "address-changed", Field: "city", After: 1, GainedFacts: 1, GainedCitizens: 1},
		field(t, report, "address-changed", "city"))
	consented := p.dryRun(t, p.candidate(t, "outdoors-card", func(a *consent.Agreement) { a.ID = "new" }))
	require.Equal(t, []audit.ReasonEffect{{Reason: "no-grant", After: 1}}, consented.Withheld, "nobody has consented to it yet")
}

// TestAWiderConsentGainsNothing before new grants; a narrower one bites at once.
func TestAWiderConsentGainsNothing(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	p.someone(t, "r-1", "1980-05-17")
	b := p.about(t, "r-1")
	_, err := b.command.Grant(b.ctx, b.as(), b.citizen, command.Choice{Agreement: "outdoors-card"})
	require.NoError(t, err)
	b.move()
	report := p.dryRun(t, p.candidate(t, "outdoors-card", func(a *consent.Agreement) { a.Shares[0].Fields = []string{"city", "country", "kind"} }))
	require.Equal(t,
		audit.FieldEffect{Type: "address-changed", Field: "city", Before: 1, After: 1},
		field(t, report, "address-changed", "city"))
	require.Equal(t, audit.FieldEffect{Type: "address-changed", Field: "country"}, field(t, report, "address-changed", "country"))
	require.Equal(t, int64(1), field(t, report, "address-changed", "street").LostCitizens)
}

func TestADryRunRefusesWhatCouldNotBeApproved(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	for name, change := range map[string]func(*consent.Agreement){
		"the same version": func(a *consent.Agreement) { a.Version = 1 },
		"an older version": func(a *consent.Agreement) { a.Version = 0 },
	} {
		_, err := p.audit.DryRun(p.ctx, p.candidate(t, "outdoors-card", change), nil)
		require.ErrorIs(t, err, audit.ErrNotNewer, name)
	}
	_, err := p.audit.DryRun(p.ctx, p.candidate(t, "outdoors-card", func(a *consent.Agreement) { a.Shares[0].Fields = []string{"shoe_size"} }), nil)
	require.ErrorContains(t, err, "shoe_size")
}

// TestErasedFactsAreNotGuessed: they are counted apart.
func TestErasedFactsAreNotGuessed(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	for _, reference := range []string{"r-1", "r-2"} {
		p.someone(t, reference, "1980-05-17")
		p.about(t, reference).move()
	}
	p.keys.Destroy(seal.KeyID{Subject: uuid.UUID(p.about(t, "r-1").citizen), Class: eventstore.Facts})
	report := p.dryRun(t, p.candidate(t, "elections-register", func(*consent.Agreement) {}))
	require.Equal(t, []int64{1, 1}, []int64{report.Facts, report.Citizens})
	require.Equal(t, int64(1), report.Erased, "the address; a registration is no matter of this agreement")
}

// TestPeopleOfADryRun: a look with its reason is on the log before anybody is named, and whoever is hidden from the looker is neither named nor counted.
func TestPeopleOfADryRun(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	ids := map[string]citizen.ID{}
	for _, reference := range []string{"r-1", "r-2", "r-3"} {
		ids[reference] = p.someone(t, reference, "1980-05-17")
		p.about(t, reference).move()
	}
	p.about(t, "r-1").rename()
	candidate := p.candidate(t, "elections-register", func(a *consent.Agreement) { a.Shares[0].Fields = []string{"city", "country"} })
	named := func(actor journal.Actor) (audit.DryRunReport, []audit.PersonEffect) {
		before := p.records(t)
		session, err := p.audit.Open(p.ctx, actor, journal.IssuerPages, audit.Look{Reason: "a new version", Kind: "dry-run"})
		require.NoError(t, err)
		require.Equal(t, before, session.Position)
		var people []audit.PersonEffect
		report, err := session.DryRunPeople(p.ctx, candidate, func(one audit.PersonEffect) error { people = append(people, one); return nil }, nil)
		require.NoError(t, err)
		return report, people
	}
	report, people := named(officer)
	require.Len(t, people, 3)
	require.True(t, slices.IsSortedFunc(people, func(a, b audit.PersonEffect) int { return slices.Compare([]byte(a.Citizen), []byte(b.Citizen)) }))
	for _, one := range people {
		require.Equal(t, audit.PersonEffect{
			Citizen: one.Citizen, Type: "address-changed", Gained: []string{"country"}, Lost: []string{"street", "province", "postal_code"},
		}, one)
	}
	id := ids["r-2"]
	_, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{{
		Event: journal.RestrictionSet{Kind: journal.RestrictionViolence}, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause,
	}}})
	require.NoError(t, err)
	again, people := named(officer)
	require.Len(t, people, 2)
	for _, one := range people {
		require.NotEqual(t, id.String(), one.Citizen)
	}
	require.Equal(t, []int64{report.Facts - 1, report.Citizens - 1}, []int64{again.Facts, again.Citizens}, "as if they had never been there")
	require.Equal(t, again, p.dryRun(t, candidate))
	full, people := named(journal.Actor{Kind: journal.ActorProtector, Role: journal.RoleProtector, ID: "p.rotector"})
	require.Equal(t, report, full)
	require.Len(t, people, 3)
}

// TestADryRunBetraysNoProtection that has ended: what was told under it is not counted, whoever it would go to.
func TestADryRunBetraysNoProtection(t *testing.T) {
	t.Parallel()
	p := setupProof(t)
	id := p.someone(t, "r-1", "1980-05-17")
	b, own := p.about(t, "r-1"), journal.CitizenAggregate(id)
	put := func(event any) {
		_, err := p.journal.Append(p.ctx, journal.Step{Events: []journal.New{{Event: event, Aggregate: own, Subject: id, Cause: eventstore.NoCause}}})
		require.NoError(t, err)
	}
	b.move()
	put(journal.RestrictionSet{Kind: journal.RestrictionViolence})
	b.move()
	put(journal.RestrictionLifted{})
	b.move()
	open := p.candidate(t, "elections-register", func(a *consent.Agreement) { a.ReceivesProtected = true })
	report := p.dryRun(t, open)
	require.Equal(t, []int64{2, 1, 2, 2}, []int64{report.Facts, report.Citizens, report.SharedBefore, report.SharedAfter})
	require.Empty(t, report.Withheld)
	session, err := p.audit.Open(
		p.ctx, journal.Actor{Kind: journal.ActorProtector, ID: "p"}, journal.IssuerPages, audit.Look{Reason: "a new version", Kind: "dry-run"},
	)
	require.NoError(t, err)
	full, err := session.DryRunPeople(p.ctx, open, func(audit.PersonEffect) error { return nil }, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 1, 2, 3}, []int64{full.Facts, full.Citizens, full.SharedBefore, full.SharedAfter})
	require.Equal(t, []audit.ReasonEffect{{Reason: "restricted", Before: 1}}, full.Withheld)
}
