package schemas

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	goccy "github.com/goccy/go-yaml/token"

	"github.com/tellonce/hub/consent"
)

// maxAgreement is the most bytes an agreement's file may have.
const maxAgreement = 64 << 10

// maxLanes is how many lanes a stream may have.
const maxLanes = 1024

// maxAge is the highest age a condition may name, in years.
const maxAge = 200

// ParseAgreement reads an agreement's YAML strictly: unknown keys, event types and fields, an event type named twice, and values of the
// wrong type are refused. name is the file's, for errors; each fault stands as name:line:column: sentence, all joined. What is left out
// has DESIGN.md's defaults: lanes 1, deliver told, snapshot true, receives_protected false, on_leaving nothing.
func ParseAgreement(name string, yaml []byte, reg *Registry) (consent.Agreement, error) {
	if len(yaml) > maxAgreement {
		return consent.Agreement{}, fmt.Errorf("%s: an agreement has at most %d bytes", name, maxAgreement)
	}
	if !utf8.Valid(yaml) {
		return consent.Agreement{}, fmt.Errorf("%s: not UTF-8", name)
	}
	if tooDeep(yaml) {
		return consent.Agreement{}, fmt.Errorf("%s: nested too deep for an agreement", name)
	}
	s := &sheet{name: name}
	root := s.parse(yaml)
	if root == nil {
		return consent.Agreement{}, errors.Join(s.faults...)
	}
	agreement := s.agreement(root, reg)
	if len(s.faults) > 0 {
		return consent.Agreement{}, errors.Join(s.faults...)
	}
	if err := agreement.Validate(); err != nil { // what consent refuses and this reader does not know of
		return consent.Agreement{}, fmt.Errorf("%s:1:1: %w", name, err)
	}
	return agreement, nil
}

func (s *sheet) agreement(root ast.Node, reg *Registry) consent.Agreement {
	m := s.members(root, "an agreement",
		[]string{"id", "version", "ministry", "stream", "title", "purpose", "basis", "population", "shares"},
		[]string{"client_reference", "valid", "lanes", "deliver", "snapshot", "receives_protected", "on_leaving", "min_assurance"})
	a := consent.Agreement{
		ID:                s.identifier(m["id"], "id"),
		Version:           s.whole(m["version"], "version", 1, math.MaxInt32),
		Ministry:          s.identifier(m["ministry"], "ministry"),
		Stream:            s.identifier(m["stream"], "stream"),
		Title:             s.bilingual(m["title"], "title"),
		Purpose:           s.bilingual(m["purpose"], "purpose"),
		Basis:             s.basis(m["basis"]),
		Population:        s.choice(m["population"], "population", consent.PopulationAll, consent.PopulationLinked),
		ClientReference:   s.flag(m["client_reference"], "client_reference", false),
		Shares:            s.shares(m["shares"], reg),
		Lanes:             s.whole(m["lanes"], "lanes", 1, maxLanes),
		Deliver:           consent.DeliverTold,
		Snapshot:          s.flag(m["snapshot"], "snapshot", true),
		ReceivesProtected: s.flag(m["receives_protected"], "receives_protected", false),
		OnLeaving:         consent.LeavingNothing,
	}
	if n := m["deliver"]; n != nil {
		a.Deliver = s.choice(n, "deliver", consent.DeliverTold, consent.DeliverEffective)
	}
	if n := m["on_leaving"]; n != nil {
		a.OnLeaving = s.choice(n, "on_leaving", consent.LeavingNothing, consent.LeavingNotify)
	}
	if n := m["min_assurance"]; n != nil && s.choice(n, "min_assurance", consent.AssuranceAsserted, consent.AssuranceVerified) == consent.AssuranceVerified {
		a.MinAssurance = consent.AssuranceVerified // asserted is the default, and has one spelling on the log
	}
	if n := m["valid"]; n != nil {
		valid := s.members(n, "valid", nil, []string{"from", "until"})
		a.ValidFrom, a.ValidUntil = s.date(valid["from"], "valid.from"), s.date(valid["until"], "valid.until")
		if a.ValidFrom != 0 && a.ValidUntil != 0 && a.ValidUntil < a.ValidFrom {
			s.fail(valid["until"], "valid.until lies before valid.from")
		}
	}
	return a
}

func (s *sheet) basis(n ast.Node) consent.Basis {
	if n == nil {
		return consent.Basis{}
	}
	m := s.members(n, "basis", []string{"kind"}, []string{"reference"})
	return consent.Basis{
		Kind:      s.choice(m["kind"], "basis.kind", consent.BasisConsent, consent.BasisStatute),
		Reference: s.text(m["reference"], "basis.reference"),
	}
}

func (s *sheet) shares(n ast.Node, reg *Registry) []consent.Share {
	var shares []consent.Share
	for _, item := range s.items(n, "shares") {
		m := s.members(item, "a share", []string{"event", "fields"}, []string{"when"})
		share := consent.Share{Event: s.text(m["event"], "event")}
		row, known := reg.Row(share.Event)
		switch {
		case share.Event == "":
		case !known || !row.Fact:
			s.fail(m["event"], "there is no event type %q that can be shared", share.Event)
		case slices.ContainsFunc(shares, func(before consent.Share) bool { return before.Event == share.Event }):
			s.fail(m["event"], "the event type %q is named twice", share.Event)
		}
		share.Fields = s.names(m["fields"], "fields", func(at ast.Node, name string) {
			if known && !slices.Contains(row.FieldNames(), name) {
				s.fail(at, "%s has no field %q that can be shared", share.Event, name)
			}
		})
		if m["when"] != nil {
			share.When = s.conditions(m["when"])
		}
		shares = append(shares, share)
	}
	return shares
}

func (s *sheet) conditions(n ast.Node) consent.Conditions {
	m := s.members(n, "when", nil, []string{"min_age", "max_age", "address_kind", "province"})
	age := func(key string) *int {
		if m[key] == nil {
			return nil
		}
		years := s.whole(m[key], key, 0, maxAge)
		return &years
	}
	c := consent.Conditions{MinAge: age("min_age"), MaxAge: age("max_age")}
	if c.MinAge != nil && c.MaxAge != nil && *c.MaxAge < *c.MinAge {
		s.fail(m["max_age"], "max_age is below min_age")
	}
	c.AddressKind = s.names(m["address_kind"], "address_kind", func(at ast.Node, kind string) {
		if kind != consent.AddressHome && kind != consent.AddressMailing {
			s.fail(at, "address_kind is %q, must be %s or %s", kind, consent.AddressHome, consent.AddressMailing)
		}
	})
	c.Province = s.names(m["province"], "province", func(at ast.Node, province string) {
		if !ValidText(province) {
			s.fail(at, "%q is no province", province)
		}
	})
	return c
}

// place is where a syntax error of the YAML reader stands, line:column.
func place(err error) string {
	var located interface{ GetToken() *goccy.Token }
	if errors.As(err, &located) && located.GetToken() != nil && located.GetToken().Position != nil {
		position := located.GetToken().Position
		return fmt.Sprintf("%d:%d", position.Line, position.Column)
	}
	return "1:1"
}
