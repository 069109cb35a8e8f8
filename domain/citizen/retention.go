package citizen

import "time"

// The retention classes of what is held on a citizen (DESIGN.md, "The record"). The numbers are on the log.
const (
	ClassFacts    int16 = 1
	ClassEvidence int16 = 2
	ClassAccesses int16 = 3
	ClassContact  int16 = 4
)

// The rules by which something is kept. The codes are on the log.
const (
	KeptByRetention = "retention"
	KeptByHold      = "legal-hold"
)

// Retention is how long a class is kept once the citizen is not served any more. The laws are invented, and illustrate.
type Retention struct {
	Class  int16
	Years  int    // after the citizen's erasure, or for facts after a registered death; 0: at once when asked
	EN, FR string // what it is and why it is kept, for people to read
}

// retentions is the schedule.
var retentions = []Retention{
	{ClassFacts, factsAfterDeath,
		"What you told us. It is erased at once when you ask, and 10 years after a death.",
		"Ce que vous avez déclaré. Effacé dès que vous le demandez, et 10\u00a0ans après un décès."},
	{ClassEvidence, 7,
		"Proof of what was shared, with whom and why (Invented Records Act, section 4: 7 years).",
		"La preuve de ce qui a été communiqué, à qui et pourquoi (Loi fictive sur les documents, article 4\u00a0: 7\u00a0ans)."},
	{ClassAccesses, 2,
		"Who looked at your information and why (Invented Records Act, section 5: 2 years).",
		"Qui a consulté vos renseignements et pourquoi (Loi fictive sur les documents, article 5\u00a0: 2\u00a0ans)."},
	{ClassContact, 2,
		"Messages between you and us (Invented Records Act, section 6: 2 years).",
		"Les messages échangés avec vous (Loi fictive sur les documents, article 6\u00a0: 2\u00a0ans)."},
}

// factsAfterDeath is for how many years after a registered death facts are kept.
const factsAfterDeath = 10

// Retentions is the schedule, by class.
func Retentions() []Retention { return append([]Retention(nil), retentions...) }

// KeptUntil is the last day (ISO 8601) on which a class is kept, counted from a day; "" for a class without a schedule.
func KeptUntil(class int16, from time.Time) string {
	for _, r := range retentions {
		if r.Class == class {
			return from.AddDate(r.Years, 0, 0).Format(time.DateOnly)
		}
	}
	return ""
}

// KeptSentence says why a class is kept: "fr" in French, else in English.
func KeptSentence(class int16, law, lang string) string {
	if law == KeptByHold {
		if lang == "fr" {
			return "Une autorité a ordonné de conserver ces renseignements; ils seront effacés quand cet ordre prendra fin."
		}
		return "An authority has ordered that this be kept. It is erased once that order ends."
	}
	for _, r := range retentions {
		if r.Class == class && lang == "fr" {
			return r.FR
		}
		if r.Class == class {
			return r.EN
		}
	}
	return ""
}
