package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tellonce/hub/eventstore/postgres"
	"github.com/tellonce/hub/eventstore/sqlite"
	"github.com/tellonce/hub/eventstore/storebench"
)

// benchConfig is what `bench` takes.
type benchConfig struct {
	parts    []string
	writers  []int
	rounds   int
	round    time.Duration
	citizens int
	lines    int
	events   int
}

// benchParts are the parts of a run, in order.
var benchParts = []string{"import", "replay", "append", "tell", "lines", "decide", "prove"}

func (c *cli) benchCommand() *cobra.Command {
	var b benchConfig
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: the hub's own side against raw limits of the same run",
		Long: "Measures on the given --store (a PostgreSQL database, where it uses schemas of its own and drops them, or else a temporary directory on\n" +
			"the same file system) and prints ratios against raw limits measured in the same run. Absolute figures drift with the machine;\n" +
			"ratios hold. Parts: " + strings.Join(benchParts, ", ") + ".",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, part := range b.parts {
				if !slices.Contains(benchParts, part) {
					return usageError{fmt.Errorf("--parts: %q is none of %s", part, strings.Join(benchParts, ", "))}
				}
			}
			return c.bench(cmd.Context(), b)
		},
	}
	cmd.Flags().StringSliceVar(&b.parts, "parts", benchParts, "what to measure")
	cmd.Flags().IntSliceVar(&b.writers, "writers", []int{1, 8, 32, 128}, "how many write at once")
	cmd.Flags().IntVar(&b.rounds, "rounds", 3, "rounds of each contender, interleaved; medians count")
	cmd.Flags().DurationVar(&b.round, "round", 3*time.Second, "how long a round takes")
	cmd.Flags().IntVar(&b.citizens, "citizens", 20000, "invented citizens for tell")
	cmd.Flags().IntVar(&b.lines, "lines", 100000, "lines for the import of lines")
	cmd.Flags().IntVar(&b.events, "events", 100000, "events of the log that is proved")
	cmd.AddCommand(c.benchDelivery(), c.benchWaiters(), c.benchWeb())
	return cmd
}

// benchLine prints one figure beside its raw limit.
func (c *cli) benchLine(l storebench.Line) error {
	out := c.lines()
	name := l.Name
	if l.Writers > 0 {
		name = fmt.Sprintf("%s, %d at once", l.Name, l.Writers)
	}
	object := map[string]any{
		"name": l.Name, "against": l.Against, "writers": l.Writers, "per_second": l.Ours.PerSecond(), "raw_per_second": l.Raw.PerSecond(), "ratio": l.Ratio(),
		"p99_ms": milliseconds(l.Ours.P99), "raw_p99_ms": milliseconds(l.Raw.P99),
	}
	text := fmt.Sprintf("%-52s %9.0f/s  %5.2f x  %s (%.0f/s)", name, l.Ours.PerSecond(), l.Ratio(), l.Against, l.Raw.PerSecond())
	if l.Ours.P99 > 0 {
		text += fmt.Sprintf("  p99 %.1f ms against %.1f ms", milliseconds(l.Ours.P99), milliseconds(l.Raw.P99))
	}
	return errors.Join(out.emit(object, text), out.flush())
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (c *cli) bench(ctx context.Context, b benchConfig) error {
	var failed error
	report := func(l storebench.Line) { failed = errors.Join(failed, c.benchLine(l)) }
	if err := c.benchStore(ctx, b, report); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, benchConfig, func(storebench.Line)) error
	}{{"tell", c.benchTell}, {"lines", c.benchLines}, {"decide", c.benchDecide}, {"prove", c.benchProve}} {
		if !slices.Contains(b.parts, part.name) {
			continue
		}
		if err := part.run(ctx, b, report); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return failed
}

// benchStore measures the store alone.
func (c *cli) benchStore(ctx context.Context, b benchConfig, report func(storebench.Line)) error {
	config := storebench.Config{Writers: b.writers, Rounds: b.rounds, Round: b.round}
	for _, part := range []storebench.Part{storebench.PartImport, storebench.PartReplay, storebench.PartAppend} {
		if slices.Contains(b.parts, string(part)) {
			config.Parts = append(config.Parts, part)
		}
	}
	if len(config.Parts) == 0 {
		return nil
	}
	if c.config.postgres() {
		dsn, _, err := c.config.database()
		if err != nil {
			return err
		}
		return postgres.Bench(ctx, dsn, config, report)
	}
	dir, err := benchDir(&c.config)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	return sqlite.Bench(ctx, dir, config, report)
}

// benchDir is a temporary directory beside the store, on the file system that is to be measured.
func benchDir(c *config) (string, error) {
	parent := filepath.Dir(c.store)
	if c.postgres() {
		parent = "" // only keys
	}
	return os.MkdirTemp(parent, "tellonce-bench-")
}

// benchHub is a sandbox of its own for one part; close removes it.
func (c *cli) benchHub(ctx context.Context, cachedStates int) (h *hub, closeHub func(), err error) {
	dir, err := benchDir(&c.config)
	if err != nil {
		return nil, nil, err
	}
	own := config{store: filepath.Join(dir, "data"), keys: filepath.Join(dir, "keys"), cachedStates: cachedStates}
	cleanup := func() { _ = os.RemoveAll(dir) }
	if c.config.postgres() {
		id := uuid.New()
		schema := fmt.Sprintf("tellonce_bench_%x", id[:6])
		dsn, _, err := c.config.database()
		if err != nil {
			return nil, nil, err
		}
		if own.store, err = withSchema(dsn, schema); err != nil {
			return nil, nil, err
		}
		cleanup = func() {
			_ = os.RemoveAll(dir)
			_ = postgres.DropSchemas(context.WithoutCancel(ctx), dsn, schema, schema+"_keys")
		}
	}
	defer func() {
		if err != nil {
			cleanup()
		}
	}()
	genesis, err := newGenesis(true, "America/Toronto", "https://tellonce.example")
	if err != nil {
		return nil, nil, err
	}
	genesis.Clock = "wall"
	if err := initialise(ctx, &own, c.logger(), genesis); err != nil {
		return nil, nil, err
	}
	if h, err = openHub(ctx, &own, c.logger()); err != nil {
		return nil, nil, err
	}
	if err := h.loadDemo(ctx); err != nil {
		h.Close()
		return nil, nil, err
	}
	return h, func() { h.Close(); cleanup() }, nil
}
