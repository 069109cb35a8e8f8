package seal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// rewrapPage is how many keys are wrapped anew in one call of the key store.
	rewrapPage = 512
	// rewrapRest bounds the pause after a page, which is otherwise as long as the page took. Who waits for the embedded store's write lock
	// only tries now and then: without a pause it would hardly ever find it free.
	rewrapRest = 200 * time.Millisecond
)

var errNoSecret = errors.New("seal: no such secret")

// Epochs returns how many keys stand under each epoch of the wrapping key, the hub's own secret among them.
func (k *Keyring) Epochs(ctx context.Context) (map[int32]int64, error) {
	standing, err := k.store.Epochs(ctx)
	if err != nil {
		return nil, fmt.Errorf("seal: count the keys of each epoch: %w", err)
	}
	stored, err := k.storedSecret(ctx, hubSecret)
	if err != nil {
		return nil, err
	}
	epoch, err := secretEpoch(stored)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(standing)
	if out == nil {
		out = make(map[int32]int64, 1)
	}
	out[epoch]++
	return out, nil
}

// CloseEpochs closes the epochs before the wrapper's newest: from its return on no process stores a key under one of them. It returns
// what Epochs counts after that. ErrStaleEpoch if the newest at hand is not the newest there is: a file of wrapping keys that was put back
// from a backup must not begin another epoch under the number of one that exists.
func (k *Keyring) CloseEpochs(ctx context.Context) (standing map[int32]int64, err error) {
	newest := k.wrapper.Epoch()
	if err := k.store.RaiseEpoch(ctx, newest); err != nil {
		return nil, fmt.Errorf("seal: close the earlier epochs: %w", err)
	}
	if standing, err = k.Epochs(ctx); err != nil {
		return nil, err
	}
	for epoch := range standing {
		if epoch > newest {
			return nil, ErrStaleEpoch
		}
	}
	return standing, nil
}

// Rewrap wraps every stored key, and the hub's own secret, under the wrapper's newest epoch, and returns how many keys that were. The
// keys themselves stay what they are, and so does all that they closed. progress is told how many of how many are done. Others may read,
// make and destroy keys meanwhile: earlier epochs are closed first, so nothing is added behind it, and a key is replaced only if it still
// is what was read, so none that was destroyed comes back.
//
// If we stop anywhere, each key stands under the one epoch or under the other, and the same call again finishes. A key that does not open
// is left as it is, and the error is ErrWrongWrapper, after all others were done.
func (k *Keyring) Rewrap(ctx context.Context, progress func(done, total int64)) (int64, error) {
	standing, err := k.CloseEpochs(ctx)
	r := rewrapping{Keyring: k, epoch: k.wrapper.Epoch(), progress: progress}
	for last := int64(-1); err == nil; standing, err = k.Epochs(ctx) {
		left := Before(standing, r.epoch)
		switch {
		case left == 0:
			return r.done, nil
		case r.failed != nil:
			return r.done, fmt.Errorf("%w: %d keys stay under their old epoch", r.failed, left)
		case left == last:
			return r.done, fmt.Errorf("seal: %d keys can't be wrapped anew; is another rotation under way?", left)
		}
		last, r.total = left, r.done+left
		if err := r.pass(ctx); err != nil {
			return r.done, err
		}
	}
	return r.done, err
}

// Before is how many keys stand under epochs earlier than the given one.
func Before(standing map[int32]int64, epoch int32) (n int64) {
	for e, count := range standing {
		if e < epoch {
			n += count
		}
	}
	return n
}

// rewrapping is one call of Rewrap.
type rewrapping struct {
	*Keyring
	epoch       int32
	done, total int64
	progress    func(done, total int64)
	failed      error // of the first key that did not open
}

// pass goes once through all keys that are wrapped before the epoch, then to the hub's secret.
func (r *rewrapping) pass(ctx context.Context) error {
	for after := int64(0); ; {
		keys, next, err := r.store.KeysBefore(ctx, r.epoch, after, rewrapPage)
		if err != nil {
			return fmt.Errorf("seal: read keys of earlier epochs: %w", err)
		}
		for some := range slices.Chunk(keys, rewrapPage) {
			began := time.Now()
			if err := r.page(ctx, some); err != nil {
				return err
			}
			select {
			case <-time.After(min(time.Since(began), rewrapRest)):
			case <-ctx.Done():
				return fmt.Errorf("seal: wrap keys anew: %w", ctx.Err())
			}
		}
		if next == 0 {
			break
		}
		after = next
	}
	return r.secret(ctx, hubSecret)
}

func (r *rewrapping) page(ctx context.Context, keys []StoredKey) error {
	anew := make([]Rewrap, 0, len(keys))
	for _, key := range keys {
		aad := wrapAAD(key.KeyID)
		raw, err := r.wrapper.Unwrap(key.Epoch, aad, key.Wrapped)
		if err != nil {
			if r.failed == nil {
				r.failed = fmt.Errorf("%w (key %d, epoch %d)", ErrWrongWrapper, key.Ref, key.Epoch)
			}
			continue
		}
		epoch, wrapped, err := r.wrapper.Wrap(aad, raw)
		clear(raw)
		if err != nil {
			return fmt.Errorf("seal: wrap a key: %w", err)
		}
		anew = append(anew, Rewrap{KeyID: key.KeyID, Old: key.Wrapped, Epoch: epoch, Wrapped: wrapped})
	}
	n, err := r.store.RewrapKeys(ctx, anew...)
	if err != nil {
		return fmt.Errorf("seal: store keys that were wrapped anew: %w", err)
	}
	r.advance(int64(n))
	return nil
}

// secret wraps one of the hub's own secrets anew.
func (r *rewrapping) secret(ctx context.Context, name string) error {
	stored, err := r.storedSecret(ctx, name)
	if err != nil {
		return err
	}
	if epoch, err := secretEpoch(stored); err != nil || epoch >= r.epoch {
		return err
	}
	raw, err := r.unwrapSecret(name, stored)
	if err != nil {
		return err
	}
	defer clear(raw)
	fresh, err := r.wrapSecret(name, raw)
	if err != nil {
		return err
	}
	// Not replaced: another process has just done it.
	replaced, err := r.store.ReplaceSecret(ctx, name, stored, fresh)
	if err != nil {
		return fmt.Errorf("seal: store a secret that was wrapped anew: %w", err)
	}
	if replaced {
		r.advance(1)
	}
	return nil
}

func (r *rewrapping) advance(n int64) {
	r.done += n
	if r.progress != nil {
		r.progress(r.done, r.total)
	}
}

// storedSecret is a secret as it is stored.
func (k *Keyring) storedSecret(ctx context.Context, name string) ([]byte, error) {
	stored, err := k.store.Secret(ctx, name, func() ([]byte, error) { return nil, errNoSecret })
	if err != nil {
		return nil, fmt.Errorf("seal: read the hub's secret: %w", err)
	}
	return stored, nil
}
