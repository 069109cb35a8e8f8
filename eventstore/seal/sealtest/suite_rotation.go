package sealtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// rotationChecks are the clauses on erasing and rotating.
func rotationChecks() []Check {
	return []Check{
		{"a destroyed key is gone for ever", checkDestroyed},
		{"a key that never was is destroyed, too", checkDestroyedBefore},
		{"whoever makes or destroys a key first, none comes back", checkConcurrentDestroy},
		{"tombstones are listed page by page", checkTombstones},
		{"a citizen's references move and go", checkMoveReferences},
		{"a key is wrapped anew where it is what was read", checkRewrap},
		{"a closed epoch takes no more keys", checkRaiseEpoch},
		{"an epoch is closed against those who are storing keys", checkRaiseEpochConcurrently},
		{"every key of earlier epochs is listed", checkKeysBefore},
		{"keys are counted by epoch", checkEpochs},
		{"a secret is replaced where it is what was read", checkReplaceSecret},
		{"a cancelled erasure or rotation changes nothing", checkRotationCancelled},
	}
}

func destroy(t require.TestingT, store seal.KeyStore, ids ...seal.KeyID) []seal.StoredKey {
	stones, err := store.DestroyKeys(context.Background(), ids...)
	require.NoError(t, err)
	require.Len(t, stones, len(ids))
	for i, stone := range stones {
		require.Equal(t, seal.StoredKey{KeyID: ids[i], Ref: stone.Ref, Destroyed: true}, stone) // #nosec G602 -- as many as ids
		require.Positive(t, stone.Ref)
	}
	return stones
}

func checkDestroyed(t require.TestingT, s Storage) {
	store := s.Open(t)
	keys := put(t, store, newKey(id(eventstore.Facts)), newKey(id(eventstore.Facts)), newKey(id(eventstore.Evidence)))
	stones := destroy(t, store, keys[2].KeyID, keys[0].KeyID)
	require.Equal(t, []int64{keys[2].Ref, keys[0].Ref}, []int64{stones[0].Ref, stones[1].Ref}, "the record's reference stays")
	require.Equal(t, stones, destroy(t, store, keys[2].KeyID, keys[0].KeyID), "a second time changes nothing")
	require.Equal(t, stones[1], put(t, store, newKey(keys[0].KeyID))[0])
	for _, store := range []seal.KeyStore{store, s.Open(t)} {
		require.Equal(t, []seal.StoredKey{stones[1], keys[1], stones[0]}, get(t, store, keys[0].KeyID, keys[1].KeyID, keys[2].KeyID))
	}
}

func checkDestroyedBefore(t require.TestingT, s Storage) {
	store := s.Open(t)
	never, other := id(eventstore.Public), put(t, store, newKey(id(eventstore.Facts)))[0]
	stones := destroy(t, store, never, other.KeyID, never)
	require.Equal(t, stones[0], stones[2])
	require.NotEqual(t, stones[0].Ref, stones[1].Ref)
	require.Equal(t, stones[0], put(t, store, newKey(never))[0])
	require.Equal(t, stones[0], get(t, s.Open(t), never)[0])
}

func checkConcurrentDestroy(t require.TestingT, s Storage) {
	ctx := context.Background()
	ids := make([]seal.KeyID, 200)
	for i := range ids {
		ids[i] = id(eventstore.Facts)
	}
	_ = concurrently(t, s, func(writer int, store seal.KeyStore) (struct{}, error) {
		mine := make([]seal.KeyID, len(ids)) // half of the writers in the other order: they must not lock one another out
		keys, anew := make([]seal.StoredKey, len(ids)), make([]seal.Rewrap, len(ids))
		for i := range ids {
			mine[i] = ids[inOrder(writer/2, i, len(ids))]
			keys[i] = newKey(mine[i])
		}
		if writer%4 == 3 {
			_, err := store.DestroyKeys(ctx, mine...)
			return struct{}{}, err
		}
		stands, err := store.PutKeys(ctx, keys...)
		if err != nil {
			return struct{}{}, err
		}
		for i, key := range stands {
			anew[i] = seal.Rewrap{KeyID: key.KeyID, Old: key.Wrapped, Epoch: 4, Wrapped: newKey(key.KeyID).Wrapped}
		}
		_, err = store.RewrapKeys(ctx, anew...)
		return struct{}{}, err
	})
	for _, key := range get(t, s.Open(t), ids...) {
		require.True(t, key.Destroyed)
		require.Nil(t, key.Wrapped)
	}
}

