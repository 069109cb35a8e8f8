package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tellonce/hub/eventstore"
)

// Wait returns nil when the head may be at or beyond position: after an append of this process, a notification of another's, or the
// safety poll; ErrClosed after Close.
func (s *Store) Wait(ctx context.Context, position int64) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.closed, func() { cancel(eventstore.ErrClosed) })()
	if err := s.signal.Wait(ctx, position, s.config.Poll); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
)

// listen raises the signal for every notification until ctx ends, connecting again when the connection is lost. Meanwhile Wait's safety
// poll carries on.
func (s *Store) listen(ctx context.Context) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, maxPause) {
		connected, err := s.listenOnce(ctx)
		if connected {
			pause = firstPause
		}
		if ctx.Err() == nil {
			s.config.Logf(fmt.Sprintf("postgres: listening for appends: %v; again in %v", err, pause))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (s *Store) listenOnce(ctx context.Context) (connected bool, err error) {
	conn, err := s.config.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.config.Schema}.Sanitize()); err != nil {
		return false, err
	}
	// What was appended while nobody listened. On an empty log there is nothing to raise.
	var head int64
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(position), -1) FROM log").Scan(&head); err != nil {
		return true, err
	}
	s.signal.Raise(head)
	for {
		note, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, err
		}
		if position, err := strconv.ParseInt(note.Payload, 10, 64); err == nil {
			s.signal.Raise(position)
		}
	}
}

// notifyEvery is the least time between two notifications of a process under load: followers in other replicas read what came meanwhile
// in one page.
const notifyEvery = 5 * time.Millisecond

// notifier tells other replicas that the log has grown, beside the appends and not in their transaction, where the lock of NOTIFY and
// the waking of listeners would hold up the next batch. If the process dies before it has told, the followers' safety poll finds the
// records.
type notifier struct {
	position atomic.Int64
	wake     chan struct{} // holds one token when position has grown
}

func (n *notifier) raise(position int64) {
	n.position.Store(position)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// notify tells until ctx ends, and then once more if there is something that it has not told: a command that appends and ends is to be
// noticed at once, too.
func (s *Store) notify(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.notifier.wake:
			s.notifyOnce(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(notifyEvery):
			}
		}
	}
	select {
	case <-s.notifier.wake:
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s.notifyOnce(last)
	default:
	}
}

// notifyOnce may fail: then the followers' safety poll finds what was appended.
func (s *Store) notifyOnce(ctx context.Context) {
	position := strconv.FormatInt(s.notifier.position.Load(), 10)
	if _, err := s.pool.Exec(ctx, "SELECT pg_notify($1, $2)", s.config.Schema, position); err != nil && ctx.Err() != nil {
		s.notifier.raise(s.notifier.position.Load()) // it was cut short: tell it at the end
	}
}
