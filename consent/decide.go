package consent

import "slices"

// EngineVersion is recorded with every decision. It changes when the same rules, standing and fact would be decided differently.
const EngineVersion = 1

// Fact is what rules may know of a change.
type Fact struct {
	Type                  string
	Carried               FieldSet // the fields that the change has
	Effective, Recorded   Date     // ages count on the first, validity on the second
	AddressKind, Province string   // of the new address; empty if the change is none
}

// Decide appends to dst one decision for each agreement whose shares name the fact's type, in agreement id order, and returns it. It
// allocates nothing if dst has room.
func Decide(dst []Decision, rules *Rules, standing *Standing, fact *Fact) []Decision {
	event := rules.events[fact.Type]
	if event == nil {
		return dst
	}
	start := len(dst)
	dst = slices.Grow(dst, len(event.candidates))[:start+len(event.candidates)]
	decisions := dst[start:]
	clear(decisions)
	event.note(decisions, standing)
	age := ageOn(standing.Born, fact.Effective)
	for i := range decisions {
		c := &event.candidates[i]
		var grant *Grant
		if at := decisions[i].grant; at > 0 {
			grant = &standing.Grants[at-1]
		}
		decisions[i] = event.judge(c, standing, fact, age, decisions[i].linked, grant)
	}
	return dst
}

// note marks the candidates whose link or grant the citizen has.
func (e *eventRules) note(decisions []Decision, standing *Standing) {
	for i := range standing.Links {
		for _, at := range e.linked[standing.Links[i].Ministry] {
			decisions[at].linked = true
		}
	}
	for i := range standing.Grants {
		if at, ok := e.consented[standing.Grants[i].Agreement]; ok {
			decisions[at].grant = uint32(i + 1) //nolint:gosec // bounded by memory
		}
	}
}

// judge is the law, in the order of DESIGN.md. link and grant are the citizen's; grant is nil if there is none.
func (e *eventRules) judge(c *candidate, standing *Standing, fact *Fact, age age, linked bool, grant *Grant) Decision {
	d := Decision{Agreement: c.agreement, Version: c.version}
	switch {
	case standing.Restricted && !c.receivesProtected:
		d.Reason = Restricted
		return d
	case fact.Recorded < c.validFrom || c.validUntil != 0 && fact.Recorded > c.validUntil:
		d.Reason = NotInForce
		return d
	case c.needsLink && !linked:
		d.Reason = NotLinked
		return d
	case c.needsGrant && grant == nil:
		d.Reason = NoGrant
		return d
	}
	d.Evaluated = c.when.set
	if d.Failed = c.when.failed(fact, age); d.Failed != 0 {
		d.Reason = d.Failed.reason()
		return d
	}
	d.Fields = c.fields & fact.Carried
	if c.needsGrant {
		d.Fields &= e.granted(c, grant)
	}
	if d.Fields == 0 {
		d.Reason = NoFields
	}
	return d
}

// granted is what a grant covers of the type's fields. A wider version needs a new grant: one of an older version covers only what that
// version shared, and nothing if the rules don't know that version.
func (e *eventRules) granted(c *candidate, grant *Grant) FieldSet {
	covered := c.fields
	if grant.Version != int(c.version) {
		covered = 0
		for _, share := range c.earlier {
			if share.version == grant.Version {
				covered = share.fields
			}
		}
	}
	if grant.Fields == nil {
		return covered
	}
	return covered & e.known(grant.Fields)
}

// Permitted is what an agreement may know now of a fact that was told at position at: by rules and standing of now, under a grant and a
// link that have held, unbroken, since at. Ages and conditions count on the fact's effective date, validity on fact.Recorded, where the
// caller puts today's civil date. What was permitted at the fact's own position bounds it further; that is the caller's.
func Permitted(rules *Rules, standing *Standing, fact *Fact, agreement string, at int64) (FieldSet, Reason) {
	index, ok := rules.Lookup(agreement)
	if !ok {
		return 0, NotInForce // ended
	}
	c := rules.candidate(index, fact.Type)
	if c == nil {
		return 0, NoFields // a newer version no longer shares the type
	}
	link, linked := standing.Link(rules.agreements[index].Ministry)
	var unbroken *Grant
	if grant, ok := standing.Grant(agreement); ok && grant.Since <= at {
		unbroken = &grant
	}
	age := ageOn(standing.Born, fact.Effective)
	d := rules.events[fact.Type].judge(c, standing, fact, age, linked && link.Since <= at, unbroken)
	return d.Fields, d.Reason
}
