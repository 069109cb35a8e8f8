package ministry

import (
	"context"
	"errors"
	"sync"
	"time"
)

// PullConfig of Pull. Its zero value will do.
type PullConfig struct {
	Wait  time.Duration // how long the hub holds a request while there is nothing; 0: 20 s, at most 30 s
	Limit int           // most events of a page; 0: 1000
	// Once ends when everything that there is has been dealt with, instead of waiting for more: for cron.
	Once bool
}

// Pull reads all lanes of the consumer's stream by long polling, each from after its last event. The consumer needs a Client. What fails is
// tried again; it ends with ctx, with Once, or with what only a person can change: ErrUnknownCursor, ErrHole, ErrGeneration, a token that may
// not read the stream.
func Pull(config PullConfig) Source {
	if config.Wait <= 0 {
		config.Wait = 20 * time.Second
	}
	if config.Once {
		config.Wait = 0
	}
	if config.Limit <= 0 {
		config.Limit = pageLimit
	}
	return func(ctx context.Context, c *Consumer) error {
		return c.eachLane(ctx, func(ctx context.Context, lane int) error { return c.pull(ctx, lane, config) })
	}
}

// eachLane follows every lane of the stream until one fails.
func (c *Consumer) eachLane(ctx context.Context, follow func(ctx context.Context, lane int) error) error {
	if c.config.Client == nil {
		return errors.New("ministry: pull and live need a Client")
	}
	lanes := 0
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		lanes, err = c.config.Client.Lanes(ctx, c.config.Stream)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for lane := range lanes {
		group.Go(func() {
			if err := follow(ctx, lane); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// retry tries until it succeeds, ctx ends, or it makes no sense.
func (c *Consumer) retry(ctx context.Context, try func(context.Context) error) error {
	for tries := 1; ; tries++ {
		err := try(ctx)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if halts(err) {
			return err
		}
		c.config.Logger.WarnContext(ctx, "following a stream was interrupted; it is tried again", "tries", tries, "error", err)
		if err := c.pause(ctx, tries, waitOf(err)); err != nil {
			return err
		}
	}
}

// pull follows one lane.
func (c *Consumer) pull(ctx context.Context, lane int, config PullConfig) error {
	var page Page // whose Next is good while everything before it was dealt with
	for {
		err := c.retry(ctx, func(ctx context.Context) (err error) {
			if page, err = c.read(ctx, lane, page, config); err == nil {
				err = c.Deliver(ctx, page.Events...)
			}
			if err != nil {
				page = Page{} // the next try goes by what is stored
			}
			return err
		})
		if err != nil || (config.Once && len(page.Events) == 0) {
			return err
		}
	}
}

func (c *Consumer) read(ctx context.Context, lane int, page Page, config PullConfig) (Page, error) {
	if page.Next != "" {
		return c.config.Client.Next(ctx, page, config.Wait)
	}
	last, err := c.Last(ctx, lane)
	if err != nil {
		return Page{}, err
	}
	return c.config.Client.Events(ctx, Query{Stream: c.config.Stream, Lane: lane, After: last, Limit: config.Limit, Wait: config.Wait})
}
