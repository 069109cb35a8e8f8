package command_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// newborn is a child of a parent, and where its birth stands on the log.
func (b *bundle) newborn(t testing.TB, parent citizen.ID) (child citizen.ID, birth int64) {
	t.Helper()
	result, err := b.command.Tell(context.Background(), by(self(parent)), parent, b.birth(t, b.daysFrom(0, -3)))
	require.NoError(t, err)
	child, err = journal.NewRelatives(b.journal).ChildOf(context.Background(), parent, result.Position)
	require.NoError(t, err)
	require.Contains(t, b.childrenOf(t, parent), child)
	return child, result.Position
}

func registry(reference string) journal.SourceReference {
	return journal.SourceReference{Source: "registry", Reference: reference}
}

// behind is whom an actor knows under a reference.
func (b *bundle) behind(t testing.TB, actor journal.Actor, ref journal.SourceReference) citizen.ID {
	t.Helper()
	ids, err := journal.NewProtection(b.journal).Reference(context.Background(), actor, ref.Source, ref.Reference)
	require.NoError(t, err)
	return ids[0]
}

// TestANewbornGetsAReference, by which it is then found, erased and nobody again.
func TestANewbornGetsAReference(t *testing.T) {
	t.Parallel()
	onBothStores(t, journaltest.Options{}, func(t *testing.T, b *bundle) {
		ctx := context.Background()
		parent := b.resident(t)
		child, _ := b.newborn(t, parent)
		twin, _ := b.newborn(t, parent)
		require.NotEqual(t, child, twin)
		for _, actor := range []journal.Actor{{}, self(parent), self(child), source, operator, {Kind: journal.ActorOfficer}, {Kind: journal.ActorMinistry}} {
			require.ErrorIs(t, b.command.Refer(ctx, actor, child, registry("kim")), command.ErrForbidden)
		}
		for _, actor := range []journal.Actor{registrar, clerk, protector} {
			require.NoError(t, b.command.Refer(ctx, actor, child, registry("kim")), "again does no harm")
			require.Equal(t, child, b.behind(t, actor, registry("kim")))
		}
		require.NoError(t, b.command.Refer(ctx, registrar, child, registry("kim-2")), "one person may have several")
		b.refused(t, "reference-taken", "/reference", func() error { return b.command.Refer(ctx, registrar, twin, registry("kim")) })
		require.Equal(t, child, b.behind(t, registrar, registry("kim")))
		b.refused(t, "unknown-person", "/child", func() error { return b.command.Refer(ctx, registrar, citizen.ID(uuid.New()), registry("none")) })
		require.True(t, b.behind(t, registrar, registry("none")).IsZero())

		_, err := b.command.Erase(ctx, by(self(parent)), child)
		require.ErrorIs(t, err, command.ErrForbidden, "nobody acts by proxy in this")
		_, err = b.command.Erase(ctx, by(registrar), b.behind(t, registrar, registry("kim")))
		require.NoError(t, err)
		for _, reference := range []string{"kim", "kim-2"} {
			require.True(t, b.behind(t, registrar, registry(reference)).IsZero(), "erased, it has none")
		}
		b.refused(t, "unknown-person", "/child", func() error { return b.command.Refer(ctx, registrar, child, registry("kim")) })
		require.NoError(t, b.command.Refer(ctx, registrar, twin, registry("kim")), "and the reference is free")
	})
}

// TestAReferenceOfNobodyIsFree: a registration that came to nothing leaves an id of which the log knows nothing.
func TestAReferenceOfNobodyIsFree(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	child, _ := b.newborn(t, b.resident(t))
	_, err := b.journal.Register(ctx, "registry", "begun")
	require.NoError(t, err)
	require.NoError(t, b.command.Refer(ctx, registrar, child, registry("begun")))
	require.Equal(t, child, b.behind(t, registrar, registry("begun")))
}

