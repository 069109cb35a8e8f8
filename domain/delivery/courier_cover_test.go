package delivery_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// covered requires that every request was let out by the log.
func (r *rounds) covered() {
	r.Helper()
	require.Empty(r, r.judge())
}

// judge reads the log with a fold of its own and says what is wrong: a value that left more than D after the last event that let it out, or by
// one that lies behind the withdrawal of its grant; a number of two contents; a person's number that overtook an earlier one.
func (r *rounds) judge() (wrong []string) {
	r.Helper()
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	lanes, parkedAt := r.fold()
	r.mu.Lock()
	defer r.mu.Unlock()
	type one struct {
		lane   int
		number int64
	}
	content, keys, arrived := map[one]string{}, map[one]string{}, map[one]time.Time{}
	for _, p := range r.posts {
		for i := range p.messages {
			m := &p.messages[i]
			n := one{m.Cursor.Lane, m.Cursor.Number}
			let := lanes[n.lane].letOut(m, p)
			if let == nil {
				say("number %d of lane %d left with nothing on the log that let it out", n.number, n.lane)
			}
			if before, ok := content[n]; ok && before != string(m.Structured()) && !m.Recalled() {
				say("number %d of lane %d had two contents", n.number, n.lane)
			}
			if keys[n] == "" {
				keys[n] = m.Key
			}
			content[n] = string(m.Structured())
			if _, before := arrived[n]; p.code == "" && !before {
				arrived[n] = p.at
			}
		}
	}
	for n, key := range keys {
		for earlier := int64(1); earlier < n.number; earlier++ {
			e := one{n.lane, earlier}
			at, parked := parkedAt[e.lane][earlier]
			came, ok := arrived[e]
			if last, has := arrived[n]; !has || key == "" || keys[e] != key || (ok && !came.After(last)) || (parked && !at.After(last)) {
				continue
			}
			say("number %d of lane %d overtook %d", n.number, n.lane, earlier)
		}
	}
	return wrong
}

// letOut is an event of a lane that covers a number, at most D old, and permits what is sent.
type lettingOut struct {
	at       time.Time
	position int64
	recalled bool
}

type foldedLane struct {
	covers map[int64][]lettingOut
}

func (l *foldedLane) letOut(m *delivery.Message, p post) *lettingOut {
	if l == nil {
		return nil
	}
	for _, c := range l.covers[m.Cursor.Number] {
		if c.position <= p.head && p.until.Sub(c.at) <= delivery.D && c.recalled == m.Recalled() { // what is cut off in time has left in time
			return &c
		}
	}
	return nil
}

// fold reads what let numbers out, and when they were parked. A value that is let out behind the end of its grant counts as recalled: so nothing
// that holds it is covered.
func (r *rounds) fold() (lanes map[int]*foldedLane, parked map[int]map[int64]time.Time) {
	r.Helper()
	lanes, parked = map[int]*foldedLane{}, map[int]map[int64]time.Time{}
	grants, facts, items := map[uuid.UUID]int64{}, map[int64]uuid.UUID{}, map[int]map[int64]journal.DisclosedItem{}
	lane := func(n int) *foldedLane {
		if lanes[n] == nil {
			lanes[n], parked[n], items[n] = &foldedLane{covers: map[int64][]lettingOut{}}, map[int64]time.Time{}, map[int64]journal.DisclosedItem{}
		}
		return lanes[n]
	}
	head, err := r.journal.Head(r.ctx)
	require.NoError(r, err)
	err = r.journal.Replay(r.ctx, 0, head.Position+1, func(*eventstore.Recorded) bool { return true }, func(entries []journal.Entry) error {
		for i := range entries {
			e := &entries[i]
			permitted := func(item journal.DisclosedItem) bool {
				since, ok := grants[facts[item.Position]]
				return item.Kind != delivery.KindFact || (ok && since < item.Position)
			}
			switch event := e.Event.(type) {
			case journal.ConsentGranted:
				if _, has := grants[e.Subject]; !has { // one that takes another's place continues it
					grants[e.Subject] = e.Position
				}
			case journal.ConsentWithdrawn:
				delete(grants, e.Subject)
			case journal.Disclosed:
				l := lane(event.Lane)
				for k, item := range event.Items {
					number := event.First + int64(k)
					items[event.Lane][number] = item
					l.covers[number] = append(l.covers[number], lettingOut{at: e.RecordedAt, position: e.Position, recalled: !permitted(item)})
				}
			case journal.Redelivered:
				l := lane(event.Lane)
				recalled := map[int64]bool{}
				for _, number := range event.Recalled {
					recalled[number] = true
				}
				for n := event.From; n <= event.To; n++ {
					before := l.covers[n]
					gone := recalled[n] || (len(before) > 0 && before[len(before)-1].recalled) || !permitted(items[event.Lane][n])
					l.covers[n] = append(before, lettingOut{at: e.RecordedAt, position: e.Position, recalled: gone})
				}
			case journal.Parked:
				lane(event.Lane)
				for n := event.From; n <= event.To; n++ {
					if _, ok := parked[event.Lane][n]; !ok {
						parked[event.Lane][n] = e.RecordedAt
					}
				}
			default:
				facts[e.Position] = e.Subject
			}
		}
		return nil
	})
	require.NoError(r, err)
	return lanes, parked
}
