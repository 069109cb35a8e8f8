package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/domain/delivery"
)

func (c *cli) streamCommand() *cobra.Command {
	return group("stream", "Ministry streams from a terminal: read, follow, listen, push, answer, send again", c.streamList(), c.streamRead(), c.streamProvision(), c.streamEndpoint(), c.streamFollow(), c.streamListen(), c.streamReceipts(),
		c.streamPause(), c.streamResume(), c.streamUndelivered(), c.streamRedrive(), c.streamReplay(), c.streamSynth())
}

func (c *cli) streamList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List every stream's lanes and their last numbers",
		Args:  exactly(0, "no arguments"),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, _ []string) error {
			lanes, err := h.delivery.Status(cmd.Context())
			if err != nil {
				return err
			}
			out := c.lines()
			for _, l := range lanes {
				object := map[string]any{"stream": l.Stream, "ministry": l.Ministry, "lane": l.Lane, "last": l.Last}
				if err := out.emit(object, fmt.Sprintf("%-24s %-10s lane %d  last number %d", l.Stream, l.Ministry, l.Lane, l.Last)); err != nil {
					return err
				}
			}
			return out.flush()
		}),
	}
}

// readPage is how many events a read from the terminal discloses at once.
const readPage = 1000

func (c *cli) streamRead() *cobra.Command {
	var r streamReader
	cmd := &cobra.Command{
		Use:   "read STREAM",
		Short: "Read a stream as its ministry would: what is new is disclosed by reading",
		Args:  exactly(1, "a stream's name; `tellonce stream list` shows them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("limit") && r.limit < 1 {
				return usageError{errors.New("--limit must be at least 1")}
			}
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			r.delivery, r.stream, r.out = h.delivery, args[0], c.lines()
			err = r.read(cmd.Context())
			if r.follow && errors.Is(err, context.Canceled) {
				err = nil
			}
			return explainRead(err)
		},
	}
	cmd.Flags().StringVar(&r.after, "after", "", "read what follows this cursor; without it, from the first")
	cmd.Flags().IntVar(&r.limit, "limit", 0, "at most so many events in all")
	cmd.Flags().IntVar(&r.lane, "lane", 0, "the lane")
	cmd.Flags().BoolVar(&r.follow, "follow", false, "go on with what comes, until stopped")
	return cmd
}

// streamReader reads one lane page by page; each page is disclosed only when it is printed.
type streamReader struct {
	delivery *delivery.Delivery
	stream   string
	lane     int
	after    string
	limit    int
	follow   bool
	out      *lines
}

func (r *streamReader) read(ctx context.Context) error {
	after, err := r.delivery.After(r.after, r.lane)
	if err != nil {
		return err
	}
	wait := time.Duration(0)
	if r.follow {
		wait = time.Minute
	}
	for left := r.limit; ; {
		limit := readPage
		if r.limit > 0 {
			limit = min(limit, left)
		}
		page, err := r.delivery.Next(ctx, r.stream, r.lane, after, limit, wait)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			if err := r.print(&page.Messages[i]); err != nil {
				return err
			}
			after = page.Messages[i].Cursor.Number
		}
		if err := r.out.flush(); err != nil {
			return err
		}
		left -= len(page.Messages)
		if (r.limit > 0 && left <= 0) || (!r.follow && len(page.Messages) == 0) {
			return nil
		}
	}
}

// print writes one event in structured mode: its bytes are the contract, so text and json are the same.
func (r *streamReader) print(m *delivery.Message) error {
	_, err := r.out.out.Write(append(bytes.Clone(m.Structured()), '\n'))
	return err
}

func explainRead(err error) error {
	switch {
	case errors.Is(err, delivery.ErrUnknownStream):
		return fmt.Errorf("%w; `tellonce stream list` shows them", err)
	case errors.Is(err, delivery.ErrUnknownCursor):
		return fmt.Errorf("%w; leave --after out to read from the first, or take the id of the last event that you have", err)
	}
	return err
}