// TestOneReferenceForTwoNewborns: of two who give it at the same moment, one is refused, and it leads to the other's.
func TestOneReferenceForTwoNewborns(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	parent := b.resident(t)
	for _, begun := range []bool{false, true} {
		for range 20 {
			ref := registry(uuid.NewString())
			if begun {
				_, err := b.journal.Register(ctx, ref.Source, ref.Reference)
				require.NoError(t, err)
			}
			var children [2]citizen.ID
			var errs [2]error
			for i := range children {
				children[i], _ = b.newborn(t, parent)
			}
			var group sync.WaitGroup
			for i := range children {
				group.Go(func() { errs[i] = b.command.Refer(ctx, registrar, children[i], ref) })
			}
			group.Wait()
			owner := b.behind(t, registrar, ref)
			for i := range children {
				if children[i] == owner {
					require.NoError(t, errs[i])
					continue
				}
				var rejection *citizen.Rejection
				require.ErrorAs(t, errs[i], &rejection)
				require.Equal(t, "reference-taken", rejection.Code)
			}
		}
	}
}

// TestWhoIsBornOfWhom: a birth leads to its own child alone, and only from who told it, under any of their ids.
func TestWhoIsBornOfWhom(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.load(t)
	parent, other := b.resident(t), b.resident(t)
	born := func(parent citizen.ID, birth int64) citizen.ID {
		child, err := journal.NewRelatives(b.journal).ChildOf(ctx, parent, birth)
		require.NoError(t, err)
		return child
	}
	form := b.birth(t, b.daysFrom(0, -1))
	form.Consents = []command.Choice{{Agreement: "outdoors-card"}}
	result, err := b.command.Tell(ctx, by(self(parent)), parent, form)
	require.NoError(t, err)
	child, birth := born(parent, result.Position), result.Position
	require.Equal(t, b.childrenOf(t, parent), []citizen.ID{child})
	b.append(t, other, journal.RestrictionSet{Kind: journal.RestrictionViolence, Until: b.daysFrom(0, 1)})
	_, guarded := b.newborn(t, other)
	require.False(t, born(other, guarded).IsZero(), "also one that is protected from the start")
	b.append(t, other, journal.RestrictionLifted{})
	late, err := b.command.Tell(ctx, by(registrar), parent, b.birth(t, b.daysFrom(-20, 0)))
	require.NoError(t, err)
	require.False(t, born(parent, late.Position).IsZero(), "also one for whom nobody acts")
	for at := range b.head(t) + 3 {
		if at != birth && at != late.Position {
			require.True(t, born(parent, at).IsZero(), "%d is no birth of theirs", at)
		}
	}
	for _, stranger := range []citizen.ID{other, child, {}, citizen.ID(uuid.New())} {
		require.True(t, born(stranger, birth).IsZero())
	}
	_, err = b.command.Merge(ctx, asOfficer("officer-1"), parent, other, "the same person")
	require.NoError(t, err)
	require.Equal(t, child, born(other, birth))
	_, err = b.command.Erase(ctx, by(registrar), child)
	require.NoError(t, err)
	require.True(t, born(other, birth).IsZero(), "erased, it is nobody")
}

