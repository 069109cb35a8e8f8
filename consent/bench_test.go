package consent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The benchmark's world: 150 agreements of which 69 name address-changed, and residents for whom about 11.6 of those share. Its draws are
// fixed, for the contender of contender_test.go is written over these very agreements.

const benchEvent = "address-changed"

func benchAgreements() []Agreement {
	random := rand.New(rand.NewPCG(150, 69))
	others := []string{"name-changed", "contact-changed", "marital-status-changed", "language-changed", "birth-registered", "death-registered"}
	var agreements []Agreement
	for i := range 150 {
		a := Agreement{
			ID: fmt.Sprintf("agreement-%03d", i), Version: 1 + random.IntN(3), Ministry: benchMinistry(random.IntN(24)),
			Basis: Basis{Kind: BasisStatute}, Population: PopulationLinked, ValidFrom: 20260101,
		}
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			a.Basis.Kind = BasisConsent
			a.Population = PopulationAll
		case 4:
			a.Basis.Kind = BasisConsent
		case 5:
			a.Population = PopulationAll
		}
		if random.IntN(10) == 0 {
			a.ValidUntil = 20260630
		}
		if i%50 < 23 {
			a.Shares = append(a.Shares, Share{Event: benchEvent, Fields: benchFields(random), When: benchConditions(random)})
		}
		for _, event := range others {
			if len(a.Shares) == 0 || random.IntN(3) == 0 {
				a.Shares = append(a.Shares, Share{Event: event, Fields: rowsOf(event)})
			}
		}
		agreements = append(agreements, a)
	}
	return agreements
}

func benchMinistry(i int) string { return fmt.Sprintf("ministry-%02d", i) }

func benchFields(random *rand.Rand) []string {
	fields := slices.Clone(rowsOf(benchEvent))
	random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	return fields[:3+random.IntN(5)]
}

func benchConditions(random *rand.Rand) (when Conditions) {
	if random.IntN(3) == 0 {
		when.MinAge = years(12 + 2*random.IntN(4))
	}
	if random.IntN(6) == 0 {
		when.MaxAge = years(40 + random.IntN(30))
	}
	if random.IntN(3) == 0 {
		when.AddressKind = []string{AddressHome}
	}
	if random.IntN(4) == 0 {
		when.Province = []string{"ON"}
	}
	return when
}

// benchCase is one resident with one change.
type benchCase struct {
	standing Standing
	fact     Fact
}

func benchCases(agreements []Agreement) []benchCase {
	random := rand.New(rand.NewPCG(11, 6))
	cases := make([]benchCase, 256)
	for i := range cases {
		c := &cases[i]
		c.standing.Registered(packed(1935+random.IntN(75), 1+random.IntN(12), 1+random.IntN(28)))
		for range 6 {
			c.standing.Linked(1, benchMinistry(random.IntN(24)), "reference")
		}
		for range 6 {
			a := agreements[random.IntN(len(agreements))]
			var fields []string
			if random.IntN(2) == 0 {
				fields = []string{"street", "city", "postal_code", "email"}
			}
			c.standing.Granted(2, a.ID, a.Version, fields)
		}
		c.fact = Fact{
			Type: benchEvent, Carried: bits(benchEvent, rowsOf(benchEvent)...), Effective: 20260801,
			Recorded: packed(2026, 3+random.IntN(6), 15), AddressKind: AddressHome, Province: "ON",
		}
		if random.IntN(4) == 0 {
			c.fact.AddressKind = AddressMailing
		}
		if random.IntN(10) == 0 {
			c.fact.Province = "QC"
		}
	}
	return cases
}

