package seal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

// process is another process's keyring on the same keys, with its own reading of the file of wrapping keys.
func (b bundle) process(t require.TestingT, store seal.KeyStore, wrapper *sealtest.Wrapper) *seal.Keyring {
	keyring, err := seal.NewKeyring(context.Background(), seal.Config{Store: store, Wrapper: wrapper, LogID: b.logID})
	require.NoError(t, err)
	return keyring
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := make([]eventstore.Recorded, 2000) // several pages
	for i := range records {
		records[i] = b.sealed(t, eventstore.Class(1+i%5), fmt.Sprint(i)) // #nosec G115 -- below 6
	}
	gone := records[7]
	_, err := b.Destroy(t.Context(), keyOf(gone))
	require.NoError(t, err)
	pairwise, mac := must(b.Pairwise(t.Context(), records[0].Subject, "moh", 1)), b.MAC("domain", []byte("x"))
	running := b.process(t, b.store, b.wrapper.Process())
	thief := b.wrapper.Stolen()

	require.NoError(t, b.wrapper.Add(2))
	var shown []int64
	n, err := b.Rewrap(t.Context(), func(done, total int64) { shown = append(shown, done, total) })
	require.NoError(t, err)
	require.EqualValues(t, len(records)-1+1+1, n, "all but the destroyed one, a pairwise secret and the hub's own")
	require.Equal(t, []int64{n, n}, shown[len(shown)-2:])
	require.Equal(t, map[int32]int64{2: n}, must(b.Epochs(t.Context())))
	n, err = b.Rewrap(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, n, "a second time there is nothing to do")
	b.wrapper.Retire(1)

	officers, err := seal.WithTwoOfficers(t.Context(), "ada", "grace")
	require.NoError(t, err)
	for name, keyring := range map[string]*seal.Keyring{"same": b.Keyring, "running": running, "new": b.process(t, b.store, b.wrapper.Process())} {
		opened, err := keyring.OpenAll(officers, records)
		var partial *seal.PartialError
		require.ErrorAs(t, err, &partial, name)
		for i := range records {
			if i == 7 {
				require.ErrorIs(t, partial.Errs[i], seal.ErrDestroyed)
				continue
			}
			require.NoError(t, partial.Errs[i], name)
			require.Equal(t, fmt.Sprint(i), string(opened[i]))
		}
		require.Equal(t, pairwise, must(keyring.Pairwise(t.Context(), records[0].Subject, "moh", 1)))
		require.Equal(t, mac, keyring.MAC("domain", []byte("x")))
	}
	// Who has the old file and all that is stored now opens nothing, not even the hub's secret.
	stolen := b.store.Clone()
	_, err = seal.NewKeyring(t.Context(), seal.Config{Store: stolen, Wrapper: thief, LogID: b.logID})
	require.ErrorIs(t, err, seal.ErrWrongWrapper)
	standing := must(stolen.Epochs(t.Context()))
	require.Equal(t, map[int32]int64{2: int64(len(records))}, standing)
	keys, _, err := stolen.KeysBefore(t.Context(), 3, 0, 1<<20)
	require.NoError(t, err)
	require.Len(t, keys, len(records))
	for _, key := range keys {
		for _, epoch := range []int32{1, 2} {
			_, err = thief.Unwrap(epoch, seal.WrapAAD(key.KeyID), key.Wrapped)
			require.Error(t, err)
		}
		_, err = b.wrapper.Unwrap(2, seal.WrapAAD(key.KeyID), key.Wrapped)
		require.NoError(t, err, "else the thief tried with another aad than the hub")
	}
}

