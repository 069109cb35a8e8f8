package web

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// judge reads a form as the changes that it tells, without consents: the reader's first, then those of who changes with them. Or it says what
// is wrong, in the order of the fields.
func (s *server) judge(r *request, q *flow, d draft) ([]command.Telling, []problem, error) {
	change, problems := s.read(r, q, d)
	if len(problems) > 0 {
		return nil, inOrder(q.form, problems), nil
	}
	all := []command.Telling{{ID: r.citizen(), Change: change}}
	wards, err := s.chosen(r, q, d)
	if err != nil {
		return nil, nil, err
	}
	for i := range wards {
		all = append(all, command.Telling{ID: wards[i].ID, Change: change})
	}
	for i := range all {
		_, err := s.previewOf(r.Context(), r.actor, all[i])
		var rejection *citizen.Rejection
		switch {
		case errors.As(err, &rejection) && i > 0:
			problems = append(problems, problem{Field: "with", Text: wards[i-1].Name + r.say("resident.colon") + rejection.Sentence(r.lang())})
		case errors.As(err, &rejection):
			return nil, []problem{rejectionOf(r, q.form, rejection)}, nil
		case err != nil:
			return nil, nil, err
		}
	}
	return all, problems, nil
}

// read puts the fields of a form together as a change that its schema allows.
func (s *server) read(r *request, q *flow, d draft) (command.Change, []problem) {
	change := command.Change{Type: q.Type, Effective: d.Today}
	data := maps.Clone(q.Fixed)
	if data == nil {
		data = map[string]any{}
	}
	var problems []problem
	wrong := map[string]bool{} // fields of which something was said
	for i := range q.Fields {
		field := &q.Fields[i]
		value := d.Values[field.ID]
		if field.Kind == fieldDate {
			var fault *problem
			if value, fault = s.dateOf(r, field, d); fault != nil {
				problems, wrong[field.ID] = append(problems, *fault), true
			}
			if field.ID == q.Date {
				change.Effective = value
			}
		}
		if field.Mode == "tel" {
			value = e164(value)
		}
		if value != "" && !field.Apart {
			data[field.ID] = value
		}
	}
	if q.told != nil {
		change.Type = journal.TypeChangeCorrected
		data = map[string]any{"corrects": q.told.Position, "type": q.Type, "data": data}
		if q.Date == "" {
			change.Effective = q.told.Change.Effective
		}
	}
	var faults []schemas.Problem
	change.Data, change.Canonical, faults = s.Journal.Registry().Validate(change.Type, data)
	for i := range faults {
		if p, member := faultOf(r, q.form, &faults[i]); !wrong[member] {
			problems = append(problems, p)
		}
	}
	return change, problems
}

// dateOf puts the three inputs of a date together.
func (s *server) dateOf(r *request, field *formField, d draft) (string, *problem) {
	parts := field.parts()
	for _, part := range parts {
		if d.Values[part] == "" {
			return "", &problem{Field: part, Text: r.say("error.date.required")}
		}
	}
	year, err1 := strconv.Atoi(d.Values[parts[0]])
	month, err2 := strconv.Atoi(d.Values[parts[1]])
	day, err3 := strconv.Atoi(d.Values[parts[2]])
	date := fmt.Sprintf("%04d-%02d-%02d", year, month, day)
	if _, err := consent.ParseDate(date); errors.Join(err1, err2, err3, err) == nil && year >= 1900 {
		if field.Past && date > s.Journal.DayOf(s.Clock()).Date.String() {
			return "", &problem{Field: parts[0], Text: r.say("resident.error.date.past")}
		}
		return date, nil
	}
	at := parts[2]
	switch {
	case err1 != nil || year < 1900 || year > 9999:
		at = parts[0]
	case err2 != nil || month < 1 || month > 12:
		at = parts[1]
	}
	return "", &problem{Field: at, Text: r.say("error.date.real")}
}

// e164 is a phone number as people type it, in its form for machines. What is no number of a kind that we know stays as it is, and is
// refused by the schema.
func e164(typed string) string {
	digits := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, typed)
	if strings.Trim(typed, "0123456789 ().-+\u00a0\u2011") != "" {
		return typed
	}
	switch {
	case strings.HasPrefix(typed, "+"):
		return "+" + digits
	case len(digits) == 10:
		return "+1" + digits
	case len(digits) == 11 && digits[0] == '1':
		return "+" + digits
	}
	return typed
}

// faultOf is what a broken rule of the schema is at its field, and the member of the data that it is about.
func faultOf(r *request, f *form, fault *schemas.Problem) (problem, string) {
	member := fault.Member
	if member == "" && fault.Pointer != nil {
		member = (*fault.Pointer)[strings.LastIndex(*fault.Pointer, "/")+1:]
	}
	if fault.Rule == "minProperties" { // one of several
		return problem{Field: f.Fields[0].ID, Text: r.say("resident.error." + f.Words + ".one")}, ""
	}
	for i := range f.Fields {
		field := &f.Fields[i]
		if field.ID != member {
			continue
		}
		if fault.Rule == "required" || field.Kind == fieldRadios || field.Kind == fieldList {
			return problem{Field: field.ID, Text: r.say("resident.error." + field.ID + ".required")}, member
		}
		return problem{Field: field.ID, Text: r.say("resident.error." + field.ID + ".form")}, member
	}
	return problem{Text: r.say("error.form")}, member
}

// rejectionOf is a refusal of the rules, at the field that its pointer names.
func rejectionOf(r *request, f *form, rejection *citizen.Rejection) problem {
	p := problem{Text: rejection.Sentence(r.lang())}
	if rejection.Pointer == nil {
		return p
	}
	pointer := *rejection.Pointer
	if member, inData := strings.CutPrefix(pointer, "/data/"); inData {
		p.Field = f.firstPart(strings.TrimPrefix(member, "data/"))
	} else if pointer == "/effective" && f.Date != "" {
		p.Field = f.firstPart(f.Date)
	}
	return p
}

// inOrder sorts problems by their place on the page; what is about the whole comes first.
func inOrder(f *form, problems []problem) []problem {
	parts := f.parts()
	slices.SortStableFunc(problems, func(a, b problem) int { return slices.Index(parts, a.Field) - slices.Index(parts, b.Field) })
	return problems
}
