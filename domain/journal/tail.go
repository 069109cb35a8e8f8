package journal

import (
	"context"
	"sync"

	"github.com/tellonce/hub/eventstore"
)

// tail is the end of the log as far as this process has read it, sealed as it stands there. A dozen followers want the same records at the
// same moment: one of them reads, the others find them here. What was read never changes, so nothing here can be stale.
type tail struct {
	turn chan struct{} // holds one token: of several who want what nobody has read yet, one reads

	mu   sync.Mutex
	recs []eventstore.Recorded // contiguous
	size int                   // bytes of their payloads
}

const (
	tailRecords = 4096
	tailBytes   = 8 << 20
)

func newTail() *tail {
	t := &tail{turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// read is Log.ReadAll, but it may give less than there is, and the records are not the caller's to change. Nothing: from is the head.
func (t *tail) read(ctx context.Context, log eventstore.Log, from int64, limit int) ([]eventstore.Recorded, error) {
	page, ahead := t.known(from, limit)
	if len(page) > 0 {
		return page, nil
	}
	if !ahead { // somebody far behind holds up nobody at the end
		return log.ReadAll(ctx, from, limit)
	}
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if page, _ = t.known(from, limit); len(page) > 0 {
		return page, nil
	}
	page, err := log.ReadAll(ctx, from, limit)
	if err == nil {
		t.keep(from, page)
	}
	return page, err
}

// known is what was read from a position on; ahead says that the position is beyond all that was.
func (t *tail) known(from int64, limit int) (page []eventstore.Recorded, ahead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := from - t.first()
	switch {
	case at < 0:
		return nil, false
	case at >= int64(len(t.recs)):
		return nil, true
	}
	to := min(int(at)+limit, len(t.recs))
	return t.recs[at:to:to], false
}

// at gives single records; those that are not known are empty, and listed.
func (t *tail) at(positions []int64) (recs []eventstore.Recorded, missing []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	recs = make([]eventstore.Recorded, len(positions))
	for i, position := range positions {
		if at := position - t.first(); at >= 0 && at < int64(len(t.recs)) {
			recs[i] = t.recs[at]
		} else {
			missing = append(missing, position)
		}
	}
	return recs, missing
}

// first is the position of the oldest record.
func (t *tail) first() int64 {
	if len(t.recs) == 0 {
		return 0
	}
	return t.recs[0].Position
}

// keep adds a page that was read from a position beyond all that is known, and drops the oldest.
func (t *tail) keep(from int64, page []eventstore.Recorded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range page {
		if page[i].Position != from+int64(i) {
			return // records were taken out of the log here
		}
	}
	if len(page) > 0 && t.first()+int64(len(t.recs)) != from {
		t.recs, t.size = nil, 0
	}
	t.recs = append(t.recs, page...)
	for i := range page {
		t.size += len(page[i].Payload)
	}
	if len(t.recs) <= 2*tailRecords && t.size <= 2*tailBytes {
		return
	}
	drop := 0
	for ; len(t.recs)-drop > tailRecords || t.size > tailBytes; drop++ {
		t.size -= len(t.recs[drop].Payload)
	}
	t.recs = append([]eventstore.Recorded(nil), t.recs[drop:]...) // a new slice: what was handed out stays as it was
}
