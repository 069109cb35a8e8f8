package journal_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// TestTheViewHidesWhomTheStateHides: whatever restrictions come and go, in whatever order, the view and each person's own state agree on
// who is hidden from whom.
func TestTheViewHidesWhomTheStateHides(t *testing.T) {
	t.Parallel()
	ctx, j := context.Background(), journaltest.New(t, journaltest.Options{})
	rapid.Check(t, func(r *rapid.T) {
		people := []citizen.ID{citizen.ID(uuid.New()), citizen.ID(uuid.New()), citizen.ID(uuid.New())}
		throughs := []string{"", people[0].String(), people[1].String()}
		untils := []string{"", "1969-12-30", "2999-01-01"} // the log's clock stands at the epoch
		for range rapid.IntRange(1, 12).Draw(r, "events") {
			id := rapid.SampledFrom(people).Draw(r, "person")
			proxy := rapid.SampledFrom(people).Draw(r, "proxy").String()
			through := rapid.SampledFrom(throughs).Draw(r, "through")
			event := rapid.SampledFrom([]any{
				journal.RestrictionSet{Kind: journal.RestrictionViolence, Through: through, Until: rapid.SampledFrom(untils).Draw(r, "until")},
				journal.RestrictionSet{Kind: journal.RestrictionViolence, Through: through, Keeps: []string{proxy}},
				journal.RestrictionLifted{Through: through},
				journal.ProxyGranted{Kind: journal.ProxyParent, Proxy: proxy},
				journal.IdentityReplaced{New: proxy},
			}).Draw(r, "event")
			if _, proxies := event.(journal.ProxyGranted); proxies && proxy == id.String() {
				continue // the command refuses it
			}
			_, err := j.Append(ctx, journal.Step{Events: []journal.New{{Event: event, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause}}})
			require.NoError(r, err)
		}
		actors := []journal.Actor{{}, {Kind: journal.ActorSource}, {Kind: journal.ActorProtector}, {Kind: journal.ActorClerk}, {Kind: journal.ActorRegistrar}, {Kind: journal.ActorOperator}}
		for _, id := range people {
			actors = append(actors, journal.Actor{Kind: journal.ActorResident, Citizen: uuid.UUID(id)})
		}
		states, err := j.FreshStates(ctx, people...)
		require.NoError(r, err)
		today, view := j.DayOf(j.Now(journal.Timing{})).Date, journal.NewProtection(j)
		for _, actor := range actors {
			hidden, err := view.Hidden(ctx, actor, people...)
			require.NoError(r, err)
			all, err := view.HiddenFrom(ctx, actor)
			require.NoError(r, err)
			for i, state := range states {
				if actor.Kind == journal.ActorResident && !keepsAsGranted(state, citizen.ID(actor.Citizen)) {
					continue // the view knows who is kept, the state also whether they are a proxy at all: the stricter one decides
				}
				require.Equal(r, !state.VisibleTo(actor, today), hidden[i], "%v sees %d", actor.Kind, i)
				require.Equal(r, hidden[i], all[people[i]])
			}
		}
		for i, parent := range people {
			covered, err := view.CoveredThrough(ctx, parent)
			require.NoError(r, err)
			var want []citizen.ID
			for _, state := range states {
				for _, restriction := range state.Standing.Restrictions {
					if restriction.Through == parent.String() {
						want = append(want, state.ID)
					}
				}
			}
			require.ElementsMatch(r, want, covered, "through %d", i)
		}
	})
}

// keepsAsGranted says whether somebody is themself, or a proxy whose standing was granted before the last restriction.
func keepsAsGranted(state *journal.State, id citizen.ID) bool {
	if state.ID == id {
		return true
	}
	for _, p := range state.Proxies {
		if p.ID == id && p.Kept {
			return true
		}
	}
	return false
}

// dropping is a store whose view is dropped just before it is read, once.
type dropping struct {
	eventstore.Store
	due bool
}

func (s *dropping) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	if s.due {
		s.due = false
		if err := s.Drop(ctx, view); err != nil {
			return nil, fmt.Errorf("drop: %w", err)
		}
	}
	return s.Store.Get(ctx, view, keys...)
}

func TestADroppedViewHidesNobodyByMistake(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, sqlite.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	dropped := &dropping{Store: store}
	j := journaltest.Begin(t, journaltest.Options{}, dropped, keys)
	put(t, j, journal.CitizenAggregate(someone), journal.Meta{}, journal.RestrictionSet{Kind: journal.RestrictionViolence})
	view := journal.NewProtection(j)
	for _, dropped.due = range []bool{false, true, true} {
		hidden, err := view.Hidden(ctx, journal.Actor{Kind: journal.ActorClerk}, someone)
		require.NoError(t, err)
		require.Equal(t, []bool{true}, hidden)
		require.False(t, dropped.due)
	}
}

// TestWhyIsInNoView: a row says that somebody is hidden, and until when; never why.
func TestWhyIsInNoView(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	j := journaltest.New(t, journaltest.Options{})
	put(t, j, journal.CitizenAggregate(someone), journal.Meta{}, journal.RestrictionSet{
		Kind: journal.RestrictionViolence, Reason: "Threatened by Zyzx", Until: "2999-01-01", Through: uuid.NewString(),
	})
	view := journal.NewProtection(j)
	_, err := view.HiddenFrom(ctx, journal.Actor{Kind: journal.ActorClerk})
	require.NoError(t, err)
	rows, err := j.Store().Scan(ctx, view.Name(), nil, nil, 0, false)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	for _, row := range rows {
		require.NotContains(t, string(row.Value), "Zyzx")
		require.NotContains(t, string(row.Value), journal.RestrictionViolence)
	}
	state, err := j.FreshStates(ctx, someone)
	require.NoError(t, err)
	require.True(t, state[0].Standing.IsProtected(consent.Date(29981231)))
}
