package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
)

// The steps of an agreement's draft, in their order. They stand in paths.
const (
	stepAbout  = "about"
	stepFields = "fields"
	stepWhy    = "why"
	stepBasis  = "basis"
	stepCheck  = "check"
)

var draftSteps = []string{stepAbout, stepFields, stepWhy, stepBasis, stepCheck}

// agreementDraft is an agreement that a ministry is writing, as typed.
type agreementDraft struct {
	Name       string            `json:"name,omitempty"` // the last part of the agreement's id and its stream's
	TitleEN    string            `json:"title_en,omitempty"`
	TitleFR    string            `json:"title_fr,omitempty"`
	PurposeEN  string            `json:"purpose_en,omitempty"`
	PurposeFR  string            `json:"purpose_fr,omitempty"`
	Fields     []string          `json:"fields,omitempty"` // event type, a space, field
	Why        map[string]string `json:"why,omitempty"`    // by such a field
	Basis      string            `json:"basis,omitempty"`
	Law        string            `json:"law,omitempty"`
	Population string            `json:"population,omitempty"`
	Way        string            `json:"way,omitempty"`
	Posted     []string          `json:"posted,omitempty"`    // steps that were sent: what is wrong with them is shown
	Submitted  int               `json:"submitted,omitempty"` // the version that was proposed
}

// title names a draft in lists.
func (d *agreementDraft) title(w *words) string {
	if title := w.in(consent.Text{EN: d.TitleEN, FR: d.TitleFR}); title != "" {
		return title
	}
	return w.say("ministry.draft.untitled")
}

// has says whether a field of an event type is chosen.
func (d *agreementDraft) has(event, field string) bool { return contains(d.Fields, event+" "+field) }

// draftAgreement is the draft as an agreement, whatever is still missing.
func (s *server) draftAgreement(ministry string, d *agreementDraft) consent.Agreement {
	a := consent.Agreement{
		ID: ministry + "-" + d.Name, Version: max(d.Submitted, 1), Ministry: ministry, Stream: ministry + "." + d.Name,
		Title: consent.Text{EN: d.TitleEN, FR: d.TitleFR}, Purpose: consent.Text{EN: d.PurposeEN, FR: d.PurposeFR},
		Basis: consent.Basis{Kind: d.Basis, Reference: d.Law}, Population: d.Population, ClientReference: d.Population == consent.PopulationLinked,
		Lanes: 1, Deliver: consent.DeliverTold, Snapshot: true, OnLeaving: consent.LeavingNothing,
	}
	if d.Basis == consent.BasisConsent {
		a.Basis.Reference = ""
	}
	for _, row := range s.Journal.Registry().Rows() {
		share := consent.Share{Event: row.Type}
		for _, name := range row.FieldNames() {
			if d.has(row.Type, name) {
				share.Fields = append(share.Fields, name)
			}
		}
		if len(share.Fields) > 0 {
			a.Shares = append(a.Shares, share)
		}
	}
	return a
}

var draftName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const (
	maxTitle = 120
	maxWhy   = 300
)

// draftProblems are what is wrong with a step, in the order of its fields.
func draftProblems(r *request, step string, d *agreementDraft) (out []problem) {
	need := func(field, value string, limit int) {
		switch {
		case value == "":
			out = append(out, problem{field, r.say("ministry.draft.error." + field)})
		case len([]rune(value)) > limit || !oneLine(value):
			out = append(out, problem{field, r.say("ministry.draft.long")})
		}
	}
	switch step {
	case stepAbout:
		if !draftName.MatchString(d.Name) || len(d.Name) > 40 {
			out = append(out, problem{"name", r.say("ministry.draft.error.name")})
		}
		need("title_en", d.TitleEN, maxTitle)
		need("title_fr", d.TitleFR, maxTitle)
		need("purpose_en", d.PurposeEN, maxWhy)
		need("purpose_fr", d.PurposeFR, maxWhy)
	case stepFields:
		if len(d.Fields) == 0 {
			out = append(out, problem{"fields", r.say("ministry.draft.error.fields")})
		}
	case stepWhy:
		for _, field := range d.Fields {
			if reason := d.Why[field]; reason == "" || len([]rune(reason)) > maxWhy || !oneLine(reason) {
				out = append(out, problem{whyID(field), r.say("ministry.draft.error.why")})
			}
		}
	case stepBasis:
		if d.Basis != consent.BasisConsent && d.Basis != consent.BasisStatute {
			out = append(out, problem{"basis", r.say("ministry.draft.error.basis")})
		}
		if d.Basis == consent.BasisStatute {
			need("law", d.Law, maxWhy)
		}
		if d.Population != consent.PopulationAll && d.Population != consent.PopulationLinked {
			out = append(out, problem{"population", r.say("ministry.draft.error.population")})
		}
	}
	return out
}

