package command_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/schemas"
)

// bundle is a sandbox log on the embedded store.
type bundle struct {
	journal  *journal.Journal
	command  *command.Handler
	delivery *delivery.Delivery
	audit    *audit.Audit
}

func setup(t testing.TB) *bundle {
	t.Helper()
	j := journaltest.New(t, journaltest.Options{})
	return &bundle{journal: j, command: command.New(j), delivery: delivery.New(j), audit: audit.New(j)}
}

var operator = journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "test"}

func (b *bundle) load(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob("testdata/agreements/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var agreements []consent.Agreement
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		a, err := schemas.ParseAgreement(name, text, b.journal.Registry())
		require.NoError(t, err)
		agreements = append(agreements, a)
	}
	_, err = b.command.LoadAgreements(context.Background(), command.Command{Actor: operator}, agreements)
	require.NoError(t, err)
}

func (b *bundle) imported(t *testing.T, name string) []command.LineResult {
	t.Helper()
	in, err := os.Open(name)
	require.NoError(t, err)
	defer in.Close() //nolint:errcheck // only read
	var results []command.LineResult
	err = b.command.Import(context.Background(), in, command.ImportOptions{Source: "import", ClockTold: true},
		func(r command.LineResult) error { results = append(results, r); return nil }, func() error { return nil })
	require.NoError(t, err)
	return results
}

func readLines[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var out []T
	for line := range strings.Lines(string(text)) {
		var one T
		require.NoError(t, json.Unmarshal([]byte(line), &one))
		out = append(out, one)
	}
	return out
}

func TestSampleSetsComeToTheirExpectedResults(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"small", "full"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.load(t)
			results := b.imported(t, "testdata/"+set+"/changes.ndjson")
			expected := readLines[command.LineResult](t, "testdata/"+set+"/expected.ndjson")
			require.Len(t, results, len(expected))
			for i, want := range expected {
				got := results[i]
				require.Equal(t, got.Result != command.Rejected, got.Position != nil, "line %d", got.Line)
				got.Position = nil
				require.Equal(t, want, got)
			}
		})
	}
}

func TestSmallSampleDecidesAndDelivers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setup(t)
	b.load(t)
	b.imported(t, "testdata/small/changes.ndjson")

	session, err := b.audit.Open(ctx, operator, journal.IssuerCommand, audit.Look{Reason: "test", Kind: "decisions"})
	require.NoError(t, err)
	var decisions []audit.DecisionLine
	require.NoError(t, session.Decisions(ctx, audit.Filter{}, func(line audit.DecisionLine) error {
		line.Position, line.Type, line.Version = 0, "", 0
		decisions = append(decisions, line)
		return nil
	}))
	require.Equal(t, readLines[audit.DecisionLine](t, "testdata/small/decisions.ndjson"), decisions)

	type delivered struct {
		Stream, Person, Type, Effective string
		Ordinal                         int
		Data                            map[string]any
	}
	people := map[string]string{}
	byStream := map[string][]delivered{}
	for _, want := range readLines[delivered](t, "testdata/small/streams.ndjson") {
		byStream[want.Stream] = append(byStream[want.Stream], want)
	}
	for stream, want := range byStream {
		page, err := b.delivery.Next(ctx, stream, 0, 0, 10000, 0)
		require.NoError(t, err)
		require.Len(t, page.Messages, len(want), stream)
		for i, m := range page.Messages {
			var event struct {
				Subject, Type, Effective string
				Data                     map[string]any
			}
			require.NoError(t, json.Unmarshal(m.Structured(), &event))
			w := want[i]
			require.Equal(t, "tellonce."+w.Type+".v1", event.Type, "%s %d", stream, i+1)
			require.Equal(t, w.Effective, event.Effective)
			require.Equal(t, w.Data, event.Data)
			who := stream[:strings.Index(stream, ".")] + event.Subject
			if people[who] == "" {
				people[who] = w.Person
			}
			require.Equal(t, w.Person, people[who])
		}
	}
}
