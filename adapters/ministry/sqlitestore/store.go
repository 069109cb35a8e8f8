// Package sqlitestore keeps a ministry's numbers, and a table of what it was told, in one SQLite file: with no server and no cgo. It is the
// reference: the hub's own `tellonce stream follow --apply` is made of it.
//
//	store, err := sqlitestore.Open(ctx, "health-card.sqlite", "moh.health-card")
//	…
//	consumer, err := ministry.New(ministry.Config{Stream: "moh.health-card", Store: store, Handler: ministry.Table{Records: store}, Client: client})
//
// Anything that reads SQLite may read the file meanwhile: the view current_values has what holds today, the table facts all that stands.
package sqlitestore

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver" // for database/sql

	"github.com/tellonce/hub/adapters/ministry"
)

// Store is one file, for one stream. It is safe for concurrent use, also by several processes on one machine.
type Store struct {
	db     *sql.DB
	stream string
}

var (
	_ ministry.Store   = (*Store)(nil)
	_ ministry.Records = (*Store)(nil)
)

//go:embed schema.sql
var schema string

// Open opens or makes the file of a stream, for its owner only.
func Open(ctx context.Context, path, stream string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the caller's own file
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: the file can't be opened: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("sqlitestore: the file can't be opened: %w", err)
	}
	db, err := sql.Open("sqlite3", address(path))
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	s := &Store{db: db, stream: stream}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// address: a commit is on the disk before it returns, and what is deleted is overwritten, for an erasure must be one.
func address(path string) string {
	query := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "secure_delete(on)"},
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode()
}

func (s *Store) prepare(ctx context.Context) error {
	return s.within(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, schema); err != nil {
			return fmt.Errorf("sqlitestore: the tables can't be made; is this another program's file? %w", err)
		}
		if _, err := s.exec(ctx, `insert into stream (only, name) values (1, ?) on conflict do nothing`, s.stream); err != nil {
			return err
		}
		var name string
		if err := s.row(ctx, `select name from stream`).Scan(&name); err != nil {
			return err
		}
		if name != s.stream {
			return fmt.Errorf("sqlitestore: this file is of the stream %s, not of %s: give each stream a file of its own", name, s.stream)
		}
		return nil
	})
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// DB is the file for queries of the caller's.
func (s *Store) DB() *sql.DB { return s.db }

type transaction struct{}

// Tx is the transaction of the event that is being handled; ok is false outside of one.
func Tx(ctx context.Context) (tx *sql.Tx, ok bool) {
	tx, ok = ctx.Value(transaction{}).(*sql.Tx)
	return tx, ok
}

// Load returns a lane's progress.
func (s *Store) Load(ctx context.Context, stream string, lane int) (p ministry.Progress, err error) {
	if stream != s.stream {
		return p, fmt.Errorf("sqlitestore: this file is of the stream %s", s.stream)
	}
	var rejected []byte
	err = s.row(ctx, `select generation, last, answered, rejected from lanes where lane = ?`, lane).Scan(&p.Generation, &p.Last, &p.Answered, &rejected)
	if errors.Is(err, sql.ErrNoRows) {
		return ministry.Progress{}, nil
	}
	if err == nil && len(rejected) > 0 {
		err = json.Unmarshal(rejected, &p.Rejected)
	}
	return p, wrap(err)
}

// Save moves a lane on and runs work, in one transaction.
func (s *Store) Save(ctx context.Context, stream string, lane int, before, after ministry.Progress, work func(context.Context) error) error {
	return s.within(ctx, func(ctx context.Context) error {
		now, err := s.Load(ctx, stream, lane)
		if err != nil {
			return err
		}
		if !now.Equal(before) {
			return ministry.ErrMoved
		}
		rejected := []byte(nil)
		if len(after.Rejected) > 0 {
			if rejected, err = json.Marshal(after.Rejected); err != nil {
				return wrap(err)
			}
		}
		_, err = s.exec(ctx, `insert into lanes (lane, generation, last, answered, rejected) values (?1, ?2, ?3, ?4, ?5)
			on conflict (lane) do update set generation = ?2, last = ?3, answered = ?4, rejected = ?5`,
			lane, after.Generation, after.Last, after.Answered, rejected)
		if err != nil || work == nil {
			return err
		}
		return work(ctx)
	})
}

// within runs work in a transaction, whose lock is taken at once. If the process dies in here, nothing of it stays.
func (s *Store) within(ctx context.Context, work func(context.Context) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(err)
	}
	if err := work(context.WithValue(ctx, transaction{}, tx)); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return wrap(tx.Commit())
}

// ignoreDone: a transaction whose context ended is rolled back already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return wrap(err)
}

func (s *Store) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if tx, ok := Tx(ctx); ok {
		result, err := tx.ExecContext(ctx, query, args...)
		return result, wrap(err)
	}
	result, err := s.db.ExecContext(ctx, query, args...)
	return result, wrap(err)
}

func (s *Store) row(ctx context.Context, query string, args ...any) *sql.Row {
	if tx, ok := Tx(ctx); ok {
		return tx.QueryRowContext(ctx, query, args...)
	}
	return s.db.QueryRowContext(ctx, query, args...)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqlitestore: %w", err)
}
