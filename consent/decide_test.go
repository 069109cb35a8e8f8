package consent

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// strict is an agreement under which everything can go wrong, and a resident for whom everything is right.
func strict() (Agreement, Standing, Fact) {
	a := Agreement{
		ID: "strict", Version: 2, Ministry: "moh", Basis: Basis{Kind: BasisConsent}, Population: PopulationLinked,
		ValidFrom: 20260101, ValidUntil: 20260630,
		Shares: []Share{{Event: "address-changed", Fields: []string{"city", "street"}, When: Conditions{
			MinAge: years(16), MaxAge: years(40), AddressKind: []string{AddressHome}, Province: []string{"ON", "QC"},
		}}},
	}
	standing := Standing{Born: 20000615}
	standing.Linked(3, "moh", "A-1")
	standing.Granted(5, "strict", 2, nil)
	fact := Fact{
		Type: "address-changed", Carried: bits("address-changed", "street", "city", "postal_code"), Effective: 20260301, Recorded: 20260301,
		AddressKind: AddressHome, Province: "ON",
	}
	return a, standing, fact
}

func decideOne(t *testing.T, a Agreement, standing Standing, fact Fact) Decision {
	t.Helper()
	rules, err := Compile([]Agreement{a}, rowsOf)
	require.NoError(t, err)
	decisions := Decide(nil, rules, &standing, &fact)
	require.Len(t, decisions, 1)
	return decisions[0]
}

func TestDecideShares(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	require.Equal(t, Decision{
		Fields: bits("address-changed", "city", "street"), Version: 2,
		Evaluated: ConditionMinAge | ConditionMaxAge | ConditionAddressKind | ConditionProvince,
	}, decideOne(t, a, standing, fact))
}

// TestReasonsComeInOrder breaks everything at once, then repairs one thing after the other: each time the next reason must show.
func TestReasonsComeInOrder(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	good, goodFact := standing, fact
	standing = Standing{Restrictions: []Restriction{{}}} // no age, no link, no grant
	fact.Recorded, fact.AddressKind, fact.Province, fact.Carried = 20260701, AddressMailing, "MB", bits("address-changed", "country")
	repairs := []struct {
		reason Reason
		repair func()
	}{
		{Restricted, func() { standing.Restrictions = nil }},
		{NotInForce, func() { fact.Recorded = goodFact.Recorded }},
		{NotLinked, func() { standing.Links = good.Links }},
		{NoGrant, func() { standing.Grants, a.MinAssurance = good.Grants, AssuranceVerified }},
		{NotVerified, func() { fact.Verified = true }},
		{MinAge, func() { standing.Born = 19800101 }},
		{MaxAge, func() { standing.Born = good.Born }},
		{AddressKind, func() { fact.AddressKind = AddressHome }},
		{Province, func() { fact.Province = "ON" }},
		{NoFields, func() { fact.Carried = goodFact.Carried }},
		{None, func() {}},
	}
	for _, step := range repairs {
		d := decideOne(t, a, standing, fact)
		require.Equal(t, step.reason, d.Reason)
		require.Equal(t, step.reason == None, d.Shared())
		require.Equal(t, step.reason == None, d.Fields != 0)
		require.Equal(t, step.reason.OfCondition() || step.reason == NoFields || step.reason == None, d.Evaluated != 0, "conditions judged at %v", step.reason)
		step.repair()
	}
}

