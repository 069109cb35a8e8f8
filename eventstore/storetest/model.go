package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// model is the contract written down as plainly as possible: a log in memory, one append after another, no concurrency, no storage. The
// random histories are compared with it, and the store in memory wraps it. fault plants one deviation; NoFault keeps the contract.
type model struct {
	fault      Fault
	identity   *eventstore.Identity
	records    []eventstore.Recorded
	versions   map[eventstore.Aggregate]int32
	commands   map[eventstore.CommandKey]known
	restricted map[uuid.UUID]int64
	views      map[string]map[string][]byte
	last       time.Time
	undo       []func() // how to take back what the call under way has done
	base       int64    // the position of records[0]; FaultGap raises it
}

type known struct {
	body   [32]byte
	result eventstore.Result
}

func newModel(fault Fault) *model {
	return &model{
		fault:      fault,
		versions:   map[eventstore.Aggregate]int32{},
		commands:   map[eventstore.CommandKey]known{},
		restricted: map[uuid.UUID]int64{},
		views:      map[string]map[string][]byte{},
	}
}

func (m *model) has(f Fault) bool { return m.fault == f }

// next is the position that the next record gets.
func (m *model) next() int64 { return int64(len(m.records)) + m.base }

// append does one call of Log.Append, all or none; now(i) is the clock's time when appends[i] is numbered.
func (m *model) append(now func(i int) time.Time, appends []eventstore.Append) ([]eventstore.Result, error) {
	m.undo = nil
	results := make([]eventstore.Result, 0, len(appends))
	for i := range appends {
		result, err := m.one(now(i), &appends[i])
		if err != nil {
			if !m.has(FaultHalfKept) {
				m.takeBack()
			}
			return nil, err
		}
		results = append(results, result)
	}
	m.undo = nil
	return results, nil
}

func (m *model) takeBack() {
	for i := len(m.undo) - 1; i >= 0; i-- {
		m.undo[i]()
	}
	m.undo = nil
}

func (m *model) one(now time.Time, a *eventstore.Append) (eventstore.Result, error) {
	if a.Command.Key != (eventstore.CommandKey{}) {
		if k, ok := m.commands[a.Command.Key]; ok {
			switch {
			case k.body != a.Command.Body && !m.has(FaultAcceptsReused):
				return eventstore.Result{}, eventstore.ErrCommandReused
			case !m.has(FaultRepeats) && k.body == a.Command.Body:
				k.result.Repeated = true
				return k.result, nil
			}
		}
	}
	if a.Begins == nil && m.identity == nil {
		return eventstore.Result{}, eventstore.ErrNoGenesis
	}
	at := m.timeOf(now, a.At)
	if err := m.permits(a, at); err != nil {
		return eventstore.Result{}, err
	}
	return m.write(a, at)
}

// timeOf is max(previous, at), or the clock for a zero at, in whole microseconds.
func (m *model) timeOf(now, at time.Time) time.Time {
	if at.IsZero() {
		at = now
	}
	at = at.UTC()
	if !m.has(FaultFineTimes) {
		at = at.Truncate(time.Microsecond)
	}
	if at.Before(m.last) && !m.has(FaultTimesFallBack) {
		at = m.last
	}
	return at
}

// permits checks identity, expectations, guard and bounds against the log as it is.
func (m *model) permits(a *eventstore.Append, at time.Time) error {
	if b := a.Begins; b != nil && m.identity != nil {
		if b.LogID != m.identity.LogID || b.Generation <= m.identity.Generation {
			return &eventstore.Conflict{Kind: eventstore.ConflictVersion}
		}
	}
	for _, e := range a.Expect {
		written := false
		for i := range a.Events {
			written = written || a.Events[i].Aggregate == e.Aggregate
		}
		if m.has(FaultStaleVersion) && written || m.has(FaultReadOnlyIgnored) && !written ||
			m.has(FaultAheadAccepted) && e.Version > m.versions[e.Aggregate] {
			continue
		}
		if m.versions[e.Aggregate] != e.Version {
			return &eventstore.Conflict{Kind: eventstore.ConflictVersion, Aggregate: e.Aggregate}
		}
	}
	for i, s := range a.Guard.Subjects {
		if m.has(FaultIgnoresGuard) || m.has(FaultGuardsFirstOnly) && i > 0 {
			continue
		}
		if m.latestRestricting(s) > a.Guard.After {
			return &eventstore.Conflict{Kind: eventstore.ConflictGuard}
		}
	}
	if w := a.Within; !m.has(FaultIgnoresWithin) {
		if !w.From.IsZero() && at.Before(w.From) || !w.Until.IsZero() && !at.Before(w.Until) && !m.has(FaultUntilIncluded) {
			return &eventstore.Conflict{Kind: eventstore.ConflictWithin}
		}
	}
	return nil
}

// latestRestricting is the position of the latest restricting event about s, or about everyone; -1 if none.
func (m *model) latestRestricting(s uuid.UUID) int64 {
	latest := int64(-1)
	for _, subject := range []uuid.UUID{s, uuid.Nil} {
		if p, ok := m.restricted[subject]; ok && p > latest && !(m.has(FaultEveryoneForgotten) && subject == uuid.Nil) {
			latest = p
		}
	}
	return latest
}

