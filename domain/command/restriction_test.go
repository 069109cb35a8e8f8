package command_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

var violence = command.Restricting{Kind: journal.RestrictionViolence, Reason: "Threatened"}

func (b *bundle) restrict(t testing.TB, id citizen.ID, r command.Restricting) command.Result {
	t.Helper()
	result, err := b.command.Restrict(context.Background(), by(protector), id, r)
	require.NoError(t, err)
	return result
}

func (b *bundle) lift(t testing.TB, id citizen.ID) {
	t.Helper()
	_, err := b.command.Lift(context.Background(), by(protector), id, "Over")
	require.NoError(t, err)
}

// protected says whether somebody is protected today.
func (b *bundle) protected(t testing.TB, id citizen.ID) bool {
	t.Helper()
	today := b.journal.DayOf(b.journal.Now(journal.Timing{Told: true})).Date
	return b.state(t, id).Standing.IsProtected(today)
}

// family is a child with two parents, and the child's half-sister of age.
func (b *bundle) family(t testing.TB) (mother, father, child, grown citizen.ID) {
	t.Helper()
	mother, father = b.bornOn(t, b.daysFrom(-40, 0)), b.bornOn(t, b.daysFrom(-41, 0))
	child, grown = b.bornOn(t, b.daysFrom(-10, 0)), b.bornOn(t, b.daysFrom(-19, 0))
	b.proxied(t, registrar, child, command.Proxying{Proxy: mother, Kind: journal.ProxyParent})
	b.proxied(t, registrar, child, command.Proxying{Proxy: father, Kind: journal.ProxyParent})
	b.proxied(t, self(grown), grown, command.Proxying{Proxy: mother, Kind: journal.ProxyAttorney})
	return mother, father, child, grown
}

func TestOnlyProtectorsProtect(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	id := b.bornOn(t, "1980-01-01")
	for _, actor := range []journal.Actor{self(id), clerk, registrar, source, {}, {Kind: journal.ActorOfficer}, {Kind: journal.ActorAuditor}, {Kind: journal.ActorOperator}, {Kind: journal.ActorMinistry}} {
		before := b.head(t)
		_, err := b.command.Restrict(ctx, by(actor), id, violence)
		require.ErrorIs(t, err, command.ErrForbidden)
		_, err = b.command.Lift(ctx, by(actor), id, "because")
		require.ErrorIs(t, err, command.ErrForbidden)
		_, err = b.command.AskReplacement(ctx, by(actor), id, command.Replacement{Reason: "because"})
		require.ErrorIs(t, err, command.ErrForbidden)
		_, err = b.command.Replace(ctx, by(actor), 1, command.Replacement{Reason: "because"})
		require.ErrorIs(t, err, command.ErrForbidden)
		require.Equal(t, before, b.head(t))
	}
}

func TestRestrictionsAreJudged(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	id, stranger := b.bornOn(t, "1980-01-01"), b.bornOn(t, "1981-01-01")
	for name, c := range map[string]struct {
		id            citizen.ID
		r             command.Restricting
		code, pointer string
	}{
		"no reason":       {id, command.Restricting{Kind: journal.RestrictionViolence, Reason: " "}, "schema", "/data/reason"},
		"a long reason":   {id, command.Restricting{Kind: journal.RestrictionViolence, Reason: strings.Repeat("é", 501)}, "schema", "/data/reason"},
		"an unknown kind": {id, command.Restricting{Kind: "shyness", Reason: "r"}, "schema", "/data/kind"},
		"no date":         {id, command.Restricting{Kind: journal.RestrictionViolence, Reason: "r", Until: "tomorrow"}, "schema", "/data/until"},
		"over already":    {id, command.Restricting{Kind: journal.RestrictionViolence, Reason: "r", Until: b.daysFrom(0, -1)}, "schema", "/data/until"},
		"no proxy":        {id, command.Restricting{Kind: journal.RestrictionViolence, Reason: "r", Keeps: []citizen.ID{stranger}}, "no-capacity", "/data/keeps/0"},
		"nobody":          {citizen.ID(uuid.New()), violence, "unknown-person", "/person"},
	} {
		t.Run(name, func(t *testing.T) {
			b.refused(t, c.code, c.pointer, func() error { _, err := b.command.Restrict(ctx, by(protector), c.id, c.r); return err })
		})
	}
	b.refused(t, "no-such-restriction", "/person", func() error { _, err := b.command.Lift(ctx, by(protector), id, "r"); return err })
	b.refused(t, "unknown-person", "/person", func() error { _, err := b.command.Lift(ctx, by(protector), citizen.ID(uuid.New()), "r"); return err })
	b.restrict(t, id, violence)
	b.refused(t, "schema", "/data/reason", func() error { _, err := b.command.Lift(ctx, by(protector), id, ""); return err })
}