func TestEachConditionAtItsEdge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(a *Agreement, s *Standing, f *Fact)
		want   Reason
	}{
		"restricted, and received": {func(a *Agreement, s *Standing, _ *Fact) {
			s.Restrictions, a.ReceivesProtected = []Restriction{{}}, true
		}, None},
		"first day of validity":            {func(_ *Agreement, _ *Standing, f *Fact) { f.Recorded = 20260101 }, None},
		"day before validity":              {func(_ *Agreement, _ *Standing, f *Fact) { f.Recorded = 20251231 }, NotInForce},
		"last day of validity":             {func(_ *Agreement, _ *Standing, f *Fact) { f.Recorded = 20260630 }, None},
		"day after validity":               {func(_ *Agreement, _ *Standing, f *Fact) { f.Recorded = 20260701 }, NotInForce},
		"open beginning":                   {func(a *Agreement, _ *Standing, f *Fact) { a.ValidFrom, f.Recorded = 0, 10101 }, None},
		"open end":                         {func(a *Agreement, _ *Standing, f *Fact) { a.ValidUntil, f.Recorded = 0, 99991231 }, None},
		"validity is not of the effective": {func(_ *Agreement, _ *Standing, f *Fact) { f.Effective = 20260701 }, None},
		"linked to another ministry":       {func(_ *Agreement, s *Standing, _ *Fact) { s.Unlinked("moh"); s.Linked(4, "mof", "A-1") }, NotLinked},
		"all need no link":                 {func(a *Agreement, s *Standing, _ *Fact) { a.Population, s.Links = PopulationAll, nil }, None},
		"an unknown population is strict":  {func(a *Agreement, s *Standing, _ *Fact) { a.Population, s.Links = "", nil }, NotLinked},
		"granted to another agreement":     {func(_ *Agreement, s *Standing, _ *Fact) { s.Withdrawn("strict"); s.Granted(6, "other", 2, nil) }, NoGrant},
		"a statute needs no grant":         {func(a *Agreement, s *Standing, _ *Fact) { a.Basis.Kind, s.Grants = BasisStatute, nil }, None},
		"an unknown basis is strict":       {func(a *Agreement, s *Standing, _ *Fact) { a.Basis.Kind, s.Grants = "", nil }, NoGrant},
		"on the sixteenth birthday":        {func(_ *Agreement, s *Standing, _ *Fact) { s.Born = 20100301 }, None},
		"a day younger":                    {func(_ *Agreement, s *Standing, _ *Fact) { s.Born = 20100302 }, MinAge},
		"the day before turning 41":        {func(_ *Agreement, s *Standing, _ *Fact) { s.Born = 19850302 }, None},
		"on the 41st birthday":             {func(_ *Agreement, s *Standing, _ *Fact) { s.Born = 19850301 }, MaxAge},
		"no birth date, minimum":           {func(_ *Agreement, s *Standing, _ *Fact) { s.Born = 0 }, MinAge},
		"no birth date, maximum only": {func(a *Agreement, s *Standing, _ *Fact) {
			s.Born, a.Shares[0].When.MinAge = 0, nil
		}, MaxAge},
		"no birth date, no age condition": {func(a *Agreement, s *Standing, _ *Fact) {
			s.Born, a.Shares[0].When.MinAge, a.Shares[0].When.MaxAge = 0, nil, nil
		}, None},
		"no effective date": {func(_ *Agreement, _ *Standing, f *Fact) { f.Effective = 0 }, MinAge},
		"unborn at age 0 or more": {func(a *Agreement, s *Standing, _ *Fact) {
			s.Born, a.Shares[0].When.MinAge = 20260302, years(0)
		}, MinAge},
		"newborn at age 0 or more": {func(a *Agreement, s *Standing, _ *Fact) {
			s.Born, a.Shares[0].When.MinAge = 20260301, years(0)
		}, None},
		"mailing address":         {func(_ *Agreement, _ *Standing, f *Fact) { f.AddressKind = AddressMailing }, AddressKind},
		"no address":              {func(_ *Agreement, _ *Standing, f *Fact) { f.AddressKind = "" }, AddressKind},
		"the second province":     {func(_ *Agreement, _ *Standing, f *Fact) { f.Province = "QC" }, None},
		"another province":        {func(_ *Agreement, _ *Standing, f *Fact) { f.Province = "NU" }, Province},
		"no province":             {func(_ *Agreement, _ *Standing, f *Fact) { f.Province = "" }, Province},
		"province in other case":  {func(_ *Agreement, _ *Standing, f *Fact) { f.Province = "on" }, Province},
		"carries nothing shared":  {func(_ *Agreement, _ *Standing, f *Fact) { f.Carried = bits("address-changed", "postal_code") }, NoFields},
		"granted nothing carried": {func(_ *Agreement, s *Standing, _ *Fact) { s.Granted(6, "strict", 2, []string{"postal_code"}) }, NoFields},
		"granted an empty list":   {func(_ *Agreement, s *Standing, _ *Fact) { s.Granted(6, "strict", 2, []string{}) }, NoFields},
		"a grant of a version nobody knows": {func(_ *Agreement, s *Standing, _ *Fact) {
			s.Granted(6, "strict", 1, nil)
		}, NoFields},
		"the dead grant nothing": {func(_ *Agreement, s *Standing, _ *Fact) { s.Died() }, NoGrant},
		"statutory streams outlive": {func(a *Agreement, s *Standing, _ *Fact) {
			a.Basis.Kind = BasisStatute
			s.Died()
		}, None},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, standing, fact := strict()
			test.change(&a, &standing, &fact)
			require.Equal(t, test.want, decideOne(t, a, standing, fact).Reason)
		})
	}
}

