package sqlite_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
	"github.com/tellonce/hub/eventstore/storetest"
)

func TestMain(m *testing.M) {
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
			return func() (eventstore.Store, error) {
				return sqlite.Open(st.Context(), sqlite.Config{Dir: dir})
			}
		},
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, stores(t))
}
