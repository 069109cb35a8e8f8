package seal

import (
	"context"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// KeyID names a citizen's data key: one per retention class. Class Public (0) names the citizen's pairwise secret instead.
type KeyID struct {
	Subject uuid.UUID
	Class   eventstore.Class
}

// StoredKey is a wrapped key at rest. Ref is the record's key reference (unique, > 0).
type StoredKey struct {
	KeyID
	Ref       int64
	Epoch     int32  // of the wrapping key
	Wrapped   []byte // nil with Destroyed
	Destroyed bool   // a tombstone: the key was erased and never comes back
}

// KeyStore keeps wrapped keys and keyed references, apart from the log and its backups.
type KeyStore interface {
	// Keys returns what is stored for each id; Ref 0 where there is nothing.
	Keys(ctx context.Context, ids ...KeyID) ([]StoredKey, error)
	// PutKeys stores each key unless its id has one already, durably, and returns what stands (the first writer's), with Ref given by
	// the store.
	PutKeys(ctx context.Context, keys ...StoredKey) ([]StoredKey, error)
	// References returns the citizen of each keyed reference hash, uuid.Nil where unknown.
	References(ctx context.Context, hashes ...[32]byte) ([]uuid.UUID, error)
	// PutReferences stores hash → citizen unless the hash is known, and returns what stands. hashes[i] belongs to citizens[i].
	PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error)
	// Secret returns the store's named random secret (wrapped), making it with make() on first use; the first writer's stands.
	Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error)
}

// KeyWrapper wraps data keys under an epoch key that lives outside the key store (a file first, an HSM later).
type KeyWrapper interface {
	// Epoch is the epoch under which new keys are wrapped.
	Epoch() int32
	Wrap(aad, key []byte) (wrapped []byte, err error)
	Unwrap(epoch int32, aad, wrapped []byte) (key []byte, err error)
}
