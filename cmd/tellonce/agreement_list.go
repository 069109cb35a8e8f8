package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
)

func (c *cli) agreementList() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list [--all]",
		Short: "List the agreements that are approved and not ended; with --all every version ever proposed, with its state",
		Args:  exactly(0, "no arguments"),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, _ []string) error {
			versions, err := h.command.AgreementVersions(cmd.Context())
			if err != nil {
				return err
			}
			out := c.lines()
			for i := range versions {
				v := &versions[i]
				if !all && v.State != consent.StateApproved {
					continue
				}
				object, text := listed(&v.Agreement), listedText(&v.Agreement)
				if all {
					object, text = versionObject(v), fmt.Sprintf("%-8s  %s", v.State, text)
				}
				if err := out.emit(object, text); err != nil {
					return err
				}
			}
			return out.flush()
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "every version: proposed, approved, replaced and ended ones, too")
	return cmd
}

func listedText(a *consent.Agreement) string {
	return fmt.Sprintf("%-24s v%d  %-8s %-20s from %s  %s", a.ID, a.Version, a.Basis.Kind, a.Stream, a.ValidFrom, a.Title.EN)
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

// versionObject is a version with how far it has come.
func versionObject(v *command.AgreementVersion) map[string]any {
	object := listed(&v.Agreement)
	object["state"] = string(v.State)
	for name, at := range map[string]time.Time{"proposed_at": v.ProposedAt, "approved_at": v.ApprovedAt, "ended_at": v.EndedAt} {
		if !at.IsZero() {
			object[name] = at.UTC().Format(time.RFC3339)
		}
	}
	if v.EndedOn != 0 {
		object["ended_on"] = v.EndedOn.String()
	}
	if v.Former != nil {
		object["replaces"] = v.Former.Version
	}
	return object
}

// emitVersion writes a version with what it changes, a sentence each.
func (h *hub) emitVersion(out *lines, v *command.AgreementVersion) error {
	object := versionObject(v)
	text := fmt.Sprintf("%s@%d %s", v.Agreement.ID, v.Agreement.Version, v.State)
	labels := h.command.Labels("en")
	if v.State == consent.StateEnded {
		return out.emit(object, text+" on "+v.EndedOn.String())
	}
	if v.Former == nil {
		return out.emit(object, text+sentences("", v.Agreement.Aloud("en", labels)))
	}
	d := v.Difference()
	changes := d.Sentences("en", labels)
	object["wider"], object["narrower"], object["asks_anew"], object["changes"] = d.Wider(), d.Narrower(), v.AsksAnew(), slices.Concat([]string{}, changes)
	heading := fmt.Sprintf("; compared with version %d:", v.Former.Version)
	if len(changes) == 0 {
		heading = fmt.Sprintf("; the same rules as version %d", v.Former.Version)
	}
	if v.AsksAnew() {
		changes = append(changes, "People who agreed are asked anew: until then they share only what they agreed to.")
	}
	return out.emit(object, text+sentences(heading, changes))
}

func sentences(heading string, lines []string) string {
	for _, line := range lines {
		heading += "\n  " + line
	}
	return heading
}
