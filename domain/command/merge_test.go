package command_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

var officer = journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: "officer-1"}

// twoIDs are two people with a reference each.
func (b *bundle) twoIDs(t testing.TB) (ids [2]citizen.ID, references []string) {
	t.Helper()
	references = []string{uuid.NewString(), uuid.NewString()}
	for i, reference := range references {
		found, err := b.journal.Register(context.Background(), "test", reference)
		require.NoError(t, err)
		ids[i] = found[0]
		_, err = b.command.Tell(context.Background(), by(source), ids[i], person(t, b.journal))
		require.NoError(t, err)
	}
	return ids, references
}

func (b *bundle) merge(actor journal.Actor, going, kept citizen.ID) error {
	_, err := b.command.Merge(context.Background(), by(actor), going, kept, "the same person, by her birth certificate")
	return err
}

// TestAMerge: the going id ends, the kept one has the links of both, and both references lead to it.
func TestAMerge(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		b.load(t)
		ids, references := b.twoIDs(t)
		going, kept := ids[0], ids[1]
		link := func(id citizen.ID, ministry, reference string) {
			_, err := b.command.Link(ctx, by(source), id, command.Linking{Ministry: ministry, ClientReference: reference})
			require.NoError(t, err)
		}
		link(going, "moh", "moh-going")
		link(going, "mto", "mto-going")
		link(kept, "moh", "moh-kept")
		_, err := b.command.Grant(ctx, by(source), going, command.Choice{Agreement: "outdoors-card"})
		require.NoError(t, err)
		attorney := b.resident(t)
		b.proxied(t, self(going), going, command.Proxying{Proxy: attorney, Kind: journal.ProxyAttorney})

		ask := by(officer)
		result, err := b.command.Merge(ctx, ask, going, kept, "same birth certificate")
		require.NoError(t, err)
		state := b.state(t, kept)
		require.Nil(t, state.Gone)
		require.Empty(t, state.Standing.Grants, "consents are not carried over")
		require.Empty(t, state.Proxies, "nor are proxies")
		for ministry, reference := range map[string]string{"moh": "moh-kept", "mto": "mto-going"} {
			l, ok := state.Standing.Link(ministry)
			require.True(t, ok, ministry)
			require.Equal(t, reference, l.Reference)
		}
		last := b.history(t, going)[len(b.history(t, going))-1]
		require.Equal(t, journal.CitizensMerged{Kept: kept.String(), Reason: "same birth certificate"}, last.Event)
		require.Equal(t, result.Position, last.Position)
		require.Equal(t, &journal.Gone{Why: journal.TypeCitizensMerged, Position: last.Position, Kept: kept}, b.state(t, going).Gone)
		found, err := b.journal.Reference(ctx, "test", references...)
		require.NoError(t, err)
		require.Equal(t, []citizen.ID{kept, kept}, found)

		for _, actor := range []journal.Actor{self(going), clerk, registrar, source} {
			for name, ask := range everyday(b, t, going) {
				b.refused(t, "unknown-person", "/person", func() error { return ask(ctx, by(actor)) })
				_ = name
			}
		}
		for _, actor := range []journal.Actor{self(attorney), self(kept)} {
			for name, ask := range everyday(b, t, going) {
				require.Equal(t, command.ErrForbidden, ask(ctx, by(actor)), name)
			}
		}
		require.NoError(t, everyday(b, t, kept)["tell"](ctx, by(self(kept))))

		repeated, err := b.command.Merge(ctx, ask, going, kept, "same birth certificate")
		require.NoError(t, err)
		require.True(t, repeated.Repeated)
		require.Equal(t, result.Position, repeated.Position)
	})
}

