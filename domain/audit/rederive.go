package audit

import (
	"context"
	"maps"
	"slices"

	"github.com/tellonce/hub/domain/journal"
)

// Report is what a re-derivation came to, in decided events: one for each fact that was told.
type Report struct {
	Same      int64 `json:"same"`
	Erased    int64 `json:"erased"` // can't be derived any more: the decision, or something that it depends on, was erased
	Different int64 `json:"different"`
	// Differences are the first of the different, at most 100, one for each agreement.
	Differences []Difference `json:"differences,omitempty"`
}

// Difference is one agreement's line of a decision that does not come out as it stands on the log. It holds nothing personal.
type Difference struct {
	Position  int64  `json:"position"` // of the change
	Agreement string `json:"agreement,omitempty"`
	What      string `json:"what"` // one of the constants below
}

// What differs.
const (
	DiffersInLaw        = "law-version" // it was judged by another version of the agreements than stood there
	DiffersMissing      = "missing"     // the log lacks the agreement's line
	DiffersExtra        = "extra"       // the log has a line that does not follow
	DiffersInVersion    = "version"
	DiffersInFields     = "fields"
	DiffersInReason     = "reason"
	DiffersInConditions = "conditions"
	DiffersUnreadable   = "unreadable" // nothing was told where the decision says so
	DiffersUndecided    = "undecided"  // a fact without a decision
)

// maxFindings bounds the lists of reports.
const maxFindings = 100

// Rederive decides every change of the log again, in one pass: by the law and the citizen's state just before its decided, by the function
// that decided it, and compares agreement, version, fields, reason and conditions. progress, if not nil, is told how far of how much.
func (a *Audit) Rederive(ctx context.Context, progress func(done, total int64)) (Report, error) {
	head, err := a.journal.Head(ctx)
	if err != nil {
		return Report{}, err
	}
	var report Report
	h := newHistory(a.journal)
	all := func(string) bool { return true }
	err = h.replay(ctx, head.Position+1, all, func(_ context.Context, d *decision) error {
		if d.erased {
			report.Erased++
			return nil
		}
		differences, err := h.rederive(d)
		if err != nil {
			return err
		}
		report.add(differences)
		return nil
	}, progress)
	for _, position := range slices.Sorted(maps.Keys(h.undecided)) {
		report.add([]Difference{{Position: position, What: DiffersUndecided}})
	}
	return report, err
}

// rederive judges a decision again and says where the log differs.
func (h *history) rederive(d *decision) ([]Difference, error) {
	recorded, ok := d.entry.Event.(journal.Decided)
	if !ok || (d.change.Type == "" && d.cause != journal.TypeChangeCancelled && d.cause != journal.TypeDeathCorrected) {
		return []Difference{{Position: d.entry.Cause, What: DiffersUnreadable}}, nil
	}
	law, err := h.lawNow()
	if err != nil {
		return nil, err
	}
	return compare(d.entry.Cause, recorded, h.journal.Judge(law, &d.person.state, d.change, h.day)), nil
}

// compare says where a decision on the log differs from what it should be. Both are in the order of agreement ids. The engine's number
// is not compared: an older engine that decides the same is the same.
func compare(position int64, recorded, derived journal.Decided) []Difference {
	var out []Difference
	differs := func(agreement, what string) {
		out = append(out, Difference{Position: position, Agreement: agreement, What: what})
	}
	if recorded.Agreements != derived.Agreements {
		differs("", DiffersInLaw)
	}
	on, should := recorded.Decisions, derived.Decisions
	for len(on) > 0 || len(should) > 0 {
		switch {
		case len(on) == 0 || (len(should) > 0 && should[0].Agreement < on[0].Agreement):
			differs(should[0].Agreement, DiffersMissing)
			should = should[1:]
		case len(should) == 0 || on[0].Agreement < should[0].Agreement:
			differs(on[0].Agreement, DiffersExtra)
			on = on[1:]
		default:
			if what := differsIn(on[0], should[0]); what != "" {
				differs(on[0].Agreement, what)
			}
			on, should = on[1:], should[1:]
		}
	}
	return out
}

// differsIn is the first that differs in two lines of one agreement; empty if nothing does.
func differsIn(a, b journal.Decision) string {
	switch {
	case a.Version != b.Version:
		return DiffersInVersion
	case a.Reason != b.Reason:
		return DiffersInReason
	case a.Fields != b.Fields:
		return DiffersInFields
	case a.Conditions != b.Conditions:
		return DiffersInConditions
	}
	return ""
}

func (r *Report) add(differences []Difference) {
	if len(differences) == 0 {
		r.Same++
		return
	}
	r.Different++
	r.Differences = append(r.Differences, differences[:min(len(differences), maxFindings-len(r.Differences))]...)
}
