package consent

import "slices"

// Standing is what rules may know of one citizen, folded from the log in order: the methods below take the events. The zero Standing is
// someone of whom the log says nothing. Positions are those of the log.
type Standing struct {
	Born     Date // zero: not known, and no age condition holds
	Deceased bool
	// Restrictions protect the citizen while one of them holds: only agreements that receive protected people get anything.
	Restrictions []Restriction
	Links        []Link
	Grants       []Grant

	// ended are the grants that a death ended: they hold again if the death is corrected.
	ended []Grant
	left  bool // not served under this id any more: nobody gets anything
}

// Restriction protects a citizen through a day; zero Until: until it is lifted.
type Restriction struct {
	Kind    string // why, for whoever sets another one through it; no rule looks at it
	Through string // by whom a child is covered; empty if the citizen is protected themself. Tells restrictions apart
	Until   Date
}

// Link says that the citizen is a ministry's client, since a position. Linking again is a new link: what was told before it isn't under it.
type Link struct {
	Ministry  string
	Reference string // the ministry's own
	Since     int64
}

// Grant is a citizen's consent to one agreement version. A later grant replaces it and continues its chain; a withdrawal ends the chain.
type Grant struct {
	Agreement string
	Version   int
	Fields    []string // nil: all that this version of the agreement shares
	Since     int64    // where the unbroken chain of grants began
	Position  int64    // of the grant itself
}

// Registered says when the citizen was born; zero if that is not known.
func (s *Standing) Registered(born Date) { s.Born = born }

// Died ends all grants. Links stay: statutory streams continue.
func (s *Standing) Died() {
	s.Deceased = true
	s.Grants, s.ended = nil, s.Grants
}

// Lives corrects a death: the grants that it ended hold again, as new ones from here on, for nothing was told under them in between.
func (s *Standing) Lives(pos int64) {
	if !s.Deceased {
		return
	}
	s.Deceased = false
	for _, grant := range s.ended {
		grant.Since = pos
		s.Grants = append(s.Grants, grant)
	}
	s.ended = nil
}

// Protected begins a restriction; one of the same Through is replaced.
func (s *Standing) Protected(r Restriction) {
	s.Unprotected(r.Through)
	s.Restrictions = append(s.Restrictions, r)
}

// Unprotected lifts a restriction.
func (s *Standing) Unprotected(through string) {
	s.Restrictions = slices.DeleteFunc(slices.Clone(s.Restrictions), func(r Restriction) bool { return r.Through == through })
}

// Left ends all grants and links for ever: the citizen is not served under this id any more, and to every ministry they are someone whom
// it has nothing to do with.
func (s *Standing) Left() { s.Grants, s.Links, s.ended, s.left = nil, nil, nil, true }

// IsProtected says whether a restriction holds on a day.
func (s *Standing) IsProtected(on Date) bool {
	for i := range s.Restrictions {
		if until := s.Restrictions[i].Until; until == 0 || on <= until {
			return true
		}
	}
	return false
}

// Granted takes a grant: a first one begins a chain, a later one replaces it and keeps its Since. The dead grant nothing.
func (s *Standing) Granted(pos int64, agreement string, version int, fields []string) {
	if s.Deceased {
		return
	}
	grant := Grant{Agreement: agreement, Version: version, Fields: slices.Clone(fields), Since: pos, Position: pos}
	if i := s.grantIndex(agreement); i >= 0 {
		grant.Since = s.Grants[i].Since
		s.Grants[i] = grant
		return
	}
	s.Grants = append(s.Grants, grant)
}

// Withdrawn ends the grant of an agreement.
func (s *Standing) Withdrawn(agreement string) {
	if i := s.grantIndex(agreement); i >= 0 {
		s.Grants = slices.Delete(s.Grants, i, i+1)
	}
}

// Linked begins a link; a former one to the same ministry has ended.
func (s *Standing) Linked(pos int64, ministry, reference string) {
	s.Unlinked(ministry)
	s.Links = append(s.Links, Link{Ministry: ministry, Reference: reference, Since: pos})
}

// Unlinked ends the link to a ministry.
func (s *Standing) Unlinked(ministry string) {
	if i := s.linkIndex(ministry); i >= 0 {
		s.Links = slices.Delete(s.Links, i, i+1)
	}
}

// Grant is the grant of an agreement that holds now.
func (s *Standing) Grant(agreement string) (Grant, bool) {
	if i := s.grantIndex(agreement); i >= 0 {
		return s.Grants[i], true
	}
	return Grant{}, false
}

// Link is the link to a ministry that holds now.
func (s *Standing) Link(ministry string) (Link, bool) {
	if i := s.linkIndex(ministry); i >= 0 {
		return s.Links[i], true
	}
	return Link{}, false
}

// Clone is a copy that shares nothing that a method changes.
func (s *Standing) Clone() *Standing {
	clone := *s
	clone.Links = slices.Clone(s.Links)
	clone.Grants = slices.Clone(s.Grants)
	clone.Restrictions = slices.Clone(s.Restrictions)
	clone.ended = slices.Clone(s.ended)
	return &clone
}

func (s *Standing) grantIndex(agreement string) int {
	return slices.IndexFunc(s.Grants, func(g Grant) bool { return g.Agreement == agreement })
}

func (s *Standing) linkIndex(ministry string) int {
	return slices.IndexFunc(s.Links, func(l Link) bool { return l.Ministry == ministry })
}
