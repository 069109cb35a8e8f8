package projection

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

// Export is everything that the hub holds on one person, for that person: every record about them with its content, what was handed over
// to whom, who looked, and how long each kind of record is kept. It is written as JSON as it stands.
type Export struct {
	MadeAt  time.Time      `json:"made_at"`
	Citizen string         `json:"citizen" format:"uuid" doc:"the hub's own id for you; no ministry knows it"`
	Records []ExportRecord `json:"records" doc:"by position: what was told, agreed and decided"`
	Given   []ExportGiven  `json:"given" doc:"what was handed over to ministries, oldest first"`
	Looks   []ExportLook   `json:"looks" doc:"looks by people in office, oldest first; one that a law hides for a time comes after that time"`
	Kept    []ExportKept   `json:"kept" doc:"how long each kind of record is kept, and why"`
}

// ExportRecord is one record of the log about the person.
type ExportRecord struct {
	Position   int64            `json:"position"`
	Type       string           `json:"type" example:"address-changed"`
	Label      consent.Text     `json:"label"`
	RecordedAt time.Time        `json:"recorded_at"`
	ToldAt     time.Time        `json:"told_at,omitzero"`
	Effective  string           `json:"effective,omitempty" format:"date"`
	Actor      string           `json:"actor" example:"citizen" doc:"in which role"`
	Receipt    string           `json:"receipt"`
	Data       json.RawMessage  `json:"data,omitempty" doc:"left out where it was erased"`
	Decisions  []ExportDecision `json:"decisions,omitempty" doc:"of a decision: one line for each agreement"`
}

// ExportDecision is what one agreement was permitted, and why.
type ExportDecision struct {
	Agreement string       `json:"agreement"`
	Version   int          `json:"version"`
	Fields    []string     `json:"fields"`
	Reason    string       `json:"reason,omitempty" doc:"left out: shared"`
	Explain   consent.Text `json:"explain"`
	Law       string       `json:"law,omitempty" doc:"the statute that a share rests on, in its own words"`
}

// ExportGiven is one fact, or what replaced or ended one, that was given to a ministry.
type ExportGiven struct {
	At        time.Time      `json:"at"`
	Ministry  string         `json:"ministry"`
	Stream    string         `json:"stream"`
	Agreement string         `json:"agreement"`
	Version   int            `json:"version"`
	Kind      string         `json:"kind" example:"fact"`
	Type      string         `json:"type,omitempty" example:"address-changed"`
	Label     consent.Text   `json:"label"`
	Fields    []string       `json:"fields"`
	Status    journal.Status `json:"status" enum:"sent,received,applied,rejected,recalled"`
	StatusAt  time.Time      `json:"status_at,omitzero"`
}

// ExportLook is a look by somebody in office.
type ExportLook struct {
	At     time.Time `json:"at"`
	Role   string    `json:"role" example:"officer"`
	Kind   string    `json:"kind" example:"search"`
	Reason string    `json:"reason"`
	Case   string    `json:"case,omitempty"`
}

// ExportKept is one retention class: how long it is kept and why.
type ExportKept struct {
	Class    int16        `json:"class"`
	Years    int          `json:"years"`
	Sentence consent.Text `json:"sentence"`
}

