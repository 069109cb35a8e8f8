package command

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Erasure is what an erasure came to: what is gone, what must stay and until when, and the proof.
type Erasure struct {
	Result
	Erased journal.Erased
	// Keys are the destroyed keys; each has its own event on the log.
	Keys []journal.KeysDestroyed
}

// Erase takes a citizen out of the hub: what they told is closed at once and for ever, and what must stay is named with its last day. The
// event comes first, guarded like all others; then the keys go. If the process dies in between, the Eraser finishes it from the log.
func (h *Handler) Erase(ctx context.Context, c Command, id citizen.ID) (Erasure, error) {
	if !mayErase(c.Actor, id) {
		return Erasure{}, ErrForbidden
	}
	out, erased, err := h.erase(ctx, c, id, judgeErasure)
	if err == nil {
		out.Keys, err = h.destroy(ctx, erased)
	}
	return out, err
}

// erase appends an erasure that judge allows, and reads it back as it stands on the log: the first one, if the command was repeated.
func (h *Handler) erase(
	ctx context.Context, c Command, id citizen.ID, judge func(*journal.State, journal.Day) (journal.Erased, *citizen.Rejection),
) (Erasure, *journal.Entry, error) {
	result, err := h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		erased, rejection := judge(state, day)
		if rejection != nil {
			return verdict{}, rejection
		}
		return verdict{events: []journal.New{about(state, erased, journal.Meta{})}}, nil
	})
	if err != nil {
		return Erasure{}, nil, err
	}
	entries, err := h.journal.Read(ctx, result.Position)
	if err != nil {
		return Erasure{}, nil, err
	}
	out := Erasure{Result: result}
	out.Erased, _ = entries[0].Event.(journal.Erased)
	return out, &entries[0], nil
}

// mayErase: a citizen themself; a clerk or the registrar on their behalf. Nobody acts by proxy in this.
func mayErase(actor journal.Actor, id citizen.ID) bool {
	switch actor.Kind {
	case journal.ActorClerk, journal.ActorRegistrar:
		return true
	case journal.ActorResident:
		return actor.Citizen == uuid.UUID(id)
	}
	return false
}

// judgeErasure says what of a citizen may go now, and what must stay.
func judgeErasure(state *journal.State, day journal.Day) (journal.Erased, *citizen.Rejection) {
	switch {
	case state.Gone != nil && state.Gone.Why == journal.TypeErased:
		return journal.Erased{}, citizen.Reject(citizen.CodeAlreadyErased)
	case !state.Profile.Registered, state.Gone != nil:
		return journal.Erased{}, citizen.Reject(citizen.CodeUnknownPerson)
	}
	if underHold(state, eventstore.Facts, day.Date) {
		return journal.Erased{}, citizen.Reject(citizen.CodeLegalHold)
	}
	return erasedFacts(state, day), nil
}

// judgeMerged says what goes of an id that was merged into one that was erased: the same, unless it went before.
func judgeMerged(state *journal.State, day journal.Day) (journal.Erased, *citizen.Rejection) {
	if state.Gone == nil || state.Gone.Why != journal.TypeCitizensMerged {
		return journal.Erased{}, settled
	}
	return erasedFacts(state, day), nil
}

// erasedFacts is an erasure of the facts; everything else stays for its time.
func erasedFacts(state *journal.State, day journal.Day) journal.Erased {
	return journal.Erased{
		Classes: []eventstore.Class{eventstore.Facts}, Kept: kept(state, day, eventstore.Evidence, eventstore.AccessTrail, eventstore.Contact),
	}
}

// kept says why and until when classes stay, counted from a day.
func kept(state *journal.State, day journal.Day, classes ...eventstore.Class) []journal.Kept {
	out := make([]journal.Kept, len(classes))
	for i, class := range classes {
		out[i] = journal.Kept{Class: class, Law: citizen.KeptByRetention, Until: citizen.KeptUntil(int16(class), day.From)}
		if underHold(state, class, day.Date) {
			out[i] = journal.Kept{Class: class, Law: citizen.KeptByHold} // which authority is no one's business
		}
	}
	return out
}

// underHold says whether a legal hold on a class stands on a day.
func underHold(state *journal.State, class eventstore.Class, on consent.Date) bool {
	return slices.ContainsFunc(state.Holds, func(hold journal.LegalHoldSet) bool {
		last, err := consent.ParseDate(hold.Until)
		return slices.Contains(hold.Classes, class) && (err != nil || on <= last) // no last day: until it is lifted
	})
}

// eraserScope is the namespace of the hub's own commands that finish an erasure.
const eraserScope = "hub/eraser"

// destroy finishes an erasure: the keys, then what was told under ids that were merged into the erased one. It may be repeated after a crash
// at any instruction.
func (h *Handler) destroy(ctx context.Context, erased *journal.Entry) ([]journal.KeysDestroyed, error) {
	keys, err := h.destroyKeys(ctx, erased)
	event, _ := erased.Event.(journal.Erased)
	if err != nil || !slices.Contains(event.Classes, eventstore.Facts) {
		return keys, err
	}
	merged, err := h.eraseMerged(ctx, citizen.ID(erased.Subject))
	return append(keys, merged...), err
}

