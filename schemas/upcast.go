package schemas

import "fmt"

// upcastStep turns data of one version of a type into data of the next. It must not change its argument.
type upcastStep func(data map[string]any) (map[string]any, error)

// upcastSteps holds the step from a version to the next, by type and the version it starts at. Every type is at its first version,
// so there is none yet.
var upcastSteps = map[string]map[int]upcastStep{}

// Upcast brings data as it was stored in some version of its type to the newest version, for rules and pages. Bytes that ministries
// receive are never upcast.
func (r *Registry) Upcast(eventType string, version int, data map[string]any) (map[string]any, error) {
	s, ok := r.byType[eventType]
	if !ok {
		return nil, fmt.Errorf("no event type %q", eventType)
	}
	if version < 1 || version > int(s.row.Version) {
		return nil, fmt.Errorf("%s has no version %d: this program is older than the log", eventType, version)
	}
	for ; version < int(s.row.Version); version++ {
		step := upcastSteps[eventType][version]
		if step == nil {
			return nil, fmt.Errorf("%s has no step from version %d to the next", eventType, version)
		}
		var err error
		if data, err = step(data); err != nil {
			return nil, fmt.Errorf("%s, version %d to the next: %w", eventType, version, err)
		}
	}
	return data, nil
}
