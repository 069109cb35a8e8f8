package journal_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

func registered(born string) citizen.Change {
	return citizen.Change{Type: citizen.PersonRegistered, Data: map[string]any{"birth_date": born}}
}

func date(t testing.TB, text string) consent.Date {
	t.Helper()
	d, err := consent.ParseDate(text)
	require.NoError(t, err)
	return d
}

func TestStateFoldsEachEvent(t *testing.T) {
	t.Parallel()
	s := &journal.State{ID: someone}
	apply := func(at int64, event any) journal.State {
		s.Apply(at, event)
		return *s.Clone()
	}
	got := apply(10, registered("1980-05-17"))
	require.True(t, got.Profile.Registered)
	require.Equal(t, date(t, "1980-05-17"), got.Standing.Born)
	got = apply(11, journal.MinistryLinked{Ministry: "moh", ClientReference: "r1"})
	require.Equal(t, []consent.Link{{Ministry: "moh", Reference: "r1", Since: 11}}, got.Standing.Links)
	got = apply(12, journal.MinistryLinked{Ministry: "moh", ClientReference: "r2"})
	require.Equal(t, []consent.Link{{Ministry: "moh", Reference: "r2", Since: 12}}, got.Standing.Links, "linking again ends the former link")
	got = apply(13, journal.ConsentGranted{Agreement: "a", Version: 1, Fields: []string{"city"}})
	require.Equal(t, []consent.Grant{{Agreement: "a", Version: 1, Fields: []string{"city"}, Since: 13, Position: 13}}, got.Standing.Grants)
	got = apply(14, journal.ConsentGranted{Agreement: "a", Version: 2})
	require.Equal(t, []consent.Grant{{Agreement: "a", Version: 2, Since: 13, Position: 14}}, got.Standing.Grants, "a replaced grant continues")
	got = apply(15, journal.ConsentWithdrawn{Agreement: "a"})
	require.Empty(t, got.Standing.Grants)
	got = apply(16, journal.ConsentGranted{Agreement: "a", Version: 2})
	require.Equal(t, int64(16), got.Standing.Grants[0].Since, "a withdrawal breaks the chain")
	got = apply(17, journal.MinistryUnlinked{Ministry: "moh"})
	require.Empty(t, got.Standing.Links)
	before := got
	got = apply(18, journal.Decided{})
	before.Version, before.Seen = before.Version+1, 18
	require.Equal(t, before, got, "other events count as versions alone")
	got = apply(19, nil) // its key was destroyed
	before.Version, before.Seen = before.Version+1, 19
	require.Equal(t, before, got)
	got = apply(20, citizen.Change{Type: citizen.DeathRegistered})
	require.True(t, got.Profile.Deceased)
	require.True(t, got.Standing.Deceased)
	require.Empty(t, got.Standing.Grants)
	require.Equal(t, int32(11), got.Version)
	require.Equal(t, eventstore.Expect{Aggregate: journal.CitizenAggregate(someone), Version: 11}, got.Expect())
}

func TestCloneIsIndependent(t *testing.T) {
	t.Parallel()
	s, before := &journal.State{ID: someone}, &journal.State{ID: someone} // two folds that share nothing
	for i, event := range []any{
		registered("1980-05-17"), journal.MinistryLinked{Ministry: "moh"}, journal.MinistryLinked{Ministry: "mto"},
		journal.ConsentGranted{Agreement: "a"}, journal.ConsentGranted{Agreement: "b"},
	} {
		s.Apply(int64(i), event)
		before.Apply(int64(i), event)
	}
	c := s.Clone()
	for i, event := range []any{
		journal.ConsentWithdrawn{Agreement: "a"}, journal.MinistryUnlinked{Ministry: "moh"}, journal.ConsentGranted{Agreement: "b", Version: 2},
		journal.MinistryLinked{Ministry: "mto", ClientReference: "x"}, citizen.Change{Type: citizen.DeathRegistered},
	} {
		c.Apply(int64(i+5), event)
		require.Equal(t, before, s)
	}
}