func TestFieldsAreShareAndCarriedAndGranted(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	standing.Granted(6, "strict", 2, []string{"city", "postal_code", "email"})
	require.Equal(t, bits("address-changed", "city"), decideOne(t, a, standing, fact).Fields)
	fact.Carried = bits("address-changed", "street")
	require.Equal(t, NoFields, decideOne(t, a, standing, fact).Reason)
	standing.Granted(7, "strict", 2, nil)
	require.Equal(t, bits("address-changed", "street"), decideOne(t, a, standing, fact).Fields)
}

// TestAGrantIsOfOneVersion: what a newer version adds needs a new grant; what it drops is gone.
func TestAGrantIsOfOneVersion(t *testing.T) {
	t.Parallel()
	old, standing, fact := strict()
	old.Version = 1
	wider, narrower := old, old
	wider.Version, narrower.Version = 2, 2
	wider.Shares = []Share{{Event: "address-changed", Fields: []string{"city", "street", "postal_code"}}, {Event: "name-changed", Fields: []string{"family_name"}}}
	narrower.Shares = []Share{{Event: "address-changed", Fields: []string{"city"}}}
	standing.Granted(8, "strict", 1, nil)
	decide := func(newer Agreement, s Standing, f Fact) Decision {
		rules, err := Compile([]Agreement{newer, old}, rowsOf)
		require.NoError(t, err)
		return Decide(nil, rules, &s, &f)[0]
	}
	require.Equal(t, bits("address-changed", "city", "street"), decide(wider, standing, fact).Fields)
	require.Equal(t, bits("address-changed", "city"), decide(narrower, standing, fact).Fields)
	name := Fact{Type: "name-changed", Carried: bits("name-changed", "family_name"), Effective: 20260301, Recorded: 20260301}
	require.Equal(t, NoFields, decide(wider, standing, name).Reason)
	standing.Granted(9, "strict", 2, nil)
	require.Equal(t, bits("address-changed", "city", "street", "postal_code"), decide(wider, standing, fact).Fields)
	require.Equal(t, bits("name-changed", "family_name"), decide(wider, standing, name).Fields)
}

