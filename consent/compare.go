package consent

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// What of an agreement a Change is about. The names are those of its document.
const (
	WhatFields            = "fields"
	WhatMinAge            = "min_age"
	WhatMaxAge            = "max_age"
	WhatAddressKind       = "address_kind"
	WhatProvince          = "province"
	WhatBasis             = "basis"
	WhatReference         = "reference"
	WhatPopulation        = "population"
	WhatMinAssurance      = "min_assurance"
	WhatReceivesProtected = "receives_protected"
	WhatClientReference   = "client_reference"
	WhatMinistry          = "ministry"
	WhatStream            = "stream"
	WhatLanes             = "lanes"
	WhatValidFrom         = "valid_from"
	WhatValidUntil        = "valid_until"
	WhatDeliver           = "deliver"
	WhatSnapshot          = "snapshot"
	WhatOnLeaving         = "on_leaving"
	WhatTitle             = "title"
	WhatPurpose           = "purpose"
)

// Change is one thing in which two versions of an agreement differ.
type Change struct {
	What         string   // one of the constants above
	Event        string   // the event type, of what belongs to a share; else empty
	Gained, Lost []string // of WhatFields: names, in the order of the version that has them
	From, To     Text     // of all else: the two values, in words
	// Wider: something may be shared that was not shared before. Narrower: something is shared no longer. A change can be both (home
	// addresses instead of mailing addresses) or neither (another title).
	Wider, Narrower bool
}

// Difference is what changes from one version of an agreement to another.
type Difference struct{ Changes []Change }

// Wider says whether the newer version may share something, of somebody, that the older one did not share. Under consent that needs a
// new grant.
func (d Difference) Wider() bool {
	return slices.ContainsFunc(d.Changes, func(c Change) bool { return c.Wider })
}

// Narrower says whether the newer version shares something no longer, of somebody. That applies at once. Both can hold.
func (d Difference) Narrower() bool {
	return slices.ContainsFunc(d.Changes, func(c Change) bool { return c.Narrower })
}

// Asks are the changes for which people who agreed to the older version are asked again: until they agree, nothing more is shared of them.
// It is what a grant of an older version does not cover by Rules.
func (d Difference) Asks() Difference {
	return d.only(func(c *Change) bool { return c.Wider && asked[c.What] })
}

// Unasked are the changes that share more of people who agreed to the older version, without asking them again.
func (d Difference) Unasked() Difference {
	return d.only(func(c *Change) bool { return c.Wider && !asked[c.What] })
}

func (d Difference) only(keep func(*Change) bool) Difference {
	var out Difference
	for i := range d.Changes {
		if c := d.Changes[i]; keep(&c) {
			c.Lost, c.Narrower = nil, false // it is about what is more
			out.Changes = append(out.Changes, c)
		}
	}
	return out
}

// asked is what a grant of an older version holds back (earlierShare).
var asked = map[string]bool{
	WhatFields: true, WhatMinAge: true, WhatMaxAge: true, WhatAddressKind: true, WhatProvince: true, WhatPopulation: true, WhatMinAssurance: true,
	WhatReceivesProtected: true,
}

// Compare says what changes from one version of an agreement to another, each judged alone: what either shares with those who were asked
// for it. Shares come first, by the older version's order.
func Compare(from, to Agreement) Difference {
	c := &comparison{from: &from, to: &to}
	for i := range from.Shares {
		c.share(from.Shares[i].Event)
	}
	for i := range to.Shares {
		if from.Share(to.Shares[i].Event) == nil {
			c.share(to.Shares[i].Event)
		}
	}
	c.who()
	c.how()
	return Difference{Changes: c.changes}
}

// comparison collects changes.
type comparison struct {
	from, to *Agreement
	changes  []Change
}

// effect is what a change does to what is shared.
type effect struct{ wider, narrower bool }

var (
	noEffect = effect{}
	another  = effect{wider: true, narrower: true}
)

// value adds a change of one value, if it is one.
func (c *comparison) value(what, event string, from, to Text, e effect) {
	if from != to {
		c.changes = append(c.changes, Change{What: what, Event: event, From: from, To: to, Wider: e.wider, Narrower: e.narrower})
	}
}