// TestFoldsAgree: the fold of the fast reading, which opens only what shapes a state, equals the one that opens everything; at every position.
func TestFoldsAgree(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx := context.Background()
	ministries, agreements := rapid.SampledFrom([]string{"moh", "mto"}), rapid.SampledFrom([]string{"a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		id := citizen.ID(uuid.New())
		want := &journal.State{ID: id}
		for range rapid.IntRange(1, 12).Draw(t, "events") {
			var event any
			switch rapid.IntRange(0, 8).Draw(t, "kind") {
			case 0, 1:
				event = journal.ConsentGranted{Agreement: agreements.Draw(t, "a"), Version: rapid.IntRange(1, 3).Draw(t, "v")}
			case 2:
				event = journal.ConsentWithdrawn{Agreement: agreements.Draw(t, "a")}
			case 3, 4:
				event = journal.MinistryLinked{Ministry: ministries.Draw(t, "m"), ClientReference: "r"}
			case 5:
				event = journal.MinistryUnlinked{Ministry: ministries.Draw(t, "m")}
			case 6:
				event = registered("1990-01-02")
			case 7:
				event = citizen.Change{Type: "language-changed", Data: map[string]any{"language": "fr"}}
			case 8:
				event = citizen.Change{Type: citizen.DeathRegistered, Data: map[string]any{"death_date": "2026-01-01"}}
			}
			results, err := j.Append(ctx, journal.Step{Events: []journal.New{{
				Event: event, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause,
			}}})
			require.NoError(t, err)
			want.Apply(results[0].Position, event)
			at, err := j.StatesAt(ctx, results[0].Position, id)
			require.NoError(t, err)
			require.Equal(t, want, at)
		}
		fresh, err := j.FreshStates(ctx, id)
		require.NoError(t, err)
		require.Equal(t, want, fresh[0])
		known, err := j.States(ctx, id, citizen.ID(uuid.New()), id)
		require.NoError(t, err)
		require.Equal(t, want, known[0])
		require.Zero(t, known[1].Version)
		require.Same(t, known[0], known[2])
	})
}

func TestRememberNeverGoesBack(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	ctx := context.Background()
	for _, version := range []int32{1, 3, 2} {
		j.Remember(&journal.State{ID: someone, Version: version})
	}
	got, err := j.States(ctx, someone)
	require.NoError(t, err)
	require.Equal(t, int32(3), got[0].Version)
}

// TestAStaleStateIsRefused: what another process appended is not in this one's memory; an append that was judged by it conflicts.
func TestAStaleStateIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	here, there := replicas[0], replicas[1]
	put(t, here, journal.CitizenAggregate(someone), journal.Meta{}, registered("1980-05-17"))
	stale, err := here.States(ctx, someone)
	require.NoError(t, err)
	put(t, there, journal.CitizenAggregate(someone), journal.Meta{}, journal.MinistryLinked{Ministry: "moh"})
	again, err := here.States(ctx, someone)
	require.NoError(t, err)
	require.Same(t, stale[0], again[0])
	step := func(s *journal.State) journal.Step {
		return journal.Step{Expect: []eventstore.Expect{s.Expect()}, Events: []journal.New{{
			Event: journal.MinistryUnlinked{Ministry: "moh"}, Aggregate: journal.CitizenAggregate(someone), Subject: someone, Cause: eventstore.NoCause,
		}}}
	}
	_, err = here.Append(ctx, step(stale[0]))
	require.ErrorIs(t, err, eventstore.ErrConflict)
	fresh, err := here.FreshStates(ctx, someone)
	require.NoError(t, err)
	require.Len(t, fresh[0].Standing.Links, 1)
	_, err = here.Append(ctx, step(fresh[0]))
	require.NoError(t, err)
}
