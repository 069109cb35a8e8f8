package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/kafka/kafkabench"
)

// deliveryBench is what `bench delivery` takes.
type deliveryBench struct {
	parts    []string
	ways     []string
	together bool
	rates    []int
	seconds  int
	citizens int
	rounds   int
	kafka    []string
	calls    []int
	idle     int
	profile  string
}

// The parts of a run, and the ways to a consumer, in order.
var (
	deliveryParts = []string{"ways", "neighbours", "kafka"}
	deliveryWays  = []string{wayLog, wayPull, waySSE, wayWebhook, wayKafka}
)

func (c *cli) benchDelivery() *cobra.Command {
	var b deliveryBench
	cmd := &cobra.Command{
		Use:   "delivery",
		Short: "Measure from the acceptance of a change to the moment when a consumer has it",
		Long: `Serves a hub in this process, on stores of its own of the given kind, and tells it changes at a fixed rate, whatever becomes of those before
(an open loop: a hub that stalls is seen to stall). Printed are the times from the acceptance of a change until a consumer has it, and from the
moment when it was to be told.
  ways        long poll, server-sent events, webhook and Kafka (with --kafka), each beside a bare follower of the log, which gives nothing out
  neighbours  endpoints of webhooks, alone and beside one that hangs and one that is dead
  kafka       the lanes' throughput beside kafka.Writer and franz-go (with --kafka)
--idle N measures instead what so many waiting long polls cost. It fails if anything is lost or comes twice.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.check(); err != nil {
				return usageError{err}
			}
			return c.deliveryBench(cmd.Context(), b)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&b.parts, "parts", deliveryParts, "what to measure")
	f.StringSliceVar(&b.ways, "ways", deliveryWays, "the ways to a consumer")
	f.BoolVar(&b.together, "together", false, "all ways at once, instead of one after the other")
	f.IntSliceVar(&b.rates, "rate", []int{100, 1000}, "changes a second; the neighbours get the first")
	f.IntVar(&b.seconds, "seconds", 10, "how long each rate lasts, after a second that does not count")
	f.IntVar(&b.citizens, "citizens", 2000, "invented citizens")
	f.IntVar(&b.rounds, "rounds", 3, "rounds of neighbours and of Kafka's contenders, in turns; medians count")
	f.StringSliceVar(&b.kafka, "kafka", nil, "Kafka brokers, host:port; without them Kafka is left out")
	f.IntSliceVar(&b.calls, "calls", []int{100, 6000}, "messages of a call of Kafka's contenders")
	f.IntVar(&b.idle, "idle", 0, "measure so many waiting long polls, and nothing else")
	f.StringVar(&b.profile, "profile", "", "write a CPU profile of the run to this file")
	return cmd
}

func (b *deliveryBench) check() error {
	for _, part := range b.parts {
		if !slices.Contains(deliveryParts, part) {
			return fmt.Errorf("--parts: %q is none of %s", part, strings.Join(deliveryParts, ", "))
		}
	}
	for _, way := range b.ways {
		if !slices.Contains(deliveryWays, way) {
			return fmt.Errorf("--ways: %q is none of %s", way, strings.Join(deliveryWays, ", "))
		}
	}
	least := append(slices.Concat(b.rates, b.calls), b.seconds, b.citizens, b.rounds)
	if slices.Min(least) < 1 || len(b.rates) == 0 || len(b.calls) == 0 || b.idle < 0 {
		return errors.New("--rate, --seconds, --citizens, --rounds and --calls are 1 or more")
	}
	return nil
}

func (c *cli) deliveryBench(ctx context.Context, b deliveryBench) error {
	if b.profile != "" {
		file, err := os.Create(b.profile)
		if err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return errors.Join(err, file.Close())
		}
		defer func() { pprof.StopCPUProfile(); _ = file.Close() }()
	}
	if b.idle > 0 {
		return c.benchIdle(ctx, b)
	}
	var failed error
	for _, part := range []struct {
		name string
		run  func(context.Context, deliveryBench) error
	}{{"ways", c.benchWays}, {"neighbours", c.benchNeighbours}, {"kafka", c.benchKafka}} {
		if !slices.Contains(b.parts, part.name) || ctx.Err() != nil {
			continue
		}
		if err := part.run(ctx, b); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", part.name, err))
		}
	}
	return failed
}

// benchWays measures each way on a hub of its own, or all on one.
func (c *cli) benchWays(ctx context.Context, b deliveryBench) error {
	ways := slices.DeleteFunc(slices.Clone(b.ways), func(way string) bool { return way == wayKafka && len(b.kafka) == 0 })
	var groups [][]string
	for _, way := range ways {
		groups = append(groups, []string{way})
	}
	if b.together {
		groups = [][]string{ways}
	}
	var failed error
	for _, group := range groups {
		if err := c.benchGroup(ctx, b, group); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", strings.Join(group, ", "), err))
		}
	}
	return failed
}

func (c *cli) benchGroup(ctx context.Context, b deliveryBench, ways []string) (err error) {
	s, err := c.benchServe(ctx, b, ways)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	sinks := make([]*sink, len(ways))
	for i, way := range ways {
		sinks[i] = &sink{}
		if err := s.consume(way, way, sinks[i]); err != nil {
			return err
		}
	}
	if err := s.warm(ctx, sinks); err != nil {
		return err
	}
	for _, rate := range b.rates {
		run, err := s.tellAt(ctx, rate, b.seconds, sinks)
		if err != nil {
			return err
		}
		for i, way := range ways {
			took := run.measure(sinks[i])
			if err := c.latencyLine(way, rate, took); err != nil {
				return err
			}
			err = errors.Join(err, took.whole())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// latencyLine prints what one consumer saw.
func (c *cli) latencyLine(name string, rate int, l latency) error {
	object := map[string]any{
		"name": name, "rate": rate, "changes": l.changes, "p50_ms": milliseconds(l.p50), "p99_ms": milliseconds(l.p99), "max_ms": milliseconds(l.most),
		"planned_p99_ms": milliseconds(l.planned), "accept_p99_ms": milliseconds(l.accept), "lost": l.lost, "doubled": l.doubled,
	}
	text := fmt.Sprintf("%-22s %5d/s  p50 %7.1f ms  p99 %7.1f ms  max %7.1f ms  (from when it was to be told: p99 %.1f ms; until accepted: %.1f ms)  "+
		"lost %d, doubled %d of %d", name, rate, milliseconds(l.p50), milliseconds(l.p99), milliseconds(l.most), milliseconds(l.planned),
		milliseconds(l.accept), l.lost, l.doubled, l.changes)
	return c.emitNow(object, text)
}

func (c *cli) emitNow(object any, text string) error {
	out := c.lines()
	return errors.Join(out.emit(object, text), out.flush())
}

// benchKafka compares the lanes with other clients.
func (c *cli) benchKafka(ctx context.Context, b deliveryBench) error {
	if len(b.kafka) == 0 {
		return nil
	}
	var failed error
	config := kafkabench.Config{Brokers: b.kafka, Calls: b.calls, Rounds: b.rounds, Round: time.Second, Logger: c.warnings()}
	err := kafkabench.Compare(ctx, config, func(l kafkabench.Line) {
		object := map[string]any{
			"name": "kafka", "messages": l.Messages, "lane_per_second": l.Lane, "writer_per_second": l.Writer, "franz_per_second": l.Sync,
			"ratio_writer": l.Lane / l.Writer, "ratio_franz": l.Lane / l.Sync,
		}
		text := fmt.Sprintf("kafka lanes, calls of %-5d %9.0f/s  %5.2f x kafka.Writer (%.0f/s)  %5.2f x franz-go synchronous (%.0f/s)",
			l.Messages, l.Lane, l.Lane/l.Writer, l.Writer, l.Lane/l.Sync, l.Sync)
		failed = errors.Join(failed, c.emitNow(object, text))
	})
	return errors.Join(err, failed)
}
