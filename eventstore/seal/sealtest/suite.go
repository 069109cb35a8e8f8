// Package sealtest holds the one suite that every key store passes, and key stores with one planted fault each that it must reject.
package sealtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// Storage is one place where keys are kept. Open opens it, as often as it is called, as so many processes would; the store is closed
// when the test ends.
type Storage struct {
	Open func(t require.TestingT) seal.KeyStore
}

// Check is one clause of the contract of seal.KeyStore.
type Check struct {
	Name string
	Run  func(t require.TestingT, s Storage)
}

// Run runs every check, each on a fresh storage.
func Run(t *testing.T, fresh func(t *testing.T) Storage) {
	t.Helper()
	for _, check := range Checks() {
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			check.Run(t, fresh(t))
		})
	}
}

// Checks returns the suite.
func Checks() []Check {
	return append(rotationChecks(), []Check{
		{"an unknown key has no reference", checkUnknown},
		{"a stored key stands as it was stored", checkStored},
		{"the first writer's key stands", checkFirstWriter},
		{"an id twice in one call is stored once", checkTwiceInOneCall},
		{"each citizen and class has a key of its own", checkOwnKeys},
		{"thousands at once, in the order asked", checkMany},
		{"what was stored is there when opened again", checkDurable},
		{"a cancelled call stores nothing", checkCancelled},
		{"concurrent writers agree on one key", checkConcurrentKeys},
		{"a reference stands as it was first given", checkReferences},
		{"concurrent writers agree on one citizen", checkConcurrentReferences},
		{"hashes and citizens come in pairs", checkReferencePairs},
		{"a secret is made once", checkSecret},
		{"a secret that can't be made is not stored", checkSecretFails},
		{"no ids are no work", checkNothing},
	}...)
}

var errPlanted = errors.New("planted")

func id(class eventstore.Class) seal.KeyID { return seal.KeyID{Subject: uuid.New(), Class: class} }

func newKey(of seal.KeyID) seal.StoredKey {
	wrapped := make([]byte, 60)
	_, _ = rand.Read(wrapped) // never fails
	return seal.StoredKey{KeyID: of, Epoch: 3, Wrapped: wrapped}
}

// hash returns a reference hash for n.
func hash(n int) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) } // #nosec G115 -- any number will do

func put(t require.TestingT, store seal.KeyStore, keys ...seal.StoredKey) []seal.StoredKey {
	stands, err := store.PutKeys(context.Background(), keys...)
	require.NoError(t, err)
	require.Len(t, stands, len(keys))
	for i, key := range keys {
		require.Equal(t, key.KeyID, stands[i].KeyID)
		require.Positive(t, stands[i].Ref)
	}
	return stands
}

func get(t require.TestingT, store seal.KeyStore, ids ...seal.KeyID) []seal.StoredKey {
	stored, err := store.Keys(context.Background(), ids...)
	require.NoError(t, err)
	require.Len(t, stored, len(ids))
	for i, of := range ids {
		require.Equal(t, of, stored[i].KeyID)
	}
	return stored
}

// equalEach compares one by one: a difference between two long slices takes minutes to print.
func equalEach[T any](t require.TestingT, want, got []T) {
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i])
	}
}

func checkUnknown(t require.TestingT, s Storage) {
	store := s.Open(t)
	known := put(t, store, newKey(id(eventstore.Facts)))[0]
	unknown := id(eventstore.Facts)
	stored := get(t, store, unknown, known.KeyID, unknown)
	require.Equal(t, seal.StoredKey{KeyID: unknown}, stored[0])
	require.Equal(t, known, stored[1])
	require.Zero(t, stored[2].Ref)
}

func checkStored(t require.TestingT, s Storage) {
	store := s.Open(t)
	key := newKey(id(eventstore.Evidence))
	stands := put(t, store, key)[0]
	key.Ref = stands.Ref
	require.Equal(t, key, stands)
	require.Equal(t, key, get(t, store, key.KeyID)[0])
}

