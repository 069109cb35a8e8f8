package consent

import (
	"strconv"
	"strings"
)

// Explain says one decision as a plain sentence: "fr" in French, else in English. It takes the agreement, the event type of the fact, the
// decision's reason and, where something is shared, the labels of the permitted fields in that language. An officer or the citizen may
// read it; nobody else, for it says why.
func Explain(a *Agreement, event string, reason Reason, labels []string, lang string) string {
	return say(toOfficer, a, event, reason, labels, lang)
}

// ExplainToCitizen says one decision to the person it is about: "fr" in French, else in English. saidNo says whether they withdrew their
// consent to the agreement, which is not the same as never having given it. The other arguments are those of Explain.
func ExplainToCitizen(a *Agreement, event string, reason Reason, saidNo bool, labels []string, lang string) string {
	if saidNo && reason == NoGrant {
		reason = withdrawn
	}
	return say(toCitizen, a, event, reason, labels, lang)
}

// What has a sentence of its own beside the reasons. None is what was shared by consent.
const (
	byLaw     Reason = 255 - iota
	withdrawn        // told to the person alone
	other            // a reason of a later version
)

// toOfficer and toCitizen are the sentences; the words in braces are filled in by say. The law itself is named in one language only, so it stands
// beside an officer's sentence, not in it.
var (
	toOfficer = map[Reason]Text{
		None:  {"Shared with {name}, by consent: {labels}.", "Communiqué à {name}, par consentement\u00a0: {labels}."},
		byLaw: {"Shared with {name}, by law: {labels}.", "Communiqué à {name}, en vertu de la loi\u00a0: {labels}."},
		Restricted: {
			"Not shared: this person’s information is protected, and {name} may not receive it.",
			"Non communiqué\u00a0: les renseignements de cette personne sont protégés, et {name} ne peut pas les recevoir.",
		},
		NotInForce: {
			"Not shared: the agreement {name} was not in force on the day this was recorded.",
			"Non communiqué\u00a0: l’entente {name} n’était pas en vigueur le jour de l’inscription.",
		},
		NotLinked: {
			"Not shared: {name} is only for people who are clients of the ministry, and this person was not linked to it.",
			"Non communiqué\u00a0: {name} ne vise que la clientèle du ministère, et aucun lien avec cette personne n’existait.",
		},
		NoGrant: {
			"Not shared: {name} needs this person’s consent, and there was none.",
			"Non communiqué\u00a0: {name} exige le consentement de cette personne, et il n’y en avait pas.",
		},
		NotVerified: {
			"Not shared: {name} only receives what a registrar has verified, and this was not.",
			"Non communiqué\u00a0: {name} ne reçoit que ce qu’un registraire a vérifié, et ce renseignement ne l’était pas.",
		},
		MinAge: {
			"Not shared: {name} is only for people who are {min} or older on the effective date.",
			"Non communiqué\u00a0: {name} ne vise que les personnes de {min}\u00a0ans ou plus à la date d’effet.",
		},
		MaxAge: {
			"Not shared: {name} is only for people who are {max} or younger on the effective date.",
			"Non communiqué\u00a0: {name} ne vise que les personnes de {max}\u00a0ans ou moins à la date d’effet.",
		},
		AddressKind: {
			"Not shared: {name} only receives addresses of this kind: {kinds}.",
			"Non communiqué\u00a0: {name} ne reçoit que ce genre d’adresse\u00a0: {kinds}.",
		},
		Province: {
			"Not shared: {name} only receives addresses in: {provinces}.",
			"Non communiqué\u00a0: {name} ne reçoit que les adresses situées ici\u00a0: {provinces}.",
		},
		NoFields: {
			"Not shared: this change holds nothing that {name} may receive.",
			"Non communiqué\u00a0: ce changement ne contient rien que {name} puisse recevoir.",
		},
		other: {"Not shared with {name}.", "Non communiqué à {name}."},
	}
	toCitizen = map[Reason]Text{
		None:       {"Shared with {name}: {labels}. You said yes to it.", "Communiqué à {name}\u00a0: {labels}. Vous avez dit oui."},
		byLaw:      {"Shared with {name}: {labels}. The law cited is: {law}.", "Communiqué à {name}\u00a0: {labels}. La loi invoquée est la suivante\u00a0: {law}."},
		Restricted: {"Your information is protected, and {name} may not receive it.", "Vos renseignements sont protégés, et {name} ne peut pas les recevoir."},
		NotInForce: {"The agreement {name} was not in force on that day.", "L’entente {name} n’était pas en vigueur ce jour-là."},
		NotLinked:  {"You are not linked to {name}.", "Vous n’avez pas de lien avec {name}."},
		NoGrant:    {"You have not said yes to {name}.", "Vous n’avez pas dit oui à {name}."},
		withdrawn:  {"You said no to {name}.", "Vous avez dit non à {name}."},
		NotVerified: {
			"{name} only receives what a registrar has verified, and what you told us was not.",
			"{name} ne reçoit que ce qu’un registraire a vérifié, et votre déclaration ne l’était pas.",
		},
		MinAge:      {"{name} is only for people who are {min} or older.", "{name} ne vise que les personnes de {min}\u00a0ans ou plus."},
		MaxAge:      {"{name} is only for people who are {max} or younger.", "{name} ne vise que les personnes de {max}\u00a0ans ou moins."},
		AddressKind: {"{name} only needs an address of this kind: {kinds}.", "{name} n’a besoin que de ce genre d’adresse\u00a0: {kinds}."},
		Province:    {"{name} only needs addresses in: {provinces}.", "{name} n’a besoin que des adresses situées ici\u00a0: {provinces}."},
		NoFields:    {"There is nothing in what you told us that {name} may receive.", "Rien dans ce que vous avez déclaré ne peut être communiqué à {name}."},
		other:       {"Not shared with {name}.", "Non communiqué à {name}."},
	}
)

// say fills in a sentence. What is filled in is not looked into again.
func say(sentences map[Reason]Text, a *Agreement, event string, reason Reason, labels []string, lang string) string {
	if reason == None && a.Basis.Kind == BasisStatute {
		reason = byLaw
	}
	text, ok := sentences[reason]
	if !ok {
		text = sentences[other]
	}
	name, kinds, or, law := "“"+a.Title.EN+"”", addressKindEN, " or ", "not named"
	if lang == "fr" {
		name, kinds, or, law = "«\u00a0"+a.Title.FR+"\u00a0»", addressKindFR, " ou ", "non précisée"
	}
	if a.Basis.Reference != "" {
		law = a.Basis.Reference
	}
	when := conditionsOf(a, event)
	return strings.NewReplacer(
		"{name}", name, "{labels}", strings.Join(labels, ", "), "{law}", law, "{min}", number(when.MinAge), "{max}", number(when.MaxAge),
		"{kinds}", words(when.AddressKind, kinds, or), "{provinces}", words(when.Province, nil, or),
	).Replace(text.In(lang))
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
