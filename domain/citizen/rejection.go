package citizen

// The codes of why a command is refused, as INTERFACES.md lists them: those of the whole way in, so that each has its sentence here.
const (
	CodeMalformedJSON      = "malformed-json"
	CodeUnknownType        = "unknown-type"
	CodeSchema             = "schema"
	CodeCommandReused      = "command-reused"
	CodeUnknownPerson      = "unknown-person"
	CodePersonExists       = "person-exists"
	CodePersonDeceased     = "person-deceased"
	CodeEffectiveTooFar    = "effective-too-far"
	CodePostalCodeProvince = "postal-code-province"
	CodeUnknownAgreement   = "unknown-agreement"
	CodeNotByConsent       = "not-by-consent"
	CodeUnknownField       = "unknown-field"
	CodeNoSuchGrant        = "no-such-grant"
	CodeUnknownMinistry    = "unknown-ministry"
	CodeNotLinked          = "not-linked"
	CodeStalePreview       = "stale-preview" // the rules changed between preview and confirmation
)

// reason is what a code comes with: the usual pointer (nil for none, or for one that only the caller knows) and its sentences.
type reason struct {
	code    string
	pointer *string
	en, fr  string
}

var reasons = []reason{
	{CodeMalformedJSON, nil,
		"This is not one well-formed JSON object.",
		"Ceci n’est pas un objet JSON bien formé."},
	{CodeUnknownType, at("/type"),
		"There is no change of this type.",
		"Aucun changement de ce type n’existe."},
	{CodeSchema, nil,
		"Something is missing here, or does not have the right form.",
		"Il manque quelque chose ici, ou la forme n’est pas la bonne."},
	{CodeCommandReused, at("/id"),
		"This number was already used for something else. Send the change again under a new number.",
		"Ce numéro a déjà servi à autre chose. Envoyez le changement de nouveau sous un autre numéro."},
	{CodeUnknownPerson, at("/person"),
		"This person is not registered.",
		"Cette personne n’est pas inscrite."},
	{CodePersonExists, at("/person"),
		"This person is already registered.",
		"Cette personne est déjà inscrite."},
	{CodePersonDeceased, nil,
		"A death is registered for this person. No further changes can be told.",
		"Un décès est inscrit pour cette personne. Aucun autre changement ne peut être déclaré."},
	{CodeEffectiveTooFar, at("/effective"),
		"The date is more than 365 days ahead. Choose an earlier date.",
		"La date est dans plus de 365 jours. Choisissez une date plus proche."},
	{CodePostalCodeProvince, at("/data/postal_code"),
		"This postal code is not in that province. Check both.",
		"Ce code postal ne se trouve pas dans cette province. Vérifiez les deux."},
	{CodeUnknownAgreement, at("/data/agreement"),
		"There is no such agreement in force.",
		"Aucune entente de ce nom n’est en vigueur."},
	{CodeNotByConsent, at("/data/agreement"),
		"This agreement rests on a law. It needs no consent, so none can be given.",
		"Cette entente repose sur une loi. Elle n’exige pas de consentement; il ne peut donc pas en être donné."},
	{CodeUnknownField, nil,
		"This agreement does not share this field.",
		"Cette entente ne prévoit pas la communication de ce renseignement."},
	{CodeNoSuchGrant, at("/data/agreement"),
		"There is no consent to withdraw.",
		"Il n’y a pas de consentement à retirer."},
	{CodeUnknownMinistry, at("/data/ministry"),
		"No agreement names this ministry.",
		"Aucune entente ne nomme ce ministère."},
	{CodeNotLinked, at("/data/ministry"),
		"There is no link to this ministry to end.",
		"Il n’y a pas de lien avec ce ministère à supprimer."},
	{CodeStalePreview, nil,
		"The rules have changed since you looked. Check again who will be told.",
		"Les règles ont changé depuis votre vérification. Vérifiez de nouveau qui sera informé."},
}

func at(pointer string) *string { return &pointer }

// Codes are all codes, in the order of the table.
func Codes() []string {
	codes := make([]string, len(reasons))
	for i := range reasons {
		codes[i] = reasons[i].code
	}
	return codes
}

// Rejection says why a command is refused, for machines (code, pointer) and for people (Sentence).
type Rejection struct {
	Code    string
	Pointer *string // JSON pointer (RFC 6901) into the line, "" the line itself; nil: there is no pointer member
}

// Reject makes a rejection with the code's usual pointer.
func Reject(code string) *Rejection {
	r := &Rejection{Code: code}
	if known := find(code); known != nil && known.pointer != nil {
		r.Pointer = at(*known.pointer)
	}
	return r
}

// RejectAt makes a rejection with a pointer that only the caller knows.
func RejectAt(code, pointer string) *Rejection { return &Rejection{Code: code, Pointer: &pointer} }

// Error is the code and the pointer, never a value.
func (r *Rejection) Error() string {
	if r.Pointer == nil {
		return r.Code
	}
	return r.Code + " at " + `"` + *r.Pointer + `"`
}

// Sentence says it to people: "fr" in French, else in English.
func (r *Rejection) Sentence(lang string) string {
	known := find(r.Code)
	if known == nil {
		known = &reason{en: "This can’t be accepted.", fr: "Cette demande ne peut pas être acceptée."}
	}
	if lang == "fr" {
		return known.fr
	}
	return known.en
}

func find(code string) *reason {
	for i := range reasons {
		if reasons[i].code == code {
			return &reasons[i]
		}
	}
	return nil
}
