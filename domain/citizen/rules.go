package citizen

import (
	"strings"
	"time"
)

// maxAhead is how many days after the date recorded a change may take effect.
const maxAhead = 365

// Decide says whether a citizen may tell a change on a day (the civil date recorded, ISO 8601): nil, or the first rule that refuses it,
// in the order of the table of reasons. The change is valid by its schema; one that corrects another is the fact as it should have been
// told, and a pointer into its data is into the data of the correction. A nil profile is one of whom nothing was told. What an agreement
// must allow (grants, links), and whether what is corrected stands, is not decided here.
func Decide(p *Profile, c Change, today string) *Rejection {
	if p == nil {
		p = &Profile{}
	}
	for _, rule := range rulesFor(&c) {
		if rejection := rule(p, &c, today); rejection != nil {
			return rejection
		}
	}
	return nil
}

type rule func(p *Profile, c *Change, today string) *Rejection

var (
	allRules = []rule{personKnown, personAlive, effectiveNear, postalCodeInProvince}
	// One can always withdraw: also after a death, and whatever the effective date says.
	withdrawalRules = []rule{personKnown}
	// What was told can be put right also after a death.
	correctionRules = []rule{personKnown, effectiveNear, postalCodeInProvince}
	livingRules     = []rule{personKnown, personDead, effectiveNear}
)

func rulesFor(c *Change) []rule {
	switch {
	case c.Type == ConsentWithdrawn:
		return withdrawalRules
	case c.Type == DeathCorrected:
		return livingRules
	case c.Corrects != 0, c.Type == ChangeCancelled, c.Type == ChangeVerified:
		return correctionRules
	}
	return allRules
}

// personKnown: registered once and only once, and before anything else is told.
func personKnown(p *Profile, c *Change, _ string) *Rejection {
	registering := c.Type == PersonRegistered && c.Corrects == 0
	if registering && p.Registered {
		return Reject(CodePersonExists)
	}
	if !registering && !p.Registered {
		return Reject(CodeUnknownPerson)
	}
	return nil
}

// personAlive: nothing is told after a registered death.
func personAlive(p *Profile, _ *Change, _ string) *Rejection {
	if p.Deceased {
		return Reject(CodePersonDeceased)
	}
	return nil
}

// personDead: a death is taken back only where one is registered.
func personDead(p *Profile, _ *Change, _ string) *Rejection {
	if !p.Deceased {
		return Reject(CodeNotDead)
	}
	return nil
}

// effectiveNear: not more than maxAhead days after the date recorded. The past has no bound. A date that can't be read is refused, too.
func effectiveNear(_ *Profile, c *Change, today string) *Rejection {
	effective, err := time.Parse(time.DateOnly, c.Effective)
	if err != nil {
		return Reject(CodeEffectiveTooFar)
	}
	recorded, err := time.Parse(time.DateOnly, today)
	if err != nil || effective.After(recorded.AddDate(0, 0, maxAhead)) {
		return Reject(CodeEffectiveTooFar)
	}
	return nil
}

// firstLetters are the first letters of a province's postal codes (Canada Post).
var firstLetters = map[string]string{
	"NL": "A", "NS": "B", "PE": "C", "NB": "E", "QC": "GHJ", "ON": "KLMNP", "MB": "R", "SK": "S", "AB": "T", "BC": "V",
	"NT": "X", "NU": "X", "YT": "Y",
}

// postalCodeInProvince: in Canada the first letter of a postal code tells the province. A change without the two is no matter of this rule.
func postalCodeInProvince(_ *Profile, c *Change, _ string) *Rejection {
	code, province := c.text("postal_code"), c.text("province")
	if c.text("country") != "CA" || code == "" || province == "" {
		return nil
	}
	if strings.Contains(firstLetters[province], code[:1]) {
		return nil
	}
	if c.Corrects != 0 {
		return RejectAt(CodePostalCodeProvince, "/data/data/postal_code")
	}
	return Reject(CodePostalCodeProvince)
}
