package sealtest

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore/seal"
)

// DestroyKeys puts tombstones for ids.
func (m *Memory) DestroyKeys(ctx context.Context, ids ...seal.KeyID) ([]seal.StoredKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.keys == nil {
		m.keys = make(map[seal.KeyID]seal.StoredKey)
	}
	out := make([]seal.StoredKey, 0, len(ids))
	for _, id := range ids {
		key, ok := m.keys[id]
		if !ok || m.Fault == FaultNewStone {
			m.last++
			key.Ref = m.last
		}
		stone := seal.StoredKey{KeyID: id, Ref: key.Ref, Destroyed: true}
		out = append(out, stone)
		switch {
		case !ok && m.Fault == FaultNoStoneWithoutKey:
			continue
		case m.Fault == FaultKeepsWrapped:
			stone.Wrapped = key.Wrapped
		}
		m.keys[id] = stone
	}
	return out, nil
}

// Tombstones returns a page of destroyed keys.
func (m *Memory) Tombstones(ctx context.Context, after seal.KeyID, limit int) ([]seal.StoredKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	var out []seal.StoredKey
	for _, key := range m.keys {
		if (key.Destroyed || m.Fault == FaultListsLivingKeys) && compare(key.KeyID, after) > 0 {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b seal.StoredKey) int { return compare(a.KeyID, b.KeyID) })
	if m.Fault == FaultSkipsTombstones && len(out) > 0 && after != (seal.KeyID{}) {
		out = out[1:]
	}
	return out[:min(limit, len(out))], nil
}

func compare(a, b seal.KeyID) int {
	return cmp.Or(bytes.Compare(a.Subject[:], b.Subject[:]), cmp.Compare(a.Class, b.Class))
}

// MoveReferences moves or removes a citizen's references.
func (m *Memory) MoveReferences(ctx context.Context, from, to uuid.UUID) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	n := 0
	for hash, citizen := range m.refs {
		if citizen != from && m.Fault != FaultMovesAllReferences || m.Fault == FaultMovesOneReference && n == 1 {
			continue
		}
		n++
		if m.refs[hash] = to; to == uuid.Nil {
			delete(m.refs, hash)
		}
	}
	return n, nil
}

// ReplaceSecret replaces a secret that is as expected.
func (m *Memory) ReplaceSecret(ctx context.Context, name string, old, fresh []byte) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	stands, ok := m.secrets[name]
	if !ok || !bytes.Equal(stands, old) && m.Fault != FaultAnySecret {
		return false, nil
	}
	m.secrets[name] = fresh
	return true, nil
}

// RaiseEpoch closes earlier epochs.
func (m *Memory) RaiseEpoch(ctx context.Context, epoch int32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if epoch < m.first && m.Fault != FaultEpochGoesBack {
		return seal.ErrStaleEpoch
	}
	m.first = epoch
	return nil
}

// Epochs counts.
func (m *Memory) Epochs(ctx context.Context) (map[int32]int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	out := map[int32]int64{}
	for _, key := range m.keys {
		if !key.Destroyed || m.Fault == FaultCountsTombstones {
			out[key.Epoch]++
		}
	}
	return out, nil
}

// KeysBefore lists, by reference.
func (m *Memory) KeysBefore(ctx context.Context, epoch int32, after int64, limit int) ([]seal.StoredKey, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	var out []seal.StoredKey
	for _, key := range m.keys {
		earlier := key.Epoch < epoch || m.Fault == FaultListsNewKeys
		if earlier && !key.Destroyed && key.Ref > after {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b seal.StoredKey) int { return cmp.Compare(a.Ref, b.Ref) })
	if len(out) <= limit || m.Fault == FaultForgetsPages {
		return out[:min(limit, len(out))], 0, nil
	}
	return out[:limit], out[limit-1].Ref, nil
}

// RewrapKeys replaces those that are as expected.
func (m *Memory) RewrapKeys(ctx context.Context, keys ...seal.Rewrap) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	n := 0
	for _, anew := range keys {
		key := m.keys[anew.KeyID]
		same := key.Ref != 0 && !key.Destroyed && (bytes.Equal(key.Wrapped, anew.Old) || m.Fault == FaultAnyRewrap)
		if anew.Epoch < m.first && m.Fault != FaultRewrapsBack {
			continue
		}
		if !same && !(key.Destroyed && m.Fault == FaultRewrapRevives) {
			continue
		}
		key.Epoch, key.Wrapped, key.Destroyed = anew.Epoch, anew.Wrapped, false
		m.keys[anew.KeyID] = key
		n++
	}
	return n, nil
}

// Destroy is DestroyKeys by another process.
func (m *Memory) Destroy(ids ...seal.KeyID) {
	_, _ = m.DestroyKeys(context.Background(), ids...) // fails only if cancelled
}
