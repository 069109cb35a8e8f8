package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// A correction, a cancellation, a verification and a death taken back are told like any change, and are about one that was told before:
// that one's position is in their data. What stands at a position never changes; whether it still holds is for the citizen's state to say,
// which the append expects.

// target is what was told at the position that a change is about.
type target struct {
	position   int64
	subject    citizen.ID     // zero where there is nothing yet
	fact       citizen.Change // without a type where nothing was told, or where it was erased
	correction bool           // it is a correction itself
	erased     bool
}

// aims says whether a type is about something that was told before, by which member of its data, and at which position.
func aims(eventType string, data map[string]any) (position int64, member string) {
	switch eventType {
	case journal.TypeChangeCorrected, journal.TypeChangeCancelled, journal.TypeDeathCorrected:
		member = "corrects"
	case journal.TypeChangeVerified:
		member = "verifies"
	default:
		return 0, ""
	}
	number, err := strconv.ParseFloat(fmt.Sprint(data[member]), 64) // an integer below 2^53, by the schema, however it was written
	if err != nil {
		return 0, member
	}
	return int64(number), member
}

// aim reads what a change is about; others are left alone. ErrForbidden where the caller may tell nothing of its type, *WeakLogin where they
// have to log in anew first.
func (h *Handler) aim(ctx context.Context, actor journal.Actor, id citizen.ID, change *Change) error {
	if !mayTell(actor, change.Type) || (change.Type == citizen.DeathReported && citizen.ID(actor.Citizen) == id) {
		return ErrForbidden
	}
	position, member := aims(change.Type, change.Data)
	if member == "" {
		return h.StrongEnough(actor, change.Type)
	}
	targets, err := h.targets(ctx, position)
	if err != nil {
		return err
	}
	change.on = targets[0]
	return h.strongEnoughFor(actor, id, &change.on)
}

