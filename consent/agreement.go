// Package consent says who may know what. Agreements are data; Compile turns them into Rules, and Decide is a pure function of the rules,
// what the log says of one citizen (Standing) and one fact: per agreement the permitted fields, or the reason why not.
//
// It knows no profile, no store and no clock: whatever counts is passed in. Everything here is safe for concurrent readers.
package consent

import (
	"errors"
	"fmt"
)

// Text is a text in both languages.
type Text struct {
	EN string `json:"en"`
	FR string `json:"fr"`
}

// In is the text in a language: "fr" is French, all else English.
func (t Text) In(lang string) string {
	if lang == "fr" {
		return t.FR
	}
	return t.EN
}

// The kinds of legal basis.
const (
	BasisConsent = "consent" // nothing is shared without the citizen's grant
	BasisStatute = "statute" // a law orders or allows it; no grant is needed
)

// Basis is the legal basis of an agreement.
type Basis struct {
	Kind      string // BasisConsent or BasisStatute
	Reference string // the law, for people to read
}

// The populations of an agreement.
const (
	PopulationAll    = "all"
	PopulationLinked = "linked" // only citizens who are linked to the agreement's ministry
)

// When an agreement delivers a fact.
const (
	DeliverTold      = "told"      // at once (the default)
	DeliverEffective = "effective" // on its effective date
)

// What an agreement sends when a later fact no longer meets the conditions.
const (
	LeavingNothing = "nothing" // the default
	LeavingNotify  = "notify"  // a left-scope, without values
)

// How sure a fact is.
const (
	AssuranceAsserted = "asserted" // a resident said so, also through a clerk
	AssuranceVerified = "verified" // a registrar's authority stands behind it
)

// Share is one event type that an agreement receives: which fields, under which conditions.
type Share struct {
	Event  string
	Fields []string
	When   Conditions
}

// Agreement is one version of a data-sharing agreement. The zero values of Lanes, Deliver and OnLeaving are their defaults.
type Agreement struct {
	ID                    string
	Version               int // ≥ 1
	Ministry, Stream      string
	Title, Purpose        Text
	Basis                 Basis
	Population            string // PopulationAll or PopulationLinked
	ClientReference       bool   // the ministry's own reference of the link travels along
	Shares                []Share
	ValidFrom, ValidUntil Date // both inclusive, by the civil date recorded; zero = open
	Lanes                 int
	Deliver               string
	Snapshot              bool
	ReceivesProtected     bool // restricted citizens' facts pass, too
	OnLeaving             string
	MinAssurance          string // AssuranceVerified: asserted facts are withheld; empty: both are taken
}

// Share finds the agreement's share of an event type; nil if it has none.
func (a *Agreement) Share(event string) *Share {
	for i := range a.Shares {
		if a.Shares[i].Event == event {
			return &a.Shares[i]
		}
	}
	return nil
}

// SharesField says whether the agreement shares a field of this name, of any event type.
func (a *Agreement) SharesField(name string) bool {
	for i := range a.Shares {
		if contains(a.Shares[i].Fields, name) {
			return true
		}
	}
	return false
}

// Validate checks the structure of an agreement and reports everything that is wrong, joined. Whether event types and fields exist is
// Compile's question.
func (a *Agreement) Validate() error {
	errs := []error{
		required("id", a.ID), required("ministry", a.Ministry), required("stream", a.Stream),
		required("title.en", a.Title.EN), required("title.fr", a.Title.FR),
		required("purpose.en", a.Purpose.EN), required("purpose.fr", a.Purpose.FR),
		oneOf("basis.kind", a.Basis.Kind, BasisConsent, BasisStatute),
		oneOf("population", a.Population, PopulationAll, PopulationLinked),
		oneOf("deliver", a.Deliver, "", DeliverTold, DeliverEffective),
		oneOf("min_assurance", a.MinAssurance, "", AssuranceVerified),
		oneOf("on_leaving", a.OnLeaving, "", LeavingNothing, LeavingNotify),
	}
	if a.Version < 1 {
		errs = append(errs, errors.New("version: must be 1 or more"))
	}
	if a.Lanes < 0 {
		errs = append(errs, errors.New("lanes: must be 1 or more"))
	}
	if a.ValidFrom != 0 && a.ValidUntil != 0 && a.ValidUntil < a.ValidFrom {
		errs = append(errs, errors.New("valid: ends before it begins"))
	}
	if len(a.Shares) == 0 {
		errs = append(errs, errors.New("shares: must not be empty"))
	}
	for i := range a.Shares {
		if err := a.Shares[i].validate(); err != nil {
			errs = append(errs, fmt.Errorf("shares[%d]: %w", i, err))
		}
		if a.Share(a.Shares[i].Event) != &a.Shares[i] {
			errs = append(errs, fmt.Errorf("shares[%d]: event type %q is named twice", i, a.Shares[i].Event))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("agreement %q: %w", a.ID, err)
	}
	return nil
}

func (s *Share) validate() error {
	errs := []error{required("event", s.Event), s.When.validate()}
	if len(s.Fields) == 0 {
		errs = append(errs, errors.New("fields: must not be empty"))
	}
	return errors.Join(append(errs, distinct("fields", s.Fields))...)
}

func required(what, value string) error {
	if value == "" {
		return fmt.Errorf("%s: must not be empty", what)
	}
	return nil
}

func oneOf(what, value string, allowed ...string) error {
	if !contains(allowed, value) {
		return fmt.Errorf("%s: %q is none of %q", what, value, allowed)
	}
	return nil
}

// distinct refuses an empty value and one that stands twice.
func distinct(what string, values []string) error {
	for i, value := range values {
		if value == "" {
			return fmt.Errorf("%s[%d]: must not be empty", what, i)
		}
		if contains(values[:i], value) {
			return fmt.Errorf("%s[%d]: %q stands twice", what, i, value)
		}
	}
	return nil
}

func contains(values []string, value string) bool {
	for _, v := range values {
		if v == value {
			return true
		}
	}
	return false
}
