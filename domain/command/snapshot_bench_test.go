package command_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// population imports people with an address each.
func (b *bundle) population(t testing.TB, people int) {
	t.Helper()
	var lines bytes.Buffer
	for i := range people {
		fmt.Fprintf(&lines, `{"id":%q,"person":"p-%d","channel":"web","told_at":"2026-01-05T12:00:00Z","type":"person-registered","effective":"2026-01-05",`+
			`"data":{"given_names":"Given%d","family_name":"Person","birth_date":"1980-05-17","language":"en"}}`+"\n", uuid.NewString(), i, i)
		fmt.Fprintf(&lines, `{"id":%q,"person":"p-%d","channel":"web","told_at":"2026-01-05T12:00:00Z","type":"address-changed","effective":"2026-01-05",`+
			`"data":{"kind":"home","street":"%d First St","city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}}`+"\n", uuid.NewString(), i, i)
	}
	err := b.command.Import(context.Background(), &lines, command.ImportOptions{Source: "import"}, func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result, r.Reason)
		return nil
	}, func() error { return nil })
	require.NoError(t, err)
}

// BenchmarkSnapshotOfAPopulation walks 10,000 citizens after an agreement came into force.
func BenchmarkSnapshotOfAPopulation(b *testing.B) {
	const people = 10_000
	for range b.N {
		b.StopTimer()
		hub, _ := setupOn(b, "2026-01-20")
		hub.population(b, people)
		hub.settle(b)
		hub.approved(b, parksPass(b, hub.journal))
		snapshots := hub.command.Snapshots()
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		var peak uint64
		b.StartTimer()
		started := time.Now()
		taken, err := snapshots.Settle(context.Background(), func(command.SnapshotJob) {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse)
		})
		require.NoError(b, err)
		require.Equal(b, int64(people), taken)
		b.ReportMetric(people/time.Since(started).Seconds(), "citizens/s")
		b.ReportMetric(float64(peak)/(1<<20), "MiB-peak")
		b.ReportMetric(float64(before.HeapInuse)/(1<<20), "MiB-before")
	}
}

// BenchmarkMatchedList links a list of 10,000 clients among 20,000 people; half of them are known.
func BenchmarkMatchedList(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		hub, _ := setupOn(b, "2026-01-20")
		benchmarkMatchedList(b, hub)
	})
	b.Run("postgres", func(b *testing.B) {
		hub := onPostgres(b)
		hub.load(b)
		benchmarkMatchedList(b, hub)
	})
}

func benchmarkMatchedList(b *testing.B, hub *bundle) {
	b.Helper()
	const people = 20_000
	hub.population(b, people)
	clients := make([]command.Client, command.MaxClients)
	for i := range clients {
		clients[i] = client(fmt.Sprint(i), fmt.Sprint("Given", 4*i), "Person", "1980-05-17")
	}
	_, err := journal.NewNames(hub.journal).Find(context.Background()) // the index is kept by a running hub
	require.NoError(b, err)
	b.ResetTimer()
	for range b.N {
		results, err := hub.command.LinkList(context.Background(), byMinistry("moh"), "moh.health-card", clients)
		require.NoError(b, err)
		linked := 0
		for _, r := range results {
			if r == command.Linked {
				linked++
			}
		}
		require.Equal(b, people/4, linked)
	}
	b.ReportMetric(float64(len(clients)*b.N)/b.Elapsed().Seconds(), "lines/s")
}
