// Package postgres keeps the log in PostgreSQL (14 or later): the production store, for any number of replicas.
//
// Tables, statements and their reasons stand in migrations/ and append.go. Everything lives in one schema. Every connection but the
// migration's runs as a role that can only read and insert where the log is concerned.
package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tellonce/hub/eventstore"
)

// Config says where the store is. Zero values are good, apart from DSN.
type Config struct {
	DSN      string           // postgres://… or key=value, of a user who may SET ROLE to Role and, to migrate, create in the database
	Schema   string           // default "tellonce"
	Role     string           // that may only append; default "tellonce_append"
	Clock    func() time.Time // default time.Now
	MaxConns int              // for reading; default 8. Two more are for appending and listening
	Poll     time.Duration    // the safety poll of Wait, for lost notifications; default 5 s
	Logf     func(string)     // told when the listening connection is lost; default: nobody is

	streamFrom int           // eventstore.CommitterConfig's, for tests
	patience   time.Duration // for tests
}

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = "tellonce"
	}
	if c.Role == "" {
		c.Role = "tellonce_append"
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 8
	}
	if c.Poll <= 0 {
		c.Poll = 5 * time.Second
	}
	if c.patience <= 0 {
		c.patience = patience
	}
	if c.Logf == nil {
		c.Logf = func(string) {}
	}
	return c
}

// Store is the log, its views and leases in one schema of a PostgreSQL database. Safe for concurrent use.
type Store struct {
	config    Config
	pool      patientPool
	committer *eventstore.Committer
	driver    *driver
	loads     loader
	signal    eventstore.Signal
	notifier  notifier

	stop   context.CancelFunc // ends listener, notifier and every Wait
	closed context.Context
	done   sync.WaitGroup
	once   sync.Once
}

var _ eventstore.Store = (*Store)(nil)

// Open opens the store, making it first if there is none. A store of another version is ErrStoreVersion: an older one wants Migrate.
func Open(ctx context.Context, config Config) (*Store, error) {
	config = config.withDefaults()
	ready, err := checkVersion(ctx, config)
	if err == nil && !ready {
		_, err = Migrate(ctx, config)
	}
	if err != nil {
		return nil, err
	}
	s := &Store{config: config, notifier: notifier{wake: make(chan struct{}, 1)}}
	pool, err := config.newPool(ctx)
	if err != nil {
		return nil, err
	}
	s.pool = patientPool{pool, config.patience}
	s.driver = newDriver(config)
	if err := s.driver[0].connect(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	s.loads.query = s.queryAggregates
	s.closed, s.stop = context.WithCancel(context.Background())
	s.committer = eventstore.NewCommitter(s.driver, eventstore.CommitterConfig{
		Clock: config.Clock, StreamFrom: config.streamFrom, Committed: func(head eventstore.Head) {
			s.signal.Raise(head.Position)
			s.notifier.raise(head.Position)
		},
	})
	s.done.Go(func() { s.notify(s.closed) })
	s.done.Go(func() { s.listen(s.closed) })
	return s, nil
}

// Append is Log.Append, in group commit with all other callers of this Store.
func (s *Store) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	return s.committer.Append(ctx, appends...)
}

// Stats counts the committer's batches.
func (s *Store) Stats() eventstore.Stats { return s.committer.Stats() }

// Close commits what is queued, ends every Wait and closes all connections. Calling it twice is calling it once.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.committer.Close()
		s.driver.close()
		s.stop()
		s.done.Wait()
		s.pool.Close()
	})
	return nil
}

// check answers ErrClosed after Close and ctx's error if that has ended.
func (s *Store) check(ctx context.Context) error {
	if s.closed.Err() != nil {
		return eventstore.ErrClosed
	}
	return ctx.Err()
}

// failed is err as a caller sees it, with what was being done.
func (s *Store) failed(doing string, err error) error {
	if s.closed.Err() != nil {
		return eventstore.ErrClosed
	}
	return failed(doing, err)
}

// Identity returns the log's id and current generation; ErrNoGenesis if the store holds no log yet.
func (s *Store) Identity(ctx context.Context) (eventstore.Identity, error) {
	var identity eventstore.Identity
	const sql = "SELECT log_id, generation FROM meta ORDER BY generation DESC LIMIT 1"
	n, err := s.query(ctx, "read the log's identity", func(columns [][]byte) {
		identity = eventstore.Identity{LogID: [16]byte(columns[0]), Generation: int8Of(columns[1])}
	}, sql)
	if err == nil && n == 0 {
		err = eventstore.ErrNoGenesis
	}
	return identity, err
}

// query runs a statement, gives each row's columns (in binary, the connection's own bytes) to row, and returns how many there were. Every
// statement run by it may be run twice: it is, once, when the connection turns out to be dead (the server was restarted) before any row
// has come.
func (s *Store) query(ctx context.Context, doing string, row func(columns [][]byte), sql string, args ...any) (n int, err error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	for range 2 {
		if n, err = s.queryOnce(ctx, row, sql, args); err == nil {
			return n, nil
		}
		if n > 0 || !broken(err) || ctx.Err() != nil {
			break
		}
		s.pool.Reset() // the others will hardly be alive
		if errors.Is(err, context.DeadlineExceeded) {
			break // who asked has waited enough
		}
	}
	return n, s.failed(doing, err)
}

func (s *Store) queryOnce(ctx context.Context, row func(columns [][]byte), sql string, args []any) (n int, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		row(rows.RawValues())
	}
	return n, rows.Err()
}

// broken says whether err is the connection's end rather than the server's answer to the statement.
func broken(err error) bool {
	var server *pgconn.PgError
	return !errors.As(err, &server) || server.SeverityUnlocalized != "ERROR"
}