// TestChildrenAreCovered: in the same append, the protected parent goes on acting for them, and nobody else does.
func TestChildrenAreCovered(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	mother, father, child, grown := b.family(t)
	ward := b.bornOn(t, b.daysFrom(-30, 0))
	b.proxied(t, registrar, ward, command.Proxying{Proxy: mother, Kind: journal.ProxyGuardian})
	acts := func(proxy citizen.ID) bool {
		_, err := b.command.Tell(ctx, by(self(proxy)), child, address(t, b.journal, "1 First St"))
		if err != nil {
			require.ErrorIs(t, err, command.ErrForbidden, "a suspended proxy is a stranger")
		}
		return err == nil
	}
	require.True(t, acts(mother))
	require.True(t, acts(father))
	result := b.restrict(t, mother, command.Restricting{Kind: journal.RestrictionViolence, Reason: "Threatened", Until: b.daysFrom(1, 0)})
	require.Equal(t, result.Position+1, b.head(t), "one append: the mother and the child")
	entries := b.history(t, child)
	last := entries[len(entries)-1]
	require.Equal(t, journal.RestrictionSet{
		Kind: journal.RestrictionViolence, Reason: "Threatened", Through: mother.String(), Keeps: []string{mother.String()}, Until: b.daysFrom(1, 0),
	}, last.Event)
	require.Equal(t, result.Position+1, last.Position)
	require.Equal(t, "protector-1", last.Meta.Actor)
	require.True(t, b.protected(t, mother))
	require.True(t, b.protected(t, child))
	require.False(t, b.protected(t, father))
	require.False(t, b.protected(t, grown), "an attorney is no parent")
	require.False(t, b.protected(t, ward), "only minors are covered")
	require.True(t, acts(mother))
	require.False(t, acts(father))
	_, err := b.command.Preview(ctx, self(father), child, address(t, b.journal, "1 First St"))
	require.ErrorIs(t, err, command.ErrForbidden)

	b.lift(t, mother)
	require.False(t, b.protected(t, mother))
	require.False(t, b.protected(t, child))
	require.True(t, acts(father), "a proxy is suspended, not ended")
	require.True(t, acts(mother))
}

func TestAProxyThatIsNamedGoesOn(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	mother, father, child, grown := b.family(t)
	b.restrict(t, grown, command.Restricting{Kind: journal.RestrictionGender, Reason: "r"})
	_, err := b.command.Tell(ctx, by(self(mother)), grown, address(t, b.journal, "1 First St"))
	require.ErrorIs(t, err, command.ErrForbidden)
	b.restrict(t, grown, command.Restricting{Kind: journal.RestrictionGender, Reason: "r", Keeps: []citizen.ID{mother}})
	_, err = b.command.Tell(ctx, by(self(mother)), grown, address(t, b.journal, "1 First St"))
	require.NoError(t, err)
	b.restrict(t, child, command.Restricting{Kind: journal.RestrictionAdoption, Reason: "r", Keeps: []citizen.ID{father}})
	_, err = b.command.Tell(ctx, by(self(mother)), child, address(t, b.journal, "1 First St"))
	require.ErrorIs(t, err, command.ErrForbidden, "adopted away")
	_, err = b.command.Tell(ctx, by(self(father)), child, address(t, b.journal, "1 First St"))
	require.NoError(t, err)
}

// TestLiftingThroughOneParent leaves what holds through the other, and one's own.
func TestLiftingThroughOneParent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mother, father, child, _ := b.family(t)
	b.restrict(t, mother, violence)
	b.restrict(t, father, violence)
	b.restrict(t, child, command.Restricting{Kind: journal.RestrictionAdoption, Reason: "r"})
	b.lift(t, mother)
	require.True(t, b.protected(t, child))
	b.lift(t, child)
	require.True(t, b.protected(t, child), "through the father")
	b.lift(t, child)
	require.False(t, b.protected(t, child), "the protector may end that for the child alone")
	require.True(t, b.protected(t, father))
	b.lift(t, father)
	require.False(t, b.protected(t, father))
}

func TestRestrictingIsRepeatable(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	mother, _, child, _ := b.family(t)
	c := by(protector)
	first, err := b.command.Restrict(ctx, c, mother, violence)
	require.NoError(t, err)
	head := b.head(t)
	again, err := b.command.Restrict(ctx, c, mother, violence)
	require.NoError(t, err)
	require.True(t, again.Repeated)
	require.Equal(t, first.Position, again.Position)
	require.Equal(t, head, b.head(t))

	// The process died between the restriction and a child who was placed meanwhile: the same command goes on.
	late := b.bornOn(t, b.daysFrom(-3, 0))
	b.append(t, late, journal.ProxyGranted{Kind: journal.ProxyGuardian, Proxy: mother.String(), Until: b.daysFrom(10, 0)})
	require.False(t, b.protected(t, late))
	_, err = b.command.Restrict(ctx, c, mother, violence)
	require.NoError(t, err)
	require.True(t, b.protected(t, late))
	require.Equal(t, []string{mother.String()}, lastSet(t, b, late).Keeps)

	lifting := by(protector)
	_, err = b.command.Lift(ctx, lifting, mother, "Over")
	require.NoError(t, err)
	require.False(t, b.protected(t, child))
	b.append(t, late, journal.RestrictionSet{Kind: journal.RestrictionViolence, Through: mother.String()})
	_, err = b.command.Lift(ctx, lifting, mother, "Over")
	require.NoError(t, err)
	require.False(t, b.protected(t, late))
}

