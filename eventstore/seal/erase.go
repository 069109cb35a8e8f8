package seal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// Destroy erases keys for ever: durably, a tombstone stands in each one's place, also where there never was a key, so that none is ever
// made. It returns the tombstones in the order of ids; a second call returns the same. Class Public destroys a citizen's pairwise secret.
// Sealing or opening under the key is ErrDestroyed from then on, in this process at once, in others once they Evict it or no longer have
// it ready.
//
// If we stop in between, some of the keys stand and some are gone: the same call again finishes.
func (k *Keyring) Destroy(ctx context.Context, ids ...KeyID) ([]StoredKey, error) {
	for _, id := range ids {
		if err := id.valid(); err != nil {
			return nil, err
		}
	}
	// Also after a failure, whose outcome may be unknown: what still stands is fetched again.
	defer k.Evict(ids...)
	out := make([]StoredKey, 0, len(ids))
	for some := range slices.Chunk(ids, fetchSize) {
		stones, err := k.store.DestroyKeys(ctx, some...)
		if err != nil {
			return nil, fmt.Errorf("seal: destroy keys: %w", err)
		}
		if len(stones) != len(some) {
			return nil, fmt.Errorf("seal: the key store answered %d of %d tombstones", len(stones), len(some))
		}
		for i, stone := range stones {
			if stone.KeyID != some[i] || !stone.Destroyed || stone.Ref <= 0 {
				return nil, errAnotherKey
			}
		}
		out = append(out, stones...)
	}
	return out, nil
}

// Evict drops keys from this process's cache, also those that are being fetched at this moment: what is asked for from now on is read
// from the key store. A replica calls it for each key that another has destroyed.
func (k *Keyring) Evict(ids ...KeyID) { k.cache.evict(ids) }

// Tombstones returns a page of at most limit destroyed keys, by subject, then class: those after the given one, which is the zero KeyID at
// first and the last of the page before from then on. They hold no personal data, and are kept apart from the backups, so that what was
// erased since a backup stays erased after a restore.
func (k *Keyring) Tombstones(ctx context.Context, after KeyID, limit int) ([]StoredKey, error) {
	stones, err := k.store.Tombstones(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("seal: read tombstones: %w", err)
	}
	return stones, nil
}

// Unregister removes every source's reference to a citizen, and returns how many there were: nobody finds the citizen by one again, and
// who registers it again gets another citizen's id.
func (k *Keyring) Unregister(ctx context.Context, citizen uuid.UUID) (int, error) {
	if citizen == uuid.Nil {
		return 0, errors.New("seal: no citizen to unregister")
	}
	n, err := k.store.MoveReferences(ctx, citizen, uuid.Nil)
	if err != nil {
		return 0, fmt.Errorf("seal: remove references: %w", err)
	}
	return n, nil
}

// Repoint makes all references to one citizen lead to another, as when two ids of one person are merged, and returns how many there were.
func (k *Keyring) Repoint(ctx context.Context, from, to uuid.UUID) (int, error) {
	if from == uuid.Nil || to == uuid.Nil {
		return 0, errors.New("seal: references lead from one citizen to another")
	}
	n, err := k.store.MoveReferences(ctx, from, to)
	if err != nil {
		return 0, fmt.Errorf("seal: move references: %w", err)
	}
	return n, nil
}
