package audit

import (
	"context"
	"strings"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Who says whom a look is about: by a change's receipt number, or by the first source that knows a reference. With a Birth it is the child
// that was registered with it; the reference is then the parent's.
type Who struct {
	Receipt   string
	Sources   []string
	Reference string
	Birth     int64 // its position; 0: none
}

// OpenPerson finds a person and opens a look at them. Nobody found is ErrNotFound, after the look is on the log: to have asked is a look.
// A person who is hidden from the actor is nobody: the same answer, after the same work, and on the log the same record but for what it
// holds sealed.
func (a *Audit) OpenPerson(ctx context.Context, actor journal.Actor, issuer journal.Issuer, look Look, who Who) (*Session, error) {
	look, err := a.judge(actor, look)
	if err != nil {
		return nil, err
	}
	known, hidden, err := a.find(ctx, actor, who)
	if err != nil {
		return nil, err
	}
	if known.IsZero() {
		return a.missing(ctx, actor, issuer, look, hidden)
	}
	look.Subject = known
	return a.append(ctx, actor, issuer, look, hidden)
}

// Person finds a person for something other than a look, which must leave a record of its own. Nobody found, or somebody who is hidden from
// the actor, is the zero id, after the same work.
func (a *Audit) Person(ctx context.Context, actor journal.Actor, who Who) (citizen.ID, error) {
	known, _, err := a.find(ctx, actor, who)
	return known, err
}

// find is the person whom the actor may see, and a person behind the question who is hidden from them; zero where there is none.
func (a *Audit) find(ctx context.Context, actor journal.Actor, who Who) (known, hidden citizen.ID, err error) {
	if who.Receipt != "" {
		_, known, _, err = a.trail.ByReceipt(ctx, strings.ToUpper(who.Receipt))
		if err != nil {
			return citizen.ID{}, citizen.ID{}, err
		}
		hides, err := a.protection.Hidden(ctx, actor, known)
		if err == nil && hides[0] {
			known, hidden = citizen.ID{}, known
		}
		return known, hidden, err
	}
	known, hidden, err = a.behind(ctx, actor, who)
	if err != nil || who.Birth == 0 {
		return known, hidden, err
	}
	child, err := journal.NewRelatives(a.journal).ChildOf(ctx, known, who.Birth)
	if err != nil {
		return citizen.ID{}, citizen.ID{}, err
	}
	hides, err := a.protection.Hidden(ctx, actor, child)
	if err != nil {
		return citizen.ID{}, citizen.ID{}, err
	}
	if hides[0] {
		return citizen.ID{}, child, nil
	}
	return child, hidden, nil
}

// behind is who stands behind a reference.
func (a *Audit) behind(ctx context.Context, actor journal.Actor, who Who) (known, hidden citizen.ID, err error) {
	for _, source := range who.Sources {
		found, behind, err := a.protection.Asked(ctx, actor, source, who.Reference)
		if err != nil {
			return citizen.ID{}, citizen.ID{}, err
		}
		if hidden.IsZero() {
			hidden = behind
		}
		if !found.IsZero() {
			return found, hidden, nil
		}
	}
	return citizen.ID{}, hidden, nil
}

// concealed are all people of whom the session's actor may know nothing: for lists over everybody.
func (s *Session) concealed(ctx context.Context) (map[citizen.ID]bool, error) {
	return s.audit.protection.HiddenFrom(ctx, s.actor)
}

// betrays says whether decisions would show the session's actor that somebody was protected when they were made.
func (s *Session) betrays(decided journal.Decided) bool {
	return s.actor.Kind != journal.ActorProtector && decided.UnderRestriction()
}
