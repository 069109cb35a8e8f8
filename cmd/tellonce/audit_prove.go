package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// verificationError is a proof that did not come out.
type verificationError struct{ error }

func (v verificationError) Unwrap() error { return v.error }

func (c *cli) auditRederive() *cobra.Command {
	return &cobra.Command{
		Use:   "rederive",
		Short: "Decide every change of the log again and compare: same, erased, different",
		Long: "Folds the whole log once and decides every change again, by the law and by what was known of the citizen just before it, with the\n" +
			"function that decided it. Prints how many decisions come out the same, how many can't be derived any more because what they were made\n" +
			"of was erased, and how many differ, with the first hundred differences. Nothing personal is printed. Exit 3 if any differs.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report audit.Report
			err := c.prove(cmd.Context(), "rederive", func(ctx context.Context, a *audit.Audit, progress func(done, total int64)) (err error) {
				report, err = a.Rederive(ctx, progress)
				return err
			})
			if err != nil {
				return err
			}
			return c.printRederived(report)
		},
	}
}

func (c *cli) printRederived(report audit.Report) error {
	out := c.lines()
	for _, d := range report.Differences {
		text := fmt.Sprintf("position %d: %s differs in %s", d.Position, d.Agreement, d.What)
		if d.Agreement == "" {
			text = fmt.Sprintf("position %d: differs in %s", d.Position, d.What)
		}
		if !out.json { // in JSON they stand in the report
			if err := out.emit(nil, text); err != nil {
				return err
			}
		}
	}
	text := fmt.Sprintf("same=%d erased=%d different=%d", report.Same, report.Erased, report.Different)
	if err := errors.Join(out.emit(report, text), out.flush()); err != nil {
		return err
	}
	if report.Different > 0 {
		return verificationError{fmt.Errorf(
			"%d decisions don't come out as they stand on the log; `tellonce audit verify` shows whether it was changed", report.Different,
		)}
	}
	return nil
}

func (c *cli) auditVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check every record of the log: leaf, order, versions, payload, erasures",
		Long: "Checks every record: its leaf is that of its fields, positions and versions have no gap, its payload opens and is what it commits to.\n" +
			"A payload whose key is destroyed counts as erased only if an erasure event about that person names its class; else somebody destroyed\n" +
			"the key past the hub. Prints counts, and the first hundred findings. Whoever also rewrites the leaves, or cuts off the log's end, is\n" +
			"found by a checkpoint that others hold. Exit 3 if anything is wrong.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report audit.VerifyReport
			err := c.prove(cmd.Context(), "verify", func(ctx context.Context, a *audit.Audit, progress func(done, total int64)) (err error) {
				report, err = a.Verify(ctx, progress)
				return err
			})
			if errors.Is(err, seal.ErrOtherLog) { // genesis was edited, or these are another log's keys
				return verificationError{err}
			}
			if err != nil {
				return err
			}
			return c.printVerified(&report)
		},
	}
}

func (c *cli) printVerified(report *audit.VerifyReport) error {
	out := c.lines()
	for _, finding := range report.Findings {
		if !out.json {
			if err := out.emit(nil, fmt.Sprintf("position %d: %s", finding.Position, finding.Sentence())); err != nil {
				return err
			}
		}
	}
	text := fmt.Sprintf("records=%d opened=%d locked=%d erased=%d destroyed=%d tampered=%d",
		report.Records, report.Opened, report.Locked, report.Erased, report.Destroyed, report.Tampered)
	if err := errors.Join(out.emit(report, text), out.flush()); err != nil {
		return err
	}
	if report.Failed() {
		return verificationError{fmt.Errorf(
			"the log is not as it was written: %d findings, and %d payloads destroyed without an erasure event", report.Tampered, report.Destroyed,
		)}
	}
	return nil
}

// prove runs one pass over the log with its progress.
func (c *cli) prove(ctx context.Context, what string, run func(context.Context, *audit.Audit, func(done, total int64)) error) error {
	h, err := openHub(ctx, &c.config, c.logger())
	if err != nil {
		return err
	}
	defer h.Close()
	progress, done := c.records(what)
	if err := run(ctx, h.audit, progress); err != nil {
		return unreadable(err)
	}
	done()
	return nil
}

// unreadable is what a pass over the whole log says of records that are not what was written.
func unreadable(err error) error {
	for _, tampered := range []error{seal.ErrTampered, seal.ErrNoKey, journal.ErrMissing} {
		if errors.Is(err, tampered) {
			return verificationError{fmt.Errorf("%w; `tellonce audit verify` finds all of it", err)}
		}
	}
	return err
}

// records is a progress in records, whose number becomes known with the first page.
func (c *cli) records(what string) (at func(done, total int64), done func()) {
	bar := c.progress(what, "records", 1)
	var last int64
	return func(done, total int64) { bar.total, last = total, done; bar.at(done, done) }, func() { bar.done(last) }
}
