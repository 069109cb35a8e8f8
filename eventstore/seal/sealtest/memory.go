package sealtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore/seal"
)

// Memory is a key store in memory, for tests of what stands above key stores and as the sound base of broken ones. Fault plants one
// fault; the suite must find each.
type Memory struct {
	Fault Fault

	mu      sync.Mutex
	calls   int
	keys    map[seal.KeyID]seal.StoredKey
	refs    map[[32]byte]uuid.UUID
	secrets map[string][]byte
	last    int64
}

// Fault is something that a key store must not do.
type Fault string

// The faults that Memory can have.
const (
	FaultNone             Fault = ""
	FaultLastWriter       Fault = "the last writer's key stands"
	FaultSameRef          Fault = "two keys share a reference"
	FaultForgetsClass     Fault = "one key for all classes of a citizen"
	FaultDropsTombstone   Fault = "a tombstone makes way for a new key"
	FaultReversesOrder    Fault = "answers in another order than asked"
	FaultLeavesOutMissing Fault = "leaves out what is not there"
	FaultReferenceMoves   Fault = "a known reference is given to another citizen"
	FaultEchoesReference  Fault = "answers the caller's citizen instead of the one that stands"
	FaultSecretChanges    Fault = "a secret is made anew at each call"
	FaultStoresNoSecret   Fault = "a secret that could not be made stands empty"
	FaultNotDurable       Fault = "what was stored is gone when opened again"
	FaultHalfWritten      Fault = "a cancelled call stores half"
	FaultEmptyForKey      Fault = "a key comes back without its epoch"
)

// Faults returns all of them.
func Faults() []Fault {
	return []Fault{
		FaultLastWriter, FaultSameRef, FaultForgetsClass, FaultDropsTombstone, FaultReversesOrder, FaultLeavesOutMissing,
		FaultReferenceMoves, FaultEchoesReference, FaultSecretChanges, FaultStoresNoSecret, FaultNotDurable, FaultHalfWritten, FaultEmptyForKey,
	}
}

var _ seal.KeyStore = (*Memory)(nil)

// Reopen is a second opening of the same store.
func (m *Memory) Reopen() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fault == FaultNotDurable {
		return &Memory{Fault: m.Fault}
	}
	return m
}

// Calls is how often the store was called.
func (m *Memory) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Destroy puts tombstones for ids, as an erasure does, in place of their keys or where there were none.
func (m *Memory) Destroy(ids ...seal.KeyID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		key, ok := m.keys[id]
		if !ok {
			m.last++
			key = seal.StoredKey{KeyID: id, Ref: m.last}
		}
		key.Destroyed, key.Wrapped = true, nil
		m.keys[id] = key
	}
}

// Corrupt changes the wrapped key of id.
func (m *Memory) Corrupt(id seal.KeyID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := m.keys[id]
	key.Wrapped = append([]byte{}, key.Wrapped...)
	key.Wrapped[len(key.Wrapped)/2] ^= 1
	m.keys[id] = key
}

// Clone is a copy as a backup is: later changes do not show in it.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{keys: maps.Clone(m.keys), refs: maps.Clone(m.refs), secrets: maps.Clone(m.secrets), last: m.last}
}

// WithoutSecrets is a copy of the keys alone.
func (m *Memory) WithoutSecrets() *Memory {
	clone := m.Clone()
	clone.secrets = nil
	return clone
}

// Keys returns what is stored.
func (m *Memory) Keys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	out := make([]seal.StoredKey, 0, len(ids))
	for _, id := range ids {
		key := m.keys[m.id(id)]
		key.KeyID = id
		if m.Fault == FaultEmptyForKey {
			key.Epoch = 0
		}
		if m.Fault == FaultLeavesOutMissing && key.Ref == 0 {
			continue
		}
		out = append(out, key)
	}
	if m.Fault == FaultReversesOrder {
		for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	return out, nil
}

