package schemas

import "time"

// Line is one line of an import, or what a call of the API comes to: a command with its envelope.
type Line struct {
	ID        string // the command id, a UUID as it was sent
	Person    string // the source's reference: 1 to 64 printable ASCII characters
	Channel   string // web, phone, counter or post
	Type      string // an event type of the registry
	Effective string // a real civil date, YYYY-MM-DD
	ToldAt    time.Time
	// Data is normalised and valid. Canonical are its RFC 8785 bytes.
	Data      map[string]any
	Canonical []byte
	// Content are the RFC 8785 bytes of the whole line as it was sent, before trimming and NFC: what makes two commands of one id the
	// same. Nil if the line holds a number beyond the range of a double (no valid line holds a number).
	Content []byte
}

// The members of a line, in canonical order.
const (
	memberChannel   = "channel"
	memberData      = "data"
	memberEffective = "effective"
	memberID        = "id"
	memberPerson    = "person"
	memberToldAt    = "told_at"
	memberType      = "type"
)

// lineMembers is every member of a line; all are required.
var lineMembers = [...]string{memberChannel, memberData, memberEffective, memberID, memberPerson, memberToldAt, memberType}

// ParseLine reads and judges one line (without its line feed) in the order of INTERFACES.md: malformed-json, unknown-type, schema. With
// a problem the line holds what could be read, with Content, but neither Data nor Canonical; it is nil if it is no JSON object.
func (r *Registry) ParseLine(line []byte) (*Line, *Problem) {
	object, problem := ParseObject(line, MaxLine)
	if problem != nil {
		return nil, problem
	}
	parsed := &Line{}
	known, problem := r.readEnvelope(parsed, object)
	if problem != nil {
		parsed.Content, _ = Canonical(object) // nil, as documented, if a number has no canonical form
		return parsed, problem
	}
	data := object[memberData].(map[string]any) // readEnvelope has checked it
	normalised, changed, problems := r.judge(known, data)
	if problems != nil {
		parsed.Content, _ = Canonical(object)
		pointer := "/" + memberData + *problems[0].Pointer
		problems[0].Pointer = &pointer
		return parsed, &problems[0]
	}
	if err := parsed.seal(object, data, normalised, changed); err != nil {
		return parsed, schemaProblem("/"+memberData, "encoding", "") // unreachable: what was decoded can be encoded, and holds no number
	}
	return parsed, nil
}

// readEnvelope checks everything but the inside of data. unknown-type comes before every other fault of the envelope.
func (r *Registry) readEnvelope(line *Line, object map[string]any) (*shape, *Problem) {
	value, ok := object[memberType]
	if !ok {
		return nil, schemaProblem("", "required", memberType)
	}
	if line.Type, ok = value.(string); !ok {
		return nil, schemaProblem("/"+memberType, "type", "")
	}
	known, ok := r.byType[line.Type]
	if !ok {
		pointer := "/" + memberType
		return nil, &Problem{Code: CodeUnknownType, Pointer: &pointer, Rule: "type", Detail: "there is no such event type"}
	}
	for _, member := range lineMembers {
		if _, ok := object[member]; !ok {
			return nil, schemaProblem("", "required", member)
		}
	}
	if len(object) > len(lineMembers) {
		return nil, schemaProblem("", "unknown-member", "")
	}
	for _, check := range [...]struct {
		member string
		into   *string
		rule   string
		valid  func(string) bool
	}{
		{memberID, &line.ID, formatUUID, ValidUUID},
		{memberPerson, &line.Person, "reference", ValidReference},
		{memberChannel, &line.Channel, "enum", validChannel},
		{memberEffective, &line.Effective, formatDate, ValidDate},
	} {
		if *check.into, ok = object[check.member].(string); !ok {
			return nil, schemaProblem("/"+check.member, "type", "")
		}
		if !check.valid(*check.into) {
			return nil, schemaProblem("/"+check.member, check.rule, "")
		}
	}
	toldAt, ok := object[memberToldAt].(string)
	if !ok {
		return nil, schemaProblem("/"+memberToldAt, "type", "")
	}
	if line.ToldAt, ok = ParseInstant(toldAt); !ok {
		return nil, schemaProblem("/"+memberToldAt, "date-time", "")
	}
	if _, ok := object[memberData].(map[string]any); !ok {
		return nil, schemaProblem("/"+memberData, "type", "")
	}
	return known, nil
}

func validChannel(s string) bool {
	switch s {
	case "web", "phone", "counter", "post":
		return true
	}
	return false
}

// seal fills what is derived from a line that was found valid: it has exactly the members of a line. Data that needed no normalising
// is encoded once: its canonical bytes are a piece of the whole line's.
func (l *Line) seal(object, data, normalised map[string]any, changed bool) (err error) {
	content := make([]byte, 0, 512)
	begin := 0
	for i, member := range lineMembers {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		content = append(content, separator, '"')
		content = append(append(content, member...), '"', ':')
		if member == memberData {
			begin = len(content)
			if content, err = appendObject(content, data); err != nil {
				return err
			}
			l.Canonical = content[begin:len(content):len(content)]
			continue
		}
		if content, err = appendCanonical(content, object[member]); err != nil {
			return err
		}
	}
	l.Content = append(content, '}')
	l.Data = normalised
	if changed {
		l.Canonical, err = Canonical(normalised)
	}
	return err
}
