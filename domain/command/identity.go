package command

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// Replacement is a new identity for a protected person.
type Replacement struct {
	Data      map[string]any // of person-registered, normalised by schemas.Validate
	Canonical []byte         // of Data (RFC 8785)
	// References are those of the person's references that lead to the new identity from then on. All others lead nowhere: whoever knows
	// one that is kept finds the new identity by it.
	References []journal.SourceReference
	Reason     string // mandatory, 1 to 500 characters
	Case       string
}

// RequestHolds is how long what one officer asks for can be done by another.
const RequestHolds = 24 * time.Hour

// AskReplacement is the first protector's half of an identity replacement: the log says who asked, when and why, and holds a keyed digest
// of what is to be done. The result's position names the request.
func (h *Handler) AskReplacement(ctx context.Context, c Command, id citizen.ID, r Replacement) (Result, error) {
	if c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	owners := make([]citizen.ID, len(r.References))
	for i, ref := range r.References {
		ids, err := h.journal.Reference(ctx, ref.Source, ref.Reference)
		if err != nil {
			return Result{}, err
		}
		owners[i] = ids[0]
	}
	return h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
		if rejection := judgeReplacement(state, owners, r.Reason); rejection != nil {
			return verdict{}, rejection
		}
		asked := journal.ReplacementAsked{Case: r.Case, Digest: h.replacementDigest(id, r), Reason: r.Reason}
		return verdict{events: []journal.New{about(state, asked, c.meta(""))}}, nil
	})
}

func judgeReplacement(state *journal.State, owners []citizen.ID, reason string) *citizen.Rejection {
	if !state.Profile.Registered || state.Gone != nil {
		return citizen.Reject(citizen.CodeUnknownPerson)
	}
	if slices.ContainsFunc(owners, func(owner citizen.ID) bool { return owner != state.ID }) {
		return citizen.RejectAt(citizen.CodeUnknownPerson, "/data/references")
	}
	return judgeWhy(reason)
}

// Replace is the second protector's half: they do what another one asked for, within RequestHolds. The new identity is registered like
// anybody else, in an append of its own; then the old one ends, and only two protectors together can read what ties it to the new one
// (audit.OpenTie). If the process dies in between, the same command finishes it.
func (h *Handler) Replace(ctx context.Context, c Command, request int64, r Replacement) (Result, error) {
	if c.Actor.Kind != journal.ActorProtector {
		return Result{}, ErrForbidden
	}
	if c.ID == "" {
		c.ID = uuid.NewString()
	}
	id, first, err := h.requestOf(ctx, c, request, r)
	if err != nil {
		return Result{}, err
	}
	result, successor, err := h.replaced(ctx, c, id, first)
	if err != nil {
		return Result{}, err
	}
	if successor.IsZero() {
		states, err := h.journal.FreshStates(ctx, id)
		if err != nil {
			return Result{}, err
		}
		if states[0].Gone != nil { // nobody is registered in vain
			return Result{}, citizen.Reject(citizen.CodeUnknownPerson)
		}
		if successor, err = h.registerSuccessor(ctx, c, r); err != nil {
			return Result{}, err
		}
		result, err = h.do(ctx, c, id, func(_ *journal.Law, state *journal.State, _ journal.Day) (verdict, *citizen.Rejection) {
			if !state.Profile.Registered || state.Gone != nil {
				return verdict{}, citizen.Reject(citizen.CodeUnknownPerson)
			}
			return verdict{events: []journal.New{about(state, journal.IdentityReplaced{New: successor.String()}, c.meta(""))}}, nil
		})
		if err != nil {
			return Result{}, err
		}
	}
	// If we stop here, the references still lead to the old identity, which is hidden: the repeated command moves them.
	return result, h.journal.GiveReferences(ctx, id, successor, r.References...)
}