func lastSet(t testing.TB, b *bundle, id citizen.ID) (set journal.RestrictionSet) {
	t.Helper()
	for _, e := range b.history(t, id) {
		if s, ok := e.Event.(journal.RestrictionSet); ok {
			set = s
		}
	}
	return set
}

// TestPlacedWhileProtected: in any order of a guardian's naming, a protection and its end, on two processes, the child is in the end as
// the guardian is.
func TestPlacedWhileProtected(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	here := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	there := command.New(replicas[1])
	for round := range 12 {
		guardian, child := here.bornOn(t, here.daysFrom(-40, 0)), here.bornOn(t, here.daysFrom(-5, 0))
		var group sync.WaitGroup
		errs := make([]error, 3)
		group.Go(func() { _, errs[0] = here.command.Restrict(ctx, by(protector), guardian, violence) })
		// A protector: once the guardian is protected, the registrar knows of nobody to name.
		group.Go(func() {
			_, errs[1] = there.GrantProxy(ctx, by(protector), child, command.Proxying{Proxy: guardian, Kind: journal.ProxyGuardian})
		})
		if round%2 == 1 {
			group.Go(func() {
				for {
					_, err := there.Lift(ctx, by(protector), guardian, "Over")
					var rejection *citizen.Rejection
					if errors.As(err, &rejection) && rejection.Code == citizen.CodeNoRestriction {
						continue
					}
					errs[2] = err
					return
				}
			})
		}
		group.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, round%2 == 0, here.protected(t, guardian), "round %d", round)
		require.Equal(t, here.protected(t, guardian), here.protected(t, child), "round %d", round)
	}
}

// TestTheProtectedAreNobody: by their id alone, every use case answers as for someone who was never registered, and writes nothing.
func TestTheProtectedAreNobody(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	hidden, never := b.bornOn(t, "1980-01-01"), citizen.ID(uuid.New())
	b.restrict(t, hidden, violence)
	for who, actor := range map[string]journal.Actor{"clerk": clerk, "registrar": registrar} {
		asks := everyday(b, t, hidden)
		for what, nobody := range everyday(b, t, never) {
			before := b.head(t)
			want := nobody(ctx, by(actor))
			require.Error(t, want, "%s: %s", who, what)
			require.Equal(t, want, asks[what](ctx, by(actor)), "%s: %s", who, what)
			require.Equal(t, before, b.head(t))
		}
		_, err := b.command.Tell(ctx, by(actor), hidden, person(t, b.journal))
		require.Equal(t, citizen.Reject(citizen.CodeUnknownPerson), err, "a registration never lands on them")
	}
	for what, ask := range everyday(b, t, hidden) {
		err := ask(ctx, by(self(hidden)))
		var rejection *citizen.Rejection
		if errors.As(err, &rejection) {
			require.NotEqual(t, citizen.CodeUnknownPerson, rejection.Code, what)
			continue
		}
		require.NoError(t, err, "the person themself: %s", what)
	}
	b.restrict(t, hidden, command.Restricting{Kind: journal.RestrictionViolence, Reason: "r", Until: b.daysFrom(0, 0)})
	day, err := consent.ParseDate(b.daysFrom(0, 1))
	require.NoError(t, err)
	require.True(t, b.state(t, hidden).VisibleTo(clerk, day), "until its last day")
}

// TestAProtectorTellsForTheProtected: with the registrar's authority, for nobody else, and the registrar learns nothing by it.
func TestAProtectorTellsForTheProtected(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	id, other := b.bornOn(t, "1980-01-01"), b.bornOn(t, "1980-01-01")
	b.restrict(t, id, violence)
	b.refused(t, "no-capacity", "/person", func() error {
		_, err := b.command.TellProtected(ctx, by(protector), other, address(t, b.journal, "1 First St"))
		return err
	})
	b.refused(t, "unknown-person", "/person", func() error {
		_, err := b.command.TellProtected(ctx, by(protector), citizen.ID(uuid.New()), address(t, b.journal, "1 First St"))
		return err
	})
	for _, actor := range []journal.Actor{clerk, registrar, self(id), source} {
		_, err := b.command.TellProtected(ctx, by(actor), id, address(t, b.journal, "1 First St"))
		require.ErrorIs(t, err, command.ErrForbidden)
	}
	b.refused(t, "unknown-person", "/person", func() error { _, err := b.command.Tell(ctx, by(registrar), id, death(t, b.journal)); return err })
	_, err := b.command.TellProtected(ctx, by(protector), id, address(t, b.journal, "1 First St"))
	require.NoError(t, err)
	result, err := b.command.TellProtected(ctx, by(protector), id, death(t, b.journal))
	require.NoError(t, err)
	entries, err := b.journal.Read(ctx, result.Position)
	require.NoError(t, err)
	require.True(t, entries[0].Event.(citizen.Change).Verified)
	require.Equal(t, "protector-1", entries[0].Meta.Actor)
	require.True(t, b.state(t, id).Profile.Deceased)
	report, err := b.audit.Rederive(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, report.Differences)
}
