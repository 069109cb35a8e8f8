package consent_test

import (
	"fmt"

	"github.com/tellonce/hub/consent"
)

// A newsletter needs a grant and an age; a resident who gave the one and has the other is told on, with the fields that are left.
func ExampleDecide() {
	sixteen := 16
	rules, err := consent.Compile([]consent.Agreement{{
		ID: "arts-newsletter", Version: 1, Ministry: "arts", Title: consent.Text{EN: "Arts newsletter", FR: "Infolettre des arts"},
		Basis: consent.Basis{Kind: consent.BasisConsent}, Population: consent.PopulationAll,
		Shares: []consent.Share{{Event: "contact-changed", Fields: []string{"email"}, When: consent.Conditions{MinAge: &sixteen}}},
	}}, func(string) []string { return []string{"email", "phone"} })
	if err != nil {
		fmt.Println(err)
		return
	}
	change := consent.Fact{Type: "contact-changed", Carried: 0b11, Effective: 20260301, Recorded: 20260301}
	resident := &consent.Standing{Born: 20000615}
	explain := func() {
		for _, d := range consent.Decide(nil, rules, resident, &change) {
			names := rules.Names(change.Type, d.Fields)
			fmt.Println(consent.Explain(rules.Agreement(d.Agreement), change.Type, d.Reason, names, "en"))
		}
	}
	explain()
	resident.Granted(42, "arts-newsletter", 1, nil)
	explain()
	// Output:
	// Not shared: “Arts newsletter” needs this person’s consent, and there was none.
	// Shared with “Arts newsletter”, by consent: email.
}
