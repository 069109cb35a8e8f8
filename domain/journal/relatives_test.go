package journal_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func tell(t *testing.T, j *journal.Journal, about citizen.ID, event any) {
	t.Helper()
	_, err := j.Append(context.Background(), journal.Step{Events: []journal.New{{
		Event: event, Aggregate: journal.CitizenAggregate(about), Subject: about, Cause: eventstore.NoCause,
	}}})
	require.NoError(t, err)
}

// TestRelatives: who acts for whom is found from the proxy's side, and the ids of one person from the kept one's; the same after a rebuild.
func TestRelatives(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	j := replicas[0]
	relatives, elsewhere := journal.NewRelatives(j), journal.NewRelatives(replicas[1])
	ids := make([]citizen.ID, 5)
	for i := range ids {
		ids[i] = citizen.ID(uuid.New())
	}
	proxy, first, second := ids[0], ids[1], ids[2]
	requireActsFor := func(want ...citizen.ID) {
		t.Helper()
		for _, r := range []journal.Relatives{relatives, elsewhere} {
			got, err := r.ActsFor(ctx, proxy)
			require.NoError(t, err)
			require.ElementsMatch(t, want, got)
		}
	}
	requireActsFor()
	tell(t, j, first, journal.ProxyGranted{Kind: journal.ProxyParent, Proxy: proxy.String()})
	tell(t, j, second, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: proxy.String()})
	tell(t, j, second, journal.ProxyGranted{Kind: journal.ProxyAttorney, Proxy: first.String()})
	requireActsFor(first, second)
	tell(t, j, second, journal.ProxyEnded{Proxy: proxy.String()})
	requireActsFor(first)
	tell(t, j, second, journal.ProxyGranted{Kind: journal.ProxyGuardian, Proxy: proxy.String()})
	requireActsFor(first, second)

	tell(t, j, ids[3], journal.CitizensMerged{Kept: ids[4].String()})
	tell(t, j, second, journal.CitizensMerged{Kept: ids[3].String()})
	tell(t, j, first, journal.CitizensMerged{Kept: ids[4].String()})
	require.NoError(t, j.Rebuild(ctx, relatives, nil))
	requireActsFor(first, second)
	merged, err := relatives.MergedInto(ctx, ids[4])
	require.NoError(t, err)
	require.ElementsMatch(t, []citizen.ID{ids[3], first, second}, merged, "also what was merged into a merged one")
	merged, err = relatives.MergedInto(ctx, first)
	require.NoError(t, err)
	require.Empty(t, merged)
}
