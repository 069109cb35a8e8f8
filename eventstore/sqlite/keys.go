package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"

	"github.com/tellonce/hub/eventstore/seal"
)

// KeysFile is the name of the key store's database within the keys directory.
const KeysFile = "keys.db"

// keysVersion is the layout of the key store's tables, kept as the database's user_version.
const keysVersion = 2

// keysBusy is how long a writer waits for another process's.
const keysBusy = 10 * time.Second

// A data key's row keeps its length for ever: `wrapped` is the epoch (4 bytes, big-endian) and the wrapped key, and zeros of the same
// length once it is destroyed. SQLite then writes the new bytes over the old ones where they stand; a row that shrank or grew might be
// moved, and leave bytes behind.
const keysSchema = `
CREATE TABLE data_key (
	ref       INTEGER PRIMARY KEY,
	subject   BLOB    NOT NULL,
	class     INTEGER NOT NULL,
	wrapped   BLOB    NOT NULL,
	destroyed INTEGER NOT NULL,
	UNIQUE (subject, class)
) STRICT;
CREATE INDEX tombstone ON data_key (subject, class) WHERE destroyed = 1;
CREATE TABLE reference (
	hash    BLOB PRIMARY KEY,
	citizen BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_citizen ON reference (citizen);
CREATE TABLE secret (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE first_epoch (epoch INTEGER NOT NULL) STRICT;
INSERT INTO first_epoch VALUES (0);
`

// keysFrom1 brings version 1, where the epoch was a column of its own, to keysSchema's tables.
const keysFrom1 = `
ALTER TABLE data_key RENAME TO data_key_1;
ALTER TABLE reference RENAME TO reference_1;
ALTER TABLE secret RENAME TO secret_1;
` + keysSchema + `
INSERT INTO data_key SELECT ref, subject, class, CAST(unhex(printf('%08x', epoch)) || coalesce(wrapped, zeroblob(60)) AS BLOB), destroyed
	FROM data_key_1 ORDER BY ref;
INSERT INTO reference SELECT hash, citizen FROM reference_1;
INSERT INTO secret SELECT name, value FROM secret_1;
DROP TABLE data_key_1;
DROP TABLE reference_1;
DROP TABLE secret_1;
`

// Keys is the key store in a database file of its own, apart from the log and its backups. Several processes may share it. Safe for
// concurrent use.
type Keys struct {
	read, write keysConn
}

var _ seal.KeyStore = (*Keys)(nil)