func checkTombstones(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	var ids []seal.KeyID
	for range 25 {
		of := uuid.New()
		keys := []seal.KeyID{{Subject: of, Class: eventstore.Public}, {Subject: of, Class: eventstore.Facts}, {Subject: of, Class: eventstore.Contact}}
		put(t, store, newKey(keys[0]), newKey(keys[1]), newKey(keys[2]))
		ids = append(ids, keys[0], keys[2])
	}
	stones := destroy(t, store, ids...)
	slices.SortFunc(stones, func(a, b seal.StoredKey) int { return compare(a.KeyID, b.KeyID) })
	for _, limit := range []int{1, 7, 50, 1000} {
		var listed []seal.StoredKey
		for after := (seal.KeyID{}); ; {
			page, err := store.Tombstones(ctx, after, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			if len(page) == 0 {
				break
			}
			require.Positive(t, compare(page[0].KeyID, after))
			listed, after = append(listed, page...), page[len(page)-1].KeyID
		}
		require.Equal(t, stones, listed)
	}
}

func checkMoveReferences(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	a, b, c := uuid.New(), uuid.New(), uuid.New()
	hashes := [][32]byte{hash(1), hash(2), hash(3), hash(4)}
	_, err := store.PutReferences(ctx, hashes, []uuid.UUID{a, b, a, c})
	require.NoError(t, err)
	move := func(from, to uuid.UUID, moved int, want ...uuid.UUID) {
		n, err := store.MoveReferences(ctx, from, to)
		require.NoError(t, err)
		require.Equal(t, moved, n)
		for _, store := range []seal.KeyStore{store, s.Open(t)} {
			found, err := store.References(ctx, hashes...)
			require.NoError(t, err)
			require.Equal(t, want, found)
		}
	}
	move(a, b, 2, b, b, b, c)
	move(a, b, 0, b, b, b, c)
	move(b, uuid.Nil, 3, uuid.Nil, uuid.Nil, uuid.Nil, c)
	move(b, uuid.Nil, 0, uuid.Nil, uuid.Nil, uuid.Nil, c)
	_, err = store.PutReferences(ctx, hashes[:1], []uuid.UUID{b})
	require.NoError(t, err)
	move(c, a, 1, b, uuid.Nil, uuid.Nil, a)
}

func checkRewrap(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	keys := put(t, store, newKey(id(eventstore.Facts)), newKey(id(eventstore.Facts)), newKey(id(eventstore.Facts)), newKey(id(eventstore.Facts)))
	stone := destroy(t, store, keys[2].KeyID)[0]
	anew := make([]seal.Rewrap, len(keys), len(keys)+1)
	for i, key := range keys {
		anew[i] = seal.Rewrap{KeyID: key.KeyID, Old: key.Wrapped, Epoch: 4, Wrapped: newKey(key.KeyID).Wrapped}
	}
	anew[1].Old = bytes.Clone(anew[1].Old)
	anew[1].Old[5] ^= 1
	anew[3].Wrapped = append(anew[3].Wrapped, "longer than it was"...)
	unknown := id(eventstore.Facts)
	anew = append(anew, seal.Rewrap{KeyID: unknown, Old: keys[0].Wrapped, Epoch: 4, Wrapped: anew[0].Wrapped})
	n, err := store.RewrapKeys(ctx, anew...)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	want := []seal.StoredKey{keys[0], keys[1], stone, keys[3], {KeyID: unknown}}
	want[0].Epoch, want[0].Wrapped = 4, anew[0].Wrapped
	want[3].Epoch, want[3].Wrapped = 4, anew[3].Wrapped
	for _, store := range []seal.KeyStore{store, s.Open(t)} {
		require.Equal(t, want, get(t, store, keys[0].KeyID, keys[1].KeyID, keys[2].KeyID, keys[3].KeyID, unknown))
	}
	n, err = store.RewrapKeys(ctx, anew...)
	require.NoError(t, err)
	require.Zero(t, n, "it is no longer what was read")
	require.NoError(t, store.RaiseEpoch(ctx, 5))
	n, err = store.RewrapKeys(ctx, seal.Rewrap{KeyID: keys[0].KeyID, Old: anew[0].Wrapped, Epoch: 4, Wrapped: keys[1].Wrapped})
	require.NoError(t, err)
	require.Zero(t, n, "its epoch is closed")
	require.Equal(t, anew[0].Wrapped, get(t, store, keys[0].KeyID)[0].Wrapped)
}

func checkRaiseEpoch(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	known := put(t, store, newKey(id(eventstore.Facts)))[0] // of epoch 3
	require.NoError(t, store.RaiseEpoch(ctx, 3))
	put(t, store, newKey(id(eventstore.Facts)))
	require.NoError(t, store.RaiseEpoch(ctx, 4))
	require.NoError(t, store.RaiseEpoch(ctx, 4))
	for _, store := range []seal.KeyStore{store, s.Open(t)} {
		early, later := newKey(id(eventstore.Facts)), newKey(id(eventstore.Facts))
		later.Epoch = 4
		_, err := store.PutKeys(ctx, later, early)
		require.ErrorIs(t, err, seal.ErrStaleEpoch)
		require.Equal(t, []seal.StoredKey{{KeyID: later.KeyID}, {KeyID: early.KeyID}}, get(t, store, later.KeyID, early.KeyID), "all or none")
		require.Equal(t, known, put(t, store, newKey(known.KeyID))[0], "what is there already needs no epoch")
		require.Equal(t, later.Wrapped, put(t, store, later)[0].Wrapped)
		require.ErrorIs(t, store.RaiseEpoch(ctx, 3), seal.ErrStaleEpoch)
	}
}

// Some store keys of an epoch as fast as they can while it is closed: after that none is added.
func checkRaiseEpochConcurrently(t require.TestingT, s Storage) {
	ctx := context.Background()
	stores := []seal.KeyStore{s.Open(t), s.Open(t)}
	for epoch := int32(1); epoch <= 3; epoch++ {
		var closed atomic.Bool
		var wg sync.WaitGroup
		errs, started := make([]error, writers), make(chan struct{}, writers)
		for w := range writers {
			wg.Go(func() { errs[w] = storeUntilClosed(ctx, stores[w%2], epoch, &closed, started) })
		}
		for range writers {
			<-started
		}
		err := stores[0].RaiseEpoch(ctx, epoch+1)
		closed.Store(true)
		counted, countErr := stores[1].Epochs(ctx)
		wg.Wait()
		require.NoError(t, errors.Join(err, countErr))
		for _, err := range errs {
			require.ErrorIs(t, err, seal.ErrStaleEpoch)
		}
		after, err := s.Open(t).Epochs(ctx)
		require.NoError(t, err)
		require.Positive(t, counted[epoch])
		require.Equal(t, counted[epoch], after[epoch])
	}
}

// storeUntilClosed stores keys until one is refused, or one is stored that was begun after the epoch was closed.
func storeUntilClosed(ctx context.Context, store seal.KeyStore, epoch int32, closed *atomic.Bool, started chan<- struct{}) error {
	for n := 0; ; n++ {
		keys := []seal.StoredKey{newKey(id(eventstore.Facts)), newKey(id(eventstore.Facts))}
		keys[0].Epoch, keys[1].Epoch = epoch, epoch
		late := closed.Load()
		_, err := store.PutKeys(ctx, keys...)
		if n == 0 {
			started <- struct{}{}
		}
		if err != nil || late {
			return err
		}
	}
}

func checkKeysBefore(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	const n = 1000
	keys := make([]seal.StoredKey, n)
	for i := range keys {
		keys[i] = newKey(id(eventstore.Class(i % 6))) // #nosec G115 -- below 6
		keys[i].Epoch = []int32{1, 2, 3, 300}[i%4]
	}
	want := map[seal.KeyID]seal.StoredKey{}
	for _, key := range put(t, store, keys...) {
		if key.Epoch < 3 {
			want[key.KeyID] = key
		}
	}
	for of := range want {
		if len(want) < n/2-20 {
			break
		}
		destroy(t, store, of)
		delete(want, of)
	}
	for _, limit := range []int{7, 100, 10 * n} {
		seen := map[seal.KeyID]seal.StoredKey{}
		for after := int64(0); ; {
			page, next, err := store.KeysBefore(ctx, 3, after, limit)
			require.NoError(t, err)
			for _, key := range page {
				seen[key.KeyID] = key
			}
			if next == 0 {
				break
			}
			require.Greater(t, next, after)
			after = next
		}
		require.Len(t, seen, len(want))
		for of, key := range want {
			require.Equal(t, key, seen[of])
		}
	}
}

func checkEpochs(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	counted, err := store.Epochs(ctx)
	require.NoError(t, err)
	require.Empty(t, counted)
	of := []seal.KeyID{id(eventstore.Facts), id(eventstore.Facts), id(eventstore.Facts), id(eventstore.Facts)}
	keys := []seal.StoredKey{newKey(of[0]), newKey(of[1]), newKey(of[2]), newKey(of[3])}
	keys[2].Epoch, keys[3].Epoch = 300, 300
	put(t, store, keys...)
	destroy(t, store, of[0], id(eventstore.Facts))
	counted, err = store.Epochs(ctx)
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{3: 1, 300: 2}, counted)
}

