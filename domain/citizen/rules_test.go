package citizen

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const today = "2026-03-01"

func move(province, code, country string) Change {
	return Change{Type: "address-changed", Key: "home", Effective: today, Data: map[string]any{
		"kind": "home", "street": "1 Main St", "city": "x", "province": province, "postal_code": code, "country": country,
	}}
}

func at365(days int) string {
	day, err := time.Parse(time.DateOnly, today)
	if err != nil {
		panic(err)
	}
	return day.AddDate(0, 0, days).Format(time.DateOnly)
}

// TestRulesComeInOrder breaks every rule at once, then keeps one after the other.
func TestRulesComeInOrder(t *testing.T) {
	t.Parallel()
	p := &Profile{Deceased: true}
	c := move("ON", "H2X 1Y4", "CA")
	c.Effective = at365(366)
	for _, step := range []struct {
		code, pointer string
		repair        func()
	}{
		{CodeUnknownPerson, "/person", func() { p.Registered = true }},
		{CodePersonDeceased, "", func() { p.Deceased = false }},
		{CodeEffectiveTooFar, "/effective", func() { c.Effective = at365(365) }},
		{CodePostalCodeProvince, "/data/postal_code", func() { c.Data["postal_code"] = "M5V 2T6" }},
	} {
		rejection := Decide(p, c, today)
		require.NotNil(t, rejection, step.code)
		require.Equal(t, step.code, rejection.Code)
		if step.pointer == "" {
			require.Nil(t, rejection.Pointer)
		} else {
			require.Equal(t, step.pointer, *rejection.Pointer)
		}
		step.repair()
	}
	require.Nil(t, Decide(p, c, today))
}

func TestDecide(t *testing.T) {
	t.Parallel()
	known, dead := Profile{Registered: true}, Profile{Registered: true, Deceased: true}
	tests := map[string]struct {
		profile *Profile
		change  Change
		want    string
	}{
		"a first registration":       {&Profile{}, Change{Type: PersonRegistered, Effective: today}, ""},
		"nobody, registered":         {nil, Change{Type: PersonRegistered, Effective: today}, ""},
		"a second registration":      {&known, Change{Type: PersonRegistered, Effective: today}, CodePersonExists},
		"registered again, but dead": {&dead, Change{Type: PersonRegistered, Effective: today}, CodePersonExists},
		"registered too far ahead":   {&Profile{}, Change{Type: PersonRegistered, Effective: at365(366)}, CodeEffectiveTooFar},
		"nobody":                     {nil, Change{Type: "name-changed", Effective: today}, CodeUnknownPerson},
		"not registered":             {&Profile{}, Change{Type: "name-changed", Effective: today}, CodeUnknownPerson},
		"a name":                     {&known, Change{Type: "name-changed", Effective: today}, ""},
		"a name of the dead":         {&dead, Change{Type: "name-changed", Effective: today}, CodePersonDeceased},
		"a second death":             {&dead, Change{Type: DeathRegistered, Effective: today}, CodePersonDeceased},
		"a death":                    {&known, Change{Type: DeathRegistered, Effective: today}, ""},
		"a grant of the dead":        {&dead, Change{Type: ConsentGranted, Effective: today}, CodePersonDeceased},
		"a grant too far":            {&known, Change{Type: ConsentGranted, Effective: at365(366)}, CodeEffectiveTooFar},
		"a link of the dead":         {&dead, Change{Type: MinistryLinked, Effective: today}, CodePersonDeceased},
		"an unlink too far":          {&known, Change{Type: MinistryUnlinked, Effective: at365(366)}, CodeEffectiveTooFar},
		"a withdrawal of nobody":     {&Profile{}, Change{Type: ConsentWithdrawn, Effective: today}, CodeUnknownPerson},
		"a withdrawal of the dead":   {&dead, Change{Type: ConsentWithdrawn, Effective: today}, ""},
		"a withdrawal too far":       {&known, Change{Type: ConsentWithdrawn, Effective: at365(366)}, ""},
		"a registration put right":   {&known, Change{Type: PersonRegistered, Corrects: 3, Effective: today}, ""},
		"put right for nobody":       {nil, Change{Type: PersonRegistered, Corrects: 3, Effective: today}, CodeUnknownPerson},
		"put right for the dead":     {&dead, Change{Type: "name-changed", Corrects: 3, Effective: today}, ""},
		"a death put right":          {&dead, Change{Type: DeathRegistered, Corrects: 3, Effective: today}, ""},
		"put right too far":          {&known, Change{Type: "name-changed", Corrects: 3, Effective: at365(366)}, CodeEffectiveTooFar},
		"cancelled":                  {&dead, Change{Type: ChangeCancelled, Effective: today}, ""},
		"cancelled for nobody":       {nil, Change{Type: ChangeCancelled, Effective: today}, CodeUnknownPerson},
		"verified":                   {&dead, Change{Type: ChangeVerified, Effective: today}, ""},
		"verified too far":           {&known, Change{Type: ChangeVerified, Effective: at365(366)}, CodeEffectiveTooFar},
		"alive after all":            {&dead, Change{Type: DeathCorrected, Effective: today}, ""},
		"alive all the time":         {&known, Change{Type: DeathCorrected, Effective: today}, CodeNotDead},
		"alive, but nobody":          {nil, Change{Type: DeathCorrected, Effective: today}, CodeUnknownPerson},
		"a report of the dead":       {&dead, Change{Type: DeathReported, Effective: today}, CodePersonDeceased},
		"long ago":                   {&known, Change{Type: "name-changed", Effective: "0001-01-01"}, ""},
		"365 days ahead":             {&known, Change{Type: "name-changed", Effective: "2027-03-01"}, ""},
		"366 days ahead":             {&known, Change{Type: "name-changed", Effective: "2027-03-02"}, CodeEffectiveTooFar},
		"no date at all":             {&known, Change{Type: "name-changed"}, CodeEffectiveTooFar},
		"no such date":               {&known, Change{Type: "name-changed", Effective: "2026-02-29"}, CodeEffectiveTooFar},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejection := Decide(test.profile, test.change, today)
			if test.want == "" {
				require.Nil(t, rejection)
				return
			}
			require.NotNil(t, rejection)
			require.Equal(t, test.want, rejection.Code)
		})
	}
	require.Equal(t, CodeEffectiveTooFar, Decide(&known, Change{Type: "name-changed", Effective: today}, "no day").Code)
	require.Equal(t, CodeEffectiveTooFar, Decide(&known, Change{Type: "name-changed", Effective: "2029-02-28"}, "2028-02-28").Code,
		"a leap year has 366 days")
	require.Nil(t, Decide(&known, Change{Type: "name-changed", Effective: "2029-02-27"}, "2028-02-28"))
}

