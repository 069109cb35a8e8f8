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
	CodeReferenceTaken     = "reference-taken"
	CodeEffectiveTooFar    = "effective-too-far"
	CodePostalCodeProvince = "postal-code-province"
	CodeUnknownAgreement   = "unknown-agreement"
	CodeNotByConsent       = "not-by-consent"
	CodeUnknownField       = "unknown-field"
	CodeNoSuchGrant        = "no-such-grant"
	CodeUnknownMinistry    = "unknown-ministry"
	CodeNotLinked          = "not-linked"
	CodeStalePreview       = "stale-preview" // the rules changed between preview and confirmation

	// Of corrections, deaths, proxies and erasure.
	CodeAlreadyCorrected = "already-corrected"
	CodeAlreadyErased    = "already-erased"
	CodeAlreadyVerified  = "already-verified"
	CodeCircularProxy    = "circular-proxy"
	CodeLegalHold        = "legal-hold"
	CodeNoSuchHold       = "no-such-hold"
	CodeNoSuchProxy      = "no-such-proxy"
	CodeNoCapacity       = "no-capacity" // a proxy, but not for this, or not now
	CodeNotDead          = "not-dead"
	CodeNotYourChange    = "not-your-change"
	CodeNoRestriction    = "no-such-restriction"
	CodeFrozen           = "frozen" // nothing may be told in the citizen's name
	CodeNotFrozen        = "not-frozen"
	CodeNoDispute        = "no-such-dispute" // or it is answered
	CodeNoRequest        = "no-such-request" // of what two people must do together
	CodeSamePerson       = "same-person"     // where two different people are needed: a proxy, a merge, an approval

	// Of agreements, by officers.
	CodeUnknownVersion  = "unknown-version"
	CodeAlreadyApproved = "already-approved"
	CodeOlderVersion    = "older-version"
	CodeAgreementEnded  = "agreement-ended"
	CodeStreamKept      = "stream-kept"
	CodeEndDate         = "end-date"
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
	{CodeReferenceTaken, at("/reference"),
		"This reference is already that of another person.",
		"Cette référence est déjà celle d’une autre personne."},
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
	{CodeAlreadyCorrected, at("/data/corrects"),
		"This was already corrected or cancelled, or is itself a correction. Tell a new change instead.",
		"Cette déclaration a déjà été corrigée ou annulée, ou elle est elle-même une correction. Déclarez plutôt un nouveau changement."},
	{CodeAlreadyErased, nil,
		"This has already been erased.",
		"Ces renseignements ont déjà été effacés."},
	{CodeLegalHold, nil,
		"An authority has ordered that this be kept. It can be erased once that order ends.",
		"Une autorité a ordonné de conserver ces renseignements. Ils pourront être effacés quand cet ordre prendra fin."},
	{CodeNoSuchHold, at("/data/authority"),
		"This authority has no hold on this person’s information.",
		"Cette autorité n’a pas ordonné de conserver les renseignements de cette personne."},
	{CodeAlreadyVerified, at("/data/verifies"),
		"This has already been verified.",
		"Ce renseignement a déjà été vérifié."},
	{CodeCircularProxy, at("/data/proxy"),
		"This person is already represented by the other one, directly or through somebody else.",
		"Cette personne est déjà représentée par l’autre, directement ou par l’entremise d’un tiers."},
	{CodeNoCapacity, at("/person"),
		"You may not do this for this person, or not at this time.",
		"Vous ne pouvez pas faire cela pour cette personne, ou pas en ce moment."},
	{CodeNoSuchProxy, at("/data/proxy"),
		"Nobody of this name may act for this person.",
		"Aucune personne ainsi désignée ne peut agir pour cette personne."},
	{CodeNotDead, at("/person"),
		"No death is registered for this person.",
		"Aucun décès n’est inscrit pour cette personne."},
	{CodeNotYourChange, at("/data/corrects"),
		"This person has told no such change.",
		"Cette personne n’a pas déclaré ce changement."},
	{CodeSamePerson, nil,
		"Two different people are needed for this. This is one and the same person.",
		"Il faut deux personnes différentes. Ici, il s’agit d’une seule et même personne."},
	{CodeNoRestriction, at("/person"),
		"This person is not protected, so there is nothing to lift.",
		"Cette personne n’est pas protégée; il n’y a donc rien à lever."},
	{CodeFrozen, at("/person"),
		"Changes in this person’s name are stopped, because somebody said that a change was not theirs. Consents can still be withdrawn. " +
			"An officer can let changes go on.",
		"Les changements au nom de cette personne sont bloqués, car quelqu’un a signalé un changement qui n’était pas le sien. Les consentements " +
			"peuvent toujours être retirés. Un agent peut lever ce blocage."},
	{CodeNotFrozen, at("/person"),
		"Changes in this person’s name are not stopped.",
		"Les changements au nom de cette personne ne sont pas bloqués."},
	{CodeNoDispute, nil,
		"There is no such objection, or it has been answered.",
		"Cette contestation n’existe pas, ou une réponse y a déjà été donnée."},
	{CodeNoRequest, at("/request"),
		"There is no such request, or it is older than 24 hours, or it was for something else. Ask again.",
		"Cette demande n’existe pas, date de plus de 24 heures ou visait autre chose. Présentez-la de nouveau."},
	{CodeUnknownVersion, at("/version"),
		"No such version of an agreement was proposed.",
		"Aucune version semblable d’une entente n’a été proposée."},
	{CodeAlreadyApproved, at("/version"),
		"This version is approved already.",
		"Cette version est déjà approuvée."},
	{CodeOlderVersion, at("/version"),
		"A newer version of this agreement was approved already. Propose this one under a higher number.",
		"Une version plus récente de cette entente a déjà été approuvée. Proposez celle-ci sous un numéro plus élevé."},
	{CodeAgreementEnded, at("/version"),
		"This agreement has ended. It can come back under a higher version number.",
		"Cette entente a pris fin. Elle peut revenir sous un numéro de version plus élevé."},
	{CodeStreamKept, nil,
		"This stream is open already, with another ministry or another number of lanes, and keeps them.",
		"Ce flux est déjà ouvert, avec un autre ministère ou un autre nombre de voies, et les garde."},
	{CodeEndDate, at("/date"),
		"An agreement ends today, or on an earlier day on which it was in force. For a later end, propose a version whose validity ends then.",
		"Une entente prend fin aujourd’hui, ou un jour passé où elle était en vigueur. Pour une fin à venir, proposez une version dont la validité se termine ce jour-là."},
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
