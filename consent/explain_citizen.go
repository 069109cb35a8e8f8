package consent

import "strings"

// ExplainToCitizen says one decision to the person it is about: "fr" in French, else in English. saidNo says whether they withdrew their
// consent to the agreement, which is not the same as never having given it. The other arguments are those of Explain.
func ExplainToCitizen(a *Agreement, event string, reason Reason, saidNo bool, labels []string, lang string) string {
	if lang == "fr" {
		return toCitizenFR(a, event, reason, saidNo, labels)
	}
	return toCitizenEN(a, event, reason, saidNo, labels)
}

func toCitizenEN(a *Agreement, event string, reason Reason, saidNo bool, labels []string) string {
	name := "“" + a.Title.EN + "”"
	when := conditionsOf(a, event)
	switch reason {
	case None:
		shared := "Shared with " + name + ": " + strings.Join(labels, ", ") + ". "
		if a.Basis.Kind == BasisStatute {
			return shared + "The law cited is: " + cited(a, "not named") + "."
		}
		return shared + "You said yes to it."
	case Restricted:
		return "Your information is protected, and " + name + " may not receive it."
	case NotInForce:
		return "The agreement " + name + " was not in force on that day."
	case NotLinked:
		return "You are not linked to " + name + "."
	case NoGrant:
		if saidNo {
			return "You said no to " + name + "."
		}
		return "You have not said yes to " + name + "."
	case NotVerified:
		return name + " only receives what a registrar has verified, and what you told us was not."
	case MinAge:
		return name + " is only for people who are " + number(when.MinAge) + " or older."
	case MaxAge:
		return name + " is only for people who are " + number(when.MaxAge) + " or younger."
	case AddressKind:
		return name + " only needs an address of this kind: " + words(when.AddressKind, addressKindEN, " or ") + "."
	case Province:
		return name + " only needs addresses in: " + words(when.Province, nil, " or ") + "."
	case NoFields:
		return "There is nothing in what you told us that " + name + " may receive."
	}
	return "Not shared with " + name + "."
}

func toCitizenFR(a *Agreement, event string, reason Reason, saidNo bool, labels []string) string {
	name := "«\u00a0" + a.Title.FR + "\u00a0»"
	when := conditionsOf(a, event)
	switch reason {
	case None:
		shared := "Communiqué à " + name + "\u00a0: " + strings.Join(labels, ", ") + ". "
		if a.Basis.Kind == BasisStatute {
			return shared + "La loi invoquée est la suivante\u00a0: " + cited(a, "non précisée") + "."
		}
		return shared + "Vous avez dit oui."
	case Restricted:
		return "Vos renseignements sont protégés, et " + name + " ne peut pas les recevoir."
	case NotInForce:
		return "L’entente " + name + " n’était pas en vigueur ce jour-là."
	case NotLinked:
		return "Vous n’avez pas de lien avec " + name + "."
	case NoGrant:
		if saidNo {
			return "Vous avez dit non à " + name + "."
		}
		return "Vous n’avez pas dit oui à " + name + "."
	case NotVerified:
		return name + " ne reçoit que ce qu’un registraire a vérifié, et votre déclaration ne l’était pas."
	case MinAge:
		return name + " ne vise que les personnes de " + number(when.MinAge) + "\u00a0ans ou plus."
	case MaxAge:
		return name + " ne vise que les personnes de " + number(when.MaxAge) + "\u00a0ans ou moins."
	case AddressKind:
		return name + " n’a besoin que de ce genre d’adresse\u00a0: " + words(when.AddressKind, addressKindFR, " ou ") + "."
	case Province:
		return name + " n’a besoin que des adresses situées ici\u00a0: " + words(when.Province, nil, " ou ") + "."
	case NoFields:
		return "Rien dans ce que vous avez déclaré ne peut être communiqué à " + name + "."
	}
	return "Non communiqué à " + name + "."
}

// cited is the statute as the agreement names it.
func cited(a *Agreement, none string) string {
	if a.Basis.Reference == "" {
		return none
	}
	return a.Basis.Reference
}
