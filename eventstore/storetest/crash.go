package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/eventstore"
)

// Open opens the store that target names (a folder, a URL), in the test's process or in the child's.
type Open func(ctx context.Context, target string) (eventstore.Store, error)

// CrashLoop kills processes that append to the store at target, two at once, at `kills` random moments, with SIGKILL, and looks each
// time for what must hold: everything acknowledged is there, as it was acknowledged; no gap; no append in part; no command twice, also
// after the callers have repeated what they got no answer for; view rows stand exactly where their appends stand.
//
// The processes are the test binary itself, so TestMain must call CrashChild first. The store at target must be empty.
func CrashLoop(t *testing.T, target string, open Open, kills int) {
	t.Helper()
	began := time.Now()
	l := newCrashLoop(target, open, "")
	require.NoError(t, l.run(t.Context(), kills))
	t.Logf("%d kills, %d appends acknowledged, %d in doubt (%d of them there), in %v",
		kills, l.acknowledged, l.inDoubt, l.there, time.Since(began))
	require.Positive(t, l.acknowledged)
}

// crashLoop is what the survivor knows.
type crashLoop struct {
	target string
	open   Open
	fault  string // how the child deviates, when the loop itself is tested
	random *rand.Rand

	mu       sync.Mutex
	told     map[attempt]eventstore.Result // acknowledged
	asked    map[attempt]bool              // tried, no answer yet
	seen     map[attempt]int64             // on the log, by the first record's position
	rows     map[int]int                   // writer → its last append on the log
	versions map[eventstore.Aggregate]int32
	verified int64 // the position up to which the log has been looked at
	identity eventstore.Identity

	acknowledged, inDoubt, there int
}

func newCrashLoop(target string, open Open, fault string) *crashLoop {
	return &crashLoop{
		target: target, open: open, fault: fault, random: rand.New(rand.NewPCG(rand.Uint64(), 1)), // #nosec -- a test's choice
		told: map[attempt]eventstore.Result{}, asked: map[attempt]bool{}, seen: map[attempt]int64{}, rows: map[int]int{},
		versions: map[eventstore.Aggregate]int32{}, identity: eventstore.Identity{LogID: crashLogID, Generation: 1},
	}
}

func (l *crashLoop) run(ctx context.Context, kills int) error {
	if err := l.genesis(ctx); err != nil {
		return err
	}
	for n := range (kills + crashChildren - 1) / crashChildren {
		if err := l.kill(ctx, n); err != nil {
			return fmt.Errorf("the children of round %d: %w", n, err)
		}
		// Now and then the next children, not the survivor, are the first to open what the killed one left.
		if n%3 == 2 && (n+1)*crashChildren < kills {
			continue
		}
		if err := l.verify(ctx); err != nil {
			return fmt.Errorf("after round %d: %w", n, err)
		}
	}
	return nil
}

func (l *crashLoop) genesis(ctx context.Context) error {
	store, err := l.open(ctx, l.target)
	if err != nil {
		return err
	}
	e := event(aggregate(eventstore.Hub))
	_, err = store.Append(ctx, eventstore.Append{Begins: &l.identity, Events: []eventstore.Event{e}})
	l.versions[e.Aggregate], l.verified = 1, 1
	return errors.Join(err, store.Close())
}

// kill lets several children append at once, kills each after so many acknowledgements and a moment more, and takes down what they said.
func (l *crashLoop) kill(ctx context.Context, n int) error {
	var group errgroup.Group
	for i := range crashChildren {
		acknowledgements := 1 + l.random.IntN(30)
		moment := time.Duration(l.random.IntN(3000)) * time.Microsecond // any moment of a commit, not just its end
		group.Go(func() error { return l.killOne(ctx, n*crashChildren+i, acknowledgements, moment) })
	}
	return group.Wait()
}

func (l *crashLoop) killOne(ctx context.Context, number, acknowledgements int, moment time.Duration) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, executable, "-test.run=^$") // #nosec -- ourselves
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", crashEnv, number, "f"+l.fault, l.target))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	killed := false
	for lines.Scan() {
		if err := l.note(lines.Text()); err != nil {
			_ = child.Process.Kill()
			return errors.Join(err, child.Wait())
		}
		if strings.HasPrefix(lines.Text(), "ack") {
			acknowledgements--
		}
		if acknowledgements <= 0 && !killed {
			killed = true
			time.Sleep(moment)
			if err := child.Process.Kill(); err != nil {
				return err
			}
		}
	}
	err = child.Wait()
	if !killed {
		return fmt.Errorf("it ended by itself: %w", errors.Join(err, lines.Err()))
	}
	return lines.Err()
}

