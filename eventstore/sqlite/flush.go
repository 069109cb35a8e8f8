package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/tellonce/hub/eventstore"
)

// flusher makes what has been committed survive a power cut, for transactions that didn't wait for the disk themselves. Views are
// committed so: the followers' waiting doesn't hold the write lock, and those that wait at once share one sync.
type flusher struct {
	sync func() error // of the WAL
	turn sync.Mutex   // held by who syncs
	mu   sync.Mutex
	next *flush // not yet begun
}

// flush is one sync and who waits for it.
type flush struct {
	done chan struct{}
	err  error
}

// flush returns when everything committed before it was called is on the disk. If that fails the transaction stands, but might not after a
// crash: its outcome is unknown.
//
// The WAL alone matters: what a checkpoint has moved from it into the file was synced by the checkpoint.
func (f *flusher) flush() error {
	f.mu.Lock()
	joined := f.next
	if joined == nil {
		joined = &flush{done: make(chan struct{})}
		f.next = joined
		f.mu.Unlock()
		f.turn.Lock() // others join meanwhile
		f.mu.Lock()
		f.next = nil
		f.mu.Unlock()
		joined.err = f.sync()
		f.turn.Unlock()
		close(joined.done)
	} else {
		f.mu.Unlock()
		<-joined.done
	}
	if joined.err != nil {
		return fmt.Errorf("%w: sync the store's file: %w", eventstore.ErrUnknownOutcome, joined.err)
	}
	return nil
}

// syncDir makes new names in dir survive, where the system has such a thing.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil { // #nosec G304 -- the operator's own path
		_ = d.Sync() // not every system can
		_ = d.Close()
	}
}

// walSync syncs the store's WAL by a descriptor of its own; close closes that. The WAL is one file for as long as any connection is open.
func walSync(dir string) (sync, close func() error) {
	var wal *os.File
	sync = func() (err error) {
		if wal == nil {
			if wal, err = os.OpenFile(filepath.Join(dir, File+"-wal"), os.O_RDWR, 0); err != nil { // #nosec G304 -- the operator's own path
				return err
			}
			syncDir(dir) // a WAL that has just been made must be found again, too
		}
		return wal.Sync()
	}
	close = func() error {
		if wal == nil {
			return nil
		}
		return wal.Close()
	}
	return sync, close
}
