package command_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// onPostgres is a sandbox log in a schema of its own; without a server the benchmark is skipped.
func onPostgres(b *testing.B) *bundle {
	b.Helper()
	j := journaltest.OnPostgres(b, journaltest.Options{Clock: time.Now})
	return &bundle{journal: j, command: command.New(j)}
}

// BenchmarkImport: lines, end to end; one in five registers somebody.
func BenchmarkImport(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkImport(b, setup(b)) })
	b.Run("postgres", func(b *testing.B) { benchmarkImport(b, onPostgres(b)) })
}

func benchmarkImport(b *testing.B, bundle *bundle) {
	bundle.load(b)
	var in bytes.Buffer
	for i := range b.N {
		person := fmt.Sprintf("person-%d", i/5)
		head := fmt.Sprintf(`{"id":%q,"person":%q,"channel":"web","told_at":"2026-01-05T18:00:28Z","effective":"2026-01-05","type":`, uuid.NewString(), person)
		if i%5 == 0 {
			in.WriteString(head + `"person-registered","data":{"given_names":"Invented","family_name":"Person","birth_date":"1980-05-17","language":"en"}}` + "\n")
			continue
		}
		in.WriteString(head + `"address-changed","data":{"kind":"home","street":"7945 Sideroad 15","city":"Hamilton","province":"ON","postal_code":"L8P 4H9","country":"CA","unit":"B"}}` + "\n")
	}
	b.ResetTimer()
	err := bundle.command.Import(context.Background(), &in, command.ImportOptions{Source: "import", ClockTold: true},
		func(r command.LineResult) error { require.Equal(b, command.Accepted, r.Result); return nil }, func() error { return nil })
	require.NoError(b, err)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkSealedImport: what an import comes to once its lines are judged: changes and decisions sealed and appended, 4,000 records a call,
// about people whose keys are there.
func BenchmarkSealedImport(b *testing.B) {
	bundle := onPostgres(b)
	ctx, people := context.Background(), make([]citizen.ID, 2000)
	versions := make([]int32, len(people))
	for i := range people {
		people[i] = citizen.ID(uuid.New())
	}
	require.NoError(b, bundle.journal.EnsureKeys(ctx, people...))
	data := map[string]any{"kind": "home", "street": "7945 Sideroad 15", "city": "Hamilton", "province": "ON", "postal_code": "L8P 4H9", "country": "CA"}
	change := citizen.Change{Type: "address-changed", Effective: "2026-01-05", Data: data}
	decided := journal.Decided{Engine: 1, Decisions: []journal.Decision{{Agreement: "elections-register", Version: 1, Fields: 31}, {Agreement: "moh-health-card", Version: 1, Fields: 127}}}
	b.ResetTimer()
	for range b.N {
		steps := make([]journal.Step, len(people))
		for i, id := range people {
			own := journal.CitizenAggregate(id)
			steps[i] = journal.Step{
				Command: journal.CommandID{Issuer: "bench", ID: uuid.NewString(), Content: []byte("content")}, Expect: []eventstore.Expect{{Aggregate: own, Version: versions[i]}},
				Events: []journal.New{
					{Event: change, Aggregate: own, Subject: id, Cause: eventstore.NoCause, Meta: journal.Meta{Effective: "2026-01-05"}},
					{Event: decided, Aggregate: own, Subject: id, Cause: eventstore.CauseBefore(1)},
				},
			}
			versions[i] += 2
		}
		_, err := bundle.journal.Append(ctx, steps...)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(2*len(people)*b.N)/b.Elapsed().Seconds(), "records/s")
}
