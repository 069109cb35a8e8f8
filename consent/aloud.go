package consent

import (
	"slices"
	"strconv"
	"strings"
)

// Labels are what people call an event type and its fields (in their order), in the language of a sentence.
type Labels func(event string, fields []string) (eventLabel string, fieldLabels []string)

// Aloud reads an agreement's rules as sentences, "fr" in French, else in English: what each share gives and when, then the rules that
// hold for all of them. The law that it rests on is not in it, for it is named in one language only.
func (a *Agreement) Aloud(lang string, labels Labels) []string {
	read, phrases := shareEN, aloudEN
	if lang == "fr" {
		read, phrases = shareFR, aloudFR
	}
	var out []string
	for i := range a.Shares {
		event, fields := labels(a.Shares[i].Event, a.Shares[i].Fields)
		out = append(out, read(event, fields, &a.Shares[i].When))
	}
	return append(out, a.phrases(phrases)...)
}

// The rules of an agreement that Aloud has a sentence for.
const (
	sayConsent = iota
	sayStatute
	sayAll
	sayLinked
	sayVerified
	sayProtected
	sayReference
	sayTold
	sayEffective
	saySnapshot
	sayNoSnapshot
	sayLeaving
)

var aloudEN = map[int]string{
	sayConsent:    "Nothing is shared without the person’s consent.",
	sayStatute:    "It is shared by law: no consent is asked.",
	sayAll:        "It concerns everybody.",
	sayLinked:     "It concerns only people who are clients of the ministry.",
	sayVerified:   "Only what a registrar has verified is shared.",
	sayProtected:  "Protected people’s information is shared, too.",
	sayReference:  "The ministry’s own reference for the person travels along.",
	sayTold:       "Each change is delivered at once.",
	sayEffective:  "Each change is delivered on its effective date.",
	saySnapshot:   "When a consent, a link or this version takes effect, the values that hold then are delivered, too.",
	sayNoSnapshot: "Only what is told afterwards is delivered.",
	sayLeaving:    "When somebody no longer meets a condition, the ministry is told so, without values.",
}

var aloudFR = map[int]string{
	sayConsent:    "Rien n’est communiqué sans le consentement de la personne.",
	sayStatute:    "La communication est prévue par la loi; aucun consentement n’est demandé.",
	sayAll:        "L’entente vise tout le monde.",
	sayLinked:     "L’entente ne vise que la clientèle du ministère.",
	sayVerified:   "Seul ce qu’un registraire a vérifié est communiqué.",
	sayProtected:  "Les renseignements des personnes protégées sont aussi communiqués.",
	sayReference:  "La référence que le ministère a donnée à la personne est jointe.",
	sayTold:       "Chaque changement est transmis aussitôt.",
	sayEffective:  "Chaque changement est transmis à sa date d’effet.",
	saySnapshot:   "Quand un consentement, un lien ou cette version prend effet, les valeurs alors en vigueur sont aussi transmises.",
	sayNoSnapshot: "Seul ce qui est déclaré par la suite est transmis.",
	sayLeaving:    "Quand une personne ne remplit plus une condition, le ministère en est informé, sans les valeurs.",
}

func (a *Agreement) phrases(of map[int]string) []string {
	say := []int{sayConsent, sayAll}
	if a.Basis.Kind == BasisStatute {
		say[0] = sayStatute
	}
	if a.Population == PopulationLinked {
		say[1] = sayLinked
	}
	for _, rule := range []struct {
		holds   bool
		yes, no int
	}{
		{a.MinAssurance == AssuranceVerified, sayVerified, -1}, {a.ReceivesProtected, sayProtected, -1}, {a.ClientReference, sayReference, -1},
		{a.Deliver == DeliverEffective, sayEffective, sayTold}, {a.Snapshot, saySnapshot, sayNoSnapshot},
		{a.OnLeaving == LeavingNotify, sayLeaving, -1},
	} {
		if rule.holds {
			say = append(say, rule.yes)
		} else if rule.no >= 0 {
			say = append(say, rule.no)
		}
	}
	out := make([]string, len(say))
	for i := range say {
		out[i] = of[say[i]]
	}
	return out
}

func shareEN(event string, fields []string, when *Conditions) string {
	var b strings.Builder
	b.WriteString("“" + event + "” is shared: " + strings.Join(fields, ", "))
	if when.MinAge != nil {
		b.WriteString("; only of people who are " + number(when.MinAge) + " or older on the effective date")
	}
	if when.MaxAge != nil {
		b.WriteString("; only of people who are " + number(when.MaxAge) + " or younger on the effective date")
	}
	if len(when.AddressKind) > 0 {
		b.WriteString("; only addresses of this kind: " + words(when.AddressKind, addressKindEN, " or "))
	}
	if len(when.Province) > 0 {
		b.WriteString("; only addresses in: " + words(when.Province, nil, " or "))
	}
	return b.String() + "."
}

func shareFR(event string, fields []string, when *Conditions) string {
	var b strings.Builder
	b.WriteString("«\u00a0" + event + "\u00a0» est communiqué\u00a0: " + strings.Join(fields, ", "))
	if when.MinAge != nil {
		b.WriteString("; seulement pour les personnes de " + number(when.MinAge) + "\u00a0ans ou plus à la date d’effet")
	}
	if when.MaxAge != nil {
		b.WriteString("; seulement pour les personnes de " + number(when.MaxAge) + "\u00a0ans ou moins à la date d’effet")
	}
	if len(when.AddressKind) > 0 {
		b.WriteString("; seulement les adresses de ce genre\u00a0: " + words(when.AddressKind, addressKindFR, " ou "))
	}
	if len(when.Province) > 0 {
		b.WriteString("; seulement les adresses situées ici\u00a0: " + words(when.Province, nil, " ou "))
	}
	return b.String() + "."
}

