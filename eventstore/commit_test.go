package eventstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The contract as a whole is tested on real stores (storetest). Here stands what a real store can't show: which members share a batch,
// what a driver's errors come to, who is told what when.

// script is a driver in memory. gate, when set, is called before each batch and may fail it.
type script struct {
	mu       sync.Mutex
	head     Head
	identity Identity
	versions map[Aggregate]int32
	commands map[CommandKey]KnownCommand
	latest   map[uuid.UUID]int64
	batches  [][]Recorded
	gate     func(call int) error
	after    error // returned although the batch was written
	calls    int
}

func newScript() *script {
	s := &script{
		head: Head{Position: 0}, identity: Identity{LogID: uuid.New(), Generation: 1},
		versions: map[Aggregate]int32{}, commands: map[CommandKey]KnownCommand{}, latest: map[uuid.UUID]int64{},
	}
	return s
}

func (s *script) Checked(_ context.Context, ask *Ask, build func(*Answer) *Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls++; s.gate != nil {
		if err := s.gate(s.calls); err != nil {
			return err
		}
	}
	answer := &Answer{Head: s.head, Identity: s.identity}
	for _, a := range ask.Aggregates {
		answer.Versions = append(answer.Versions, s.versions[a])
	}
	for _, k := range ask.Commands {
		answer.Commands = append(answer.Commands, s.commands[k])
	}
	for _, u := range ask.Subjects {
		at, ok := s.latest[u]
		if !ok {
			at = -1
		}
		answer.Restricted = append(answer.Restricted, at)
	}
	batch := build(answer)
	if batch == nil {
		return nil
	}
	s.write(batch)
	return s.after
}

func (s *script) write(batch *Batch) {
	s.batches = append(s.batches, append([]Recorded(nil), batch.Records...))
	for _, r := range batch.Records {
		if r.Position != s.head.Position+1 || r.Version != s.versions[r.Aggregate]+1 {
			panic(fmt.Sprintf("position %d after %d, version %d after %d", r.Position, s.head.Position, r.Version, s.versions[r.Aggregate]))
		}
		s.head, s.versions[r.Aggregate] = Head{Position: r.Position, RecordedAt: r.RecordedAt}, r.Version
	}
	var covered []Recorded // the chunks are the records, in order
	for _, chunk := range batch.Chunks {
		for n := range chunk.Count {
			covered = append(covered, Recorded{Event: Event{Aggregate: chunk.Aggregate}, Position: chunk.Position + int64(n), Version: chunk.First + n})
		}
	}
	for i, r := range batch.Records {
		if len(covered) != len(batch.Records) || covered[i].Aggregate != r.Aggregate || covered[i].Position != r.Position || covered[i].Version != r.Version {
			panic(fmt.Sprintf("chunks %v of records %v", batch.Chunks, batch.Records))
		}
	}
	for _, c := range batch.Commands {
		s.commands[c.Key] = KnownCommand{Known: true, Body: c.Body, Position: c.Position, Count: int(c.Count)}
	}
	for _, r := range batch.Restricting {
		s.latest[r.Subject] = r.Position
	}
}

func citizen(n byte) Aggregate { return Aggregate{Category: Citizen, ID: uuid.UUID{n}} }

// write is an append of one event that expects nothing; expecting adds that it expects its aggregate at version.
func write(a Aggregate) Append {
	return Append{Events: []Event{{ID: uuid.New(), Aggregate: a, Cause: NoCause, Subject: uuid.UUID{1}}}}
}

func expecting(a Append, of Aggregate, version int32) Append {
	a.Expect = append(a.Expect, Expect{Aggregate: of, Version: version})
	return a
}

