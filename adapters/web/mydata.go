package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

// dataRecord is one record of the export as people read it.
type dataRecord struct {
	What     string
	At       time.Time
	Members  []dataMember
	Explains []dataExplain
	Erased   bool // its content is gone
}

// dataExplain is a decision as a sentence; a law that it ends with stands apart, for laws are named in their own language.
type dataExplain struct{ Text, Law string }

// dataMember is one member of a record's content. Names and values are as they stand on the log: this page hides nothing.
type dataMember struct{ Name, Value string }

// dataGiven is one thing that was given to a ministry.
type dataGiven struct {
	At          time.Time
	Who, What   string
	Fields      []string
	Status      string
	StatusSince time.Time
}

type myDataView struct {
	Export  *projection.Export
	Records []dataRecord
	Given   []dataGiven
	Kept    []string
}

// myDataPage is everything that the hub holds on a resident, to read or print.
func (s *server) myDataPage(r *request) error {
	e, err := s.Projection.Export(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	v := myDataView{Export: e}
	for i := range e.Records {
		v.Records = append(v.Records, s.dataRecord(r, &e.Records[i]))
	}
	for _, g := range e.Given {
		line := dataGiven{
			At: g.At, Who: s.organisation(r.words, &consent.Agreement{Ministry: g.Ministry, Title: consent.Text{EN: g.Agreement, FR: g.Agreement}}),
			What: g.Label.In(r.lang()), Fields: s.labels(r, g.Type, g.Fields), Status: r.say("status." + string(g.Status)), StatusSince: g.StatusAt,
		}
		v.Given = append(v.Given, line)
	}
	for _, k := range e.Kept {
		v.Kept = append(v.Kept, k.Sentence.In(r.lang()))
	}
	return s.show(r, http.StatusOK, "my-data", view{Title: r.say("my-data.title"), Back: "/" + r.lang() + "/me", Data: v})
}

func (s *server) dataRecord(r *request, record *projection.ExportRecord) dataRecord {
	out := dataRecord{What: record.Label.In(r.lang()), At: record.RecordedAt, Erased: record.Data == nil}
	if record.Type == journal.TypeDecided {
		for _, d := range record.Decisions {
			text := d.Explain.In(r.lang())
			if before, ok := strings.CutSuffix(text, d.Law+"."); ok && d.Law != "" {
				out.Explains = append(out.Explains, dataExplain{Text: before, Law: d.Law})
				continue
			}
			out.Explains = append(out.Explains, dataExplain{Text: text})
		}
		return out
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(record.Data))
	decoder.UseNumber()
	if record.Data == nil || decoder.Decode(&members) != nil {
		return out
	}
	for name, value := range members {
		out.Members = append(out.Members, dataMember{Name: s.memberLabel(r, record.Type, name), Value: plain(value)})
	}
	slices.SortFunc(out.Members, func(a, b dataMember) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return out
}

// plain writes a member's value for people: lists with commas, members of an object with their names.
func plain(value any) string {
	var parts []string
	switch v := value.(type) {
	case string:
		return v
	case []any:
		for _, item := range v {
			parts = append(parts, plain(item))
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+" "+plain(v[name]))
		}
	default:
		return fmt.Sprint(v)
	}
	return strings.Join(parts, ", ")
}

// memberLabel is what people call a member of a record, also one that no agreement can share; its own name where it has no other.
func (s *server) memberLabel(r *request, eventType, name string) string {
	row, ok := s.Journal.Registry().Row(eventType)
	if !ok {
		return name
	}
	for _, f := range slices.Concat(row.Fields, row.Private) {
		if f.Name == name {
			return r.words.in(f.Label)
		}
	}
	return name
}

// myDataFile is the same as a file for machines.
func (s *server) myDataFile(r *request) error {
	e, err := s.Projection.Export(r.Context(), r.citizen())
	if err != nil {
		return err
	}
	content, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "application/json")
	r.w.Header().Set("Content-Disposition", `attachment; filename="my-data.json"`)
	_, _ = r.w.Write(content) // a reader that is gone needs no answer
	return nil
}

type erasureView struct {
	Command string // of the form: sent twice, it counts once
	Kept    []string
	Done    bool
	Receipt string
	Lines   []erasureLine
}

// erasureLine is one class that had to stay.
type erasureLine struct{ Sentence, Until string }

// erasurePage asks, and says what would go and what must stay.
func (s *server) erasurePage(r *request) error {
	if erased, err := s.Projection.Erasure(r.Context(), r.citizen()); err != nil {
		return err
	} else if erased != nil {
		return s.showErased(r, erased, "")
	}
	return s.showErasure(r, http.StatusOK)
}

func (s *server) showErasure(r *request, status int, problems ...problem) error {
	v := erasureView{Command: uuid.NewString()}
	for _, k := range citizen.Retentions()[1:] {
		v.Kept = append(v.Kept, citizen.KeptSentence(k.Class, citizen.KeptByRetention, r.lang()))
	}
	return s.show(r, status, "erasure", view{Title: r.say("erasure.title"), Back: "/" + r.lang() + "/me", Data: v, Problems: problems})
}

// erasurePost erases, once the box is ticked.
func (s *server) erasurePost(r *request) error {
	if r.form("sure") != "yes" {
		return s.showErasure(r, http.StatusUnprocessableEntity, problem{Field: "sure", Text: r.say("error.erasure.sure")})
	}
	id, err := uuid.Parse(r.form("command"))
	if err != nil {
		return errForm
	}
	c := command.Command{
		ID: id.String(), Scope: "pages/" + r.actor.Citizen.String(), Content: []byte("erasure"), Actor: r.actor, Issuer: journal.IssuerPages, Channel: journal.ChannelWeb,
		ToldAt: s.Clock(),
	}
	e, err := s.Command.Erase(r.Context(), c, r.citizen())
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) && rejection.Code != citizen.CodeAlreadyErased {
		return s.showErasure(r, http.StatusUnprocessableEntity, problem{Text: rejection.Sentence(r.lang())})
	}
	if err != nil && rejection == nil {
		return err
	}
	if rejection != nil {
		return r.redirect("/erasure")
	}
	return s.showErased(r, &e.Erased, e.Receipt)
}

func (s *server) showErased(r *request, erased *journal.Erased, receipt string) error {
	v := erasureView{Done: true, Receipt: receipt}
	for _, k := range erased.Kept {
		line := erasureLine{Sentence: citizen.KeptSentence(int16(k.Class), k.Law, r.lang())}
		if k.Until != "" {
			line.Until = r.words.date(k.Until)
		}
		v.Lines = append(v.Lines, line)
	}
	return s.show(r, http.StatusOK, "erasure", view{Title: r.say("erasure.done.title"), Data: v})
}
