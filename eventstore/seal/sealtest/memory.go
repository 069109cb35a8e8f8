package sealtest

import (
	"context"
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
	first   int32 // the first epoch that is not closed
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

	FaultKeepsWrapped         Fault = "a destroyed key still comes back"
	FaultNoStoneWithoutKey    Fault = "no tombstone where there never was a key"
	FaultNewStone             Fault = "a second destruction is another tombstone"
	FaultSkipsTombstones      Fault = "a page of tombstones begins too late"
	FaultListsLivingKeys      Fault = "living keys among the tombstones"
	FaultMovesOneReference    Fault = "one reference stays behind"
	FaultMovesAllReferences   Fault = "others' references move, too"
	FaultAnyRewrap            Fault = "a key is wrapped anew whatever stands there"
	FaultRewrapRevives        Fault = "a destroyed key is wrapped anew"
	FaultRewrapsBack          Fault = "a key is wrapped anew under a closed epoch"
	FaultEpochStaysOpen       Fault = "keys of a closed epoch are stored"
	FaultClosedEpochHidesKeys Fault = "a known key is refused for its epoch"
	FaultEpochGoesBack        Fault = "an earlier epoch is raised"
	FaultCountsTombstones     Fault = "tombstones are counted as keys"
	FaultListsNewKeys         Fault = "keys of the epoch itself are listed as earlier"
	FaultForgetsPages         Fault = "only the first page of earlier keys is listed"
	FaultAnySecret            Fault = "a secret is replaced whatever stands there" // #nosec G101 -- the name of a fault
)

// Faults returns all of them.
func Faults() []Fault {
	return []Fault{
		FaultLastWriter, FaultSameRef, FaultForgetsClass, FaultDropsTombstone, FaultReversesOrder, FaultLeavesOutMissing,
		FaultReferenceMoves, FaultEchoesReference, FaultSecretChanges, FaultStoresNoSecret, FaultNotDurable, FaultHalfWritten, FaultEmptyForKey,
		FaultKeepsWrapped, FaultNoStoneWithoutKey, FaultNewStone, FaultSkipsTombstones, FaultListsLivingKeys, FaultMovesOneReference,
		FaultMovesAllReferences, FaultAnyRewrap, FaultRewrapRevives, FaultRewrapsBack, FaultEpochStaysOpen, FaultClosedEpochHidesKeys, FaultEpochGoesBack,
		FaultCountsTombstones, FaultListsNewKeys, FaultForgetsPages, FaultAnySecret,
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
	return &Memory{keys: maps.Clone(m.keys), refs: maps.Clone(m.refs), secrets: maps.Clone(m.secrets), last: m.last, first: m.first}
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
	for _, key := range keys {
		known := m.keys[m.id(key.KeyID)].Ref != 0 && m.Fault != FaultClosedEpochHidesKeys
		if key.Epoch < m.first && !known && m.Fault != FaultEpochStaysOpen {
			return nil, seal.ErrStaleEpoch
		}
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
			old.KeyID, old.Epoch, old.Wrapped, old.Destroyed = id, key.Epoch, key.Wrapped, false
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