// targets reads what was told at positions.
func (h *Handler) targets(ctx context.Context, positions ...int64) ([]target, error) {
	out := make([]target, len(positions))
	for i, position := range positions {
		out[i].position = position
		entries, err := h.journal.Read(ctx, position)
		if errors.Is(err, eventstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		told, err := h.journal.Told(ctx, entries)
		if err != nil {
			return nil, err
		}
		e := &entries[0]
		out[i].subject, _ = journal.SubjectOf(&e.Recorded)
		_, row := h.journal.Registry().Row(e.Type)
		switch {
		case e.Err != nil:
			out[i].erased = row
		case e.Type == journal.TypeChangeCorrected:
			out[i].correction, out[i].fact = true, told[0]
		case e.Type != journal.TypeChangeVerified:
			out[i].fact = told[0]
		}
	}
	return out, nil
}

// factType is the type of the fact that holds by a change; empty where none does.
func (c *Change) factType() string {
	switch c.Type {
	case journal.TypeChangeCorrected, journal.TypeChangeVerified:
		return c.on.fact.Type
	case journal.TypeChangeCancelled, journal.TypeDeathCorrected:
		return ""
	}
	return c.Type
}

// stands says why a citizen's target can't be corrected, cancelled or verified by an actor, at the pointer of the member that names it:
// nil if it can. What somebody may not tell, they may not put right either.
func (t *target) stands(actor journal.Actor, state *journal.State, pointer string, verifying bool) *citizen.Rejection {
	switch {
	case t.subject != state.ID || t.fact.Type == "":
		return citizen.RejectAt(citizen.CodeNotYourChange, pointer)
	case !mayTell(actor, t.fact.Type):
		return stranger
	case t.correction && !verifying, !state.Stands(t.position):
		return citizen.RejectAt(citizen.CodeAlreadyCorrected, pointer)
	}
	return nil
}

// told is what a change puts on the log, and the fact that holds by it: without a type where none does.
func (h *Handler) told(c Command, change *Change, state *journal.State, today string) (event any, fact citizen.Change, rejection *citizen.Rejection) {
	_, member := aims(change.Type, change.Data)
	if member == "" {
		fact = h.journal.Change(change.Type, change.Effective, change.Data, c.Actor.Kind)
		return fact, fact, decide(state, fact, today)
	}
	on, pointer := &change.on, "/data/"+member
	if state.Gone != nil && state.Gone.Why == journal.TypeErased && on.subject == state.ID && (on.erased || on.fact.Type != "") {
		return nil, fact, citizen.RejectAt(citizen.CodeAlreadyErased, pointer)
	}
	if change.Type == journal.TypeChangeCorrected {
		return h.corrected(c, change, state, today)
	}
	if rejection = decide(state, citizen.Change{Type: change.Type, Effective: change.Effective}, today); rejection != nil {
		return nil, fact, rejection
	}
	if change.Type == journal.TypeDeathCorrected { // of a death whose date was put right, too, the first position is the one
		if on.position != state.Death {
			return nil, fact, citizen.RejectAt(citizen.CodeNotYourChange, pointer)
		}
		return journal.DeathCorrected{Corrects: on.position}, fact, nil
	}
	verifying := change.Type == journal.TypeChangeVerified
	if rejection = on.stands(c.Actor, state, pointer, verifying); rejection != nil {
		return nil, fact, rejection
	}
	if !verifying {
		return journal.ChangeCancelled{Corrects: on.position}, fact, on.cancellable()
	}
	fact, rejection = on.verified(state)
	return journal.ChangeVerified{Verifies: on.position}, fact, rejection
}

// corrected is what a correction comes to. It has the type of what it corrects; its effective date is the right one.
func (h *Handler) corrected(c Command, change *Change, state *journal.State, today string) (any, citizen.Change, *citizen.Rejection) {
	eventType, _ := change.Data["type"].(string)
	data, _ := change.Data["data"].(map[string]any)
	fact := h.journal.Change(eventType, change.Effective, data, c.Actor.Kind)
	fact.Corrects = change.on.position
	if rejection := decide(state, fact, today); rejection != nil {
		return nil, fact, rejection
	}
	if rejection := change.on.stands(c.Actor, state, "/data/corrects", false); rejection != nil {
		return nil, fact, rejection
	}
	if eventType != change.on.fact.Type {
		return nil, fact, citizen.RejectAt(citizen.CodeSchema, "/data/type")
	}
	return journal.ChangeCorrected{Corrects: fact.Corrects, Type: eventType, Effective: change.Effective, Data: data}, fact, nil
}

// cancellable: a registration can't be taken back, and a death only by a registrar's death-corrected.
func (t *target) cancellable() *citizen.Rejection {
	if t.fact.Type == citizen.PersonRegistered || t.fact.Type == citizen.DeathRegistered {
		return citizen.RejectAt(citizen.CodeNoCapacity, "/data/corrects")
	}
	return nil
}

// verified is the target's fact with a registrar's authority behind it: once. A reported death is confirmed by registering it.
func (t *target) verified(state *journal.State) (citizen.Change, *citizen.Rejection) {
	fact := t.fact
	switch {
	case fact.Type == citizen.DeathReported:
		return fact, citizen.RejectAt(citizen.CodeNoCapacity, "/data/verifies")
	case fact.Verified, state.Verified[t.position]:
		return fact, citizen.Reject(citizen.CodeAlreadyVerified)
	}
	fact.Verified = true
	if fact.Corrects == 0 {
		fact.Corrects = t.position
	}
	return fact, nil
}

// retracted lists who was given what a change puts right, or what stood in its place since, and is not told what is right: by stream.
func (h *Handler) retracted(
	ctx context.Context, law *journal.Law, state *journal.State, change *Change, v verdict, day journal.Day,
) ([]journal.Given, error) {
	if _, member := aims(change.Type, change.Data); member != "corrects" {
		return nil, nil
	}
	entries, err := h.journal.ReadAggregate(ctx, journal.CitizenAggregate(state.ID), 1, 0)
	if err != nil {
		return nil, err
	}
	wrong := map[int64]bool{change.on.position: true}
	for i := range entries {
		wrong[entries[i].Position] = wrong[entries[i].Position] || wrong[journal.Corrects(entries[i].Event)]
	}
	given, err := journal.NewTrail(h.journal).Given(ctx, state.ID)
	if err != nil {
		return nil, err
	}
	protected := state.Standing.IsProtected(day.Date)
	last := map[string]journal.Given{}
	for _, g := range given {
		agreement, ok := law.Agreement(g.Item.Agreement, g.Item.Version)
		hears := !protected || (ok && agreement.ReceivesProtected)
		told := slices.ContainsFunc(v.decisions, func(d journal.Decision) bool { return d.Agreement == g.Item.Agreement && d.Reason == consent.None })
		if wrong[g.Item.Position] && hears && !told {
			last[g.Stream+" "+g.Item.Agreement] = g
		}
	}
	out := slices.DeleteFunc(slices.Collect(maps.Values(last)), func(g journal.Given) bool { return g.Item.Retracts() })
	slices.SortFunc(out, func(a, b journal.Given) int {
		return strings.Compare(a.Stream+a.Item.Agreement, b.Stream+b.Item.Agreement)
	})
	return out, nil
}
