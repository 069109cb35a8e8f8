package delivery_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// BenchmarkPull is what a pull costs per change, in pages of 1,000 and one by one: the due changes stand on the log, the view is behind.
func BenchmarkPull(b *testing.B) {
	for _, page := range []int{1000, 1} {
		b.Run(fmt.Sprintf("page=%d", page), func(b *testing.B) {
			j := journaltest.New(b, journaltest.Options{})
			d, people := delivery.New(j), populate(b, j, 500)
			tellAll(b, j, people, b.N)
			b.ResetTimer()
			for after := 0; after < b.N; {
				got, err := d.Next(context.Background(), "test.bench", 0, int64(after), page, 0)
				require.NoError(b, err)
				require.NotEmpty(b, got.Messages)
				after += len(got.Messages)
			}
		})
	}
}

// populate registers people, and a stream that gets everybody's language by statute.
func populate(tb testing.TB, j *journal.Journal, n int) []citizen.ID {
	tb.Helper()
	ctx := context.Background()
	a, err := schemas.ParseAgreement("bench.yaml", []byte(`id: bench
version: 1
ministry: test
stream: test.bench
title: {en: Test, fr: Essai}
purpose: {en: Test, fr: Essai}
basis: {kind: statute, reference: "Illustration only"}
population: all
shares: [{event: language-changed, fields: [language]}]
`), j.Registry())
	require.NoError(tb, err)
	_, err = command.New(j).LoadAgreements(ctx, command.Command{Actor: journal.Actor{Kind: journal.ActorOperator}}, []consent.Agreement{a})
	require.NoError(tb, err)
	references := make([]string, n)
	for i := range references {
		references[i] = fmt.Sprintf("person-%d", i)
	}
	people, err := j.Register(ctx, "bench", references...)
	require.NoError(tb, err)
	steps := make([]journal.Step, n)
	data := map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"}
	for i, id := range people {
		steps[i] = stepOf(id, journal.New{Event: citizen.Change{Type: citizen.PersonRegistered, Data: data}, Meta: journal.Meta{Effective: "2026-01-05"}})
	}
	_, err = j.Append(ctx, steps...)
	require.NoError(tb, err)
	return people
}

// tellAll appends n changes of language, with their decisions, one citizen after the other.
func tellAll(tb testing.TB, j *journal.Journal, people []citizen.ID, n int) {
	tb.Helper()
	law, err := j.FreshLaw(context.Background())
	require.NoError(tb, err)
	decided := journal.Decided{Agreements: law.Version, Engine: 1, Decisions: []journal.Decision{{Agreement: "bench", Version: 1, Fields: 1}}}
	for done := 0; done < n; {
		steps := make([]journal.Step, min(n-done, 1000))
		for i := range steps {
			change := citizen.Change{Type: "language-changed", Data: map[string]any{"language": []string{"en", "fr"}[done%2]}}
			meta := journal.Meta{Effective: "2026-01-05"}
			steps[i] = stepOf(people[done%len(people)], journal.New{Event: change, Meta: meta}, journal.New{Event: decided, Cause: eventstore.CauseBefore(1), Meta: meta})
			done++
		}
		_, err := j.Append(context.Background(), steps...)
		require.NoError(tb, err)
	}
}

// stepOf is an append about one citizen.
func stepOf(id citizen.ID, events ...journal.New) journal.Step {
	for i := range events {
		events[i].Aggregate, events[i].Subject = journal.CitizenAggregate(id), id
		if events[i].Cause == 0 {
			events[i].Cause = eventstore.NoCause
		}
	}
	return journal.Step{Origin: journal.Origin{Actor: journal.ActorSource}, Events: events}
}
