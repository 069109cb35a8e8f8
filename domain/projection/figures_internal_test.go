package projection

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tellonce/hub/schemas"
)

// equation is a sum of unknown cells, by their number, that somebody outside knows.
type equation []*big.Rat

// solved are the unknowns that equations determine, whatever their right sides: Gauss and Jordan, exactly.
func solved(equations []equation, unknowns int) map[int]bool {
	rank := 0
	for column := 0; column < unknowns && rank < len(equations); column++ {
		pivot := rank
		for pivot < len(equations) && equations[pivot][column].Sign() == 0 {
			pivot++
		}
		if pivot == len(equations) {
			continue
		}
		equations[rank], equations[pivot] = equations[pivot], equations[rank]
		lead := new(big.Rat).Set(equations[rank][column])
		for k := range unknowns {
			equations[rank][k].Quo(equations[rank][k], lead)
		}
		for i := range equations {
			if factor := new(big.Rat).Set(equations[i][column]); i != rank && factor.Sign() != 0 {
				for k := range unknowns {
					equations[i][k].Sub(equations[i][k], new(big.Rat).Mul(factor, equations[rank][k]))
				}
			}
		}
		rank++
	}
	out := map[int]bool{}
	for _, e := range equations {
		only, many := -1, false
		for k := range unknowns {
			if e[k].Sign() != 0 {
				only, many = k, only >= 0
			}
		}
		if only >= 0 && !many {
			out[only] = true
		}
	}
	return out
}

// puzzle is what is published, as an outsider sees it who knows the agreements: the suppressed cells are unknown, the others are numbers.
type puzzle struct {
	unknown   map[string]int
	equations [][]string // cells, of which the first stands with a minus
}

func (p *puzzle) cell(name string, value *int) {
	if value == nil {
		p.unknown[name] = len(p.unknown)
	}
}

func (p *puzzle) determined() []string {
	var equations []equation
	for _, cells := range p.equations {
		e := make(equation, len(p.unknown))
		for k := range e {
			e[k] = new(big.Rat)
		}
		for i, name := range cells {
			if at, ok := p.unknown[name]; ok {
				e[at].SetInt64(int64(2*min(i, 1) - 1)) // the first with a minus
			}
		}
		equations = append(equations, e)
	}
	found := solved(equations, len(p.unknown))
	var out []string
	for name, at := range p.unknown {
		if found[at] {
			out = append(out, name)
		}
	}
	return out
}

// month draws counts of one month: every agreement decides on every change of a type that it shares, and some agreements have the terms of
// others, which everybody can read.
func drawMonth(t *rapid.T) (counts map[string]uint64, types []*schemas.Row, terms []publicTerm, same map[int]int) {
	counts, same = map[string]uint64{}, map[int]int{}
	number := rapid.OneOf(rapid.Uint64Range(0, 25), rapid.Uint64Range(0, 5000))
	for i := range rapid.IntRange(1, 4).Draw(t, "types") {
		row := &schemas.Row{Type: fmt.Sprint("type-", i), Fact: true}
		types = append(types, row)
		counts[figureKey('t', "2026-01", row.Type)] = number.Draw(t, "told")
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "terms") {
		term := publicTerm{agreement: fmt.Sprint("agreement-", i), eventType: rapid.SampledFrom(types).Draw(t, "type").Type, from: "2025-01"}
		told := counts[figureKey('t', "2026-01", term.eventType)]
		shared := min(told, number.Draw(t, "shared"))
		if rapid.Bool().Draw(t, "mostly shared") {
			shared = told - shared
		}
		if i > 0 && rapid.Bool().Draw(t, "same terms") {
			like := rapid.IntRange(0, i-1).Draw(t, "as")
			term.eventType, same[i] = terms[like].eventType, like
			told = counts[figureKey('t', "2026-01", term.eventType)]
			shared = counts[figureKey('s', "2026-01", terms[like].agreement, term.eventType)]
		}
		terms = append(terms, term)
		counts[figureKey('s', "2026-01", term.agreement, term.eventType)] = shared
		counts[figureKey('w', "2026-01", term.agreement, term.eventType)] = told - shared
	}
	return counts, types, terms, same
}

// TestNoSuppressedFigureCanBeSolvedFor: whoever knows every agreement, so that shared and withheld come to what was told and equal terms give
// equal figures, finds no suppressed cell by any combination of what is published. Nothing below the threshold is published.
func TestNoSuppressedFigureCanBeSolvedFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		counts, types, terms, same := drawMonth(t)
		month := publish("2026-01", counts, types, terms)
		p := puzzle{unknown: map[string]int{}}
		for _, told := range month.Told {
			p.cell(told.Type, told.Changes)
			require.True(t, told.Changes == nil || *told.Changes >= Threshold)
		}
		require.Len(t, month.Agreements, len(terms))
		for i, line := range month.Agreements { // in the order of terms: those are sorted
			require.Equal(t, line.Shared == nil, line.Withheld == nil)
			require.True(t, line.Shared == nil || min(*line.Shared, *line.Withheld) >= Threshold)
			p.cell("s"+line.Agreement, line.Shared)
			p.cell("w"+line.Agreement, line.Withheld)
			p.equations = append(p.equations, []string{line.Type, "s" + line.Agreement, "w" + line.Agreement})
			if like, ok := same[i]; ok {
				p.equations = append(p.equations,
					[]string{"s" + terms[like].agreement, "s" + line.Agreement}, []string{"w" + terms[like].agreement, "w" + line.Agreement})
			}
		}
		require.Empty(t, p.determined())
	})
}

// TestThePuzzleFindsWhatCanBeSolved is the check's own check: a total beside all parts but one gives the last one away.
func TestThePuzzleFindsWhatCanBeSolved(t *testing.T) {
	t.Parallel()
	p := puzzle{unknown: map[string]int{"w": 0}, equations: [][]string{{"told", "s", "w"}}}
	require.Equal(t, []string{"w"}, p.determined())
	p = puzzle{unknown: map[string]int{"s": 0, "w": 1}, equations: [][]string{{"told", "s", "w"}}}
	require.Empty(t, p.determined())
	p.equations = append(p.equations, []string{"s", "w"})
	require.ElementsMatch(t, []string{"s", "w"}, p.determined())
}

// TestSharesHideFewDeliveries: at least ten numbers of deliveries look alike in every share, zero and all with those next to them, even to
// somebody who knows the total.
func TestSharesHideFewDeliveries(t *testing.T) {
	t.Parallel()
	require.Nil(t, shares([5]uint64{39}))
	require.Equal(t, []int{100, 100, 100, 100, 0}, shares([5]uint64{40}))
	require.Equal(t, []int{95, 97, 99, 99, 1}, shares([5]uint64{9500, 200, 150, 50, 100}))
	for total := uint64(40); total < 3000; total += 7 {
		alike := map[int]int{}
		for within := range total + 1 {
			s := shares([5]uint64{within, 0, 0, 0, total - within})
			alike[s[0]]++
			require.Equal(t, 100-s[0], s[4])
		}
		for share, n := range alike {
			require.GreaterOrEqual(t, n, Threshold, "%d %% of %d", share, total)
		}
		require.Equal(t, shares([5]uint64{total}), shares([5]uint64{total - 9, 0, 0, 0, 9}), total)
		require.Equal(t, shares([5]uint64{0, 0, 0, 0, total}), shares([5]uint64{9, 0, 0, 0, total - 9}), total)
	}
}
