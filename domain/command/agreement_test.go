package command_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

func (b *bundle) agreements(t testing.TB) []journal.Entry {
	t.Helper()
	entries, err := b.journal.ReadAggregate(context.Background(), journal.AgreementsAggregate, 1, 0)
	require.NoError(t, err)
	return entries
}

func TestLoadingInASandboxApproves(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	one, two := parseAgreement(t, b.journal, "outdoors-card"), parseAgreement(t, b.journal, "moh-health-card")
	load := func(list ...consent.Agreement) ([]command.Loaded, error) {
		return b.command.LoadAgreements(ctx, command.Command{Actor: operator}, list)
	}
	loaded, err := load(one, two)
	require.NoError(t, err)
	require.Equal(t, []command.Loaded{{ID: "outdoors-card", Version: 1, State: "approved"}, {ID: "moh-health-card", Version: 1, State: "approved"}}, loaded)
	head := b.head(t)
	loaded, err = load(two, one)
	require.NoError(t, err)
	require.Equal(t, []command.Loaded{{ID: "moh-health-card", Version: 1, State: "unchanged"}, {ID: "outdoors-card", Version: 1, State: "unchanged"}}, loaded)
	require.Equal(t, head, b.head(t), "nothing new: nothing appended")
	entries := b.agreements(t)
	require.Len(t, entries, 4)
	require.Equal(t, journal.AgreementApproved{ID: "outdoors-card", Version: 1}, entries[1].Event)
	require.Equal(t, entries[0].Position, entries[1].Cause)
	opened, err := b.journal.ReadAggregate(ctx, journal.StreamAggregate(one.Stream), 1, 0)
	require.NoError(t, err)
	require.Len(t, opened, 1)
	require.Equal(t, journal.StreamOpened{Lanes: 1, Ministry: "mnr", Stream: one.Stream}, opened[0].Event)

	// All or none: one of them is on the log with other content.
	changed, third := one, parseAgreement(t, b.journal, "library-membership")
	changed.Title.EN = "Another title"
	_, err = load(third, changed)
	require.ErrorIs(t, err, command.ErrOtherContent)
	require.Equal(t, head, b.head(t))
	changed.Version = 2
	loaded, err = load(third, changed, two)
	require.NoError(t, err)
	require.Equal(t, []string{"approved", "approved", "unchanged"}, []string{loaded[0].State, loaded[1].State, loaded[2].State})
	opened, err = b.journal.ReadAggregate(ctx, journal.StreamAggregate(one.Stream), 1, 0)
	require.NoError(t, err)
	require.Len(t, opened, 1, "a stream is opened once")
	list, err := b.command.Agreements(ctx)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, 2, list[2].Version)

	// A stream keeps its ministry and its lanes.
	for name, edit := range map[string]func(*consent.Agreement){
		"ministry": func(a *consent.Agreement) { a.Ministry = "moh" }, "lanes": func(a *consent.Agreement) { a.Lanes = 7 },
	} {
		other := changed
		other.Version = 3
		edit(&other)
		before := b.head(t)
		_, err = load(other)
		require.ErrorContains(t, err, `stream-kept at "/`+name, name)
		require.Equal(t, before, b.head(t))
	}
}

func TestLoadingOneListTwiceOver(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	a := parseAgreement(t, b.journal, "outdoors-card")
	other := parseAgreement(t, b.journal, "library-membership")
	other.Stream, other.Lanes = a.Stream, 5
	changed := a
	changed.Title.EN = "Another title"
	for name, list := range map[string][]consent.Agreement{"one version, two contents": {a, changed}, "one stream, two ministries": {a, other}} {
		_, err := b.command.LoadAgreements(ctx, command.Command{Actor: operator}, list)
		require.Error(t, err, name)
		require.Zero(t, b.head(t), name)
	}
	loaded, err := b.command.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{a, a})
	require.NoError(t, err)
	require.Equal(t, []string{"approved", "unchanged"}, []string{loaded[0].State, loaded[1].State})
	require.Len(t, b.agreements(t), 2)
}

func TestLoadingInProductionOnlyProposes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	j := journaltest.New(t, journaltest.Options{Mode: journal.ModeProduction, Wall: true})
	b := &bundle{journal: j, command: command.New(j)}
	loaded, err := b.command.LoadAgreements(ctx, command.Command{Actor: operator}, []consent.Agreement{parseAgreement(t, j, "outdoors-card")})
	require.NoError(t, err)
	require.Equal(t, "proposed", loaded[0].State)
	require.Len(t, b.agreements(t), 1)
	list, err := b.command.Agreements(ctx)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, int64(1), b.head(t))
}

// TestLoadersAtOnce: of two processes that load the same list, one proposes and the other finds it unchanged.
func TestLoadersAtOnce(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	list := []consent.Agreement{parseAgreement(t, replicas[0], "outdoors-card"), parseAgreement(t, replicas[0], "moh-health-card")}
	var group sync.WaitGroup
	errs, states := make([]error, 2), make([]string, 2)
	for i, j := range replicas {
		group.Go(func() {
			loaded, err := command.New(j).LoadAgreements(context.Background(), command.Command{Actor: operator}, list)
			if errs[i] = err; err == nil {
				states[i] = loaded[0].State
			}
		})
	}
	group.Wait()
	require.Equal(t, []error{nil, nil}, errs)
	require.ElementsMatch(t, []string{"approved", "unchanged"}, states)
	require.Len(t, (&bundle{journal: replicas[0]}).agreements(t), 4)
}
