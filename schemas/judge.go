package schemas

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// judge validates normalised data. Nil means that it is valid.
func (s *shape) judge(data map[string]any) []Problem {
	err := s.schema.Validate(data)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []Problem{*schemaProblem("", "type", "")} // a Go value that is no JSON
	}
	problems := collect(nil, invalid)
	slices.SortFunc(problems, compareProblems)
	return slices.CompactFunc(problems, func(a, b Problem) bool {
		return *a.Pointer == *b.Pointer && (*a.Pointer != "" || a.Rule == b.Rule && a.Member == b.Member)
	})
}

// compareProblems orders problems by place; of one value a format comes first, because its sentence says most. A value's first problem
// alone is kept, data itself keeps each.
func compareProblems(a, b Problem) int {
	return cmp.Or(
		strings.Compare(*a.Pointer, *b.Pointer),
		boolFirst(formats[a.Rule] != nil, formats[b.Rule] != nil),
		strings.Compare(a.Rule, b.Rule),
		strings.Compare(a.Member, b.Member),
	)
}

// boolFirst orders true before false.
func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// collect turns the leaves of the validator's tree into problems. Its messages hold values, so that only its locations are used,
// and of a missing member the name, which is the schema's.
func collect(problems []Problem, invalid *jsonschema.ValidationError) []Problem {
	for _, cause := range invalid.Causes {
		problems = collect(problems, cause)
	}
	if len(invalid.Causes) > 0 {
		return problems
	}
	pointer := invalid.InstanceLocation
	keyword := invalid.AbsoluteKeywordLocation[strings.LastIndexByte(invalid.AbsoluteKeywordLocation, '/')+1:]
	switch keyword {
	case "required":
		for name := range strings.SplitSeq(strings.TrimPrefix(invalid.Message, "missing properties: "), ", ") {
			problems = append(problems, *schemaProblem(pointer, "required", strings.Trim(name, "'")))
		}
		return problems
	case "additionalProperties":
		keyword = "unknown-member"
	case "const":
		keyword = "enum"
	case "format":
		keyword = formatIn(invalid.Message)
	}
	return append(problems, *schemaProblem(pointer, keyword, ""))
}

// formatIn finds which of our formats a message of the validator ends with: `… is not valid 'name'`.
func formatIn(message string) string {
	for name := range formats {
		if strings.HasSuffix(message, " is not valid '"+name+"'") {
			return name
		}
	}
	return "format"
}
