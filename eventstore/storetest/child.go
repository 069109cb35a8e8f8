package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

const (
	crashEnv     = "STORETEST_CRASH_CHILD" // "<run> f<fault> <target>"
	crashView    = "crash"
	crashWriters = 3 // in each child

	// crashChildren append at once, and one may be killed while the other holds a lock or waits for one.
	crashChildren = 2
)

var crashLogID = uuid.MustParse("6b3c0a7e-52f7-4a52-9f43-0d1f0c5d1a11")

// attempt names one append of a child: the child's number, its writer, the writer's count.
type attempt struct{ Run, Writer, N int }

func (a attempt) String() string { return fmt.Sprintf("crash.%d.%d.%d", a.Run, a.Writer, a.N) }

// attemptOf is the attempt that a record belongs to.
func attemptOf(r eventstore.Recorded) (a attempt, err error) {
	if _, err := fmt.Sscanf(r.Type, "crash.%d.%d.%d", &a.Run, &a.Writer, &a.N); err != nil {
		return a, fmt.Errorf("position %d is of type %q, which nobody appended", r.Position, r.Type)
	}
	return a, nil
}

// count is how many records an attempt has.
func (a attempt) count() int { return 1 + a.N%4 }

func (a attempt) command() eventstore.Command {
	return numbered(uint64(a.Run)<<40|uint64(a.Writer)<<32|uint64(a.N), 7) // #nosec -- small, ≥ 0
}

// appends are the attempt's call. With a version its writer's aggregate is expected at it.
func (a attempt) appends(version *int32) []eventstore.Append {
	own := eventstore.Aggregate{Category: eventstore.Citizen, ID: uuid.NewSHA1(crashLogID, []byte{byte(a.Writer)})} // #nosec -- few
	shared := eventstore.Aggregate{Category: eventstore.Accesses, ID: crashLogID}
	ap := eventstore.Append{
		Command: a.command(),
		Rows:    []eventstore.Row{{View: crashView, Key: []byte{byte(a.Writer)}, Value: []byte(a.String())}}, // #nosec -- few
	}
	for i := range a.count() {
		e := event(own)
		if i == 1 {
			e.Aggregate = shared
		}
		e.Type, e.Restricting = a.String(), i == 2
		if a.N%9 == 5 {
			e.Payload = make([]byte, 20_000)
		}
		ap.Events = append(ap.Events, e)
	}
	if version != nil {
		ap.Expect = []eventstore.Expect{{Aggregate: own, Version: *version}}
	}
	return []eventstore.Append{ap}
}

// CrashChild is what TestMain calls before anything else. In the process that CrashLoop starts it appends until it is killed; in any other
// it returns at once.
func CrashChild(open Open) {
	env := os.Getenv(crashEnv)
	if env == "" {
		return
	}
	run, rest, _ := strings.Cut(env, " ")
	fault, target, _ := strings.Cut(rest, " ")
	c := &child{fault: strings.TrimPrefix(fault, "f")}
	_, err := fmt.Sscan(run, &c.run)
	if err == nil {
		err = c.appendForever(open, target)
	}
	fmt.Printf("\nfailed %v\n", err)
	os.Exit(1)
}

type child struct {
	run   int
	fault string
	mu    sync.Mutex // of stdout
	store eventstore.Store
}

func (c *child) appendForever(open Open, target string) error {
	ctx := context.Background()
	store, err := open(ctx, target)
	if err != nil {
		return err
	}
	c.store = store
	failed := make(chan error)
	for w := range crashWriters {
		go func() { failed <- c.write(ctx, c.run%crashChildren*crashWriters+w) }()
	}
	return <-failed
}

// write is one writer. Each line is on the pipe before the next step, so that the survivor knows what was tried and what was acknowledged.
func (c *child) write(ctx context.Context, writer int) error {
	first := attempt{c.run, writer, 0}.appends(nil)[0].Events[0].Aggregate
	written, err := c.store.ReadAggregate(ctx, first, 1, 0)
	if err != nil {
		return err
	}
	version := int32(len(written)) // #nosec -- small
	for n := 0; ; n++ {
		a := attempt{c.run, writer, n}
		if err := c.say("try %d %d %d;", a.Run, a.Writer, a.N); err != nil {
			return err
		}
		call := a.appends(&version)
		if a.N%3 == 1 {
			call[0].Expect = nil
		}
		events := call[0].Events
		if err := c.append(ctx, a, call); err != nil {
			return err
		}
		for _, e := range events {
			if e.Aggregate == first {
				version++
			}
		}
	}
}

func (c *child) append(ctx context.Context, a attempt, call []eventstore.Append) error {
	switch {
	case c.fault == "early": // acknowledges before it has appended
		if err := c.say("ack %d %d %d %d %d;", a.Run, a.Writer, a.N, -1, a.count()); err != nil {
			return err
		}
	case c.fault == "half" && len(call[0].Events) > 1: // appends in two steps
		second := call[0]
		second.Events, second.Expect, second.Command = second.Events[1:], nil, eventstore.Command{}
		call[0].Events = call[0].Events[:1]
		if _, err := c.store.Append(ctx, call...); err != nil {
			return err
		}
		call = []eventstore.Append{second}
	case c.fault == "twice": // doesn't keep commands
		call[0].Command = eventstore.Command{}
	}
	results, err := c.store.Append(ctx, call...)
	if err != nil || c.fault == "early" {
		return err
	}
	return c.say("ack %d %d %d %d %d;", a.Run, a.Writer, a.N, results[0].Position, results[0].Count)
}

func (c *child) say(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := fmt.Fprintf(os.Stdout, format+"\n", args...); err != nil {
		return errors.Join(errors.New("nobody listens"), err)
	}
	return nil
}
