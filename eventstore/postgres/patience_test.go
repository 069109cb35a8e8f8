package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// TestSilence: nothing comes back from the server any more, though every connection stands. Who asks is told so, in time, and is answered once
// the link is good again. A caller that leaves is told nothing but that.
func TestSilence(t *testing.T) {
	t.Parallel()
	p, config := through(t, newConfig(t, database(t)))
	config.patience = 200 * time.Millisecond
	store := newStore(t, config)
	keys, err := OpenKeys(t.Context(), KeysConfig{DSN: config.DSN, Schema: config.Schema + "_keys"})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, keys.Close())
		require.NoError(t, DropSchemas(context.Background(), config.DSN, config.Schema+"_keys"))
	})
	keys.pool.patience = config.patience
	t.Cleanup(p.speak) // before anything is closed: that would wait for the server
	warmUp(t, store, false)
	ask := map[string]func(ctx context.Context) error{
		"the head": func(ctx context.Context) error { _, err := store.Head(ctx); return err },
		"a view":   func(ctx context.Context) error { _, err := store.Get(ctx, "v", []byte("k")); return err },
		"a lease":  func(ctx context.Context) error { _, err := store.Acquire(ctx, "l", "o", time.Minute); return err },
		"keys":     func(ctx context.Context) error { _, err := keys.Keys(ctx, seal.KeyID{}); return err },
		"a secret": func(ctx context.Context) error {
			_, err := keys.Secret(ctx, "s", func() ([]byte, error) { return []byte("s"), nil })
			return err
		},
	}
	answers := func(t *testing.T) {
		t.Helper()
		for name, one := range ask {
			require.Eventually(t, func() bool { return one(t.Context()) == nil }, time.Minute, time.Millisecond, name) // by its patience, on a slow machine
		}
	}
	answers(t)
	p.hush()
	for name, one := range ask {
		late, end := context.WithTimeout(t.Context(), time.Minute)
		require.ErrorIs(t, one(late), eventstore.ErrUnavailable, name)
		require.NoError(t, late.Err(), "%s: the store's own patience", name)
		end()
		gone, leave := context.WithCancel(t.Context())
		leave()
		err := one(gone)
		require.ErrorIs(t, err, context.Canceled, name)
		require.NotErrorIs(t, err, eventstore.ErrUnavailable, name)
	}
	p.speak()
	answers(t)
}

// TestNobodyThere: the server can't be reached. Reading and writing say so.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	p, config := through(t, newConfig(t, database(t)))
	store := newStore(t, config)
	require.NoError(t, p.listener.Close())
	p.cut()
	_, err := store.Head(t.Context())
	require.ErrorIs(t, err, eventstore.ErrUnavailable)
	_, err = store.Append(t.Context(), expecting(0)) // what is found out by it is the connection's end
	require.Error(t, err)
	_, err = store.Append(t.Context(), expecting(0))
	require.ErrorIs(t, err, eventstore.ErrUnavailable)
}
