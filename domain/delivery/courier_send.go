package delivery

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/domain/journal"
)

// sending is one page on its way to an endpoint.
type sending struct {
	*courier
	endpoint journal.EndpointSet
	until    time.Time // nothing leaves later
	careful  bool      // the breaker was open: this is a probe

	mu      sync.Mutex
	fates   map[int64]Outcome // by number, of what was tried
	stuck   map[string]bool   // who has an earlier message that did not arrive
	taken   bool              // something was accepted
	refused int               // events that were refused by themselves
	down    bool              // the endpoint as a whole: nothing more is tried
	gone    bool
	late    bool // there was no time for some
}

// suspicious is how many events an endpoint must refuse in a row, and take none, to be thought not to serve at all: the fault is hardly theirs.
const suspicious = 5

// send tries messages, but those that must wait for an earlier number. An endpoint that takes one event a request gets several requests at
// once, of different people.
func (s *sending) send(ctx context.Context, messages []Message) {
	ctx, cancel := context.WithDeadline(ctx, s.until)
	defer cancel()
	if s.endpoint.Batch > 1 {
		s.try(ctx, messages)
		return
	}
	var group errgroup.Group
	group.SetLimit(singly)
	for _, chain := range chainsOf(messages) {
		group.Go(func() error {
			for i := range chain {
				s.try(ctx, chain[i:i+1])
			}
			return nil
		})
	}
	_ = group.Wait()
}

// chainsOf parts messages by whom they are about. Where one has no key, it must not overtake any: then there is one chain.
func chainsOf(messages []Message) (out [][]Message) {
	at := map[string]int{}
	for i := range messages {
		key := messages[i].Key
		if key == "" {
			return [][]Message{messages}
		}
		if _, ok := at[key]; !ok {
			at[key] = len(out)
			out = append(out, nil)
		}
		out[at[key]] = append(out[at[key]], messages[i])
	}
	return out
}

// try sends messages in one request, and halves them until it is known which are refused by themselves.
func (s *sending) try(ctx context.Context, messages []Message) {
	if messages = s.free(messages); len(messages) == 0 {
		return
	}
	if ctx.Err() != nil || s.over() {
		s.leave(messages)
		return
	}
	outcome := s.Poster.Post(ctx, s.endpoint, messages)
	if ctx.Err() != nil && !s.delivery.journal.Clock().Before(s.until) && outcome.Code != "" {
		outcome.Down = true // cut off by us: whatever it was, the endpoint was too slow
	}
	s.gauges.request(outcome)
	switch {
	case outcome.Code == "", len(messages) == 1:
		s.record(messages, outcome)
	case outcome.Down, outcome.Gone:
		outcome.Excerpt = "" // it may be about anybody in the batch
		s.record(messages[:1], outcome)
		s.leave(messages)
	default:
		half := len(messages) / 2
		s.try(ctx, messages[:half])
		s.try(ctx, messages[half:])
	}
}

// free leaves out messages that must wait for one that did not arrive, and sticks them, too.
func (s *sending) free(messages []Message) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Message, 0, len(messages))
	for i := range messages {
		m := &messages[i]
		if s.stuck[m.Key] || (m.Key == "" && len(s.stuck) > 0) {
			s.stuck[m.Key] = true
			continue
		}
		out = append(out, *m)
	}
	return out
}

// over says that no more requests are begun: the endpoint must be left alone, or there is too little time for another one. The first always is.
func (s *sending) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = s.late || (len(s.fates) > 0 && s.until.Sub(s.delivery.journal.Clock()) < fair)
	return s.down || s.gone || s.late
}

// leave gives messages up for this time.
func (s *sending) leave(messages []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		s.stuck[messages[i].Key] = true
	}
}

// record notes what became of messages: of all that were accepted, or of one. It closes and opens the breaker.
func (s *sending) record(messages []Message, outcome Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		s.fates[messages[i].Cursor.Number] = outcome
	}
	switch {
	case outcome.Code == "":
		s.taken = true
		s.breaker.close()
		s.gauges.breaker.Set(0)
		return
	case outcome.Gone:
		s.gone = true
	case outcome.Down:
		s.down = true
	default:
		s.refused++
		s.down = s.down || (!s.taken && (s.careful || s.refused >= suspicious))
	}
	s.stuck[messages[0].Key] = true
	if s.down {
		s.breaker.open(s.delivery.journal.Clock(), outcome.RetryAfter, s.jittered)
		s.gauges.breaker.Set(1)
	}
}
