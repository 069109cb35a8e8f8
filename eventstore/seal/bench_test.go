package seal_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

func BenchmarkSeal512(b *testing.B) {
	k, e, plain := setup(b), event(eventstore.Facts), make(seal.Plaintext, 512)
	require.NoError(b, k.Seal(context.Background(), e, plain))
	b.ReportAllocs()
	for b.Loop() {
		if err := k.Seal(context.Background(), e, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal512Parallel(b *testing.B) {
	k := setup(b)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		e, plain := event(eventstore.Facts), make(seal.Plaintext, 512)
		for pb.Next() {
			if err := k.Seal(context.Background(), e, plain); err != nil {
				b.Error(err)
			}
		}
	})
}

func benchRecords(b *testing.B, k bundle, n int) []eventstore.Recorded {
	records := make([]eventstore.Recorded, n)
	for i := range records {
		e := event(eventstore.Facts)
		require.NoError(b, k.Seal(context.Background(), e, make(seal.Plaintext, 512)))
		records[i].Event = *e
	}
	return records
}

func BenchmarkOpen512Cached(b *testing.B) {
	k := setup(b)
	records := benchRecords(b, k, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(context.Background(), &records[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenAll1000Cached(b *testing.B) {
	k := setup(b)
	records := benchRecords(b, k, 1000)
	for b.Loop() {
		if _, err := k.OpenAll(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

// Every key is fetched from a store in memory, unwrapped and expanded: what a page of strangers costs without the store's own time.
func BenchmarkOpenAll1000Uncached(b *testing.B) {
	k := setup(b)
	records := benchRecords(b, k, 1000)
	small := k.open(b, 1)
	for b.Loop() {
		if _, err := small.OpenAll(context.Background(), records); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func BenchmarkPairwise(b *testing.B) {
	k, citizen := setup(b), uuid.New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Pairwise(context.Background(), citizen, "moh", 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPairwiseAll1000(b *testing.B) {
	k, citizens := setup(b), make([]uuid.UUID, 1000)
	for i := range citizens {
		citizens[i] = uuid.New()
	}
	for b.Loop() {
		if _, err := k.PairwiseAll(context.Background(), citizens, "moh", 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/id")
}

func BenchmarkMAC(b *testing.B) {
	k, part := setup(b), make([]byte, 36)
	b.ReportAllocs()
	for b.Loop() {
		k.MAC("command", part)
	}
}
