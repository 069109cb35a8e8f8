package journal

import (
	"context"

	"github.com/tellonce/hub/domain/citizen"
)

// Change is what an actor tells: a fact of a type of the registry, with its key and with the assurance that the actor gives it.
func (j *Journal) Change(eventType, effective string, data map[string]any, actor ActorKind) citizen.Change {
	change := citizen.Change{Type: eventType, Effective: effective, Data: data}
	if row, ok := j.registry.Row(eventType); ok {
		change.Key, change.Verified = changeKey(row, data), verifies(row, actor)
	}
	return change
}

// Told returns, for each entry, the fact that holds by it: what was told; what a correction puts in a fact's place (Corrects is that
// fact's position, also where a verification follows a correction); or what a verification stands behind, now verified. Its Type is empty for an entry that tells no fact, such as
// a cancellation, and where the content was erased.
func (j *Journal) Told(ctx context.Context, entries []Entry) ([]citizen.Change, error) {
	out := make([]citizen.Change, len(entries))
	var verified []int64 // positions, of the entries at
	var at []int
	for i := range entries {
		if v, ok := entries[i].Event.(ChangeVerified); ok {
			verified, at = append(verified, v.Verifies), append(at, i)
			continue
		}
		out[i] = j.told(&entries[i])
	}
	if len(verified) == 0 {
		return out, nil
	}
	facts, err := j.Read(ctx, verified...)
	if err != nil {
		return nil, err
	}
	for n, i := range at {
		if out[i] = j.told(&facts[n]); out[i].Type != "" {
			out[i].Verified = true
			if out[i].Corrects == 0 {
				out[i].Corrects = verified[n]
			}
		}
	}
	return out, nil
}

// told is the fact of an entry that holds one itself.
func (j *Journal) told(e *Entry) citizen.Change {
	switch event := e.Event.(type) {
	case citizen.Change:
		return event
	case ChangeCorrected:
		change := j.Change(event.Type, event.Effective, event.Data, ActorKind(e.ActorKind))
		change.Corrects = event.Corrects
		return change
	}
	return citizen.Change{}
}

// Corrects is the position in whose place an entry puts or takes something: of a correction, a cancellation, a verification or a death
// taken back. Zero for all else.
func Corrects(event any) int64 {
	switch e := event.(type) {
	case ChangeCorrected:
		return e.Corrects
	case ChangeCancelled:
		return e.Corrects
	case ChangeVerified:
		return e.Verifies
	case DeathCorrected:
		return e.Corrects
	}
	return 0
}

// EncodeData is an event's content as canonical JSON (RFC 8785), without the Meta around it: for the person whom it is about.
func EncodeData(event any) ([]byte, error) { return encodeData(event) }
