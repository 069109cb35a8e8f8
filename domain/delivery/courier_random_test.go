package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// deed is one thing that happens in a random run.
type deed struct {
	kind   string
	person int
	some   int // seconds, or whatever the kind needs
}

var deedKinds = []string{
	"tell", "tell", "tell", "tell", "tell", "tell", "wait", "wait", "wait", "withdraw", "grant", "pause", "resume", "kill", "kill", "kill", "two",
	"redrive", "endpoint", "read", "healthy", "flaky", "flaky", "poison", "poison", "down", "slow", "slow",
}

// TestACourierLosesNothing plays random lives of a stream: people tell and withdraw, the endpoint fails in all ways, couriers are killed and
// their writes fail, the stream is paused, parked events are driven again, others read the stream, too. Whatever happens, once the
// endpoint serves again everything that was given is delivered or parked, in each person's order, and nothing left without the log letting it.
func TestACourierLosesNothing(t *testing.T) {
	t.Parallel()
	const people = 5
	deeds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
		return deed{
			kind: rapid.SampledFrom(deedKinds).Draw(t, "kind"), person: rapid.IntRange(0, people-1).Draw(t, "person"), some: rapid.IntRange(0, 40).Draw(t, "some"),
		}
	}), 5, 80)
	rapid.Check(t, func(rt *rapid.T) {
		batch, lanes := rapid.SampledFrom([]int{1, 1, 2, 7, 100}).Draw(rt, "batch"), rapid.IntRange(1, 2).Draw(rt, "lanes")
		seed, life := rapid.Uint64().Draw(rt, "seed"), deeds.Draw(rt, "deeds")
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = live(t, seed, people, batch, lanes, life) })
		if len(wrong) > 0 {
			rt.Fatalf("%v", wrong)
		}
	})
}

// live plays one life and says what was wrong with it.
func live(t *testing.T, seed uint64, people, batch, lanes int, life []deed) []string {
	brittle, j := newBrittle(t, rand.New(rand.NewPCG(seed, 1)))
	r := newRounds(t, j, people, lanes)
	r.schedule = []time.Duration{0, time.Second, 12 * time.Second}
	l := &liveEndpoint{rounds: r, random: rand.New(rand.NewPCG(seed, 0)), mode: "healthy", granted: map[int]bool{}}
	for person := range people {
		l.granted[person] = true
	}
	r.answers(l.answer)
	r.endpoint(batch)
	stops := []func(){r.courier("0")}
	brittle.set(true)
	for i, d := range life {
		l.do(d, i, &stops)
	}
	brittle.set(false)
	l.become("healthy", 0)
	require.NoError(t, r.delivery.Resume(r.ctx, operator, journal.CommandID{}, r.stream))
	time.Sleep(maxProbe) // by then it is noticed that the endpoint serves
	for range 20 {
		if len(l.missing(lanes)) == 0 {
			break
		}
		time.Sleep(time.Minute)
	}
	wrong := append(r.judge(), l.missing(lanes)...)
	for _, stop := range stops {
		stop()
	}
	rebuild(t, r.journal, r.delivery)
	return wrong
}

// liveEndpoint plays the endpoint.
type liveEndpoint struct {
	*rounds
	random  *rand.Rand
	mode    string
	poison  int
	granted map[int]bool
}

func (l *liveEndpoint) become(mode string, person int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch mode {
	case "slow": // in whatever mode it is
		l.slow = time.Duration(l.random.IntN(12_000)) * time.Millisecond
		return
	case "healthy":
		l.slow = 0
	}
	l.mode, l.poison = mode, person
}

// answer is called with the lock held.
func (l *liveEndpoint) answer(messages []delivery.Message) delivery.Outcome {
	chance := l.random.IntN(100)
	switch l.mode {
	case "down":
		return delivery.Outcome{Code: "refused", Down: true}
	case "poison":
		if slices.ContainsFunc(messages, func(m delivery.Message) bool { return l.person(m.Key) == string(rune('A'+l.poison)) }) {
			return delivery.Outcome{Code: "http-500"}
		}
	case "flaky":
		switch {
		case chance < 20:
			return delivery.Outcome{Code: "http-500"}
		case chance < 30: // it may have taken them, and the answer got lost
			return delivery.Outcome{Code: "timeout", Down: true}
		case chance < 35:
			return delivery.Outcome{Code: "http-429", Down: true, RetryAfter: time.Duration(chance) * time.Second}
		case chance < 37:
			return delivery.Outcome{Code: "gone", Gone: true}
		}
	}
	return delivery.Outcome{}
}