// note takes down one line of a child. A last line that was cut off says nothing, and nobody was told anything by it.
func (l *crashLoop) note(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var a attempt
	var r eventstore.Result
	switch {
	case strings.HasPrefix(line, "try "):
		if _, err := fmt.Sscanf(line, "try %d %d %d;", &a.Run, &a.Writer, &a.N); err == nil {
			l.asked[a] = true
		}
	case strings.HasPrefix(line, "ack "):
		if _, err := fmt.Sscanf(line, "ack %d %d %d %d %d;", &a.Run, &a.Writer, &a.N, &r.Position, &r.Count); err == nil {
			l.told[a] = r
			delete(l.asked, a)
			l.acknowledged++
		}
	case strings.HasPrefix(line, "failed "):
		return errors.New(line)
	}
	return nil
}

// verify opens the store as it was left and looks at it, repeats what is in doubt, and looks again.
func (l *crashLoop) verify(ctx context.Context) (err error) {
	store, err := l.open(ctx, l.target)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := l.look(ctx, store); err != nil {
		return err
	}
	for a := range l.told {
		if _, ok := l.seen[a]; !ok {
			return fmt.Errorf("%+v was acknowledged and is lost", a)
		}
	}
	for a := range l.asked {
		l.inDoubt++
		at, there := l.seen[a]
		if there {
			l.there++
		}
		results, err := store.Append(ctx, a.appends(nil)...)
		if err != nil {
			return fmt.Errorf("repeating %+v: %w", a, err)
		}
		r := results[0]
		if r.Repeated != there || there && r.Position != at {
			return fmt.Errorf("%+v repeated came to %+v; on the log before: %v, at %d", a, r, there, at)
		}
		l.told[a] = eventstore.Result{Position: r.Position, Count: a.count()}
	}
	clear(l.asked)
	if err := l.look(ctx, store); err != nil {
		return err
	}
	return l.checkRows(ctx, store)
}

// look reads on from where the last look ended.
func (l *crashLoop) look(ctx context.Context, store eventstore.Store) error {
	for {
		page, err := store.ReadAll(ctx, l.verified, 500)
		if err != nil || len(page) == 0 {
			return err
		}
		for len(page) > 0 {
			a, err := attemptOf(page[0])
			if err != nil {
				return err
			}
			n := a.count()
			if len(page) < n {
				more, err := store.ReadAll(ctx, l.verified, n)
				if err != nil {
					return err
				}
				if page = more; len(page) < n {
					return fmt.Errorf("%d of %d records of %+v", len(page), n, a)
				}
			}
			if err := l.take(ctx, store, a, page[:n]); err != nil {
				return err
			}
			page = page[n:]
		}
	}
}

// take checks the records of one attempt.
func (l *crashLoop) take(ctx context.Context, store eventstore.Store, a attempt, records []eventstore.Recorded) error {
	if at, twice := l.seen[a]; twice {
		return fmt.Errorf("%+v is at %d and at %d", a, at, l.verified)
	}
	if r, ok := l.told[a]; ok && r.Position >= 0 && (r.Position != l.verified || r.Count != len(records)) {
		return fmt.Errorf("%+v was acknowledged as %+v and is at %d", a, r, l.verified)
	}
	l.seen[a] = l.verified
	for _, r := range records {
		of, err := attemptOf(r)
		l.versions[r.Aggregate]++
		switch {
		case err != nil:
			return err
		case of != a:
			return fmt.Errorf("position %d belongs to %+v, in the middle of %+v", r.Position, of, a)
		case r.Position != l.verified:
			return fmt.Errorf("position %d where %d is due", r.Position, l.verified)
		case r.Version != l.versions[r.Aggregate]:
			return fmt.Errorf("position %d: version %d where %d is due", r.Position, r.Version, l.versions[r.Aggregate])
		case r.Leaf != leafOf(l.identity, r):
			return fmt.Errorf("position %d: the leaf is not the hash of the record", r.Position)
		}
		l.verified++
	}
	l.rows[a.Writer] = int(l.seen[a])
	known, err := store.ReadCommands(ctx, a.command())
	if err != nil {
		return err
	}
	if k := known[0]; !k.Found || k.Result.Position != l.seen[a] {
		return fmt.Errorf("%+v is at %d, its command is known as %+v", a, l.seen[a], k)
	}
	return nil
}

// checkRows: each writer's row names its last append on the log.
func (l *crashLoop) checkRows(ctx context.Context, store eventstore.Store) error {
	for writer, at := range l.rows {
		got, err := store.Get(ctx, crashView, []byte{byte(writer)}) // #nosec -- few writers
		if err != nil {
			return err
		}
		records, err := store.Read(ctx, int64(at))
		if err != nil {
			return err
		}
		if last, err := attemptOf(records[0]); err != nil || string(got[0]) != last.String() {
			return fmt.Errorf("the row of writer %d says %q; its last append is %v (%w)", writer, got[0], last, err)
		}
	}
	return nil
}
