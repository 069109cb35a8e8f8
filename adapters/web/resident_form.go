package web

import (
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/projection"
)

// addressChanged is the event type of addresses.
const addressChanged = "address-changed"

// form is how residents tell one kind of change: what it asks, and how what is told reads. A new kind with a page of its own is an entry of
// forms and its texts, resident.<Words>.title, .what, .new and .done: the steps (details, who is told, check, receipt) are the same for all.
type form struct {
	Path     string         // of its first page, below the language
	Words    string         // in the keys of its texts
	Type     string         // of the event
	Key      string         // of the fact, among those of its type
	Fixed    map[string]any // members of the data that nobody is asked for
	Fields   []formField
	Date     string // the date field from which the change holds; empty: the day on which it is told
	Filled   bool   // it begins with what holds now
	Together bool   // people for whom the resident acts may change with them
	Quiet    bool   // nobody is asked whom to tell
	Once     bool   // what was told can't be put right on pages: more than the fact hangs on it
	lines    func(w *words, data map[string]any) []string
}

// formField is what a form asks, in one line, by a choice, or by a date.
type formField struct {
	ID       string // the data's member, but for a date that is Apart
	Kind     fieldKind
	Text     string // in the keys of its label and hint; default ID
	Options  []string
	Words    string // before an option, in the key of its label
	Chosen   string // the option that is chosen at first
	Optional bool
	Hint     bool
	Apart    bool // a date that is no member of the data
	Past     bool // a date that can't be to come

	Autocomplete, Size, Mode string
}

type fieldKind string

const (
	fieldText   fieldKind = "text"
	fieldRadios fieldKind = "radios"
	fieldList   fieldKind = "list"
	fieldDate   fieldKind = "date"
)

// provinces are Canada's, by code, in the order of their English names.
var provinces = []string{"AB", "BC", "MB", "NB", "NL", "NT", "NS", "NU", "ON", "PE", "QC", "SK", "YT"}

// forms are the kinds of change that residents tell by these pages, in the order of "my details".
var forms = []form{
	{
		Path: "name", Words: "name", Type: citizen.NameChanged, Date: "date", Filled: true, lines: nameLines,
		Fields: []formField{
			{ID: "given_names", Autocomplete: "given-name", Size: "wide"},
			{ID: "family_name", Autocomplete: "family-name", Size: "wide"},
			{ID: "reason", Kind: fieldRadios, Text: "name-reason", Options: []string{"marriage", "divorce", "court", "preference"}, Words: "resident.reason."},
			{ID: "date", Kind: fieldDate, Text: "name-date", Hint: true, Apart: true},
		},
	},
	addressForm(consent.AddressHome, true),
	addressForm(consent.AddressMailing, false),
	{
		Path: "contact", Words: "contact", Type: "contact-changed", Filled: true, lines: contactLines,
		Fields: []formField{
			{ID: "email", Autocomplete: "email", Size: "wide", Mode: "email", Optional: true, Hint: true},
			{ID: "phone", Autocomplete: "tel", Size: "medium", Mode: "tel", Optional: true, Hint: true},
		},
	},
	{
		Path: "marital-status", Words: "marital", Type: "marital-status-changed", Date: "date", lines: choiceLines("status", "marital."),
		Fields: []formField{
			{ID: "status", Kind: fieldRadios, Options: []string{"single", "married", "common-law", "separated", "divorced", "widowed"}, Words: "marital."},
			{ID: "date", Kind: fieldDate, Text: "marital-date", Hint: true, Apart: true},
		},
	},
	{
		Path: "language", Words: "language", Type: citizen.LanguageChanged, lines: choiceLines("language", "language."),
		Fields: []formField{{ID: "language", Kind: fieldRadios, Options: []string{"en", "fr"}, Words: "language."}},
	},
	{
		Path: "notice-preference", Words: "notices", Type: citizen.NoticePreference, lines: choiceLines("channel", "notices."),
		Fields: []formField{{ID: "channel", Kind: fieldRadios, Options: []string{"email", "text", "letter"}, Words: "notices."}},
	},
	{
		Path: "birth", Words: "birth", Type: citizen.BirthRegistered, Date: "child_birth_date", Once: true, lines: birthLines,
		Fields: []formField{
			{ID: "child_given_names", Size: "wide", Hint: true},
			{ID: "child_family_name", Size: "wide"},
			{ID: "child_birth_date", Kind: fieldDate, Hint: true, Past: true},
		},
	},
}

