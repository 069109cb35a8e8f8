// Package storetest is the one suite for the contract of package eventstore: whatever store passes Run can carry the hub.
//
// The suite distrusts itself. Beside it stands a small store in memory (model.go) that passes, and a list of faults (broken.go) that can be
// planted in it one at a time; a test shows that the suite rejects every one by the check that is meant to find it. CrashLoop kills a
// process that appends, again and again, and looks for what was acknowledged; Linearizable looks for an order that explains a
// recorded history of concurrent calls.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

// T is what the suite needs of a *testing.T; a recorder takes its place when the suite itself is tested.
type T interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// Factory makes the stores that the suite works on, and says as data what they can do.
type Factory struct {
	// New makes a new, empty store and returns how to open it. Each call of open is a handle of its own, as another process would have;
	// the suite closes every handle, some of them twice.
	New func(t T) (open func() (eventstore.Store, error))
	// Reopens says that what one handle wrote is there after all handles were closed.
	Reopens bool
	// Handles says that several handles may be open, and append, at once.
	Handles bool
	// WakesWithin bounds how long Wait may take to notice another handle's append; the median of several is held to it. Zero:
	// not promised.
	WakesWithin time.Duration
	// Patience bounds every wait in the suite: only a store that hangs comes near it (0: 20 s).
	Patience time.Duration
}

func (f Factory) patience() time.Duration {
	if f.Patience > 0 {
		return f.Patience
	}
	return 20 * time.Second
}

// check is one named part of the contract. needs says which abilities it can't do without.
type check struct {
	name  string
	needs func(Factory) bool
	run   func(t T, f Factory)
}

func reopens(f Factory) bool  { return f.Reopens }
func wakes(f Factory) bool    { return f.Handles && f.WakesWithin > 0 }
func anything(_ Factory) bool { return true }

// checks is the contract, in the order of eventstore/log.go and views.go.
func checks() []check {
	return []check{
		{"genesis", anything, checkGenesis},
		{"records", anything, checkRecords},
		{"expectations", anything, checkExpectations},
		{"next version", anything, checkNextVersion},
		{"guards", anything, checkGuards},
		{"within", anything, checkWithin},
		{"times", anything, checkTimes},
		{"causes", anything, checkCauses},
		{"leaves", anything, checkLeaves},
		{"rows with an append", anything, checkRows},
		{"several appends", anything, checkSeveral},
		{"all or none", anything, checkAllOrNone},
		{"repeated commands", anything, checkRepeated},
		{"reused commands", anything, checkReused},
		{"known commands", anything, checkReadCommands},
		{"random histories", anything, checkHistories},
		{"reopened", reopens, checkReopened},

		{"concurrent positions", anything, checkConcurrentPositions},
		{"concurrent expectations", anything, checkConcurrentExpectations},
		{"concurrent commands", anything, checkConcurrentCommands},
		{"concurrent guards", anything, checkConcurrentGuards},
		{"stale members", anything, checkStaleMembers},
		{"readers", anything, checkReaders},
		{"linearizable", anything, Linearizable},

		{"read aggregates", anything, checkReadAggregates},
		{"read positions", anything, checkReadPositions},
		{"read pages", anything, checkReadAll},
		{"bytes are the caller's", anything, checkBytesAreTheCallers},
		{"wait", anything, checkWait},
		{"wait for another handle", wakes, checkWaitOther},
		{"follow", anything, checkFollow},
		{"closed", anything, checkClosed},
		{"cancelled", anything, checkCancelled},

		{"view rows", anything, checkViewRows},
		{"view scan", anything, checkViewScan},
		{"view checkpoint", anything, checkViewCheckpoint},
		{"view drop", anything, checkViewDrop},
		{"leases", anything, checkLeases},
	}
}

// Run holds the stores of f to the whole contract, a subtest for each part.
func Run(t *testing.T, f Factory) {
	for _, c := range checks() {
		if !c.needs(f) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, f)
		})
	}
}
