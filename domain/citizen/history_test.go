package citizen

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const address = "address-changed"

func fact(position int64, key, effective, street string) Fact {
	return Fact{Change: Change{Type: address, Key: key, Effective: effective, Data: map[string]any{"street": street}}, Position: position}
}

func correction(of int64, f Fact) Fact {
	f.Corrects = of
	return f
}

// streets are what holds of the home address on a day: "" for nothing.
func streets(h *History, days ...string) []string {
	out := make([]string, len(days))
	for i, day := range days {
		for _, f := range h.On(day) {
			if f.Key == "home" {
				out[i], _ = f.Data["street"].(string)
			}
		}
	}
	return out
}

// TestTwoAxes walks through the cases that a fold on one axis gets wrong.
func TestTwoAxes(t *testing.T) {
	t.Parallel()
	const before, january, march, may, july = "2025-12-31", "2026-01-01", "2026-03-01", "2026-05-01", "2026-07-01"
	days := []string{before, january, march, may, july}
	tests := map[string]struct {
		tell func(h *History)
		want []string
	}{
		"nothing":                       {func(*History) {}, []string{"", "", "", "", ""}},
		"one":                           {func(h *History) { h.Tell(fact(5, "home", march, "a")) }, []string{"", "", "a", "a", "a"}},
		"another key says nothing here": {func(h *History) { h.Tell(fact(5, "mailing", january, "a")) }, []string{"", "", "", "", ""}},
		"a newer one": {func(h *History) {
			h.Tell(fact(5, "home", january, "a"))
			h.Tell(fact(6, "home", may, "b"))
		}, []string{"", "a", "a", "b", "b"}},
		"a backdated one hides nothing newer": {func(h *History) {
			h.Tell(fact(5, "home", march, "a"))
			h.Tell(fact(6, "home", january, "b"))
		}, []string{"", "b", "a", "a", "a"}},
		"of one day the one told last": {func(h *History) {
			h.Tell(fact(5, "home", march, "a"))
			h.Tell(fact(6, "home", march, "b"))
		}, []string{"", "", "b", "b", "b"}},
		"a correction keeps the place of what it corrects": {func(h *History) {
			h.Tell(fact(5, "home", march, "a"))
			h.Tell(fact(6, "home", march, "b"))
			h.Tell(correction(5, fact(7, "home", march, "c")))
		}, []string{"", "", "b", "b", "b"}},
		"a correction of the one that holds": {func(h *History) {
			h.Tell(fact(5, "home", march, "a"))
			h.Tell(fact(6, "home", march, "b"))
			h.Tell(correction(6, fact(7, "home", march, "c")))
		}, []string{"", "", "c", "c", "c"}},
		"a correction has its own day": {func(h *History) {
			h.Tell(fact(5, "home", january, "a"))
			h.Tell(fact(6, "home", march, "b"))
			h.Tell(correction(6, fact(7, "home", july, "c")))
		}, []string{"", "a", "a", "a", "c"}},
		"a correction may be of another key": {func(h *History) {
			h.Tell(fact(5, "home", january, "a"))
			h.Tell(fact(6, "home", march, "b"))
			h.Tell(correction(6, fact(7, "mailing", march, "b")))
		}, []string{"", "a", "a", "a", "a"}},
		"a cancellation brings back what held before": {func(h *History) {
			h.Tell(fact(5, "home", january, "a"))
			h.Tell(fact(6, "home", march, "b"))
			h.Cancel(6, 7)
		}, []string{"", "a", "a", "a", "a"}},
		"a verification after a correction": {func(h *History) {
			h.Tell(fact(5, "home", january, "a"))
			h.Tell(correction(5, fact(6, "home", march, "b")))
			h.Tell(correction(5, fact(7, "home", march, "b")))
		}, []string{"", "", "b", "b", "b"}},
		"a correction after a verification": {func(h *History) {
			h.Tell(fact(5, "home", january, "a"))
			h.Tell(correction(5, fact(6, "home", january, "a")))
			h.Tell(correction(5, fact(7, "home", march, "b")))
		}, []string{"", "", "b", "b", "b"}},
		"a correction of what was erased": {func(h *History) {
			h.Tell(correction(4, fact(5, "home", january, "a")))
			h.Cancel(3, 6)
		}, []string{"", "a", "a", "a", "a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &History{}
			test.tell(h)
			require.Equal(t, test.want, streets(h, days...))
		})
	}
}