// do plays one deed. Commands are repeated until the store takes them.
func (l *liveEndpoint) do(d deed, turn int, stops *[]func()) {
	command := journal.CommandID{Issuer: "test", ID: fmt.Sprint(turn)}
	switch d.kind {
	case "tell":
		l.tell(d.person)
	case "wait":
		time.Sleep(time.Duration(d.some) * time.Second)
	case "withdraw":
		if l.granted[d.person] {
			l.withdraw(d.person)
		}
		l.granted[d.person] = false
	case "grant":
		l.grant(d.person)
		l.granted[d.person] = true
	case "pause":
		l.must(func() error { return l.delivery.Pause(l.ctx, operator, command, l.stream) })
	case "resume":
		l.must(func() error { return l.delivery.Resume(l.ctx, operator, command, l.stream) })
	case "kill": // soon after something happened, more often than not
		time.Sleep(time.Duration(d.some%4) * 500 * time.Millisecond)
		(*stops)[0]()
		time.Sleep(time.Duration(d.some/10) * time.Second)
		(*stops)[0] = l.courier(fmt.Sprint(turn))
	case "two":
		*stops = append(*stops, l.courier(fmt.Sprint(turn)))
	case "redrive":
		var parked []delivery.ParkedRange
		l.must(func() (err error) {
			parked, err = l.delivery.Parked(l.ctx, l.stream)
			return err
		})
		for _, p := range parked {
			l.must(func() error {
				err := l.delivery.Redrive(l.ctx, operator, journal.CommandID{}, l.stream, p.Lane, p.From, p.To)
				if errors.Is(err, delivery.ErrNotParked) {
					return nil
				}
				return err
			})
		}
	case "endpoint":
		l.endpoint(1 + d.some)
	case "read":
		_, _ = l.delivery.Next(l.ctx, l.stream, 0, 0, 1+d.some, 0)
	default:
		l.become(d.kind, d.person)
	}
}

func (l *liveEndpoint) must(try func() error) {
	for range 100 {
		if err := try(); !errors.Is(err, errBrittle) {
			require.NoError(l, err)
			return
		}
	}
}

// missing says what was given, and is neither delivered nor parked; and what was told and was not given.
func (l *liveEndpoint) missing(lanes int) (wrong []string) {
	arrived, parked := map[string]bool{}, l.rounds.parked()
	l.mu.Lock()
	for _, p := range l.posts {
		for i := range p.messages {
			if p.code == "" {
				arrived[p.messages[i].Cursor.String()] = true
			}
		}
	}
	l.mu.Unlock()
	status, err := l.delivery.Status(l.ctx)
	require.NoError(l, err)
	for _, s := range status {
		for n := int64(1); n <= s.Last; n++ {
			cursor := delivery.Cursor{Generation: 1, Lane: s.Lane, Number: n}.String()
			if !arrived[cursor] && !slices.ContainsFunc(parked, func(p delivery.ParkedRange) bool { return p.Lane == s.Lane && p.From <= n && n <= p.To }) {
				wrong = append(wrong, fmt.Sprintf("%s is neither delivered nor parked", cursor))
			}
		}
		page, err := l.delivery.Next(l.ctx, l.stream, s.Lane, s.Last, 100, 0)
		require.NoError(l, err)
		if len(page.Messages) > 0 {
			wrong = append(wrong, fmt.Sprintf("%d of lane %d were never given", len(page.Messages), s.Lane))
		}
	}
	return wrong
}

var errBrittle = errors.New("the store is away")

// brittleStore fails while it is set to: what couriers note, and what the hub appends, sometimes before and sometimes after it is written.
type brittleStore struct {
	eventstore.Store
	mu      sync.Mutex
	random  *rand.Rand
	brittle bool
	refuse  func(view string, rows []eventstore.Row) bool // which commits fail, beside those
}

func (s *brittleStore) set(brittle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brittle = brittle
}

// refuses sets which commits fail, beside those that do by chance.
func (s *brittleStore) refuses(refuse func(view string, rows []eventstore.Row) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

func newBrittle(t *testing.T, random *rand.Rand) (*brittleStore, *journal.Journal) {
	t.Helper()
	store, err := sqlite.Open(context.Background(), sqlite.Config{Dir: t.TempDir(), Clock: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	keys, err := sqlite.OpenKeys(context.Background(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	brittle := &brittleStore{Store: journaltest.Alone(store), random: random}
	return brittle, journaltest.Begin(t, journaltest.Options{Wall: true, Clock: time.Now}, brittle, keys)
}

// chance says whether a write fails before, or after.
func (s *brittleStore) chance() (before, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.brittle {
		return false, false
	}
	n := s.random.IntN(100)
	return n < 6, n >= 94
}

// Acquire sometimes lets two have a lease: what a process that stood still for too long believes.
func (s *brittleStore) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	if before, after := s.chance(); before || after {
		return true, nil
	}
	return s.Store.Acquire(ctx, name, owner, ttl)
}

func (s *brittleStore) Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error {
	before, after := s.chance()
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	if before || (refuse != nil && refuse(view, rows)) {
		return errBrittle
	}
	err := s.Store.Commit(ctx, view, from, to, rows)
	if after {
		return errBrittle
	}
	return err
}

func (s *brittleStore) Append(ctx context.Context, appends ...eventstore.Append) ([]eventstore.Result, error) {
	var before, after bool
	if appends[0].Events[0].ActorKind == int16(journal.ActorHub) {
		before, after = s.chance()
	}
	if before {
		return nil, errBrittle
	}
	results, err := s.Store.Append(ctx, appends...)
	if after {
		return nil, errBrittle
	}
	return results, err
}
