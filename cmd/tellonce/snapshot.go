package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/domain/command"
)

func (c *cli) snapshotCommand() *cobra.Command {
	return group("snapshot", "Snapshots after consents, links and agreements: run, list", c.snapshotRun(), c.snapshotList())
}

func (c *cli) snapshotRun() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Take every snapshot that is due, with progress",
		Long: "Takes the snapshots that are due: the current and announced values that a stream does not get by itself after a consent,\n" +
			"a link, or an agreement that comes into force or widens. A running hub does so by itself, and so do import and agreement load. Stopped, it\n" +
			"goes on where it stopped; run twice, or beside a hub, nothing is taken twice.",
		Args: exactly(0, "no arguments"),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, _ []string) error {
			taken, err := c.settle(cmd.Context(), h)
			if err != nil {
				return err
			}
			out := c.lines()
			if err := out.emit(map[string]any{"taken": taken}, fmt.Sprintf("%d snapshots taken", taken)); err != nil {
				return err
			}
			return out.flush()
		}),
	}
}

// settle takes every snapshot that is due, at the end of a command that may have made some due, and says how many it took.
func (c *cli) settle(ctx context.Context, h *hub) (taken int64, err error) {
	bar := c.progress("snapshots", "citizens looked at", 1)
	taken, err = h.command.Snapshots().Settle(ctx, func(job command.SnapshotJob) {
		if job.Agreement != "" {
			bar.what = fmt.Sprintf("snapshots of %s@%d", job.Agreement, job.Version)
		}
		bar.total = job.Total
		bar.at(job.Done, job.People)
	})
	if err != nil {
		return taken, fmt.Errorf("snapshots stopped (a running hub goes on with them, and so does `tellonce snapshot run`): %w", err)
	}
	if taken > 0 || bar.last != bar.start {
		bar.what, bar.unit = "snapshots", "taken"
		bar.done(taken)
	}
	return taken, nil
}

func (c *cli) snapshotList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the snapshots of whole populations: waiting for their day, running, done",
		Args:  exactly(0, "no arguments"),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, _ []string) error {
			jobs, err := h.command.Snapshots().Jobs(cmd.Context())
			if err != nil {
				return err
			}
			out := c.lines()
			for i := range jobs {
				if err := out.emit(jobObject(&jobs[i]), jobText(&jobs[i])); err != nil {
					return err
				}
			}
			return out.flush()
		}),
	}
}

func jobObject(j *command.SnapshotJob) map[string]any {
	object := map[string]any{
		"agreement": j.Agreement, "version": j.Version, "trigger": j.Trigger, "state": j.State, "done": j.Done, "total": j.Total,
		"people": j.People, "taken": j.Taken,
	}
	if j.On != 0 {
		object["on"] = j.On.String()
	}
	return object
}

func jobText(j *command.SnapshotJob) string {
	text := fmt.Sprintf("%-28s %-8s", fmt.Sprintf("%s@%d", j.Agreement, j.Version), j.State)
	if j.State == command.JobWaiting {
		if j.On != 0 {
			text += " from " + j.On.String()
		}
		return text
	}
	return text + fmt.Sprintf(" %d of %d records, %d citizens looked at, %d taken", j.Done, j.Total, j.People, j.Taken)
}
