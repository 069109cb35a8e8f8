package lawtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/seal/sealtest"
	"github.com/tellonce/hub/schemas"
)

// world is a log with several hubs on it, and everything that left it.
type world struct {
	t        *testing.T
	random   *rand.Rand
	store    eventstore.Store // as it is, for the checker
	keys     seal.KeyStore
	hubs     []*hub
	clock    atomic.Int64 // µs
	registry *schemas.Registry

	spy  *journal.Journal // the checker's own, whose keys nobody evicts
	late *journal.Journal // one that opens nothing before the end: it has no key that was destroyed

	mu       sync.Mutex
	noted    map[int64]journal.Entry
	handouts []handout
	sides    map[string][]delivery.Cursor
	looks    int
	version  int // of the library's agreement
	refused  map[string]int
	accepted map[string]int
}

// hub is one process's rooms.
type hub struct {
	journal   *journal.Journal
	command   *command.Handler
	delivery  *delivery.Delivery
	audit     *audit.Audit
	snapshots *command.Snapshots
}

// memory is a folder in memory where there is one: what this test judges does not hang on a disk.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "tellonce-law-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start opens hubs on a store. Each sees it through a stepped store; the last one, which gives to ministries, also through seen.
func start(t *testing.T, seed uint64, store eventstore.Store, keys seal.KeyStore, seen func(eventstore.Store) eventstore.Store) *world {
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), store: store, keys: keys, refused: map[string]int{}, accepted: map[string]int{}, noted: map[int64]journal.Entry{},
		sides: map[string][]delivery.Cursor{},
	}
	w.clock.Store(time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC).UnixMicro())
	ctx := context.Background()
	genesis := journal.Genesis{
		BaseURL: "https://tellonce.example", Clock: journal.ClockLog, Generation: 1, LogID: uuid.New(), Mode: journal.ModeSandbox, TimeZone: "America/Toronto",
	}
	require.NoError(t, journal.Begin(ctx, store, genesis))
	wrapper, err := sealtest.NewWrapper(1)
	require.NoError(t, err)
	w.registry, err = schemas.New()
	require.NoError(t, err)
	for i := range 5 {
		var under eventstore.Store = stepped{store, w.note}
		if i == 2 {
			under = seen(under)
		} else if i > 2 {
			under = store
		}
		keyring, err := seal.NewKeyring(ctx, seal.Config{Store: keys, Wrapper: wrapper, LogID: genesis.LogID})
		require.NoError(t, err)
		j, err := journal.Open(ctx, journal.Config{Store: under, Keyring: keyring, Registry: w.registry, Clock: func() time.Time { return time.UnixMicro(w.clock.Load()) }})
		require.NoError(t, err)
		if i == 3 {
			w.spy = j
			continue
		}
		if i == 4 {
			w.late = j
			continue
		}
		handler := command.New(j)
		w.hubs = append(w.hubs, &hub{journal: j, command: handler, delivery: delivery.New(j), audit: audit.New(j), snapshots: handler.Snapshots()})
	}
	w.version = 1
	_, err = w.hubs[0].command.LoadAgreements(ctx, w.by(journal.ActorOfficer, "officer"), agreements(1))
	require.NoError(t, err)
	return w
}

// agree brings the next version of the library's agreement into force, narrower or wide again.
func (w *world) agree(h *hub) func(context.Context) {
	w.version++
	next := agreements(w.version)[1:2]
	return func(ctx context.Context) {
		_, err := h.command.LoadAgreements(ctx, w.by(journal.ActorOfficer, "officer"), next)
		w.done("agreement", err)
	}
}

// note opens what was appended.
func (w *world) note(results []eventstore.Result) {
	var positions []int64
	for _, r := range results {
		for i := range r.Count {
			positions = append(positions, r.Position+int64(i))
		}
	}
	entries, err := w.spy.Read(context.Background(), positions...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.t.Errorf("what was appended can't be read: %v", err)
	}
	for _, e := range entries {
		if _, known := w.noted[e.Position]; !known { // a repeated command's, noted before
			w.noted[e.Position] = e
		}
	}
}

// agreements are invented, and of every kind: by law and by consent, for all and for clients, for protected people, for verified facts only.
func agreements(version int) []consent.Agreement {
	year := func(n int) *int { return &n }
	make1 := func(id string, change func(*consent.Agreement)) consent.Agreement {
		a := consent.Agreement{
			ID: id, Version: version, Ministry: id, Stream: id + ".s", Title: consent.Text{EN: id, FR: id}, Purpose: consent.Text{EN: "Invented", FR: "Inventé"},
			Basis: consent.Basis{Kind: consent.BasisStatute, Reference: "Invented Act"}, Population: consent.PopulationAll, Lanes: 1, Deliver: consent.DeliverTold,
			Snapshot: true, OnLeaving: consent.LeavingNothing,
			Shares: []consent.Share{{Event: "address-changed", Fields: []string{"street", "city", "province"}}, {Event: "language-changed", Fields: []string{"language"}}},
		}
		change(&a)
		return a
	}
	return []consent.Agreement{
		make1("health", func(a *consent.Agreement) {
			a.OnLeaving = consent.LeavingNotify
			a.Shares[0].When.Province = []string{"ON"}
			a.Shares = append(a.Shares, consent.Share{Event: "death-registered", Fields: []string{"death_date"}})
		}),
		make1("library", func(a *consent.Agreement) {
			a.Basis = consent.Basis{Kind: consent.BasisConsent}
			if version%2 == 0 { // every other version is narrower
				a.Shares[0].Fields = []string{"city"}
			}
		}),
		make1("finance", func(a *consent.Agreement) {
			a.Population, a.ClientReference, a.Deliver = consent.PopulationLinked, true, consent.DeliverEffective
			a.Shares[1] = consent.Share{Event: "person-registered", Fields: []string{"given_names", "birth_date"}, When: consent.Conditions{MinAge: year(18)}}
		}),
		make1("shelter", func(a *consent.Agreement) { a.ReceivesProtected = true }),
		make1("licences", func(a *consent.Agreement) { a.MinAssurance = consent.AssuranceVerified }),
	}
}

