package journal_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/schemas"
)

func agreement(id string, version int, change func(*consent.Agreement)) journal.AgreementProposed {
	a := consent.Agreement{
		ID: id, Version: version, Ministry: "moh", Stream: "moh." + id, Title: consent.Text{EN: "T", FR: "T"}, Purpose: consent.Text{EN: "P", FR: "P"},
		Basis: consent.Basis{Kind: consent.BasisConsent}, Population: consent.PopulationAll, Lanes: 2, Deliver: consent.DeliverTold,
		OnLeaving: consent.LeavingNothing, Shares: []consent.Share{{Event: "address-changed", Fields: []string{"city"}}},
	}
	if change != nil {
		change(&a)
	}
	return journal.AgreementProposed{Document: schemas.MarshalDocument(a), ID: id, Version: version}
}

func TestLawFoldsTheAgreements(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx := context.Background()
	type want struct {
		approved []string // newest versions' streams
		streams  map[string]journal.StreamOpened
		decided  int // candidate agreements for an address
	}
	var positions []int64
	var wants []want
	law := func(event any, w want) *journal.Law {
		entry := put(t, j, journal.AgreementsAggregate, journal.Meta{}, event)[0]
		positions, wants = append(positions, entry.Position), append(wants, w)
		fresh, err := j.FreshLaw(ctx)
		require.NoError(t, err)
		return fresh
	}
	check := func(l *journal.Law, w want) {
		var approved []string
		for _, a := range l.Book.Approved() {
			approved = append(approved, a.ID+"@"+a.Stream)
		}
		require.Equal(t, w.approved, approved)
		require.Equal(t, w.streams, l.Streams)
		fact := consent.Fact{Type: "address-changed", Carried: ^consent.FieldSet(0), Recorded: date(t, "2026-03-01"), Effective: date(t, "2026-03-01")}
		require.Len(t, consent.Decide(nil, l.Rules, &consent.Standing{}, &fact), w.decided)
	}
	none := map[string]journal.StreamOpened{}
	opened := map[string]journal.StreamOpened{"moh.a": {Stream: "moh.a", Ministry: "moh", Lanes: 2}}
	empty, err := j.FreshLaw(ctx)
	require.NoError(t, err)
	check(empty, want{streams: none})
	law(agreement("a", 1, nil), want{streams: none})
	first := law(journal.AgreementApproved{ID: "a", Version: 1}, want{[]string{"a@moh.a"}, opened, 1})
	law(journal.AgreementApproved{ID: "nobody-proposed", Version: 1}, want{[]string{"a@moh.a"}, opened, 1})
	// A newer version can't change a stream's lanes or ministry.
	law(agreement("a", 2, func(a *consent.Agreement) { a.Lanes, a.Ministry = 9, "mto" }), want{[]string{"a@moh.a"}, opened, 1})
	law(journal.AgreementApproved{ID: "a", Version: 2}, want{[]string{"a@moh.a"}, opened, 1})
	last := law(journal.AgreementEnded{ID: "a", Date: "2026-03-01"}, want{nil, opened, 0})
	require.Equal(t, map[string]string{"a": "moh.a"}, last.StreamOf, "what has ended keeps its stream")
	for i, at := range positions {
		l, err := j.LawAt(ctx, at)
		require.NoError(t, err)
		require.Equal(t, int32(i+1), l.Version)
		check(l, wants[i])
	}
	check(first, wants[1]) // a law is never changed once shared
	check(empty, want{streams: none})
	v1, ok := first.Agreement("a", 1)
	require.True(t, ok)
	require.Equal(t, "moh", v1.Ministry)
	_, ok = first.Agreement("a", 2)
	require.False(t, ok)

	current, err := j.CurrentLaw(ctx)
	require.NoError(t, err)
	require.Same(t, last, current)
	same, err := j.FreshLaw(ctx)
	require.NoError(t, err)
	require.Same(t, last, same, "nothing new: nothing compiled again")
	require.Equal(t, last.Version, last.Expect().Version)
}

func TestAFactCarriesWhatItsDataHolds(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	for _, event := range samples(t) {
		change, ok := changeOf(event)
		if !ok {
			continue
		}
		fact := j.Fact(change, date(t, "2026-03-01"))
		row, _ := j.Registry().Row(change.Type)
		var want []string
		for _, f := range row.Fields {
			if _, ok := change.Data[f.Name]; ok {
				want = append(want, f.Name)
			}
		}
		require.Equal(t, want, j.FieldNames(change.Type, fact.Carried))
		require.Equal(t, date(t, change.Effective), fact.Effective)
	}
	require.Zero(t, j.Fact(samplesChange("no-such-type"), 0).Carried)
	require.Empty(t, j.FieldNames("no-such-type", ^consent.FieldSet(0)))
}