// Between the moment when a key is read and the one when it is opened, a whole rotation may pass.
func TestAKeyThatIsRotatedWhileItIsFetched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r, gone := b.sealed(t, eventstore.Facts, "told"), b.sealed(t, eventstore.Facts, "gone")
	reader := b.wrapper.Process()
	store := &gated{KeyStore: b.store, gate: make(chan struct{})}
	close(store.gate)
	keyring := b.process(t, store, reader)
	store.after = func() {
		require.NoError(t, b.wrapper.Add(2))
		must(b.Rewrap(context.Background(), nil))
		must(b.Destroy(context.Background(), keyOf(gone)))
		b.wrapper.Retire(1)
		require.NoError(t, reader.Refresh())
	}
	opened, err := keyring.OpenAll(t.Context(), []eventstore.Recorded{r, gone})
	require.ErrorIs(t, err, seal.ErrDestroyed)
	require.NotErrorIs(t, err, seal.ErrWrongWrapper)
	require.Equal(t, "told", string(opened[0]))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A process that has read the file before goes on when it is told, and stores nothing under the old epoch.
func TestNewKeysComeUnderTheNewEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.process(t, b.store, b.wrapper.Process())
	require.NoError(t, b.wrapper.Add(2))
	e := event(eventstore.Facts)
	require.NoError(t, running.Seal(t.Context(), e, seal.Plaintext("before")))
	_, err := b.CloseEpochs(t.Context())
	require.NoError(t, err)
	id := seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}
	require.NoError(t, running.Ensure(t.Context(), id))
	stored, err := b.store.Keys(t.Context(), seal.KeyID{Subject: e.Subject, Class: e.Class}, id)
	require.NoError(t, err)
	require.Equal(t, []int32{1, 2}, []int32{stored[0].Epoch, stored[1].Epoch})

	// With a file that does not hold the new epoch, no key is made.
	behind := b.process(t, b.store, b.wrapper.Stolen())
	b.wrapper.Retire(1)
	require.NoError(t, b.wrapper.Add(3))
	_, err = b.CloseEpochs(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, behind.Ensure(t.Context(), seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}), seal.ErrStaleEpoch)
	_, err = behind.CloseEpochs(t.Context())
	require.ErrorIs(t, err, seal.ErrStaleEpoch)
	_, err = behind.Rewrap(t.Context(), nil)
	require.ErrorIs(t, err, seal.ErrStaleEpoch)
}

// A file that was put back from before a rotation begins no epoch, also if the key store does not know yet that there was another.
func TestAFileThatWentBackRotatesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	behind := b.process(t, b.store, b.wrapper.Stolen())
	require.NoError(t, b.wrapper.Add(2))
	require.NoError(t, b.Ensure(t.Context(), seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}))
	_, err := behind.CloseEpochs(t.Context())
	require.ErrorIs(t, err, seal.ErrStaleEpoch)
}

func TestAKeyThatDoesNotOpenStaysAndIsReported(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bad, good := b.sealed(t, eventstore.Facts, "bad"), b.sealed(t, eventstore.Facts, "good")
	b.store.Corrupt(keyOf(bad))
	before := must(b.store.Keys(t.Context(), keyOf(bad)))
	require.NoError(t, b.wrapper.Add(2))
	n, err := b.Rewrap(t.Context(), nil)
	require.ErrorIs(t, err, seal.ErrWrongWrapper)
	require.ErrorContains(t, err, fmt.Sprintf("key %d,", bad.KeyRef))
	require.ErrorContains(t, err, "1 keys stay")
	require.EqualValues(t, 2, n)
	require.Equal(t, before, must(b.store.Keys(t.Context(), keyOf(bad))))
	stored := must(b.store.Keys(t.Context(), keyOf(good)))
	require.EqualValues(t, 2, stored[0].Epoch)
}

// fragile stops at the n-th call, before it or after it was done, as a process that is killed does.
type fragile struct {
	*sealtest.Memory
	mu    sync.Mutex
	left  int
	after bool
}

var errKilled = errors.New("killed")

func (f *fragile) RaiseEpoch(ctx context.Context, epoch int32) error {
	return f.call(func() error { return f.Memory.RaiseEpoch(ctx, epoch) })
}

func (f *fragile) RewrapKeys(ctx context.Context, keys ...seal.Rewrap) (n int, err error) {
	err = f.call(func() (err error) { n, err = f.Memory.RewrapKeys(ctx, keys...); return err })
	return n, err
}

