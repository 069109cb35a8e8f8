package consent

// EngineVersion is recorded with every decision. It changes when the same rules, standing and fact would be decided differently.
const EngineVersion = 1

// Fact is what rules may know of a change.
type Fact struct {
	Type                  string
	Carried               FieldSet // the fields that the change has
	Effective, Recorded   Date     // ages count on the first, validity on the second
	AddressKind, Province string   // of the new address; empty if the change is none
	Verified              bool     // a registrar's authority stands behind it
}

// Decide appends to dst one decision for each agreement whose shares name the fact's type, in agreement id order, and returns it. It
// allocates nothing if dst has room.
func Decide(dst []Decision, rules *Rules, standing *Standing, fact *Fact) []Decision {
	event := rules.events[fact.Type]
	if event == nil {
		return dst
	}
	start := len(dst)
	dst = append(dst, event.blank...)
	decisions := dst[start:]
	event.note(decisions, standing)
	age := ageOn(standing.Born, fact.Effective)
	for i := range decisions {
		d := &decisions[i]
		event.judge(d, &event.candidates[i], standing, fact, age)
		d.linked, d.grant = false, 0
	}
	return dst
}

// note marks the decisions whose link or grant the citizen has.
func (e *eventRules) note(decisions []Decision, standing *Standing) {
	for i := range standing.Links {
		for _, at := range e.linked[standing.Links[i].Ministry] {
			decisions[at].linked = true
		}
	}
	for i := range standing.Grants {
		if at, ok := e.consented[standing.Grants[i].Agreement]; ok {
			decisions[at].grant = int32(i + 1) //nolint:gosec // bounded by memory
		}
	}
}

// judge is the law: the reasons in their order, the first that applies. d comes blank but for what note marked. (No switch here: the
// coverage tool does not see its conditions, and so nobody would mutate them.)
func (e *eventRules) judge(d *Decision, c *candidate, standing *Standing, fact *Fact, age age) {
	if standing.IsProtected(fact.Recorded) && !c.receivesProtected {
		d.Reason = Restricted
		return
	}
	if fact.Recorded < c.validFrom || fact.Recorded > c.validUntil {
		d.Reason = NotInForce
		return
	}
	if !d.linked || standing.left {
		d.Reason = NotLinked
		return
	}
	if d.grant == noGrant {
		d.Reason = NoGrant
		return
	}
	if c.verifiedOnly && !fact.Verified {
		d.Reason = NotVerified
		return
	}
	d.Evaluated = c.when.set
	if d.Failed = c.when.failed(fact, age); d.Failed != 0 {
		d.Reason = d.Failed.reason()
		return
	}
	d.Fields = c.fields & fact.Carried
	if d.grant != noGrantNeeded {
		d.Fields &= e.granted(c, d, standing, fact, age)
	}
	if d.Fields == 0 {
		d.Reason = NoFields
	}
}

// granted is what the citizen's grant covers of a fact's fields. A wider version needs a new grant: one of an older version covers only
// what that version shared, of whom and when it did; and nothing if the rules don't know that version.
func (e *eventRules) granted(c *candidate, d *Decision, standing *Standing, fact *Fact, age age) FieldSet {
	grant := &standing.Grants[d.grant-1]
	covered := c.fields
	if grant.Version != int(d.Version) {
		covered = 0
		for i := range c.earlier {
			if share := &c.earlier[i]; share.version == grant.Version && share.covers(standing, fact, age) {
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
	event, place := rules.find(index, fact.Type)
	if event == nil {
		return 0, NoFields // a newer version no longer shares the type
	}
	d := event.blank[place]
	if i := standing.linkIndex(rules.agreements[index].Ministry); i >= 0 && standing.Links[i].Since <= at {
		d.linked = true
	}
	if i := standing.grantIndex(agreement); i >= 0 && standing.Grants[i].Since <= at && d.grant == noGrant {
		d.grant = int32(i + 1) //nolint:gosec // bounded by memory
	}
	event.judge(&d, &event.candidates[place], standing, fact, ageOn(standing.Born, fact.Effective))
	return d.Fields, d.Reason
}
