// Package delivery is the only door by which personal data leaves for a ministry. Pull, Kafka and replay differ only in how they send
// what this package numbered, wrote to the log and encoded.
package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// Encoder is the version of the bytes that build makes. A disclosed item names the encoder that gives it its bytes, for ever: a change
// that alters one byte needs a new version beside the old one, and golden bytes of its own.
const Encoder = 1

// The kinds of what a stream carries. The names are on the log.
const (
	KindFact       = "fact"
	KindSnapshot   = "snapshot"   // a value told before the grant, link or agreement under which it leaves
	KindCorrection = "correction" // takes the place of a value that was given
	// These hold no values.
	KindRetracted = "retracted"  // a value that was given is wrong
	KindEnded     = "ended"      // a grant, a link or an agreement is over
	KindLeftScope = "left-scope" // what holds now is outside what the agreement is about
	KindErased    = "erased"     // what was given under these numbers is erased here
	KindRekeyed   = "rekeyed"    // this subject is now known by another pairwise id
	KindSynthetic = "synthetic"  // made for a test, about nobody; of a type that it is told to look like, it holds invented values
	KindRecalled  = "recalled"   // of a number whose content is withheld for ever; no item on the log has it
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
	// Key groups a citizen's messages: the pairwise id. A recalled one keeps it, and its attributes don't show it. Empty where there is no
	// such id any more: of an erased, and of numbers that it names.
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
	at        time.Time // recorded at of the fact; of an item without values, of what made it due
	told      citizen.Change
	fields    []string // of the fact's type, in bit order
	pairwise  string
	reference string // the ministry's client reference; empty where the agreement does not send it
	kept      string // of a rekeyed: the pairwise id that stays
}

// build encodes one item by encoder 1.
func build(c content) (Message, error) {
	data, eventType := c.notice(), "tellonce."+c.item.Kind+".v1"
	synthetic := c.item.Kind == KindSynthetic
	values := placeOf(c.item.Kind) == placeValue || (synthetic && c.item.Schema > 0)
	schema := strconv.Itoa(int(c.item.Schema))
	if values {
		data, eventType = c.values(), "tellonce."+c.told.Type+".v"+schema
	}
	encoded, err := schemas.Canonical(data)
	if err != nil {
		return Message{}, fmt.Errorf("delivery: encode position %d: %w", c.item.Position, err)
	}
	m := Message{Cursor: c.cursor, Data: encoded, Key: c.pairwise}
	add := func(name, value string) {
		if value != "" {
			m.Attributes = append(m.Attributes, Attribute{name, value})
		}
	}
	m.Attributes = make([]Attribute, 0, 14)
	add("specversion", "1.0")
	add("id", c.cursor.String())
	add("source", source(c.genesis, c.stream))
	add("type", eventType)
	add("subject", c.pairwise)
	add("time", c.at.UTC().Truncate(time.Second).Format(time.RFC3339))
	if values {
		add("dataschema", c.genesis.BaseURL+"/schemas/"+c.told.Type+"/"+schema)
	}
	add("datacontenttype", "application/json")
	add("kind", c.item.Kind)
	add("sequence", sequence(c.cursor.Number))
	if values || synthetic {
		add("effective", c.told.Effective)
	}
	if c.item.Agreement != "" {
		add("agreement", c.item.Agreement+"@"+strconv.Itoa(c.item.Version))
	}
	if values || synthetic {
		add("assurance", map[bool]string{false: consent.AssuranceAsserted, true: consent.AssuranceVerified}[c.told.Verified])
	}
	if c.item.Corrects != 0 {
		add("corrects", Cursor{Generation: c.cursor.Generation, Lane: c.cursor.Lane, Number: c.item.Corrects}.String())
	}
	return m, nil
}

// values are the permitted fields of a fact.
func (c *content) values() map[string]any {
	data := make(map[string]any, len(c.fields)+1)
	for bit, name := range c.fields {
		if c.item.Fields&(1<<bit) != 0 {
			data[name] = c.told.Data[name]
		}
	}
	if c.reference != "" {
		data["client_reference"] = c.reference
	}
	return data
}

// notice is the data of an item without values. It is never nil, which would make a placeholder of it.
func (c *content) notice() map[string]any {
	data := map[string]any{}
	switch c.item.Kind {
	case KindErased:
		cursors := make([]any, len(c.item.Numbers))
		for i, number := range c.item.Numbers {
			cursors[i] = Cursor{Generation: c.cursor.Generation, Lane: c.cursor.Lane, Number: number}.String()
		}
		data["cursors"] = cursors
	case KindRekeyed:
		data["subject"] = c.kept
	case KindSynthetic:
		data["index"] = json.Number(strconv.Itoa(c.item.Index))
	}
	return data
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
