package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGrantsFormChains(t *testing.T) {
	t.Parallel()
	var s Standing
	fields := []string{"email"}
	s.Granted(4, "arts", 1, fields)
	s.Granted(5, "osap", 1, nil)
	s.Granted(9, "arts", 2, nil)
	fields[0] = "changed by the caller"
	require.Equal(t, []Grant{
		{Agreement: "arts", Version: 2, Since: 4, Position: 9},
		{Agreement: "osap", Version: 1, Since: 5, Position: 5},
	}, s.Grants)

	s.Withdrawn("arts")
	s.Withdrawn("never granted")
	_, ok := s.Grant("arts")
	require.False(t, ok)
	s.Granted(12, "arts", 2, []string{"email"})
	grant, ok := s.Grant("arts")
	require.True(t, ok)
	require.Equal(t, Grant{Agreement: "arts", Version: 2, Fields: []string{"email"}, Since: 12, Position: 12}, grant)
}

func TestAGrantKeepsItsOwnFields(t *testing.T) {
	t.Parallel()
	var s Standing
	fields := []string{"email"}
	s.Granted(4, "arts", 1, fields)
	fields[0] = "phone"
	require.Equal(t, []string{"email"}, s.Grants[0].Fields)
}

func TestLinkingAgainIsANewLink(t *testing.T) {
	t.Parallel()
	var s Standing
	s.Linked(2, "moh", "A-1")
	s.Linked(3, "mof", "B-1")
	s.Linked(7, "moh", "A-1")
	link, ok := s.Link("moh")
	require.True(t, ok)
	require.Equal(t, Link{Ministry: "moh", Reference: "A-1", Since: 7}, link)
	require.Len(t, s.Links, 2)

	s.Unlinked("moh")
	s.Unlinked("never linked")
	_, ok = s.Link("moh")
	require.False(t, ok)
	require.Equal(t, []Link{{Ministry: "mof", Reference: "B-1", Since: 3}}, s.Links)
}

func TestDeathEndsGrantsAndKeepsLinks(t *testing.T) {
	t.Parallel()
	var s Standing
	s.Registered(19520101)
	s.Linked(2, "moh", "A-1")
	s.Granted(3, "arts", 1, nil)
	s.Died()
	s.Granted(5, "arts", 1, nil)
	require.Equal(t, Standing{
		Born: 19520101, Deceased: true, Links: []Link{{Ministry: "moh", Reference: "A-1", Since: 2}},
		ended: []Grant{{Agreement: "arts", Version: 1, Since: 3, Position: 3}},
	}, s)
	s.Lives(9)
	require.Equal(t, Standing{
		Born: 19520101, Links: []Link{{Ministry: "moh", Reference: "A-1", Since: 2}}, Grants: []Grant{{Agreement: "arts", Version: 1, Since: 9, Position: 3}},
	}, s, "what the death ended holds again, from the correction on")
	s.Lives(10)
	require.EqualValues(t, 9, s.Grants[0].Since, "who lives is not brought back twice")
}

func TestRestrictionsHoldUntilTheirLastDay(t *testing.T) {
	t.Parallel()
	var s Standing
	require.False(t, s.IsProtected(20260301))
	s.Protected(Restriction{Until: 20260301})
	require.True(t, s.IsProtected(20260301))
	require.False(t, s.IsProtected(20260302))
	s.Protected(Restriction{Through: "a parent"})
	require.True(t, s.IsProtected(20990101))
	s.Protected(Restriction{Through: "a parent", Until: 20260101})
	require.False(t, s.IsProtected(20260302), "a new one by the same way replaces the former")
	s.Protected(Restriction{})
	s.Unprotected("a parent")
	require.True(t, s.IsProtected(20990101), "each way is lifted alone")
	s.Unprotected("")
	require.False(t, s.IsProtected(20260301))
}

func TestWhoHasLeftHasNoGrantsOrLinks(t *testing.T) {
	t.Parallel()
	s := Standing{Born: 19520101}
	s.Linked(2, "moh", "A-1")
	s.Granted(3, "arts", 1, nil)
	s.Died()
	s.Left()
	s.Lives(9)
	require.Equal(t, Standing{Born: 19520101, left: true}, s)
}

func TestACloneStandsAlone(t *testing.T) {
	t.Parallel()
	s := Standing{Born: 19520101, Restrictions: []Restriction{{}}}
	s.Linked(2, "moh", "A-1")
	s.Granted(3, "arts", 1, nil)
	clone := s.Clone()
	require.Equal(t, &s, clone)
	s.Granted(9, "arts", 2, nil)
	s.Linked(10, "moh", "A-2")
	s.Died()
	require.Equal(t, &Standing{
		Born: 19520101, Restrictions: []Restriction{{}}, Links: []Link{{Ministry: "moh", Reference: "A-1", Since: 2}},
		Grants: []Grant{{Agreement: "arts", Version: 1, Since: 3, Position: 3}},
	}, clone)
}

func TestNobodyGetsAnythingOfWhoHasLeft(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	a.Basis.Kind, a.Population = BasisStatute, PopulationAll
	require.True(t, decideOne(t, a, standing, fact).Shared())
	standing.Left()
	require.Equal(t, NotLinked, decideOne(t, a, standing, fact).Reason)
	rules, err := Compile([]Agreement{a}, rowsOf)
	require.NoError(t, err)
	_, reason := Permitted(rules, &standing, &fact, a.ID, 1)
	require.Equal(t, NotLinked, reason)
}
