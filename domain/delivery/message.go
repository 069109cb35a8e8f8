// Package delivery is the only door by which personal data leaves for a ministry. Pull, Kafka and replay differ only in how they send
// what this package numbered, wrote to the log and encoded.
package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// Encoder is the version of the bytes that build makes. A disclosed item names the encoder that gives it its bytes, for ever: a change
// that alters one byte needs a new version beside the old one, and golden bytes of its own.
const Encoder = 1

// The kinds of disclosed items that this package makes.
const (
	KindFact     = "fact"
	KindRecalled = "recalled"
)

// Cursor names one event of a stream: generations and numbers count from 1, lanes from 0.
type Cursor struct {
	Generation int
	Lane       int
	Number     int64
}

// ErrCursor refuses a text that is no cursor.
var ErrCursor = errors.New("delivery: a cursor is <generation>.<lane>.<number>, such as 1.0.42")

// String is the cursor as ministries see it.
func (c Cursor) String() string {
	return strconv.Itoa(c.Generation) + "." + strconv.Itoa(c.Lane) + "." + strconv.FormatInt(c.Number, 10)
}

// ParseCursor reads a cursor's text; it takes only the one spelling that String gives.
func ParseCursor(text string) (Cursor, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Cursor{}, ErrCursor
	}
	generation, err1 := strconv.Atoi(parts[0])
	lane, err2 := strconv.Atoi(parts[1])
	number, err3 := strconv.ParseInt(parts[2], 10, 64)
	c := Cursor{Generation: generation, Lane: lane, Number: number}
	if err1 != nil || err2 != nil || err3 != nil || generation < 1 || lane < 0 || number < 1 || c.String() != text {
		return Cursor{}, ErrCursor
	}
	return c, nil
}

// Attribute is one CloudEvents attribute. Every value is a string.
type Attribute struct{ Name, Value string }

// Message is one numbered CloudEvent: the same bytes for every adapter and every time.
type Message struct {
	Cursor     Cursor
	Attributes []Attribute // in INTERFACES.md's order
	Data       []byte      // RFC 8785; nil for a recalled one
	// Key groups a citizen's messages: the pairwise id. A recalled one keeps it, and its attributes don't show it.
	Key string
}

// Recalled says whether this is the placeholder of a number whose content is withheld for ever.
func (m *Message) Recalled() bool { return m.Data == nil }

// Structured is the CloudEvents JSON format of the message: attributes in order, then data.
func (m *Message) Structured() []byte {
	var b bytes.Buffer
	b.Grow(512 + len(m.Data))
	for i, a := range m.Attributes {
		b.WriteByte("{,"[min(i, 1)])
		writeString(&b, a.Name)
		b.WriteByte(':')
		writeString(&b, a.Value)
	}
	if m.Data != nil {
		b.WriteString(`,"data":`)
		b.Write(m.Data)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func writeString(b *bytes.Buffer, s string) {
	text, err := schemas.Canonical(s)
	if err != nil { // a string of this program's own making
		text = []byte(`""`)
	}
	b.Write(text)
}

// content is all that an item's bytes depend on.
type content struct {
	cursor    Cursor
	genesis   journal.Genesis
	stream    string
	item      journal.DisclosedItem
	entry     journal.Entry // the fact
	data      map[string]any
	fields    []string // of the fact type, in bit order
	pairwise  string
	reference string // the ministry's client reference; empty where the agreement does not send it
	verified  bool
}

// build encodes one item by encoder 1.
func build(c content) (Message, error) {
	data := make(map[string]any, len(c.fields)+1)
	for bit, name := range c.fields {
		if c.item.Fields&(1<<bit) != 0 {
			data[name] = c.data[name]
		}
	}
	if c.reference != "" {
		data["client_reference"] = c.reference
	}
	encoded, err := schemas.Canonical(data)
	if err != nil {
		return Message{}, fmt.Errorf("delivery: encode position %d: %w", c.item.Position, err)
	}
	assurance := "asserted"
	if c.verified {
		assurance = "verified"
	}
	schema := strconv.Itoa(int(c.item.Schema))
	return Message{Cursor: c.cursor, Data: encoded, Key: c.pairwise, Attributes: []Attribute{
		{"specversion", "1.0"},
		{"id", c.cursor.String()},
		{"source", source(c.genesis, c.stream)},
		{"type", "tellonce." + c.entry.Type + ".v" + schema},
		{"subject", c.pairwise},
		{"time", c.entry.RecordedAt.UTC().Truncate(time.Second).Format(time.RFC3339)},
		{"dataschema", c.genesis.BaseURL + "/schemas/" + c.entry.Type + "/" + schema},
		{"datacontenttype", "application/json"},
		{"kind", c.item.Kind},
		{"sequence", sequence(c.cursor.Number)},
		{"effective", c.entry.Meta.Effective},
		{"agreement", c.item.Agreement + "@" + strconv.Itoa(c.item.Version)},
		{"assurance", assurance},
	}}, nil
}

// placeholder is what a recalled number holds for ever.
func placeholder(cursor Cursor, genesis journal.Genesis, stream, key string) Message {
	return Message{Cursor: cursor, Key: key, Attributes: []Attribute{
		{"specversion", "1.0"},
		{"id", cursor.String()},
		{"source", source(genesis, stream)},
		{"type", "tellonce.recalled.v1"},
		{"kind", KindRecalled},
		{"sequence", sequence(cursor.Number)},
	}}
}

func source(g journal.Genesis, stream string) string { return g.BaseURL + "/streams/" + stream }

func sequence(number int64) string { return fmt.Sprintf("%012d", number) }

// MarshalJSON is the cursor's text.
func (c Cursor) MarshalJSON() ([]byte, error) { return []byte(`"` + c.String() + `"`), nil }