func TestKnownIsWhatWasToldByThen(t *testing.T) {
	t.Parallel()
	h := &History{}
	h.Tell(fact(5, "home", "2026-01-01", "a"))
	h.Tell(correction(5, fact(7, "home", "2026-01-01", "b")))
	h.Cancel(5, 9)
	for at, want := range map[int64]string{4: "", 5: "a", 6: "a", 7: "b", 8: "b", 9: "", 10: ""} {
		require.Equal(t, []string{want}, streets(h.Known(at), "2026-06-01"), at)
	}
	require.Equal(t, []string{""}, streets(h, "2026-06-01"), "the history itself has not changed")
}

func TestAnnouncedIsWhatHoldsLater(t *testing.T) {
	t.Parallel()
	h := &History{}
	h.Tell(fact(5, "home", "2026-01-01", "a"))
	h.Tell(fact(6, "home", "2026-09-01", "late"))
	h.Tell(fact(7, "home", "2026-06-01", "wrong"))
	h.Tell(fact(8, "home", "2026-06-01", "soon"))
	h.Tell(fact(9, "mailing", "2026-06-01", "box"))
	h.Tell(fact(10, "mailing", "2026-07-01", "never"))
	h.Cancel(10, 11)
	positions := func(facts []Fact) (out []int64) {
		for _, f := range facts {
			out = append(out, f.Position)
		}
		return out
	}
	require.Equal(t, []int64{8, 9, 6}, positions(h.Announced("2026-05-31")), "by effective date; of one day the one told last")
	require.Equal(t, []int64{5}, positions(h.On("2026-05-31")))
	require.Equal(t, []int64{6}, positions(h.Announced("2026-06-01")))
	require.Equal(t, []int64{8, 9}, positions(h.On("2026-06-01")))
	require.Empty(t, h.Announced("2026-09-01"))
}

func TestProfile(t *testing.T) {
	t.Parallel()
	h := &History{}
	require.Equal(t, &Profile{Facts: map[Key]Fact{}, Announced: []Fact{}}, h.Profile("2026-03-01"))
	h.Tell(Fact{Change: Change{Type: PersonRegistered, Effective: "2027-01-01"}, Position: 3})
	h.Tell(fact(4, "home", "2026-09-01", "to come"))
	h.Tell(Fact{Change: Change{Type: DeathReported, Effective: "2026-01-01"}, Position: 5})
	p := h.Profile("2026-03-01")
	require.True(t, p.Registered, "whatever day it names")
	require.False(t, p.Deceased, "a report is held")
	require.Empty(t, p.Facts)
	home, found := p.Latest(address, "home")
	require.True(t, found)
	require.Equal(t, int64(4), home.Position, "announced, and nothing holds yet")
	h.Tell(fact(6, "home", "2026-01-01", "now"))
	home, _ = h.Profile("2026-03-01").Latest(address, "home")
	require.Equal(t, int64(6), home.Position)
	_, found = p.Latest(address, "mailing")
	require.False(t, found)
	_, found = (&Profile{}).Latest(address, "home")
	require.False(t, found)

	h.Tell(Fact{Change: Change{Type: DeathRegistered, Effective: "2026-02-01"}, Position: 7})
	require.True(t, h.Profile("2026-03-01").Deceased)
	h.Cancel(7, 8)
	require.False(t, h.Profile("2026-03-01").Deceased)
}

func TestAssurance(t *testing.T) {
	t.Parallel()
	require.Equal(t, "asserted", (&Change{}).Assurance())
	require.Equal(t, "verified", (&Change{Verified: true}).Assurance())
}

// step is one thing told, for the properties: a fact, a correction (or verification) of one, or a cancellation (without a type).
type step struct {
	corrects int64
	fact     Fact
}

func (s step) tell(h *History) {
	if s.fact.Type == "" {
		h.Cancel(s.corrects, s.fact.Position)
		return
	}
	h.Tell(correction(s.corrects, s.fact))
}

var days = []string{"2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"}

func stepsOf(t *rapid.T) []step {
	var out []step
	var told []int64
	position := int64(0)
	for range rapid.IntRange(0, 14).Draw(t, "steps") {
		position += rapid.Int64Range(1, 3).Draw(t, "gap")
		f := fact(position, rapid.SampledFrom([]string{"home", "mailing"}).Draw(t, "key"), rapid.SampledFrom(days).Draw(t, "from"), fmt.Sprint(position))
		s := step{fact: f}
		if len(told) > 0 && rapid.Bool().Draw(t, "about") {
			s.corrects = rapid.SampledFrom(told).Draw(t, "of")
			if rapid.IntRange(0, 3).Draw(t, "cancel") == 0 {
				s.fact = Fact{Position: position}
			}
		} else {
			told = append(told, position)
		}
		out = append(out, s)
	}
	return out
}

