package main

import (
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/notice"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore/postgres"
	"github.com/tellonce/hub/eventstore/sqlite"
)

func (c *cli) initCommand() *cobra.Command {
	var sandbox bool
	var zone, publicURL string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make an empty log with its keys: genesis",
		Long: "Makes the store, its keys and genesis, which fixes what a log can never change: its id, time zone and public address.\n" +
			"--sandbox makes one to try things out: agreements approve themselves, an import source has the registrar's authority, and the\n" +
			"log's clock follows what is told instead of the wall clock.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			genesis, err := newGenesis(sandbox, zone, publicURL)
			if err != nil {
				return err
			}
			if err := initialise(cmd.Context(), &c.config, c.logger(), genesis); err != nil {
				return err
			}
			fmt.Fprintf(c.err, "A %s log is ready in %s; its keys are in %s: keep those apart from its backups.\n", genesis.Mode, c.config.place(), c.config.keysDir())
			return nil
		},
	}
	cmd.Flags().BoolVar(&sandbox, "sandbox", false, "to try things out: mode sandbox, clock log")
	cmd.Flags().StringVar(&zone, "time-zone", "America/Toronto", "IANA time zone whose civil days the law counts")
	cmd.Flags().StringVar(&publicURL, "public-url", "https://tellonce.example", "public address, part of every event for ever")
	return cmd
}

func newGenesis(sandbox bool, zone, publicURL string) (journal.Genesis, error) {
	g := journal.Genesis{
		BaseURL: strings.TrimRight(publicURL, "/"), Clock: journal.ClockWall, Generation: 1, Mode: journal.ModeProduction, TimeZone: zone,
	}
	if sandbox {
		g.Clock, g.Mode = journal.ClockLog, journal.ModeSandbox
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return g, usageError{fmt.Errorf("--time-zone %q is no IANA time zone, such as America/Toronto", zone)}
	}
	if u, err := url.Parse(g.BaseURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" {
		return g, usageError{fmt.Errorf("--public-url %q is no address, such as https://hub.example", publicURL)}
	}
	return g, nil
}

func (c *cli) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the store's tables to this program's version",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := c.migrate(cmd)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.err, "The store in %s was at version %d and is at this program's now.\n", c.config.place(), found)
			return nil
		},
	}
}

func (c *cli) migrate(cmd *cobra.Command) (int, error) {
	if !c.config.postgres() {
		return sqlite.Migrate(cmd.Context(), sqlite.Config{Dir: c.config.store})
	}
	dsn, schema, err := c.config.database()
	if err != nil {
		return 0, err
	}
	return postgres.Migrate(cmd.Context(), postgres.Config{DSN: dsn, Schema: schema})
}

func (c *cli) rebuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild [VIEW]",
		Short: "Fold a view, or all of them, from the log again",
		Args:  cobra.MaximumNArgs(1),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, args []string) error {
			var names []string
			for _, view := range append(h.views(), notice.NewDue(h.journal)) {
				names = append(names, view.Name())
				if len(args) == 1 && args[0] != view.Name() {
					continue
				}
				bar := c.progress("rebuild "+view.Name(), "records", 1)
				var last int64
				if err := h.journal.Rebuild(cmd.Context(), view, func(done, total int64) { bar.total, last = total, done; bar.at(done, done) }); err != nil {
					return err
				}
				bar.done(last)
				if len(args) == 1 {
					return nil
				}
			}
			if len(args) == 1 {
				return usageError{fmt.Errorf("there is no view %q; there are %s", args[0], strings.Join(names, ", "))}
			}
			return nil
		}),
	}
}

// views are all that a running hub keeps. What notices are due is kept by those who send them.
func (h *hub) views() []journal.View {
	return append(h.delivery.Views(), journal.NewTrail(h.journal), journal.NewRelatives(h.journal), journal.NewNames(h.journal),
		journal.NewProtection(h.journal), audit.NewDeaths(h.journal), audit.NewDisputes(h.journal), h.command.Eraser(), h.command.Retention(), h.command.Merger(),
		projection.NewFigures(h.journal))
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the program's version",
		Args:  exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			version, revision, goVersion := "devel", "", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				goVersion = info.GoVersion
				if info.Main.Version != "" && info.Main.Version != "(devel)" {
					version = info.Main.Version
				}
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			out := c.lines()
			object := map[string]string{"version": version, "revision": revision, "go": goVersion}
			if err := out.emit(object, strings.TrimSpace(fmt.Sprintf("tellonce %s %s %s", version, revision, goVersion))); err != nil {
				return err
			}
			return out.flush()
		},
	}
}
