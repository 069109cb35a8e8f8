package webhook

import (
	"context"
	"errors"
	"sync"

	"github.com/tellonce/hub/domain/delivery"
)

// slots bound the requests that are under way to each ministry, so that one that is slow holds up nobody else's. They are of this process
// alone. That a dead endpoint is left alone for a while is the couriers' matter.
type slots struct {
	size     int
	ministry func(stream string) string

	mu    sync.Mutex
	taken map[string]chan struct{} // by ministry: as many tokens as requests are under way
}

// use calls fn as one of the ministry's requests, when there is room.
func (s *slots) use(ctx context.Context, stream string, fn func() delivery.Outcome) delivery.Outcome {
	taken := s.of(s.ministry(stream))
	select {
	case taken <- struct{}{}:
		defer func() { <-taken }()
		return fn()
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return down(codeStopped)
		}
		return down(codeBusy)
	}
}

func (s *slots) of(ministry string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.taken[ministry]
	if taken == nil {
		taken = make(chan struct{}, s.size)
		s.taken[ministry] = taken
	}
	return taken
}
