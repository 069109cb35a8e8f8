package audit

import (
	"context"
	"errors"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

// history folds the log, from its beginning and in order, as far as deciding needs it: the law, and every citizen's state. At each decided
// both are as they were just before it, with what its own append brought: a form's grants and the change stand before it in the log.
type history struct {
	journal *journal.Journal
	people  map[citizen.ID]*person
	law     *journal.Law
	unread  []journal.Entry // of the agreements, since law was folded
	day     journal.Day     // of the last record
	pages   [2][]journal.Entry
	words   map[string]string // of ministries, agreements and fields: one copy of each, whoever's state names it
	// undecided are the positions of facts whose decided has not been seen yet: it stands in their own append, so they are few.
	undecided map[int64]bool
}

// person is what the history holds of one citizen: with two links and a grant some 520 bytes in all.
type person struct {
	state   journal.State
	effects []effect // of a dry run
}

// decision is one decided with what it was judged by. It is the history's, and changes with the next record.
type decision struct {
	entry  *journal.Entry // the decided
	cause  string         // the type of its cause: a fact's, or that of a correction or a verification
	change citizen.Change // the fact that holds by its cause; no type if it can't be read
	person *person
	erased bool // the decided or what it decides on can't be read any more
}

func newHistory(j *journal.Journal) *history {
	return &history{journal: j, people: map[citizen.ID]*person{}, words: map[string]string{}, undecided: map[int64]bool{}}
}

// replay folds the log up to (excluding) a position. judge is asked at every decided; open says which of the records that deciding could
// need are opened.
func (h *history) replay(
	ctx context.Context, to int64, open func(eventType string) bool, judge func(context.Context, *decision) error, progress func(done, total int64),
) error {
	wanted := func(r *eventstore.Recorded) bool {
		switch r.Aggregate.Category {
		case eventstore.Agreements:
			return true
		case eventstore.Citizen:
			return r.Class != eventstore.Contact && r.Class != eventstore.IdentityTie && open(r.Type)
		}
		return false
	}
	return h.journal.Replay(ctx, 0, to, wanted, func(entries []journal.Entry) error {
		h.pages[0], h.pages[1] = h.pages[1], entries
		for i := range entries {
			if err := h.take(ctx, &entries[i], judge); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(entries[len(entries)-1].Position+1, to)
		}
		return nil
	})
}

func (h *history) take(ctx context.Context, e *journal.Entry, judge func(context.Context, *decision) error) error {
	switch e.Aggregate.Category {
	case eventstore.Agreements:
		h.unread = append(h.unread, *e)
	case eventstore.Citizen:
		p := h.person(citizen.ID(e.Aggregate.ID))
		if e.Class == eventstore.Facts {
			h.undecided[e.Position] = true
		}
		if e.Type == journal.TypeDecided {
			delete(h.undecided, e.Cause)
			d, err := h.decision(ctx, e, p)
			if err == nil {
				err = judge(ctx, d)
			}
			if err != nil {
				return err
			}
		}
		h.slim(e)
		p.state.Fold(e)
	}
	return nil
}

// slim takes from an entry what a state would keep and deciding never asks: references, and further copies of the same words.
func (h *history) slim(e *journal.Entry) {
	switch event := e.Event.(type) {
	case journal.MinistryLinked:
		e.Event = journal.MinistryLinked{Ministry: h.word(event.Ministry)}
	case journal.ConsentGranted:
		event.Agreement = h.word(event.Agreement)
		for i := range event.Fields {
			event.Fields[i] = h.word(event.Fields[i])
		}
		e.Event = event
	}
}

func (h *history) word(w string) string {
	if known, ok := h.words[w]; ok {
		return known
	}
	h.words[w] = w
	return w
}

func destroyed(e *journal.Entry) bool { return errors.Is(e.Err, seal.ErrDestroyed) }

func (h *history) person(id citizen.ID) *person {
	p := h.people[id]
	if p == nil {
		p = &person{state: journal.State{ID: id}}
		h.people[id] = p
	}
	return p
}

// decision finds what a decided was judged by. What was erased is seen at the decided and its cause alone: the consents, links and
// restrictions that it depends on are closed under the decided's own key, and a date of birth under the change's.
func (h *history) decision(ctx context.Context, e *journal.Entry, p *person) (*decision, error) {
	if e.RecordedAt.Before(h.day.From) || !e.RecordedAt.Before(h.day.Until) {
		h.day = h.journal.DayOf(e.RecordedAt)
	}
	cause, err := h.cause(ctx, e.Cause)
	if err != nil {
		return nil, err
	}
	told, err := h.journal.Told(ctx, cause)
	if err != nil {
		return nil, err
	}
	d := &decision{entry: e, cause: cause[0].Type, change: told[0], person: p, erased: destroyed(e) || destroyed(&cause[0])}
	if _, verified := cause[0].Event.(journal.ChangeVerified); verified && d.change.Type == "" {
		d.erased = true // what was verified
	}
	return d, nil
}

// cause is the entry at a position, alone: as a rule the record before its decided.
func (h *history) cause(ctx context.Context, position int64) ([]journal.Entry, error) {
	for _, page := range h.pages {
		if len(page) == 0 {
			continue
		}
		if at := position - page[0].Position; at >= 0 && at < int64(len(page)) {
			return page[at : at+1], nil
		}
	}
	return h.journal.Read(ctx, position)
}

// lawNow is the law just before the record at hand.
func (h *history) lawNow() (*journal.Law, error) {
	if h.law != nil && len(h.unread) == 0 {
		return h.law, nil
	}
	law, err := h.journal.FoldLaw(h.law, h.unread...)
	if err != nil {
		return nil, err
	}
	h.law, h.unread = law, nil
	return law, nil
}
