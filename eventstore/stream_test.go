package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// twoSlots is a script with two transactions, whose batches are written when they are committed. trouble says what goes wrong now and
// then; others is another process that appends.
type twoSlots struct {
	hopeful
	open    [2]*Batch
	trouble func() string
	ahead   int
}

var errLost = fmt.Errorf("%w: connection reset", ErrUnknownOutcome)

func (d *twoSlots) Execute(_ context.Context, slot int, assume *Assumption, batch *Batch) error {
	time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[slot] != nil {
		panic("a transaction is open in this slot")
	}
	if d.open[1-slot] != nil {
		d.ahead++
	}
	switch d.trouble() {
	case "others": // another process is first
		d.head.Position++
	case "execute":
		return errors.New("disk full")
	}
	holds := d.head.Position == assume.Head || d.head.Position == assume.Head-int64(assume.Under)
	for _, e := range assume.Versions {
		holds = holds && d.versions[e.Aggregate] == e.Version
	}
	for _, c := range batch.Commands {
		holds = holds && !d.commands[c.Key].Known
	}
	if !holds {
		return ErrRefused
	}
	copied := *batch
	copied.Records, copied.Chunks, copied.Commands = slices.Clone(batch.Records), slices.Clone(batch.Chunks), slices.Clone(batch.Commands)
	d.open[slot] = &copied
	return nil
}

func (d *twoSlots) Commit(_ context.Context, slot int) error {
	time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	d.mu.Lock()
	defer d.mu.Unlock()
	batch := d.open[slot]
	d.open[slot] = nil
	trouble := d.trouble()
	switch {
	case batch.Records[0].Position <= d.head.Position: // the key of position
		return ErrRefused
	case trouble == "lost":
		return errLost
	}
	d.write(batch) // panics where a position is left out
	if trouble == "written and lost" {
		return errLost
	}
	return nil
}

func (d *twoSlots) Rollback(_ context.Context, slot int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[slot] = nil
}

// teller appends to a citizen of its own, expecting its version, and repeats what it got no certain answer for.
func teller(c *Committer, n byte, appends int) error {
	a := citizen(n)
	var version int32
	for i := range appends {
		ap := expecting(write(a), a, version)
		ap.Events[0].ID = uuid.UUID{n, byte(i)}
		ap.Command.Key = CommandKey{n, byte(i), 1}
		if i%4 == 0 { // what all write and nobody expects
			ap.Events = append(ap.Events, write(Aggregate{Category: Accesses}).Events...)
		}
		for {
			results, err := c.Append(context.Background(), ap)
			if err == nil && results[0].Count == len(ap.Events) {
				break
			}
			if !errors.Is(err, ErrUnknownOutcome) && err.Error() != "disk full" {
				return fmt.Errorf("teller %d, append %d: %w", n, i, err)
			}
		}
		version++
	}
	return nil
}

// TestStream: many tellers, with and without trouble. What the driver writes is contiguous (else it panics), and everybody's appends are
// there, once, in their order.
func TestStream(t *testing.T) {
	t.Parallel()
	for name, troubles := range map[string][]string{
		"no trouble":    {},
		"others append": {"others"},
		"failures":      {"execute"},
		"lost":          {"lost", "written and lost"},
		"all":           {"others", "execute", "lost", "written and lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &twoSlots{hopeful: hopeful{script: *newScript()}} //nolint:govet // not yet in use
			d.trouble = func() string {
				if len(troubles) == 0 || rand.IntN(20) > 0 {
					return ""
				}
				return troubles[rand.IntN(len(troubles))]
			}
			c := NewCommitter(d, CommitterConfig{StreamFrom: 2})
			defer c.Close()
			const tellers, appends = 20, 40
			errs := make([]error, tellers)
			var group sync.WaitGroup
			for n := range tellers {
				group.Go(func() { errs[n] = teller(c, byte(n+1), appends) })
			}
			group.Wait()
			require.NoError(t, errors.Join(errs...))
			next := map[Aggregate]byte{}
			total := 0
			for _, batch := range d.batches {
				for _, r := range batch {
					if r.Aggregate.Category == Accesses {
						continue
					}
					require.Equal(t, next[r.Aggregate], r.ID[1])
					next[r.Aggregate]++
					total++
				}
			}
			require.Equal(t, tellers*appends, total)
			require.Positive(t, d.ahead, "nothing was executed ahead: nothing was tested")
			if len(troubles) == 0 {
				require.LessOrEqual(t, c.Stats().Asked, int64(5), "what can be known is known, also of the batch under way")
			}
			require.Equal(t, [2]*Batch{}, d.open)
		})
	}
}

// Who depends on the batch under way is not executed beside it.
func TestHoldsUp(t *testing.T) {
	t.Parallel()
	a, b := citizen(1), citizen(2)
	under := expecting(write(a), b, 0)
	under.Command.Key, under.Rows, under.Events[0].Restricting = CommandKey{1}, []Row{{View: "v", Key: []byte("k")}}, true
	var p plan
	p.reset()
	p.add(&member{appends: []Append{under}}, nil)
	repeats, rows, guards := write(b), write(b), write(b)
	repeats.Command.Key, rows.Rows, guards.Guard = CommandKey{1}, under.Rows, Guard{Subjects: []uuid.UUID{{1}}}
	for name, c := range map[string]struct {
		append Append
		holds  bool
	}{
		"another's":    {write(b), false},
		"what is read": {expecting(write(citizen(3)), b, 0), false},
		"the same":     {write(a), true},
		"expects":      {expecting(write(b), a, 1), true},
		"repeats":      {repeats, true},
		"guards":       {guards, true},
		"rows":         {rows, true},
		"begins":       {withBegins(write(b)), true},
	} {
		require.Equal(t, c.holds, p.holdsUp(&member{appends: []Append{c.append}}), name)
	}
}
