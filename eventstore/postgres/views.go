package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tellonce/hub/eventstore"
)

const (
	getSQL = `SELECT k.n, v.value FROM unnest($2::bytea[]) WITH ORDINALITY k (key, n) JOIN views v ON v.view = $1 AND v.key = k.key`
	// $3 NULL: no upper bound. $4 NULL: no limit.
	scanSQL        = `SELECT key, value FROM views WHERE view = $1 AND key >= $2 AND ($3::bytea IS NULL OR key < $3) ORDER BY key LIMIT $4`
	scanReverseSQL = `SELECT key, value FROM views WHERE view = $1 AND key >= $2 AND ($3::bytea IS NULL OR key < $3) ORDER BY key DESC LIMIT $4`

	checkpointSQL = `SELECT position FROM checkpoints WHERE view = $1`
	// A new view stands at 0 and has no row.
	beginSQL  = `INSERT INTO checkpoints (view, position) VALUES ($1, 0) ON CONFLICT (view) DO NOTHING`
	moveSQL   = `UPDATE checkpoints SET position = $3 WHERE view = $1 AND position = $2`
	upsertSQL = `INSERT INTO views SELECT $1, r.* FROM unnest($2::bytea[], $3::bytea[]) r
		ON CONFLICT (view, key) DO UPDATE SET value = excluded.value`
	deleteSQL = `DELETE FROM views v USING unnest($2::bytea[]) k (key) WHERE v.view = $1 AND v.key = k.key`
)

// Get returns the values in the order of keys; nil where there is none.
func (s *Store) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	if err := s.check(ctx); err != nil || len(keys) == 0 {
		return nil, err
	}
	asked := make([][]byte, len(keys))
	for i, key := range keys {
		asked[i] = notNull(key)
	}
	rows, err := s.pool.Query(ctx, getSQL, view, asked)
	if err != nil {
		return nil, s.failed("read a view", err)
	}
	defer rows.Close()
	out := make([][]byte, len(keys))
	for rows.Next() {
		columns := rows.RawValues()
		out[int8Of(columns[0])-1] = append([]byte{}, columns[1]...)
	}
	if err := rows.Err(); err != nil {
		return nil, s.failed("read a view", err)
	}
	return out, nil
}

// Scan returns up to limit rows (0: all) with from ≤ key < to (nil to: no upper bound) in key order, or in reverse.
func (s *Store) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	var most any
	if limit > 0 {
		most = int64(limit)
	}
	sql := scanSQL
	if reverse {
		sql = scanReverseSQL
	}
	rows, err := s.pool.Query(ctx, sql, view, notNull(from), to, most)
	if err != nil {
		return nil, s.failed("scan a view", err)
	}
	defer rows.Close()
	var out []eventstore.Row
	for rows.Next() {
		columns := rows.RawValues()
		out = append(out, eventstore.Row{View: view, Key: append([]byte{}, columns[0]...), Value: append([]byte{}, columns[1]...)})
	}
	if err := rows.Err(); err != nil {
		return nil, s.failed("scan a view", err)
	}
	return out, nil
}

// Checkpoint returns the position of the next record to fold; 0 for a new view.
func (s *Store) Checkpoint(ctx context.Context, view string) (int64, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	var position int64
	err := s.pool.QueryRow(ctx, checkpointSQL, view).Scan(&position)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, s.failed("read a checkpoint", err)
	}
	return position, nil
}

// Commit writes rows and moves the checkpoint from `from` to `to` in one transaction; from == to only writes rows.
func (s *Store) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := moveCheckpoint(ctx, tx, view, from, to); err != nil {
			return err
		}
		return writeRows(ctx, tx, view, rows)
	})
	var conflict *eventstore.Conflict
	switch {
	case err == nil || errors.As(err, &conflict):
		return err
	default:
		return s.failed("commit a view", err)
	}
}

func moveCheckpoint(ctx context.Context, tx pgx.Tx, view string, from, to int64) error {
	if from == to {
		return nil
	}
	if from == 0 {
		if _, err := tx.Exec(ctx, beginSQL, view); err != nil {
			return err
		}
	}
	moved, err := tx.Exec(ctx, moveSQL, view, from, to)
	if err == nil && moved.RowsAffected() == 0 {
		return &eventstore.Conflict{Kind: eventstore.ConflictView}
	}
	return err
}

func writeRows(ctx context.Context, tx pgx.Tx, view string, rows []eventstore.Row) error {
	last := make(map[string]int, len(rows))
	for i := range rows {
		last[string(rows[i].Key)] = i
	}
	var keys, values, deleted [][]byte
	for i := range rows {
		switch {
		case last[string(rows[i].Key)] != i: // set again further on
		case rows[i].Value == nil:
			deleted = append(deleted, notNull(rows[i].Key))
		default:
			keys, values = append(keys, notNull(rows[i].Key)), append(values, rows[i].Value)
		}
	}
	if len(keys) > 0 {
		if _, err := tx.Exec(ctx, upsertSQL, view, keys, values); err != nil {
			return err
		}
	}
	if len(deleted) > 0 {
		if _, err := tx.Exec(ctx, deleteSQL, view, deleted); err != nil {
			return err
		}
	}
	return nil
}

// Drop removes a view's rows and checkpoint.
func (s *Store) Drop(ctx context.Context, view string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	const sql = `WITH rows AS (DELETE FROM views WHERE view = $1) DELETE FROM checkpoints WHERE view = $1`
	if _, err := s.pool.Exec(ctx, sql, view); err != nil {
		return s.failed("drop a view", err)
	}
	return nil
}

// notNull makes the empty key of a nil slice.
func notNull(key []byte) []byte {
	if key == nil {
		return []byte{}
	}
	return key
}
