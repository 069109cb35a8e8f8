package schemas

import (
	"encoding/json"
	"strconv"
	"strings"
)

// DeliveredSchema returns the JSON Schema of the data of an event type as a ministry receives it: the shareable fields, none of them
// required (an agreement permits a part), and the link's client_reference. It has the id of the schema as told, because that is the
// `dataschema` of the event; our own formats, which a ministry's validator doesn't know, are left out.
func (r *Registry) DeliveredSchema(eventType string, version int) (schema []byte, ok bool) {
	s, ok := r.byType[eventType]
	if !ok {
		return nil, false
	}
	schema, ok = s.delivered[version]
	return schema, ok
}

// Example returns the golden example of the data of an event type, in one version: invented, and the same for ever, for events that ministries
// got may hold it. The caller may change it.
func (r *Registry) Example(eventType string, version int) (data map[string]any, ok bool) {
	if s, known := r.byType[eventType]; !known || s.sources[version] == nil {
		return nil, false
	}
	source, err := readEmbedded(eventType + "/" + strconv.Itoa(version) + ".example.json")
	if err != nil {
		return nil, false
	}
	data, fault := ParseObject(source, MaxLine)
	return data, fault == nil
}

// deliveredSchema derives the schema of what is delivered from that of what is told.
func deliveredSchema(row *Row, version int, told map[string]any) ([]byte, error) {
	members, _ := told["properties"].(map[string]any)
	properties := map[string]any{
		"client_reference": map[string]any{"type": "string", "description": "The ministry's own reference, where the agreement says so"},
	}
	for _, field := range row.Fields {
		member, ok := members[field.Name].(map[string]any)
		if !ok {
			continue // a field of a later version
		}
		kept := make(map[string]any, len(member))
		for keyword, value := range member {
			if name, ok := value.(string); keyword == "format" && ok && strings.HasPrefix(name, "tellonce-") {
				continue
			}
			kept[keyword] = value
		}
		properties[field.Name] = kept
	}
	return json.MarshalIndent(map[string]any{
		"$schema":              told["$schema"],
		"$id":                  Base + row.Type + "/" + strconv.Itoa(version),
		"title":                told["title"],
		"description":          "What an agreement permits of this, as a ministry receives it.",
		"type":                 "object",
		"properties":           properties,
		"additionalProperties": false,
	}, "", "  ")
}
