// Package command is what people ask for: one file per use case. Each is judged by pure rules against the log as this process knows it,
// and appended in one step that names what it was judged by; a refused append is judged again.
package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// ErrForbidden is the answer to a caller whose role may not do what they ask.
var ErrForbidden = errors.New("command: not allowed for this caller")

// ErrBusy is the answer when others kept changing what a command was judged by; it may be repeated with the same command id.
var ErrBusy = errors.New("command: too many changes at the same time; try again")

// Handler answers commands. It is safe for concurrent use.
type Handler struct{ journal *journal.Journal }

// New returns a Handler on a journal.
func New(j *journal.Journal) *Handler { return &Handler{journal: j} }

// Command is who asks, how, and under which id; what is asked stands beside it.
type Command struct {
	ID       string // a UUID; with Scope it makes the command repeatable. Empty: not repeatable
	Scope    string // namespace of ids: an import source, or a client program with its user
	Content  []byte // what the id stands for: a repeat with other content is refused
	Actor    journal.Actor
	Issuer   journal.Issuer
	Channel  journal.Channel
	ToldAt   time.Time // a claim; decides nothing
	RecordAt time.Time // `import --clock told` on a log clock; else zero

	// protector is who asks with the authority of Actor for somebody who is hidden from Actor (TellProtected); nil in all other commands.
	protector *journal.Actor
}

// Result is what an accepted command came to.
type Result struct {
	Position  int64  // of the change (or grant, link, …)
	Receipt   string // of the change, for the citizen
	Repeated  bool   // this is the first result again
	Decisions []journal.Decision
}

// verdict is what a judged command would append: events in order; the main one is at index main.
type verdict struct {
	events    []journal.New
	main      int
	byLaw     bool // the agreements' version was looked at
	decisions []journal.Decision
}

// judge is one use case about one citizen: pure, and called again whenever the log has moved.
type judge func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection)

// judgeMany is a use case about several citizens at once; states come in the order in which they were asked for.
type judgeMany func(law *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection)

// maxAttempts bounds how often a command is judged again. Each attempt but the first has lost to another append about the same
// citizen or to a change of the agreements.
const maxAttempts = 50

// do judges and appends one command about one citizen, asked by them or by a proxy.
func (h *Handler) do(ctx context.Context, c Command, id citizen.ID, ask judge) (Result, error) {
	return h.doMany(ctx, c, c.people(id), c.asked(ask))
}

// doMany judges and appends one command about several citizens: all of it, or nothing. The append expects every one of them as it was
// judged, written or not.
func (h *Handler) doMany(ctx context.Context, c Command, ids []citizen.ID, ask judgeMany) (Result, error) {
	return h.doRelated(ctx, c, ids, nil, ask)
}

// doRelated is doMany also about citizens who are related to those of ids. related lists them anew at each attempt, after the states of ids
// were read: who becomes related later changes one of those, and the append is refused.
func (h *Handler) doRelated(
	ctx context.Context, c Command, ids []citizen.ID, related func(context.Context) ([]citizen.ID, error), ask judgeMany,
) (Result, error) {
	_, fresh := c.actsFor(ids[0]) // whom this process remembers must not be seen by how long an answer takes
	for range maxAttempts {
		law, states, err := h.load(ctx, ids, fresh)
		if err == nil && related != nil {
			states, err = h.loadRelated(ctx, states, related)
		}
		if err != nil {
			return Result{}, err
		}
		timing := journal.Timing{Told: true, At: c.RecordAt}
		day := h.journal.DayOf(h.journal.Now(timing))
		seen := h.seen(c.looker(), states, day)
		v, rejection := ask(law, seen, day)
		if rejection == nil && writesUnseen(states, seen, v) {
			rejection = citizen.Reject(citizen.CodeUnknownPerson)
		}
		if rejection == nil {
			rejection = c.frozenBars(seen, v)
		}
		if rejection != nil {
			if !fresh { // what this process remembers may be stale: only the log itself may refuse a citizen
				fresh = true
				continue
			}
			return h.refuse(ctx, c, rejection)
		}
		results, err := h.journal.Append(ctx, step(c, law, states, day, timing, v))
		switch {
		case errors.Is(err, eventstore.ErrConflict):
			fresh = true
			if _, err := h.journal.Head(ctx); err != nil {
				return Result{}, err
			}
			continue
		case errors.Is(err, eventstore.ErrCommandReused):
			return Result{}, citizen.RejectAt(citizen.CodeCommandReused, "/id")
		case err != nil:
			return Result{}, err
		}
		if results[0].Repeated {
			return h.repeated(ctx, results[0])
		}
		for _, state := range states {
			h.journal.Remember(applied(state, results[0].Position, v))
		}
		return Result{
			Position: results[0].Position + int64(v.main), Receipt: journal.Receipt(v.events[v.main].ID), Decisions: v.decisions,
		}, nil
	}
	return Result{}, ErrBusy
}

func (h *Handler) load(ctx context.Context, ids []citizen.ID, fresh bool) (*journal.Law, []*journal.State, error) {
	readLaw, readStates := h.journal.CurrentLaw, h.journal.States
	if fresh {
		readLaw, readStates = h.journal.FreshLaw, h.journal.FreshStates
	}
	law, err := readLaw(ctx)
	if err != nil {
		return nil, nil, err
	}
	states, err := readStates(ctx, ids...)
	return law, states, err
}

// loadRelated adds the states of related citizens, each once.
func (h *Handler) loadRelated(
	ctx context.Context, states []*journal.State, related func(context.Context) ([]citizen.ID, error),
) ([]*journal.State, error) {
	ids, err := related(ctx)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(distinct(ids), func(id citizen.ID) bool {
		return slices.ContainsFunc(states, func(s *journal.State) bool { return s.ID == id })
	})
	more, err := h.journal.FreshStates(ctx, ids...)
	return slices.Concat(states, more), err
}