func (w *world) by(kind journal.ActorKind, name string) command.Command {
	return command.Command{
		ID: uuid.NewString(), Scope: "law", Content: []byte(name), Issuer: journal.IssuerAPI, Channel: journal.ChannelWeb,
		Actor: journal.Actor{Kind: kind, ID: name, Source: "law"},
	}
}

// done counts what became of an operation; what is neither accepted nor refused by a rule fails the test.
func (w *world) done(what string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rejection *citizen.Rejection
	switch {
	case err == nil:
		w.accepted[what]++
	case errors.As(err, &rejection):
		w.refused[rejection.Code]++
	case errors.Is(err, command.ErrForbidden):
		w.refused["forbidden"]++
	case errors.Is(err, command.ErrBusy), errors.Is(err, delivery.ErrBusy):
		w.refused["busy"]++
	case refusal(err) != "":
		w.refused[refusal(err)]++
	default:
		w.t.Errorf("%s: %v", what, err)
	}
}

// pull gives a ministry what is new in its stream, or from the first number on.
func (w *world) pull(ctx context.Context, h *hub, stream string, fromFirst bool) int {
	head, err := w.store.Head(context.Background())
	require.NoError(w.t, err)
	after := int64(0)
	if !fromFirst {
		status, err := h.delivery.Status(ctx)
		if err != nil {
			w.done("status", err)
			return 0
		}
		for _, s := range status {
			if s.Stream == stream {
				after = s.Last
			}
		}
	}
	page, err := h.delivery.Next(ctx, stream, 0, after, 50, 0)
	w.done("pull", err)
	if err != nil {
		return 0
	}
	now, err := w.store.Head(context.Background())
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handouts = append(w.handouts, handout{stream: stream, before: head.Position, after: now.Position, messages: page.Messages})
	return len(page.Messages)
}

// drain pulls every stream until nothing is new.
func (w *world) drain(ctx context.Context) {
	h := w.hubs[2]
	_, err := w.hubs[0].snapshots.Settle(ctx, nil)
	require.NoError(w.t, err)
	for _, a := range agreements(1) {
		w.resume(h, a.Stream)(ctx)
		for w.pull(ctx, h, a.Stream, false) > 0 {
		}
	}
	w.carry(ctx)
}

// checker holds the whole log and everything that left it.
func (w *world) checker(ctx context.Context) *checker {
	j := w.late
	var entries, noted []journal.Entry
	for {
		recs, err := w.store.ReadAll(ctx, int64(len(entries)), 5000)
		require.NoError(w.t, err)
		if len(recs) == 0 {
			break
		}
		opened, err := j.Open(ctx, recs)
		require.NoError(w.t, err)
		entries = append(entries, opened...)
	}
	zone, err := time.LoadLocation("America/Toronto")
	require.NoError(w.t, err)
	law, err := j.FreshLaw(ctx)
	require.NoError(w.t, err)
	for i := range entries {
		e, ok := w.noted[int64(i)]
		if !ok {
			e = entries[i]
		}
		noted = append(noted, e)
	}
	c := &checker{
		record: newRecord(noted, w.registry, zone), streams: law.Streams, handouts: slices.Clone(w.handouts), sides: maps.Clone(w.sides), stored: entries,
	}
	known := map[string]string{}
	c.pairwise = func(ministry string, id citizen.ID) string {
		key := ministry + id.String()
		if _, ok := known[key]; !ok {
			ids, err := j.Pairwise(ctx, ministry, 1, id)
			if err == nil {
				known[key] = ids[0]
			} else {
				known[key] = ""
			}
		}
		return known[key]
	}
	return c
}

// check judges the log, and whether what is erased stays closed, what was looked at is known, and decisions re-derive.
func (w *world) check(ctx context.Context) []string {
	c := w.checker(ctx)
	breaches, entries := c.check(), c.stored
	looks := 0
	for i := range entries {
		if entries[i].Type == journal.TypeAccessed {
			looks++
		}
		if entries[i].Class == eventstore.Facts && entries[i].Err == nil && c.person(c.subject(int64(i)), int64(len(entries))).gone {
			breaches = append(breaches, fmt.Sprintf("invariant 8: what was told at %d can still be read after the erasure", i))
		}
	}
	if looks < w.looks {
		breaches = append(breaches, fmt.Sprintf("invariant 10: %d looks and %d accesses", w.looks, looks))
	}
	report, err := w.hubs[0].audit.Rederive(ctx, nil)
	require.NoError(w.t, err)
	if report.Different > 0 {
		breaches = append(breaches, fmt.Sprintf("invariant 3: %d decisions do not re-derive", report.Different))
	}
	return breaches
}
