package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// keysPerBlock is about how many rows of data_key lie in one block of 8 KiB.
const keysPerBlock = 64

// keysRotation holds the statements of erasing and rotating, with the schema's name.
type keysRotation struct {
	dataKey, layout                                                                      string
	destroy, tombstones, moveRefs, removeRefs, replaceSecret, epochs, keysBefore, rewrap string
}

func newKeysRotation(in func(table string) string) keysRotation {
	const scanned = `SELECT subject, class, ref, epoch, wrapped, destroyed FROM `
	return keysRotation{
		dataKey: in("data_key"), layout: in("layout"),
		// In the order of the primary key, as putKeys.
		destroy: `INSERT INTO ` + in("data_key") + ` AS k (subject, class, epoch, wrapped, destroyed)
			SELECT DISTINCT subject, class, 0, NULL::bytea, true FROM unnest($1::uuid[], $2::smallint[]) AS q (subject, class) ORDER BY subject, class
			ON CONFLICT (subject, class) DO UPDATE SET epoch = 0, wrapped = NULL, destroyed = true
			RETURNING k.subject, k.class, k.ref, k.epoch, k.wrapped, k.destroyed`,
		tombstones:    scanned + in("data_key") + ` WHERE destroyed AND (subject, class) > ($1, $2) ORDER BY subject, class LIMIT $3`,
		moveRefs:      `UPDATE ` + in("reference") + ` SET citizen = $2 WHERE citizen = $1`,
		removeRefs:    `DELETE FROM ` + in("reference") + ` WHERE citizen = $1`,
		replaceSecret: `UPDATE ` + in("secret") + ` SET value = $3 WHERE name = $1 AND value = $2`,
		epochs:        `SELECT epoch, count(*) FROM ` + in("data_key") + ` WHERE NOT destroyed GROUP BY epoch`,
		keysBefore:    scanned + in("data_key") + ` WHERE ctid >= $1 AND ctid < $2 AND epoch < $3 AND NOT destroyed`,
		// Locked in the order of the primary key before any is changed, as putKeys and destroy do. A row that changed while we waited is
		// looked at again: it is no longer what was read, and is left alone.
		rewrap: `WITH held AS (
				SELECT k.subject, k.class, q.epoch, q.wrapped
				FROM unnest($1::uuid[], $2::smallint[], $3::bytea[], $4::integer[], $5::bytea[]) AS q (subject, class, old, epoch, wrapped)
				JOIN ` + in("data_key") + ` k ON k.subject = q.subject AND k.class = q.class AND k.wrapped = q.old
				WHERE q.epoch >= (SELECT first_epoch FROM ` + in("layout") + `)
				ORDER BY k.subject, k.class FOR UPDATE OF k)
			UPDATE ` + in("data_key") + ` k SET epoch = held.epoch, wrapped = held.wrapped FROM held
			WHERE k.subject = held.subject AND k.class = held.class`,
	}
}

// DestroyKeys puts tombstones in the keys' places: the key store, unlike the log, is updated.
//
// From its return on no query sees the wrapped bytes, but PostgreSQL keeps them for a while: the old version of the row lies in the
// table's file until VACUUM has removed it and the space is used again (VACUUM FULL rewrites the file), in the write-ahead log until it is
// recycled, and in every base backup and WAL archive until those are deleted. All of these hold the key only as it was wrapped, under the
// epoch of that time: once that epoch has been rotated and retired, and no copy of its wrapping key is left, they open nothing. A
// deployment that rotates within its 35 days bounds an erasure by that, whatever its backups keep.
func (k *Keys) DestroyKeys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	subjects, classes := make([][16]byte, len(ids)), make([]int16, len(ids))
	for i, id := range ids {
		subjects[i], classes[i] = id.Subject, int16(id.Class)
	}
	stones, err := k.scanKeys(ctx, k.destroy, subjects, classes)
	if err != nil {
		return nil, failed("destroy keys", err)
	}
	byID := make(map[seal.KeyID]seal.StoredKey, len(stones))
	for _, stone := range stones {
		byID[stone.KeyID] = stone
	}
	out := make([]seal.StoredKey, len(ids))
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out, nil
}

// Tombstones returns a page of destroyed keys.
func (k *Keys) Tombstones(ctx context.Context, after seal.KeyID, limit int) ([]seal.StoredKey, error) {
	stones, err := k.scanKeys(ctx, k.tombstones, after.Subject, int16(after.Class), limit)
	if err != nil {
		return nil, failed("read tombstones", err)
	}
	return stones, nil
}