// PutKeys stores what is new.
func (m *Memory) PutKeys(ctx context.Context, keys ...seal.StoredKey) ([]seal.StoredKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if err := ctx.Err(); err != nil && m.Fault != FaultHalfWritten {
		return nil, err
	}
	if m.keys == nil {
		m.keys = make(map[seal.KeyID]seal.StoredKey)
	}
	out := make([]seal.StoredKey, 0, len(keys))
	for i, key := range keys {
		if ctx.Err() != nil && i > 0 {
			return nil, ctx.Err()
		}
		id := m.id(key.KeyID)
		old := m.keys[id]
		if old.Ref == 0 || m.Fault == FaultLastWriter || (m.Fault == FaultDropsTombstone && old.Destroyed) {
			if m.last++; m.Fault != FaultSameRef || m.last == 1 {
				old.Ref = m.last
			} else {
				old.Ref = 1
			}
			old.KeyID, old.Epoch, old.Wrapped, old.Destroyed = id, key.Epoch, key.Wrapped, key.Destroyed
			m.keys[id] = old
		}
		old.KeyID = key.KeyID
		out = append(out, old)
	}
	return out, nil
}

func (m *Memory) id(id seal.KeyID) seal.KeyID {
	if m.Fault == FaultForgetsClass {
		id.Class = 0
	}
	return id
}

// References looks hashes up.
func (m *Memory) References(ctx context.Context, hashes ...[32]byte) ([]uuid.UUID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	out := make([]uuid.UUID, len(hashes))
	for i, hash := range hashes {
		out[i] = m.refs[hash]
	}
	return out, nil
}

// PutReferences stores what is new.
func (m *Memory) PutReferences(ctx context.Context, hashes [][32]byte, citizens []uuid.UUID) ([]uuid.UUID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(hashes) != len(citizens) {
		return nil, fmt.Errorf("sealtest: %d hashes for %d citizens", len(hashes), len(citizens))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.refs == nil {
		m.refs = make(map[[32]byte]uuid.UUID)
	}
	out := make([]uuid.UUID, len(hashes))
	for i, hash := range hashes {
		if m.refs[hash] == uuid.Nil || m.Fault == FaultReferenceMoves {
			m.refs[hash] = citizens[i]
		}
		out[i] = m.refs[hash]
		if m.Fault == FaultEchoesReference {
			out[i] = citizens[i]
		}
	}
	return out, nil
}

// Secret returns or makes a named secret.
func (m *Memory) Secret(ctx context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if value, ok := m.secrets[name]; ok && m.Fault != FaultSecretChanges {
		return value, nil
	}
	value, err := make()
	if err != nil && m.Fault != FaultStoresNoSecret {
		return nil, err
	}
	if m.secrets == nil {
		m.secrets = map[string][]byte{}
	}
	m.secrets[name] = value
	return value, err
}

// Wrapper wraps keys under one random key in memory.
type Wrapper struct {
	epoch int32
	aead  cipher.AEAD
}

var _ seal.KeyWrapper = (*Wrapper)(nil)

// NewWrapper returns a wrapper with a key of its own.
func NewWrapper(epoch int32) (*Wrapper, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Wrapper{epoch: epoch, aead: aead}, nil
}

// Epoch is the wrapper's only epoch.
func (w *Wrapper) Epoch() int32 { return w.epoch }

// Wrap seals key.
func (w *Wrapper) Wrap(aad, key []byte) ([]byte, error) {
	return w.aead.Seal(nil, nil, key, aad), nil // #nosec G407 -- the cipher draws the nonce itself
}

// Unwrap opens what Wrap sealed.
func (w *Wrapper) Unwrap(epoch int32, aad, wrapped []byte) ([]byte, error) {
	if epoch != w.epoch {
		return nil, errors.New("sealtest: another epoch")
	}
	return w.aead.Open(nil, nil, wrapped, aad)
}