// looker is whose sight decides whom a command may be about.
func (c Command) looker() journal.Actor {
	if c.protector != nil {
		return *c.protector
	}
	return c.Actor
}

// seen are states as this actor may know of them: of somebody who is hidden from them, that of a citizen who was never registered. Every
// use case then answers about both alike, without thinking of it.
func (h *Handler) seen(actor journal.Actor, states []*journal.State, day journal.Day) []*journal.State {
	out := make([]*journal.State, len(states))
	for i, state := range states {
		if out[i] = state; h.journal.Hides(state, actor, day.Date) {
			out[i] = &journal.State{ID: state.ID, Version: state.Version}
		}
	}
	return out
}

// writesUnseen says whether a verdict would write to somebody who is hidden from the actor: a registration, or what names an id that the
// caller should not know.
func writesUnseen(states, seen []*journal.State, v verdict) bool {
	for i := range states {
		if states[i] == seen[i] {
			continue
		}
		aggregate := journal.CitizenAggregate(states[i].ID)
		if slices.ContainsFunc(v.events, func(n journal.New) bool { return n.Aggregate == aggregate }) {
			return true
		}
	}
	return false
}

// refuse answers a rejected command, unless the log knows it: what was accepted once is answered the same for ever.
func (h *Handler) refuse(ctx context.Context, c Command, rejection *citizen.Rejection) (Result, error) {
	if c.ID == "" {
		return Result{}, refusal(rejection)
	}
	known, err := h.journal.Find(ctx, c.id())
	switch {
	case err != nil:
		return Result{}, err
	case known[0].Reused:
		return Result{}, citizen.RejectAt(citizen.CodeCommandReused, "/id")
	case known[0].Found:
		return h.repeated(ctx, known[0].Result)
	}
	return Result{}, refusal(rejection)
}

// refusal is a rejection as the caller gets it: a stranger learns nothing.
func refusal(rejection *citizen.Rejection) error {
	if rejection == stranger {
		return ErrForbidden
	}
	return rejection
}

// repeated is a command's first result again.
func (h *Handler) repeated(ctx context.Context, r eventstore.Result) (Result, error) {
	positions := make([]int64, r.Count)
	for i := range positions {
		positions[i] = r.Position + int64(i)
	}
	recs, err := h.journal.Store().Read(ctx, positions...)
	if err != nil {
		return Result{}, fmt.Errorf("command: accepted at position %d, but its receipt can't be read: %w", r.Position, err)
	}
	main := mainOf(recs)
	return Result{Position: main.Position, Receipt: journal.Receipt(main.ID), Repeated: true}, nil
}

// mainOf is what a command's append is about: the first record that is no consent of its form, else the first.
func mainOf(recs []eventstore.Recorded) *eventstore.Recorded {
	for i := range recs {
		if recs[i].Type != journal.TypeConsentGranted && recs[i].Type != journal.TypeConsentWithdrawn {
			return &recs[i]
		}
	}
	return &recs[0]
}

func (c Command) id() journal.CommandID {
	return journal.CommandID{Issuer: c.Scope, ID: c.ID, Content: c.Content}
}

func (c Command) meta(effective string) journal.Meta {
	return journal.Meta{ToldAt: c.ToldAt, Effective: effective, Actor: c.Actor.ID, Command: c.ID}
}

func step(c Command, law *journal.Law, states []*journal.State, day journal.Day, timing journal.Timing, v verdict) journal.Step {
	expect := make([]eventstore.Expect, 0, len(states)+1)
	for _, state := range states {
		expect = append(expect, state.Expect())
	}
	if v.byLaw {
		expect = append(expect, law.Expect())
	}
	return journal.Step{
		Command: c.id(), Origin: journal.Origin{Issuer: c.Issuer, Actor: c.Actor.Kind, Channel: c.Channel},
		Expect: expect, Day: day, Timing: timing, Events: v.events,
	}
}

// applied is a citizen's state after a verdict was appended at a position.
func applied(state *journal.State, position int64, v verdict) *journal.State {
	after := state.Clone()
	applyTo(after, position, v)
	return after
}

// applyTo folds what a verdict appended about the citizen of a state, at a position, into it.
func applyTo(state *journal.State, position int64, v verdict) {
	aggregate := journal.CitizenAggregate(state.ID)
	for i := range v.events {
		if v.events[i].Aggregate == aggregate {
			state.Apply(position+int64(i), v.events[i].Event)
		}
	}
}

// about is a new event of a citizen's own aggregate.
func about(state *journal.State, event any, meta journal.Meta) journal.New {
	return journal.New{
		ID: uuid.New(), Event: event, Aggregate: journal.CitizenAggregate(state.ID), Subject: state.ID, Cause: eventstore.NoCause, Meta: meta,
	}
}

// mayTellNow asks the citizen's rules about a command that is no fact; without an effective date it is for today.
func mayTellNow(state *journal.State, eventType, effective string, day journal.Day) *citizen.Rejection {
	today := day.Date.String()
	if effective == "" {
		effective = today
	}
	return decide(state, citizen.Change{Type: eventType, Effective: effective}, today)
}

// decide asks the citizen's rules. Under an id that is not served any more there is nobody.
func decide(state *journal.State, change citizen.Change, today string) *citizen.Rejection {
	if state.Gone != nil {
		return citizen.Reject(citizen.CodeUnknownPerson)
	}
	return citizen.Decide(&state.Profile, change, today)
}
