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
	return group("agreement", "Data-sharing agreements: load, propose, dry-run, approve, end, list",
		c.agreementLoad(), c.agreementPropose(), c.agreementDryRun(), c.agreementApprove(), c.agreementEnd(), c.agreementList())
}

func (c *cli) agreementLoad() *cobra.Command {
	return &cobra.Command{
		Use:   "load DIR",
		Short: "Propose every agreement (*.yaml) of a directory; in a sandbox they are approved at once",
		Args:  exactly(1, "a directory of agreements"),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, args []string) error {
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
			if err := out.flush(); err != nil {
				return err
			}
			_, err = c.settle(cmd.Context(), h)
			return err
		}),
	}
}

// loadAgreements reads a directory's agreements, all or none, and proposes them. name is the directory's, for messages.
func (h *hub) loadAgreements(ctx context.Context, dir fs.FS, name string) ([]command.Loaded, error) {
	files, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("the agreements can't be read: %w", err)
	}
	var names []string
	for _, file := range files {
		if ext := filepath.Ext(file.Name()); !file.IsDir() && (ext == ".yaml" || ext == ".yml") {
			names = append(names, file.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no agreement (*.yaml) in %s", name)
	}
	read := func(file string) ([]byte, error) { return fs.ReadFile(dir, file) }
	agreements, err := h.parseAgreements(names, read, func(file string) string { return filepath.Join(name, file) })
	if err != nil {
		return nil, fmt.Errorf("nothing is loaded:\n%w", err)
	}
	slices.SortFunc(agreements, func(a, b consent.Agreement) int { return strings.Compare(a.ID, b.ID) })
	return h.command.LoadAgreements(ctx, commandLine(), agreements)
}

// parseAgreements reads files, all or none; every fault of all of them is in the error, with file, line and column.
func (h *hub) parseAgreements(names []string, read func(string) ([]byte, error), shown func(string) string) ([]consent.Agreement, error) {
	agreements := make([]consent.Agreement, 0, len(names))
	var errs []error
	for _, name := range names {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		agreement, err := schemas.ParseAgreement(shown(name), text, h.registry)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		agreements = append(agreements, agreement)
	}
	return agreements, errors.Join(errs...)
}

// commandLine is the operator at the terminal.
func commandLine() command.Command {
	return command.Command{Actor: terminalActor, Issuer: journal.IssuerCommand}
}
