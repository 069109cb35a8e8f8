package command_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// kinds reads what is due in a stream: kind and street of each event.
func (b *bundle) kinds(t testing.TB, stream string, after int64) (out []string) {
	t.Helper()
	page, err := b.delivery.Next(context.Background(), stream, 0, after, 100, 0)
	require.NoError(t, err)
	for _, m := range page.Messages {
		var event struct {
			Kind string
			Data struct{ Street string }
		}
		require.NoError(t, json.Unmarshal(m.Structured(), &event))
		out = append(out, event.Kind+" "+event.Data.Street)
	}
	return out
}

// TestASnapshotReachesItsStream: through delivery, an announced value of an agreement that delivers on the effective date waits for it.
func TestASnapshotReachesItsStream(t *testing.T) {
	t.Parallel()
	b, c := setupOn(t, "2026-01-20")
	id := b.resident(t)
	b.tell(t, id, address(t, b.journal, "1 Home St"))
	b.tell(t, id, mailing(t, b.journal, "PO Box 1", "2026-02-01"))
	dated := parksPass(t, b.journal)
	dated.Deliver, dated.Shares = consent.DeliverEffective, []consent.Share{{Event: "address-changed", Fields: []string{"street"}}}
	b.approved(t, dated)
	b.settle(t)
	require.Equal(t, []string{"snapshot 1 Home St"}, b.kinds(t, "parks.pass", 0))
	require.Empty(t, b.kinds(t, "parks.pass", 1), "the announced one waits")
	c.to(t, "2026-02-01")
	b.resident(t) // moves the log's clock
	require.Equal(t, []string{"snapshot PO Box 1"}, b.kinds(t, "parks.pass", 1))

	b.grant(t, id, "outdoors-card")
	b.settle(t)
	b.withdraw(t, id, "outdoors-card")
	require.Empty(t, b.kinds(t, "mnr.outdoors-card", 0), "a withdrawal bites also between the snapshot and its delivery")
	b.grant(t, id, "outdoors-card")
	b.tell(t, id, address(t, b.journal, "2 Other St"))
	b.settle(t)
	require.Equal(t, []string{"fact 2 Other St", "snapshot PO Box 1"}, b.kinds(t, "mnr.outdoors-card", 0))
}

// TestASnapshotGivesWhatStandsNow: a correction, a cancellation and a verification come before the trigger.
func TestASnapshotGivesWhatStandsNow(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	id := b.resident(t)
	wrong := b.tell(t, id, address(t, b.journal, "1 Wrong St"))
	taken := b.tell(t, id, mailing(t, b.journal, "PO Box 1", "2026-01-10"))
	b.tell(t, id, cancel(t, b, taken))
	right := b.tell(t, id, correct(t, b, wrong, address(t, b.journal, "1 Right St")))
	b.grant(t, id, "outdoors-card")
	b.settle(t)
	require.Equal(t, []snap{{"outdoors-card", 1, map[int64][]string{right: outdoors}}}, b.snaps(t, id))
	require.Equal(t, []string{"snapshot 1 Right St"}, b.kinds(t, "mnr.outdoors-card", 0))
	sure := b.told(t, journal.Actor{Kind: journal.ActorRegistrar}, id, verify(t, b, right))
	b.settle(t)
	require.Len(t, b.snaps(t, id), 1, "a verification after the consent has its own decision")
	b.link(t, id, "moh", "r")
	b.settle(t)
	require.Equal(t, []int64{sure.Position}, slices.Collect(maps.Keys(b.snaps(t, id)[1].facts)), "verified, as it stands now")
}

// TestAMergeCarriesLinksOver: the id that stays is a client now, and its values are given.
func TestAMergeCarriesLinksOver(t *testing.T) {
	t.Parallel()
	b, _ := setupOn(t, "2026-01-20")
	going, kept := b.resident(t), b.resident(t)
	b.link(t, going, "moh", "r-1")
	home := b.tell(t, kept, address(t, b.journal, "1 First St"))
	b.settle(t)
	require.NoError(t, b.merge(officer, going, kept))
	b.settle(t)
	require.Empty(t, b.snaps(t, going))
	require.Equal(t, "r-1", b.reference(t, kept))
	require.Len(t, b.snaps(t, kept), 1)
	require.Contains(t, b.snaps(t, kept)[0].facts, home)
}

// racing is a store on which something happens just before the first snapshot is appended: between judging and appending.
type racing struct {
	eventstore.Store
	once   sync.Once
	before func()
}

// Append lets the race happen.
func (r *racing) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	for _, a := range appends {
		if len(a.Events) > 0 && a.Events[0].Type == journal.TypeSnapshotTaken {
			r.once.Do(r.before)
		}
	}
	return r.Store.Append(ctx, appends...)
}

// TestASnapshotIsJudgedByWhatItIsAppendedTo: what changes between judging and appending counts.
func TestASnapshotIsJudgedByWhatItIsAppendedTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(t *testing.T, b *bundle, id citizen.ID)
		want    [][]string
	}{
		"nothing":      {func(*testing.T, *bundle, citizen.ID) {}, [][]string{outdoors}},
		"a withdrawal": {func(t *testing.T, b *bundle, id citizen.ID) { b.withdraw(t, id, "outdoors-card") }, nil},
		"a restriction": {func(t *testing.T, b *bundle, id citizen.ID) {
			b.add(t, id, journal.RestrictionSet{Kind: journal.RestrictionAdoption})
		}, nil},
		"less consent":    {func(t *testing.T, b *bundle, id citizen.ID) { b.grant(t, id, "outdoors-card", "city") }, [][]string{{"city"}}},
		"another address": {func(t *testing.T, b *bundle, id citizen.ID) { b.tell(t, id, address(t, b.journal, "2 Other St")) }, nil},
		"a narrower version": {func(t *testing.T, b *bundle, _ citizen.ID) {
			narrower := parseAgreement(t, b.journal, "outdoors-card")
			narrower.Version, narrower.Shares = 2, []consent.Share{{Event: "address-changed", Fields: []string{"city"}}}
			b.approved(t, narrower)
		}, [][]string{{"city"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			race := &racing{}
			b := onStore(t, func(s eventstore.Store) eventstore.Store { race.Store = s; return race })
			b.load(t)
			id := b.resident(t)
			b.tell(t, id, address(t, b.journal, "1 First St"))
			b.grant(t, id, "outdoors-card")
			happened := false
			race.before = func() { c.happens(t, b, id); happened = true }
			b.settle(t)
			require.True(t, happened)
			var got [][]string
			for _, s := range b.snaps(t, id) {
				for _, fields := range s.facts {
					got = append(got, fields)
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}