func checkReplaceSecret(t require.TestingT, s Storage) {
	ctx, store := context.Background(), s.Open(t)
	replaced, err := store.ReplaceSecret(ctx, "a", []byte("one"), []byte("two"))
	require.NoError(t, err)
	require.False(t, replaced, "there is none")
	_, err = store.Secret(ctx, "a", func() ([]byte, error) { return []byte("one"), nil })
	require.NoError(t, err)
	for _, c := range []struct {
		old, fresh, stands string
		replaced           bool
	}{{"another", "two", "one", false}, {"one", "two", "two", true}, {"one", "three", "two", false}} {
		replaced, err := store.ReplaceSecret(ctx, "a", []byte(c.old), []byte(c.fresh))
		require.NoError(t, err)
		require.Equal(t, c.replaced, replaced)
		for _, store := range []seal.KeyStore{store, s.Open(t)} {
			stands, err := store.Secret(ctx, "a", func() ([]byte, error) { return nil, errPlanted })
			require.NoError(t, err)
			require.Equal(t, c.stands, string(stands))
		}
	}
}

func checkRotationCancelled(t require.TestingT, s Storage) {
	store := s.Open(t)
	key := put(t, store, newKey(id(eventstore.Facts)))[0]
	citizen := uuid.New()
	_, err := store.PutReferences(context.Background(), [][32]byte{hash(1)}, []uuid.UUID{citizen})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = store.DestroyKeys(ctx, key.KeyID)
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.RewrapKeys(ctx, seal.Rewrap{KeyID: key.KeyID, Old: key.Wrapped, Epoch: 4, Wrapped: newKey(key.KeyID).Wrapped})
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.MoveReferences(ctx, citizen, uuid.Nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, store.RaiseEpoch(ctx, 9), context.Canceled)
	require.Equal(t, key, get(t, store, key.KeyID)[0])
	found, err := store.References(context.Background(), hash(1))
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{citizen}, found)
	put(t, store, newKey(id(eventstore.Facts))) // its epoch is still open
}
