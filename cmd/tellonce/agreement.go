package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

func (c *cli) agreementCommand() *cobra.Command {
	return group("agreement", "Data-sharing agreements: load, list", c.agreementLoad(), c.agreementList(), c.agreementDryRun())
}

func (c *cli) agreementLoad() *cobra.Command {
	return &cobra.Command{
		Use:   "load DIR",
		Short: "Propose every agreement (*.yaml) of a directory; in a sandbox they are approved at once",
		Args:  exactly(1, "a directory of agreements"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			loaded, err := h.loadAgreements(cmd.Context(), os.DirFS(args[0]), args[0])
			if err != nil {
				return err
			}
			out := c.lines()
			for _, one := range loaded {
				object := map[string]any{"id": one.ID, "version": one.Version, "state": one.State}
				if err := out.emit(object, fmt.Sprintf("%s@%d %s", one.ID, one.Version, one.State)); err != nil {
					return err
				}
			}
			return out.flush()
		},
	}
}

// loadAgreements reads a directory's agreements, all or none, and proposes them. name is the directory's, for messages.
func (h *hub) loadAgreements(ctx context.Context, dir fs.FS, name string) ([]command.Loaded, error) {
	files, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("the agreements can't be read: %w", err)
	}
	var agreements []consent.Agreement
	var errs []error
	for _, file := range files {
		if ext := filepath.Ext(file.Name()); file.IsDir() || (ext != ".yaml" && ext != ".yml") {
			continue
		}
		text, err := fs.ReadFile(dir, file.Name())
		if err != nil {
			return nil, err
		}
		agreement, err := schemas.ParseAgreement(filepath.Join(name, file.Name()), text, h.registry)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		agreements = append(agreements, agreement)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("nothing is loaded:\n%w", err)
	}
	if len(agreements) == 0 {
		return nil, fmt.Errorf("there is no agreement (*.yaml) in %s", name)
	}
	slices.SortFunc(agreements, func(a, b consent.Agreement) int { return strings.Compare(a.ID, b.ID) })
	return h.command.LoadAgreements(ctx, commandLine(), agreements)
}

// commandLine is the operator at the terminal.
func commandLine() command.Command {
	return command.Command{Actor: journal.Actor{Kind: journal.ActorOperator, Role: journal.RoleOperator, ID: "command line"}, Issuer: journal.IssuerCommand}
}

func (c *cli) agreementList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the agreements that are approved and not ended",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			agreements, err := h.command.Agreements(cmd.Context())
			if err != nil {
				return err
			}
			out := c.lines()
			for _, a := range agreements {
				if err := out.emit(listed(&a), fmt.Sprintf("%-24s v%d  %-8s %-20s from %s  %s", a.ID, a.Version, a.Basis.Kind, a.Stream, a.ValidFrom, a.Title.EN)); err != nil {
					return err
				}
			}
			return out.flush()
		},
	}
}

// listed is an agreement in the lists of the command line.
func listed(a *consent.Agreement) map[string]any {
	events := make([]string, len(a.Shares))
	for i, s := range a.Shares {
		events[i] = s.Event
	}
	object := map[string]any{
		"id": a.ID, "version": a.Version, "ministry": a.Ministry, "stream": a.Stream, "basis": a.Basis.Kind, "population": a.Population,
		"title": map[string]string{"en": a.Title.EN, "fr": a.Title.FR}, "events": events,
	}
	if a.ValidFrom != 0 {
		object["valid_from"] = a.ValidFrom.String()
	}
	if a.ValidUntil != 0 {
		object["valid_until"] = a.ValidUntil.String()
	}
	return object
}