// share compares what the versions share of one event type. Where only one of them names it there are no conditions to compare.
func (c *comparison) share(event string) {
	none := &Share{Event: event}
	from, to := cmp.Or(c.from.Share(event), none), cmp.Or(c.to.Share(event), none)
	gained, lost := missing(to.Fields, from.Fields), missing(from.Fields, to.Fields)
	if len(gained)+len(lost) > 0 {
		c.changes = append(c.changes, Change{
			What: WhatFields, Event: event, Gained: gained, Lost: lost, Wider: len(gained) > 0, Narrower: len(lost) > 0,
		})
	}
	if from == none || to == none {
		return
	}
	f, t := &from.When, &to.When
	c.value(WhatMinAge, event, ageWords(f.MinAge), ageWords(t.MinAge), least(orElse(f.MinAge, -1), orElse(t.MinAge, -1)))
	c.value(WhatMaxAge, event, ageWords(f.MaxAge), ageWords(t.MaxAge), most(orElse(f.MaxAge, maxAge+1), orElse(t.MaxAge, maxAge+1)))
	c.value(WhatAddressKind, event, kindWords(f.AddressKind), kindWords(t.AddressKind), choice(f.AddressKind, t.AddressKind))
	c.value(WhatProvince, event, provinceWords(f.Province), provinceWords(t.Province), choice(f.Province, t.Province))
}

// who compares who receives, of whom, and on which basis.
func (c *comparison) who() {
	f, t := c.from, c.to
	c.value(WhatBasis, "", basisWords(f), basisWords(t), less(f.Basis.Kind == BasisConsent, t.Basis.Kind == BasisConsent))
	c.value(WhatReference, "", both(f.Basis.Reference), both(t.Basis.Reference), noEffect)
	c.value(WhatPopulation, "", populationWords(f), populationWords(t), less(f.Population == PopulationLinked, t.Population == PopulationLinked))
	c.value(WhatMinAssurance, "", assuranceWords(f), assuranceWords(t),
		less(f.MinAssurance == AssuranceVerified, t.MinAssurance == AssuranceVerified))
	c.flag(WhatReceivesProtected, f.ReceivesProtected, t.ReceivesProtected)
	c.flag(WhatClientReference, f.ClientReference, t.ClientReference)
	c.value(WhatMinistry, "", both(f.Ministry), both(t.Ministry), another)
	c.value(WhatStream, "", both(f.Stream), both(t.Stream), noEffect)
	c.value(WhatLanes, "", both(strconv.Itoa(max(f.Lanes, 1))), both(strconv.Itoa(max(t.Lanes, 1))), noEffect)
}

// how compares when and how it is delivered, and what people read.
func (c *comparison) how() {
	f, t := c.from, c.to
	forever := Date(math.MaxInt32)
	c.value(WhatValidFrom, "", dateWords(f.ValidFrom), dateWords(t.ValidFrom), least(f.ValidFrom, t.ValidFrom))
	c.value(WhatValidUntil, "", dateWords(f.ValidUntil), dateWords(t.ValidUntil),
		most(cmp.Or(f.ValidUntil, forever), cmp.Or(t.ValidUntil, forever)))
	c.value(WhatDeliver, "", deliverWords(f), deliverWords(t), noEffect)
	c.flag(WhatSnapshot, f.Snapshot, t.Snapshot)
	c.flag(WhatOnLeaving, f.OnLeaving == LeavingNotify, t.OnLeaving == LeavingNotify)
	c.value(WhatTitle, "", f.Title, t.Title, noEffect)
	c.value(WhatPurpose, "", f.Purpose, t.Purpose, noEffect)
}

// flag adds a change of a permission.
func (c *comparison) flag(what string, from, to bool) {
	c.value(what, "", yesNo(from), yesNo(to), more(from, to))
}

// least is the effect of a lower bound that moves, most that of an upper one.
func least[T cmp.Ordered](from, to T) effect { return effect{wider: to < from, narrower: to > from} }

func most[T cmp.Ordered](from, to T) effect { return effect{wider: to > from, narrower: to < from} }

// more is the effect of a permission that is given or taken, less that of a condition that is set or dropped.
func more(from, to bool) effect { return effect{wider: to && !from, narrower: from && !to} }

func less(from, to bool) effect { return more(to, from) }

// choice is the effect of other allowed values; none at all is no condition.
func choice(from, to []string) effect {
	return effect{
		wider:    len(from) > 0 && (len(to) == 0 || len(missing(to, from)) > 0),
		narrower: len(to) > 0 && (len(from) == 0 || len(missing(from, to)) > 0),
	}
}

// missing are the values that another list lacks, in their order.
func missing(values, from []string) []string {
	var out []string
	for _, v := range values {
		if !contains(from, v) {
			out = append(out, v)
		}
	}
	return out
}

func orElse(age *int, none int) int {
	if age == nil {
		return none
	}
	return *age
}

// sorted is a list as one text, whatever its order was: an order is no difference.
func sorted(values []string) string { return strings.Join(slices.Sorted(slices.Values(values)), ", ") }