// together appends all calls so that the committer finds them in its queue at once, while a batch before them is held up.
func together(t *testing.T, s *script, config CommitterConfig, calls ...[]Append) ([][]Result, []error) {
	t.Helper()
	results, errs := make([][]Result, len(calls)), make([]error, len(calls))
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var once sync.Once
		inner := s.gate
		s.gate = func(call int) error {
			once.Do(func() { <-hold })
			if inner != nil && call > 1 {
				return inner(call - 1)
			}
			return nil
		}
		c := NewCommitter(s, config)
		defer c.Close()
		var group sync.WaitGroup
		group.Go(func() {
			_, err := c.Append(context.Background(), write(Aggregate{Category: Accesses}))
			require.NoError(t, err)
		})
		synctest.Wait()
		for i, call := range calls {
			group.Go(func() { results[i], errs[i] = c.Append(context.Background(), call...) })
			synctest.Wait() // in this order
		}
		close(hold)
		group.Wait()
	})
	s.batches = s.batches[1:]
	return results, errs
}

func sizes(s *script) (out []int) {
	for _, b := range s.batches {
		out = append(out, len(b))
	}
	return out
}

func TestMembersThatWait(t *testing.T) {
	t.Parallel()
	a, b := citizen(1), citizen(2)
	command := func(ap Append, key byte) Append { ap.Command.Key = CommandKey{key}; return ap }
	restricting := func(ap Append) Append { ap.Events[0].Restricting = true; return ap }
	guarded := write(b)
	guarded.Guard = Guard{After: 0, Subjects: []uuid.UUID{{1}}}
	everyone := restricting(write(Aggregate{Category: Hub}))
	everyone.Events[0].Subject = uuid.Nil
	begins := write(Aggregate{Category: Hub})
	for name, c := range map[string]struct {
		calls   []Append
		batches []int
		errs    []error
	}{
		"independent":                {[]Append{expecting(write(a), a, 0), expecting(write(b), b, 0)}, []int{2}, []error{nil, nil}},
		"expects what is written":    {[]Append{write(a), expecting(write(a), a, 1)}, []int{1, 1}, []error{nil, nil}},
		"and is stale":               {[]Append{write(a), expecting(write(a), a, 0)}, []int{1}, []error{nil, ErrConflict}},
		"reads what is written":      {[]Append{write(a), expecting(write(b), a, 1)}, []int{1, 1}, []error{nil, nil}},
		"writes what was read":       {[]Append{expecting(write(b), a, 0), write(a)}, []int{2}, []error{nil, nil}},
		"unexpected twice":           {[]Append{write(a), write(a), write(a)}, []int{3}, []error{nil, nil, nil}},
		"read by many":               {[]Append{expecting(write(a), b, 0), expecting(write(citizen(3)), b, 0)}, []int{2}, []error{nil, nil}},
		"repeats":                    {[]Append{command(write(a), 7), command(write(a), 7)}, []int{1}, []error{nil, nil}},
		"guards what is restricted":  {[]Append{restricting(write(a)), guarded}, []int{1}, []error{nil, ErrConflict}},
		"guards, everyone":           {[]Append{everyone, guarded}, []int{1}, []error{nil, ErrConflict}},
		"restricts what was guarded": {[]Append{guarded, restricting(write(a))}, []int{2}, []error{nil, nil}},
		"who waits lets others by":   {[]Append{write(a), expecting(write(a), a, 1), write(b)}, []int{2, 1}, []error{nil, nil, nil}},
		"two that wait":              {[]Append{write(a), expecting(write(a), a, 1), expecting(write(a), a, 2)}, []int{1, 1, 1}, []error{nil, nil, nil}},
		"begins":                     {[]Append{write(a), withBegins(begins)}, []int{1}, []error{nil, ErrConflict}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript()
			calls := make([][]Append, len(c.calls))
			for i := range calls {
				calls[i] = []Append{c.calls[i]}
			}
			_, errs := together(t, s, CommitterConfig{}, calls...)
			require.Equal(t, c.batches, sizes(s))
			for i := range errs {
				require.ErrorIs(t, errs[i], c.errs[i])
			}
		})
	}
}

