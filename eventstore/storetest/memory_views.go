package storetest

import (
	"bytes"
	"context"
	"sort"
	"time"

	"github.com/tellonce/hub/eventstore"
)

func (s memory) Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		if v, ok := s.model.views[view][string(k)]; ok {
			out[i] = append([]byte{}, v...)
		}
	}
	return out, nil
}

func (s memory) Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []eventstore.Row
	for k, v := range s.model.views[view] {
		key := []byte(k)
		below := to == nil || bytes.Compare(key, to) < 0 || s.model.has(FaultScanIncludesTo) && bytes.Equal(key, to)
		if bytes.Compare(key, from) >= 0 && below {
			out = append(out, eventstore.Row{View: view, Key: key, Value: append([]byte{}, v...)})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return bytes.Compare(out[i].Key, out[j].Key) < 0 != (reverse && !s.model.has(FaultNeverReverse))
	})
	return upTo(limit, out), nil
}

func (s memory) Checkpoint(ctx context.Context, view string) (int64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checkpoints[view], nil
}

func (s memory) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model.has(FaultRowsBeforeCheck) {
		s.model.writeRows(rows)
	}
	if s.checkpoints[view] != from && !s.model.has(FaultCheckpointBlind) {
		return &eventstore.Conflict{Kind: eventstore.ConflictView}
	}
	s.checkpoints[view] = to
	s.model.writeRows(rows)
	return nil
}

func (s memory) Drop(ctx context.Context, view string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.model.views, view)
	if !s.model.has(FaultDropHalf) {
		delete(s.checkpoints, view)
	}
	return nil
}

func (s memory) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	if err := s.usable(ctx); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	held := s.leases[name]
	expired := !now.Before(held.until) && !s.model.has(FaultLeaseForever)
	if held.owner != "" && held.owner != owner && !expired && !s.model.has(FaultLeaseForAll) {
		return false, nil
	}
	s.leases[name] = lease{owner, now.Add(ttl)}
	return true, nil
}

func (s memory) Release(ctx context.Context, name, owner string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[name].owner == owner || s.model.has(FaultReleaseByAnyone) {
		delete(s.leases, name)
	}
	return nil
}
