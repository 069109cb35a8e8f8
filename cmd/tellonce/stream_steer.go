package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// steer is a command line about one stream, as its operator.
func (c *cli) steer(use, short, long string, run func(ctx context.Context, h *hub, stream string, rest []string) error, args cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: args,
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, args []string) error {
			return explainSteer(run(cmd.Context(), h, args[0], args[1:]))
		}),
	}
}

const streamArg = "a stream's name; `tellonce stream list` shows them"

func (c *cli) streamPause() *cobra.Command {
	return c.steer("pause STREAM", "Let nothing of a stream leave, until it is resumed", "",
		func(ctx context.Context, h *hub, stream string, _ []string) error {
			if err := h.delivery.Pause(ctx, terminalActor, journal.CommandID{}, stream); err != nil {
				return err
			}
			return c.emitOne(map[string]any{"stream": stream, "paused": true}, stream+" is paused. What had left before may still arrive for 10 s; nothing is lost.")
		}, exactly(1, streamArg))
}

func (c *cli) streamResume() *cobra.Command {
	return c.steer("resume STREAM", "End a pause; lanes that had stopped start again", "",
		func(ctx context.Context, h *hub, stream string, _ []string) error {
			if err := h.delivery.Resume(ctx, terminalActor, journal.CommandID{}, stream); err != nil {
				return err
			}
			return c.emitOne(map[string]any{"stream": stream, "paused": false}, stream+" goes on.")
		}, exactly(1, streamArg))
}

func (c *cli) streamUndelivered() *cobra.Command {
	return c.steer("undelivered STREAM", "List what an endpoint did not take: held for another attempt, or parked",
		"List what an endpoint did not take: held for another attempt, or parked after the last one. It shows nothing of what an event holds.",
		func(ctx context.Context, h *hub, stream string, _ []string) error {
			held, err := h.delivery.Held(ctx, stream)
			if err != nil {
				return err
			}
			parked, err := h.delivery.Parked(ctx, stream)
			if err != nil {
				return err
			}
			out := c.lines()
			for _, e := range held {
				cursor := h.cursor(e.Lane, e.Number)
				object := map[string]any{"state": "held", "from": cursor, "to": cursor, "attempts": e.Attempts, "code": e.Code, "excerpt": e.Excerpt}
				if !e.Next.IsZero() {
					object["next"] = e.Next.UTC()
				}
				text := strings.TrimSpace(fmt.Sprintf("%-14s held    %2d attempts  %s %s", cursor, e.Attempts, e.Code, e.Excerpt))
				if err := out.emit(object, text); err != nil {
					return err
				}
			}
			for _, p := range parked {
				from, to := h.cursor(p.Lane, p.From), h.cursor(p.Lane, p.To)
				object := map[string]any{"state": "parked", "from": from, "to": to, "attempts": p.Attempts, "code": p.Code, "excerpt": p.Excerpt}
				if err := out.emit(object, fmt.Sprintf("%-14s parked  %2d attempts  %s %s (to %s)", from, p.Attempts, p.Code, p.Excerpt, to)); err != nil {
					return err
				}
			}
			return out.flush()
		}, exactly(1, streamArg))
}

func (h *hub) cursor(lane int, number int64) string {
	return delivery.Cursor{Generation: h.journal.Genesis().Generation, Lane: lane, Number: number}.String()
}

func (c *cli) streamRedrive() *cobra.Command {
	var all bool
	cmd := c.steer("redrive STREAM [CURSOR | FROM..TO]…", "Try parked events again",
		"Try parked events again: those that are named, or --all. `tellonce stream undelivered STREAM` lists them.",
		func(ctx context.Context, h *hub, stream string, ranges []string) error {
			if all == (len(ranges) > 0) {
				return usageError{errors.New("name what to try again (CURSOR or FROM..TO), or --all")}
			}
			parked, err := h.delivery.Parked(ctx, stream)
			if err != nil {
				return err
			}
			if all && len(parked) == 0 {
				return delivery.ErrNotParked
			}
			if !all {
				if parked, err = parseRanges(ranges); err != nil {
					return usageError{err}
				}
			}
			out := c.lines()
			for _, p := range parked {
				if err := h.delivery.Redrive(ctx, terminalActor, journal.CommandID{}, stream, p.Lane, p.From, p.To); err != nil {
					return errors.Join(err, out.flush())
				}
				from, to := h.cursor(p.Lane, p.From), h.cursor(p.Lane, p.To)
				if err := out.emit(map[string]any{"from": from, "to": to, "redriven": true}, from+" to "+to+" are tried again."); err != nil {
					return err
				}
			}
			return out.flush()
		}, cobra.MinimumNArgs(1))
	cmd.Flags().BoolVar(&all, "all", false, "everything that is parked")
	return cmd
}

// parseRanges reads CURSOR and FROM..TO.
func parseRanges(texts []string) ([]delivery.ParkedRange, error) {
	out := make([]delivery.ParkedRange, len(texts))
	for i, text := range texts {
		first, last, ok := strings.Cut(text, "..")
		if !ok {
			last = first
		}
		from, err1 := delivery.ParseCursor(first)
		to, err2 := delivery.ParseCursor(last)
		if err := errors.Join(err1, err2); err != nil || from.Lane != to.Lane {
			return nil, fmt.Errorf("%s: write a cursor such as 1.0.42, or two of one lane as 1.0.42..1.0.47", text)
		}
		out[i] = delivery.ParkedRange{Lane: from.Lane, From: from.Number, To: to.Number}
	}
	return out, nil
}

// replayFlags say what a replay sends.
type replayFlags struct {
	from, to, since string
	last            int64
	side, yes, list bool
}

