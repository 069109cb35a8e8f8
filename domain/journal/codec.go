package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// kind is what the codec knows of one of the hub's own event types.
type kind struct {
	class       eventstore.Class
	restricting bool
	decode      func(data []byte) (any, error)
}

// hubKinds is the table type → Go type of the hub's own events; fact types come from the schema registry.
var hubKinds = map[string]kind{
	TypeGenesis:           {eventstore.Public, false, decodeAs[Genesis]},
	TypeConsentGranted:    {eventstore.Evidence, true, decodeAs[ConsentGranted]},
	TypeConsentWithdrawn:  {eventstore.Evidence, true, decodeAs[ConsentWithdrawn]},
	TypeMinistryLinked:    {eventstore.Evidence, true, decodeAs[MinistryLinked]},
	TypeMinistryUnlinked:  {eventstore.Evidence, true, decodeAs[MinistryUnlinked]},
	TypeDecided:           {eventstore.Evidence, false, decodeDecided},
	TypeAgreementProposed: {eventstore.Public, false, decodeAs[AgreementProposed]},
	TypeAgreementApproved: {eventstore.Public, false, decodeAs[AgreementApproved]},
	TypeAgreementEnded:    {eventstore.Public, false, decodeAs[AgreementEnded]},
	TypeStreamOpened:      {eventstore.Public, false, decodeAs[StreamOpened]},
	TypeReceiptsRecorded:  {eventstore.Public, false, decodeAs[ReceiptsRecorded]},
	TypeReceiptRejected:   {eventstore.Evidence, false, decodeAs[ReceiptRejected]},
	TypeDisclosed:         {eventstore.Public, false, decodeAs[Disclosed]},
	TypeRedelivered:       {eventstore.Public, false, decodeAs[Redelivered]},
	TypeAccessed:          {eventstore.AccessTrail, false, decodeAs[Accessed]},
	TypeAccessRefused:     {eventstore.Public, false, decodeAs[AccessRefused]},

	TypeKeyEpochRotated:  {eventstore.Public, false, decodeAs[KeyEpochRotated]},
	TypeChangeCorrected:  {eventstore.Facts, true, decodeCorrected},
	TypeChangeCancelled:  {eventstore.Facts, true, decodeAs[ChangeCancelled]},
	TypeChangeVerified:   {eventstore.Facts, false, decodeAs[ChangeVerified]},
	TypeDeathCorrected:   {eventstore.Facts, true, decodeAs[DeathCorrected]},
	TypeProxyGranted:     {eventstore.Evidence, false, decodeAs[ProxyGranted]},
	TypeProxyEnded:       {eventstore.Evidence, false, decodeAs[ProxyEnded]},
	TypeRestrictionSet:   {eventstore.Evidence, true, decodeAs[RestrictionSet]},
	TypeRestrictionLift:  {eventstore.Evidence, false, decodeAs[RestrictionLifted]},
	TypeReplacementAsked: {eventstore.Evidence, false, decodeAs[ReplacementAsked]},
	TypeIdentityReplaced: {eventstore.IdentityTie, true, decodeAs[IdentityReplaced]},
	TypeCitizensMerged:   {eventstore.Evidence, true, decodeAs[CitizensMerged]},
	TypeLegalHoldSet:     {eventstore.Evidence, false, decodeAs[LegalHoldSet]},
	TypeLegalHoldLifted:  {eventstore.Evidence, false, decodeAs[LegalHoldLifted]},
	TypeErased:           {eventstore.Public, true, decodeAs[Erased]},
	TypeKeysDestroyed:    {eventstore.Public, false, decodeAs[KeysDestroyed]},
	TypeSnapshotTaken:    {eventstore.Evidence, false, decodeAs[SnapshotTaken]},
}

// typeOf names an event's type.
func typeOf(event any) (string, error) {
	switch e := event.(type) {
	case citizen.Change:
		return e.Type, nil
	case Genesis:
		return TypeGenesis, nil
	case ConsentGranted:
		return TypeConsentGranted, nil
	case ConsentWithdrawn:
		return TypeConsentWithdrawn, nil
	case MinistryLinked:
		return TypeMinistryLinked, nil
	case MinistryUnlinked:
		return TypeMinistryUnlinked, nil
	case Decided:
		return TypeDecided, nil
	case AgreementProposed:
		return TypeAgreementProposed, nil
	case AgreementApproved:
		return TypeAgreementApproved, nil
	case AgreementEnded:
		return TypeAgreementEnded, nil
	case StreamOpened:
		return TypeStreamOpened, nil
	case ReceiptsRecorded:
		return TypeReceiptsRecorded, nil
	case ReceiptRejected:
		return TypeReceiptRejected, nil
	case Disclosed:
		return TypeDisclosed, nil
	case Redelivered:
		return TypeRedelivered, nil
	case Accessed:
		return TypeAccessed, nil
	case AccessRefused:
		return TypeAccessRefused, nil
	}
	return typeOfLaw(event)
}

