package seal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tellonce/hub/eventstore"
)

const (
	keySize = 32
	// fetchTimeout bounds a fetch that many wait for and none of them can cancel.
	fetchTimeout = 30 * time.Second
	// fetchesAtOnce lets small fetches pass beside a large one; more would only make each smaller.
	fetchesAtOnce = 2
	// fetchSize bounds one call of the key store.
	fetchSize = 1 << 13
)

var errAnotherKey = errors.New("seal: the key store answered another key than the one asked for")

// loaded is what became of one key.
type loaded struct {
	key *key
	err error // ErrNoKey, ErrWrongWrapper
}

// fetcher coalesces: while fetches are under way, what else is wanted gathers for the next. Nobody's cancelled context takes a fetch
// from the others who wait for it.
type fetcher struct {
	load func(ctx context.Context, wanted map[KeyID]bool) (map[KeyID]loaded, error)

	mu      sync.Mutex
	running int
	next    *flight
}

// flight is one fetch: wanted (and whether to make what is missing) while it gathers, then found or err.
type flight struct {
	wanted map[KeyID]bool
	done   chan struct{}
	found  map[KeyID]loaded
	err    error
}

// fetch returns what became of each id.
func (f *fetcher) fetch(ctx context.Context, create bool, ids []KeyID) (map[KeyID]loaded, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("seal: fetch keys: %w", err)
	}
	f.mu.Lock()
	if f.next == nil {
		f.next = &flight{wanted: make(map[KeyID]bool, len(ids)), done: make(chan struct{})}
	}
	mine := f.next
	for _, id := range ids {
		mine.wanted[id] = mine.wanted[id] || create
	}
	if f.running < fetchesAtOnce {
		f.running++
		go f.run(context.WithoutCancel(ctx))
	}
	f.mu.Unlock()
	select {
	case <-mine.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("seal: fetch keys: %w", ctx.Err())
	}
	return mine.found, mine.err
}