// scanKeys runs a statement that returns whole rows.
func (k *Keys) scanKeys(ctx context.Context, sql string, args ...any) ([]seal.StoredKey, error) {
	rows, err := k.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (key seal.StoredKey, err error) {
		var subject [16]byte
		var class int16
		err = row.Scan(&subject, &class, &key.Ref, &key.Epoch, &key.Wrapped, &key.Destroyed)
		key.Subject, key.Class = subject, eventstore.Class(class)
		return key, err
	})
}

// MoveReferences makes all references of one citizen lead to another, or removes them.
func (k *Keys) MoveReferences(ctx context.Context, from, to uuid.UUID) (int, error) {
	sql, args := k.moveRefs, []any{[16]byte(from), [16]byte(to)}
	if to == uuid.Nil {
		sql, args = k.removeRefs, args[:1]
	}
	tag, err := k.pool.Exec(ctx, sql, args...)
	if err != nil {
		return 0, failed("move references", err)
	}
	return int(tag.RowsAffected()), nil
}

// ReplaceSecret puts fresh in a secret's place if old still stands there.
func (k *Keys) ReplaceSecret(ctx context.Context, name string, old, fresh []byte) (bool, error) {
	tag, err := k.pool.Exec(ctx, k.replaceSecret, name, old, fresh)
	if err != nil {
		return false, failed("replace a secret", err)
	}
	return tag.RowsAffected() > 0, nil
}

// RaiseEpoch closes all earlier epochs. Its lock waits for the statements that are storing keys, and those that come wait for it and see
// what it did.
func (k *Keys) RaiseEpoch(ctx context.Context, epoch int32) error {
	err := pgx.BeginFunc(ctx, k.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE `+k.dataKey+` IN SHARE MODE`); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE `+k.layout+` SET first_epoch = $1 WHERE first_epoch <= $1`, epoch)
		if err == nil && tag.RowsAffected() == 0 {
			return seal.ErrStaleEpoch
		}
		return err
	})
	if err != nil {
		return failed("raise the epoch", err)
	}
	return nil
}

// Epochs counts the keys of each epoch.
func (k *Keys) Epochs(ctx context.Context) (map[int32]int64, error) {
	rows, err := k.pool.Query(ctx, k.epochs)
	if err != nil {
		return nil, failed("count the keys of each epoch", err)
	}
	out := make(map[int32]int64)
	var epoch int32
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&epoch, &n}, func() error {
		out[epoch] = n
		return nil
	})
	if err != nil {
		return nil, failed("count the keys of each epoch", err)
	}
	return out, nil
}

// KeysBefore returns a page of keys of earlier epochs, as they lie in the table: after is a block. So a rotation that goes on after a
// crash passes over what is done as fast as it can read, and writes to a block once. A row that moves to another block on the way was
// written anew, and is of the later epoch.
func (k *Keys) KeysBefore(ctx context.Context, epoch int32, after int64, limit int) (keys []seal.StoredKey, next int64, err error) {
	var blocks int64
	const size = `SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint`
	if err := k.pool.QueryRow(ctx, size, k.dataKey).Scan(&blocks); err != nil {
		return nil, 0, failed("read keys of earlier epochs", err)
	}
	next = min(after+max(1, int64(limit)/keysPerBlock), blocks)
	if keys, err = k.scanKeys(ctx, k.keysBefore, block(after), block(next), epoch); err != nil {
		return nil, 0, failed("read keys of earlier epochs", err)
	}
	if next == blocks {
		next = 0
	}
	return keys, next, nil
}

// block is the place before the first row of a block.
func block(n int64) pgtype.TID {
	return pgtype.TID{BlockNumber: uint32(n), Valid: true} // #nosec G115 -- PostgreSQL's own limit: a table has fewer than 2³² blocks
}

// RewrapKeys replaces those that still are what was read. What PostgreSQL keeps of the old bytes is as with DestroyKeys.
func (k *Keys) RewrapKeys(ctx context.Context, keys ...seal.Rewrap) (int, error) {
	n := len(keys)
	subjects, classes, epochs := make([][16]byte, n), make([]int16, n), make([]int32, n)
	old, wrapped := make([][]byte, n), make([][]byte, n)
	for i, key := range keys {
		subjects[i], classes[i], old[i], epochs[i], wrapped[i] = key.Subject, int16(key.Class), key.Old, key.Epoch, key.Wrapped
	}
	tag, err := k.pool.Exec(ctx, k.rewrap, subjects, classes, old, epochs, wrapped)
	if err != nil {
		return 0, failed("store keys that were wrapped anew", err)
	}
	return int(tag.RowsAffected()), nil
}
