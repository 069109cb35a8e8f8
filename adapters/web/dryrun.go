package web

import (
	"context"
	"errors"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
)

// dryRunTime bounds a dry run on a page; a longer log is for the command line, which shows how far it is.
const dryRunTime = 20 * time.Second

// dryRunView is what a version would do, counted over the log. Numbers are written as people write them.
type dryRunView struct {
	Facts, Citizens, Erased string // Erased is empty for none
	Before, After           string
	Fields                  []dryRunLine
}

// dryRunLine is one field of one event type.
type dryRunLine struct {
	What, Field   string
	Before, After string // facts
	Gain, Lose    string // people
}

// dryRun folds the log under a version that waits for its approval. One page at a time may do that: it reads the whole log.
func (s *server) dryRun(r *request, candidate *consent.Agreement, page *agreementView) error {
	select {
	case s.running <- struct{}{}:
		defer func() { <-s.running }()
	default:
		page.RunNote = r.say("dry-run.busy")
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.DryRunTime)
	defer cancel()
	report, err := s.Audit.DryRun(ctx, *candidate, nil)
	switch {
	case errors.Is(err, audit.ErrNotNewer):
		page.RunNote = r.say("dry-run.not-newer")
	case ctx.Err() != nil && r.Context().Err() == nil:
		page.RunNote = r.say("dry-run.long")
	case err != nil:
		return err
	default:
		page.Run = s.dryRunView(r, &report)
	}
	return nil
}

func (s *server) dryRunView(r *request, report *audit.DryRunReport) *dryRunView {
	number := func(n int64) string { return r.words.number(int(n)) }
	v := &dryRunView{
		Facts: number(report.Facts), Citizens: number(report.Citizens), Before: number(report.SharedBefore), After: number(report.SharedAfter),
	}
	if report.Erased > 0 {
		v.Erased = number(report.Erased)
	}
	labels := s.Command.Labels(r.lang())
	for _, f := range report.Fields {
		what, names := labels(f.Type, []string{f.Field})
		v.Fields = append(v.Fields, dryRunLine{
			What: what, Field: names[0], Before: number(f.Before), After: number(f.After), Gain: number(f.GainedCitizens), Lose: number(f.LostCitizens),
		})
	}
	return v
}
