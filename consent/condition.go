package consent

import (
	"errors"
	"fmt"
	"strings"
)

// The address kinds that a condition can name.
const (
	AddressHome    = "home"
	AddressMailing = "mailing"
)

// Conditions is the closed vocabulary of what a share may depend on, so that an officer can read every rule aloud. What is nil or empty
// is no condition. All that are set must hold.
type Conditions struct {
	MinAge, MaxAge *int     // whole years on the effective date, both inclusive
	AddressKind    []string // the new address is one of these kinds
	Province       []string // the new address lies in one of these provinces
}

func (c *Conditions) validate() error {
	errs := []error{distinct("when.address_kind", c.AddressKind), distinct("when.province", c.Province)}
	for _, kind := range c.AddressKind {
		errs = append(errs, oneOf("when.address_kind", kind, AddressHome, AddressMailing))
	}
	for what, age := range map[string]*int{"when.min_age": c.MinAge, "when.max_age": c.MaxAge} {
		if age != nil && (*age < 0 || *age > maxAge) {
			errs = append(errs, fmt.Errorf("%s: must be 0 to %d", what, maxAge))
		}
	}
	if c.MinAge != nil && c.MaxAge != nil && *c.MaxAge < *c.MinAge {
		errs = append(errs, errors.New("when: max_age is below min_age"))
	}
	return errors.Join(errs...)
}

// maxAge bounds the ages that an agreement may name.
const maxAge = 200

// ConditionSet is a set of conditions, one bit each. The bits are on the log: never change one.
type ConditionSet uint8

// The bits of a ConditionSet.
const (
	ConditionMinAge ConditionSet = 1 << iota
	ConditionMaxAge
	ConditionAddressKind
	ConditionProvince
)

// String names the conditions of the set as their reasons do, in the order of judgement, joined by a comma.
func (s ConditionSet) String() string {
	var names []string
	for bit := ConditionMinAge; bit <= ConditionProvince; bit <<= 1 {
		if s&bit != 0 {
			names = append(names, bit.reason().String())
		}
	}
	return strings.Join(names, ",")
}

// reason is that of the first failed condition, in the order of judgement.
func (s ConditionSet) reason() Reason {
	if s&ConditionMinAge != 0 {
		return MinAge
	}
	if s&ConditionMaxAge != 0 {
		return MaxAge
	}
	if s&ConditionAddressKind != 0 {
		return AddressKind
	}
	if s&ConditionProvince != 0 {
		return Province
	}
	return None
}

// condition is Conditions compiled: which are set, and their values.
type condition struct {
	set          ConditionSet
	minAge       int
	maxAge       int
	addressKinds []string
	provinces    []string
}

func compileConditions(c *Conditions) condition {
	compiled := condition{addressKinds: c.AddressKind, provinces: c.Province}
	if c.MinAge != nil {
		compiled.set |= ConditionMinAge
		compiled.minAge = *c.MinAge
	}
	if c.MaxAge != nil {
		compiled.set |= ConditionMaxAge
		compiled.maxAge = *c.MaxAge
	}
	if len(c.AddressKind) > 0 {
		compiled.set |= ConditionAddressKind
	}
	if len(c.Province) > 0 {
		compiled.set |= ConditionProvince
	}
	return compiled
}

// failed is the subset of the conditions that do not hold. Without a birth date or an effective date there is no age, and age conditions
// fail; so do conditions on an address when the fact is none.
func (c *condition) failed(fact *Fact, age age) ConditionSet {
	var failed ConditionSet
	if c.set&ConditionMinAge != 0 && (!age.known || age.years < c.minAge) {
		failed |= ConditionMinAge
	}
	if c.set&ConditionMaxAge != 0 && (!age.known || age.years > c.maxAge) {
		failed |= ConditionMaxAge
	}
	if c.set&ConditionAddressKind != 0 && !contains(c.addressKinds, fact.AddressKind) {
		failed |= ConditionAddressKind
	}
	if c.set&ConditionProvince != 0 && !contains(c.provinces, fact.Province) {
		failed |= ConditionProvince
	}
	return failed
}

// age is a citizen's on the effective date of a fact.
type age struct {
	years int
	known bool
}

func ageOn(born, effective Date) age {
	if born == 0 || effective == 0 {
		return age{}
	}
	return age{years: born.YearsTo(effective), known: true}
}
