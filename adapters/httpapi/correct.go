package httpapi

import (
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// factOf is a fact as a citizen sees it.
func factOf(f *citizen.Fact) factLine {
	return factLine{
		Type: f.Type, Key: f.Key, Effective: f.Effective, Data: f.Data, Assurance: f.Assurance(), Position: f.Position, RecordedAt: f.RecordedAt,
	}
}

// announced are the facts that hold only from a later day on, by that day.
func announced(p *citizen.Profile) []factLine {
	out := make([]factLine, len(p.Announced))
	for i := range p.Announced {
		out[i] = factOf(&p.Announced[i])
	}
	return out
}

// mentionLine is a change as another one names it.
type mentionLine struct {
	Receipt    string    `json:"receipt" example:"7ZK3M9QX2B4D"`
	Position   int64     `json:"position" example:"4711"`
	Told       string    `json:"told" example:"change-corrected" doc:"its own type"`
	RecordedAt time.Time `json:"recorded_at"`
}

// retractionLine is a stream that had been given a wrong value, and was told that it is wrong, but not what is right.
type retractionLine struct {
	Agreement string     `json:"agreement" example:"library-membership"`
	Stream    string     `json:"stream" example:"library.membership"`
	At        time.Time  `json:"at"`
	Status    string     `json:"status" enum:"sent,received,applied,rejected,recalled"`
	StatusAt  *time.Time `json:"status_at,omitempty" doc:"of the ministry's answer"`
}

func mentionOf(m *projection.Mention) *mentionLine {
	if m == nil {
		return nil
	}
	return &mentionLine{Receipt: m.Receipt, Position: m.Position, Told: m.Type, RecordedAt: m.RecordedAt}
}

// rightOf says what a change is about, and what put it right later.
func rightOf(t *projection.Told) (about *mentionLine, since []mentionLine, retracted []retractionLine) {
	since = make([]mentionLine, len(t.Since))
	for i := range t.Since {
		since[i] = *mentionOf(&t.Since[i])
	}
	return mentionOf(t.About), since, retractionsOf(t.Retracted)
}

func retractionsOf(given []journal.Given) []retractionLine {
	out := make([]retractionLine, len(given))
	for i := range given {
		status, at := statusOf(&given[i])
		out[i] = retractionLine{Agreement: given[i].Item.Agreement, Stream: given[i].Stream, At: given[i].At, Status: status, StatusAt: at}
	}
	return out
}
