package ministry

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// lane is one lane's progress. Who has the turn may use it.
type lane struct {
	consumer *Consumer
	number   int
	turn     chan struct{} // holds a token while somebody has the turn

	loaded   bool
	progress Progress // as stored, if loaded
}

func (l *lane) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lane) unlock() { <-l.turn }

func (l *lane) load(ctx context.Context) (err error) {
	if l.loaded {
		return nil
	}
	config := &l.consumer.config
	if l.progress, err = config.Store.Load(ctx, config.Stream, l.number); err != nil {
		return fmt.Errorf("ministry: read how far lane %d is: %w", l.number, err)
	}
	l.loaded = true
	l.consumer.answerSoon() // what a crash left unanswered
	return nil
}

// save stores progress together with what work does. After an error the store is asked again: maybe the transaction was committed after all.
func (l *lane) save(ctx context.Context, after Progress, work func(context.Context) error) error {
	config := &l.consumer.config
	if err := config.Store.Save(ctx, config.Stream, l.number, l.progress, after, work); err != nil {
		l.loaded = false
		return err
	}
	l.progress = after
	return nil
}

// deliver deals with events, in order.
func (l *lane) deliver(ctx context.Context, events []Event) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	for {
		if err := l.load(ctx); err != nil {
			return err
		}
		var err error
		if events, err = l.unseen(events); err != nil || len(events) == 0 {
			return err
		}
		if events[0].Cursor.Number > l.progress.Last+1 {
			err = l.fill(ctx, events[0].Cursor)
		} else {
			err = l.handle(ctx, l.run(events))
		}
		if err != nil && !errors.Is(err, ErrMoved) {
			return err
		}
	}
}

// unseen drops what was dealt with.
func (l *lane) unseen(events []Event) ([]Event, error) {
	for i := range events {
		switch c := events[i].Cursor; {
		case l.progress.Generation != 0 && c.Generation > l.progress.Generation:
			return nil, fmt.Errorf("%w: %s came after %s. Decide what becomes of what the former generation told (docs/ministry.md, \"A new "+
				"generation\"), then call Restart", ErrGeneration, c, l.progress.cursor(l.number))
		case c.Generation == l.progress.Generation && c.Number > l.progress.Last, l.progress.Generation == 0:
			return events[i:], nil
		}
	}
	return nil, nil
}

// run is the events that follow each other from the first on, at most a batch.
func (l *lane) run(events []Event) []Event {
	n := 1
	for n < min(len(events), l.consumer.config.Batch) && events[n].Cursor == follows(events[n-1].Cursor) {
		n++
	}
	return events[:n]
}

func follows(c Cursor) Cursor {
	c.Number++
	return c
}

// handle deals with a run in one transaction; if one of its events fails, with those before it in one, and with that one by itself. If the
// process dies in here, what was committed counts and the rest comes again.
func (l *lane) handle(ctx context.Context, run []Event) error {
	after, failed := l.progress, -1
	after.Generation, after.Last = run[0].Cursor.Generation, run[len(run)-1].Cursor.Number
	if l.silent() {
		after.Answered = after.Last
	}
	err := l.save(ctx, after, func(ctx context.Context) error {
		for i := range run {
			if err := l.consumer.config.Handler.Handle(ctx, run[i]); err != nil {
				failed = i
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		l.consumer.answerSoon()
		return nil
	case failed < 0:
		return err
	}
	if failed > 0 {
		if err := l.load(ctx); err != nil {
			return err
		}
		return l.handle(ctx, run[:failed])
	}
	if rejection, ok := rejected(err); ok {
		return l.reject(ctx, run[0].Cursor, rejection)
	}
	return fmt.Errorf("ministry: event %s was not handled: %w", run[0].Cursor, err)
}

// reject goes on after an event that the handler will not apply.
func (l *lane) reject(ctx context.Context, c Cursor, r *Rejection) error {
	if err := l.load(ctx); err != nil {
		return err
	}
	after := l.progress
	after.Generation, after.Last = c.Generation, c.Number
	if l.silent() {
		after.Answered = c.Number
	} else {
		after.Rejected = append(slices.Clone(after.Rejected), RejectedNumber{Number: c.Number, Reason: r.Reason})
	}
	if err := l.save(ctx, after, nil); err != nil {
		return err
	}
	l.consumer.config.Logger.WarnContext(ctx, "an event was rejected", "cursor", c.String())
	l.consumer.answerSoon()
	return nil
}

// silent says whether nobody wants receipts.
func (l *lane) silent() bool { return l.consumer.config.Receipts == NoReceipts }

// fill fetches the events before one that came too early, and handles them.
func (l *lane) fill(ctx context.Context, got Cursor) error {
	config := &l.consumer.config
	hole := &HoleError{Have: l.progress.cursor(l.number), Got: got}
	if config.Client == nil {
		return hole
	}
	config.Logger.InfoContext(ctx, "events are missing; they are fetched", "have", hole.Have.String(), "got", got.String())
	for l.progress.Last+1 < got.Number {
		page, err := config.Client.Events(ctx, Query{
			Stream: config.Stream, Lane: l.number, After: l.progress.cursor(l.number), Limit: int(min(got.Number-l.progress.Last-1, pageLimit)),
		})
		if err != nil {
			return fmt.Errorf("ministry: fetch what is missing after %s: %w", hole.Have, err)
		}
		events, err := l.unseen(page.Events)
		if err != nil {
			return err
		}
		if len(events) == 0 || events[0].Cursor.Number != l.progress.Last+1 {
			return hole // the hub itself leaves something out
		}
		for len(events) > 0 && err == nil {
			if err = l.handle(ctx, l.run(events)); err != nil {
				return err
			}
			if events, err = l.unseen(events); err != nil {
				return err
			}
		}
	}
	return nil
}
