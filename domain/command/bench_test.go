package command_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
)

// BenchmarkImport: lines, end to end on the embedded store; one in five registers somebody.
func BenchmarkImport(b *testing.B) {
	bundle := setup(b)
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
