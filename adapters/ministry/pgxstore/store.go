// Package pgxstore keeps a ministry's numbers in its own PostgreSQL database, in the transaction that also changes its own tables.
//
//	store, err := pgxstore.Open(ctx, pool)
//	…
//	handler := ministry.HandlerFunc(func(ctx context.Context, e ministry.Event) error {
//		_, err := pgxstore.Tx(ctx).Exec(ctx, `update clients set …`)
//		return err
//	})
package pgxstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tellonce/hub/adapters/ministry"
)

// DB is the database: a *pgxpool.Pool. A single *pgx.Conn will do where the stream has one lane and no receipts are sent.
type DB interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Store keeps numbers in the table tellonce_lanes. It is safe for concurrent use, also by several processes: one of two that handle the same
// event waits for the other's row, and then finds the event dealt with.
type Store struct{ db DB }

var _ ministry.Store = (*Store)(nil)

// Schema makes the table; it may run again. For who keeps migrations of their own.
const Schema = `create table if not exists tellonce_lanes (
	stream text not null,
	lane integer not null,
	generation integer not null,
	last bigint not null,
	answered bigint not null,
	rejected jsonb not null,
	primary key (stream, lane)
)`

// Open returns a Store on a database, and makes its table in the connection's schema if it is missing.
func Open(ctx context.Context, db DB) (*Store, error) {
	_, err := db.Exec(ctx, Schema)
	if err != nil { // two that make it at the same moment: one of them fails
		_, err = db.Exec(ctx, Schema)
	}
	if err != nil {
		return nil, fmt.Errorf("pgxstore: make the table: %w", err)
	}
	return &Store{db: db}, nil
}

type transaction struct{}

// Tx is the transaction of the event that is being handled; nil outside of one. What a handler does in it is committed with the event's number,
// or not at all.
func Tx(ctx context.Context) pgx.Tx {
	tx, _ := ctx.Value(transaction{}).(pgx.Tx)
	return tx
}

// Load returns a lane's progress.
func (s *Store) Load(ctx context.Context, stream string, lane int) (p ministry.Progress, err error) {
	var rejected []byte
	err = s.db.QueryRow(ctx, `select generation, last, answered, rejected from tellonce_lanes where stream = $1 and lane = $2`, stream, lane).
		Scan(&p.Generation, &p.Last, &p.Answered, &rejected)
	if errors.Is(err, pgx.ErrNoRows) {
		return ministry.Progress{}, nil
	}
	if err == nil {
		err = json.Unmarshal(rejected, &p.Rejected)
	}
	return p, wrap(err)
}

// Save moves a lane on and runs work, in one transaction. If the process dies in here, or the answer to the commit is lost, the next Load says
// what stands.
func (s *Store) Save(ctx context.Context, stream string, lane int, before, after ministry.Progress, work func(context.Context) error) error {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return wrap(err)
	}
	if err := save(ctx, tx, stream, lane, before, after, work); err != nil {
		rollback := tx.Rollback(context.WithoutCancel(ctx))
		if errors.Is(rollback, pgx.ErrTxClosed) {
			rollback = nil
		}
		return errors.Join(err, wrap(rollback))
	}
	return wrap(tx.Commit(ctx))
}

func save(ctx context.Context, tx pgx.Tx, stream string, lane int, before, after ministry.Progress, work func(context.Context) error) error {
	was, err := encode(before.Rejected)
	if err != nil {
		return err
	}
	is, err := encode(after.Rejected)
	if err != nil {
		return err
	}
	var tag pgconn.CommandTag
	if before.Equal(ministry.Progress{}) {
		tag, err = tx.Exec(ctx, `insert into tellonce_lanes (stream, lane, generation, last, answered, rejected) values ($1, $2, $3, $4, $5, $6)
			on conflict do nothing`, stream, lane, after.Generation, after.Last, after.Answered, is)
	} else {
		tag, err = tx.Exec(ctx, `update tellonce_lanes set generation = $3, last = $4, answered = $5, rejected = $6
			where stream = $1 and lane = $2 and generation = $7 and last = $8 and answered = $9 and rejected = $10`,
			stream, lane, after.Generation, after.Last, after.Answered, is, before.Generation, before.Last, before.Answered, was)
	}
	if err != nil {
		return wrap(err)
	}
	if tag.RowsAffected() == 0 {
		return ministry.ErrMoved
	}
	if work == nil {
		return nil
	}
	return work(context.WithValue(ctx, transaction{}, tx))
}

func encode(rejected []ministry.RejectedNumber) ([]byte, error) {
	if rejected == nil {
		rejected = []ministry.RejectedNumber{}
	}
	text, err := json.Marshal(rejected)
	return text, wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pgxstore: %w", err)
}
