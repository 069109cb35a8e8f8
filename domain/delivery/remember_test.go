package delivery_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
)

// elsewhere is the same world to another process, which remembers nothing of what this one does.
func (w *world) elsewhere(j *journal.Journal) *world {
	other := *w
	other.journal, other.command, other.delivery = j, command.New(j), delivery.New(j)
	return &other
}

// What this process remembers of people and of the law may be stale: what another process has put on the log since counts at once.
func TestWhatAnotherProcessAppendsCountsAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(w, other *world) (stream string, want []string){
		"a withdrawal": func(_, other *world) (string, []string) { other.withdraw(); return "consent", nil },
		"a withdrawal that is taken back": func(_, other *world) (string, []string) {
			other.withdraw()
			other.grant()
			return "consent", nil
		},
		"an erasure": func(_, other *world) (string, []string) { other.erase(); return "statute", nil },
		"a correction": func(w, other *world) (string, []string) {
			other.correct(w.move("Dryden"), w.today(), "Sioux Lookout")
			return "statute", []string{"1 fact Kenora", "2 fact Sioux Lookout"}
		},
		"an agreement's next version": func(_, other *world) (string, []string) {
			other.load(other.agreement("statute", 2, "basis: {kind: statute, reference: \"Illustration only\"}\npopulation: all\n"+
				"shares: [{event: address-changed, fields: [street]}]"))
			return "statute", []string{"1 fact"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicas := journaltest.Replicas(t, journaltest.Options{}, 2)
			w := newWorld(t, replicas[0])
			w.grant()
			w.move("Kenora")
			stream, want := test(w, w.elsewhere(replicas[1]))
			w.gets(stream, want...)
		})
	}
}

// Somebody whom this process remembers was erased by another, and this one's copy of the key is gone: that is no tampering.
func TestWhoIsRememberedWasErased(t *testing.T) {
	t.Parallel()
	var heads *headCounter
	replicas := journaltest.ReplicasOn(t, journaltest.Options{}, 2, func(s eventstore.Store) eventstore.Store {
		if heads == nil {
			heads = &headCounter{Store: s}
			return heads
		}
		return s
	})
	w := newWorld(t, replicas[0])
	told := w.move("Kenora")
	before, ended := heads.heads.Load(), make(chan error, 1)
	ctx, stop := context.WithCancel(w.ctx)
	go func() { ended <- w.journal.EvictErased(ctx) }()
	require.Eventually(t, func() bool { return heads.heads.Load() > before }, time.Minute, time.Millisecond, "it knows from where on")
	w.elsewhere(replicas[1]).erase()
	require.Eventually(t, func() bool {
		entries, err := w.journal.Read(w.ctx, told)
		return err == nil && entries[0].IsErased()
	}, time.Minute, time.Millisecond)
	w.gets("statute")
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// interrupted does a deed just before what is due is read for the first time.
type interrupted struct {
	eventstore.Store
	once sync.Once
	deed func()
}

func (s *interrupted) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	if s.deed != nil && view == "due" && len(from) > 0 && from[0] == 'd' {
		s.once.Do(s.deed)
	}
	return s.Store.Scan(ctx, view, from, to, limit, reverse)
}

// A reader from whom another process takes what is due, after it has looked where the lane is, gets what that one numbered.
func TestAReaderThatLosesGetsWhatTheOtherNumbered(t *testing.T) {
	t.Parallel()
	store := &interrupted{}
	replicas := journaltest.ReplicasOn(t, journaltest.Options{}, 2, func(s eventstore.Store) eventstore.Store {
		if store.Store == nil {
			store.Store = s
			return store
		}
		return s
	})
	w := newWorld(t, replicas[0])
	other := w.elsewhere(replicas[1])
	w.move("Kenora")
	var first []delivery.Message
	store.deed = func() {
		page, err := other.delivery.Next(w.ctx, "s.statute", 0, 0, 100, 0)
		require.NoError(t, err)
		first = page.Messages
		_, err = other.delivery.Next(w.ctx, "s.statute", 0, 1, 100, 0) // which folds that
		require.NoError(t, err)
	}
	page, err := w.delivery.Next(w.ctx, "s.statute", 0, 0, 100, 0)
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.Equal(t, first, page.Messages)
}
