package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

const (
	// lookEvery is how often the store looks for another process's commits while somebody waits.
	lookEvery = 15 * time.Millisecond
	// safetyPoll is after how long a waiter looks for itself, whatever it was told.
	safetyPoll = 5 * time.Second
)

// watch tells waiters of appends: this process's by a signal, other processes' by looking at the file while there are waiters.
type watch struct {
	store   *Store
	signal  eventstore.Signal
	mu      sync.Mutex
	waiters int
	looking bool // look runs
	ended   bool
	done    sync.WaitGroup
}

// Wait is eventstore.Waker's.
func (s *Store) Wait(ctx context.Context, position int64) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.closing, stop)()
	s.watch.enter()
	defer s.watch.leave()
	err := s.watch.signal.Wait(waiting, position, safetyPoll)
	if err != nil && ctx.Err() == nil {
		return eventstore.ErrClosed
	}
	return err
}

func (w *watch) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiters++
	if !w.looking && !w.ended {
		w.looking = true
		w.done.Go(w.look)
	}
}

func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiters--
}

// end waits for look and starts it no more.
func (w *watch) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.done.Wait()
}

// stop says whether nobody waits any more; look then ends.
func (w *watch) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiters == 0 || w.ended {
		w.looking = false
		return true
	}
	return false
}

// look raises the signal when another process has committed. PRAGMA data_version changes exactly then, and costs a look at shared
// memory; it is the connection's own number, so look has a connection to itself.
func (w *watch) look() {
	ctx := w.store.closing
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var c *conn
	defer func() {
		if c != nil {
			_ = c.close()
		}
	}()
	version := int64(-1)
	for {
		if c == nil {
			c, _ = connect(ctx, w.store.uri, sqlite3.OPEN_READONLY) // if it fails: again at the next tick; waiters have their safety poll
		}
		if c != nil {
			var now int64
			err := c.query(`PRAGMA data_version`, func(s *sqlite3.Stmt) error { now = s.ColumnInt64(0); return nil })
			if err == nil && now != version {
				version = now
				if head, err := c.head(); err == nil {
					w.signal.Raise(head.Position)
				}
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || w.stop() {
			return
		}
	}
}