func (f *fragile) ReplaceSecret(ctx context.Context, name string, old, fresh []byte) (ok bool, err error) {
	err = f.call(func() (err error) { ok, err = f.Memory.ReplaceSecret(ctx, name, old, fresh); return err })
	return ok, err
}

func (f *fragile) call(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	if f.left < 0 || f.left == 0 && !f.after {
		return errKilled
	}
	err := do()
	if f.left == 0 {
		return errKilled
	}
	return err
}

// Rotations that are killed at any call, citizens who come and are erased in between: what was not erased opens, what was does not.
func TestRotationsThatAreKilled(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		b := setup(t)
		var records []eventstore.Recorded
		destroyed := map[int]bool{}
		seal := func() { records = append(records, b.sealed(t, eventstore.Facts, fmt.Sprint(len(records)))) }
		for range rapid.IntRange(0, 1200).Draw(rt, "citizens") {
			seal()
		}
		epoch, killed := int32(1), false
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"rotate", "told", "erase"}).Draw(rt, "step") {
			case "told":
				seal()
			case "erase":
				if len(records) > 0 {
					i := rapid.IntRange(0, len(records)-1).Draw(rt, "who")
					destroyed[i] = true
					_, err := b.Destroy(ctx, keyOf(records[i]))
					require.NoError(rt, err)
				}
			case "rotate":
				if !killed {
					epoch++
					require.NoError(rt, b.wrapper.Add(epoch))
				}
				store := &fragile{Memory: b.store, left: rapid.IntRange(1, 8).Draw(rt, "calls"), after: rapid.Bool().Draw(rt, "after")}
				_, err := b.process(rt, store, b.wrapper.Process()).Rewrap(ctx, nil)
				if killed = err != nil; killed {
					require.ErrorIs(rt, err, errKilled, step)
				}
			}
		}
		finisher := b.process(rt, b.store, b.wrapper.Process())
		_, err := finisher.Rewrap(ctx, nil)
		require.NoError(rt, err)
		for e := int32(1); e < epoch; e++ {
			b.wrapper.Retire(e)
		}
		later := b.process(rt, b.store, b.wrapper.Process())
		for i := range records {
			opened, err := later.Open(ctx, &records[i])
			if destroyed[i] {
				require.ErrorIs(rt, err, errDestroyed)
				continue
			}
			require.NoError(rt, err)
			require.Equal(rt, fmt.Sprint(i), string(opened))
		}
	})
}

var errDestroyed = seal.ErrDestroyed

// Rotations, new citizens and erasures side by side, each in a process of its own.
func TestRotateWhileOthersWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const workers, each = 6, 150
	var wg sync.WaitGroup
	records, errs := make([][]eventstore.Recorded, workers), make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			keyring := b.process(t, b.store, b.wrapper.Process())
			for i := range each {
				e := event(eventstore.Facts)
				if err := keyring.Seal(context.Background(), e, seal.Plaintext(fmt.Sprint(w, i))); err != nil {
					errs[w] = err
					return
				}
				r := eventstore.Recorded{Event: *e}
				if i%3 == 0 {
					_, errs[w] = keyring.Destroy(context.Background(), keyOf(r))
				}
				records[w] = append(records[w], r)
			}
		})
	}
	rotator := b.wrapper.Process()
	for epoch := int32(2); epoch < 8; epoch++ {
		require.NoError(t, rotator.Add(epoch))
		_, err := b.process(t, b.store, rotator).Rewrap(t.Context(), nil)
		require.NoError(t, err)
		rotator.Retire(epoch - 1)
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	later := b.process(t, b.store, b.wrapper.Process())
	for w := range workers {
		for i := range each {
			opened, err := later.Open(t.Context(), &records[w][i])
			if i%3 == 0 {
				require.ErrorIs(t, err, seal.ErrDestroyed)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(w, i), string(opened))
		}
	}
}