// typeOfLaw names the types of corrections, protection, proxies, erasure and snapshots.
func typeOfLaw(event any) (string, error) {
	switch event.(type) {
	case KeyEpochRotated:
		return TypeKeyEpochRotated, nil
	case ChangeCorrected:
		return TypeChangeCorrected, nil
	case ChangeCancelled:
		return TypeChangeCancelled, nil
	case ChangeVerified:
		return TypeChangeVerified, nil
	case DeathCorrected:
		return TypeDeathCorrected, nil
	case ProxyGranted:
		return TypeProxyGranted, nil
	case ProxyEnded:
		return TypeProxyEnded, nil
	case RestrictionSet:
		return TypeRestrictionSet, nil
	case RestrictionLifted:
		return TypeRestrictionLift, nil
	case ReplacementAsked:
		return TypeReplacementAsked, nil
	case IdentityReplaced:
		return TypeIdentityReplaced, nil
	case CitizensMerged:
		return TypeCitizensMerged, nil
	case LegalHoldSet:
		return TypeLegalHoldSet, nil
	case LegalHoldLifted:
		return TypeLegalHoldLifted, nil
	case Erased:
		return TypeErased, nil
	case KeysDestroyed:
		return TypeKeysDestroyed, nil
	case SnapshotTaken:
		return TypeSnapshotTaken, nil
	}
	if name, ok := typeOfDelivery(event); ok {
		return name, nil
	}
	return "", fmt.Errorf("journal: %T is no event", event)
}

// kindOf is the codec's row for a type: one of the hub's own, or a fact of the registry.
func kindOf(registry *schemas.Registry, eventType string) (kind, *schemas.Row, error) {
	for _, kinds := range []map[string]kind{hubKinds, deliveryKinds} {
		if k, ok := kinds[eventType]; ok {
			return k, nil, nil
		}
	}
	row, ok := registry.Row(eventType)
	if !ok {
		return kind{}, nil, fmt.Errorf("journal: unknown event type %q", eventType)
	}
	return kind{class: eventstore.Class(row.Class), restricting: eventType == citizen.DeathRegistered}, row, nil
}

// encode returns an event's canonical plaintext (RFC 8785): the data alone for public events, else the data with its Meta around it.
func encode(event any, data []byte, class eventstore.Class, meta Meta) ([]byte, error) {
	if data == nil {
		var err error
		if data, err = encodeData(event); err != nil {
			return nil, err
		}
	}
	if class == eventstore.Public {
		return data, nil
	}
	out := make([]byte, 0, len(data)+192)
	out = append(out, '{')
	if meta.Actor != "" {
		out = append(appendString(append(out, `"actor":`...), meta.Actor), ',')
	}
	if meta.Command != "" {
		out = append(appendString(append(out, `"command":`...), meta.Command), ',')
	}
	out = append(append(out, `"data":`...), data...)
	if meta.Effective != "" {
		out = appendString(append(out, `,"effective":`...), meta.Effective)
	}
	if !meta.ToldAt.IsZero() {
		out = append(out, `,"told_at":"`...)
		out = append(meta.ToldAt.UTC().AppendFormat(out, time.RFC3339Nano), '"')
	}
	return append(out, '}'), nil
}

func encodeData(event any) ([]byte, error) {
	switch e := event.(type) {
	case citizen.Change:
		return schemas.Canonical(e.Data)
	case Decided:
		return encodeDecided(e), nil
	}
	plain, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("journal: encode: %w", err)
	}
	return jcs.Transform(plain)
}

// envelope is the sealed plaintext: Meta around data.
type envelope struct {
	Actor     string          `json:"actor"`
	Command   string          `json:"command"`
	Data      json.RawMessage `json:"data"`
	Effective string          `json:"effective"`
	ToldAt    time.Time       `json:"told_at"`
}

