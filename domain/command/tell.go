package command

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Change is what a citizen tells: a fact, with the consents that the same form gives or takes. Its data has passed
// schemas.Validate.
type Change struct {
	Type      string
	Effective string         // ISO date
	Data      map[string]any // normalised
	Canonical []byte         // of Data (RFC 8785)
	Consents  []Choice
	Preview   string // the digest of the preview that was shown; empty: none was

	on    target     // what it is about, where it is about something told before
	child citizen.ID // who is registered with a birth; zero in a preview
}

// Choice is one line of a form's consents: a grant of fields (nil: all that the agreement shares), or a withdrawal.
type Choice struct {
	Agreement string
	Fields    []string
	Withdraw  bool
	Language  string // of the notice shown
}

// Preview is who would be told, and a digest of it that a confirmation carries back.
type Preview struct {
	Digest    string
	Type      string // of the fact that they would be told; empty where there is none, as with a cancellation
	Decisions []journal.Decision
	// Retracted are the last items of those who were given a wrong value, and would be told that it is wrong, but not what is right.
	Retracted []journal.Given
}

// StalePreview refuses a confirmation whose rules have changed since they were shown; New is what holds now.
type StalePreview struct{ New Preview }

// Error says what happened; it holds nothing personal.
func (*StalePreview) Error() string { return "command: the rules have changed since the preview" }

// Tell is step 2 of a change's life. It appends one change: [grants or withdrawals of the form, the change, decided], in one step. A
// correction, a cancellation, a verification, a death reported or taken back are told the same way. Errors: *citizen.Rejection,
// *StalePreview, *WeakLogin, ErrForbidden, ErrBusy, and the store's.
func (h *Handler) Tell(ctx context.Context, c Command, id citizen.ID, change Change) (Result, error) {
	if err := h.aim(ctx, c.Actor, id, &change); err != nil {
		return Result{}, err
	}
	change.child = childOf(change.Type)
	var stale *StalePreview
	result, err := h.do(ctx, c, id, func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		stale = nil
		v, rejection := h.judgeTell(c, change, law, state, day)
		if rejection != nil || change.Preview == "" {
			return v, rejection
		}
		if now := h.preview(id, change, v); now.Digest != change.Preview {
			stale = &StalePreview{New: now}
			return v, citizen.RejectAt(citizen.CodeStalePreview, "/preview")
		}
		return v, nil
	})
	if stale != nil && err != nil {
		return Result{}, stale
	}
	return result, err
}

// Preview says who would be told of a change, by the same path as Tell, the last step apart.
func (h *Handler) Preview(ctx context.Context, actor journal.Actor, id citizen.ID, change Change) (Preview, error) {
	if err := h.aim(ctx, actor, id, &change); err != nil {
		return Preview{}, err
	}
	c := Command{Actor: actor}
	law, states, err := h.load(ctx, c.people(id), true)
	if err != nil {
		return Preview{}, err
	}
	day := h.journal.DayOf(h.journal.Now(journal.Timing{Told: true}))
	ask := func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		return h.judgeTell(c, change, law, state, day)
	}
	seen := h.seen(actor, states, day)
	v, rejection := c.asked(ask)(law, seen, day)
	if rejection == nil {
		rejection = c.frozenBars(seen, v)
	}
	if rejection != nil {
		return Preview{}, refusal(rejection)
	}
	p := h.preview(id, change, v)
	p.Retracted, err = h.retracted(ctx, law, states[0], &change, v, day)
	return p, err
}

func (h *Handler) preview(id citizen.ID, change Change, v verdict) Preview {
	parts := [][]byte{id[:], []byte(change.Type)}
	for _, d := range v.decisions {
		parts = append(parts, fmt.Appendf(nil, "%s@%d %d %d", d.Agreement, d.Version, d.Fields, d.Reason))
	}
	sum := h.journal.Digest("preview", parts...)
	return Preview{Digest: hex.EncodeToString(sum[:16]), Type: change.factType(), Decisions: v.decisions}
}

// judgeTell is what a change comes to, by the rules and by the law.
func (h *Handler) judgeTell(c Command, change Change, law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
	// Step 4 of a change's life: what a schema can't say.
	event, fact, rejection := h.told(c, &change, state, day.Date.String())
	if rejection != nil {
		return verdict{}, rejection
	}
	v := verdict{byLaw: true}
	meta := c.meta(change.Effective)
	for i, choice := range change.Consents {
		event, rejection := judgeChoice(law, c, state, change.Consents[:i], choice, fmt.Sprintf("/consents/%d", i))
		if rejection != nil {
			return verdict{}, rejection
		}
		v.events = append(v.events, about(state, event, meta))
	}
	v.main = len(v.events)
	told := about(state, event, meta)
	if event, ok := event.(citizen.Change); ok && event.Type == change.Type {
		told.Canonical = change.Canonical
	}
	v.events = append(v.events, told)
	// Step 5 of a change's life: who may know, judged with everything that this very append brings.
	// Where no fact holds by it, as with a cancellation, nobody may.
	decided := h.journal.Judge(law, applied(state, provisional, v), fact, day)
	v.decisions = decided.Decisions
	record := about(state, decided, journal.Meta{Effective: change.Effective, Command: c.ID})
	record.Cause = eventstore.CauseBefore(1)
	v.events = append(v.events, record)
	if !change.child.IsZero() {
		h.born(c, change, law, state, day, &v)
	}
	return v, nil
}

// provisional stands for the position of an event that has none yet; later than every position on the log.
const provisional int64 = 1 << 62