// TestARefusedMerge: each refusal a code, nothing written.
func TestARefusedMerge(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	id, other, dead, merged, erased := b.resident(t), b.resident(t), b.resident(t), b.resident(t), b.resident(t)
	_, err := b.command.Tell(ctx, by(registrar), dead, death(t, b.journal))
	require.NoError(t, err)
	require.NoError(t, b.merge(officer, merged, b.resident(t)))
	_, err = b.command.Erase(ctx, by(self(erased)), erased)
	require.NoError(t, err)
	nobody := citizen.ID(uuid.New())
	for name, c := range map[string]struct {
		going, kept   citizen.ID
		code, pointer string
	}{
		"one and the same":     {id, id, "same-person", "/data/kept"},
		"nobody going":         {nobody, id, "unknown-person", "/data/going"},
		"nobody kept":          {id, nobody, "unknown-person", "/data/kept"},
		"merged already":       {merged, id, "unknown-person", "/data/going"},
		"into a merged one":    {id, merged, "unknown-person", "/data/kept"},
		"an erased one":        {erased, id, "unknown-person", "/data/going"},
		"into an erased one":   {id, erased, "unknown-person", "/data/kept"},
		"the dead into alive":  {dead, id, "person-deceased", "-"},
		"the living into dead": {id, dead, "person-deceased", "-"},
	} {
		t.Log(name)
		b.refused(t, c.code, c.pointer, func() error { return b.merge(officer, c.going, c.kept) })
		b.refused(t, c.code, c.pointer, func() error { return b.merge(protector, c.going, c.kept) })
	}
	for _, reason := range []string{"", "  \t", strings.Repeat("x", 501), "\xff"} {
		b.refused(t, "schema", "/data/reason", func() error { _, err := b.command.Merge(ctx, by(officer), id, other, reason); return err })
	}
	for _, actor := range []journal.Actor{{}, self(id), clerk, registrar, operator, source, {Kind: journal.ActorAuditor}, {Kind: journal.ActorMinistry}} {
		require.Equal(t, command.ErrForbidden, b.merge(actor, id, other))
	}
	secondDead := b.resident(t)
	_, err = b.command.Tell(ctx, by(registrar), secondDead, death(t, b.journal))
	require.NoError(t, err)
	require.NoError(t, b.merge(officer, secondDead, dead))
}

// TestMergingTheProtected: for a protector alone, and nobody loses protection by it.
func TestMergingTheProtected(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	going, kept, friend := b.resident(t), b.resident(t), b.resident(t)
	for _, id := range []citizen.ID{going, kept} {
		b.proxied(t, self(id), id, command.Proxying{Proxy: friend, Kind: journal.ProxyAttorney})
	}
	_, err := b.command.Tell(ctx, by(self(going)), going, b.birth(t, b.daysFrom(0, -3)))
	require.NoError(t, err)
	child := b.childrenOf(t, going)[0]
	grandparent := b.resident(t)
	b.proxied(t, registrar, child, command.Proxying{Proxy: grandparent, Kind: journal.ProxyGuardian})
	_, err = b.command.Restrict(ctx, by(protector), going, command.Restricting{
		Kind: journal.RestrictionWitness, Until: b.daysFrom(2, 0), Keeps: []citizen.ID{friend}, Reason: "test",
	})
	require.NoError(t, err)
	require.True(t, b.state(t, child).Standing.IsProtected(b.journal.DayOf(b.journal.Now(journal.Timing{})).Date), "the child, too")

	b.refused(t, "unknown-person", "/data/going", func() error { return b.merge(officer, going, kept) })
	b.refused(t, "unknown-person", "/data/kept", func() error { return b.merge(officer, kept, going) })
	require.NoError(t, b.merge(protector, going, kept))

	state := b.state(t, kept)
	require.Len(t, state.Standing.Restrictions, 1)
	require.Equal(t, journal.RestrictionWitness, state.Standing.Restrictions[0].Kind)
	require.Equal(t, b.daysFrom(2, 0), state.Standing.Restrictions[0].Until.String())
	require.Len(t, state.Proxies, 1)
	require.True(t, state.Proxies[0].Kept, "the friend goes on acting")
	ward := b.state(t, child)
	require.Len(t, ward.Standing.Restrictions, 1)
	require.Equal(t, kept.String(), ward.Standing.Restrictions[0].Through)
	acting := map[citizen.ID]bool{}
	for _, p := range ward.Proxies {
		acting[p.ID] = p.Kept
	}
	require.Equal(t, map[citizen.ID]bool{kept: true, grandparent: false}, acting)
	require.Equal(t, []citizen.ID{child}, b.childrenOf(t, kept))
	require.Empty(t, b.childrenOf(t, going))
	_, err = b.command.Tell(ctx, by(self(kept)), child, address(t, b.journal, "1 First St"))
	require.NoError(t, err)
}

