package sealtest_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
)

func inMemory(fault sealtest.Fault) sealtest.Storage {
	store := &sealtest.Memory{Fault: fault}
	return sealtest.Storage{Open: func(require.TestingT) seal.KeyStore { return store.Reopen() }}
}

func TestSoundStorePasses(t *testing.T) {
	t.Parallel()
	sealtest.Run(t, func(*testing.T) sealtest.Storage { return inMemory(sealtest.FaultNone) })
}

// The suite is worth something only if it rejects each store that is broken in one way.
func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	for _, fault := range sealtest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, check := range sealtest.Checks() {
				if fails(check, inMemory(fault)) {
					found = append(found, check.Name)
				}
			}
			require.NotEmpty(t, found, "no check of the suite rejects this store")
			require.Less(t, len(found), len(sealtest.Checks()), "all checks fail: the fault is not the only thing that is broken")
		})
	}
}

// recorder is a TestingT that remembers a failure.
type recorder struct {
	mu     sync.Mutex
	failed bool
}

func (r *recorder) Errorf(string, ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) FailNow() { runtime.Goexit() }

func fails(check sealtest.Check, storage sealtest.Storage) bool {
	r, done := &recorder{}, make(chan struct{})
	go func() {
		defer close(done)
		check.Run(r, storage)
	}()
	<-done
	return r.failed
}