func checkFirstWriter(t require.TestingT, s Storage) {
	store := s.Open(t)
	of := id(eventstore.Facts)
	first := put(t, store, newKey(of))[0]
	// The second call mixes a known id with a new one: each answer is the one that stands for it.
	other := newKey(id(eventstore.Facts))
	stands := put(t, store, newKey(of), other)
	require.Equal(t, first, stands[0])
	require.Equal(t, other.Wrapped, stands[1].Wrapped)
	require.NotEqual(t, first.Ref, stands[1].Ref)
	require.Equal(t, first, get(t, store, of)[0])
}

func checkTwiceInOneCall(t require.TestingT, s Storage) {
	store := s.Open(t)
	of := id(eventstore.Facts)
	stands := put(t, store, newKey(of), newKey(of))
	require.Equal(t, stands[0], stands[1])
	require.Equal(t, stands[0], get(t, store, of)[0])
}

func checkOwnKeys(t require.TestingT, s Storage) {
	store := s.Open(t)
	a, b := uuid.New(), uuid.New()
	var keys []seal.StoredKey
	for class := eventstore.Public; class <= eventstore.IdentityTie; class++ {
		keys = append(keys, newKey(seal.KeyID{Subject: a, Class: class}), newKey(seal.KeyID{Subject: b, Class: class}))
	}
	refs := map[int64]bool{}
	for i, stands := range put(t, store, keys...) {
		require.Equal(t, keys[i].Wrapped, stands.Wrapped)
		require.False(t, refs[stands.Ref], "a reference names one key")
		refs[stands.Ref] = true
	}
	later := put(t, store, newKey(id(eventstore.Facts)))[0]
	require.False(t, refs[later.Ref], "a reference names one key, in every call")
}

func checkMany(t require.TestingT, s Storage) {
	store := s.Open(t)
	const n = 3000
	keys, ids := make([]seal.StoredKey, n), make([]seal.KeyID, n)
	for i := range keys {
		ids[i] = id(eventstore.Class(i % 6)) // #nosec G115 -- below 6
		keys[i] = newKey(ids[i])
	}
	stands := put(t, store, keys...)
	equalEach(t, stands, get(t, store, ids...))
	hashes, citizens := make([][32]byte, n), make([]uuid.UUID, n)
	for i := range hashes {
		hashes[i], citizens[i] = hash(i), uuid.New()
	}
	got, err := store.PutReferences(context.Background(), hashes, citizens)
	require.NoError(t, err)
	equalEach(t, citizens, got)
	got, err = store.References(context.Background(), hashes...)
	require.NoError(t, err)
	equalEach(t, citizens, got)
}

func checkDurable(t require.TestingT, s Storage) {
	ctx := context.Background()
	store := s.Open(t)
	key := put(t, store, newKey(id(eventstore.Facts)))[0]
	citizens, err := store.PutReferences(ctx, [][32]byte{hash(1)}, []uuid.UUID{uuid.New()})
	require.NoError(t, err)
	secret, err := store.Secret(ctx, "a", func() ([]byte, error) { return []byte("secret a"), nil })
	require.NoError(t, err)

	again := s.Open(t)
	require.Equal(t, key, get(t, again, key.KeyID)[0])
	found, err := again.References(ctx, hash(1))
	require.NoError(t, err)
	require.Equal(t, citizens, found)
	same, err := again.Secret(ctx, "a", func() ([]byte, error) { return nil, errPlanted })
	require.NoError(t, err)
	require.Equal(t, secret, same)
}

func checkCancelled(t require.TestingT, s Storage) {
	store := s.Open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	key := newKey(id(eventstore.Facts))
	_, err := store.PutKeys(ctx, key, newKey(id(eventstore.Facts)))
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.Keys(ctx, key.KeyID)
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.PutReferences(ctx, [][32]byte{hash(1)}, []uuid.UUID{uuid.New()})
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.References(ctx, hash(1))
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, get(t, store, key.KeyID)[0].Ref)
	found, err := store.References(context.Background(), hash(1))
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{uuid.Nil}, found)
}

const writers = 8

