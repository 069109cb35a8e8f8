package command_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// follow runs a follower until the test ends; what it fails with fails the test.
func follow(t testing.TB, j *journal.Journal) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- command.New(j).Snapshots().Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// awaits waits until a citizen has so many snapshots.
func (b *bundle) awaits(t testing.TB, id citizen.ID, many int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for len(b.snaps(t, id)) < many {
		require.NoError(t, b.journal.Store().Wait(ctx, b.head(t)+1))
	}
}

// TestTwoFollowersNeverDouble: two replicas follow while residents act and an agreement comes into force.
func TestTwoFollowersNeverDouble(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 3)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	b.load(t)
	for _, j := range replicas[1:] {
		stop := follow(t, j)
		defer stop()
	}
	people := make([]citizen.ID, 30)
	home := map[citizen.ID]int64{}
	for i := range people {
		people[i] = b.resident(t)
		home[people[i]] = b.tell(t, people[i], address(t, b.journal, "1 First St"))
		b.grant(t, people[i], "outdoors-card")
	}
	b.approved(t, parksPass(t, b.journal))
	for i, id := range people {
		b.link(t, id, "moh", "r")
		if i%3 == 0 {
			b.withdraw(t, id, "outdoors-card")
			b.grant(t, id, "outdoors-card")
		}
	}
	for _, id := range people {
		b.awaits(t, id, 3)
	}
	b.settle(t)
	for _, id := range people {
		of, causes := map[string]int{}, map[int64]bool{}
		for _, e := range b.history(t, id) {
			if s, ok := e.Event.(journal.SnapshotTaken); ok {
				require.False(t, causes[s.Cause], "one snapshot of each trigger")
				causes[s.Cause] = true
				of[s.Agreement]++
				require.Len(t, s.Facts, 1)
				require.Equal(t, home[id], s.Facts[0].Position)
			}
		}
		require.Equal(t, 1, of["parks-pass"])
		require.Equal(t, 1, of["moh-health-card"])
		require.Contains(t, []int{1, 2}, of["outdoors-card"], "a consent withdrawn at once may have had its snapshot")
	}
}

// TestAFollowerIsQuick: a running follower takes one citizen's snapshot at once, also while a job is at work.
func TestAFollowerIsQuick(t *testing.T) {
	t.Parallel()
	replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
	b := &bundle{journal: replicas[0], command: command.New(replicas[0])}
	b.load(t)
	b.population(t, 3000)
	b.settle(t)
	stop := follow(t, replicas[1])
	defer stop()
	b.approved(t, parksPass(t, b.journal))
	id := b.resident(t)
	b.tell(t, id, address(t, b.journal, "1 First St"))
	b.grant(t, id, "outdoors-card")
	started := time.Now()
	b.awaits(t, id, 1)
	t.Logf("a snapshot %s after its consent", time.Since(started).Round(time.Millisecond))
	own := b.history(t, id)
	stop()
	b.settle(t)
	last, err := b.journal.Store().Read(context.Background(), b.head(t))
	require.NoError(t, err)
	require.Equal(t, journal.TypeSnapshotTaken, last[0].Type)
	require.Less(t, own[len(own)-1].Position, last[0].Position, "the job was still at work")
}
