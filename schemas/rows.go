package schemas

import "github.com/tellonce/hub/consent"

// The retention classes of what citizens tell (DESIGN.md, "The record"). The numbers are on the log.
const (
	classFacts    int16 = 1
	classEvidence int16 = 2
)

// Field is a member of an event's data that an agreement may share.
type Field struct {
	Name  string
	Label consent.Text
}

// Row is what the hub knows of an event type apart from its schema.
type Row struct {
	Type    string
	Version int16  // newest; older ones are upcast
	Class   int16  // retention class: 1 facts, 2 evidence
	Key     string // the data member that tells facts of this type apart (an address's kind), "" if there is one fact of the type
	Fact    bool   // a fact about the citizen, which agreements may share; else a consent, a link or the end of one, or about a fact
	About   bool   // about a fact that was told before: a correction, a cancellation …
	// Verified: a registrar's authority makes this type `verified`; everything else told is `asserted`.
	Verified bool
	// ACR is the log-in that a resident needs to tell this type: 1 for one factor, 2 for two (docs/sign-in.md). What is about a fact that was
	// told before needs that fact's.
	ACR int
	// Fields in bit order. Decisions on the log hold these bits: append only, never reorder or remove. A data member that is not here
	// is never shared.
	Fields []Field
	// Private are the members of a fact's data that no agreement can share; here for their labels.
	Private []Field
	Label   consent.Text
}

// FieldNames returns the names of the shareable fields in bit order.
func (r *Row) FieldNames() []string {
	names := make([]string, len(r.Fields))
	for i, field := range r.Fields {
		names[i] = field.Name
	}
	return names
}

func fact(eventType, en, fr string, fields ...Field) Row {
	return Row{Type: eventType, Version: 1, Class: classFacts, Fact: true, ACR: 1, Fields: fields, Label: consent.Text{EN: en, FR: fr}}
}

// about is a row of what is told about a fact that was told before.
func about(eventType, en, fr string) Row {
	return Row{Type: eventType, Version: 1, Class: classFacts, About: true, ACR: 1, Label: consent.Text{EN: en, FR: fr}}
}

func evidence(eventType, en, fr string) Row {
	return Row{Type: eventType, Version: 1, Class: classEvidence, ACR: 1, Label: consent.Text{EN: en, FR: fr}}
}

func field(name, en, fr string) Field { return Field{Name: name, Label: consent.Text{EN: en, FR: fr}} }

func (r Row) keyed(member string) Row { r.Key = member; return r }

func (r Row) private(members ...Field) Row { r.Private = members; return r }

func (r Row) verified() Row { r.Verified = true; return r }

func (r Row) twoFactors() Row { r.ACR = 2; return r }

// rows is the registry table. A new type: its schema and golden example in a folder of its name, and a row here.
func rows() []Row {
	return []Row{
		fact("person-registered", "Registration", "Inscription",
			field("given_names", "Given names", "Prénoms"),
			field("family_name", "Family name", "Nom de famille"),
			field("birth_date", "Date of birth", "Date de naissance"),
			field("language", "Preferred language", "Langue préférée"),
		).verified(),
		fact("address-changed", "Address", "Adresse",
			field("kind", "Kind of address", "Type d’adresse"),
			field("unit", "Unit", "Unité"),
			field("street", "Street", "Rue"),
			field("city", "City or town", "Ville"),
			field("province", "Province or territory", "Province ou territoire"),
			field("postal_code", "Postal code", "Code postal"),
			field("country", "Country", "Pays"),
		).keyed("kind"),
		fact("name-changed", "Name", "Nom",
			field("given_names", "Given names", "Prénoms"),
			field("family_name", "Family name", "Nom de famille"),
		).private(field("reason", "Reason", "Motif")).twoFactors(),
		fact("contact-changed", "Contact details", "Coordonnées",
			field("email", "E-mail address", "Adresse courriel"),
			field("phone", "Phone number", "Numéro de téléphone"),
		),
		fact("marital-status-changed", "Marital status", "État matrimonial",
			field("status", "Marital status", "État matrimonial"),
		).twoFactors(),
		fact("language-changed", "Preferred language", "Langue préférée",
			field("language", "Preferred language", "Langue préférée"),
		),
		fact("notice-preference-changed", "How notices reach you", "Moyen de recevoir les avis",
			field("channel", "Way to reach you", "Moyen de vous joindre"),
		),
		fact("birth-registered", "Birth of a child", "Naissance d’un enfant",
			field("child_given_names", "Given names of the child", "Prénoms de l’enfant"),
			field("child_family_name", "Family name of the child", "Nom de famille de l’enfant"),
			field("child_birth_date", "Date of birth of the child", "Date de naissance de l’enfant"),
		).verified().twoFactors(),
		fact("death-registered", "Death", "Décès",
			field("death_date", "Date of death", "Date du décès"),
			field("reported_by", "Reported by", "Signalé par"),
		).verified().twoFactors(),
		fact("death-reported", "Death reported", "Décès signalé").private(
			field("death_date", "Date of death", "Date du décès"),
			field("reported_by", "Reported by", "Signalé par"),
		).twoFactors(),
		about("death-corrected", "Death registered in error", "Décès inscrit par erreur"),
		about("change-corrected", "Correction", "Correction"),
		about("change-cancelled", "Cancellation", "Annulation"),
		about("change-verified", "Verification", "Vérification"),
		evidence("consent-granted", "Consent given", "Consentement donné"),
		evidence("consent-withdrawn", "Consent withdrawn", "Consentement retiré"),
		evidence("ministry-linked", "Linked to a ministry", "Lien établi avec un ministère"),
		evidence("ministry-unlinked", "No longer linked to a ministry", "Lien rompu avec un ministère"),
	}
}