// concurrently runs do for each writer, on stores opened apart, and returns what each returned.
func concurrently[T any](t require.TestingT, s Storage, do func(writer int, store seal.KeyStore) (T, error)) []T {
	stores := []seal.KeyStore{s.Open(t), s.Open(t)}
	out, errs := make([]T, writers), make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { out[w], errs[w] = do(w, stores[w%len(stores)]) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	return out
}

func checkConcurrentKeys(t require.TestingT, s Storage) {
	ids := make([]seal.KeyID, 200)
	for i := range ids {
		ids[i] = id(eventstore.Facts)
	}
	out := concurrently(t, s, func(writer int, store seal.KeyStore) ([]seal.StoredKey, error) {
		keys := make([]seal.StoredKey, len(ids))
		for i := range keys { // half of the writers in the other order: they must not lock one another out
			keys[i] = newKey(ids[inOrder(writer, i, len(ids))])
		}
		return store.PutKeys(context.Background(), keys...)
	})
	stored := get(t, s.Open(t), ids...)
	for writer, stands := range out {
		require.Len(t, stands, len(ids))
		for i := range stands {
			require.Equal(t, stored[inOrder(writer, i, len(ids))], stands[i])
		}
	}
}

func checkConcurrentReferences(t require.TestingT, s Storage) {
	const n = 200
	out := concurrently(t, s, func(writer int, store seal.KeyStore) ([]uuid.UUID, error) {
		hashes, citizens := make([][32]byte, n), make([]uuid.UUID, n)
		for i := range hashes {
			hashes[i], citizens[i] = hash(inOrder(writer, i, n)), uuid.New()
		}
		return store.PutReferences(context.Background(), hashes, citizens)
	})
	hashes := make([][32]byte, n)
	for i := range hashes {
		hashes[i] = hash(i)
	}
	stored, err := s.Open(t).References(context.Background(), hashes...)
	require.NoError(t, err)
	require.NotContains(t, stored, uuid.Nil)
	for writer, stands := range out {
		require.Len(t, stands, n)
		for i := range stands {
			require.Equal(t, stored[inOrder(writer, i, n)], stands[i])
		}
	}
}

func inOrder(writer, i, n int) int {
	if writer%2 == 1 {
		return n - 1 - i
	}
	return i
}

func checkReferences(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	found, err := store.References(ctx, hash(1))
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{uuid.Nil}, found)
	stands, err := store.PutReferences(ctx, [][32]byte{hash(1)}, []uuid.UUID{a})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{a}, stands)
	// A known one, a new one, and the new one again in the same call.
	stands, err = store.PutReferences(ctx, [][32]byte{hash(1), hash(2), hash(2)}, []uuid.UUID{b, b, c})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{a, b, b}, stands)
	found, err = store.References(ctx, hash(2), hash(3), hash(1))
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{b, uuid.Nil, a}, found)
}

func checkReferencePairs(t require.TestingT, s Storage) {
	_, err := s.Open(t).PutReferences(context.Background(), [][32]byte{hash(1), hash(2)}, []uuid.UUID{uuid.New()})
	require.Error(t, err)
}

func checkSecret(t require.TestingT, s Storage) {
	out := concurrently(t, s, func(_ int, store seal.KeyStore) ([]byte, error) {
		return store.Secret(context.Background(), "a", func() ([]byte, error) { u := uuid.New(); return u[:], nil })
	})
	for _, value := range out {
		require.Len(t, value, 16)
		require.Equal(t, out[0], value)
	}
	other, err := s.Open(t).Secret(context.Background(), "b", func() ([]byte, error) { return []byte("another"), nil })
	require.NoError(t, err)
	require.Equal(t, []byte("another"), other)
}

func checkSecretFails(t require.TestingT, s Storage) {
	store := s.Open(t)
	_, err := store.Secret(context.Background(), "a", func() ([]byte, error) { return nil, errPlanted })
	require.ErrorIs(t, err, errPlanted)
	value, err := store.Secret(context.Background(), "a", func() ([]byte, error) { return []byte("made later"), nil })
	require.NoError(t, err)
	require.Equal(t, []byte("made later"), value)
}

func checkNothing(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	keys, err := store.Keys(ctx)
	require.NoError(t, err)
	require.Empty(t, keys)
	keys, err = store.PutKeys(ctx)
	require.NoError(t, err)
	require.Empty(t, keys)
	citizens, err := store.References(ctx)
	require.NoError(t, err)
	require.Empty(t, citizens)
	citizens, err = store.PutReferences(ctx, nil, nil)
	require.NoError(t, err)
	require.Empty(t, citizens)
}
