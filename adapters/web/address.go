package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/schemas"
)

// addressChanged is the event type of these pages.
const addressChanged = "address-changed"

// addressFields are the form's fields in their order, by id.
var addressFields = []string{"street", "unit", "city", "province", "postal_code", "date-year", "date-month", "date-day"}

// textField is a one-line field of a form.
type textField struct {
	ID, Label, Hint, Value, Error, Autocomplete, Size, Mode string
	Optional                                                bool
	Max                                                     int
}

// option is a line of a select.
type option struct {
	Value, Label string
	Selected     bool
}

type addressView struct {
	Kind                       string
	Street, Unit, City, Postal textField
	Provinces                  []option
	Year, Month, Day           textField
	Warning                    string
}

// provinces are Canada's, by code, in the order of their English names.
var provinces = []string{"AB", "BC", "MB", "NB", "NL", "NT", "NS", "NU", "ON", "PE", "QC", "SK", "YT"}

// addressPage is step 1: the new address and its date.
func (s *server) addressPage(r *request, kind string) error {
	d := s.draft(r, kind)
	if d.Done != "" { // that change was told; this is a new one
		d = draft{Command: newCommand(), Province: "ON"}
		if err := s.keep(r, kind, d); err != nil {
			return err
		}
	}
	var problems []problem
	if d.Posted {
		_, found, err := s.judge(r, kind, d)
		if err != nil {
			return err
		}
		problems = found
	}
	return s.showAddress(r, http.StatusOK, kind, d, problems)
}

// addressPost takes step 1. What is wrong is said at once, with what was typed; the form is kept, so that the language link shows the same.
func (s *server) addressPost(r *request, kind string) error {
	d := s.draft(r, kind)
	if d.Done != "" {
		d = draft{Command: newCommand()}
	}
	d.Street, d.Unit, d.City, d.Province = r.form("street"), r.form("unit"), r.form("city"), r.form("province")
	d.Postal, d.Year, d.Month, d.Day = r.form("postal_code"), r.form("date-year"), r.form("date-month"), r.form("date-day")
	d.Posted, d.Chosen = true, false
	if err := s.keep(r, kind, d); err != nil {
		return err
	}
	_, problems, err := s.judge(r, kind, d)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return s.showAddress(r, http.StatusUnprocessableEntity, kind, d, problems)
	}
	return r.redirect("/address/" + kind + "/who")
}

func (s *server) showAddress(r *request, status int, kind string, d draft, problems []problem) error {
	v := view{Title: r.say("address." + kind + ".title"), Problems: problems, Back: "/" + r.lang() + "/me"}
	field := func(id, value, autocomplete, size string) textField {
		return textField{
			ID: id, Label: r.say("field." + id), Value: value, Error: v.Of(id), Autocomplete: autocomplete, Size: size, Max: 200,
		}
	}
	a := addressView{
		Kind:   kind,
		Street: field("street", d.Street, "address-line1", "wide"), Unit: field("unit", d.Unit, "address-line2", "short"),
		City: field("city", d.City, "address-level2", "wide"), Postal: field("postal_code", d.Postal, "postal-code", "short"),
		Year: field("date-year", d.Year, "", "year"), Month: field("date-month", d.Month, "", "two"), Day: field("date-day", d.Day, "", "two"),
	}
	a.Street.Hint, a.Postal.Hint, a.Unit.Optional = r.say("hint.street"), r.say("hint.postal_code"), true
	a.Unit.Hint = r.say("hint.unit")
	for _, part := range []*textField{&a.Year, &a.Month, &a.Day} {
		part.Mode, part.Max = "numeric", 4
	}
	for _, code := range provinces {
		a.Provinces = append(a.Provinces, option{Value: code, Label: r.say("province." + code), Selected: code == d.Province})
	}
	v.Data = a
	return s.show(r, status, "address", v)
}

// judge reads the form as the change that it tells, without consents; or says what is wrong with it, in the order of the fields.
func (s *server) judge(r *request, kind string, d draft) (command.Change, []problem, error) {
	data := map[string]any{"kind": kind, "country": "CA"}
	for name, value := range map[string]string{
		"street": d.Street, "unit": d.Unit, "city": d.City, "province": d.Province, "postal_code": d.Postal,
	} {
		if value != "" {
			data[name] = value
		}
	}
	change := command.Change{Type: addressChanged}
	var faults []schemas.Problem
	change.Data, change.Canonical, faults = s.Journal.Registry().Validate(addressChanged, data)
	var problems []problem
	for i := range faults {
		problems = append(problems, faultOf(r, &faults[i]))
	}
	var wrong *problem
	if change.Effective, wrong = effectiveOf(r, d); wrong != nil {
		problems = append(problems, *wrong)
	}
	if len(problems) > 0 {
		return change, inOrder(problems), nil
	}
	_, err := s.Command.Preview(r.Context(), r.actor, r.citizen(), change)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return change, []problem{rejectionOf(r, rejection)}, nil
	}
	return change, nil, err
}

