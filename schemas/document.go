package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/gowebpki/jcs"

	"github.com/tellonce/hub/consent"
)

// document is an agreement as JSON: the shape of its YAML, with every default written out. It is on the log (agreement-proposed), so a
// member may be added, with a zero value that means what held before, but never changed or removed.
type document struct {
	ID                string          `json:"id"`
	Version           int             `json:"version"`
	Ministry          string          `json:"ministry"`
	Stream            string          `json:"stream"`
	Title             documentText    `json:"title"`
	Purpose           documentText    `json:"purpose"`
	Basis             documentBasis   `json:"basis"`
	Population        string          `json:"population"`
	ClientReference   bool            `json:"client_reference"`
	Shares            []documentShare `json:"shares"`
	Valid             documentValid   `json:"valid"`
	Lanes             int             `json:"lanes"`
	Deliver           string          `json:"deliver"`
	Snapshot          bool            `json:"snapshot"`
	ReceivesProtected bool            `json:"receives_protected"`
	OnLeaving         string          `json:"on_leaving"`
	MinAssurance      string          `json:"min_assurance,omitempty"`
}

type documentText struct {
	EN string `json:"en"`
	FR string `json:"fr"`
}

type documentBasis struct {
	Kind      string `json:"kind"`
	Reference string `json:"reference,omitempty"`
}

type documentShare struct {
	Event  string       `json:"event"`
	Fields []string     `json:"fields"`
	When   documentWhen `json:"when,omitzero"`
}

type documentWhen struct {
	MinAge      *int     `json:"min_age,omitempty"`
	MaxAge      *int     `json:"max_age,omitempty"`
	AddressKind []string `json:"address_kind,omitempty"`
	Province    []string `json:"province,omitempty"`
}

func (w documentWhen) IsZero() bool {
	return w.MinAge == nil && w.MaxAge == nil && len(w.AddressKind) == 0 && len(w.Province) == 0
}

type documentValid struct {
	From  string `json:"from,omitempty"`
	Until string `json:"until,omitempty"`
}

// MarshalDocument returns an agreement as canonical JSON (RFC 8785) in the shape of its YAML, for the log and the API. Two agreements
// are equal if their documents are.
func MarshalDocument(a consent.Agreement) []byte {
	d := document{
		ID: a.ID, Version: a.Version, Ministry: a.Ministry, Stream: a.Stream,
		Title: documentText(a.Title), Purpose: documentText(a.Purpose), Basis: documentBasis(a.Basis),
		Population: a.Population, ClientReference: a.ClientReference, Shares: make([]documentShare, len(a.Shares)),
		Valid: documentValid{From: a.ValidFrom.String(), Until: a.ValidUntil.String()},
		Lanes: a.Lanes, Deliver: a.Deliver, Snapshot: a.Snapshot, ReceivesProtected: a.ReceivesProtected, OnLeaving: a.OnLeaving,
		MinAssurance: a.MinAssurance,
	}
	for i, share := range a.Shares {
		d.Shares[i] = documentShare{Event: share.Event, Fields: share.Fields, When: documentWhen(share.When)}
	}
	// Neither step can fail: strings, integers and booleans always have a JSON form (broken UTF-8 is replaced), and what
	// encoding/json writes is JSON.
	written, _ := json.Marshal(d)
	canonical, _ := jcs.Transform(written)
	return canonical
}

// UnmarshalDocument reads what MarshalDocument wrote. A member it does not know is an error: it could be a condition, and an agreement
// read without one of its conditions would share too much.
func UnmarshalDocument(canonical []byte) (consent.Agreement, error) {
	var d document
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return consent.Agreement{}, fmt.Errorf("agreement document: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return consent.Agreement{}, errors.New("agreement document: something follows it")
	}
	a := consent.Agreement{
		ID: d.ID, Version: d.Version, Ministry: d.Ministry, Stream: d.Stream,
		Title: consent.Text(d.Title), Purpose: consent.Text(d.Purpose), Basis: consent.Basis(d.Basis),
		Population: d.Population, ClientReference: d.ClientReference, Shares: make([]consent.Share, len(d.Shares)),
		Lanes: d.Lanes, Deliver: d.Deliver, Snapshot: d.Snapshot, ReceivesProtected: d.ReceivesProtected, OnLeaving: d.OnLeaving,
		MinAssurance: d.MinAssurance,
	}
	for i, share := range d.Shares {
		a.Shares[i] = consent.Share{Event: share.Event, Fields: share.Fields, When: consent.Conditions(share.When)}
	}
	for _, bound := range []struct {
		text string
		into *consent.Date
	}{{d.Valid.From, &a.ValidFrom}, {d.Valid.Until, &a.ValidUntil}} {
		if bound.text == "" {
			continue
		}
		date, err := consent.ParseDate(bound.text)
		if err != nil {
			return consent.Agreement{}, fmt.Errorf("agreement document: valid: %w", err)
		}
		*bound.into = date
	}
	return a, nil
}