// letters is the table once more, as INTERFACES.md gives it, by letter.
var letters = map[string][]string{
	"A": {"NL"}, "B": {"NS"}, "C": {"PE"}, "E": {"NB"}, "G": {"QC"}, "H": {"QC"}, "J": {"QC"}, "K": {"ON"}, "L": {"ON"}, "M": {"ON"}, "N": {"ON"},
	"P": {"ON"}, "R": {"MB"}, "S": {"SK"}, "T": {"AB"}, "V": {"BC"}, "X": {"NT", "NU"}, "Y": {"YT"},
}

func TestPostalCodesOfEveryProvince(t *testing.T) {
	t.Parallel()
	p := &Profile{Registered: true}
	provinces := []string{"NL", "NS", "PE", "NB", "QC", "ON", "MB", "SK", "AB", "BC", "NT", "NU", "YT", "ZZ"}
	for letter := 'A'; letter <= 'Z'; letter++ {
		for _, province := range provinces {
			want := false
			for _, allowed := range letters[string(letter)] {
				want = want || allowed == province
			}
			rejection := Decide(p, move(province, string(letter)+"1A 1A1", "CA"), today)
			require.Equal(t, want, rejection == nil, "%c in %s", letter, province)
			if rejection != nil {
				require.Equal(t, CodePostalCodeProvince, rejection.Code)
			}
			require.Nil(t, Decide(p, move(province, string(letter)+"1A 1A1", "US"), today), "another country")
		}
	}
}

func TestPostalCodeNeedsBoth(t *testing.T) {
	t.Parallel()
	p := &Profile{Registered: true}
	require.Nil(t, Decide(p, move("", "H2X 1Y4", "CA"), today))
	require.Nil(t, Decide(p, move("ON", "", "CA"), today))
	require.Nil(t, Decide(p, move("ON", "H2X 1Y4", ""), today))
	corrected := move("ON", "H2X 1Y4", "CA")
	corrected.Corrects = 7
	require.Equal(t, "/data/data/postal_code", *Decide(p, corrected, today).Pointer, "the data in the correction's data")
	odd := move("ON", "H2X 1Y4", "CA")
	odd.Data["postal_code"] = 7
	require.Nil(t, Decide(p, odd, today), "not a text: the schema's matter")
	require.NotNil(t, Decide(p, move("ON", "é2X 1Y4", "CA"), today))
}

// TestDecideNeverPanics, whatever the schema let pass.
func TestDecideNeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := Change{
			Type: rapid.SampledFrom([]string{PersonRegistered, ConsentWithdrawn, "address-changed", ""}).Draw(t, "type"), Effective: rapid.String().Draw(t, "effective"),
			Data: map[string]any{"country": "CA", "province": rapid.String().Draw(t, "province"), "postal_code": rapid.String().Draw(t, "code")},
		}
		rejection := Decide(&Profile{Registered: rapid.Bool().Draw(t, "registered")}, c, today)
		if rejection != nil {
			require.Contains(t, Codes(), rejection.Code)
			require.NotContains(t, strings.ReplaceAll(rejection.Error(), rejection.Code, ""), "CA")
		}
	})
}

// TestTheBoundIs365Days compares with a count of days.
func TestTheBoundIs365Days(t *testing.T) {
	t.Parallel()
	p := &Profile{Registered: true}
	rapid.Check(t, func(t *rapid.T) {
		recorded := time.Date(2026, 1, rapid.IntRange(1, 3000).Draw(t, "recorded"), 0, 0, 0, 0, time.UTC)
		ahead := rapid.IntRange(-400, 400).Draw(t, "ahead")
		c := Change{Type: "name-changed", Effective: recorded.Add(time.Duration(ahead) * 24 * time.Hour).Format(time.DateOnly)}
		require.Equal(t, ahead > 365, Decide(p, c, recorded.Format(time.DateOnly)) != nil)
	})
}
