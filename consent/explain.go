package consent

import (
	"strconv"
	"strings"
)

// Explain says one decision as a plain sentence: "fr" in French, else in English. It takes the agreement, the event type of the fact, the
// decision's reason and, where something is shared, the labels of the permitted fields in that language. An officer or the citizen may
// read it; nobody else, for it says why.
func Explain(a *Agreement, event string, reason Reason, labels []string, lang string) string {
	if lang == "fr" {
		return explainFR(a, event, reason, labels)
	}
	return explainEN(a, event, reason, labels)
}

func explainEN(a *Agreement, event string, reason Reason, labels []string) string {
	name := "“" + a.Title.EN + "”"
	when := conditionsOf(a, event)
	switch reason {
	case None:
		return "Shared with " + name + ", " + basisEN(a) + ": " + strings.Join(labels, ", ") + "."
	case Restricted:
		return "Not shared: this person’s information is protected, and " + name + " may not receive it."
	case NotInForce:
		return "Not shared: the agreement " + name + " was not in force on the day this was recorded."
	case NotLinked:
		return "Not shared: " + name + " is only for people who are clients of the ministry, and this person was not linked to it."
	case NoGrant:
		return "Not shared: " + name + " needs this person’s consent, and there was none."
	case NotVerified:
		return "Not shared: " + name + " only receives what a registrar has verified, and this was not."
	case MinAge:
		return "Not shared: " + name + " is only for people who are " + number(when.MinAge) + " or older on the effective date."
	case MaxAge:
		return "Not shared: " + name + " is only for people who are " + number(when.MaxAge) + " or younger on the effective date."
	case AddressKind:
		return "Not shared: " + name + " only receives addresses of this kind: " + words(when.AddressKind, addressKindEN, " or ") + "."
	case Province:
		return "Not shared: " + name + " only receives addresses in: " + words(when.Province, nil, " or ") + "."
	case NoFields:
		return "Not shared: this change holds nothing that " + name + " may receive."
	}
	return "Not shared with " + name + "."
}

func explainFR(a *Agreement, event string, reason Reason, labels []string) string {
	name := "«\u00a0" + a.Title.FR + "\u00a0»"
	when := conditionsOf(a, event)
	const not = "Non communiqué\u00a0: "
	switch reason {
	case None:
		return "Communiqué à " + name + ", " + basisFR(a) + "\u00a0: " + strings.Join(labels, ", ") + "."
	case Restricted:
		return not + "les renseignements de cette personne sont protégés, et " + name + " ne peut pas les recevoir."
	case NotInForce:
		return not + "l’entente " + name + " n’était pas en vigueur le jour de l’inscription."
	case NotLinked:
		return not + name + " ne vise que la clientèle du ministère, et aucun lien avec cette personne n’existait."
	case NoGrant:
		return not + name + " exige le consentement de cette personne, et il n’y en avait pas."
	case NotVerified:
		return not + name + " ne reçoit que ce qu’un registraire a vérifié, et ce renseignement ne l’était pas."
	case MinAge:
		return not + name + " ne vise que les personnes de " + number(when.MinAge) + "\u00a0ans ou plus à la date d’effet."
	case MaxAge:
		return not + name + " ne vise que les personnes de " + number(when.MaxAge) + "\u00a0ans ou moins à la date d’effet."
	case AddressKind:
		return not + name + " ne reçoit que ce genre d’adresse\u00a0: " + words(when.AddressKind, addressKindFR, " ou ") + "."
	case Province:
		return not + name + " ne reçoit que les adresses situées ici\u00a0: " + words(when.Province, nil, " ou ") + "."
	case NoFields:
		return not + "ce changement ne contient rien que " + name + " puisse recevoir."
	}
	return "Non communiqué à " + name + "."
}

// basisEN says on what a share rests. The law itself is named in one language only, so it stands beside the sentence, not in it.
func basisEN(a *Agreement) string {
	if a.Basis.Kind == BasisStatute {
		return "by law"
	}
	return "by consent"
}

func basisFR(a *Agreement) string {
	if a.Basis.Kind == BasisStatute {
		return "en vertu de la loi"
	}
	return "par consentement"
}

var (
	addressKindEN = map[string]string{AddressHome: "home", AddressMailing: "mailing"}
	addressKindFR = map[string]string{AddressHome: "domicile", AddressMailing: "adresse postale"}
)

// conditionsOf are those of the agreement's share of the type; none if it has no such share.
func conditionsOf(a *Agreement, event string) Conditions {
	if share := a.Share(event); share != nil {
		return share.When
	}
	return Conditions{}
}

// number is an age; a decision may be older than the agreement at hand, and then the condition can be gone.
func number(age *int) string {
	if age == nil {
		return "…"
	}
	return strconv.Itoa(*age)
}

// words joins what a condition names: its label where there is one.
func words(values []string, labels map[string]string, last string) string {
	var b strings.Builder
	for i, value := range values {
		if i > 0 && i < len(values)-1 {
			b.WriteString(", ")
		} else if i > 0 {
			b.WriteString(last)
		}
		if label, ok := labels[value]; ok {
			value = label
		}
		b.WriteString(value)
	}
	return b.String()
}
