package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recorder is a T that takes failures down instead of failing the test.
type recorder struct {
	ctx      context.Context
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// verdict runs one check on a store with a fault and returns what it found.
func verdict(t *testing.T, c check, f Factory) []string {
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	r := &recorder{ctx: ctx}
	done := make(chan struct{})
	go func() { // FailNow ends this goroutine, as it ends a test's
		defer close(done)
		c.run(r, f)
	}()
	<-done
	slices.Reverse(r.cleanups)
	for _, f := range r.cleanups {
		f()
	}
	return r.failures
}

func (r *recorder) Helper()                  {}
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) FailNow() {
	r.mu.Lock()
	failed := len(r.failures) > 0
	r.mu.Unlock()
	if !failed {
		r.Errorf("failed without a word")
	}
	runtime.Goexit()
}

// TestModel: the store in memory without a fault passes, so a fault is all that is wrong with a broken one.
func TestModel(t *testing.T) {
	t.Parallel()
	Run(t, inMemory(NoFault))
}

// TestBroken: the suite rejects each planted fault by the check that is meant to find it.
func TestBroken(t *testing.T) {
	t.Parallel()
	named := map[string]check{}
	for _, c := range checks() {
		named[c.name] = c
	}
	planted := map[Fault]bool{}
	for _, b := range brokenStores() {
		planted[b.fault] = true
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c, ok := named[b.check]
			require.True(t, ok, "there is no check %q", b.check)
			failures := verdict(t, c, inMemory(b.fault))
			require.NotEmpty(t, failures, "%q passed a store that %s", b.check, b.name)
			t.Log(failures[0])
		})
	}
	for f := NoFault + 1; f <= FaultReleaseByAnyone; f++ {
		require.True(t, planted[f], "fault %d is never planted", f)
	}
}

// TestHistoriesFindFaults: random histories alone find most faults of a single caller, so the table of checks isn't the only net.
func TestHistoriesFindFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{
		FaultGap, FaultStaleVersion, FaultAheadAccepted, FaultReadOnlyIgnored, FaultVersionGap, FaultIgnoresGuard, FaultIgnoresWithin,
		FaultUntilIncluded, FaultRepeats, FaultAcceptsReused, FaultHalfKept, FaultForgetsRows, FaultRowsOutlive, FaultWrongLeaf,
		FaultTimesFallBack, FaultCauseUnresolved, FaultDeletesForgotten,
	} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			t.Parallel()
			failures := verdict(t, check{run: checkHistories}, inMemory(f))
			require.NotEmpty(t, failures)
		})
	}
}
