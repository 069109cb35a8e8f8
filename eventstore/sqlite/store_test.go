package sqlite_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
	"github.com/tellonce/hub/eventstore/storetest"
)

func open(ctx context.Context, dir string) (eventstore.Store, error) {
	return sqlite.Open(ctx, sqlite.Config{Dir: dir})
}

// openCopying copies its WAL all the time.
func openCopying(ctx context.Context, dir string) (eventstore.Store, error) {
	return sqlite.OpenCopying(ctx, dir, 10, 40)
}

func TestMain(m *testing.M) {
	storetest.CrashChild(openCopying)
	goleak.VerifyTestMain(m)
}

// stores is the suite's factory.
func stores(t *testing.T) storetest.Factory {
	return storetest.Factory{
		Reopens:     true,
		Handles:     true,
		WakesWithin: 50 * time.Millisecond,
		New: func(st storetest.T) func() (eventstore.Store, error) {
			dir := t.TempDir()
			return func() (eventstore.Store, error) { return open(st.Context(), dir) }
		},
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, stores(t))
}

// TestCrash: killed at random moments, nothing acknowledged is lost, nothing is half there, nothing twice.
func TestCrash(t *testing.T) {
	t.Parallel()
	storetest.CrashLoop(t, t.TempDir(), openCopying, 100)
}
