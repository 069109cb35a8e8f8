package sealtest

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// BenchmarkEnsure measures Ensure on a key store: two keys each for 10,000 citizens per turn, new ones, and known ones that the cache
// does not hold.
func BenchmarkEnsure(b *testing.B, s Storage) {
	const citizens = 10_000
	ctx := context.Background()
	wrapper, err := NewWrapper(1)
	require.NoError(b, err)
	store, logID := s.Open(b), uuid.New()
	open := func(b *testing.B) *seal.Keyring {
		keyring, err := seal.NewKeyring(ctx, seal.Config{Store: store, Wrapper: wrapper, LogID: logID})
		require.NoError(b, err)
		return keyring
	}
	var ids []seal.KeyID
	ensure := func(b *testing.B, prepare func()) {
		for range b.N {
			b.StopTimer()
			prepare()
			keyring := open(b)
			b.StartTimer()
			require.NoError(b, keyring.Ensure(ctx, ids...))
		}
		b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "keys/s")
	}
	b.Run("new", func(b *testing.B) {
		ensure(b, func() {
			ids = ids[:0]
			for range citizens {
				of := uuid.New()
				ids = append(ids, seal.KeyID{Subject: of, Class: eventstore.Facts}, seal.KeyID{Subject: of, Class: eventstore.Evidence})
			}
		})
	})
	b.Run("known", func(b *testing.B) { ensure(b, func() {}) })
}
