package storebench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// The sizes of payloads, as sealed: a change and its decisions.
const (
	ChangeBytes  = 600
	DecidedBytes = 300
)

// agreements is the one aggregate that every append expects and none of the load writes.
var agreements = eventstore.Aggregate{Category: eventstore.Agreements}

// Begin appends genesis and a first agreement to an empty log.
func Begin(ctx context.Context, log eventstore.Log) error {
	hub := eventstore.Aggregate{Category: eventstore.Hub}
	_, err := log.Append(ctx, eventstore.Append{
		Begins: &eventstore.Identity{LogID: uuid.New(), Generation: 1},
		Events: []eventstore.Event{
			{ID: uuid.New(), Aggregate: hub, Type: "genesis", Schema: 1, Cause: eventstore.NoCause},
			{ID: uuid.New(), Aggregate: agreements, Type: "agreement-approved", Schema: 1, Cause: eventstore.NoCause},
		},
	})
	return err
}

// Tells makes the appends that accepted changes come to: the change and what was decided, two records, expecting the citizen's version
// and the agreements', under a command id. Each writer has citizens of its own, in turn.
type Tells struct {
	log     eventstore.Log
	stale   float64
	writers []writer
}

type writer struct {
	citizens []citizen
	next     int
	random   *rand.Rand
	law      int32 // the agreements' version
	noise    []byte
}

type citizen struct {
	aggregate eventstore.Aggregate
	version   int32
}

// NewTells prepares writers with so many citizens each. stale is the share of appends that expect a version that is past.
func NewTells(log eventstore.Log, writers, citizens int, stale float64) *Tells {
	t := &Tells{log: log, stale: stale, writers: make([]writer, writers)}
	for i := range t.writers {
		w := &t.writers[i]
		w.random = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) // #nosec G404 -- a load, no secret
		w.noise, w.law = Noise(64<<10), 1
		w.citizens = make([]citizen, citizens)
		for n := range w.citizens {
			w.citizens[n].aggregate = eventstore.Aggregate{Category: eventstore.Citizen, ID: w.uuid()}
		}
	}
	return t
}

// UnderLaw lets the appends expect another version of the agreements than Begin's, and returns t.
func (t *Tells) UnderLaw(version int32) *Tells {
	for i := range t.writers {
		t.writers[i].law = version
	}
	return t
}

// Noise is so many bytes (a multiple of 8) that can't be compressed, as what is sealed can't.
func Noise(size int) []byte {
	out := make([]byte, size)
	for n := 0; n+8 <= size; n += 8 {
		binary.LittleEndian.PutUint64(out[n:], rand.Uint64()) // #nosec G404 -- a load, no secret
	}
	return out
}

// Call is one append of writer's; see Write.
func (t *Tells) Call(ctx context.Context, n int) (int, error) {
	w := &t.writers[n]
	c := &w.citizens[w.next%len(w.citizens)]
	w.next++
	expected := c.version
	if t.stale > 0 && w.random.Float64() < t.stale {
		expected--
	}
	if _, err := t.log.Append(ctx, w.tell(c.aggregate, expected)); err != nil {
		return 0, err
	}
	c.version += 2
	return 2, nil
}

// tell is one change of a citizen at a version.
func (w *writer) tell(citizen eventstore.Aggregate, version int32) eventstore.Append {
	change := w.event(citizen, "address-changed", eventstore.Facts, ChangeBytes)
	decided := w.event(citizen, "decided", eventstore.Evidence, DecidedBytes)
	decided.Cause = eventstore.CauseBefore(1)
	key := change.ID
	return eventstore.Append{
		Command: eventstore.Command{Key: sha256.Sum256(key[:]), Body: change.Commitment},
		Expect:  []eventstore.Expect{{Aggregate: citizen, Version: version}, {Aggregate: agreements, Version: w.law}},
		Events:  []eventstore.Event{change, decided},
	}
}

func (w *writer) event(citizen eventstore.Aggregate, name string, class eventstore.Class, size int) eventstore.Event {
	at := w.random.IntN(len(w.noise) - size)
	return eventstore.Event{
		ID: w.uuid(), Aggregate: citizen, Type: name, Schema: 1, Cause: eventstore.NoCause, Issuer: 1, ActorKind: 1, Channel: 1,
		Subject: citizen.ID, Class: class, Commitment: [32]byte(w.noise[at : at+32]), Payload: w.noise[at : at+size], KeyRef: 1,
	}
}

func (w *writer) uuid() (id uuid.UUID) {
	binary.LittleEndian.PutUint64(id[:], w.random.Uint64())
	binary.LittleEndian.PutUint64(id[8:], w.random.Uint64())
	id[6], id[8] = id[6]&0x0F|0x40, id[8]&0x3F|0x80 // version 4
	return id
}

// Import appends so many records in calls of perCall, as an import does: two records for each line, all in one call, all or none.
func Import(ctx context.Context, log eventstore.Log, records, perCall int) (Measure, error) {
	w := &NewTells(log, 1, 0, 0).writers[0]
	m, busy := Measure{}, time.Duration(0)
	for m.Records < records {
		appends := make([]eventstore.Append, 0, perCall/2)
		for len(appends) < perCall/2 {
			appends = append(appends, w.tell(eventstore.Aggregate{Category: eventstore.Citizen, ID: w.uuid()}, 0))
		}
		began := time.Now() // making the load is not the store's
		if _, err := log.Append(ctx, appends...); err != nil {
			return m, err
		}
		busy += time.Since(began)
		m.Calls, m.Records = m.Calls+1, m.Records+2*len(appends)
	}
	m.Elapsed = busy
	return m, nil
}