// requestOf is for whom, and by whom, what this command does was asked. The request names the person: their references may be gone already
// when the command is repeated.
func (h *Handler) requestOf(ctx context.Context, c Command, request int64, r Replacement) (id citizen.ID, actor string, err error) {
	head, err := h.journal.Head(ctx)
	if err != nil {
		return id, "", err
	}
	unknown := citizen.Reject(citizen.CodeNoRequest)
	if request < 0 || request > head.Position {
		return id, "", unknown
	}
	entries, err := h.journal.Read(ctx, request)
	if err != nil {
		return id, "", err
	}
	asked, ok := entries[0].Event.(journal.ReplacementAsked)
	id, _ = journal.SubjectOf(&entries[0].Recorded)
	late := h.journal.Now(journal.Timing{}).Sub(entries[0].RecordedAt) > RequestHolds
	if !ok || late || asked.Digest != h.replacementDigest(id, r) {
		return id, "", unknown
	}
	if strings.EqualFold(strings.TrimSpace(entries[0].Meta.Actor), strings.TrimSpace(c.Actor.ID)) {
		return id, "", citizen.Reject(citizen.CodeSamePerson)
	}
	return id, entries[0].Meta.Actor, nil
}

func (h *Handler) replacementDigest(id citizen.ID, r Replacement) string {
	parts := [][]byte{id[:], r.Canonical}
	for _, ref := range r.References {
		parts = append(parts, []byte(ref.Source), []byte(ref.Reference))
	}
	sum := h.journal.Digest("identity-replacement", parts...)
	return hex.EncodeToString(sum[:])
}

// replaced is what this very command came to before, and the new identity; zero if it has not been accepted yet.
func (h *Handler) replaced(ctx context.Context, c Command, id citizen.ID, first string) (Result, citizen.ID, error) {
	known, err := h.journal.Find(ctx, c.id())
	switch {
	case err != nil || (!known[0].Found && !known[0].Reused):
		return Result{}, citizen.ID{}, err
	case known[0].Reused:
		return Result{}, citizen.ID{}, citizen.RejectAt(citizen.CodeCommandReused, "/id")
	}
	result, err := h.repeated(ctx, known[0].Result)
	if err != nil {
		return Result{}, citizen.ID{}, err
	}
	two, err := seal.WithTwoOfficers(ctx, first, c.Actor.ID)
	if err != nil {
		return Result{}, citizen.ID{}, err
	}
	entries, err := h.journal.Read(two, result.Position)
	if err != nil {
		return Result{}, citizen.ID{}, err
	}
	event, ok := entries[0].Event.(journal.IdentityReplaced)
	if !ok || entries[0].Subject != uuid.UUID(id) {
		return Result{}, citizen.ID{}, citizen.RejectAt(citizen.CodeCommandReused, "/id")
	}
	successor, err := citizen.ParseID(event.New)
	return result, successor, err
}

// registerSuccessor registers the new identity. Nothing in its records says that it is one: it is registered on the registrar's authority,
// at the counter, under a command id that only the hub can derive.
func (h *Handler) registerSuccessor(ctx context.Context, c Command, r Replacement) (citizen.ID, error) {
	sum := h.journal.Digest("identity-successor", []byte(c.Scope), []byte(c.ID))
	id, err := uuid.FromBytes(sum[:16])
	if err != nil {
		return citizen.ID{}, err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // as a random UUID
	own := Command{
		ID: id.String(), Scope: successorScope, Content: r.Canonical, Actor: journal.Actor{Kind: journal.ActorRegistrar, Role: journal.RoleRegistrar},
		Issuer: c.Issuer, Channel: journal.ChannelCounter, ToldAt: c.ToldAt, RecordAt: c.RecordAt,
	}
	known, err := h.journal.Find(ctx, own.id())
	if err != nil {
		return citizen.ID{}, err
	}
	if known[0].Found { // we stopped before the old identity ended
		recs, err := h.journal.Store().Read(ctx, known[0].Result.Position)
		if err != nil {
			return citizen.ID{}, err
		}
		return citizen.ID(recs[0].Subject), nil
	}
	successor, err := uuid.NewRandom()
	if err != nil {
		return citizen.ID{}, err
	}
	today := h.journal.DayOf(h.journal.Now(journal.Timing{Told: true})).Date.String()
	change := Change{Type: citizen.PersonRegistered, Effective: today, Data: r.Data, Canonical: r.Canonical}
	_, err = h.Tell(ctx, own, citizen.ID(successor), change)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) && rejection.Pointer != nil && *rejection.Pointer == "/person" {
		err = errors.New("command: a random id is somebody's already")
	}
	return citizen.ID(successor), err
}

// successorScope is the namespace of the hub's own commands that register new identities.
const successorScope = "hub/registration"