// destroyKeys destroys the keys that an erased event names and says so on the log: a destroyed key stays so, and the append is known by its
// command.
func (h *Handler) destroyKeys(ctx context.Context, erased *journal.Entry) ([]journal.KeysDestroyed, error) {
	event, ok := erased.Event.(journal.Erased)
	if !ok {
		return nil, errors.New("command: not an erasure")
	}
	id, _ := journal.SubjectOf(&erased.Recorded)
	keys, err := h.journal.DestroyKeys(ctx, id, event.Classes...)
	if err != nil {
		return nil, err
	}
	step := journal.Step{
		Command: journal.CommandID{Issuer: eraserScope, ID: hubCommandID("keys", erased.Position).String()},
		Origin:  journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub},
	}
	for _, key := range keys {
		step.Events = append(step.Events, journal.New{
			Event: key, Aggregate: journal.CitizenAggregate(id), Subject: id, Cause: erased.Position,
		})
	}
	_, err = h.journal.Append(ctx, step)
	return keys, err
}

// eraseMerged closes what was told under ids that were merged into one that was erased: it is the same person's. Each has its own event,
// known by its command however often this is done.
func (h *Handler) eraseMerged(ctx context.Context, id citizen.ID) ([]journal.KeysDestroyed, error) {
	others, err := journal.NewRelatives(h.journal).MergedInto(ctx, id)
	if err != nil {
		return nil, err
	}
	var keys []journal.KeysDestroyed
	for _, other := range others {
		c := Command{Scope: eraserScope, ID: hubCommandID("merged " + other.String()).String(), Issuer: journal.IssuerHub}
		_, erased, err := h.erase(ctx, c, other, judgeMerged)
		if errors.Is(err, settled) { // erased already, by its own command
			continue
		}
		if err != nil {
			return nil, err
		}
		destroyed, err := h.destroyKeys(ctx, erased)
		if err != nil {
			return nil, err
		}
		keys = append(keys, destroyed...)
	}
	return keys, nil
}

// hubNamespace makes the ids of the hub's own commands (UUID version 5) from what triggers them, so that a repeat is known by the store.
var hubNamespace = uuid.MustParse("8c7a52a5-40f3-5d0c-8f0e-0a9d6f1e7b11")

func hubCommandID(what string, positions ...int64) uuid.UUID {
	name := []byte(what)
	for _, p := range positions {
		name = binary.BigEndian.AppendUint64(name, uint64(p))
	}
	return uuid.NewSHA1(hubNamespace, name)
}

// Eraser finishes erasures whose process died between the event and the keys; a view without rows, kept by the same runner as all others.
// Rebuilt from the log's beginning, after a restore, it destroys every key again that was ever to be destroyed.
type Eraser struct{ handler *Handler }

// Eraser returns the follower that destroys keys.
func (h *Handler) Eraser() Eraser { return Eraser{handler: h} }

// Name is the view's name in the store.
func (Eraser) Name() string { return "eraser" }

// Wants erasures alone.
func (Eraser) Wants(eventType string) bool { return eventType == journal.TypeErased }

// Apply destroys what erased events name.
func (e Eraser) Apply(ctx context.Context, _ *journal.ViewTx, entries []journal.Entry) error {
	for i := range entries {
		if _, err := e.handler.destroy(ctx, &entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// Hold keeps classes of a citizen from being erased while an authority needs them.
func (h *Handler) Hold(ctx context.Context, c Command, id citizen.ID, hold journal.LegalHoldSet) (Result, error) {
	if c.Actor.Kind != journal.ActorOfficer {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		if rejection := judgeHold(state, hold, day); rejection != nil {
			return verdict{}, rejection
		}
		return verdict{events: []journal.New{about(state, hold, c.meta(""))}}, nil
	})
}

func judgeHold(state *journal.State, hold journal.LegalHoldSet, day journal.Day) *citizen.Rejection {
	switch {
	case !state.Profile.Registered:
		return citizen.Reject(citizen.CodeUnknownPerson)
	case hold.Authority == "":
		return citizen.RejectAt(citizen.CodeSchema, "/data/authority")
	case len(hold.Classes) == 0:
		return citizen.RejectAt(citizen.CodeSchema, "/data/classes")
	}
	for _, class := range hold.Classes {
		if class < eventstore.Facts || class > eventstore.Contact {
			return citizen.RejectAt(citizen.CodeSchema, "/data/classes")
		}
	}
	if state.Gone != nil && state.Gone.Why == journal.TypeErased && slices.Contains(hold.Classes, eventstore.Facts) {
		return citizen.Reject(citizen.CodeAlreadyErased)
	}
	if until, err := consent.ParseDate(hold.Until); hold.Until != "" && (err != nil || until < day.Date) {
		return citizen.RejectAt(citizen.CodeSchema, "/data/until")
	}
	return nil
}

// LiftHold ends an authority's holds on a citizen.
func (h *Handler) LiftHold(ctx context.Context, c Command, id citizen.ID, authority string) (Result, error) {
	if c.Actor.Kind != journal.ActorOfficer {
		return Result{}, ErrForbidden
	}
	return h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		if !slices.ContainsFunc(state.Holds, func(hold journal.LegalHoldSet) bool { return hold.Authority == authority }) {
			return verdict{}, citizen.RejectAt(citizen.CodeNoSuchHold, "/data/authority")
		}
		return verdict{events: []journal.New{about(state, journal.LegalHoldLifted{Authority: authority}, c.meta(""))}}, nil
	})
}