// TestAMergePassesOnWhomSomebodyActsFor, as far as the kept one has no standing of their own there, and nobody acts for themself after it.
func TestAMergePassesOnWhomSomebodyActsFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	going, kept, own, over, helper := b.resident(t), b.resident(t), b.resident(t), b.resident(t), b.resident(t)
	simple := b.resident(t)
	scope := []string{"address-changed"}
	b.proxied(t, self(simple), simple, command.Proxying{Proxy: going, Kind: journal.ProxyAttorney, Scope: scope, Until: b.daysFrom(1, 0)})
	b.proxied(t, self(own), own, command.Proxying{Proxy: going, Kind: journal.ProxyAttorney})
	b.proxied(t, registrar, own, command.Proxying{Proxy: kept, Kind: journal.ProxyGuardian})
	b.append(t, over, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: going.String(), Until: b.daysFrom(0, -1)})
	b.proxied(t, self(helper), helper, command.Proxying{Proxy: going, Kind: journal.ProxyAttorney})
	b.proxied(t, self(kept), kept, command.Proxying{Proxy: helper, Kind: journal.ProxyAttorney})
	b.append(t, kept, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: going.String()})
	require.NoError(t, b.merge(officer, going, kept))
	passed := b.state(t, simple).Proxies
	require.Len(t, passed, 1)
	require.Equal(t, kept, passed[0].ID)
	require.Equal(t, scope, passed[0].Scope)
	require.Equal(t, b.daysFrom(1, 0), passed[0].Until.String())
	require.Len(t, b.state(t, own).Proxies, 1)
	require.Equal(t, journal.ProxyGuardian, b.state(t, own).Proxies[0].Kind)
	require.Empty(t, b.state(t, over).Proxies)
	require.Empty(t, b.state(t, helper).Proxies)
	require.Len(t, b.state(t, kept).Proxies, 1)
	require.Equal(t, helper, b.state(t, kept).Proxies[0].ID)
}

// TestCrossingMerges: two officers in two processes merge the same two ids, each the other way round. One is refused, and one id is left.
func TestCrossingMerges(t *testing.T) {
	t.Parallel()
	inTwoPlaces(t, crossMerges)
}

func crossMerges(t *testing.T, b *bundle, elsewhere *command.Handler) {
	ctx, handlers := context.Background(), []*command.Handler{b.command, elsewhere}
	for range 20 {
		ids, references := b.twoIDs(t)
		var group sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			group.Go(func() { _, errs[i] = handlers[i].Merge(ctx, by(officer), ids[i], ids[1-i], "test") })
		}
		group.Wait()
		gone := 0
		for i, err := range errs {
			if err == nil {
				gone++
				require.NotNil(t, b.state(t, ids[i]).Gone)
				require.Nil(t, b.state(t, ids[1-i]).Gone)
				found, err := b.journal.Reference(ctx, "test", references...)
				require.NoError(t, err)
				require.Equal(t, []citizen.ID{ids[1-i], ids[1-i]}, found)
				continue
			}
			var rejection *citizen.Rejection
			require.ErrorAs(t, err, &rejection)
			require.Equal(t, citizen.CodeUnknownPerson, rejection.Code)
		}
		require.Equal(t, 1, gone)
	}
}