// decode turns a record's plaintext back into the event and its Meta.
func decode(registry *schemas.Registry, rec *eventstore.Recorded, plain []byte) (any, Meta, error) {
	k, row, err := kindOf(registry, rec.Type)
	if err != nil {
		return nil, Meta{}, err
	}
	data, meta := plain, Meta{}
	if rec.Class != eventstore.Public {
		var env envelope
		if err := json.Unmarshal(plain, &env); err != nil {
			return nil, Meta{}, fmt.Errorf("journal: record %d: not an envelope", rec.Position)
		}
		data, meta = env.Data, Meta{Actor: env.Actor, Command: env.Command, Effective: env.Effective, ToldAt: env.ToldAt}
	}
	if row != nil {
		event, err := decodeChange(row, data, meta.Effective)
		event.Verified = verifies(row, ActorKind(rec.ActorKind))
		return event, meta, err
	}
	event, err := k.decode(data)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("journal: record %d (%s): cannot be decoded", rec.Position, rec.Type)
	}
	return event, meta, nil
}

func decodeChange(row *schemas.Row, data []byte, effective string) (citizen.Change, error) {
	change := citizen.Change{Type: row.Type, Effective: effective}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&change.Data); err != nil {
		return change, fmt.Errorf("journal: %s: data cannot be decoded", row.Type)
	}
	change.Key = changeKey(row, change.Data)
	return change, nil
}

// verifies says whether an actor's word makes a fact of a type verified.
func verifies(row *schemas.Row, actor ActorKind) bool { return row.Verified && actor == ActorRegistrar }

// changeKey is what tells two current facts of one type apart: the value of the row's key member, or nothing.
func changeKey(row *schemas.Row, data map[string]any) string {
	if row.Key == "" {
		return ""
	}
	key, _ := data[row.Key].(string)
	return key
}

// decodeCorrected reads the numbers of the corrected data as they stand.
func decodeCorrected(data []byte) (any, error) {
	var event ChangeCorrected
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err := dec.Decode(&event)
	return event, err
}

func decodeAs[T any](data []byte) (any, error) {
	var event T
	err := json.Unmarshal(data, &event)
	return event, err
}

// decidedJSON is Decided as it stands on the log; its members are in canonical order.
type decidedJSON struct {
	Agreements int32          `json:"agreements"`
	Decisions  []decisionJSON `json:"decisions"`
	Engine     int            `json:"engine"`
}

type decisionJSON struct {
	Agreement  string           `json:"agreement"`
	Conditions uint8            `json:"conditions"`
	Fields     consent.FieldSet `json:"fields"`
	Reason     string           `json:"reason"`
	Version    int              `json:"version"`
}

// encodeDecided writes decidedJSON by hand: it is in every change's append.
func encodeDecided(d Decided) []byte {
	out := make([]byte, 0, 48+96*len(d.Decisions))
	out = strconv.AppendInt(append(out, `{"agreements":`...), int64(d.Agreements), 10)
	out = append(out, `,"decisions":[`...)
	for i, one := range d.Decisions {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(append(out, `{"agreement":`...), one.Agreement)
		if one.Conditions != 0 {
			out = strconv.AppendUint(append(out, `,"conditions":`...), uint64(one.Conditions), 10)
		}
		if one.Fields != 0 {
			out = strconv.AppendUint(append(out, `,"fields":`...), uint64(one.Fields), 10)
		}
		if one.Reason != consent.None {
			out = appendString(append(out, `,"reason":`...), one.Reason.String())
		}
		out = append(strconv.AppendInt(append(out, `,"version":`...), int64(one.Version), 10), '}')
	}
	out = strconv.AppendInt(append(out, `],"engine":`...), int64(d.Engine), 10)
	return append(out, '}')
}

func decodeDecided(data []byte) (any, error) {
	var on decidedJSON
	if err := json.Unmarshal(data, &on); err != nil {
		return nil, err
	}
	d := Decided{Agreements: on.Agreements, Engine: on.Engine, Decisions: make([]Decision, len(on.Decisions))}
	for i, one := range on.Decisions {
		reason := consent.None
		if one.Reason != "" {
			var err error
			if reason, err = consent.ParseReason(one.Reason); err != nil {
				return nil, fmt.Errorf("journal: %w", err)
			}
		}
		d.Decisions[i] = Decision{Agreement: one.Agreement, Version: one.Version, Fields: one.Fields, Reason: reason, Conditions: one.Conditions}
	}
	return d, nil
}

// appendString writes a JSON string as RFC 8785 does: only what must be escaped is.
func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= 0x20:
			out = append(out, c)
		case c == '\b':
			out = append(out, '\\', 'b')
		case c == '\t':
			out = append(out, '\\', 't')
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\f':
			out = append(out, '\\', 'f')
		case c == '\r':
			out = append(out, '\\', 'r')
		default:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(out, '"')
}
