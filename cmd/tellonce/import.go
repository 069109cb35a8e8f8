package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/domain/command"
)

func (c *cli) importCommand() *cobra.Command {
	var clock, source string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take what residents told from a file (- for stdin), a JSON object a line",
		Long: "Takes commands in the import format, one JSON object a line, and prints one result a line, in input order. An import that was stopped\n" +
			"goes on where it stopped when the same input is given again; what was accepted before is then never appended twice.",
		Args: exactly(1, "a file, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if clock != "" && clock != "told" {
				return usageError{fmt.Errorf("--clock is told, not %q", clock)}
			}
			spareMemory()
			in, size, err := c.input(args[0])
			if err != nil {
				return err
			}
			defer in.Close() //nolint:errcheck // only read
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			out := c.lines()
			bar := c.progress("import", "lines", size)
			count := 0
			options := command.ImportOptions{Source: source, ClockTold: clock == "told", Progress: func(lines int, bytes int64) { bar.at(bytes, int64(lines)) }}
			err = h.command.Import(cmd.Context(), in, options, func(r command.LineResult) error {
				count++
				return out.emit(r, resultText(r))
			}, out.flush)
			if flushed := out.flush(); err == nil {
				err = flushed
			}
			if err != nil {
				return fmt.Errorf("import stopped after %d lines (give the same input again to go on): %w", count, err)
			}
			bar.done(int64(count))
			_, err = c.settle(cmd.Context(), h)
			return err
		},
	}
	cmd.Flags().StringVar(&clock, "clock", "", "told: record each line at the time told (sandbox only)")
	cmd.Flags().StringVar(&source, "source", "import", "the source: issuer of the commands and namespace of the references")
	return cmd
}

// importMemory is the soft limit of Go's heap while an import runs, unless GOMEMLIMIT says another: garbage is collected sooner, and a million
// lines take no longer (docs/performance.md).
const importMemory = 160 << 20

func spareMemory() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(importMemory)
	}
}

// input opens a file or stdin; its size is 0 where it isn't known.
func (c *cli) input(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(c.in), 0, nil
	}
	file, err := os.Open(name) // #nosec G304 -- the operator's own file
	if err != nil {
		return nil, 0, fmt.Errorf("the input can't be read: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func resultText(r command.LineResult) string {
	text := fmt.Sprintf("%d %s", r.Line, r.Result)
	if r.Position != nil {
		text += fmt.Sprintf(" at %d", *r.Position)
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	if r.Pointer != nil {
		text += fmt.Sprintf(" (%q)", *r.Pointer)
	}
	return text
}
