package httpapi_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// countedStore counts how often a store is asked, by what. A blind one shows nobody's restriction: the negative control.
type countedStore struct {
	eventstore.Store
	count func(string)
	blind *eventstore.Recorded // the last decision seen; nil: not blind
}

// see takes the restrictions out of records; each one's place is taken by a decision, so that positions and versions count on.
func (c countedStore) see(recs []eventstore.Recorded) []eventstore.Recorded {
	for i := range recs {
		switch {
		case c.blind == nil:
		case recs[i].Type == journal.TypeDecided:
			*c.blind = recs[i]
		case recs[i].Type == journal.TypeRestrictionSet:
			position, version := recs[i].Position, recs[i].Version
			recs[i] = *c.blind
			recs[i].Position, recs[i].Version = position, version
		}
	}
	return recs
}

func (c countedStore) Read(ctx context.Context, positions ...int64) ([]eventstore.Recorded, error) {
	c.count("read")
	recs, err := c.Store.Read(ctx, positions...)
	return c.see(recs), err
}

func (c countedStore) ReadAll(ctx context.Context, from int64, limit int) ([]eventstore.Recorded, error) {
	c.count("read all")
	recs, err := c.Store.ReadAll(ctx, from, limit)
	return c.see(recs), err
}

func (c countedStore) ReadAggregate(ctx context.Context, a eventstore.Aggregate, from int32, limit int) ([]eventstore.Recorded, error) {
	c.count("read aggregate")
	recs, err := c.Store.ReadAggregate(ctx, a, from, limit)
	return c.see(recs), err
}

func (c countedStore) ReadAggregates(ctx context.Context, a ...eventstore.Aggregate) ([][]eventstore.Recorded, error) {
	c.count("read aggregates")
	all, err := c.Store.ReadAggregates(ctx, a...)
	for _, recs := range all {
		c.see(recs)
	}
	return all, err
}

func (c countedStore) ReadCommands(ctx context.Context, commands ...eventstore.Command) ([]eventstore.Known, error) {
	c.count("read commands")
	return c.Store.ReadCommands(ctx, commands...)
}

func (c countedStore) Head(ctx context.Context) (eventstore.Head, error) {
	c.count("head")
	return c.Store.Head(ctx)
}

func (c countedStore) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	c.count("append")
	return c.Store.Append(ctx, appends...)
}

func (c countedStore) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	c.count("get " + view)
	return c.Store.Get(ctx, view, keys...)
}

func (c countedStore) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	c.count("scan " + view)
	return c.Store.Scan(ctx, view, from, to, limit, reverse)
}

func (c countedStore) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	c.count("commit " + view)
	return c.Store.Commit(ctx, view, from, to, rows)
}

type countedKeys struct {
	seal.KeyStore
	count func(string)
}

func (c countedKeys) Keys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	c.count("keys")
	return c.KeyStore.Keys(ctx, ids...)
}

func (c countedKeys) PutKeys(ctx context.Context, keys ...seal.StoredKey) ([]seal.StoredKey, error) {
	c.count("put keys")
	return c.KeyStore.PutKeys(ctx, keys...)
}

func (c countedKeys) References(ctx context.Context, hashes ...[32]byte) ([]uuid.UUID, error) {
	c.count("references")
	return c.KeyStore.References(ctx, hashes...)
}

func (c countedKeys) PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error) {
	c.count("put references")
	return c.KeyStore.PutReferences(ctx, hashes, citizens)
}

// tally counts calls by name; not safe for concurrent use.
type tally map[string]int

// setupCounted is setup on a store whose calls are counted.
func setupCounted(t testing.TB, blind bool) (*bundle, tally) {
	t.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	var last *eventstore.Recorded
	if blind {
		last = &eventstore.Recorded{}
	}
	calls := tally{}
	count := func(what string) { calls[what]++ }
	j := journaltest.Begin(t, journaltest.Options{}, countedStore{store, count, last}, countedKeys{keys, count})
	return setupWith(t, options{on: j}), calls
}
