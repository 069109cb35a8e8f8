package command

import (
	"context"
	"slices"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Telling is one citizen's change among several that are told together.
type Telling struct {
	ID     citizen.ID
	Change Change
}

// TellTogether tells a change for each of several people, as a family that moves does: all of them in one append, or none. Each is judged as
// by Tell, also whether the caller may act for that person, and each with a preview of its own. Results come in the order of all. Errors as
// of Tell; a StalePreview is the first that is not as it was shown.
func (h *Handler) TellTogether(ctx context.Context, c Command, all []Telling) ([]Result, error) {
	var ids []citizen.ID
	for i := range all {
		if err := h.aim(ctx, c.Actor, all[i].ID, &all[i].Change); err != nil {
			return nil, err
		}
		all[i].Change.child = childOf(all[i].Change.Type)
		ids = append(ids, c.people(all[i].ID)...)
	}
	if ids = distinct(ids); len(all) == 0 {
		return nil, ErrForbidden
	}
	var stale *StalePreview
	var told verdict
	var mains []int
	result, err := h.doMany(ctx, c, ids, func(law *journal.Law, states []*journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		stale, told, mains = nil, verdict{}, nil
		for i := range all {
			v, rejection := h.judgeOne(c, &all[i], law, states, day)
			if rejection != nil {
				return verdict{}, rejection
			}
			if now := h.preview(all[i].ID, all[i].Change, v); all[i].Change.Preview != "" && now.Digest != all[i].Change.Preview {
				stale = &StalePreview{New: now}
				return verdict{}, citizen.RejectAt(citizen.CodeStalePreview, "/preview")
			}
			mains = append(mains, len(told.events)+v.main)
			told.events, told.byLaw = append(told.events, v.events...), told.byLaw || v.byLaw // causes count backwards, so they hold
		}
		told.main = mains[0]
		return told, nil
	})
	switch {
	case stale != nil && err != nil:
		return nil, stale
	case err != nil:
		return nil, err
	case result.Repeated:
		return h.repeatedTogether(ctx, c, all)
	}
	out := make([]Result, len(all))
	for i, main := range mains {
		out[i] = Result{Position: result.Position - int64(told.main) + int64(main), Receipt: journal.Receipt(told.events[main].ID)}
	}
	return out, nil
}

// judgeOne is what one of several changes comes to, by the state of its citizen, and of who acts for them.
func (h *Handler) judgeOne(
	c Command, one *Telling, law *journal.Law, states []*journal.State, day journal.Day,
) (verdict, *citizen.Rejection) {
	var people []*journal.State
	for _, id := range c.people(one.ID) {
		at := slices.IndexFunc(states, func(s *journal.State) bool { return s.ID == id })
		people = append(people, states[at])
	}
	return c.asked(func(law *journal.Law, state *journal.State, day journal.Day) (verdict, *citizen.Rejection) {
		return h.judgeTell(c, one.Change, law, state, day)
	})(law, people, day)
}

// repeatedTogether are the first results of changes that were told together, again.
func (h *Handler) repeatedTogether(ctx context.Context, c Command, all []Telling) ([]Result, error) {
	known, err := h.journal.Find(ctx, c.id())
	if err != nil {
		return nil, err
	}
	positions := make([]int64, known[0].Result.Count)
	for i := range positions {
		positions[i] = known[0].Result.Position + int64(i)
	}
	recs, err := h.journal.Store().Read(ctx, positions...)
	if err != nil {
		return nil, err
	}
	out := make([]Result, len(all))
	for i := range all {
		for k := range recs {
			if recs[k].Aggregate == journal.CitizenAggregate(all[i].ID) && recs[k].Type == all[i].Change.Type {
				out[i] = Result{Position: recs[k].Position, Receipt: journal.Receipt(recs[k].ID), Repeated: true}
			}
		}
	}
	return out, nil
}
