package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/journal"
)

func (c *cli) auditCommand() *cobra.Command {
	return group("audit", "Why, who may know, and proof: decisions, consents, rederive, verify", c.auditDecisions(), c.auditConsents(), c.auditRederive(), c.auditVerify())
}

func (c *cli) auditDecisions() *cobra.Command {
	var filter audit.Filter
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "Every decision by position, then agreement; the look is itself an event first",
		Args:  exactly(0, "no arguments"),
	}
	look := c.lookFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := consent.ParseReason(filter.Reason); err != nil {
			return usageError{fmt.Errorf("--reason %q is no reason; they are %v", filter.Reason, consent.Reasons())}
		}
		return c.look(cmd, "decisions", *look, func(s *audit.Session, out *lines) error {
			return s.Decisions(cmd.Context(), filter, func(line audit.DecisionLine) error {
				text := fmt.Sprintf("%d %s %s@%d %s %s %s", line.Position, line.Type, line.Agreement, line.Version, line.Result, strings.Join(line.Fields, ","), line.Reason)
				return out.emit(line, strings.TrimSpace(text))
			})
		})
	}
	cmd.Flags().StringVar(&filter.Stream, "stream", "", "only this stream's")
	cmd.Flags().Int64Var(&filter.From, "from", 0, "from this position on")
	cmd.Flags().StringVar(&filter.Reason, "reason", "", "only those withheld for this reason")
	return cmd
}

func (c *cli) auditConsents() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "consents",
		Short: "Every grant, link and their ends, by position; the look is itself an event first",
		Args:  exactly(0, "no arguments"),
	}
	look := c.lookFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.look(cmd, "consents", *look, func(s *audit.Session, out *lines) error {
			return s.Consents(cmd.Context(), func(line audit.ConsentLine) error {
				return out.emit(line, fmt.Sprintf("%d %s %s%s %s", line.Position, line.Type, line.Agreement, line.Ministry, strings.Join(line.Fields, ",")))
			})
		})
	}
	return cmd
}

func (c *cli) lookFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("look-reason", "command line", "why you look; recorded for ever, and shown to the people concerned")
}

// look opens one look and prints what it shows.
func (c *cli) look(cmd *cobra.Command, kind, reason string, show func(*audit.Session, *lines) error) error {
	h, err := openHub(cmd.Context(), &c.config, c.logger())
	if err != nil {
		return err
	}
	defer h.Close()
	session, err := h.audit.Open(cmd.Context(), commandLine().Actor, journal.IssuerCommand, audit.Look{Reason: reason, Kind: kind})
	if err != nil {
		return err
	}
	out := c.lines()
	if err := show(session, out); err != nil {
		return err
	}
	return out.flush()
}