// effectiveOf puts the three fields of the date together.
func effectiveOf(r *request, d draft) (string, *problem) {
	empty := problem{Text: r.say("error.date.required")}
	for _, part := range []struct{ field, value string }{{"date-year", d.Year}, {"date-month", d.Month}, {"date-day", d.Day}} {
		if part.value == "" {
			empty.Field = part.field
			return "", &empty
		}
	}
	year, err1 := strconv.Atoi(d.Year)
	month, err2 := strconv.Atoi(d.Month)
	day, err3 := strconv.Atoi(d.Day)
	switch {
	case errors.Join(err1, err2, err3) == nil:
		text := fmt.Sprintf("%04d-%02d-%02d", year, month, day)
		if _, err := consent.ParseDate(text); err == nil && year >= 1900 {
			return text, nil
		}
	}
	field := "date-day"
	switch {
	case err1 != nil || year < 1900 || year > 9999:
		field = "date-year"
	case err2 != nil || month < 1 || month > 12:
		field = "date-month"
	}
	return "", &problem{Field: field, Text: r.say("error.date.real")}
}

// faultOf is what a broken rule of the schema is at its field.
func faultOf(r *request, fault *schemas.Problem) problem {
	field := fault.Member
	if field == "" && fault.Pointer != nil {
		field = strings.TrimPrefix(*fault.Pointer, "/")
	}
	key, ok := faultKeys[field+" "+fault.Rule]
	if !ok {
		if key, ok = faultKeys[field]; !ok {
			return problem{Text: r.say("error.form")}
		}
	}
	return problem{Field: field, Text: r.say(key)}
}

// faultKeys are the sentences of a field and a rule, or of the field alone.
var faultKeys = map[string]string{
	"street required":      "error.street.required",
	"street":               "error.street.text",
	"unit":                 "error.unit.text",
	"city required":        "error.city.required",
	"city":                 "error.city.text",
	"province":             "error.province.required",
	"postal_code required": "error.postal_code.required",
	"postal_code":          "error.postal_code.form",
}

// rejectionOf is a refusal of the rules, at the field that its pointer names.
func rejectionOf(r *request, rejection *citizen.Rejection) problem {
	p := problem{Text: rejection.Sentence(r.lang())}
	if rejection.Pointer == nil {
		return p
	}
	switch field, inData := strings.CutPrefix(*rejection.Pointer, "/data/"); {
	case *rejection.Pointer == "/effective":
		p.Field = "date-year"
	case inData && contains(addressFields, field):
		p.Field = field
	}
	return p
}

// inOrder sorts problems by their place on the page; what is about the whole comes first.
func inOrder(problems []problem) []problem {
	out := make([]problem, 0, len(problems))
	for _, p := range problems {
		if !contains(addressFields, p.Field) {
			out = append(out, p)
		}
	}
	for _, field := range addressFields {
		for _, p := range problems {
			if p.Field == field {
				out = append(out, p)
			}
		}
	}
	return out
}

// command is the command of a resident's form.
func (s *server) command(r *request, d draft, change command.Change) command.Command {
	content := append([]byte(nil), change.Canonical...)
	content = fmt.Appendf(content, "\n%s %s %q %q", change.Type, change.Effective, d.Agree, d.Stop)
	return command.Command{
		ID: d.Command, Scope: "pages/" + r.actor.Citizen.String(), Content: content, Actor: r.actor,
		Issuer: issuer, Channel: channel, ToldAt: s.Clock().UTC(),
	}
}

// ready is the change of a form whose first page is right; ok is false where the reader must go back to it.
func (s *server) ready(r *request, kind string) (d draft, change command.Change, ok bool, err error) {
	if d = s.draft(r, kind); !d.Posted || d.Done != "" {
		return d, change, false, nil
	}
	change, problems, err := s.judge(r, kind, d)
	return d, change, len(problems) == 0, err
}

// former is the address of the kind that holds now; nil for none.
func (s *server) former(ctx context.Context, id citizen.ID, kind string) (map[string]any, error) {
	profile, err := s.Projection.Profile(ctx, id)
	if err != nil {
		return nil, err
	}
	fact, _ := profile.Latest(addressChanged, kind)
	return fact.Data, nil
}

// addressLines writes an address as typed, in the form of the reader's language: nothing of a street or a city is ever translated.
func (w *words) addressLines(data map[string]any) []string {
	text := func(name string) string { s, _ := data[name].(string); return s }
	first := text("street")
	if unit := text("unit"); unit != "" {
		first = unit + "-" + first
	}
	code := strings.ReplaceAll(text("postal_code"), " ", noBreak)
	province := text("province")
	if text("country") != "CA" {
		return nonEmpty(first, strings.TrimSpace(text("city")+" "+province+noBreak+noBreak+code), text("country"))
	}
	if w.lang == "fr" {
		province = "(" + w.say("province."+province) + ")"
	}
	return nonEmpty(first, text("city")+" "+province+noBreak+noBreak+code)
}

func nonEmpty(lines ...string) []string {
	out := lines[:0]
	for _, line := range lines {
		if strings.Trim(line, " "+noBreak) != "" {
			out = append(out, line)
		}
	}
	return out
}