func TestPermittedNeedsAnUnbrokenGrantAndLink(t *testing.T) {
	t.Parallel()
	all := bits("address-changed", "city", "street")
	tests := map[string]struct {
		since  func(s *Standing, f *Fact)
		fields FieldSet
		want   Reason
	}{
		"nothing happened":        {func(*Standing, *Fact) {}, all, None},
		"grant replaced":          {func(s *Standing, _ *Fact) { s.Granted(20, "strict", 2, nil) }, all, None},
		"grant narrowed":          {func(s *Standing, _ *Fact) { s.Granted(20, "strict", 2, []string{"city"}) }, bits("address-changed", "city"), None},
		"withdrawn":               {func(s *Standing, _ *Fact) { s.Withdrawn("strict") }, 0, NoGrant},
		"withdrawn and granted":   {func(s *Standing, _ *Fact) { s.Withdrawn("strict"); s.Granted(20, "strict", 2, nil) }, 0, NoGrant},
		"granted at the position": {func(s *Standing, _ *Fact) { s.Withdrawn("strict"); s.Granted(10, "strict", 2, nil) }, all, None},
		"granted just after":      {func(s *Standing, _ *Fact) { s.Withdrawn("strict"); s.Granted(11, "strict", 2, nil) }, 0, NoGrant},
		"linked again":            {func(s *Standing, _ *Fact) { s.Linked(20, "moh", "A-1") }, 0, NotLinked},
		"linked at the position":  {func(s *Standing, _ *Fact) { s.Linked(10, "moh", "B-2") }, all, None},
		"linked just after":       {func(s *Standing, _ *Fact) { s.Linked(11, "moh", "B-2") }, 0, NotLinked},
		"unlinked":                {func(s *Standing, _ *Fact) { s.Unlinked("moh") }, 0, NotLinked},
		"died":                    {func(s *Standing, _ *Fact) { s.Died() }, 0, NoGrant},
		"restricted":              {func(s *Standing, _ *Fact) { s.Restrictions = []Restriction{{}} }, 0, Restricted},
		"no longer in force":      {func(_ *Standing, f *Fact) { f.Recorded = 20260701 }, 0, NotInForce},
		"ages still as effective": {func(_ *Standing, f *Fact) { f.Effective = 20160614 }, 0, MinAge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, standing, fact := strict()
			rules, err := Compile([]Agreement{a}, rowsOf)
			require.NoError(t, err)
			test.since(&standing, &fact)
			fields, reason := Permitted(rules, &standing, &fact, "strict", 10)
			require.Equal(t, test.want, reason)
			require.Equal(t, test.fields, fields)
		})
	}
}

func TestPermittedWithoutARule(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	b := Agreement{ID: "b", Basis: Basis{Kind: BasisStatute}, Population: PopulationAll, Shares: []Share{{Event: "name-changed", Fields: []string{"family_name"}}}}
	rules, err := Compile([]Agreement{a, b}, rowsOf)
	require.NoError(t, err)
	for _, test := range []struct {
		agreement, event string
		want             Reason
	}{
		{"ended", "address-changed", NotInForce},
		{"strict", "name-changed", NoFields},
		{"b", "address-changed", NoFields},
		{"strict", "nobody-names-it", NoFields},
	} {
		fact.Type = test.event
		fields, reason := Permitted(rules, &standing, &fact, test.agreement, 10)
		require.Equal(t, test.want, reason, test)
		require.Zero(t, fields)
	}
}

// TestPermittedUnderAStatute: neither a grant nor, for all, a link plays a part, even where there is one.
func TestPermittedUnderAStatute(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	a.Basis.Kind, a.Population = BasisStatute, PopulationAll
	rules, err := Compile([]Agreement{a}, rowsOf)
	require.NoError(t, err)
	standing.Granted(6, "strict", 2, []string{"city"})
	fields, reason := Permitted(rules, &standing, &fact, "strict", 0)
	require.Equal(t, None, reason)
	require.Equal(t, bits("address-changed", "city", "street"), fields)
	require.Equal(t, fields, Decide(nil, rules, &standing, &fact)[0].Fields)
}

func TestDecideAppends(t *testing.T) {
	t.Parallel()
	a, standing, fact := strict()
	rules, err := Compile([]Agreement{a}, rowsOf)
	require.NoError(t, err)
	first := Decide(nil, rules, &standing, &fact)
	both := Decide(first, rules, &standing, &fact)
	require.Len(t, both, 2)
	require.Equal(t, both[0], both[1])
	fact.Type = "nobody-names-it"
	require.Equal(t, both, Decide(both, rules, &standing, &fact))
}

func TestDecideAllocatesNothing(t *testing.T) {
	agreements := benchAgreements()
	rules, err := Compile(agreements, rowsOf)
	require.NoError(t, err)
	cases := benchCases(agreements)
	dst := make([]Decision, 0, len(agreements))
	decide := func() {
		for i := range cases {
			dst = Decide(dst[:0], rules, &cases[i].standing, &cases[i].fact)
		}
	}
	require.Zero(t, testing.AllocsPerRun(20, decide))
	permitted := func() {
		for i := range cases {
			Permitted(rules, &cases[i].standing, &cases[i].fact, agreements[i%len(agreements)].ID, 10)
		}
	}
	require.Zero(t, testing.AllocsPerRun(20, permitted))
}

func TestDecisionIs24Bytes(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 24, unsafe.Sizeof(Decision{}))
}
