package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

func (c *cli) agreementDryRun() *cobra.Command {
	var people bool
	var reason string
	cmd := &cobra.Command{
		Use:   "dry-run FILE",
		Short: "Fold the whole log under an agreement's rules: who would gain or lose which fields",
		Long: "Judges every fact of the log twice, with what was known of the citizen when it was told: by the agreement's newest approved version,\n" +
			"and by the candidate of the file in its place. The candidate counts as in force wherever that version was; a new agreement from the\n" +
			"beginning. Grants of earlier versions go on covering what those versions shared. Prints counts by event type and field; nothing on\n" +
			"the log changes. With --people also the ids of the citizens concerned: that is a look at people, which is recorded with its --reason\n" +
			"before the answer. Whoever is protected is neither named nor counted.",
		Args: exactly(1, "the file of an agreement"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if people && strings.TrimSpace(reason) == "" {
				return usageError{errors.New("--people shows people: say why with --reason; it is recorded for ever")}
			}
			if !people && reason != "" {
				return usageError{errors.New("--reason goes with --people: counts name nobody")}
			}
			return c.dryRun(cmd, args[0], people, reason)
		},
	}
	cmd.Flags().BoolVar(&people, "people", false, "also the ids of the citizens who gain or lose anything")
	cmd.Flags().StringVar(&reason, "reason", "", "with --people: why you look")
	return cmd
}

func (c *cli) dryRun(cmd *cobra.Command, file string, people bool, reason string) error {
	ctx := cmd.Context()
	text, err := os.ReadFile(file) // #nosec G304 -- the operator's own file
	if err != nil {
		return fmt.Errorf("the agreement can't be read: %w", err)
	}
	h, err := openHub(ctx, &c.config, c.logger())
	if err != nil {
		return err
	}
	defer h.Close()
	candidate, err := schemas.ParseAgreement(file, text, h.registry)
	if err != nil {
		return err
	}
	progress, done := c.records("dry run")
	if !people {
		report, err := h.audit.DryRun(ctx, candidate, progress)
		if err != nil {
			return unreadable(err)
		}
		done()
		return c.printDryRun(&report)
	}
	session, err := h.audit.Open(ctx, commandLine().Actor, journal.IssuerCommand, dryRunLook(&candidate, reason))
	if err != nil {
		return err
	}
	out := c.lines()
	report, err := session.DryRunPeople(ctx, candidate, func(one audit.PersonEffect) error { return out.emit(one, personText(one)) }, progress)
	if err != nil {
		return unreadable(err)
	}
	done()
	if err := out.flush(); err != nil {
		return err
	}
	return c.printDryRun(&report)
}

// dryRunLook is the access event of a dry run that shows people.
func dryRunLook(candidate *consent.Agreement, reason string) audit.Look {
	return audit.Look{Reason: reason, Kind: "dry-run", Shown: fmt.Sprintf("who gains or loses fields under %s@%d", candidate.ID, candidate.Version)}
}

func personText(one audit.PersonEffect) string {
	var parts []string
	for _, part := range []struct {
		word   string
		fields []string
	}{{"gains", one.Gained}, {"loses", one.Lost}} {
		if len(part.fields) > 0 {
			parts = append(parts, part.word+" "+strings.Join(part.fields, ", "))
		}
	}
	return fmt.Sprintf("%s %s: %s", one.Citizen, one.Type, strings.Join(parts, "; "))
}

func (c *cli) printDryRun(report *audit.DryRunReport) error {
	out := c.lines()
	return errors.Join(out.emit(report, dryRunTable(report)), out.flush())
}

// dryRunTable is a report for people, without the line feed at its end.
func dryRunTable(r *audit.DryRunReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: version %d in place of version %d\n", r.Agreement, r.Version, r.Replaces)
	if r.Replaces == 0 {
		b.Reset()
		fmt.Fprintf(&b, "%s: version %d, a new agreement\n", r.Agreement, r.Version)
	}
	fmt.Fprintf(&b, "%d facts of %d citizens judged, %d erased; ", r.Facts, r.Citizens, r.Erased)
	fmt.Fprintf(&b, "shared of %d before, of %d after\n\n", r.SharedBefore, r.SharedAfter)
	const row = "%-24s %-18s %9s %9s %9s %9s %9s %9s\n"
	number := func(n int64) string { return fmt.Sprint(n) }
	fmt.Fprintf(&b, row, "", "", "shared", "shared", "facts", "facts", "citizens", "citizens")
	fmt.Fprintf(&b, row, "event", "field", "before", "after", "gain", "lose", "gain", "lose")
	for _, f := range r.Fields {
		fmt.Fprintf(&b, row, f.Type, f.Field, number(f.Before), number(f.After), number(f.GainedFacts), number(f.LostFacts),
			number(f.GainedCitizens), number(f.LostCitizens))
	}
	if len(r.Withheld) > 0 {
		fmt.Fprintf(&b, "\n%-24s %9s %9s\n", "withheld, facts", "before", "after")
		for _, w := range r.Withheld {
			fmt.Fprintf(&b, "%-24s %9d %9d\n", w.Reason, w.Before, w.After)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}
