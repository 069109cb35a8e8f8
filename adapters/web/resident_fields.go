package web

import "strconv"

// textField is a one-line field of a form.
type textField struct {
	ID, Label, Hint, Value, Error, Autocomplete, Size, Mode string
	Optional                                                bool
	Max                                                     int
}

// option is a line of a choice.
type option struct {
	ID, Value, Label string
	Selected         bool
}

// fieldView is a field as its template shows it.
type fieldView struct {
	textField
	Kind    fieldKind
	Options []option
	Parts   []textField // of a date
}

type formView struct {
	Caption string
	Text    string
	Fields  []fieldView
	With    []option // who may change, too
	For     string
	About   string // what is put right; empty for nothing
}

// showForm is step 1.
func (s *server) showForm(r *request, status int, q *flow, d draft, problems []problem) error {
	v := view{Title: r.say("resident." + q.Words + ".title"), Problems: problems, Back: r.at("/me")}
	data := formView{Caption: q.caption(r, ""), Text: r.say("resident.text"), For: s.forMark(r)}
	if q.Quiet {
		data.Text = r.say("resident.death.text")
	}
	if q.told != nil {
		v.Title, v.Back = r.say("resident.correct.title"), r.at("/receipts/"+q.told.Receipt)
		data.Text = r.say("resident.correct.text", "When", r.words.moment(q.told.RecordedAt))
	}
	for i := range q.Fields {
		data.Fields = append(data.Fields, fieldOf(r, &q.Fields[i], d, &v))
	}
	wards, err := s.companions(r, q)
	if err != nil {
		return err
	}
	for i := range wards {
		mark := s.mark(r, wards[i].ID)
		data.With = append(data.With, option{ID: optionID("with", i), Value: mark, Label: wards[i].Name, Selected: contains(d.With, mark)})
	}
	v.Data = data
	return s.show(r, status, "resident-form", v)
}

func fieldOf(r *request, field *formField, d draft, v *view) fieldView {
	out := fieldView{Kind: field.Kind, textField: textField{
		ID: field.ID, Label: r.say("resident.field." + field.text()), Value: d.Values[field.ID], Error: v.Of(field.ID),
		Autocomplete: field.Autocomplete, Size: field.Size, Mode: field.Mode, Optional: field.Optional, Max: 200,
	}}
	if out.Kind == "" {
		out.Kind = fieldText
	}
	if field.Hint {
		out.Hint = r.say("resident.hint." + field.text())
	}
	for i, value := range field.Options {
		out.Options = append(out.Options, option{
			ID: optionID(field.ID, i), Value: value, Label: r.say(field.Words + value), Selected: value == d.Values[field.ID],
		})
	}
	if field.Kind != fieldDate {
		return out
	}
	for i, part := range field.parts() {
		input := textField{ID: part, Value: d.Values[part], Error: v.Of(part), Mode: "numeric", Size: "two", Max: 4}
		switch i {
		case 0:
			input.Label, input.Size = r.say("field.date-year"), "year"
		case 1:
			input.Label = r.say("field.date-month")
		case 2:
			input.Label = r.say("field.date-day")
		}
		if input.Error != "" {
			out.Error = input.Error
		}
		out.Parts = append(out.Parts, input)
	}
	return out
}

// optionID is the id of a choice's line: the first has the field's, for the link of an error.
func optionID(field string, i int) string {
	if i == 0 {
		return field
	}
	return field + "-" + strconv.Itoa(i+1)
}
