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
	standsSQL = `SELECT position FROM checkpoints WHERE view = $1 FOR SHARE`
	upsertSQL = `INSERT INTO views SELECT r.* FROM unnest($1::text[], $2::bytea[], $3::bytea[]) r
		ON CONFLICT (view, key) DO UPDATE SET value = excluded.value`
	deleteSQL = `DELETE FROM views v USING unnest($1::text[], $2::bytea[]) r (view, key) WHERE v.view = r.view AND v.key = r.key`
)

// Get returns the values in the order of keys; nil where there is none.
func (s *Store) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, s.check(ctx)
	}
	asked := make([][]byte, len(keys))
	for i, key := range keys {
		asked[i] = notNull(key)
	}
	out := make([][]byte, len(keys))
	_, err := s.query(ctx, "read a view", func(columns [][]byte) {
		out[int8Of(columns[0])-1] = append([]byte{}, columns[1]...)
	}, getSQL, view, asked)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Scan returns up to limit rows (0: all) with from ≤ key < to (nil to: no upper bound) in key order, or in reverse.
func (s *Store) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	var most any
	if limit > 0 {
		most = int64(limit)
	}
	sql := scanSQL
	if reverse {
		sql = scanReverseSQL
	}
	var out []eventstore.Row
	_, err := s.query(ctx, "scan a view", func(columns [][]byte) {
		out = append(out, eventstore.Row{View: view, Key: append([]byte{}, columns[0]...), Value: append([]byte{}, columns[1]...)})
	}, sql, view, notNull(from), to, most)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Checkpoint returns the position of the next record to fold; 0 for a new view.
func (s *Store) Checkpoint(ctx context.Context, view string) (position int64, err error) {
	_, err = s.query(ctx, "read a checkpoint", func(columns [][]byte) { position = int8Of(columns[0]) }, checkpointSQL, view)
	return position, err
}

// Commit writes rows (of this view or others) and moves the checkpoint from `from` to `to` in one transaction; from == to only writes rows.
func (s *Store) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil && broken(err) && ctx.Err() == nil {
		s.pool.Reset() // nothing has been done yet: once more, on a live connection
		tx, err = s.pool.Begin(ctx)
	}
	if err == nil {
		err = commitView(ctx, tx, view, from, to, rows)
	}
	if err == nil || errors.Is(err, eventstore.ErrConflict) {
		return err
	}
	return s.failed("commit a view", err)
}

// commitView ends tx in any case. If the connection breaks at the commit nobody knows whether it happened: the caller reads the
// checkpoint again before it folds on.
func commitView(ctx context.Context, tx pgx.Tx, view string, from, to int64, rows []eventstore.Row) error {
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after the commit it does nothing
	if err := moveCheckpoint(ctx, tx, view, from, to); err != nil {
		return err
	}
	if err := writeRows(ctx, tx, rows); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func moveCheckpoint(ctx context.Context, tx pgx.Tx, view string, from, to int64) error {
	if from == to {
		var at int64 // a new view stands at 0
		if err := tx.QueryRow(ctx, standsSQL, view).Scan(&at); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if at != from {
			return &eventstore.Conflict{Kind: eventstore.ConflictView}
		}
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

// writeRows sets and deletes rows; of one that is named twice the last stands.
func writeRows(ctx context.Context, tx pgx.Tx, rows []eventstore.Row) error {
	type name struct{ view, key string }
	last := make(map[name]int, len(rows))
	for i := range rows {
		last[name{rows[i].View, string(rows[i].Key)}] = i
	}
	var set, deleted struct {
		views        []string
		keys, values [][]byte
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case last[name{r.View, string(r.Key)}] != i: // set again further on
		case r.Value == nil:
			deleted.views, deleted.keys = append(deleted.views, r.View), append(deleted.keys, notNull(r.Key))
		default:
			set.views, set.keys, set.values = append(set.views, r.View), append(set.keys, notNull(r.Key)), append(set.values, r.Value)
		}
	}
	if len(set.keys) > 0 {
		if _, err := tx.Exec(ctx, upsertSQL, set.views, set.keys, set.values); err != nil {
			return err
		}
	}
	if len(deleted.keys) > 0 {
		if _, err := tx.Exec(ctx, deleteSQL, deleted.views, deleted.keys); err != nil {
			return err
		}
	}
	return nil
}

// Drop removes a view's rows and checkpoint.
func (s *Store) Drop(ctx context.Context, view string) error {
	const sql = `WITH rows AS (DELETE FROM views WHERE view = $1) DELETE FROM checkpoints WHERE view = $1`
	_, err := s.query(ctx, "drop a view", func([][]byte) {}, sql, view)
	return err
}

// notNull makes the empty key of a nil slice.
func notNull(key []byte) []byte {
	if key == nil {
		return []byte{}
	}
	return key
}