// TestTheHiddenNewbornIsNobody to everyone but a protector, as is the child of somebody who is hidden; and a reference of somebody hidden is
// as good as free.
func TestTheHiddenNewbornIsNobody(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	parent := b.resident(t)
	hidden, birth := b.newborn(t, parent)
	sibling, _ := b.newborn(t, parent)
	parentRef := registry("parent")
	_, err := b.journal.Register(ctx, "registry", "parent")
	require.NoError(t, err)
	require.NoError(t, b.command.Refer(ctx, registrar, parent, parentRef))
	b.append(t, hidden, journal.RestrictionSet{Kind: journal.RestrictionAdoption})
	look := audit.Look{Kind: audit.KindReference, Reason: "invented", Shown: "a reference is given"}
	open := func(actor journal.Actor, birth int64) error {
		_, err := b.audit.OpenPerson(ctx, actor, journal.IssuerAPI, look, audit.Who{Sources: []string{"registry"}, Reference: "parent", Birth: birth})
		return err
	}
	for _, actor := range []journal.Actor{registrar, clerk} {
		require.ErrorIs(t, open(actor, birth), audit.ErrNotFound)
		require.ErrorIs(t, open(actor, birth+1), audit.ErrNotFound, "as where there is no birth")
		b.refused(t, "unknown-person", "/child", func() error { return b.command.Refer(ctx, actor, hidden, registry("hid")) })
	}
	require.NoError(t, open(protector, birth))
	require.NoError(t, b.command.Refer(ctx, protector, hidden, registry("hid")))
	require.NoError(t, b.command.Refer(ctx, registrar, sibling, registry("hid")), "it is as good as free")
	require.Equal(t, sibling, b.behind(t, registrar, registry("hid")))
	require.Equal(t, hidden, b.behind(t, protector, registry("hid")))
	for _, actor := range []journal.Actor{self(parent), source, operator, {Kind: journal.ActorOfficer}, {Kind: journal.ActorAuditor}} {
		require.ErrorIs(t, open(actor, birth), audit.ErrForbidden)
	}
}

// racingKeys are keys between whose looking up and giving, or moving, of a reference something else happens, once.
type racingKeys struct {
	seal.KeyStore
	giving, moving func()
}

func once(what *func()) {
	if do := *what; do != nil {
		*what = nil
		do()
	}
}

func (k *racingKeys) PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error) {
	once(&k.giving)
	return k.KeyStore.PutReferences(ctx, hashes, citizens)
}

func (k *racingKeys) MoveReferences(ctx context.Context, from, to uuid.UUID) (int, error) {
	once(&k.moving)
	return k.KeyStore.MoveReferences(ctx, from, to)
}

// raced is a bundle on keys with which a test can race.
func raced(t testing.TB) (*bundle, *racingKeys) {
	t.Helper()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	racing := &racingKeys{KeyStore: keys}
	j := journaltest.Begin(t, journaltest.Options{}, store, racing)
	return &bundle{journal: j, command: command.New(j)}, racing
}

// referRefused requires that a reference is refused with a code.
func (b *bundle) referRefused(t testing.TB, code string, child citizen.ID, reference string) {
	t.Helper()
	var rejection *citizen.Rejection
	require.ErrorAs(t, b.command.Refer(context.Background(), registrar, child, registry(reference)), &rejection)
	require.Equal(t, code, rejection.Code)
}

// TestANewbornThatGoesMeanwhile: a reference that is given to a child while it is erased leads nowhere, and while it is merged to the id that
// stays.
func TestANewbornThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, racing := raced(t)
	parent := b.resident(t)
	erased, _ := b.newborn(t, parent)
	racing.giving = func() {
		_, err := b.command.Erase(ctx, by(registrar), erased)
		require.NoError(t, err)
	}
	b.referRefused(t, "unknown-person", erased, "kim")
	require.True(t, b.behind(t, registrar, registry("kim")).IsZero())

	going, _ := b.newborn(t, parent)
	kept, _ := b.newborn(t, parent)
	racing.giving = func() {
		_, err := b.command.Merge(ctx, asOfficer("officer-1"), going, kept, "the same child")
		require.NoError(t, err)
	}
	require.NoError(t, b.command.Refer(ctx, registrar, going, registry("lou")))
	require.Equal(t, kept, b.behind(t, registrar, registry("lou")))
}

// TestAReferenceOfNobodyIsTakenOnce, also where somebody else takes it between our look and our move.
func TestAReferenceOfNobodyIsTakenOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, racing := raced(t)
	parent := b.resident(t)
	first, _ := b.newborn(t, parent)
	second, _ := b.newborn(t, parent)
	_, err := b.journal.Register(ctx, "registry", "begun")
	require.NoError(t, err)
	racing.moving = func() { require.NoError(t, b.command.Refer(ctx, registrar, first, registry("begun"))) }
	b.referRefused(t, "reference-taken", second, "begun")
	require.Equal(t, first, b.behind(t, registrar, registry("begun")))
}
