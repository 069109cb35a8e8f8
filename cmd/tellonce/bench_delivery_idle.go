package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// idleRounds are how many changes all waiters are told.
const idleRounds = 3

// spareFiles are what a process needs beside a connection for each waiter.
const spareFiles = 500

// benchIdle measures what waiting long polls cost: the memory of this process, and how long it takes until all have a change. They are in another
// process, so that their memory is not counted.
func (c *cli) benchIdle(ctx context.Context, b deliveryBench) (err error) {
	if err := allowFiles(uint64(b.idle) + spareFiles); err != nil { // #nosec G115 -- checked: not negative
		return err
	}
	s, err := c.benchServe(ctx, b, []string{wayPull})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := s.tell(ctx, 1, 1, nil); err != nil { // so that the stream has a cursor to wait after
		return err
	}
	before, err := residentMemory()
	if err != nil {
		return err
	}
	w, err := s.startWaiters(b.idle)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	var with uint64
	var firsts, lasts []time.Duration
	for range idleRounds {
		if err := w.waiting(); err != nil {
			return err
		}
		settle()
		if with == 0 {
			if with, err = residentMemory(); err != nil {
				return err
			}
		}
		if err := s.hub.tellNumber(ctx, s.people[0], s.told); err != nil {
			return err
		}
		accepted := time.Now()
		s.told++
		answer, err := w.answered()
		if err != nil {
			return err
		}
		firsts, lasts = append(firsts, max(0, answer.First.Sub(accepted))), append(lasts, answer.Last.Sub(accepted)) // the first may be before the teller is woken
	}
	after, err := residentMemory()
	if err != nil {
		return err
	}
	return c.idleLine(b.idle, before, with, after, quantile(firsts, 50), quantile(lasts, 50))
}

func (c *cli) idleLine(n int, before, with, after uint64, first, last time.Duration) error {
	const mebi = 1 << 20
	each := (float64(with) - float64(before)) / float64(n)
	object := map[string]any{
		"name": "idle", "waiting": n, "resident_before": before, "resident_waiting": with, "resident_after": after, "bytes_each": each,
		"first_ms": milliseconds(first), "last_ms": milliseconds(last),
	}
	text := fmt.Sprintf("idle long polls, %d     %d MiB resident before, %d MiB with them (%.1f KiB each), %d MiB after %d changes to all; from acceptance to the "+
		"first that has it %.1f ms, to the last %.1f ms", n, before/mebi, with/mebi, each/1024, after/mebi, idleRounds, milliseconds(first), milliseconds(last))
	return c.emitNow(object, text)
}

// allowFiles raises the soft limit of open files, and the hard one where that is allowed.
func allowFiles(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit of open files can't be read: %w", err)
	}
	if limit.Cur >= n {
		return nil
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d open files are needed and not allowed (%w); raise `ulimit -n`, or ask for fewer", n, err)
	}
	return nil
}

// residentMemory is the memory of this process in bytes, without garbage.
func residentMemory() (uint64, error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("the memory of this process can't be read here: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, errors.New("/proc/self/statm has another shape here")
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err // #nosec G115 -- a page's size
}

// settle waits until requests that have arrived are being waited on: no goroutine starts any more.
func settle() {
	for last := -1; ; {
		n := runtime.NumGoroutine()
		if last >= 0 && max(n-last, last-n) <= n/200 {
			return
		}
		last = n
		time.Sleep(500 * time.Millisecond)
	}
}

// waiters are the process of the waiting readers.
type waiters struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
}

// waitersSay is what they say: that all wait, or when the first and the last got a change.
type waitersSay struct {
	Waiting     bool
	First, Last time.Time
}

func (s *benchServer) startWaiters(n int) (*waiters, error) {
	token, err := s.token(wayPull)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(s.context, program, "bench", "waiters", strconv.Itoa(n), s.eventsURL(wayPull, "limit=1000&wait=30s")) // #nosec G204 -- this program
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	w := &waiters{command: command, in: in, out: json.NewDecoder(bufio.NewReader(out))}
	_, err = fmt.Fprintln(in, token) // not an argument: those can be seen
	return w, err
}

func (w *waiters) waiting() error {
	say, err := w.hear()
	if err == nil && !say.Waiting {
		err = errors.New("the waiters are not waiting")
	}
	return err
}

func (w *waiters) answered() (waitersSay, error) { return w.hear() }

func (w *waiters) hear() (say waitersSay, err error) {
	if err := w.out.Decode(&say); err != nil {
		return say, fmt.Errorf("the process of the waiters has ended: %w", err)
	}
	return say, nil
}

// stop ends them: they live as long as their input.
func (w *waiters) stop() error {
	err := w.in.Close()
	_ = w.command.Wait() // how it ends does not matter
	return err
}

// benchWaiters is the other process.
func (c *cli) benchWaiters() *cobra.Command {
	return &cobra.Command{
		Use: "waiters N URL", Hidden: true, Short: "The waiting readers of `bench delivery --idle`", Args: exactly(2, "how many, and where"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 1 {
				return usageError{errors.New("how many is a number")}
			}
			if err := allowFiles(uint64(n) + spareFiles); err != nil {
				return err
			}
			return wait(cmd.Context(), n, args[1], c.in, json.NewEncoder(c.out))
		},
	}
}
