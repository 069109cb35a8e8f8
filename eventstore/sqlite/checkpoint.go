package sqlite

import (
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
)

// What has been committed stands in the WAL until it is copied into the file (SQLite calls that a checkpoint; it has nothing to do with
// a view's). SQLite would do it within a commit, and that one's callers would wait for two more syncs. Here a connection of its own does
// it beside the commits.
//
// If the process dies in the middle, the WAL still holds everything: the next process to open the file copies again.
const (
	// copyAt is after how many new pages (of 4 KiB) in the WAL the copying begins.
	copyAt = 2000
	// restartAt is the size of the WAL, in pages, at which the writer itself copies what is left, so that the WAL can begin anew: beside
	// steady commits the copying alone never catches up.
	restartAt = 16_000
)

// copier copies the WAL into the file.
type copier struct {
	pages   atomic.Int64  // in the WAL after the last commit
	wake    chan struct{} // holds a token when there are pages enough
	done    sync.WaitGroup
	triedAt int64 // restartWAL's
}

// prepareWriter makes c the connection that writes: it tells of the WAL's pages after each commit, and its cache holds the inner pages of
// the indexes and what one large batch changes.
func (s *Store) prepareWriter(c *conn) error {
	c.db.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		if s.copier.pages.Store(int64(pages)); int64(pages) >= s.config.copyAt {
			select {
			case s.copier.wake <- struct{}{}:
			default:
			}
		}
		return nil
	})
	return c.db.Exec(`PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192`)
}

// copyWAL runs until the store closes.
func (s *Store) copyWAL() {
	ctx := s.closing
	var c *conn
	defer func() {
		if c != nil {
			_ = c.close()
		}
	}()
	copied := int64(0) // the WAL's pages at the last copy
	for {
		select {
		case <-s.copier.wake:
		case <-ctx.Done():
			return
		}
		pages := s.copier.pages.Load()
		if pages >= s.config.restartAt || pages >= copied && pages < copied+s.config.copyAt {
			continue // the writer copies the rest; or too few are new
		}
		if c == nil {
			var err error
			if c, err = connect(ctx, s.uri, sqlite3.OPEN_READWRITE); err != nil {
				continue // the next commit wakes us again, and closing copies what is left
			}
		}
		if _, _, err := c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE); err == nil {
			copied = pages
		}
	}
}

// restartWAL copies the rest of a WAL that has grown too long, between two transactions of the writer, who alone calls it. If somebody is
// reading from the WAL right now it grows on, and the next try is copyAt pages later.
func (s *Store) restartWAL(c *conn) {
	pages := s.copier.pages.Load()
	switch {
	case pages < s.config.restartAt:
		s.copier.triedAt = 0
	case pages >= s.copier.triedAt+s.config.copyAt:
		s.copier.triedAt = pages
		_, _, _ = c.db.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE) // what fails stays in the WAL
	}
}
