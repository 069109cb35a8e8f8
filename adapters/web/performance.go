package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tellonce/hub/domain/projection"
)

// performanceView is one month of the public figures, as people read them.
type performanceView struct {
	Note   string
	Shown  string // the month
	Others []monthLink

	Told, Agreed, Within                []figureLine
	ToldHeads, AgreedHeads, WithinHeads []string // of the tables' columns
}

type monthLink struct{ Path, Month string }

// figureLine is one row: what it is about, then its figures, each a number or the word for suppressed.
type figureLine struct {
	What, Of string
	Figures  []string
}

// performancePage shows the public figures to anybody: the newest month, or the one that is asked for.
func (s *server) performancePage(r *request) error {
	figures, err := s.Projection.Performance(r.Context())
	if err != nil {
		return err
	}
	v := performanceView{
		Note:        r.words.in(projection.PerformanceNote()),
		ToldHeads:   []string{r.say("performance.what"), r.say("performance.changes")},
		AgreedHeads: []string{r.say("agreements.agreement"), r.say("performance.what"), r.say("performance.shared"), r.say("performance.withheld")},
		WithinHeads: []string{r.say("performance.time"), r.say("performance.share")},
	}
	asked := r.URL.Query().Get("month")
	if asked == "" && len(figures.Months) > 0 {
		asked = figures.Months[0].Month
	}
	at := slices.IndexFunc(figures.Months, func(m projection.PerformanceMonth) bool { return m.Month == asked })
	switch {
	case at >= 0:
		if err := s.figures(r, &v, &figures.Months[at]); err != nil {
			return err
		}
	case asked != "":
		return errNoPage
	}
	for i := range figures.Months {
		if i != at {
			month := figures.Months[i].Month
			v.Others = append(v.Others, monthLink{"/" + r.lang() + "/performance?month=" + month, r.words.month(month)})
		}
	}
	return s.show(r, http.StatusOK, "performance", view{Title: r.say("performance.title"), Data: v})
}

func (s *server) figures(r *request, v *performanceView, m *projection.PerformanceMonth) error {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	label := func(eventType string) string {
		row, ok := s.Journal.Registry().Row(eventType)
		if !ok {
			return eventType
		}
		return r.words.in(row.Label)
	}
	v.Shown = r.words.month(m.Month)
	for _, f := range m.Told {
		v.Told = append(v.Told, figureLine{What: label(f.Type), Figures: []string{r.figure(f.Changes)}})
	}
	for _, f := range m.Agreements {
		name := f.Agreement
		if a, ok := law.Book.Find(f.Agreement); ok {
			name = s.organisation(r.words, a)
		}
		v.Agreed = append(v.Agreed, figureLine{What: name, Of: label(f.Type), Figures: []string{r.figure(f.Shared), r.figure(f.Withheld)}})
	}
	for i, key := range []string{"1s", "10s", "1min", "1h", "later"} {
		share := r.say("performance.suppressed")
		if m.Within != nil {
			share = r.say("performance.percent", "Share", m.Within[i])
		}
		v.Within = append(v.Within, figureLine{What: r.say("performance.within." + key), Figures: []string{share}})
	}
	return nil
}

// figure is a public number in words' form, or the word for one that is suppressed.
func (r *request) figure(n *int) string {
	if n == nil {
		return r.say("performance.suppressed")
	}
	return r.words.number(*n)
}

// month writes a civil month (2026-12) in words: December 2026. What is no month is written as it is.
func (w *words) month(text string) string {
	m, err := time.Parse("2006-01", text)
	if err != nil {
		return text
	}
	return months[w.lang][m.Month()-1] + " " + strconv.Itoa(m.Year())
}
