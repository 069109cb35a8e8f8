package seal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

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

// gated lets a test hold the store's answers back.
type gated struct {
	seal.KeyStore
	enter, leave chan struct{}
	calls        atomic.Int32
}

func (g *gated) Keys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	g.calls.Add(1)
	g.enter <- struct{}{}
	<-g.leave
	return g.KeyStore.Keys(ctx, ids...)
}

func TestConcurrentFetchesAreCoalesced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const readers = 64
	records := make([]eventstore.Recorded, readers)
	for i := range records {
		records[i] = b.sealed(t, eventstore.Facts, fmt.Sprint("value ", i))
	}
	store := &gated{KeyStore: b.store, enter: make(chan struct{}), leave: make(chan struct{})}
	keyring, err := seal.NewKeyring(t.Context(), seal.Config{Store: store, Wrapper: b.wrapper, LogID: b.logID})
	require.NoError(t, err)
	started, errs := make(chan struct{}, readers), make(chan error, readers)
	open := func(i int) {
		started <- struct{}{}
		pt, err := keyring.Open(context.Background(), &records[i])
		if err == nil && string(pt) != fmt.Sprint("value ", i) {
			err = errors.New("another record's plaintext")
		}
		errs <- err
	}
	// Two fetches are under way; all that come meanwhile gather for the third.
	go open(0)
	<-store.enter
	go open(1)
	<-store.enter
	for i := 2; i < readers; i++ {
		go open(i)
	}
	for range readers {
		<-started
	}
	close(store.leave)
	answered := 0
	for answered < readers {
		select {
		case <-store.enter:
		case err := <-errs:
			require.NoError(t, err)
			answered++
		}
	}
	// Readers that start between two answers make a few more, never one each.
	require.Less(t, int(store.calls.Load()), readers/2)
}

func TestACancelledCallerTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.sealed(t, eventstore.Facts, canary)
	store := &gated{KeyStore: b.store, enter: make(chan struct{}), leave: make(chan struct{})}
	keyring, err := seal.NewKeyring(t.Context(), seal.Config{Store: store, Wrapper: b.wrapper, LogID: b.logID})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	go func() { _, err := keyring.Open(ctx, &r); errs <- err }()
	<-store.enter
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)
	close(store.leave)
	go func() {
		for range store.enter { //nolint:revive // lets every later call in
		}
	}()
	opened, err := keyring.Open(t.Context(), &r)
	require.NoError(t, err)
	require.Equal(t, canary, string(opened))
	_, err = keyring.Open(ctx, &r)
	require.NoError(t, err, "what is cached needs no waiting")
	other := b.sealed(t, eventstore.Facts, canary)
	_, err = keyring.Open(ctx, &other)
	require.ErrorIs(t, err, context.Canceled)
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
	one, two, three := b.sealed(t, eventstore.Facts, "1"), b.sealed(t, eventstore.Facts, "2"), eventstore.Recorded{}
	open := func(r *eventstore.Recorded) (calls int) {
		before := b.store.Calls()
		_, err := b.Open(t.Context(), r)
		require.NoError(t, err)
		return b.store.Calls() - before
	}
	require.Zero(t, open(&one)) // now two is the oldest
	three = b.sealed(t, eventstore.Facts, "3")
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