// TestAMergeGoesOnAfterACrash: the process died right behind the append. Another one leads the references over, from the log alone, also
// through several merges and to somebody who was erased since.
func TestAMergeGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	ids, references := b.twoIDs(t)
	more, others := b.twoIDs(t)
	chain := append(ids[:], more[:]...)
	for i := range 3 {
		b.append(t, chain[i], journal.CitizensMerged{Kept: chain[i+1].String()})
	}
	found, err := b.journal.Reference(ctx, "test", references...)
	require.NoError(t, err)
	require.Equal(t, ids[:], found, "nobody has led them over yet")
	merger := command.New(replicas[1]).Merger()
	catchUp := func() {
		head, err := replicas[1].Head(ctx)
		require.NoError(t, err)
		_, err = replicas[1].CatchUp(ctx, merger, head.Position+1)
		require.NoError(t, err)
	}
	catchUp()
	all := append(references, others...)
	for _, j := range replicas {
		found, err = j.Reference(ctx, "test", all...)
		require.NoError(t, err)
		require.Equal(t, []citizen.ID{more[1], more[1], more[1], more[1]}, found)
	}
	require.NoError(t, replicas[1].Rebuild(ctx, merger, nil), "and once more")
	found, err = b.journal.Reference(ctx, "test", all...)
	require.NoError(t, err)
	require.Equal(t, []citizen.ID{more[1], more[1], more[1], more[1]}, found)

	pair, late := b.twoIDs(t)
	b.append(t, pair[0], journal.CitizensMerged{Kept: pair[1].String()})
	_, err = b.command.Erase(ctx, by(registrar), pair[1])
	var rejection *citizen.Rejection
	require.False(t, errors.As(err, &rejection), "%v", err)
	require.NoError(t, err)
	catchUp()
	found, err = b.journal.Reference(ctx, "test", late...)
	require.NoError(t, err)
	require.Equal(t, make([]citizen.ID, 2), found, "nothing leads to who was erased")
}

// TestErasingAMergedPerson closes what was told under every id of theirs; a hold on any of them stands against it.
func TestErasingAMergedPerson(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		ids := []citizen.ID{b.resident(t), b.resident(t), b.resident(t)} // 0 → 1 → 2
		for _, id := range ids {
			_, err := b.command.Tell(ctx, by(source), id, address(t, b.journal, "1 Canary St"))
			require.NoError(t, err)
		}
		_, err := b.command.Hold(ctx, by(officer), ids[0], journal.LegalHoldSet{Authority: "court", Classes: []eventstore.Class{eventstore.Facts}})
		require.NoError(t, err)
		require.NoError(t, b.merge(officer, ids[0], ids[1]))
		require.NoError(t, b.merge(officer, ids[1], ids[2]))
		b.refused(t, "legal-hold", "-", func() error { _, err := b.command.Erase(ctx, by(self(ids[2])), ids[2]); return err })
		_, err = b.command.LiftHold(ctx, by(officer), ids[2], "court")
		require.NoError(t, err)
		ask := by(self(ids[2]))
		erasure, err := b.command.Erase(ctx, ask, ids[2])
		require.NoError(t, err)
		require.Len(t, erasure.Keys, 6, "the key of the facts and the pairwise secret of each")
		for _, id := range ids {
			for _, e := range b.history(t, id) {
				if e.Class == eventstore.Facts {
					require.True(t, e.IsErased(), e.Type)
				}
			}
			require.Equal(t, journal.TypeErased, b.state(t, id).Gone.Why)
		}
		head := b.head(t)
		_, err = b.command.Erase(ctx, ask, ids[2])
		require.NoError(t, err)
		require.NoError(t, b.journal.Rebuild(ctx, b.command.Eraser(), nil))
		require.Equal(t, head, b.head(t), "done once, however often it is asked")
	})
}
