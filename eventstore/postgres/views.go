package postgres

import (
	"context"

	"github.com/tellonce/hub/eventstore"
)

const (
	getSQL = `SELECT k.n, v.value FROM unnest($2::bytea[]) WITH ORDINALITY k (key, n) JOIN views v ON v.view = $1 AND v.key = k.key`
	// $3 NULL: no upper bound. $4 NULL: no limit.
	scanSQL        = `SELECT key, value FROM views WHERE view = $1 AND key >= $2 AND ($3::bytea IS NULL OR key < $3) ORDER BY key LIMIT $4`
	scanReverseSQL = `SELECT key, value FROM views WHERE view = $1 AND key >= $2 AND ($3::bytea IS NULL OR key < $3) ORDER BY key DESC LIMIT $4`

	checkpointSQL = `SELECT position FROM checkpoints WHERE view = $1`
	// A new view stands at 0 and has no row.
	beginSQL = `INSERT INTO checkpoints (view, position) VALUES ($1, 0) ON CONFLICT (view) DO NOTHING`
	// A fold in one round trip. It need not wait for the disk: all of it can be folded again, and no later record is durable before it is.
	foldSQL = `WITH moved AS (UPDATE checkpoints SET position = $3 WHERE view = $1 AND position = $2 RETURNING position),
		` + rowsSQL + ` SELECT set_config('synchronous_commit', 'off', true) FROM moved`
	// Rows beside a fold, while nobody moves the checkpoint: a view that has no row there stands at 0.
	besideSQL = `WITH stood AS (SELECT position FROM checkpoints WHERE view = $1 FOR SHARE),
		moved AS (SELECT 1 WHERE coalesce((SELECT position FROM stood), 0) = $2 AND $2 = $3::bigint),
		` + rowsSQL + ` SELECT 1 FROM moved`
	rowsSQL = `written AS (INSERT INTO views SELECT r.* FROM unnest($4::text[], $5::bytea[], $6::bytea[]) r WHERE EXISTS (SELECT FROM moved)
			ON CONFLICT (view, key) DO UPDATE SET value = excluded.value),
		deleted AS (DELETE FROM views v USING unnest($7::text[], $8::bytea[]) r (view, key)
			WHERE v.view = r.view AND v.key = r.key AND EXISTS (SELECT FROM moved))`
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

// Commit writes rows (of this view or others) and moves the checkpoint from `from` to `to` in one transaction; from == to only writes rows. If
// the connection breaks nobody knows whether it happened: the caller reads the checkpoint again before it folds on.
func (s *Store) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	args, sql := []any{view, from, to}, foldSQL
	switch {
	case from == to:
		sql = besideSQL
	case from == 0:
		if _, err := s.query(ctx, "begin a view", func([][]byte) {}, beginSQL, view); err != nil {
			return err
		}
	}
	n, err := s.query(ctx, "commit a view", func([][]byte) {}, sql, append(args, rowArgs(rows)...)...)
	if err == nil && n == 0 {
		return &eventstore.Conflict{Kind: eventstore.ConflictView}
	}
	return err
}

// rowArgs are the rows to set and to delete; of one that is named twice the last stands.
func rowArgs(rows []eventstore.Row) []any {
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
	return []any{set.views, set.keys, set.values, deleted.views, deleted.keys}
}

// Drop removes a view's rows and checkpoint.
func (s *Store) Drop(ctx context.Context, view string) error {
	const sql = `WITH rows AS (DELETE FROM views WHERE view = $1) DELETE FROM checkpoints WHERE view = $1`
	if err := s.check(ctx); err != nil {
		return err
	}
	if _, err := s.pool.Pool.Exec(ctx, sql, view); err != nil { // as long as it takes
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
