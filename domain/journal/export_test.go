package journal

import "github.com/tellonce/hub/eventstore"

// Encode is an event's plaintext as it goes under the seal, with its class.
func (j *Journal) Encode(event any, meta Meta) ([]byte, eventstore.Class, error) {
	typ, err := typeOf(event)
	if err != nil {
		return nil, 0, err
	}
	k, _, err := kindOf(j.registry, typ)
	if err != nil {
		return nil, 0, err
	}
	plain, err := encode(event, nil, k.class, meta)
	return plain, k.class, err
}

// HubTypes are the hub's own event types.
func HubTypes() []string {
	var out []string
	for _, kinds := range []map[string]kind{hubKinds, deliveryKinds} {
		for t := range kinds {
			out = append(out, t)
		}
	}
	return out
}

// AppendString is the writer of JSON strings.
var AppendString = appendString
