package seal

import (
	"context"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// KeyID names a citizen's data key: one per retention class. Class Public (0) names the citizen's pairwise secret instead. The zero
// KeyID names nothing: the hub has no pairwise secret.
type KeyID struct {
	Subject uuid.UUID
	Class   eventstore.Class
}

// StoredKey is a wrapped key at rest. Ref is the record's key reference (unique, > 0).
type StoredKey struct {
	KeyID
	Ref       int64
	Epoch     int32  // of the wrapping key; 0 with Destroyed
	Wrapped   []byte // nil with Destroyed
	Destroyed bool   // a tombstone: the key was erased and never comes back
}

// Rewrap asks for a stored key to be wrapped anew, provided that Old is how it is wrapped at that moment.
type Rewrap struct {
	KeyID
	Old     []byte
	Epoch   int32 // of Wrapped
	Wrapped []byte
}

// KeyStore keeps wrapped keys and keyed references, apart from the log and its backups. Each call that changes something is durable when
// it returns, and all or none.
type KeyStore interface {
	DataKeys
	ReferenceStore
	SecretStore
	EpochStore
}

// DataKeys keeps the citizens' keys.
type DataKeys interface {
	// Keys returns what is stored for each id; Ref 0 where there is nothing.
	Keys(ctx context.Context, ids ...KeyID) ([]StoredKey, error)
	// PutKeys stores each key unless its id has one (or a tombstone) already, and returns what stands (the first writer's), with Ref given
	// by the store. ErrStaleEpoch, with nothing stored, if a key that would be stored is wrapped under an epoch earlier than RaiseEpoch's.
	PutKeys(ctx context.Context, keys ...StoredKey) ([]StoredKey, error)
	// DestroyKeys puts a tombstone in each key's place, and where there never was a key, so that none is ever made. It returns the
	// tombstones; those that stood already are the same. No later read sees the wrapped bytes.
	DestroyKeys(ctx context.Context, ids ...KeyID) ([]StoredKey, error)
	// Tombstones returns at most limit tombstones whose id comes after the given one, by subject, then class.
	Tombstones(ctx context.Context, after KeyID, limit int) ([]StoredKey, error)
}

// ReferenceStore keeps which citizen stands behind a keyed hash of a source's reference.
type ReferenceStore interface {
	// References returns the citizen of each keyed reference hash, uuid.Nil where unknown.
	References(ctx context.Context, hashes ...[32]byte) ([]uuid.UUID, error)
	// PutReferences stores hash → citizen unless the hash is known, and returns what stands. hashes[i] belongs to citizens[i].
	PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error)
	// MoveReferences makes all references of one citizen lead to another, or removes them where to is uuid.Nil, and returns how many
	// there were.
	MoveReferences(ctx context.Context, from, to uuid.UUID) (int, error)
}

// SecretStore keeps the hub's own secrets by name.
type SecretStore interface {
	// Secret returns the store's named random secret (wrapped), making it with make() on first use; the first writer's stands.
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
	// ReplaceSecret puts fresh in a secret's place, provided that old stands there at that moment, and returns whether it did.
	ReplaceSecret(ctx context.Context, name string, old, fresh []byte) (bool, error)
}

// EpochStore wraps anew what is stored while others read and write.
type EpochStore interface {
	// RaiseEpoch closes all earlier epochs: once it has returned, no key under one of them is stored any more, whoever began to store it.
	// It never goes back: ErrStaleEpoch if a later one was raised.
	RaiseEpoch(ctx context.Context, epoch int32) error
	// Epochs returns how many keys stand under each epoch, tombstones aside.
	Epochs(ctx context.Context) (map[int32]int64, error)
	// KeysBefore returns about limit keys wrapped before epoch, tombstones aside, and where to go on: after is 0 at first, next is 0 at
	// the end. A page may be empty before the end. A key that is stored or wrapped anew meanwhile may come or not.
	KeysBefore(ctx context.Context, epoch int32, after int64, limit int) (keys []StoredKey, next int64, err error)
	// RewrapKeys replaces those whose Old still stands, and returns how many. A tombstone stays one, and nothing is replaced by a key of a
	// closed epoch. No later read sees the old bytes.
	RewrapKeys(ctx context.Context, keys ...Rewrap) (int, error)
}

// KeyWrapper wraps data keys under an epoch key that lives outside the key store (a file first, an HSM later). Safe for concurrent use.
type KeyWrapper interface {
	// Epoch is the newest epoch known, under which new keys are wrapped.
	Epoch() int32
	// Wrap seals key and says under which epoch; aad must be the same when it is unwrapped.
	Wrap(aad, key []byte) (epoch int32, wrapped []byte, err error)
	// Unwrap opens what Wrap sealed under epoch. A wrapper that does not know the epoch looks for it first, as Refresh does.
	Unwrap(epoch int32, aad, wrapped []byte) (key []byte, err error)
	// Refresh learns which epochs there are now.
	Refresh() error
}