// oneLine says whether a text can stand in a line.
func oneLine(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// whyID is the id of the reason's field.
func whyID(field string) string { return "why-" + strings.ReplaceAll(field, " ", "-") }

// draftLine is a draft, or a version that the ministry proposed, in the list.
type draftLine struct {
	Name, Path, Tag, Tone string
	Version               int
	At                    time.Time
}

type draftsView struct {
	Drafts, Versions []draftLine
	Problem          bool
}

// draftsPage lists what the ministry writes, and how what it proposed stands.
func (s *server) draftsPage(r *request) error { return s.showDrafts(r, http.StatusOK, nil) }

func (s *server) showDrafts(r *request, status int, problems []problem) error {
	drafts, err := s.Command.Drafts(r.Context(), r.actor.Ministry)
	if err != nil {
		return err
	}
	versions, err := s.Command.AgreementVersions(r.Context())
	if err != nil {
		return err
	}
	var v draftsView
	for _, kept := range drafts {
		var d agreementDraft
		if json.Unmarshal(kept.Text, &d) == nil && d.Submitted == 0 {
			v.Drafts = append(v.Drafts, draftLine{Name: d.title(r.words), Path: "/" + r.lang() + draftPath(kept.ID, stepAbout), At: kept.At})
		}
	}
	for i := range versions {
		a := &versions[i].Agreement
		if a.Ministry != r.actor.Ministry {
			continue
		}
		line := s.agreementLine(r, &versions[i])
		row := draftLine{Name: r.words.in(a.Title), Tag: line.Tag, Tone: line.Tone, Version: a.Version, At: versions[i].ProposedAt}
		if versions[i].State == consent.StateApproved {
			row.Path = "/" + r.lang() + streamPath(a.Stream, "")
		}
		v.Versions = append(v.Versions, row)
	}
	return s.show(r, status, "ministry-drafts", view{Title: r.say("ministry.drafts.title"), Back: "/" + r.lang() + "/streams", Problems: problems, Data: v})
}

func draftPath(id, step string) string { return "/drafts/" + id + "/" + step }

// draftsPost begins a draft.
func (s *server) draftsPost(r *request) error {
	id := uuid.NewString()
	err := s.keepDraft(r, id, &agreementDraft{})
	if errors.Is(err, command.ErrDraft) {
		return s.showDrafts(r, http.StatusUnprocessableEntity, []problem{{"", r.say("ministry.drafts.many")}})
	}
	if err != nil {
		return err
	}
	return r.redirect(draftPath(id, stepAbout))
}

func (s *server) keepDraft(r *request, id string, d *agreementDraft) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.Command.KeepDraft(r.Context(), r.actor.Ministry, id, text)
}

// readDraft is the draft that the path names, of this ministry alone.
func (s *server) readDraft(r *request) (id string, d agreementDraft, err error) {
	id = r.PathValue("draft")
	kept, ok, err := s.Command.Draft(r.Context(), r.actor.Ministry, id)
	if err != nil {
		return id, d, err
	}
	if !ok || !contains(draftSteps, r.PathValue("step")) || json.Unmarshal(kept.Text, &d) != nil {
		return id, d, errNoPage
	}
	return id, d, nil
}

// fill takes a step's form.
func (d *agreementDraft) fill(r *request, step string, known []string) {
	switch step {
	case stepAbout:
		d.Name, d.TitleEN, d.TitleFR = r.form("name"), r.form("title_en"), r.form("title_fr")
		d.PurposeEN, d.PurposeFR = r.form("purpose_en"), r.form("purpose_fr")
	case stepFields:
		d.Fields = nil
		for _, field := range known {
			event, name, _ := strings.Cut(field, " ")
			if contains(r.PostForm["field-"+event], name) {
				d.Fields = append(d.Fields, field)
			}
		}
	case stepWhy:
		d.Why = map[string]string{}
		for _, field := range d.Fields {
			d.Why[field] = r.form(whyID(field))
		}
	case stepBasis:
		d.Basis, d.Law, d.Population = r.form("basis"), r.form("law"), r.form("population")
	}
	if !contains(d.Posted, step) {
		d.Posted = append(d.Posted, step)
	}
}

// shareable are the fields that an agreement may share, each with its event type.
func (s *server) shareable() (out []string) {
	for _, row := range s.Journal.Registry().Rows() {
		for _, name := range row.FieldNames() {
			if row.Fact {
				out = append(out, row.Type+" "+name)
			}
		}
	}
	return out
}

// nextStep is the step after one.
func nextStep(step string) string {
	return draftSteps[min(slices.Index(draftSteps, step)+1, len(draftSteps)-1)]
}
