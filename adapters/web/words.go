package web

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	textlanguage "golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tellonce/hub/consent"
)

// languages are those of the pages; the first is the default.
var languages = []string{"en", "fr"}

// language is the pages in one language.
type language struct {
	words     *words
	templates map[string]*template.Template // by page, each with the layout
}

// words says things in one language. It is safe for concurrent use.
type words struct {
	lang     string
	catalogs *i18n.Localizer
	numbers  *message.Printer
	zone     *time.Location
}

// loadLanguages reads the catalogues and compiles the templates once for each language.
func loadLanguages(zone *time.Location, l *look) (map[string]*language, error) {
	bundle := i18n.NewBundle(textlanguage.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	out := map[string]*language{}
	catalogues, err := fs.Glob(files, "locales/*.json")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for _, name := range catalogues { // each area has its own: resident.en.json
		if _, err := bundle.LoadMessageFileFS(files, name); err != nil {
			return nil, fmt.Errorf("web: the catalogue %s: %w", name, err)
		}
	}
	for _, lang := range languages {
		region := textlanguage.MustParse(lang + "-CA")
		w := &words{lang: lang, catalogs: i18n.NewLocalizer(bundle, lang), numbers: message.NewPrinter(region), zone: zone}
		templates, err := loadTemplates(w.functions(l))
		if err != nil {
			return nil, err
		}
		out[lang] = &language{words: w, templates: templates}
	}
	return out, nil
}

func loadTemplates(functions template.FuncMap) (map[string]*template.Template, error) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	out := map[string]*template.Template{}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		if page == "layout" || strings.HasPrefix(page, "parts") {
			continue
		}
		t, err := template.New(page).Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts*.html", name)
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		out[page] = t
	}
	return out, nil
}

// functions are what templates may call.
func (w *words) functions(l *look) template.FuncMap {
	return template.FuncMap{
		"t": w.say, "date": w.date, "moment": w.moment, "clock": w.clock, "iso": iso, "number": w.number, "list": w.list,
		"sheets": func() []string { return l.sheets }, "script": func() string { return l.script },
		"other": func() string { return map[string]string{"en": "fr", "fr": "en"}[w.lang] },
		"sum": func(n ...int) (total int) {
			for _, x := range n {
				total += x
			}
			return total
		},
		"dict": dict,
	}
}

func dict(pairs ...any) map[string]any {
	out := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			out[name] = pairs[i+1]
		}
	}
	return out
}

// say is a text of the catalogue; pairs are names and values of its placeholders. A placeholder Count chooses between singular and
// plural, and is written as people write numbers. A text that is missing shows as its key in ⟨⟩: the tests let none out.
func (w *words) say(key string, pairs ...any) string {
	config := i18n.LocalizeConfig{MessageID: key}
	if len(pairs) > 0 {
		data := dict(pairs...)
		if n, ok := data["Count"].(int); ok {
			config.PluralCount = n
			data = maps.Clone(data)
			data["Count"] = w.number(n)
		}
		config.TemplateData = data
	}
	text, err := w.catalogs.Localize(&config)
	if err != nil {
		return "⟨" + key + "⟩"
	}
	return text
}

// in is a text in the words' language.
func (w *words) in(text consent.Text) string { return text.In(w.lang) }

const noBreak = "\u00a0"

// number writes a whole number: 48,211,903 or 48 211 903.
func (w *words) number(n int) string {
	return strings.ReplaceAll(w.numbers.Sprintf("%d", n), "\u202f", noBreak)
}

var months = map[string][]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"fr": {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
}

// date writes a civil date (ISO 8601) in words: December 1, 2026, or le 1er décembre 2026. What is no date is written as it is.
func (w *words) date(text string) string {
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return text
	}
	month := months[w.lang][d.Month()-1]
	if w.lang == "fr" {
		day := strconv.Itoa(d.Day())
		if d.Day() == 1 {
			day = "1er"
		}
		return "le " + day + " " + month + " " + strconv.Itoa(d.Year())
	}
	return month + " " + strconv.Itoa(d.Day()) + ", " + strconv.Itoa(d.Year())
}

// moment writes date and time of day, in the log's time zone.
func (w *words) moment(t time.Time) string {
	local := t.In(w.zone)
	if w.lang == "fr" {
		return w.date(local.Format(time.DateOnly)) + ", " + local.Format("15"+noBreak+"h"+noBreak+"04")
	}
	return w.date(local.Format(time.DateOnly)) + ", " + local.Format("15:04")
}

// clock writes the time of day to the second, in the log's time zone.
func (w *words) clock(t time.Time) string { return t.In(w.zone).Format("15:04:05") }

// iso is a time for machines.
func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// list joins what stands side by side.
func (w *words) list(items []string) string { return strings.Join(items, ", ") }

// either joins alternatives: a, b or c.
func (w *words) either(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " " + w.say("or") + " " + items[last]
}

// preferred is the language of an Accept-Language header.
func preferred(header string) string {
	tags, _, err := textlanguage.ParseAcceptLanguage(header)
	if err != nil {
		return languages[0]
	}
	matcher := textlanguage.NewMatcher([]textlanguage.Tag{textlanguage.English, textlanguage.French})
	_, index, _ := matcher.Match(tags...)
	return languages[index]
}
