package ministry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// The kinds of events. Only the first three hold values (docs/ministry.md says what each asks of you).
const (
	KindFact       = "fact"
	KindSnapshot   = "snapshot"   // a value told before the grant, link or agreement under which you get it
	KindCorrection = "correction" // takes the place of the value in Corrects
	KindRetracted  = "retracted"  // the value in Corrects is wrong, and you may not know the right one
	KindEnded      = "ended"      // a grant, a link or an agreement is over for this subject
	KindLeftScope  = "left-scope" // what holds now is outside the agreement
	KindErased     = "erased"     // what you were given under these numbers is erased; see Event.Erased
	KindRekeyed    = "rekeyed"    // this subject is the person whom you know as Event.Rekeyed
	KindRecalled   = "recalled"   // the number's content is withheld for ever
	KindSynthetic  = "synthetic"  // made for a test, about nobody
)

// The values of Event.Assurance.
const (
	Asserted = "asserted" // a resident said so
	Verified = "verified" // a registrar's authority stands behind it
)

// Event is one CloudEvent of a stream. Empty members are those that events of its kind don't have.
type Event struct {
	Cursor    Cursor
	Stream    string          // such as moh.health-card
	Kind      string          // KindFact …
	Type      string          // the CloudEvents type, such as tellonce.address-changed.v1; see Event.Fact
	Subject   string          // the pairwise id: the same person in all of your events, and nothing in anybody else's
	Effective string          // the civil date from which it holds, such as 2026-04-01
	Agreement string          // <id>@<version>
	Assurance string          // Asserted or Verified
	Corrects  Cursor          // what a correction or a retraction is about
	Time      time.Time       // when it was recorded, to the second
	Schema    string          // the address of its data's JSON schema
	Data      json.RawMessage // nil for a recalled one
}

// ErrEvent refuses what is no event of a stream. Its text, as that of every error of this package, holds nothing of the event.
var ErrEvent = errors.New("ministry: no event of a stream")

const (
	typePrefix  = "tellonce."
	fencePrefix = "tellonce.fence."
)

// wire is an event in the JSON format of CloudEvents.
type wire struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	Schema      string          `json:"dataschema"`
	Kind        string          `json:"kind"`
	Sequence    string          `json:"sequence"`
	Effective   string          `json:"effective"`
	Agreement   string          `json:"agreement"`
	Assurance   string          `json:"assurance"`
	Corrects    string          `json:"corrects"`
	Data        json.RawMessage `json:"data"`
}

// ParseEvent reads one event in structured mode. Attributes that it doesn't know are left out. Errors: ErrEvent.
func ParseEvent(text []byte) (Event, error) {
	var w wire
	if json.Unmarshal(text, &w) != nil { // its error would quote the event
		return Event{}, fmt.Errorf("%w: not a JSON object with texts for attributes", ErrEvent)
	}
	return w.event()
}

// ParseBatch reads an array of events. Errors: ErrEvent.
func ParseBatch(text []byte) ([]Event, error) {
	var wires []wire
	if json.Unmarshal(text, &wires) != nil || wires == nil {
		return nil, fmt.Errorf("%w: not a JSON array of objects with texts for attributes", ErrEvent)
	}
	events := make([]Event, len(wires))
	for i := range wires {
		var err error
		if events[i], err = wires[i].event(); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (w *wire) event() (Event, error) {
	refuse := func(attribute string) (Event, error) {
		return Event{}, fmt.Errorf("%w: the attribute %s is missing or not as it must be", ErrEvent, attribute)
	}
	e := Event{
		Kind: w.Kind, Type: w.Type, Subject: w.Subject, Effective: w.Effective, Agreement: w.Agreement, Assurance: w.Assurance, Schema: w.Schema,
	}
	var err error
	if w.SpecVersion != "1.0" {
		return refuse("specversion")
	}
	if e.Cursor, err = ParseCursor(w.ID); err != nil {
		return refuse("id")
	}
	if _, name, ok := cutLast(w.Source, "/streams/"); !ok || name == "" {
		return refuse("source")
	} else {
		e.Stream = name
	}
	if !strings.HasPrefix(w.Type, typePrefix) {
		return refuse("type")
	}
	if w.Kind == "" {
		return refuse("kind")
	}
	if w.Sequence != fmt.Sprintf("%012d", e.Cursor.Number) {
		return refuse("sequence")
	}
	if err := e.Corrects.UnmarshalText([]byte(w.Corrects)); err != nil {
		return refuse("corrects")
	}
	if w.Time != "" {
		if e.Time, err = time.Parse(time.RFC3339, w.Time); err != nil {
			return refuse("time")
		}
	}
	if len(w.Data) > 0 && w.Kind != KindRecalled {
		e.Data = bytes.Clone(w.Data)
	}
	if refused := e.incomplete(); refused != "" {
		return refuse(refused)
	}
	return e, nil
}

// incomplete names an attribute without which an event of its kind can't be applied.
func (e *Event) incomplete() string {
	switch {
	case e.Kind == KindRecalled:
		return ""
	case !isObject(e.Data):
		return "data"
	case e.HasValues() && e.Effective == "":
		return "effective"
	case (e.Kind == KindCorrection || e.Kind == KindRetracted) && e.Corrects.IsZero():
		return "corrects"
	case e.Kind != KindErased && e.Subject == "":
		return "subject"
	}
	return ""
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// HasValues says whether the event holds something that was told: a fact, a snapshot or a correction.
func (e *Event) HasValues() bool {
	return e.Kind == KindFact || e.Kind == KindSnapshot || e.Kind == KindCorrection
}

// Fact is the type of what was told, such as address-changed, and the version of its shape; empty for other types.
func (e *Event) Fact() (name, version string) {
	name, version, ok := cutLast(strings.TrimPrefix(e.Type, typePrefix), ".v")
	if !ok {
		return "", ""
	}
	return name, version
}

// Erased are the cursors of an erased event: what they gave you must go. Errors: ErrEvent.
func (e *Event) Erased() ([]Cursor, error) {
	var data struct {
		Cursors []Cursor `json:"cursors"`
	}
	if e.Kind != KindErased || json.Unmarshal(e.Data, &data) != nil {
		return nil, fmt.Errorf("%w: no list of cursors that are erased", ErrEvent)
	}
	return data.Cursors, nil
}

// Rekeyed is the pairwise id by which the person of a rekeyed event is known from now on. Errors: ErrEvent.
func (e *Event) Rekeyed() (string, error) {
	var data struct {
		Subject string `json:"subject"`
	}
	if e.Kind != KindRekeyed || json.Unmarshal(e.Data, &data) != nil || data.Subject == "" {
		return "", fmt.Errorf("%w: no subject that stays", ErrEvent)
	}
	return data.Subject, nil
}

// Format prints the cursor and the kind alone, whatever the verb: events hold personal data.
func (e Event) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "event %s (%s)", e.Cursor, e.Kind) }

// LogValue is what a logger shows.
func (e Event) LogValue() slog.Value { return slog.StringValue(e.Cursor.String()) }

// isObject says whether a text is one JSON object.
func isObject(text []byte) bool {
	return json.Valid(text) && bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
}
