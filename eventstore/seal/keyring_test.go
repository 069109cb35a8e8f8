package seal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

func TestEnsuredKeysNeedNoStore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events, ids := make([]*eventstore.Event, 3000), []seal.KeyID(nil)
	for i := range events {
		events[i] = event(eventstore.Facts)
		ids = append(ids, seal.KeyID{Subject: events[i].Subject, Class: eventstore.Facts}, seal.KeyID{Subject: events[i].Subject})
	}
	before := b.store.Calls()
	require.NoError(t, b.Ensure(t.Context(), append(ids, ids...)...))
	require.Equal(t, before+2, b.store.Calls(), "one look and one write for all")
	for _, e := range events {
		require.NoError(t, b.Seal(t.Context(), e, seal.Plaintext("x")))
		_, err := b.Pairwise(t.Context(), e.Subject, "moh", 1)
		require.NoError(t, err)
	}
	require.NoError(t, b.Ensure(t.Context(), ids...))
	require.Equal(t, before+2, b.store.Calls(), "nothing more was asked of the store")
}

func TestTwoProcessesUseOneKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keyrings := []*seal.Keyring{b.Keyring, b.open(t, 0), b.open(t, 0), b.open(t, 0)}
	subjects := make([]uuid.UUID, 50)
	for i := range subjects {
		subjects[i] = uuid.New()
	}
	sealedBy := make([][]eventstore.Recorded, len(keyrings))
	pairwise := make([][]string, len(keyrings))
	var wg sync.WaitGroup
	errs := make([]error, len(keyrings))
	for k, keyring := range keyrings {
		wg.Go(func() {
			for _, subject := range subjects {
				e := event(eventstore.Facts)
				e.Subject = subject
				errs[k] = errors.Join(errs[k], keyring.Seal(context.Background(), e, seal.Plaintext(canary)))
				sealedBy[k] = append(sealedBy[k], eventstore.Recorded{Event: *e})
			}
			var err error
			pairwise[k], err = keyring.PairwiseAll(context.Background(), subjects, "moh", 1)
			errs[k] = errors.Join(errs[k], err)
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for _, keyring := range keyrings {
		for k, records := range sealedBy {
			opened, err := keyring.OpenAll(t.Context(), records)
			require.NoError(t, err)
			for _, pt := range opened {
				require.Equal(t, canary, string(pt))
			}
			require.Equal(t, pairwise[0], pairwise[k])
		}
	}
}

// gated is a key store whose answers a test holds back.
type gated struct {
	seal.KeyStore
	gate  chan struct{} // closed: answers at once
	calls int
	after func() // runs once, after the next answer of Keys was read and before it is given
}

func (g *gated) Keys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	g.calls++
	<-g.gate
	stored, err := g.KeyStore.Keys(ctx, ids...)
	if after := g.after; after != nil {
		g.after = nil
		after()
	}
	return stored, err
}

// openGated is another process behind a gate.
func (b bundle) openGated(t *testing.T) (*seal.Keyring, *gated) {
	store := &gated{KeyStore: b.store, gate: make(chan struct{})}
	keyring, err := seal.NewKeyring(context.Background(), seal.Config{Store: store, Wrapper: b.wrapper, LogID: b.logID})
	require.NoError(t, err)
	return keyring, store
}

func TestConcurrentFetchesAreCoalesced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		records := make([]eventstore.Recorded, 64)
		for i := range records {
			records[i] = b.sealed(t, eventstore.Facts, fmt.Sprint("value ", i))
		}
		keyring, store := b.openGated(t)
		plain, errs := make([]string, len(records)), make([]error, len(records))
		for i := range records {
			go func() {
				var pt seal.Plaintext
				pt, errs[i] = keyring.Open(t.Context(), &records[i])
				plain[i] = string(pt)
			}()
			synctest.Wait() // it waits for the store
		}
		require.Equal(t, 2, store.calls, "two fetches are under way, all others gather")
		close(store.gate)
		synctest.Wait()
		require.Equal(t, 3, store.calls, "they went in one")
		for i := range records {
			require.NoError(t, errs[i])
			require.Equal(t, fmt.Sprint("value ", i), plain[i])
		}
	})
}

func TestACancelledCallerTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		records := []eventstore.Recorded{b.sealed(t, eventstore.Facts, "0"), b.sealed(t, eventstore.Facts, "1"), b.sealed(t, eventstore.Facts, "2")}
		keyring, store := b.openGated(t)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make([]error, len(records))
		for i := range records {
			go func() {
				callersCtx := t.Context()
				if i < 2 {
					callersCtx = ctx // those who start the fetches under way
				}
				_, errs[i] = keyring.Open(callersCtx, &records[i])
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		require.ErrorIs(t, errs[0], context.Canceled, "at once, though the store has not answered")
		require.ErrorIs(t, errs[1], context.Canceled)
		close(store.gate)
		synctest.Wait()
		require.NoError(t, errs[2], "the fetch that a cancelled caller started goes on for the others")
		_, err := keyring.Open(ctx, &records[0])
		require.NoError(t, err, "what is cached needs no waiting")
		other := b.sealed(t, eventstore.Facts, canary)
		_, err = keyring.Open(ctx, &other)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestASlowStoreIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		r := b.sealed(t, eventstore.Facts, canary)
		keyring, err := seal.NewKeyring(t.Context(), seal.Config{Store: hanging{b.store}, Wrapper: b.wrapper, LogID: b.logID})
		require.NoError(t, err)
		_, err = keyring.Open(t.Context(), &r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// hanging never answers.
type hanging struct{ seal.KeyStore }

func (hanging) Keys(ctx context.Context, _ ...seal.KeyID) ([]seal.StoredKey, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// One fetch serves a caller that may make the key and one that may not, in either order.
func TestWhoMayMakeAKeyGetsIt(t *testing.T) {
	t.Parallel()
	for _, makerFirst := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t)
			busy := []eventstore.Recorded{b.sealed(t, eventstore.Facts, "0"), b.sealed(t, eventstore.Facts, "1")}
			keyring, store := b.openGated(t)
			for i := range busy {
				go func() { _, _ = keyring.Open(t.Context(), &busy[i]) }()
				synctest.Wait()
			}
			e := event(eventstore.Facts)
			var sealErr error
			callers := []func(){
				func() { sealErr = keyring.Seal(t.Context(), e, seal.Plaintext(canary)) },
				func() { _, _ = keyring.Open(t.Context(), &eventstore.Recorded{Event: *event(eventstore.Facts)}) },
				func() {
					_, _ = keyring.Open(t.Context(), &eventstore.Recorded{Event: eventstore.Event{Subject: e.Subject, Class: e.Class}})
				},
			}
			if !makerFirst {
				slices.Reverse(callers)
			}
			for _, call := range callers {
				go call()
				synctest.Wait()
			}
			close(store.gate)
			synctest.Wait()
			require.NoError(t, sealErr)
			require.Equal(t, 3, store.calls)
			opened, err := b.Open(t.Context(), &eventstore.Recorded{Event: *e})
			require.NoError(t, err)
			require.Equal(t, canary, string(opened))
		})
	}
}

// Another process stores its key between our look and our write: its key stands, and is the one we seal with.
func TestTheKeyThatStandsIsUsed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keyring, store := b.openGated(t)
	close(store.gate)
	e := event(eventstore.Facts)
	id := seal.KeyID{Subject: e.Subject, Class: e.Class}
	store.after = func() { require.NoError(t, b.Ensure(context.Background(), id)) }
	require.NoError(t, keyring.Seal(t.Context(), e, seal.Plaintext(canary)))
	opened, err := b.open(t, 0).Open(t.Context(), &eventstore.Recorded{Event: *e})
	require.NoError(t, err)
	require.Equal(t, canary, string(opened))

	// It may have destroyed it, too.
	gone := event(eventstore.Facts)
	store.after = func() { b.store.Destroy(seal.KeyID{Subject: gone.Subject, Class: gone.Class}) }
	require.ErrorIs(t, keyring.Seal(t.Context(), gone, nil), seal.ErrDestroyed)
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 5, 100, 5000} {
		b := setupWith(t, &sealtest.Memory{}, size)
		var records []eventstore.Recorded
		for i := range 3 * size {
			records = append(records, b.sealed(t, eventstore.Facts, fmt.Sprint(i)))
			require.LessOrEqual(t, b.CacheCount(), size)
		}
		opened, err := b.OpenAll(t.Context(), records)
		require.NoError(t, err, "more than the cache holds")
		for i := range opened {
			require.Equal(t, fmt.Sprint(i), string(opened[i]))
		}
		require.LessOrEqual(t, b.CacheCount(), size)
	}
}

func TestTheKeyUnusedLongestIsEvicted(t *testing.T) {
	t.Parallel()
	b := setupWith(t, &sealtest.Memory{}, 2)
	one, two := b.sealed(t, eventstore.Facts, "1"), b.sealed(t, eventstore.Facts, "2")
	open := func(r *eventstore.Recorded) (calls int) {
		before := b.store.Calls()
		_, err := b.Open(t.Context(), r)
		require.NoError(t, err)
		return b.store.Calls() - before
	}
	require.Zero(t, open(&one)) // now two is the oldest
	three := b.sealed(t, eventstore.Facts, "3")
	require.Zero(t, open(&one))
	require.Zero(t, open(&three))
	require.Equal(t, 1, open(&two))
}

func TestDestroyedKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	records := []eventstore.Recorded{
		b.sealed(t, eventstore.Facts, "0"), b.sealed(t, eventstore.Facts, "1"), b.sealed(t, eventstore.Public, "2"), b.sealed(t, eventstore.Facts, "3"),
	}
	records[3].Payload = append([]byte{}, records[3].Payload...)
	records[3].Payload[20] ^= 1
	gone := records[1].Subject
	b.store.Destroy(seal.KeyID{Subject: gone, Class: eventstore.Facts}, seal.KeyID{Subject: gone})
	later := b.open(t, 0)

	_, err := later.Open(t.Context(), &records[1])
	require.ErrorIs(t, err, seal.ErrDestroyed)
	require.NotErrorIs(t, err, seal.ErrTampered)
	_, err = later.Open(t.Context(), &records[1])
	require.ErrorIs(t, err, seal.ErrDestroyed, "from the cache, too")
	require.ErrorIs(t, later.Seal(t.Context(), &records[1].Event, nil), seal.ErrDestroyed, "no new key is made in its place")
	_, err = later.Pairwise(t.Context(), gone, "moh", 1)
	require.ErrorIs(t, err, seal.ErrDestroyed)

	opened, err := later.OpenAll(t.Context(), records)
	var partial *seal.PartialError
	require.ErrorAs(t, err, &partial)
	require.NoError(t, partial.Errs[0])
	require.ErrorIs(t, partial.Errs[1], seal.ErrDestroyed)
	require.NoError(t, partial.Errs[2])
	require.ErrorIs(t, partial.Errs[3], seal.ErrTampered)
	require.ErrorIs(t, err, seal.ErrDestroyed)
	require.ErrorIs(t, err, seal.ErrTampered)
	require.Equal(t, "0", string(opened[0]))
	require.Nil(t, opened[1])
	require.Equal(t, "2", string(opened[2]))
	require.Nil(t, opened[3])

	fine := seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}
	require.ErrorIs(t, later.Ensure(t.Context(), fine, seal.KeyID{Subject: gone}), seal.ErrDestroyed)
	calls := b.store.Calls()
	require.NoError(t, later.Ensure(t.Context(), fine))
	require.Equal(t, calls, b.store.Calls(), "the others are ready")
	ids, err := later.PairwiseAll(t.Context(), []uuid.UUID{records[0].Subject, gone}, "moh", 1)
	require.ErrorIs(t, err, seal.ErrDestroyed)
	require.NotEmpty(t, ids[0])
	require.Empty(t, ids[1])
}

func TestKeysThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	backup := b.store.Clone()
	r, one := b.sealed(t, eventstore.Facts, canary), b.sealed(t, eventstore.Evidence, "1")
	restored := bundle{store: backup, wrapper: b.wrapper, logID: b.logID}.open(t, 0)
	_, err := restored.Open(t.Context(), &r)
	require.ErrorIs(t, err, seal.ErrNoKey)
	require.NotErrorIs(t, err, seal.ErrDestroyed, "a lost key is not an erasure")
	_, err = restored.OpenAll(t.Context(), []eventstore.Recorded{r})
	require.ErrorIs(t, err, seal.ErrNoKey)
	_, err = restored.Open(t.Context(), &r)
	require.ErrorIs(t, err, seal.ErrNoKey, "opening makes no key")

	b.store.Corrupt(seal.KeyID{Subject: r.Subject, Class: r.Class})
	opened, err := b.open(t, 0).OpenAll(t.Context(), []eventstore.Recorded{r, one})
	require.ErrorIs(t, err, seal.ErrWrongWrapper)
	require.Equal(t, "1", string(opened[1]), "one bad key harms no other")
}

func TestOtherLogsKeysAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := seal.NewKeyring(t.Context(), seal.Config{Store: b.store, Wrapper: b.wrapper, LogID: uuid.New()})
	require.ErrorIs(t, err, seal.ErrOtherLog)
	stranger, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	_, err = seal.NewKeyring(t.Context(), seal.Config{Store: b.store, Wrapper: stranger, LogID: b.logID})
	require.ErrorIs(t, err, seal.ErrWrongWrapper)
	for _, config := range []seal.Config{{}, {Store: b.store, Wrapper: b.wrapper}, {Store: b.store, LogID: b.logID}, {Wrapper: b.wrapper, LogID: b.logID}} {
		_, err := seal.NewKeyring(t.Context(), config)
		require.Error(t, err)
	}
}

func TestBoundLog(t *testing.T) {
	t.Parallel()
	store := &sealtest.Memory{}
	bound, err := seal.BoundLog(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, uuid.Nil, bound)
	b := setupWith(t, store, 0)
	bound, err = seal.BoundLog(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, b.logID, bound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = seal.BoundLog(ctx, store)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAFailingStore(t *testing.T) {
	t.Parallel()
	for _, fault := range []sealtest.Fault{sealtest.FaultLeavesOutMissing, sealtest.FaultReversesOrder} {
		b := setup(t)
		records := []eventstore.Recorded{b.sealed(t, eventstore.Facts, "0"), b.sealed(t, eventstore.Facts, "1")}
		b.store.Fault = fault
		keyring := b.open(t, 0)
		require.NoError(t, b.Ensure(t.Context(), seal.KeyID{Subject: records[0].Subject, Class: eventstore.Facts}))
		missing := seal.KeyID{Subject: uuid.New(), Class: eventstore.Facts}
		err := keyring.Ensure(t.Context(), seal.KeyID{Subject: records[0].Subject, Class: 1}, seal.KeyID{Subject: records[1].Subject, Class: 1}, missing)
		require.Error(t, err, fault)
	}
}

func TestNothingOfAKeyringPrints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.Ensure(t.Context(), seal.KeyID{Subject: uuid.New(), Class: 1}))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "[keyring]", fmt.Sprintf(verb, b.Keyring))
	}
}
