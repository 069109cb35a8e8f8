package journal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

// withHole hides one record of a store.
type withHole struct {
	eventstore.Store
	at int64
}

func (s withHole) ReadAll(ctx context.Context, from int64, limit int) ([]eventstore.Recorded, error) {
	recs, err := s.Store.ReadAll(ctx, from, limit)
	for i := range recs {
		if recs[i].Position == s.at {
			return append(recs[:i:i], recs[i+1:]...), err
		}
	}
	return recs, err
}

// TestReplayGivesEveryRecord, decoded where it is wanted.
func TestReplayGivesEveryRecord(t *testing.T) {
	t.Parallel()
	j := journaltest.New(t, journaltest.Options{})
	id := citizen.ID(uuid.New())
	for range 5 {
		_, err := j.Append(t.Context(), journal.Step{Events: []journal.New{
			{Event: journal.MinistryLinked{Ministry: "moh"}, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause},
			{Event: journal.MinistryUnlinked{Ministry: "moh"}, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: eventstore.NoCause},
		}})
		require.NoError(t, err)
	}
	for name, wanted := range map[string]func(*eventstore.Recorded) bool{
		"all": func(*eventstore.Recorded) bool { return true }, "none": func(*eventstore.Recorded) bool { return false },
		"one type": func(r *eventstore.Recorded) bool { return r.Type == journal.TypeMinistryLinked },
	} {
		next := int64(3)
		require.NoError(t, j.Replay(t.Context(), 3, 10, wanted, func(entries []journal.Entry) error {
			for i := range entries {
				require.Equal(t, next, entries[i].Position)
				require.Equal(t, wanted(&entries[i].Recorded), entries[i].Event != nil, name)
				next++
			}
			return nil
		}))
		require.Equal(t, int64(10), next, name)
	}
}

// TestReplayOfALogWithAGap says where it is, also at the end of what was asked for.
func TestReplayOfALogWithAGap(t *testing.T) {
	t.Parallel()
	first := journaltest.New(t, journaltest.Options{})
	for range 3 {
		_, err := first.Append(t.Context(), journal.Step{Events: []journal.New{
			{Event: journal.AccessRefused{Route: "/"}, Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause},
		}})
		require.NoError(t, err)
	}
	for _, hole := range []int64{1, 2, 3} {
		wrapper, err := sealtest.NewWrapper(1)
		require.NoError(t, err)
		keyring, err := seal.NewKeyring(t.Context(), seal.Config{Store: &sealtest.Memory{}, Wrapper: wrapper, LogID: first.Genesis().LogID})
		require.NoError(t, err)
		j, err := journal.Open(t.Context(), journal.Config{Store: withHole{first.Store(), hole}, Keyring: keyring, Registry: first.Registry(), Clock: time.Now})
		require.NoError(t, err)
		all := func(*eventstore.Recorded) bool { return true }
		err = j.Replay(t.Context(), 0, 4, all, func([]journal.Entry) error { return nil })
		require.ErrorIs(t, err, journal.ErrMissing)
		require.ErrorContains(t, err, fmt.Sprintf("the one at position %d", hole))
	}
}
