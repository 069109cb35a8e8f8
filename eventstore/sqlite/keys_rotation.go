package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// errLeftBehind: another process's reader kept the old bytes in the files for longer than keysBusy. The same call again removes them.
var errLeftBehind = errors.New("what was replaced still stands in the write-ahead log, for another process reads: try again")

const (
	// keysPause is how long replace waits before it tries again to cut the log off.
	keysPause = 2 * time.Millisecond
	// keysCut is how long one attempt waits for readers: for so long nobody else can write.
	keysCut = 20 * time.Millisecond
)

// wrappedSize is the length of a usual wrapped key: a tombstone where there never was a key looks like any other.
const wrappedSize = 60

// DestroyKeys puts tombstones in the keys' places. The wrapped bytes are overwritten where they stand, and the write-ahead log, which
// holds earlier states of the pages, is written back and cut off before DestroyKeys returns: nothing in the files is left of them. (What
// a file system or a disk keeps of overwritten blocks is beyond SQLite; a key that is destroyed is of no use there once the epoch that
// wrapped it has been retired.)
//
// If we stop after the commit and before the log is cut off, the tombstones stand; the same call again cuts it off.
func (k *Keys) DestroyKeys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	out := make([]seal.StoredKey, len(ids))
	err := k.replace(ctx, func(c *keysConn) error {
		for i, id := range ids {
			stone, err := c.destroyKey(id)
			if err != nil {
				return err
			}
			out[i] = stone
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: destroy keys: %w", err)
	}
	return out, nil
}

func (c *keysConn) destroyKey(id seal.KeyID) (seal.StoredKey, error) {
	stone := seal.StoredKey{KeyID: id, Destroyed: true}
	_, err := c.row(func(s *sqlite3.Stmt) { stone.Ref = s.ColumnInt64(0) },
		`INSERT INTO data_key (subject, class, wrapped, destroyed) VALUES (?, ?, ?, 1)
		 ON CONFLICT (subject, class) DO UPDATE SET wrapped = zeroblob(length(wrapped)), destroyed = 1 RETURNING ref`,
		id.Subject[:], int64(id.Class), make([]byte, 4+wrappedSize))
	return stone, err
}

// Tombstones returns a page of destroyed keys.
func (k *Keys) Tombstones(ctx context.Context, after seal.KeyID, limit int) ([]seal.StoredKey, error) {
	var out []seal.StoredKey
	err := k.read.snapshot(ctx, func(c *keysConn) error {
		return c.rows(func(s *sqlite3.Stmt) { out = append(out, scanKey(s)) },
			`SELECT ref, wrapped, destroyed, subject, class FROM data_key WHERE destroyed = 1 AND (subject, class) > (?, ?)
			 ORDER BY subject, class LIMIT ?`,
			after.Subject[:], int64(after.Class), int64(limit))
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: read tombstones: %w", err)
	}
	return out, nil
}

// MoveReferences makes all references of one citizen lead to another, or removes them. Like a destroyed key, a removed reference is gone
// from the files when it returns.
func (k *Keys) MoveReferences(ctx context.Context, from, to uuid.UUID) (n int, err error) {
	err = k.replace(ctx, func(c *keysConn) error {
		move, args := `UPDATE reference SET citizen = ?2 WHERE citizen = ?1`, []any{from[:], to[:]}
		if to == uuid.Nil {
			move, args = `DELETE FROM reference WHERE citizen = ?1`, args[:1]
		}
		n, err = c.changed(move, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sqlite: move references: %w", err)
	}
	return n, nil
}

// ReplaceSecret puts fresh in a secret's place if old still stands there.
func (k *Keys) ReplaceSecret(ctx context.Context, name string, old, fresh []byte) (bool, error) {
	n := 0
	err := k.replace(ctx, func(c *keysConn) (err error) {
		n, err = c.changed(`UPDATE secret SET value = ? WHERE name = ? AND value = ?`, fresh, name, old)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sqlite: replace a secret: %w", err)
	}
	return n > 0, nil
}

// RaiseEpoch closes all earlier epochs. Writers are one after another, so none is under way behind it.
func (k *Keys) RaiseEpoch(ctx context.Context, epoch int32) error {
	err := k.write.transaction(ctx, func(c *keysConn) error {
		first, err := c.firstEpoch()
		if err != nil {
			return err
		}
		if epoch < first {
			return seal.ErrStaleEpoch
		}
		return c.exec(`UPDATE first_epoch SET epoch = ?`, int64(epoch))
	})
	if err != nil {
		return fmt.Errorf("sqlite: raise the epoch: %w", err)
	}
	return nil
}

// firstEpoch is the first that is not closed.
func (c *keysConn) firstEpoch() (first int32, err error) {
	_, err = c.row(func(s *sqlite3.Stmt) { first = int32(s.ColumnInt64(0)) }, `SELECT epoch FROM first_epoch`) // #nosec G115 -- written as int32
	return first, err
}

// Epochs counts the keys of each epoch.
func (k *Keys) Epochs(ctx context.Context) (map[int32]int64, error) {
	out := make(map[int32]int64)
	err := k.read.snapshot(ctx, func(c *keysConn) error {
		return c.rows(func(s *sqlite3.Stmt) {
			epoch, _ := unpackKey(s.ColumnRawBlob(0))
			out[epoch] = s.ColumnInt64(1)
		}, `SELECT substr(wrapped, 1, 4) AS epoch, count(*) FROM data_key WHERE destroyed = 0 GROUP BY epoch`)
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: count the keys of each epoch: %w", err)
	}
	return out, nil
}

// KeysBefore returns a page of keys of earlier epochs, as they lie in the file: after is a reference.
func (k *Keys) KeysBefore(ctx context.Context, epoch int32, after int64, limit int) (keys []seal.StoredKey, next int64, err error) {
	first := binary.BigEndian.AppendUint32(nil, uint32(epoch)) // #nosec G115 -- as packKey writes it: blobs in the order of the epochs
	err = k.read.snapshot(ctx, func(c *keysConn) error {
		return c.rows(func(s *sqlite3.Stmt) { keys = append(keys, scanKey(s)) },
			`SELECT ref, wrapped, destroyed, subject, class FROM data_key WHERE destroyed = 0 AND substr(wrapped, 1, 4) < ? AND ref > ?
			 ORDER BY ref LIMIT ?`, first, after, int64(limit))
	})
	if err != nil {
		return nil, 0, fmt.Errorf("sqlite: read keys of earlier epochs: %w", err)
	}
	if len(keys) == limit {
		next = keys[len(keys)-1].Ref
	}
	return keys, next, nil
}

// scanKey reads a row that holds its id after readKey's columns.
func scanKey(s *sqlite3.Stmt) (key seal.StoredKey) {
	readKey(s, &key)
	copy(key.Subject[:], s.ColumnRawBlob(3))
	key.Class = eventstore.Class(s.ColumnInt64(4)) // #nosec G115 -- written as int16
	return key
}

// RewrapKeys replaces those that still are what was read. The old bytes are gone from the files when it returns.
func (k *Keys) RewrapKeys(ctx context.Context, keys ...seal.Rewrap) (int, error) {
	total := 0
	err := k.replace(ctx, func(c *keysConn) error {
		total = 0
		first, err := c.firstEpoch()
		if err != nil {
			return err
		}
		for _, key := range keys {
			if key.Epoch < first {
				continue
			}
			n, err := c.changed(`UPDATE data_key SET wrapped = ? WHERE subject = ? AND class = ? AND destroyed = 0 AND substr(wrapped, 5) = ?`,
				packKey(key.Epoch, key.Wrapped), key.Subject[:], int64(key.Class), key.Old)
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("sqlite: store keys that were wrapped anew: %w", err)
	}
	return total, nil
}

// replace runs do in a transaction, then removes from the files what it overwrote.
func (k *Keys) replace(ctx context.Context, do func(*keysConn) error) error {
	if err := k.write.transaction(ctx, do); err != nil {
		return err
	}
	for deadline := time.Now().Add(keysBusy); ; {
		cut, err := k.write.truncate(ctx)
		if err != nil || cut {
			return err
		}
		if time.Now().After(deadline) {
			return errLeftBehind
		}
		select { // another connection is writing the log back; SQLite tells nobody when it is done
		case <-time.After(keysPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// truncate writes the write-ahead log back and cuts it off, unless another connection is at it or still reads it.
func (c *keysConn) truncate(ctx context.Context) (cut bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return false, eventstore.ErrClosed
	}
	old := c.conn.SetInterrupt(ctx)
	defer c.conn.SetInterrupt(old)
	if err := c.conn.BusyTimeout(keysCut); err != nil {
		return false, err
	}
	_, err = c.row(func(s *sqlite3.Stmt) { cut = !s.ColumnBool(0) }, `PRAGMA wal_checkpoint(TRUNCATE)`)
	if ctxErr := ctx.Err(); err != nil && ctxErr != nil {
		err = errors.Join(ctxErr, err)
	}
	return cut, errors.Join(err, c.conn.BusyTimeout(keysBusy))
}
