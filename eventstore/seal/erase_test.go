package seal_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

func keyOf(r eventstore.Recorded) seal.KeyID { return seal.KeyID{Subject: r.Subject, Class: r.Class} }

func TestDestroy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gone, stays := b.sealed(t, eventstore.Facts, "gone"), b.sealed(t, eventstore.Facts, "stays")
	evidence := event(eventstore.Evidence)
	evidence.Subject = gone.Subject
	require.NoError(t, b.Seal(t.Context(), evidence, seal.Plaintext("evidence")))
	pairwise, err := b.Pairwise(t.Context(), gone.Subject, "moh", 1)
	require.NoError(t, err)
	replica := b.open(t, 0)
	_, err = replica.OpenAll(t.Context(), []eventstore.Recorded{gone, stays})
	require.NoError(t, err)

	never := seal.KeyID{Subject: gone.Subject, Class: eventstore.Contact}
	secret := seal.KeyID{Subject: gone.Subject}
	stones, err := b.Destroy(t.Context(), keyOf(gone), never, secret)
	require.NoError(t, err)
	require.Equal(t, gone.KeyRef, stones[0].Ref, "the record's own reference")
	again, err := b.Destroy(t.Context(), keyOf(gone), never, secret)
	require.NoError(t, err)
	require.Equal(t, stones, again)

	opened, err := replica.Open(t.Context(), &gone)
	require.NoError(t, err, "it still has the key")
	require.Equal(t, "gone", string(opened))
	replica.Evict(keyOf(gone), never, secret)
	for name, keyring := range map[string]*seal.Keyring{"at once": b.Keyring, "evicted": replica, "opened later": b.open(t, 0)} {
		_, err = keyring.Open(t.Context(), &gone)
		require.ErrorIs(t, err, seal.ErrDestroyed, name)
		require.ErrorIs(t, keyring.Seal(t.Context(), &gone.Event, nil), seal.ErrDestroyed, name)
		require.ErrorIs(t, keyring.Ensure(t.Context(), never), seal.ErrDestroyed, name)
		_, err = keyring.Pairwise(t.Context(), gone.Subject, "moh", 1)
		require.ErrorIs(t, err, seal.ErrDestroyed, name)
		opened, err := keyring.OpenAll(t.Context(), []eventstore.Recorded{stays, {Event: *evidence}})
		require.NoError(t, err, "others' keys and the citizen's other classes stay")
		require.Equal(t, "stays", string(opened[0]))
	}
	require.NotEmpty(t, pairwise)
}

func TestDestroyWhatNamesNoKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, id := range []seal.KeyID{{}, {Subject: uuid.New(), Class: 6}, {Subject: uuid.New(), Class: -1}} {
		_, err := b.Destroy(t.Context(), id)
		require.Error(t, err)
		require.Error(t, b.Ensure(t.Context(), id))
	}
	stones, err := b.Destroy(t.Context())
	require.NoError(t, err)
	require.Empty(t, stones)
}

// A key that was read before it was destroyed, and arrives after its eviction, is not kept.
func TestAKeyThatIsEvictedWhileItIsFetchedIsNotKept(t *testing.T) {
	t.Parallel()
	for _, destroyer := range []string{"this process", "another"} {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			r := b.sealed(t, eventstore.Facts, "told")
			keyring, store := b.openGated(t)
			close(store.gate)
			store.after = func() { // the answer is on its way
				if destroyer == "another" {
					_, err := b.Destroy(context.Background(), keyOf(r))
					require.NoError(t, err)
					keyring.Evict(keyOf(r))
					return
				}
				_, err := keyring.Destroy(context.Background(), keyOf(r))
				require.NoError(t, err)
			}
			opened, err := keyring.Open(t.Context(), &r)
			require.NoError(t, err, "it was asked for before the key was destroyed")
			require.Equal(t, "told", string(opened))
			_, err = keyring.Open(t.Context(), &r)
			require.ErrorIs(t, err, seal.ErrDestroyed)
		})
	}
}

func TestTombstonePages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []seal.KeyID
	for range 10 {
		ids = append(ids, seal.KeyID{Subject: uuid.New()}, keyOf(b.sealed(t, eventstore.Facts, "x")))
		b.sealed(t, eventstore.Facts, "stays")
	}
	stones, err := b.Destroy(t.Context(), ids...)
	require.NoError(t, err)
	var listed []seal.StoredKey
	for after := (seal.KeyID{}); ; {
		page, err := b.Tombstones(t.Context(), after, 3)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		listed, after = append(listed, page...), page[len(page)-1].KeyID
	}
	require.ElementsMatch(t, stones, listed)
	// Planted in a copy that was made before, they erase what they erased here.
	restored := setup(t)
	ids = nil
	for _, stone := range listed {
		ids = append(ids, stone.KeyID)
	}
	planted, err := restored.Destroy(t.Context(), ids...)
	require.NoError(t, err)
	require.Len(t, planted, len(listed))
}

func TestUnregisterAndRepoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	citizens, err := b.Register(t.Context(), "source", []string{"a", "b", "c"})
	require.NoError(t, err)
	other, err := b.Register(t.Context(), "another source", []string{"a"})
	require.NoError(t, err)
	n, err := b.Repoint(t.Context(), other[0], citizens[0])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	found, err := b.References(t.Context(), "another source", "a")
	require.NoError(t, err)
	require.Equal(t, citizens[:1], found)
	n, err = b.Unregister(t.Context(), citizens[0])
	require.NoError(t, err)
	require.Equal(t, 2, n)
	found, err = b.References(t.Context(), "source", "a", "b", "c")
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{uuid.Nil, citizens[1], citizens[2]}, found)
	anew, err := b.Register(t.Context(), "source", []string{"a"})
	require.NoError(t, err)
	require.NotContains(t, citizens, anew[0], "the reference leads to nobody: a new citizen")

	_, err = b.Unregister(t.Context(), uuid.Nil)
	require.Error(t, err)
	_, err = b.Repoint(t.Context(), citizens[1], uuid.Nil)
	require.Error(t, err, "that would be an Unregister")
	_, err = b.Repoint(t.Context(), uuid.Nil, citizens[1])
	require.Error(t, err)
}

func TestIdentityTieTakesTwoOfficers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := []eventstore.Recorded{b.sealed(t, eventstore.Facts, "0"), b.sealed(t, eventstore.IdentityTie, "tie"), b.sealed(t, eventstore.Evidence, "2")}
	for _, keyring := range []*seal.Keyring{b.Keyring, b.open(t, 0)} { // with the key at hand, and without
		_, err := keyring.Open(t.Context(), &records[1])
		require.ErrorIs(t, err, seal.ErrLocked)
		opened, err := keyring.OpenAll(t.Context(), records)
		var partial *seal.PartialError
		require.ErrorAs(t, err, &partial)
		require.Equal(t, []bool{false, true, false}, []bool{partial.Errs[0] != nil, partial.Errs[1] != nil, partial.Errs[2] != nil})
		require.ErrorIs(t, partial.Errs[1], seal.ErrLocked)
		require.Equal(t, []string{"0", "", "2"}, []string{string(opened[0]), string(opened[1]), string(opened[2])})
	}
	for _, names := range [][2]string{{"", ""}, {"ada", ""}, {"", "ada"}, {"ada", "ada"}, {"ada", " Ada "}, {"ada", "\t"}} {
		_, err := seal.WithTwoOfficers(t.Context(), names[0], names[1])
		require.Error(t, err, names)
	}
	both, err := seal.WithTwoOfficers(t.Context(), "ada", "grace")
	require.NoError(t, err)
	opened, err := b.Open(both, &records[1])
	require.NoError(t, err)
	require.Equal(t, "tie", string(opened))
	all, err := b.OpenAll(both, records)
	require.NoError(t, err)
	require.Equal(t, "tie", string(all[1]))
	_, err = b.Open(t.Context(), &records[1])
	require.ErrorIs(t, err, seal.ErrLocked, "the permission goes with its context")
}

// Readers, sealers and an erasure side by side: nobody who asks after Destroy and Evict gets in.
func TestDestroyWhileOthersRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	replicas := []*seal.Keyring{b.Keyring, b.open(t, 0)}
	for turn := range 50 {
		r := b.sealed(t, eventstore.Facts, fmt.Sprint(turn))
		stop, errs := make(chan struct{}), make(chan error, 8)
		for i := range cap(errs) {
			go func() {
				for {
					select {
					case <-stop:
						errs <- nil
						return
					default:
					}
					if _, err := replicas[i%2].Open(context.Background(), &r); err != nil {
						errs <- err
						return
					}
					if i >= 4 {
						replicas[i%2].Evict(keyOf(r)) // so that it is fetched anew, again and again
					}
				}
			}()
		}
		_, err := b.Destroy(t.Context(), keyOf(r))
		require.NoError(t, err)
		replicas[1].Evict(keyOf(r))
		for _, keyring := range slices.Concat(replicas, replicas) {
			_, err := keyring.Open(t.Context(), &r)
			require.ErrorIs(t, err, seal.ErrDestroyed)
		}
		close(stop)
		for range cap(errs) {
			if err := <-errs; err != nil {
				require.ErrorIs(t, err, seal.ErrDestroyed)
			}
		}
	}
}