// naiveDecide walks all agreements and compares names, as a first version would.
func naiveDecide(dst []Decision, agreements []Agreement, standing *Standing, fact *Fact) []Decision {
	for i := range agreements {
		a := &agreements[i]
		share := a.Share(fact.Type)
		if share == nil {
			continue
		}
		d := Decision{Agreement: int16(i), Version: int32(a.Version)} //nolint:gosec // 150 agreements
		grant, granted := standing.Grant(a.ID)
		_, linked := standing.Link(a.Ministry)
		age := standing.Born.YearsTo(fact.Effective)
		switch {
		case len(standing.Restrictions) > 0 && !a.ReceivesProtected:
			d.Reason = Restricted
		case fact.Recorded < a.ValidFrom || a.ValidUntil != 0 && fact.Recorded > a.ValidUntil:
			d.Reason = NotInForce
		case a.Population == PopulationLinked && !linked:
			d.Reason = NotLinked
		case a.Basis.Kind == BasisConsent && !granted:
			d.Reason = NoGrant
		case share.When.MinAge != nil && age < *share.When.MinAge:
			d.Reason = MinAge
		case share.When.MaxAge != nil && age > *share.When.MaxAge:
			d.Reason = MaxAge
		case share.When.AddressKind != nil && !slices.Contains(share.When.AddressKind, fact.AddressKind):
			d.Reason = AddressKind
		case share.When.Province != nil && !slices.Contains(share.When.Province, fact.Province):
			d.Reason = Province
		default:
			d.Fields = naiveFields(a, fact, share, grant)
			if d.Fields == 0 {
				d.Reason = NoFields
			}
		}
		dst = append(dst, d)
	}
	return dst
}

func naiveFields(a *Agreement, fact *Fact, share *Share, grant Grant) FieldSet {
	var set FieldSet
	for bit, name := range rowsOf(fact.Type) {
		if slices.Contains(share.Fields, name) && (a.Basis.Kind != BasisConsent || grant.Fields == nil || slices.Contains(grant.Fields, name)) {
			set |= fact.Carried & (1 << bit)
		}
	}
	return set
}

// BenchmarkDecide decides the same changes by compiled rules, by the hand-written switch and by naive Go, turn by turn, and reports the
// medians of all rounds: ns per change, and the ratio to the switch (target: at most 2). One op is one round of 256 changes each.
func BenchmarkDecide(b *testing.B) {
	agreements := benchAgreements()
	rules, err := Compile(agreements, rowsOf)
	require.NoError(b, err)
	cases := benchCases(agreements)
	dst := make([]Decision, 0, len(agreements))
	contenders := []func(c *benchCase){
		func(c *benchCase) { dst = Decide(dst[:0], rules, &c.standing, &c.fact) },
		func(c *benchCase) { dst = contenderDecide(dst[:0], &c.standing, &c.fact) },
		func(c *benchCase) { dst = naiveDecide(dst[:0], agreements, &c.standing, &c.fact) },
	}
	times := make([][]float64, len(contenders))
	b.ReportAllocs()
	for b.Loop() {
		for i, contender := range contenders {
			begin := time.Now()
			for j := range cases {
				contender(&cases[j])
			}
			times[i] = append(times[i], float64(time.Since(begin).Nanoseconds())/float64(len(cases)))
		}
	}
	candidates, shared := benchSize(rules, cases)
	b.ReportMetric(candidates, "candidates/change")
	b.ReportMetric(shared, "shared/change")
	b.ReportMetric(median(times[0]), "compiled-ns/change")
	b.ReportMetric(median(times[1]), "switch-ns/change")
	b.ReportMetric(median(times[2]), "naive-ns/change")
	ratio := median(times[0]) / median(times[1])
	b.ReportMetric(ratio, "compiled/switch")
	if len(times[0]) >= 100 && ratio > 2 {
		b.Errorf("compiled rules take %.2f times the hand-written switch, target 2", ratio)
	}
}

// benchSize is how many agreements judge a change, and how many of them share it, on average.
func benchSize(rules *Rules, cases []benchCase) (candidates, shared float64) {
	for i := range cases {
		for _, d := range Decide(nil, rules, &cases[i].standing, &cases[i].fact) {
			candidates++
			if d.Shared() {
				shared++
			}
		}
	}
	return candidates / float64(len(cases)), shared / float64(len(cases))
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
