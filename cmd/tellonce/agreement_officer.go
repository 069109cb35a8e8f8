package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// officer adds --as to a command, and returns who it names once the hub is open.
func officer(cmd *cobra.Command) func(*hub) (command.Command, error) {
	name := cmd.Flags().String("as", "", "the officer who does it, by name; only a sandbox does without")
	return func(h *hub) (command.Command, error) {
		if strings.TrimSpace(*name) == "" && h.journal.Genesis().Mode != journal.ModeSandbox {
			return command.Command{}, usageError{errors.New("--as NAME must say which officer does this: two are needed for an agreement")}
		}
		actor := journal.Actor{Kind: journal.ActorOfficer, Role: journal.RoleOfficer, ID: *name}
		return command.Command{Actor: actor, Issuer: journal.IssuerCommand}, nil
	}
}

func (c *cli) agreementPropose() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "propose FILE… --as NAME",
		Short: "Propose versions of agreements from YAML files, all or none, and say what they would change",
		Long: "Proposes versions of agreements, all or none. A proposal shares nothing: another officer approves it with `tellonce agreement approve`.\n" +
			"What is proposed already, word for word, is left as it is; the same version with other content is refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s takes files of agreements; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())}
			}
			return nil
		},
	}
	as := officer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.onAgreements(cmd, as, func(h *hub, who command.Command) ([]command.AgreementVersion, error) {
			agreements, err := h.parseAgreements(args, os.ReadFile, func(name string) string { return name })
			if err != nil {
				return nil, fmt.Errorf("nothing is proposed:\n%w", err)
			}
			if _, err := h.command.ProposeAgreements(cmd.Context(), who, agreements...); err != nil {
				return nil, err
			}
			out := make([]command.AgreementVersion, len(agreements))
			for i, a := range agreements {
				if out[i], err = h.command.AgreementVersion(cmd.Context(), a.ID, a.Version); err != nil {
					return nil, err
				}
			}
			return out, nil
		})
	}
	return cmd
}

func (c *cli) agreementApprove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approve ID@VERSION --as NAME",
		Short: "Approve a proposed version, as another officer than the one who proposed it",
		Long: "Approves a proposed version, as another officer than the one who proposed it. It replaces the version in force at once.\n" +
			"If its validity begins on a later day, nothing is shared under this agreement until then, by the former version neither: to change\n" +
			"over without a gap, approve it on that day. What is narrower applies at once. Where an agreement rests on consent, those who agreed\n" +
			"to a former version share only what that version shared until they agree anew.",
		Args: exactly(1, "an agreement with its version, such as outdoors-card@2"),
	}
	as := officer(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, number, ok := strings.Cut(args[0], "@")
		version, err := strconv.Atoi(number)
		if !ok || id == "" || err != nil {
			return usageError{fmt.Errorf("%q is no agreement with its version, such as outdoors-card@2", args[0])}
		}
		return c.onAgreements(cmd, as, func(h *hub, who command.Command) ([]command.AgreementVersion, error) {
			v, err := h.command.ApproveAgreement(cmd.Context(), who, command.Approval{ID: id, Version: version})
			if err == nil {
				h.warnOfGap(c, &v)
				_, err = c.settle(cmd.Context(), h)
			}
			return []command.AgreementVersion{v}, err
		})
	}
	return cmd
}

// warnOfGap says on stderr that nothing is shared until an approved version's validity begins.
func (h *hub) warnOfGap(c *cli, v *command.AgreementVersion) {
	today := h.journal.DayOf(h.journal.Now(journal.Timing{})).Date
	if v.State == consent.StateApproved && v.Agreement.ValidFrom > today {
		fmt.Fprintf(c.err, "Nothing is shared under %s until %s, when this version's validity begins.\n", v.Agreement.ID, v.Agreement.ValidFrom)
	}
}

func (c *cli) agreementEnd() *cobra.Command {
	var on string
	var yes bool
	cmd := &cobra.Command{
		Use:   "end ID [--on DATE] --yes --as NAME",
		Short: "End an agreement, with all its versions and proposals",
		Long: "Ends an agreement at once, with all its versions and proposals: nothing is shared under it any more. --on is the day of the end for\n" +
			"people to read: today or an earlier day, never one to come. For a later end, propose a version whose validity ends on that day.",
		Args: exactly(1, "an agreement's id; `tellonce agreement list` shows them"),
	}
	as := officer(cmd)
	cmd.Flags().StringVar(&on, "on", "", "the day of the end, YYYY-MM-DD (default: today, by the log's clock)")
	cmd.Flags().BoolVar(&yes, "yes", false, "end it: without this nothing is done")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			return usageError{fmt.Errorf("ending %s stops all that is shared under it, and only a new version can bring it back; add --yes", args[0])}
		}
		return c.onAgreements(cmd, as, func(h *hub, who command.Command) ([]command.AgreementVersion, error) {
			return h.command.EndAgreement(cmd.Context(), who, args[0], on)
		})
	}
	return cmd
}

// onAgreements opens the hub, does something as an officer, and prints the versions that it is about.
func (c *cli) onAgreements(
	cmd *cobra.Command, as func(*hub) (command.Command, error), do func(*hub, command.Command) ([]command.AgreementVersion, error),
) error {
	h, err := openHub(cmd.Context(), &c.config, c.logger())
	if err != nil {
		return err
	}
	defer h.Close()
	who, err := as(h)
	if err != nil {
		return err
	}
	versions, err := do(h, who)
	if err != nil {
		return sentenceOf(err)
	}
	out := c.lines()
	for i := range versions {
		if err := h.emitVersion(out, &versions[i]); err != nil {
			return err
		}
	}
	return out.flush()
}

// sentenceOf adds the sentence of a rejection to its code.
func sentenceOf(err error) error {
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return fmt.Errorf("%w: %s", err, rejection.Sentence("en"))
	}
	return err
}