// OpenKeys opens the key store in the directory dir, which exists, making its file (only its owner may read it) on first use.
// eventstore.ErrStoreVersion if another version of this program made it.
func OpenKeys(ctx context.Context, dir string) (*Keys, error) {
	path := filepath.Join(dir, KeysFile)
	// SQLite would make the file as the umask says.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the operator's own path
	if err != nil {
		return nil, fmt.Errorf("sqlite: open the key store: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("sqlite: open the key store: %w", err)
	}
	k := &Keys{}
	for _, c := range []*keysConn{&k.write, &k.read} {
		if err := c.open(ctx, path); err != nil {
			return nil, errors.Join(fmt.Errorf("sqlite: open the key store %s: %w", path, err), k.Close())
		}
	}
	return k, nil
}

// Close closes the connections, after the calls under way.
func (k *Keys) Close() error { return errors.Join(k.read.close(), k.write.close()) }

// Keys returns what is stored for each id; Ref 0 where there is nothing.
func (k *Keys) Keys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	out := make([]seal.StoredKey, len(ids))
	err := k.read.snapshot(ctx, func(c *keysConn) error {
		for i, id := range ids {
			found, err := c.key(id)
			if err != nil {
				return err
			}
			out[i] = found
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: read keys: %w", err)
	}
	return out, nil
}

// PutKeys stores each key unless its id has one already, in one transaction, and returns what stands.
func (k *Keys) PutKeys(ctx context.Context, keys ...seal.StoredKey) ([]seal.StoredKey, error) {
	out := make([]seal.StoredKey, len(keys))
	err := k.write.transaction(ctx, func(c *keysConn) error {
		first, err := c.firstEpoch()
		if err != nil {
			return err
		}
		for i, key := range keys {
			stands, stored, err := c.putKey(key)
			if err != nil {
				return err
			}
			if stored && key.Epoch < first {
				return seal.ErrStaleEpoch
			}
			out[i] = stands
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: store keys: %w", err)
	}
	return out, nil
}

// References returns the citizen of each keyed reference hash, uuid.Nil where unknown.
func (k *Keys) References(ctx context.Context, hashes ...[32]byte) ([]uuid.UUID, error) {
	out := make([]uuid.UUID, len(hashes))
	err := k.read.snapshot(ctx, func(c *keysConn) error {
		for i := range hashes {
			citizen, err := c.reference(hashes[i])
			if err != nil {
				return err
			}
			out[i] = citizen
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: look up references: %w", err)
	}
	return out, nil
}

// PutReferences stores hash → citizen unless the hash is known, in one transaction, and returns what stands.
func (k *Keys) PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error) {
	if len(hashes) != len(citizens) {
		return nil, fmt.Errorf("sqlite: %d reference hashes for %d citizens", len(hashes), len(citizens))
	}
	out := make([]uuid.UUID, len(hashes))
	err := k.write.transaction(ctx, func(c *keysConn) error {
		for i := range hashes {
			stands, err := c.putReference(hashes[i], citizens[i])
			if err != nil {
				return err
			}
			out[i] = stands
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: store references: %w", err)
	}
	return out, nil
}

// Secret returns the named secret, making it with make on first use. An error of make is returned as it is, and nothing is stored.
func (k *Keys) Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	var value []byte
	err := k.write.transaction(ctx, func(c *keysConn) error {
		var err error
		if value, err = c.secret(name); err != nil || value != nil {
			return err
		}
		if value, err = make(); err != nil {
			return err
		}
		return c.exec(`INSERT INTO secret (name, value) VALUES (?, ?)`, name, value)
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: read a secret: %w", err)
	}
	return value, nil
}

func (c *keysConn) key(id seal.KeyID) (seal.StoredKey, error) {
	out := seal.StoredKey{KeyID: id}
	_, err := c.row(func(s *sqlite3.Stmt) { readKey(s, &out) },
		`SELECT ref, wrapped, destroyed FROM data_key WHERE subject = ? AND class = ?`, id.Subject[:], int64(id.Class))
	return out, err
}

// readKey reads ref, wrapped and destroyed, the first columns of a row.
func readKey(s *sqlite3.Stmt, key *seal.StoredKey) {
	key.Ref = s.ColumnInt64(0)
	if key.Destroyed = s.ColumnBool(2); !key.Destroyed {
		key.Epoch, key.Wrapped = unpackKey(s.ColumnBlob(1, []byte{}))
	}
}

// packKey is what a row holds of a wrapped key.
func packKey(epoch int32, wrapped []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(wrapped)), uint32(epoch)), wrapped...) // #nosec G115 -- unpackKey's
}

func unpackKey(packed []byte) (epoch int32, wrapped []byte) {
	if len(packed) < 4 {
		return 0, nil
	}
	return int32(binary.BigEndian.Uint32(packed)), packed[4:] // #nosec G115 -- as packKey wrote it
}

func (c *keysConn) putKey(key seal.StoredKey) (stands seal.StoredKey, stored bool, err error) {
	stands = key
	stored, err = c.row(func(s *sqlite3.Stmt) { stands.Ref = s.ColumnInt64(0) },
		`INSERT INTO data_key (subject, class, wrapped, destroyed) VALUES (?, ?, ?, 0) ON CONFLICT (subject, class) DO NOTHING RETURNING ref`,
		key.Subject[:], int64(key.Class), packKey(key.Epoch, key.Wrapped))
	if err != nil || stored {
		return stands, stored, err
	}
	stands, err = c.key(key.KeyID)
	return stands, false, err
}

func (c *keysConn) reference(hash [32]byte) (citizen uuid.UUID, err error) {
	_, err = c.row(func(s *sqlite3.Stmt) { copy(citizen[:], s.ColumnRawBlob(0)) }, `SELECT citizen FROM reference WHERE hash = ?`, hash[:])
	return citizen, err
}

func (c *keysConn) putReference(hash [32]byte, citizen uuid.UUID) (uuid.UUID, error) {
	stored, err := c.row(func(*sqlite3.Stmt) {}, `INSERT INTO reference (hash, citizen) VALUES (?, ?)
		ON CONFLICT (hash) DO NOTHING RETURNING 1`, hash[:], citizen[:])
	if err != nil || stored {
		return citizen, err
	}
	return c.reference(hash)
}

func (c *keysConn) secret(name string) (value []byte, err error) {
	_, err = c.row(func(s *sqlite3.Stmt) { value = s.ColumnBlob(0, []byte{}) }, `SELECT value FROM secret WHERE name = ?`, name)
	return value, err
}
