package command

import (
	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// childOf is the id that a child gets when its birth is told: one for the command, however often it is judged. Zero for all else that can
// be told.
func childOf(eventType string) citizen.ID {
	if eventType != citizen.BirthRegistered {
		return citizen.ID{}
	}
	return citizen.ID(uuid.New())
}

// born registers the child with its birth, in the same append: nobody is told of a birth whose child does not exist, and there is no child
// without its birth. Behind the parent's own events stand, in the child's aggregate,
//
//	proxy-granted      the parent acts for the child until it comes of age
//	restriction-set    where the parent is protected: before the child's first decision, so that this already sees it
//	person-registered  names and birth date; the language is the parent's
//	decided            by the law of now, like every registration
//
// All but the decision name the birth as their cause. The registration is as verified as the birth: whoever told the one told the other.
func (h *Handler) born(c Command, change Change, law *journal.Law, parent *journal.State, day journal.Day, v *verdict) {
	child := &journal.State{ID: change.child}
	meta := c.meta(change.Effective)
	add := func(event any) {
		n := about(child, event, meta)
		n.Cause = eventstore.CauseBefore(len(v.events) - v.main)
		v.events = append(v.events, n)
		child.Apply(provisional+int64(len(v.events)), event)
	}
	text := func(member string) string { s, _ := change.Data[member].(string); return s }
	until := citizen.MinorUntil(text("child_birth_date"))
	if until >= day.Date.String() { // a birth may be told so late that the child has come of age
		add(journal.ProxyGranted{Kind: journal.ProxyParent, Proxy: parent.ID.String(), Until: until})
		if restriction, protected := inherited(parent, child, day); protected {
			add(restriction)
		}
	}
	language := parent.Language
	if language == "" {
		language = "en"
	}
	registered := h.journal.Change(citizen.PersonRegistered, change.Effective, map[string]any{
		"given_names": text("child_given_names"), "family_name": text("child_family_name"), "birth_date": text("child_birth_date"),
		"language": language,
	}, c.Actor.Kind)
	add(registered)
	decided := about(child, h.journal.Judge(law, child, registered, day), journal.Meta{Effective: change.Effective, Command: c.ID})
	decided.Cause = eventstore.CauseBefore(1)
	v.events = append(v.events, decided)
}
