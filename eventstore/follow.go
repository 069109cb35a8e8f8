package eventstore

import (
	"context"
	"sync"
	"time"
)

// Follow reads the log from position from on, in pages of up to pageSize records, and gives each page to fn in order, until ctx ends (nil is
// returned) or reading or fn fails (their error). At the head it waits for waker. It is the only loop over the log in the house: a
// follower keeps its position itself, together with what it derives, and starts Follow again from there.
func Follow(ctx context.Context, log Log, waker Waker, from int64, pageSize int, fn func([]Recorded) error) error {
	for ctx.Err() == nil {
		page, err := log.ReadAll(ctx, from, pageSize)
		if err == nil && len(page) > 0 {
			from += int64(len(page))
			if err := fn(page); err != nil {
				return err
			}
		}
		if err == nil && len(page) < pageSize { // this is the head, or it was
			err = waker.Wait(ctx, from)
		}
		if ctx.Err() != nil {
			break // whatever the error is: the follower is stopped
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Signal is the part of a Waker that both stores share: it remembers the highest position known to be on the log and wakes whoever
// waits for it. The zero value is ready.
type Signal struct {
	mu    sync.Mutex
	known int64 // one beyond the highest position known
	grown chan struct{}
}

// Raise makes it known that the record at position is on the log.
func (s *Signal) Raise(position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if position+1 <= s.known {
		return
	}
	s.known = position + 1
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
}

// Wait returns nil once position is known, or after poll (a safety net for lost notifications), and ctx's error if that ends first.
func (s *Signal) Wait(ctx context.Context, position int64, poll time.Duration) error {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if position < s.known {
			s.mu.Unlock()
			return ctx.Err()
		}
		if s.grown == nil {
			s.grown = make(chan struct{})
		}
		grown := s.grown
		s.mu.Unlock()
		select {
		case <-grown:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