// Who waited for a member that is then refused is not harmed by what that one would have written.
func TestWaitingForTheRefused(t *testing.T) {
	t.Parallel()
	a, b := citizen(1), citizen(2)
	doomed := expecting(write(a), citizen(9), 5)
	first := write(a)
	first.Command.Key, first.Events[0].Restricting = CommandKey{7}, true
	repeats, guards := write(b), expecting(write(b), b, 1)
	repeats.Command = Command{Key: CommandKey{7}, Body: [32]byte{1}}
	guards.Guard = Guard{After: 0, Subjects: []uuid.UUID{{1}}}
	results, errs := together(t, newScript(), CommitterConfig{}, []Append{first, doomed}, []Append{repeats}, []Append{guards})
	require.ErrorIs(t, errs[0], ErrConflict)
	require.NoError(t, errors.Join(errs[1:]...))
	require.False(t, results[1][0].Repeated)
}

func withBegins(a Append) Append {
	a.Begins = &Identity{LogID: uuid.New(), Generation: 2} // another log's
	return a
}

// A refused member leaves no trace in the batch: no position, no version, no chunk, no command, no row.
func TestRefusedLeaveNoTrace(t *testing.T) {
	t.Parallel()
	a, b := citizen(1), citizen(2)
	stale := []Append{write(a), write(a), expecting(write(b), citizen(9), 5)}
	stale[0].Command.Key = CommandKey{1}
	stale[0].Rows = []Row{{View: "v", Key: []byte("k"), Value: []byte("lost")}}
	stale[1].Events[0].Restricting = true
	s := newScript()
	results, errs := together(t, s, CommitterConfig{}, []Append{write(a)}, stale, []Append{write(a)}, []Append{write(b)})
	require.ErrorIs(t, errs[1], ErrConflict)
	var conflict *Conflict
	require.ErrorAs(t, errs[1], &conflict)
	require.Equal(t, citizen(9), conflict.Aggregate)
	require.Nil(t, results[1])
	require.Equal(t, []int{3}, sizes(s))
	require.Equal(t, int32(2), s.batches[0][1].Version)
	require.Equal(t, int32(1), s.batches[0][2].Version)
	require.Empty(t, s.commands)
	require.Empty(t, s.latest)
}

func TestBatchesClose(t *testing.T) {
	t.Parallel()
	big := write(citizen(1))
	big.Events[0].Payload = make([]byte, 600)
	s := newScript()
	_, errs := together(t, s, CommitterConfig{MaxBytes: 1000}, []Append{big}, []Append{big}, []Append{write(citizen(2))})
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []int{1, 2}, sizes(s), "by bytes")

	s = newScript()
	three := []Append{write(citizen(1)), write(citizen(1)), write(citizen(1))}
	_, errs = together(t, s, CommitterConfig{MaxRecords: 4}, three, three, []Append{write(citizen(2))}, make5())
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []int{3, 4, 5}, sizes(s), "by records; a larger call is a batch of its own")
}

func make5() (out []Append) {
	for range 5 {
		out = append(out, write(citizen(3)))
	}
	return out
}

// What a driver's errors come to, and that the next batch is not harmed.
func TestDriverErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	t.Run("refused, then not", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.gate = func(call int) error {
			if call <= 5 {
				return ErrRefused
			}
			return nil
		}
		_, errs := together(t, s, CommitterConfig{}, []Append{write(citizen(1))})
		require.NoError(t, errs[0])
		require.Equal(t, []int{1}, sizes(s))
	})
	t.Run("always refused", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.gate = func(int) error { return ErrRefused }
		_, errs := together(t, s, CommitterConfig{}, []Append{write(citizen(1))})
		var conflict *Conflict
		require.ErrorAs(t, errs[0], &conflict)
		require.Equal(t, ConflictPosition, conflict.Kind)
	})
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.gate = func(call int) error {
			if call == 1 {
				return broken
			}
			return nil
		}
		_, errs := together(t, s, CommitterConfig{}, []Append{write(citizen(1))}, []Append{write(citizen(2))},
			[]Append{expecting(write(citizen(1)), citizen(1), 0)})
		require.ErrorIs(t, errs[0], broken)
		require.ErrorIs(t, errs[1], broken)
		require.NoError(t, errs[2], "nothing was written before it")
	})
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		s := newScript()
		s.after = fmt.Errorf("%w: connection reset", ErrUnknownOutcome)
		c := NewCommitter(s, CommitterConfig{})
		defer c.Close()
		_, err := c.Append(t.Context(), write(citizen(1)))
		require.ErrorIs(t, err, ErrUnknownOutcome)
	})
}

func TestCallersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		hold := make(chan struct{})
		s.gate = func(int) error { <-hold; return nil }
		c := NewCommitter(s, CommitterConfig{})
		ctx, cancel := context.WithCancel(context.Background())
		var inBatch, inQueue error
		var group sync.WaitGroup
		group.Go(func() { _, inBatch = c.Append(ctx, write(citizen(1))) })
		synctest.Wait()
		group.Go(func() { _, inQueue = c.Append(ctx, write(citizen(2))) })
		synctest.Wait()
		cancel()
		group.Wait()
		require.ErrorIs(t, inBatch, ErrUnknownOutcome)
		require.ErrorIs(t, inBatch, context.Canceled)
		require.ErrorIs(t, inQueue, context.Canceled)
		require.NotErrorIs(t, inQueue, ErrUnknownOutcome)
		_, err := c.Append(ctx, write(citizen(3)))
		require.ErrorIs(t, err, context.Canceled)
		close(hold)
		c.Close()
		require.Equal(t, []int{1}, sizes(s), "the batch went on without its caller; who had left the queue is not in it")
		require.Equal(t, citizen(1), s.batches[0][0].Aggregate)
	})
}

// Close commits what is queued; later calls are refused; the committer's goroutine ends (synctest fails if one is left).
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		hold := make(chan struct{})
		s.gate = func(int) error { <-hold; return nil }
		c := NewCommitter(s, CommitterConfig{})
		var appended atomic.Int64
		var group sync.WaitGroup
		for n := range byte(9) {
			group.Go(func() {
				if _, err := c.Append(context.Background(), write(citizen(n))); err == nil {
					appended.Add(1)
				}
			})
		}
		synctest.Wait()
		group.Go(c.Close)
		synctest.Wait()
		_, err := c.Append(context.Background(), write(citizen(1)))
		require.ErrorIs(t, err, ErrClosed)
		close(hold)
		group.Wait()
		require.Equal(t, int64(9), appended.Load())
		c.Close() // again
	})
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	c := NewCommitter(newScript(), CommitterConfig{})
	defer c.Close()
	for name, change := range map[string]func(*Append){
		"a command without an event":    func(a *Append) { a.Command.Key, a.Events = CommandKey{1}, nil },
		"caused before the append":      func(a *Append) { a.Events[0].Cause = CauseBefore(1) },
		"caused by a later one":         func(a *Append) { a.Events[0].Cause = 1 << 40 },
		"restricting nobody":            func(a *Append) { a.Events[0].Restricting, a.Events[0].Subject = true, uuid.Nil },
		"a generation without an event": func(a *Append) { *a = Append{Begins: &Identity{Generation: 9}} },
	} {
		a := write(citizen(1))
		change(&a)
		_, err := c.Append(t.Context(), a)
		require.Error(t, err, name)
	}
	results, err := c.Append(t.Context())
	require.NoError(t, err)
	require.Empty(t, results)
}

// hopeful is a script that can also write without being asked, if what is assumed holds.
type hopeful struct {
	script
	oneGo int
}

func (h *hopeful) OneGo(_ context.Context, assume *Assumption, batch *Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.oneGo++
	holds := assume.Head == h.head.Position
	for _, e := range assume.Versions {
		holds = holds && h.versions[e.Aggregate] == e.Version
	}
	for _, g := range assume.Guards {
		at, ok := h.latest[g.Subject]
		holds = holds && (!ok || at <= g.After)
	}
	for _, c := range batch.Commands {
		holds = holds && !h.commands[c.Key].Known
	}
	if !holds {
		return ErrRefused
	}
	h.write(batch)
	return nil
}

