package schemas

// The codes of what can be wrong with a line before anybody looks at the person it is about (INTERFACES.md, "Import").
const (
	CodeMalformed   = "malformed-json"
	CodeUnknownType = "unknown-type"
	CodeSchema      = "schema"
)

// Problem says what is wrong with an input, without any of its values.
type Problem struct {
	Code string
	// Pointer is a JSON pointer (RFC 6901): the failing value, or for a missing or an unknown member the object that lacks or holds it.
	// Nil where the whole input is no JSON object; "" is that object itself.
	Pointer *string
	// Rule names what was broken, for a page to choose its sentence by: "required", "unknown-member", "type", "enum", a format's
	// name, or another keyword of JSON Schema.
	Rule string
	// Member is the missing member's name with rule "required", else empty: a name that a schema does not know may be personal data.
	Member string
	// Detail is an English sentence that names the rule, never the value.
	Detail string
}

func malformed(detail string) *Problem {
	return &Problem{Code: CodeMalformed, Rule: "json", Detail: detail}
}

func schemaProblem(pointer, rule, member string) *Problem {
	return &Problem{Code: CodeSchema, Pointer: &pointer, Rule: rule, Member: member, Detail: detailOf(rule, member)}
}

// detailOf is the sentence of a rule.
func detailOf(rule, member string) string {
	switch rule {
	case "required":
		return "the member " + member + " is missing"
	case "unknown-member":
		return "there is a member that does not belong here"
	case "type":
		return "the value has the wrong JSON type"
	case "enum":
		return "the value is none of those allowed"
	case "minProperties":
		return "at least one member is needed"
	case "minItems":
		return "at least one item is needed"
	case "uniqueItems":
		return "an item occurs twice"
	case "pattern":
		return "the value has not the form it must have"
	case "minLength", "maxLength":
		return "the text is too short or too long"
	case formatText:
		return "must be 1 to 200 letters, digits, spaces and name punctuation, with at least one letter or digit"
	case formatPostalCode:
		return "must be a text of at most 20 characters"
	case formatPhone:
		return "must be an E.164 number: + and 7 to 15 digits"
	case formatEmail:
		return "must be an e-mail address"
	case formatDate:
		return "must be a real date, YYYY-MM-DD"
	case formatUUID:
		return "must be a UUID"
	case "date-time":
		return "must be an RFC 3339 time in UTC with a Z"
	case "reference":
		return "must be 1 to 64 printable ASCII characters"
	}
	return "the value breaks the rule " + rule
}