// Sentences says a difference in words, a sentence for each change, "fr" in French, else in English; none where nothing differs.
func (d Difference) Sentences(lang string, labels Labels) []string {
	var out []string
	for i := range d.Changes {
		out = append(out, d.Changes[i].sentences(lang, labels)...)
	}
	return out
}

func (c *Change) sentences(lang string, labels Labels) []string {
	open, end, colon, now := "“", "”", ": ", " (until now: "
	more, less, cited := "More is shared of ", "No longer shared of ", "The law that is cited changes."
	if lang == "fr" {
		open, end, colon, now = "«\u00a0", "\u00a0»", "\u00a0: ", " (jusqu’ici\u00a0: "
		more, less, cited = "Communiqué en plus, de ", "N’est plus communiqué, de ", "La loi citée change."
	}
	switch c.What {
	case WhatReference:
		return []string{cited}
	case WhatFields:
		var out []string
		for _, part := range []struct {
			says   string
			fields []string
		}{{more, c.Gained}, {less, c.Lost}} {
			if len(part.fields) > 0 {
				event, names := labels(c.Event, part.fields)
				out = append(out, part.says+open+event+end+colon+strings.Join(names, ", ")+".")
			}
		}
		return out
	}
	from, to := c.From.In(lang), c.To.In(lang)
	if c.What == WhatTitle || c.What == WhatPurpose {
		from, to = open+from+end, open+to+end
	}
	label := whatLabels[c.What].In(lang)
	if c.Event != "" {
		event, _ := labels(c.Event, nil)
		label += " (" + event + ")"
	}
	return []string{label + colon + to + now + from + ")."}
}

// whatLabels are what people call the parts of an agreement.
var whatLabels = map[string]Text{
	WhatMinAge:            {"Minimum age", "Âge minimal"},
	WhatMaxAge:            {"Maximum age", "Âge maximal"},
	WhatAddressKind:       {"Kinds of address", "Genres d’adresse"},
	WhatProvince:          {"Provinces of the address", "Provinces de l’adresse"},
	WhatBasis:             {"Legal basis", "Fondement juridique"},
	WhatPopulation:        {"Whom it concerns", "Personnes visées"},
	WhatMinAssurance:      {"What is taken", "Renseignements admis"},
	WhatReceivesProtected: {"Protected people’s information", "Renseignements des personnes protégées"},
	WhatClientReference:   {"The ministry’s own reference travels along", "La référence du ministère est jointe"},
	WhatMinistry:          {"Ministry", "Ministère"},
	WhatStream:            {"Stream", "Flux"},
	WhatLanes:             {"Lanes of the stream", "Voies du flux"},
	WhatValidFrom:         {"In force from", "En vigueur à compter du"},
	WhatValidUntil:        {"In force through", "En vigueur jusqu’au"},
	WhatDeliver:           {"Delivered", "Transmission"},
	WhatSnapshot:          {"Values that already hold are delivered, too", "Les valeurs déjà en vigueur sont aussi transmises"},
	WhatOnLeaving:         {"Told when a condition is no longer met", "Avis quand une condition n’est plus remplie"},
	WhatTitle:             {"Title", "Titre"},
	WhatPurpose:           {"Purpose", "But"},
}

func both(text string) Text { return Text{text, text} }

func ageWords(age *int) Text {
	if age == nil {
		return Text{"none", "aucun"}
	}
	return both(strconv.Itoa(*age))
}

func kindWords(kinds []string) Text {
	if len(kinds) == 0 {
		return Text{"any", "tous"}
	}
	kinds = slices.Sorted(slices.Values(kinds))
	return Text{words(kinds, addressKindEN, ", "), words(kinds, addressKindFR, ", ")}
}

func provinceWords(provinces []string) Text {
	if len(provinces) == 0 {
		return Text{"any", "toutes"}
	}
	return both(sorted(provinces))
}

func basisWords(a *Agreement) Text {
	if a.Basis.Kind == BasisStatute {
		return Text{"by law", "en vertu de la loi"}
	}
	return Text{"by consent", "par consentement"}
}

func populationWords(a *Agreement) Text {
	if a.Population == PopulationLinked {
		return Text{"clients of the ministry", "la clientèle du ministère"}
	}
	return Text{"everybody", "tout le monde"}
}

func assuranceWords(a *Agreement) Text {
	if a.MinAssurance == AssuranceVerified {
		return Text{"only what a registrar has verified", "seulement ce qu’un registraire a vérifié"}
	}
	return Text{"also what nobody has verified", "aussi ce que personne n’a vérifié"}
}

func deliverWords(a *Agreement) Text {
	if a.Deliver == DeliverEffective {
		return Text{"on the effective date", "à la date d’effet"}
	}
	return Text{"at once", "aussitôt"}
}

func dateWords(d Date) Text {
	if d == 0 {
		return Text{"no date", "aucune date"}
	}
	return both(d.String())
}

func yesNo(b bool) Text {
	if b {
		return Text{"yes", "oui"}
	}
	return Text{"no", "non"}
}