// run flies until nothing more is wanted.
func (f *fetcher) run(ctx context.Context) {
	for {
		f.mu.Lock()
		now := f.next
		f.next = nil
		if now == nil {
			f.running--
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		now.found, now.err = f.fly(ctx, now.wanted)
		close(now.done)
	}
}

func (f *fetcher) fly(ctx context.Context, wanted map[KeyID]bool) (map[KeyID]loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return f.load(ctx, wanted)
}

// load fetches the wanted keys, makes the missing ones that may be made, and caches what it got.
//
// If we stop after the store took new keys and before anything is sealed under them, they stand unused: the next who wants them finds
// them.
func (k *Keyring) load(ctx context.Context, wanted map[KeyID]bool) (map[KeyID]loaded, error) {
	out := make(map[KeyID]loaded, len(wanted))
	// Sorted: neighbours in the call are neighbours in the store's index.
	for ids := range slices.Chunk(slices.SortedFunc(maps.Keys(wanted), KeyID.compare), fetchSize) {
		if err := k.loadSome(ctx, ids, wanted, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (id KeyID) compare(other KeyID) int {
	return cmp.Or(bytes.Compare(id.Subject[:], other.Subject[:]), cmp.Compare(id.Class, other.Class))
}

func (k *Keyring) loadSome(ctx context.Context, ids []KeyID, wanted map[KeyID]bool, out map[KeyID]loaded) error {
	evictions := make([]uint64, len(ids))
	for i, id := range ids {
		evictions[i] = k.cache.evictions(id)
	}
	stored, err := k.store.Keys(ctx, ids...)
	if err != nil {
		return fmt.Errorf("seal: read keys: %w", err)
	}
	if len(stored) != len(ids) {
		return fmt.Errorf("seal: the key store answered %d of %d keys", len(stored), len(ids))
	}
	var missing []KeyID
	var closed []StoredKey
	for i, s := range stored {
		switch {
		case s.Ref != 0 && s.KeyID != ids[i]:
			return errAnotherKey
		case s.Ref != 0:
			l := k.ready(s)
			if out[ids[i]] = l; l.err != nil {
				closed = append(closed, s)
			}
		case wanted[ids[i]]:
			missing = append(missing, ids[i])
		default:
			out[ids[i]] = loaded{err: ErrNoKey}
		}
	}
	if len(missing) > 0 {
		if err := k.makeKeys(ctx, missing, out); err != nil {
			return err
		}
	}
	if len(closed) > 0 {
		if err := k.readAgain(ctx, closed, out); err != nil {
			return err
		}
	}
	for i, id := range ids {
		if l := out[id]; l.key != nil {
			k.cache.put(l.key, evictions[i])
		}
	}
	return nil
}

// readAgain looks once more at keys that did not open: between the read and the attempt they may have been wrapped anew, and the epoch
// under which they stood retired.
func (k *Keyring) readAgain(ctx context.Context, closed []StoredKey, out map[KeyID]loaded) error {
	ids := make([]KeyID, len(closed))
	for i, s := range closed {
		ids[i] = s.KeyID
	}
	stored, err := k.store.Keys(ctx, ids...)
	if err != nil {
		return fmt.Errorf("seal: read keys: %w", err)
	}
	if len(stored) != len(ids) {
		return fmt.Errorf("seal: the key store answered %d of %d keys", len(stored), len(ids))
	}
	for i, s := range stored {
		if s.KeyID != ids[i] {
			return errAnotherKey
		}
		if s.Destroyed || !bytes.Equal(s.Wrapped, closed[i].Wrapped) {
			out[ids[i]] = k.ready(s)
		}
	}
	return nil
}

// makeKeys makes a random key for each id and stores it. Another process may have been first: then its key stands, and ours was never
// used.
func (k *Keyring) makeKeys(ctx context.Context, ids []KeyID, out map[KeyID]loaded) error {
	raw := make([]byte, keySize*len(ids))
	defer clear(raw)
	if _, err := rand.Read(raw); err != nil {
		return fmt.Errorf("seal: random numbers: %w", err)
	}
	mine, stands, err := k.storeKeys(ctx, ids, raw)
	if errors.Is(err, ErrStaleEpoch) { // the keys are being rotated: learn of the new epoch and wrap again
		if err := k.wrapper.Refresh(); err != nil {
			return fmt.Errorf("seal: look for a newer wrapping key: %w", err)
		}
		mine, stands, err = k.storeKeys(ctx, ids, raw)
	}
	if err != nil {
		return err
	}
	if len(stands) != len(ids) {
		return fmt.Errorf("seal: the key store answered %d of %d keys", len(stands), len(ids))
	}
	for i, s := range stands {
		switch {
		case s.KeyID != ids[i] || s.Ref <= 0:
			return errAnotherKey
		case bytes.Equal(s.Wrapped, mine[i].Wrapped):
			out[ids[i]] = prepare(s, raw[i*keySize:(i+1)*keySize])
		default:
			out[ids[i]] = k.ready(s)
		}
	}
	return nil
}

// storeKeys wraps raw keys under the newest epoch and returns them as they were offered, and what stands.
func (k *Keyring) storeKeys(ctx context.Context, ids []KeyID, raw []byte) (mine, stands []StoredKey, err error) {
	mine = make([]StoredKey, len(ids))
	for i, id := range ids {
		epoch, wrapped, err := k.wrapper.Wrap(wrapAAD(id), raw[i*keySize:(i+1)*keySize])
		if err != nil {
			return nil, nil, fmt.Errorf("seal: wrap a key: %w", err)
		}
		mine[i] = StoredKey{KeyID: id, Epoch: epoch, Wrapped: wrapped}
	}
	if stands, err = k.store.PutKeys(ctx, mine...); err != nil {
		return nil, nil, fmt.Errorf("seal: store keys: %w", err)
	}
	return mine, stands, nil
}

// ready unwraps a stored key.
func (k *Keyring) ready(s StoredKey) loaded {
	if s.Destroyed {
		return loaded{key: &key{id: s.KeyID, ref: s.Ref, destroyed: true}}
	}
	raw, err := k.wrapper.Unwrap(s.Epoch, wrapAAD(s.KeyID), s.Wrapped)
	if err != nil {
		return loaded{err: fmt.Errorf("%w (key %d, epoch %d)", ErrWrongWrapper, s.Ref, s.Epoch)}
	}
	defer clear(raw)
	return prepare(s, raw)
}

// prepare makes raw ready to use; raw may be cleared afterwards.
func prepare(s StoredKey, raw []byte) loaded {
	k := &key{id: s.KeyID, ref: s.Ref}
	if s.Class == eventstore.Public {
		k.pairwise = &pairwise{mac: hmac.New(sha256.New, raw)}
		return loaded{key: k}
	}
	block, err := aes.NewCipher(raw)
	if err == nil {
		k.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return loaded{err: fmt.Errorf("%w (key %d, epoch %d)", ErrWrongWrapper, s.Ref, s.Epoch)}
	}
	return loaded{key: k}
}

// wrapAAD binds a wrapped key to its citizen and class: one can't be put in another's place.
func wrapAAD(id KeyID) []byte {
	aad := appendFrame(make([]byte, 0, 64), "tellonce data key")
	aad = appendFrame(aad, id.Subject[:])
	return appendInt(aad, int64(id.Class))
}