// oracle says by brute force what holds on a day, as known at a position, by key: every fact as it was last told, the best by (effective
// date, first told).
func oracle(steps []step, at int64, day string) map[string]Fact {
	now := map[int64]Fact{}
	for _, s := range steps {
		if s.fact.Position <= at {
			now[first(s)] = s.fact
		}
	}
	out := map[string]Fact{}
	for _, root := range slices.Sorted(maps.Keys(now)) { // a later root wins a tie
		f := now[root]
		if held, ok := out[f.Key]; f.Type != "" && f.Effective <= day && (!ok || f.Effective >= held.Effective) {
			out[f.Key] = f
		}
	}
	return out
}

func first(s step) int64 {
	if s.corrects != 0 {
		return s.corrects
	}
	return s.fact.Position
}

func held(h *History, day string) map[string]Fact {
	out := map[string]Fact{}
	for _, f := range h.On(day) {
		f.Corrects = 0
		out[f.Key] = f
	}
	return out
}

func TestHistoryIsTheOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		steps := stepsOf(t)
		at := rapid.Int64Range(0, 45).Draw(t, "at")
		h := &History{}
		for _, s := range steps {
			s.tell(h)
		}
		for _, day := range append([]string{"2025-12-31"}, days...) {
			require.Equal(t, oracle(steps, 1<<62, day), held(h, day))
			require.Equal(t, oracle(steps, at, day), held(h.Known(at), day))
		}
		on := h.On(days[3])
		require.True(t, slices.IsSortedFunc(on, func(a, b Fact) int { return cmp.Compare(a.Position, b.Position) }))
		// What is announced on a day is what comes to hold later, and nothing else.
		for _, f := range h.Announced(days[0]) {
			f.Corrects = 0
			require.Equal(t, f, oracle(steps, 1<<62, f.Effective)[f.Key])
		}
		for _, day := range days[1:] {
			for _, f := range oracle(steps, 1<<62, day) {
				if f.Effective > days[0] {
					require.True(t, slices.ContainsFunc(h.Announced(days[0]), func(a Fact) bool { return a.Position == f.Position }))
				}
			}
		}
	})
}

// TestFoldInStepsIsFoldAtOnce: to know more is to go on from what was known.
func TestFoldInStepsIsFoldAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		steps := stepsOf(t)
		cut := rapid.IntRange(0, len(steps)).Draw(t, "cut")
		once, inSteps := &History{}, &History{}
		for i, s := range steps {
			if i == cut {
				inSteps = inSteps.Known(1 << 62)
			}
			s.tell(once)
			s.tell(inSteps)
		}
		for _, day := range days {
			require.Equal(t, once.On(day), inSteps.On(day))
			require.Equal(t, once.Announced(day), inSteps.Announced(day))
		}
	})
}

// TestEveryOrderOfTellingIsTheSameTruth: facts of different days, told in any order, with corrections at any time after, come to the same
// truth on the effective axis.
func TestEveryOrderOfTellingIsTheSameTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "facts")
		right := &History{} // told rightly at once, in the order of days
		for i := range n {
			right.Tell(fact(int64(i+1), "home", day(i), fmt.Sprint("right ", i)))
		}
		// Told in another order, some of it wrongly at first: with another day, another key, another street.
		random := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		var told []step
		position := int64(100)
		for _, i := range random.Perm(n) {
			position++
			f := fact(position, "home", day(i), fmt.Sprint("right ", i))
			if random.Intn(2) == 0 {
				told = append(told, step{fact: f})
				continue
			}
			wrong := fact(position, []string{"home", "mailing"}[random.Intn(2)], day(random.Intn(3*n)), "wrong")
			told = append(told, step{fact: wrong}, step{corrects: position, fact: f})
		}
		shuffled := &History{}
		at := int64(1000)
		for len(told) > 0 { // corrections come after what they correct, at any time
			i := random.Intn(len(told))
			s := told[i]
			if s.corrects != 0 && slices.ContainsFunc(told, func(o step) bool { return o.fact.Position == s.corrects && o.corrects == 0 }) {
				continue
			}
			if s.corrects != 0 {
				at++
				s.fact.Position = at
			}
			s.tell(shuffled)
			told = slices.Delete(told, i, i+1)
		}
		for i := range 3 * n {
			require.Equal(t, streets(right, day(i)), streets(shuffled, day(i)))
		}
	})
}

func day(i int) string { return fmt.Sprintf("2026-01-%02d", i+1) }
