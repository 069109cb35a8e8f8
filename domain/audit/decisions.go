package audit

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// DecisionLine is one decision in INTERFACES.md's format.
type DecisionLine struct {
	Position  int64    `json:"position"` // of the change
	Command   string   `json:"command"`  // its command id
	Type      string   `json:"type"`     // of the fact: of a correction, that of what it corrects
	Agreement string   `json:"agreement"`
	Version   int      `json:"version"`
	Stream    string   `json:"stream"`
	Result    string   `json:"result"` // shared or withheld
	Fields    []string `json:"fields"` // sorted
	Reason    string   `json:"reason,omitempty"`
}

// Filter narrows a list of decisions. The zero Filter is all of them.
type Filter struct {
	Stream string
	From   int64 // position of the change
	To     int64 // exclusive; 0: to the head
	Reason string
}

// page is how many records a list reads at once.
const page = 2000

// Decisions gives every decision by position, then agreement.
func (s *Session) Decisions(ctx context.Context, f Filter, fn func(DecisionLine) error) error {
	wanted := func(eventType string) bool { return eventType == journal.TypeDecided }
	to := f.To
	if to > 0 {
		to++ // a change's decided stands behind it
	}
	return s.each(ctx, f.From, to, wanted, func(types map[int64]string, e *journal.Entry) error {
		decided, ok := e.Event.(journal.Decided)
		if !ok || e.Cause < f.From || s.betrays(decided) {
			return nil
		}
		lines, err := s.lines(ctx, types[e.Cause], e, decided)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if (f.Stream != "" && line.Stream != f.Stream) || (f.Reason != "" && line.Reason != f.Reason) {
				continue
			}
			if err := fn(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// lines are a decided's lines, by agreement.
func (s *Session) lines(ctx context.Context, eventType string, e *journal.Entry, decided journal.Decided) ([]DecisionLine, error) {
	law, err := s.audit.journal.CurrentLaw(ctx)
	if err == nil && law.Version < decided.Agreements {
		law, err = s.audit.journal.FreshLaw(ctx)
	}
	if err != nil {
		return nil, err
	}
	if eventType, err = s.factType(ctx, eventType, e.Cause); err != nil {
		return nil, err
	}
	out := make([]DecisionLine, len(decided.Decisions))
	for i, d := range decided.Decisions {
		line := DecisionLine{
			Position: e.Cause, Command: e.Meta.Command, Type: eventType, Agreement: d.Agreement, Version: d.Version, Stream: law.StreamOf[d.Agreement],
			Result: "withheld", Fields: []string{}, Reason: d.Reason.String(),
		}
		if d.Reason == consent.None {
			line.Result, line.Fields = "shared", append(line.Fields, s.audit.journal.FieldNames(eventType, d.Fields)...)
			slices.Sort(line.Fields)
		}
		out[i] = line
	}
	return out, nil
}

// factType is the type of the fact that holds by the record at a position, which has a type of its own ("" if that is not known yet).
func (s *Session) factType(ctx context.Context, eventType string, position int64) (string, error) {
	if eventType != "" && eventType != journal.TypeChangeCorrected && eventType != journal.TypeChangeVerified {
		return eventType, nil
	}
	entries, err := s.audit.journal.Read(ctx, position)
	if err != nil {
		return "", err
	}
	told, err := s.audit.journal.Told(ctx, entries)
	if err != nil {
		return "", err
	}
	return cmp.Or(told[0].Type, entries[0].Type), nil // of what was erased, what the record itself says
}

// ConsentLine is one grant, link, or the end of one.
type ConsentLine struct {
	Position   int64     `json:"position"`
	RecordedAt time.Time `json:"recorded_at"`
	Command    string    `json:"command"`
	Citizen    string    `json:"citizen"`
	Type       string    `json:"type"`
	Agreement  string    `json:"agreement,omitempty"`
	Version    int       `json:"version,omitempty"`
	Fields     []string  `json:"fields,omitempty"`
	Ministry   string    `json:"ministry,omitempty"`
}

// Consents gives every grant, link and their ends, by position.
func (s *Session) Consents(ctx context.Context, fn func(ConsentLine) error) error {
	wanted := func(eventType string) bool {
		switch eventType {
		case journal.TypeConsentGranted, journal.TypeConsentWithdrawn, journal.TypeMinistryLinked, journal.TypeMinistryUnlinked:
			return true
		}
		return false
	}
	return s.each(ctx, 0, 0, wanted, func(_ map[int64]string, e *journal.Entry) error {
		line := ConsentLine{Position: e.Position, RecordedAt: e.RecordedAt, Command: e.Meta.Command, Citizen: e.Subject.String(), Type: e.Type}
		switch event := e.Event.(type) {
		case journal.ConsentGranted:
			line.Agreement, line.Version, line.Fields = event.Agreement, event.Version, event.Fields
		case journal.ConsentWithdrawn:
			line.Agreement = event.Agreement
		case journal.MinistryLinked:
			line.Ministry = event.Ministry
		case journal.MinistryUnlinked:
			line.Ministry = event.Ministry
		}
		return fn(line)
	})
}

// each walks the log from a position up to this look, opening the wanted types of people whom the actor may know of. types are those of the
// page's records by position.
func (s *Session) each(ctx context.Context, from, to int64, wanted func(string) bool, fn func(types map[int64]string, e *journal.Entry) error) error {
	if to == 0 || to > s.Position {
		to = s.Position
	}
	concealed, err := s.concealed(ctx)
	if err != nil {
		return err
	}
	for from < to {
		recs, err := s.audit.journal.Store().ReadAll(ctx, from, page)
		if err != nil || len(recs) == 0 {
			return err
		}
		types := make(map[int64]string, len(recs))
		open := make([]eventstore.Recorded, 0, len(recs))
		for i := range recs {
			types[recs[i].Position] = recs[i].Type
			if wanted(recs[i].Type) && recs[i].Position < to && !concealed[citizen.ID(recs[i].Subject)] {
				open = append(open, recs[i])
			}
		}
		entries, err := s.audit.journal.Open(ctx, open)
		if err != nil {
			return err
		}
		for i := range entries {
			if err := fn(types, &entries[i]); err != nil {
				return err
			}
		}
		from += int64(len(recs))
	}
	return nil
}
