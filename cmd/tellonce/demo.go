package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// demoFiles are the built-in agreements and residents. All of them are invented; statutes are illustrations.
//
//go:embed demo
var demoFiles embed.FS

func (c *cli) demoCommand() *cobra.Command {
	var s serveConfig
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A sandbox with invented residents and agreements, ready to click through",
		Long: "Makes a sandbox in a temporary directory (or in --store, if given), loads built-in agreements and residents, serves everything and\n" +
			"prints where to look. All people and agreements are invented; statutes are illustrations.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("store") {
				dir, err := os.MkdirTemp("", "tellonce-demo-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(dir) //nolint:errcheck // temporary
				c.config.store = filepath.Join(dir, "data")
			}
			return c.demo(cmd.Context(), s)
		},
	}
	s.flags(cmd)
	return cmd
}

func (c *cli) demo(ctx context.Context, s serveConfig) error {
	if err := s.signInFlags.check(); err != nil {
		return usageError{err}
	}
	logger := c.logger()
	genesis, err := newGenesis(true, "America/Toronto", "https://tellonce.example")
	if err != nil {
		return err
	}
	genesis.Clock = journal.ClockWall // what is told here is told now
	if err := initialise(ctx, &c.config, logger, genesis); err != nil && !errors.Is(err, journal.ErrExists) {
		return err
	}
	h, err := openHub(ctx, &c.config, logger)
	if err != nil {
		return err
	}
	defer h.Close()
	if h.journal.Genesis().Mode != journal.ModeSandbox {
		return errors.New("this store is no sandbox; the demo loads invented residents only into one: choose another --store")
	}
	if err := h.loadDemo(ctx); err != nil {
		return err
	}
	if s.personas, err = h.personas(ctx); err != nil {
		return err
	}
	s.webhook.loopback = s.webhook.loopback || onLoopback(s.listen) // so that a ministry's pages can be tried to their end
	return h.serve(ctx, s, func(url, operatorURL string) error {
		if err := c.announce(url, operatorURL); err != nil {
			return err
		}
		fmt.Fprintf(c.err, demoGuide, url, url, c.config.store)
		if full, err := web.FullLook(); err == nil && !full {
			fmt.Fprintln(c.err, "The pages have their plain look here; `make demo` shows them in the Ontario Design System (it needs npm).")
		}
		return nil
	})
}

const demoGuide = `
All people and agreements here are invented; statutes are illustrations.
  Residents, ministries, a privacy officer:  %s/en/  (en français : %s/fr/)
  Choose who you are there; no password in a sandbox.
  From a terminal:                           tellonce stream read moh.health-card --store %s
Stop with Ctrl-C.
`

// loadDemo brings the built-in agreements and residents onto the log; again, it changes nothing.
func (h *hub) loadDemo(ctx context.Context) error {
	dir, err := fs.Sub(demoFiles, "demo/agreements")
	if err != nil {
		return err
	}
	if _, err := h.loadAgreements(ctx, dir, "the built-in agreements"); err != nil {
		return err
	}
	residents, err := demoFiles.ReadFile("demo/residents.ndjson")
	if err != nil {
		return err
	}
	refused := func(r command.LineResult) error {
		if r.Result == command.Rejected {
			return fmt.Errorf("built-in resident line %d: %s", r.Line, r.Reason)
		}
		return nil
	}
	return h.command.Import(ctx, bytes.NewReader(residents), command.ImportOptions{Source: "demo"}, refused, func() error { return nil })
}
