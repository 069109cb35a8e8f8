// Package sqlite is the embedded store: the log, views and leases in one SQLite database file in a folder, with no server and no cgo.
//
// Any number of processes on one machine may share the folder. One of them may Serve. Each process has one connection that writes and
// a few that read; the file is in WAL mode with synchronous=FULL, so an acknowledged append survives a power cut, and readers and the
// writer don't wait for each other. Appends of one process are coalesced by eventstore.Committer; those of several processes take turns
// under SQLite's write lock, which is held from the first question to the commit, so that positions can't be lost to another.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

// File is the name of the log's database within the store's folder.
const File = "log.db"

// Config says where a store is. Only Dir is needed.
type Config struct {
	// Dir is the store's folder. It and the file are made, for their owner only, if they are missing.
	Dir string
	// MustExist makes a missing store an error (eventstore.ErrNoGenesis) instead of making it.
	MustExist bool
	// Readers bounds the connections that read at once; default twice the processors, at least 4.
	Readers int
	// Clock is the store's clock; default time.Now.
	Clock func() time.Time

	copyAt, restartAt int64        // pages: see copier; tests set them lower
	vfs               string       // tests put a failing disk in its place …
	sync              func() error // … and sync that
}

func (c Config) withDefaults() Config {
	if c.Readers <= 0 {
		c.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.copyAt <= 0 {
		c.copyAt, c.restartAt = copyAt, restartAt
	}
	return c
}

// uri names the store's file for SQLite.
func (c Config) uri() string {
	uri := fileURI(filepath.Join(c.Dir, File))
	if c.vfs != "" {
		uri += "&vfs=" + c.vfs
	}
	return uri
}

// Store is one process's handle on a store. It is safe for concurrent use.
type Store struct {
	config    Config
	uri       string // of the file
	committer *eventstore.Committer
	writer    chan *conn // holds the one connection that writes, while nobody does
	readers   chan *conn // holds idle connections; nil in place of one not yet opened
	watch     watch
	copier    copier
	flusher   flusher
	closeWAL  func() error
	closing   context.Context // ends when Close begins
	close     context.CancelFunc
	once      sync.Once
	closed    error // of Close
}

var _ eventstore.Store = (*Store)(nil)

// Open opens the store in config.Dir, making it on first use. A store of another version of this program is
// eventstore.ErrStoreVersion.
func Open(ctx context.Context, config Config) (*Store, error) {
	config = config.withDefaults()
	writer, err := openFile(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := untilFree(ctx, func() error { return prepareTables(ctx, writer) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store %s: %w", config.Dir, answer(ctx, err)), writer.close())
	}
	s := &Store{config: config, uri: config.uri(), writer: make(chan *conn, 1), readers: make(chan *conn, config.Readers)}
	s.closing, s.close = context.WithCancel(context.WithoutCancel(ctx))
	s.writer <- writer
	for range config.Readers {
		s.readers <- nil
	}
	s.watch.store = s
	s.copier.wake = make(chan struct{}, 1)
	if err := s.prepareWriter(writer); err != nil {
		return nil, errors.Join(answer(ctx, err), writer.close())
	}
	s.copier.done.Go(s.copyWAL)
	s.flusher.sync, s.closeWAL = walSync(config.Dir)
	if config.sync != nil {
		s.flusher.sync = config.sync
	}
	s.committer = eventstore.NewCommitter(driver{s}, eventstore.CommitterConfig{
		Clock:     config.Clock,
		Committed: func(h eventstore.Head) { s.watch.signal.Raise(h.Position) },
	})
	return s, nil
}

// openFile opens the connection that writes, without looking at what is in the file.
func openFile(ctx context.Context, config Config) (*conn, error) {
	if err := prepareFile(config.Dir, config.MustExist); err != nil {
		return nil, err
	}
	c, err := connect(ctx, config.uri(), sqlite3.OPEN_READWRITE)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", config.Dir, err)
	}
	return c, nil
}

// prepareFile makes folder and file where they are missing, for their owner only. SQLite would make the file as the umask says; the -wal
// it adds takes the mode of the file.
func prepareFile(dir string, mustExist bool) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("open the store %s: it is a file, not a folder", dir)
	case errors.Is(err, fs.ErrNotExist) && mustExist:
		return fmt.Errorf("%w: there is no folder %s", eventstore.ErrNoGenesis, dir)
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the store's folder: %w", err)
		}
	case err != nil:
		return fmt.Errorf("open the store: %w", err)
	}
	flags := os.O_RDWR
	if !mustExist {
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(filepath.Join(dir, File), flags, 0o600) // #nosec -- the operator's own path
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no store in the folder %s", eventstore.ErrNoGenesis, dir)
	case err != nil:
		return fmt.Errorf("open the store: %w", err)
	}
	return file.Close()
}

// Close commits what is queued, waits for calls under way, and closes the connections. Waiters get eventstore.ErrClosed.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.committer.Close()
		s.close()
		var errs []error
		for range cap(s.readers) {
			if c := <-s.readers; c != nil {
				errs = append(errs, c.close())
			}
		}
		s.watch.end()
		s.copier.done.Wait()
		// The last connection to close moves the WAL into the file and deletes it.
		writer := <-s.writer
		s.flusher.turn.Lock() // behind the last sync
		errs = append(errs, s.closeWAL(), writer.close())
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

// read lends a reading connection to do. A single statement in do sees one state of the store.
func (s *Store) read(ctx context.Context, do func(*conn) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	var c *conn
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing.Done():
		return eventstore.ErrClosed
	}
	defer func() { s.readers <- c }()
	if c == nil || c.broken {
		fresh, err := connect(ctx, s.uri, sqlite3.OPEN_READONLY)
		if err != nil {
			return err
		}
		if c != nil {
			_ = c.close() // it failed before, and has said so
		}
		c = fresh
	}
	c.db.SetInterrupt(ctx)
	err := do(c)
	c.db.SetInterrupt(context.Background())
	return answer(ctx, err)
}

// snapshot is read with one state of the store for all of do's statements.
func (s *Store) snapshot(ctx context.Context, do func(*conn) error) error {
	return s.read(ctx, func(c *conn) error {
		return c.within(ctx, `BEGIN`, func() error { return do(c) })
	})
}

// write runs do in a transaction under the write lock of all processes. durable transactions are on the disk when write returns; others
// are whole or absent after a power cut, and on the disk with the next durable one or the next flush.
func (s *Store) write(ctx context.Context, durable bool, do func(*conn) error) error {
	var c *conn
	select {
	case c = <-s.writer:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing.Done():
		return eventstore.ErrClosed
	}
	defer func() { s.writer <- c }()
	if c.broken {
		fresh, err := connect(ctx, s.uri, sqlite3.OPEN_READWRITE)
		if err != nil {
			return err
		}
		_ = c.close() // it failed before, and has said so
		if c = fresh; s.prepareWriter(c) != nil {
			c.broken = true
		}
	}
	s.restartWAL(c)
	if err := c.synchronous(durable); err != nil {
		return answer(ctx, err)
	}
	return answer(ctx, c.within(ctx, `BEGIN IMMEDIATE`, func() error { return do(c) }))
}

// usable says why a call can't begin.
func (s *Store) usable(ctx context.Context) error {
	if s.closing.Err() != nil {
		return eventstore.ErrClosed
	}
	return ctx.Err()
}
