package sqlite

import (
	"context"

	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
)

const (
	sqlGet           = `SELECT value FROM views WHERE view = ? AND key = ?`
	sqlScan          = `SELECT key, value FROM views WHERE view = ? AND key >= ? ORDER BY key LIMIT ?`
	sqlScanTo        = `SELECT key, value FROM views WHERE view = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`
	sqlScanReverse   = `SELECT key, value FROM views WHERE view = ? AND key >= ? ORDER BY key DESC LIMIT ?`
	sqlScanToReverse = `SELECT key, value FROM views WHERE view = ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?`
	sqlCheckpoint    = `SELECT position FROM checkpoints WHERE view = ?`
	sqlSetCheckpoint = `INSERT INTO checkpoints (view, position) VALUES (?, ?)
		ON CONFLICT (view) DO UPDATE SET position = excluded.position`
	sqlDropRows             = `DELETE FROM views WHERE view = ?`
	sqlDropCheckpoint       = `DELETE FROM checkpoints WHERE view = ?`
	unlimited         int64 = -1
)

// Get is eventstore.Views'.
func (s *Store) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	out := make([][]byte, len(keys))
	err := s.snapshot(ctx, func(c *conn) error {
		for i, key := range keys {
			err := c.query(sqlGet, func(s *sqlite3.Stmt) error {
				out[i] = append([]byte{}, s.ColumnRawBlob(0)...)
				return s.Err()
			}, view, key)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Scan is eventstore.Views'.
func (s *Store) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) (out []eventstore.Row, err error) {
	args, most := []any{view, from}, int64(limit)
	if limit <= 0 {
		most = unlimited
	}
	sql := map[bool]string{false: sqlScan, true: sqlScanReverse}[reverse]
	if to != nil {
		sql = map[bool]string{false: sqlScanTo, true: sqlScanToReverse}[reverse]
		args = append(args, to)
	}
	err = s.read(ctx, func(c *conn) error {
		return c.query(sql, func(s *sqlite3.Stmt) error {
			out = append(out, eventstore.Row{View: view, Key: s.ColumnBlob(0, []byte{}), Value: s.ColumnBlob(1, []byte{})})
			return s.Err()
		}, append(args, most)...)
	})
	return out, err
}

// Checkpoint is eventstore.Views'.
func (s *Store) Checkpoint(ctx context.Context, view string) (at int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		at, err = c.checkpoint(view)
		return err
	})
	return at, err
}

func (c *conn) checkpoint(view string) (at int64, err error) {
	err = c.query(sqlCheckpoint, func(s *sqlite3.Stmt) error { at = s.ColumnInt64(0); return nil }, view)
	return at, err
}

// Commit is eventstore.Views'. If the process dies before it returns, the view stands at from or at to, rows and checkpoint together. It is
// eventstore.ErrUnknownOutcome if the disk failed to sync.
func (s *Store) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	err := s.write(ctx, false, func(c *conn) error {
		at, err := c.checkpoint(view)
		if err != nil {
			return err
		}
		if at != from {
			return &eventstore.Conflict{Kind: eventstore.ConflictView}
		}
		if to != from {
			if err := c.exec(sqlSetCheckpoint, view, to); err != nil {
				return err
			}
		}
		return c.setRows(rows)
	})
	if err != nil {
		return err
	}
	return s.flusher.flush()
}

// Drop is eventstore.Views'.
func (s *Store) Drop(ctx context.Context, view string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	err := s.write(ctx, false, func(c *conn) error {
		if err := c.exec(sqlDropRows, view); err != nil {
			return err
		}
		return c.exec(sqlDropCheckpoint, view)
	})
	if err != nil {
		return err
	}
	return s.flusher.flush()
}