func (c *cli) streamReplay() *cobra.Command {
	var r replayFlags
	cmd := c.steer("replay STREAM", "Send given events again, to the stream's endpoint or to its side topic; without --yes only count them",
		"Send given events again: from a cursor, since a time, or the last so many of each lane. Without --yes nothing is sent, and what would be is\n"+
			"counted. Each is judged again before it leaves: what may not leave any more goes as its placeholder. A stream that is only pulled needs\n"+
			"no replay: read it again after an earlier cursor. Into the stream's own Kafka topic nothing is sent twice; --side sends to the topic\n"+
			"tellonce.<stream>.replay, while a hub with --kafka runs.",
		func(ctx context.Context, h *hub, stream string, _ []string) error {
			if r.list {
				return c.showReplays(ctx, h, stream)
			}
			ask, err := r.ask()
			if err != nil {
				return usageError{err}
			}
			parts, err := h.delivery.PreviewReplay(ctx, terminalActor, stream, ask)
			if err != nil {
				return err
			}
			if r.yes {
				if _, err := h.delivery.Replay(ctx, terminalActor, journal.CommandID{}, stream, ask); err != nil {
					return err
				}
			}
			return c.showParts(h, parts, r.yes)
		}, exactly(1, streamArg))
	f := cmd.Flags()
	f.StringVar(&r.from, "from", "", "from this cursor on")
	f.StringVar(&r.to, "to", "", "with --from: up to this cursor")
	f.StringVar(&r.since, "since", "", "what was given out at or after this time, such as 2026-11-25T14:00:00Z")
	f.Int64Var(&r.last, "last", 0, "so many of each lane")
	f.BoolVar(&r.side, "side", false, "to the side topic")
	f.BoolVar(&r.yes, "yes", false, "send them")
	f.BoolVar(&r.list, "status", false, "list the replays to the side topic, and how far they are")
	return cmd
}

func (r *replayFlags) ask() (ask delivery.ReplayAsk, err error) {
	ask = delivery.ReplayAsk{Last: r.last, Side: r.side}
	if r.since != "" {
		if ask.Since, err = time.Parse(time.RFC3339, r.since); err != nil {
			return ask, errors.New("--since is a time such as 2026-11-25T14:00:00Z")
		}
	}
	if r.from != "" {
		if ask.From, err = delivery.ParseCursor(r.from); err != nil {
			return ask, fmt.Errorf("--from: %w", err)
		}
	}
	if r.to != "" {
		if ask.To, err = delivery.ParseCursor(r.to); err != nil {
			return ask, fmt.Errorf("--to: %w", err)
		}
	}
	return ask, nil
}

func (c *cli) showParts(h *hub, parts []delivery.ReplayPart, sent bool) error {
	out, verb := c.lines(), "would send"
	if sent {
		verb = "sends"
	}
	for _, p := range parts {
		from, to, events := h.cursor(p.Lane, p.From), h.cursor(p.Lane, p.To), p.To-p.From+1
		object := map[string]any{"from": from, "to": to, "events": events, "recalled": p.Recalled, "preview": !sent}
		if err := out.emit(object, fmt.Sprintf("%s %d events, %d recalled: %s to %s", verb, events, p.Recalled, from, to)); err != nil {
			return err
		}
	}
	return out.flush()
}

func (c *cli) showReplays(ctx context.Context, h *hub, stream string) error {
	replays, err := h.delivery.Replays(ctx, stream)
	if err != nil {
		return err
	}
	out := c.lines()
	for _, r := range replays {
		from, to, sent, all := h.cursor(r.Lane, r.From), h.cursor(r.Lane, r.To), r.Last-r.From+1, r.To-r.From+1
		object := map[string]any{"replay": r.Name(), "from": from, "to": to, "sent": sent, "events": all, "done": r.Done()}
		if err := out.emit(object, fmt.Sprintf("replay %s: %s to %s, %d of %d sent", r.Name(), from, to, sent, all)); err != nil {
			return err
		}
	}
	return out.flush()
}

func (c *cli) streamSynth() *cobra.Command {
	var count int
	var factType string
	cmd := c.steer("synth STREAM", "Put events about nobody on a stream, to try things out",
		"Put events about nobody on a stream: of kind synthetic, with subjects that begin with v0., numbered and sent among the others. With --type they\n"+
			"look like facts of that type: the fields that the stream carries, with invented values.",
		func(ctx context.Context, h *hub, stream string, _ []string) error {
			if err := h.delivery.Synthesize(ctx, terminalActor, journal.CommandID{}, stream, count, factType); err != nil {
				return err
			}
			return c.emitOne(map[string]any{"stream": stream, "count": count}, fmt.Sprintf("%d synthetic events are on their way: tellonce stream read %s", count, stream))
		}, exactly(1, streamArg))
	cmd.Flags().IntVar(&count, "count", 1, fmt.Sprintf("how many, 1 to %d", delivery.MaxSynthetic))
	cmd.Flags().StringVar(&factType, "type", "", "a type that the stream carries (default: tellonce.synthetic.v1)")
	return cmd
}

func explainSteer(err error) error {
	switch {
	case errors.Is(err, delivery.ErrUnknownCursor):
		return fmt.Errorf("%w; `tellonce stream list` shows the last number of each lane", err)
	case errors.Is(err, delivery.ErrNoEndpoint):
		return fmt.Errorf("%w; read it again after an earlier cursor, or send the replay to the side topic with --side", err)
	case errors.Is(err, delivery.ErrNotParked):
		return fmt.Errorf("%w; `tellonce stream undelivered STREAM` lists what is", err)
	}
	return explainRead(err)
}
