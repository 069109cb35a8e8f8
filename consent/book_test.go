package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func version(id string, version int, ministry string) Agreement {
	return Agreement{ID: id, Version: version, Ministry: ministry, Basis: Basis{Kind: BasisStatute}, Population: PopulationAll}
}

func TestBookKnowsTheNewestApproved(t *testing.T) {
	t.Parallel()
	var b Book
	b.Propose(version("tax", 1, "mof"))
	_, found := b.Find("tax")
	require.False(t, found, "a proposal is not approved")
	require.False(t, b.HasMinistry("mof"))
	require.Empty(t, b.Approved())

	b.Approve("tax", 1)
	b.Approve("tax", 7) // nobody proposed it
	b.Propose(version("tax", 3, "new"))
	b.Propose(version("tax", 2, "mof"))
	b.Propose(version("arts", 1, "arts"))
	a, found := b.Find("tax")
	require.True(t, found)
	require.Equal(t, 1, a.Version)
	require.True(t, b.HasMinistry("mof"))
	require.False(t, b.HasMinistry("new"))

	b.Approve("tax", 3)
	b.Approve("tax", 2) // approved later, and yet older
	b.Approve("arts", 1)
	require.Equal(t, []Agreement{version("arts", 1, "arts"), version("tax", 3, "new")}, b.Approved())
	require.Equal(t, []Agreement{version("arts", 1, "arts"), version("tax", 1, "mof"), version("tax", 2, "mof"), version("tax", 3, "new")}, b.Versions())
	a, found = b.Find("tax")
	require.True(t, found)
	require.Equal(t, 3, a.Version)
	require.True(t, b.HasMinistry("new"))
	require.True(t, b.HasMinistry("arts"))
	require.False(t, b.HasMinistry("mof"), "only an older version names it")
}

func TestBookProposed(t *testing.T) {
	t.Parallel()
	var b Book
	b.Propose(version("tax", 1, "mof"))
	b.Propose(version("tax", 1, "other"))
	b.Propose(version("tax", 2, "mof"))
	a, found := b.Proposed("tax", 1)
	require.True(t, found)
	require.Equal(t, "other", a.Ministry, "the later proposal of a version counts")
	_, found = b.Proposed("tax", 3)
	require.False(t, found)
	_, found = b.Proposed("arts", 1)
	require.False(t, found)
	b.Approve("tax", 1)
	_, found = b.Proposed("tax", 1)
	require.False(t, found, "approved is no longer proposed")
	_, found = b.Proposed("tax", 2)
	require.True(t, found)
	b.Propose(version("tax", 1, "again"))
	b.Approve("tax", 1)
	require.Equal(t, []Agreement{version("tax", 1, "again")}, b.Approved())
}

func TestBookEnd(t *testing.T) {
	t.Parallel()
	var b Book
	for _, a := range []Agreement{version("tax", 1, "mof"), version("tax", 2, "mof"), version("arts", 1, "arts")} {
		b.Propose(a)
		b.Approve(a.ID, a.Version)
	}
	b.Propose(version("tax", 3, "mof"))
	before := b.Versions()
	b.End("tax", 20260601)
	b.End("never there", 20260601)
	require.Equal(t, []Agreement{version("arts", 1, "arts")}, b.Versions())
	require.Len(t, before, 3, "what was handed out stays")
	_, found := b.Find("tax")
	require.False(t, found)
	require.False(t, b.HasMinistry("mof"))
	b.Approve("tax", 3)
	_, found = b.Find("tax")
	require.False(t, found, "an end drops proposals, too")
	b.Propose(version("tax", 3, "mof"))
	b.Approve("tax", 3)
	require.Equal(t, []Agreement{version("tax", 3, "mof")}, []Agreement{b.Versions()[1]})
}

// TestBookAgainstAModel: whatever the history, the approved ones are the highest versions approved since the last end.
func TestBookAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b Book
		proposed, approved := map[string]map[int]bool{}, map[string]map[int]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "events") {
			id, v := pick(t, "id", poolIDs[:2]), rapid.IntRange(1, 3).Draw(t, "version")
			switch pick(t, "event", []string{"propose", "propose", "approve", "approve", "approve", "end"}) {
			case "propose":
				b.Propose(version(id, v, id))
				proposed[id] = put(proposed[id], v)
			case "approve":
				b.Approve(id, v)
				if proposed[id][v] {
					delete(proposed[id], v)
					approved[id] = put(approved[id], v)
				}
			case "end":
				b.End(id, 20260101)
				proposed[id], approved[id] = nil, nil
			}
		}
		for _, id := range poolIDs[:2] {
			for v := 1; v <= 3; v++ {
				require.Equal(t, modelState(proposed[id], approved[id], v), b.State(id, v))
			}
		}
		var want []Agreement
		for _, id := range poolIDs[:2] {
			highest := 0
			for v := range approved[id] {
				highest = max(highest, v)
			}
			_, found := b.Find(id)
			require.Equal(t, highest > 0, found)
			require.Equal(t, highest > 0, b.HasMinistry(id))
			if highest > 0 {
				want = append(want, version(id, highest, id))
			}
		}
		require.Equal(t, want, b.Approved())
	})
}

// modelState is the state of a version by what was proposed and approved since the last end.
func modelState(proposed, approved map[int]bool, v int) State {
	newer := false
	for other := range approved {
		newer = newer || other > v
	}
	switch {
	case newer && (approved[v] || proposed[v]):
		return StateReplaced
	case approved[v]:
		return StateApproved
	case proposed[v]:
		return StateProposed
	}
	return StateEnded
}

func put(set map[int]bool, v int) map[int]bool {
	if set == nil {
		set = map[int]bool{}
	}
	set[v] = true
	return set
}
