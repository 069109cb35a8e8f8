package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

func openSQLite(ctx context.Context, target string) (eventstore.Store, error) {
	return sqlite.Open(ctx, sqlite.Config{Dir: target})
}

func TestMain(m *testing.M) {
	CrashChild(openSQLite)
	goleak.VerifyTestMain(m)
}

// TestCrashLoopFindsFaults: a process that acknowledges too early, appends in steps or forgets its commands doesn't get through.
func TestCrashLoopFindsFaults(t *testing.T) {
	t.Parallel()
	for fault, says := range map[string]string{
		"early": "is lost",
		"half":  "in the middle of|records of|was acknowledged as",
		"twice": "its command is known as|is at .* and at",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			err := newCrashLoop(t.TempDir(), openSQLite, fault).run(t.Context(), 30)
			require.Error(t, err)
			require.Regexp(t, says, err.Error())
		})
	}
}
