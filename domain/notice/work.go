package notice

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
)

const (
	lease    = "notice"
	leaseTTL = 15 * time.Second // for how long nobody tells after a crash
	renewal  = leaseTTL / 3
	idle     = 30 * time.Second // looks again, whatever the log says
	batch    = 64
	lanes    = 4 // side by side; all about one citizen go by one, in order
	tries    = 3 // one after another, before a notice steps aside
)

// postponed is after how long a notice is tried again that its carrier did not take, and again; the last one stands for all later times.
var postponed = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

const poison = "notices.poison"

func topic(lane int) string { return "notices." + strconv.Itoa(lane) }

// Run tells citizens until ctx ends. What is due comes from the view, goes through the router, and leaves the view once it is on the log. What
// stands in the router's queues is lost with the process, and found again in the view.
func (n *Notices) Run(ctx context.Context) error { return n.run(ctx, n.follow) }

// run runs the router while follow puts into its queue what is due.
func (n *Notices) run(ctx context.Context, follow func(context.Context, message.Publisher) error) error {
	queue := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true, PreserveContext: true}, watermill.NopLogger{})
	aside := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true, PreserveContext: true}, watermill.NopLogger{})
	defer func() { _, _ = queue.Close(), aside.Close() }()
	router, err := n.router(queue, aside)
	if err != nil {
		return err
	}
	group, routing := errgroup.WithContext(ctx)
	group.Go(func() error { return router.Run(routing) })
	group.Go(func() error {
		defer func() { _ = router.Close() }()
		select {
		case <-router.Running():
			return follow(routing, queue)
		case <-routing.Done():
			return routing.Err()
		}
	})
	return group.Wait()
}

// router tries a notice a few times; what does not go then goes to the poison queue, where it is put off for later.
func (n *Notices) router(queue, aside *gochannel.GoChannel) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	salvage, err := middleware.PoisonQueue(aside, poison)
	if err != nil {
		return nil, fmt.Errorf("notice: %w", err)
	}
	retry := middleware.Retry{MaxRetries: tries - 1, InitialInterval: n.FirstRetry, MaxInterval: 10 * n.FirstRetry, Multiplier: 2, RandomizationFactor: 0.5}
	for lane := range lanes {
		handler := router.AddConsumerHandler(topic(lane), topic(lane), queue, n.handle)
		handler.AddMiddleware(salvage, retry.Middleware)
	}
	router.AddConsumerHandler(poison, poison, aside, n.postpone)
	return router, nil
}

// handle tells what one row asks for. Nothing is left to tell when it returns nil, and the row goes.
func (n *Notices) handle(msg *message.Message) (err error) {
	defer func() {
		if value := recover(); value != nil { // of the value only its type: it may hold what a notice holds
			err = fmt.Errorf("notice: a panic (%T)", value)
		}
	}()
	row, err := readMessage(msg)
	if err != nil {
		return err
	}
	if err := n.tell(msg.Context(), row.cause, row.citizen); err != nil {
		return err
	}
	n.waiting.Set(0)
	// If the process dies here, the row is looked at once more: everything is on the log.
	due := NewDue(n.Journal)
	return due.put(msg.Context(), row.gone(due.Name()))
}

// postpone puts off what could not be sent for now. If that fails, too, the row stays where it is. It is never an error: the queue would give
// the message again at once.
func (n *Notices) postpone(msg *message.Message) error {
	row, err := readMessage(msg)
	ctx := msg.Context()
	if err != nil || ctx.Err() != nil {
		return nil //nolint:nilerr // see above
	}
	later := row
	later.due = n.Journal.Clock().Add(postponed[min(row.attempts, len(postponed)-1)]).Truncate(time.Second)
	later.attempts++
	n.waiting.Inc()
	n.Logger.Warn("a notice could not be sent; it is tried again later",
		"attempts", later.attempts, "error", msg.Metadata.Get(middleware.ReasonForPoisonedKey))
	due := NewDue(n.Journal)
	if err := due.put(ctx, row.gone(due.Name()), later.row(due.Name())); err != nil {
		n.Logger.Error("a notice could not be put off; it is tried again at once", "error", err)
	}
	return nil
}

func newMessage(ctx context.Context, row dueRow) *message.Message {
	msg := message.NewMessage(uuid.NewString(), binary.BigEndian.AppendUint16(row.key(), uint16(row.attempts))) // #nosec G115 -- it fits
	msg.SetContext(ctx)
	return msg
}

func readMessage(msg *message.Message) (dueRow, error) {
	if len(msg.Payload) != 35 {
		return dueRow{}, errRow
	}
	return readDue(eventstore.Row{Key: slices.Clone(msg.Payload[:33]), Value: msg.Payload[33:]})
}

// follow does what is due whenever it gets the lease.
func (n *Notices) follow(ctx context.Context, queue message.Publisher) error {
	for ctx.Err() == nil {
		held, err := n.Journal.Store().Acquire(ctx, lease, n.Owner, leaseTTL)
		if err == nil && held {
			err = n.session(ctx, queue)
		}
		if err != nil {
			return err
		}
		select { // another process tells: nothing tells when it has gone
		case <-time.After(renewal):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// errLost says that another process has the lease.
var errLost = errors.New("notice: the lease is another's")

// session does what is due, again and again, while the lease is renewed beside it.
func (n *Notices) session(ctx context.Context, queue message.Publisher) error {
	store := n.Journal.Store()
	defer func() { _ = store.Release(context.WithoutCancel(ctx), lease, n.Owner) }()
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error {
		for {
			select {
			case <-time.After(renewal):
			case <-working.Done():
				return working.Err()
			}
			if held, err := store.Acquire(working, lease, n.Owner, leaseTTL); err != nil || !held {
				return cmp.Or(err, errLost)
			}
		}
	})
	group.Go(func() error {
		for {
			wait, err := n.batch(working, queue)
			if err == nil && wait > 0 {
				err = n.wait(working, wait)
			}
			if err != nil {
				return err
			}
		}
	})
	if err := group.Wait(); !errors.Is(err, errLost) {
		return err
	}
	return nil
}

// batch sends what is due, and returns how long there is nothing more to do unless the log grows.
func (n *Notices) batch(ctx context.Context, queue message.Publisher) (time.Duration, error) {
	due := NewDue(n.Journal)
	if _, err := due.catchUp(ctx); err != nil {
		return 0, err
	}
	more, err := due.jobs(ctx)
	if err != nil {
		return 0, err
	}
	now := n.Journal.Clock()
	rows, next, err := due.take(ctx, now, batch)
	if err != nil {
		return 0, err
	}
	var byLane [lanes][]*message.Message
	for _, row := range rows {
		lane := laneOf(row.citizen)
		byLane[lane] = append(byLane[lane], newMessage(ctx, row))
	}
	var group errgroup.Group
	for lane, messages := range byLane {
		group.Go(func() error {
			for _, msg := range messages {
				if ctx.Err() != nil {
					return ctx.Err() // the rest stays due
				}
				if err := queue.Publish(topic(lane), msg); err != nil { // returns once it is handled
					return fmt.Errorf("notice: %w", err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || more || len(rows) > 0 {
		return 0, err
	}
	if next.IsZero() {
		return idle, nil
	}
	return min(idle, next.Sub(now)), nil
}

func laneOf(id citizen.ID) int { return int(id[15]) % lanes }

// wait returns when the log has grown, or after a time.
func (n *Notices) wait(ctx context.Context, most time.Duration) error {
	at, err := n.Journal.Reached(ctx, NewDue(n.Journal))
	if err != nil {
		return err
	}
	until, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err = n.Journal.Store().Wait(until, at)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