func addressForm(kind string, together bool) form {
	return form{
		Path: "address/" + kind, Words: "address." + kind, Type: addressChanged, Key: kind, Fixed: map[string]any{"kind": kind, "country": "CA"},
		Date: "date", Together: together, lines: (*words).addressLines,
		Fields: []formField{
			{ID: "street", Autocomplete: "address-line1", Size: "wide", Hint: true},
			{ID: "unit", Autocomplete: "address-line2", Size: "short", Hint: true, Optional: true},
			{ID: "city", Autocomplete: "address-level2", Size: "wide"},
			{ID: "province", Kind: fieldList, Options: provinces, Words: "province.", Chosen: "ON", Autocomplete: "address-level1"},
			{ID: "postal_code", Autocomplete: "postal-code", Size: "short", Hint: true},
			{ID: "date", Kind: fieldDate, Hint: true, Apart: true},
		},
	}
}

// formOf is the form of a fact; nil for one that has none.
func formOf(eventType, key string) *form {
	for i := range forms {
		if forms[i].Type == eventType && forms[i].Key == key {
			return &forms[i]
		}
	}
	return nil
}

// parts are the inputs of a field, by id.
func (f *formField) parts() []string {
	if f.Kind == fieldDate {
		return []string{f.ID + "-year", f.ID + "-month", f.ID + "-day"}
	}
	return []string{f.ID}
}

func (f *formField) text() string {
	if f.Text != "" {
		return f.Text
	}
	return f.ID
}

// parts are the inputs of a form, by id, in their order.
func (f *form) parts() (ids []string) {
	for i := range f.Fields {
		ids = append(ids, f.Fields[i].parts()...)
	}
	return ids
}

// firstPart is the input at which what is wrong with a member of the data, or with the effective date, is said; empty for none.
func (f *form) firstPart(member string) string {
	for i := range f.Fields {
		if f.Fields[i].ID == member {
			return f.Fields[i].parts()[0]
		}
	}
	return ""
}

// typed is a fact as somebody would type it into the form.
func (f *form) typed(fact *citizen.Change) map[string]string {
	out := map[string]string{}
	for i := range f.Fields {
		field := &f.Fields[i]
		text, _ := fact.Data[field.ID].(string)
		if field.Kind != fieldDate {
			if out[field.ID] = text; field.Mode == "tel" {
				out[field.ID] = phone(text)
			}
			continue
		}
		if field.Apart {
			text = fact.Effective
		}
		if date := strings.Split(text, "-"); len(date) == 3 {
			for k, id := range field.parts() {
				out[id] = date[k]
			}
		}
	}
	return out
}

// held is the fact of a type that holds now. A name and a language are told with the registration.
func held(profile *citizen.Profile, eventType, key string) (citizen.Fact, bool) {
	if f, ok := profile.Latest(eventType, key); ok || (eventType != citizen.NameChanged && eventType != citizen.LanguageChanged) {
		return f, ok
	}
	return profile.Latest(citizen.PersonRegistered, "")
}

// flow is a form on its way: a change of its own, or one that puts right what was told.
type flow struct {
	*form
	path string           // of its first page, below the language
	told *projection.Told // what it puts right; nil: it is a change of its own
}

// name is the form's among those under way: what seals its draft, and names its cookie.
func (q *flow) name() string { return strings.ReplaceAll(q.path, "/", "-") }

// link is the path of one of its pages.
func (q *flow) link(r *request, page string) string { return r.at("/" + q.path + page) }

func nameLines(_ *words, data map[string]any) []string {
	return nonEmpty(text(data, "given_names") + " " + text(data, "family_name"))
}

func birthLines(w *words, data map[string]any) []string {
	return nonEmpty(text(data, "child_given_names")+" "+text(data, "child_family_name"), w.date(text(data, "child_birth_date")))
}

func contactLines(_ *words, data map[string]any) []string {
	return nonEmpty(text(data, "email"), phone(text(data, "phone")))
}

// choiceLines reads a member whose values have texts.
func choiceLines(member, prefix string) func(*words, map[string]any) []string {
	return func(w *words, data map[string]any) []string {
		if value := text(data, member); value != "" {
			return []string{w.say(prefix + value)}
		}
		return nil
	}
}

func text(data map[string]any, member string) string {
	t, _ := data[member].(string)
	return t
}