// Export collects everything that the hub holds on a citizen.
func (p *Projection) Export(ctx context.Context, id citizen.ID) (*Export, error) {
	entries, err := p.entries(ctx, id)
	if err != nil {
		return nil, err
	}
	law, err := p.journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	out := &Export{MadeAt: p.journal.Clock().UTC(), Citizen: id.String(), Given: []ExportGiven{}, Looks: []ExportLook{}}
	for _, r := range citizen.Retentions() {
		out.Kept = append(out.Kept, ExportKept{Class: r.Class, Years: r.Years, Sentence: consent.Text{EN: r.EN, FR: r.FR}})
	}
	told, err := p.journal.Told(ctx, entries)
	if err != nil {
		return nil, err
	}
	types := make(map[int64]string, len(entries)) // of facts, by position
	said := answers{}
	for i := range entries {
		said.hear(&entries[i])
		types[entries[i].Position] = told[i].Type
		record, err := p.exportRecord(&entries[i])
		if err != nil {
			return nil, err
		}
		if decided, ok := entries[i].Event.(journal.Decided); ok {
			record.Decisions = p.exportDecisions(law, types[entries[i].Cause], decided, said)
		}
		out.Records = append(out.Records, record)
	}
	if out.Given, err = p.exportGiven(ctx, law, id, types); err != nil {
		return nil, err
	}
	looks, err := p.looks(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, look := range looks {
		a := look.Access
		out.Looks = append(out.Looks, ExportLook{At: look.At, Role: a.Actor.String(), Kind: a.Kind, Reason: a.Reason, Case: a.Case})
	}
	return out, nil
}

func (p *Projection) exportRecord(e *journal.Entry) (ExportRecord, error) {
	record := ExportRecord{
		Position: e.Position, Type: e.Type, Label: p.TypeLabel(e.Type), RecordedAt: e.RecordedAt, ToldAt: e.Meta.ToldAt,
		Effective: e.Meta.Effective, Actor: journal.ActorKind(e.ActorKind).String(), Receipt: journal.Receipt(e.ID),
	}
	switch e.Event.(type) {
	case nil, journal.LegalHoldSet, journal.LegalHoldLifted: // that there is an order is said, but not whose
		return record, nil
	}
	var err error
	record.Data, err = journal.EncodeData(e.Event)
	return record, err
}

// answers are the agreements to which a citizen said no last: they withdrew a consent that they had given.
type answers map[string]bool

// hear takes the next of a citizen's entries.
func (a answers) hear(e *journal.Entry) {
	switch event := e.Event.(type) {
	case journal.ConsentWithdrawn:
		a[event.Agreement] = true
	case journal.ConsentGranted:
		delete(a, event.Agreement)
	}
}

// explain says each decision about a fact of a type to the citizen.
func (p *Projection) explain(law *journal.Law, eventType string, decided journal.Decided, said answers) []consent.Text {
	row, _ := p.journal.Registry().Row(eventType)
	out := make([]consent.Text, len(decided.Decisions))
	for i, d := range decided.Decisions {
		agreement, ok := law.Agreement(d.Agreement, d.Version)
		if !ok { // it has ended: its name is all that is left of it here
			agreement = &consent.Agreement{ID: d.Agreement, Version: d.Version, Title: consent.Text{EN: d.Agreement, FR: d.Agreement}}
		}
		var en, fr []string
		if row != nil {
			for bit, field := range row.Fields {
				if d.Fields&(1<<bit) != 0 {
					en, fr = append(en, field.Label.EN), append(fr, field.Label.FR)
				}
			}
		}
		out[i] = consent.Text{
			EN: consent.ExplainToCitizen(agreement, eventType, d.Reason, said[d.Agreement], en, "en"),
			FR: consent.ExplainToCitizen(agreement, eventType, d.Reason, said[d.Agreement], fr, "fr"),
		}
	}
	return out
}

func (p *Projection) exportDecisions(law *journal.Law, eventType string, decided journal.Decided, said answers) []ExportDecision {
	explained := p.explain(law, eventType, decided, said)
	out := make([]ExportDecision, len(decided.Decisions))
	for i, d := range decided.Decisions {
		out[i] = ExportDecision{
			Agreement: d.Agreement, Version: d.Version, Fields: append([]string{}, p.journal.FieldNames(eventType, d.Fields)...), Reason: d.Reason.String(),
			Explain: explained[i],
		}
		if a, ok := law.Agreement(d.Agreement, d.Version); ok && d.Reason == consent.None && a.Basis.Kind == consent.BasisStatute {
			out[i].Law = a.Basis.Reference
		}
	}
	return out
}

func (p *Projection) exportGiven(ctx context.Context, law *journal.Law, id citizen.ID, types map[int64]string) ([]ExportGiven, error) {
	given, err := p.given(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]ExportGiven, len(given))
	for i, g := range given {
		eventType := types[g.Item.Position]
		out[i] = ExportGiven{
			At: g.At, Ministry: law.Streams[g.Stream].Ministry, Stream: g.Stream, Agreement: g.Item.Agreement, Version: g.Item.Version, Kind: g.Item.Kind,
			Type: eventType, Label: p.TypeLabel(eventType), Fields: append([]string{}, p.journal.FieldNames(eventType, g.Item.Fields)...),
			Status: g.Status, StatusAt: g.StatusAt,
		}
	}
	return out, nil
}

// Erasure is what a citizen's erasure took and what it had to leave; nil while they are here.
func (p *Projection) Erasure(ctx context.Context, id citizen.ID) (*journal.Erased, error) {
	states, err := p.journal.FreshStates(ctx, id)
	if err != nil || states[0].Gone == nil || states[0].Gone.Why != journal.TypeErased {
		return nil, err
	}
	return &states[0].Gone.Erased, nil
}

// TypeLabel is what people call an event type about them, in both languages; the type's own name where it has no other.
func (p *Projection) TypeLabel(eventType string) consent.Text {
	if row, ok := p.journal.Registry().Row(eventType); ok {
		return row.Label
	}
	if label, ok := typeLabels[eventType]; ok {
		return label
	}
	return consent.Text{EN: eventType, FR: eventType}
}

// typeLabels are those of the hub's own events about a person.
var typeLabels = map[string]consent.Text{
	journal.TypeDecided:          {EN: "Decision on who may know", FR: "Décision sur les destinataires"},
	journal.TypeSnapshotTaken:    {EN: "Current details shared after an agreement or link began", FR: "Renseignements actuels communiqués au début d’une entente ou d’un lien"},
	journal.TypeProxyGranted:     {EN: "Somebody may act for you", FR: "Quelqu’un peut agir pour vous"},
	journal.TypeProxyEnded:       {EN: "Somebody may no longer act for you", FR: "Quelqu’un ne peut plus agir pour vous"},
	journal.TypeRestrictionSet:   {EN: "Your information is protected", FR: "Vos renseignements sont protégés"},
	journal.TypeRestrictionLift:  {EN: "Protection ended", FR: "Fin de la protection"},
	journal.TypeIdentityReplaced: {EN: "Identity replaced", FR: "Identité remplacée"},
	journal.TypeCitizensMerged:   {EN: "Two entries about you joined", FR: "Deux inscriptions à votre sujet réunies"},
	journal.TypeLegalHoldSet:     {EN: "An order to keep records", FR: "Ordre de conserver des documents"},
	journal.TypeLegalHoldLifted:  {EN: "An order to keep records ended", FR: "Fin d’un ordre de conserver des documents"},
	journal.TypeErased:           {EN: "Erased", FR: "Effacement"},
	journal.TypeFrozen:           {EN: "Changes in your name stopped", FR: "Changements en votre nom bloqués"},
	journal.TypeUnfrozen:         {EN: "Changes in your name possible again", FR: "Changements en votre nom de nouveau possibles"},
	journal.TypeDisputeOpened:    {EN: "Your objection", FR: "Votre contestation"},
	journal.TypeDisputeAnswered:  {EN: "Answer to your objection", FR: "Réponse à votre contestation"},
	journal.TypeNoticeSent:       {EN: "A notice to you", FR: "Un avis à votre intention"},
	journal.TypeKeysDestroyed:    {EN: "A key destroyed for ever", FR: "Une clé détruite pour toujours"},
}