func (m *model) write(a *eventstore.Append, at time.Time) (eventstore.Result, error) {
	if m.has(FaultGap) && len(m.records)%7 == 5 {
		m.base++
	}
	first := m.next()
	for i := range a.Events {
		if c := a.Events[i].Cause; c < eventstore.NoCause && -1-c > int64(i) {
			return eventstore.Result{}, fmt.Errorf("model: cause %d before the append", c)
		}
	}
	if a.Begins != nil {
		former := m.identity
		id := *a.Begins
		m.identity = &id
		m.undo = append(m.undo, func() { m.identity = former })
	}
	m.writeRecords(a, at)
	former := m.last
	m.last = at
	m.undo = append(m.undo, func() { m.last = former })
	result := eventstore.Result{Position: first, Count: len(a.Events), RecordedAt: at}
	if key := a.Command.Key; key != (eventstore.CommandKey{}) && len(a.Events) > 0 {
		if _, ok := m.commands[key]; !ok {
			m.commands[key] = known{a.Command.Body, result}
			m.undo = append(m.undo, func() { delete(m.commands, key) })
		}
	}
	if !m.has(FaultForgetsRows) {
		m.writeRows(a.Rows)
	}
	return result, nil
}

func (m *model) writeRecords(a *eventstore.Append, at time.Time) {
	for i := range a.Events {
		r := eventstore.Recorded{Event: a.Events[i], Position: m.next(), RecordedAt: at}
		r.Payload = append([]byte(nil), r.Payload...)
		if r.Cause < eventstore.NoCause && !m.has(FaultCauseUnresolved) {
			r.Cause = r.Position + 1 + r.Cause
		}
		if !m.has(FaultRestrictingKept) {
			r.Restricting = false
		}
		former := m.versions[r.Aggregate]
		r.Version = former + 1
		if m.has(FaultVersionGap) && former%5 == 2 {
			r.Version++
		}
		r.Leaf = leafOf(*m.identity, r)
		if m.has(FaultWrongLeaf) {
			r.Leaf = leafOf(eventstore.Identity{LogID: m.identity.LogID, Generation: m.identity.Generation + 1}, r)
		}
		m.versions[r.Aggregate] = r.Version
		m.records = append(m.records, r)
		m.undo = append(m.undo, func() {
			m.versions[r.Aggregate] = former
			m.records = m.records[:len(m.records)-1]
		})
		if a.Events[i].Restricting {
			latest, ok := m.restricted[r.Subject]
			m.restricted[r.Subject] = r.Position
			m.undo = append(m.undo, func() {
				delete(m.restricted, r.Subject)
				if ok {
					m.restricted[r.Subject] = latest
				}
			})
		}
	}
}

func (m *model) writeRows(rows []eventstore.Row) {
	for _, row := range rows {
		view := m.views[row.View]
		if view == nil {
			view = map[string][]byte{}
			m.views[row.View] = view
		}
		key := string(row.Key)
		former, ok := view[key]
		if row.Value == nil && !m.has(FaultDeletesForgotten) {
			delete(view, key)
		} else {
			view[key] = append([]byte{}, row.Value...)
		}
		if m.has(FaultRowsOutlive) {
			continue
		}
		m.undo = append(m.undo, func() {
			delete(view, key)
			if ok {
				view[key] = former
			}
		})
	}
}

// leafOf computes a record's leaf from the table "The record" in the design, apart from the code that the stores use: RFC 6962's leaf
// hash over the fields in order, each as uint32 length and bytes, integers in 8 bytes big-endian, none as length 0.
func leafOf(id eventstore.Identity, r eventstore.Recorded) [32]byte {
	h := sha256.New()
	h.Write([]byte{0})
	bytes := func(b []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(b))) // #nosec -- test data is small
		h.Write(n[:])
		h.Write(b)
	}
	number := func(v int64) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(v)) // #nosec -- two's complement is meant
		bytes(n[:])
	}
	number(1) // format
	bytes(id.LogID[:])
	number(id.Generation)
	number(r.Position)
	number(int64(r.Aggregate.Category))
	bytes(r.Aggregate.ID[:])
	number(int64(r.Version))
	bytes(r.ID[:])
	bytes([]byte(r.Type))
	number(int64(r.Schema))
	number(r.RecordedAt.UnixMicro())
	if r.Cause == eventstore.NoCause {
		bytes(nil)
	} else {
		number(r.Cause)
	}
	number(int64(r.Issuer))
	number(int64(r.ActorKind))
	number(int64(r.Channel))
	if r.Subject == uuid.Nil {
		bytes(nil)
	} else {
		bytes(r.Subject[:])
	}
	number(int64(r.Class))
	bytes(r.Commitment[:])
	return [32]byte(h.Sum(nil))
}

// ctxErr is the context's error as a store's methods answer it.
func ctxErr(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}
