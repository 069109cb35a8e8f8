package projection

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// Export is everything that the hub holds on one person, for that person: every record about them with its content, what was handed over
// to whom, who looked, and how long each kind of record is kept.
type Export struct {
	MadeAt  time.Time
	Citizen citizen.ID
	Records []ExportRecord // in order of position: what was told, agreed, decided and proved
	Given   []ExportGiven  // what left for ministries, oldest first
	Looks   []ExportLook   // looks by people in office, oldest first; one that a law hides for a time comes after that time
	Kept    []ExportKept   // the retention schedule
}

// ExportRecord is one record of the log about the person.
type ExportRecord struct {
	Position   int64
	Type       string
	RecordedAt time.Time
	ToldAt     time.Time // zero: not told by anybody
	Effective  string    // ISO date; empty where it has none
	Channel    journal.Channel
	Actor      journal.ActorKind
	Data       json.RawMessage // the event's content; nil where it was erased or is sealed for two officers
	Receipt    string
	// Decisions are, of a decided, one line for each agreement, explained in both languages.
	Decisions []ExportDecision
}

// ExportDecision is what one agreement was permitted, and why.
type ExportDecision struct {
	Agreement string
	Version   int
	Fields    []string
	Reason    consent.Reason
	Sentence  consent.Text
}

// ExportGiven is one fact, or what replaced or ended one, that was given to a ministry.
type ExportGiven struct {
	journal.Given
	Ministry string
	Type     string // of the fact
	Fields   []string
}

// ExportLook is a look by somebody in office.
type ExportLook struct {
	At time.Time
	Access
}

// ExportKept is one retention class: how long it is kept and why.
type ExportKept struct {
	Class    int16
	Years    int
	Sentence consent.Text
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
	out := &Export{MadeAt: p.journal.Clock().UTC(), Citizen: id}
	for _, r := range citizen.Retentions() {
		out.Kept = append(out.Kept, ExportKept{Class: r.Class, Years: r.Years, Sentence: consent.Text{EN: r.EN, FR: r.FR}})
	}
	told, err := p.journal.Told(ctx, entries)
	if err != nil {
		return nil, err
	}
	types := make(map[int64]string, len(entries)) // of facts, by position
	for i := range entries {
		types[entries[i].Position] = told[i].Type
		record, err := p.exportRecord(&entries[i])
		if err != nil {
			return nil, err
		}
		if decided, ok := entries[i].Event.(journal.Decided); ok {
			record.Decisions = p.exportDecisions(law, types[entries[i].Cause], decided)
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
		out.Looks = append(out.Looks, ExportLook{At: look.At, Access: *look.Access})
	}
	return out, nil
}

func (p *Projection) exportRecord(e *journal.Entry) (ExportRecord, error) {
	record := ExportRecord{
		Position: e.Position, Type: e.Type, RecordedAt: e.RecordedAt, ToldAt: e.Meta.ToldAt, Effective: e.Meta.Effective,
		Channel: journal.Channel(e.Channel), Actor: journal.ActorKind(e.ActorKind), Receipt: journal.Receipt(e.ID),
	}
	switch e.Event.(type) {
	case nil, journal.LegalHoldSet, journal.LegalHoldLifted: // that there is an order is said, but not whose
		return record, nil
	}
	var err error
	record.Data, err = journal.EncodeData(e.Event)
	return record, err
}

// exportDecisions explains decisions about a fact of a type.
func (p *Projection) exportDecisions(law *journal.Law, eventType string, decided journal.Decided) []ExportDecision {
	row, _ := p.journal.Registry().Row(eventType)
	out := make([]ExportDecision, len(decided.Decisions))
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
		out[i] = ExportDecision{
			Agreement: d.Agreement, Version: d.Version, Fields: p.journal.FieldNames(eventType, d.Fields), Reason: d.Reason,
			Sentence: consent.Text{EN: consent.Explain(agreement, eventType, d.Reason, en, "en"), FR: consent.Explain(agreement, eventType, d.Reason, fr, "fr")},
		}
	}
	return out
}

func (p *Projection) exportGiven(ctx context.Context, law *journal.Law, id citizen.ID, types map[int64]string) ([]ExportGiven, error) {
	given, err := p.trail.Given(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]ExportGiven, len(given))
	for i, g := range given {
		eventType := types[g.Item.Position]
		out[i] = ExportGiven{Given: g, Ministry: law.Streams[g.Stream].Ministry, Type: eventType, Fields: p.journal.FieldNames(eventType, g.Item.Fields)}
	}
	return out, nil
}

// Erasure is what became of a citizen's erasure: nil while they are here.
func (p *Projection) Erasure(ctx context.Context, id citizen.ID) (*journal.Erased, []eventstore.Class, error) {
	states, err := p.journal.FreshStates(ctx, id)
	if err != nil || states[0].Gone == nil || states[0].Gone.Why != journal.TypeErased {
		return nil, nil, err
	}
	entries, err := p.journal.ReadAggregate(ctx, journal.CitizenAggregate(id), 1, 0)
	if err != nil {
		return nil, nil, err
	}
	var gone []eventstore.Class
	for i := range entries {
		if event, ok := entries[i].Event.(journal.KeysDestroyed); ok && event.Class != eventstore.Public && !slices.Contains(gone, event.Class) {
			gone = append(gone, event.Class)
		}
	}
	return &states[0].Gone.Erased, gone, nil
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
	journal.TypeKeysDestroyed:    {EN: "A key destroyed for ever", FR: "Une clé détruite pour toujours"},
}
