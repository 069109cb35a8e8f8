package schemas

import "maps"

// correction is the type whose data holds the data of another type, which is judged by that type's schema.
const correction = "change-corrected"

// judge normalises data and judges it by its type's newest schema; of a correction also the data that it puts in a fact's place.
func (r *Registry) judge(s *shape, data map[string]any) (normalised map[string]any, changed bool, problems []Problem) {
	normalised, changed = s.normalize(data)
	if problems = s.judge(normalised); problems != nil || s.row.Type != correction {
		return normalised, changed, problems
	}
	eventType, _ := data["type"].(string) // the schema has judged both
	inner, ok := r.byType[eventType]
	if !ok || !inner.row.Fact {
		return nil, false, []Problem{*schemaProblem("/type", "enum", "")}
	}
	told, _ := data["data"].(map[string]any)
	right, innerChanged := inner.normalize(told)
	if problems = inner.judge(right); problems != nil {
		for i := range problems {
			pointer := "/data" + *problems[i].Pointer
			problems[i].Pointer = &pointer
		}
		return nil, false, problems
	}
	if innerChanged {
		normalised, changed = maps.Clone(data), true
		normalised["data"] = right
	}
	return normalised, changed, nil
}
