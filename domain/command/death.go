package command

import (
	"context"
	"errors"
	"strings"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// A reported death is held: nothing is shared, and no grant ends, until a registrar registers it. Clerks, registrars and sources report a
// death as they tell anything (Tell); what is here is for residents who report a relative's, and for the registrar who decides.

// ErrNoReport is the answer for a receipt number that stands for no reported death of whom the caller may know.
var ErrNoReport = errors.New("command: there is no such report of a death")

// kindDeathReport is the kind of access by which a resident's report about nobody stands on the log.
const kindDeathReport = "death-report"

// ReportDeath takes a resident's report that somebody has died, whom they name exactly: by name and date of birth. What comes of it is not
// said, and is one append under the command's id either way: whether the hub knows a person is nobody's business. Errors: ErrForbidden,
// *WeakLogin, a rejection command-reused, ErrBusy and the store's.
func (h *Handler) ReportDeath(ctx context.Context, c Command, who citizen.Identity, change Change) error {
	if c.Actor.Kind != journal.ActorResident || !mayTell(c.Actor, citizen.DeathReported) {
		return ErrForbidden
	}
	if err := h.StrongEnough(c.Actor, citizen.DeathReported); err != nil {
		return err
	}
	change.Type, change.Consents, change.Preview = citizen.DeathReported, nil, ""
	matches, err := h.matches(ctx, []citizen.Identity{who})
	if err != nil {
		return err
	}
	day := h.journal.DayOf(h.journal.Now(journal.Timing{Told: true}))
	var meant []citizen.ID
	for _, m := range matches[0] {
		if m.is(h, c.Actor, who, day) && m.state.ID != citizen.ID(c.Actor.Citizen) {
			meant = append(meant, m.state.ID)
		}
	}
	if len(meant) != 1 {
		return h.reportNobody(ctx, c)
	}
	_, err = h.doMany(ctx, c, meant, func(law *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		return h.judgeTell(c, change, law, states[0], day)
	})
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) && rejection.Code != citizen.CodeCommandReused { // they died or went since they were matched
		return h.reportNobody(ctx, c)
	}
	return err
}

// reportNobody uses the command's id up, for a report that is about nobody.
func (h *Handler) reportNobody(ctx context.Context, c Command) error {
	_, err := h.journal.Append(ctx, journal.Step{
		Command: c.id(), Origin: journal.Origin{Issuer: c.Issuer, Actor: c.Actor.Kind, Channel: c.Channel}, Timing: journal.Timing{Told: true},
		Events: []journal.New{{
			Event:     journal.Accessed{Kind: kindDeathReport, Reason: "a death reported by a resident", Shown: "nothing found"},
			Aggregate: journal.AccessesAggregate, Cause: eventstore.NoCause, Meta: c.meta(""),
		}},
	})
	if errors.Is(err, eventstore.ErrCommandReused) {
		return citizen.RejectAt(citizen.CodeCommandReused, "/id")
	}
	return err
}

// ConfirmDeath registers the death that a report tells of, as it was reported. For the registrar alone. Errors: ErrForbidden, ErrNoReport,
// and Tell's.
func (h *Handler) ConfirmDeath(ctx context.Context, c Command, receipt string) (Result, error) {
	id, _, report, err := h.report(ctx, c, receipt)
	if err != nil {
		return Result{}, err
	}
	return h.Tell(ctx, c, id, Change{Type: citizen.DeathRegistered, Effective: report.Effective, Data: report.Data})
}

// DismissDeath takes a report back: it was wrong, or is settled otherwise. For the registrar alone. Errors as for ConfirmDeath.
func (h *Handler) DismissDeath(ctx context.Context, c Command, receipt string) (Result, error) {
	id, position, report, err := h.report(ctx, c, receipt)
	if err != nil {
		return Result{}, err
	}
	return h.Tell(ctx, c, id, Change{Type: journal.TypeChangeCancelled, Effective: report.Effective, Data: map[string]any{"corrects": position}})
}

// report finds a reported death by its receipt number, for a registrar.
func (h *Handler) report(ctx context.Context, c Command, receipt string) (id citizen.ID, position int64, report citizen.Change, err error) {
	if c.Actor.Kind != journal.ActorRegistrar {
		return id, 0, report, ErrForbidden
	}
	position, id, found, err := journal.NewTrail(h.journal).ByReceipt(ctx, strings.ToUpper(receipt))
	if err != nil {
		return id, 0, report, err
	}
	hidden, err := journal.NewProtection(h.journal).Hidden(ctx, c.Actor, id)
	if err != nil {
		return id, 0, report, err
	}
	entries, err := h.journal.Read(ctx, position) // also of nobody: genesis
	if err != nil {
		return id, 0, report, err
	}
	report, told := entries[0].Event.(citizen.Change)
	if !found || hidden[0] || !told || report.Type != citizen.DeathReported {
		return id, 0, report, ErrNoReport
	}
	return id, position, report, nil
}