// TestOneGo: the first batch asks, the following go in one; a conflict makes the next ones ask; what is not known is asked.
func TestOneGo(t *testing.T) {
	t.Parallel()
	h := &hopeful{script: *newScript()} //nolint:govet // not yet in use
	c := NewCommitter(h, CommitterConfig{})
	defer c.Close()
	asked := func(a Append, want bool, wantErr error) {
		t.Helper()
		before := c.Stats().Asked
		_, err := c.Append(t.Context(), a)
		require.ErrorIs(t, err, wantErr)
		require.Equal(t, want, c.Stats().Asked > before)
	}
	a, accesses := citizen(1), Aggregate{Category: Accesses}
	asked(expecting(write(a), a, 0), true, nil)
	asked(expecting(write(a), a, 1), false, nil)
	asked(write(accesses), true, nil) // its version is not known
	asked(write(accesses), false, nil)
	asked(expecting(write(accesses), accesses, 2), false, nil)
	asked(write(accesses), false, nil)
	require.Equal(t, int32(4), h.versions[accesses])

	// A conflict in a batch of one: the next one asks, the one after hopes again.
	asked(expecting(write(a), a, 1), true, ErrConflict)
	asked(expecting(write(a), a, 2), true, nil)
	asked(expecting(write(a), a, 3), false, nil)

	// Another process appends: the batch that meets it is refused and asked for, and so are the next ones.
	h.mu.Lock()
	h.head.Position++
	h.mu.Unlock()
	for n := range int32(1 + carefulBatches) {
		asked(expecting(write(a), a, 4+n), true, nil)
	}
	asked(expecting(write(a), a, 5+carefulBatches), false, nil)
}

// TestOneGoAsChecked: whatever is appended, a committer that hopes and one that always asks come to the same log and the same answers.
func TestOneGoAsChecked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hoping, asking := &hopeful{script: *newScript()}, newScript() //nolint:govet // not yet in use
		clock := func() time.Time { return time.Unix(1000, 0) }
		one, other := NewCommitter(hoping, CommitterConfig{Clock: clock}), NewCommitter(asking, CommitterConfig{Clock: clock})
		defer one.Close()
		defer other.Close()
		hoping.identity = asking.identity
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			call := drawCall(t)
			one.careful = 0 // so that it hopes, whatever was refused before; its goroutine rests
			r1, err1 := one.Append(context.Background(), call...)
			r2, err2 := other.Append(context.Background(), call...)
			for i := range r1 { // the scripts don't keep the times of repeated ones
				r1[i].RecordedAt, r2[i].RecordedAt = time.Time{}, time.Time{}
			}
			require.Equal(t, r2, r1)
			require.Equal(t, fmt.Sprint(err2), fmt.Sprint(err1))
		}
		require.Equal(t, asking.batches, hoping.batches)
	})
}

func drawCall(t *rapid.T) []Append {
	aggregate := rapid.Custom(func(t *rapid.T) Aggregate { return citizen(byte(rapid.IntRange(1, 3).Draw(t, "citizen"))) })
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Append {
		a := write(aggregate.Draw(t, "writes"))
		a.Events[0].Subject, a.Events[0].ID = a.Events[0].Aggregate.ID, uuid.UUID{9}
		a.Events[0].Restricting = rapid.Bool().Draw(t, "restricts")
		if rapid.IntRange(0, 9).Draw(t, "kind") == 0 { // restricts everyone
			a.Events[0].Aggregate, a.Events[0].Subject, a.Events[0].Restricting = Aggregate{Category: Hub}, uuid.Nil, true
		}
		if rapid.Bool().Draw(t, "expects") {
			a = expecting(a, aggregate.Draw(t, "expected"), int32(rapid.IntRange(0, 6).Draw(t, "version")))
		}
		if rapid.Bool().Draw(t, "guards") {
			a.Guard = Guard{After: int64(rapid.IntRange(-1, 20).Draw(t, "after")), Subjects: []uuid.UUID{aggregate.Draw(t, "guarded").ID}}
		}
		if rapid.Bool().Draw(t, "commands") {
			a.Command = Command{Key: CommandKey{byte(rapid.IntRange(1, 9).Draw(t, "key"))}, Body: [32]byte{byte(rapid.IntRange(1, 2).Draw(t, "body"))}}
		}
		return a
	}), 1, 3).Draw(t, "call")
}
