package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

var lookers = []journal.Role{journal.RoleOfficer, journal.RoleAuditor, journal.RoleProtector, journal.RoleOperator}

// searchPage is how many decisions, or changes of a timeline, a search shows at once.
const searchPage = 100

const (
	ndjson     = "application/x-ndjson"
	lookNotice = "The look is on the log before anything is shown, and the person it is about can read its reason."
)

func (s *server) officerRoutes() {
	register(s, route{
		method: http.MethodPost, path: "/v1/audit/searches", id: "search", tag: "audit", roles: lookers,
		summary: "Look up a person's changes and why each was shared or withheld, or a stream's decisions",
		description: lookNotice + " With `person` or `receipt` the answer is that person's timeline, newest first, without values; else " +
			"decisions by position. A search may show a part: repeat it with `from` = `next`.",
		body: searchBody{}, codes: []string{codeReason, codeHidden, codeNotFound, codeUnknownOutcome, codeBusy},
	}, s.search)
	codes := []string{codeAccessReason, codeBadQuery, codeUnknownOutcome, codeBusy}
	s.plain(route{
		method: http.MethodGet, path: "/v1/audit/decisions", id: "decisions", tag: "audit", roles: lookers, codes: codes,
		summary: "Every decision, by position, then agreement", description: lookNotice + " The list is complete up to the look itself.",
	}, append(lookParams(), []*huma.Param{
		{Name: "stream", In: "query", Description: "only this stream's", Schema: &huma.Schema{Type: "string"}},
		{Name: "from", In: "query", Description: "from this position of a change on", Schema: &huma.Schema{Type: "integer"}},
		{Name: "to", In: "query", Description: "up to this position, which is not included", Schema: &huma.Schema{Type: "integer"}},
		{Name: "reason", In: "query", Description: "only those withheld for this reason", Schema: &huma.Schema{Type: "string"}, Example: "no-grant"},
	}...), s.listMedia("decisions"), s.decisions)
	s.plain(route{
		method: http.MethodGet, path: "/v1/audit/consents", id: "auditConsents", tag: "audit", roles: lookers, codes: codes,
		summary: "Every consent, link, and their ends, by position", description: lookNotice,
	}, lookParams(), s.listMedia("auditConsents"), s.auditConsents)
}

// searchBody is the body of a search, for the document; search reads it.
type searchBody struct {
	_      struct{} `additionalProperties:"false"`
	Reason string   `json:"reason" doc:"why you look: 1 to 500 characters"`
	Case   string   `json:"case,omitempty" doc:"a case number"`
	// Of an inquiry that the person may not learn of yet.
	HiddenUntil string     `json:"hidden_until,omitempty" format:"date" doc:"the person sees the look from this day on: at most 180 days ahead, with a case and hidden_why"`
	HiddenWhy   string     `json:"hidden_why,omitempty" doc:"the law by which the look is hidden until then; the person reads it later"`
	Person      *personRef `json:"person,omitempty" doc:"whose changes"`
	Receipt     string     `json:"receipt,omitempty" doc:"or: those of the person who got this receipt number"`
	Stream      string     `json:"stream,omitempty" doc:"of decisions: only this stream's"`
	From        int64      `json:"from,omitempty" doc:"next of the former answer"`
}

type searchOutput struct{ Body found }

type found struct {
	Look      int64                `json:"look" doc:"position of the look itself"`
	Changes   []changeLine         `json:"changes,omitzero" doc:"a person's, newest first"`
	Decisions []audit.DecisionLine `json:"decisions,omitzero" doc:"or decisions over all"`
	Next      *int64               `json:"next,omitempty" doc:"there is more: from where"`
}

type changeLine struct {
	Position   int64            `json:"position"`
	RecordedAt time.Time        `json:"recorded_at"`
	Receipt    string           `json:"receipt"`
	Type       string           `json:"type" doc:"of the fact"`
	Told       string           `json:"told" doc:"its own type: that of the fact, or change-corrected, change-cancelled, change-verified, death-corrected"`
	Corrects   int64            `json:"corrects,omitempty" doc:"position of the change that these are about"`
	Effective  string           `json:"effective" format:"date"`
	Decisions  []whyLine        `json:"decisions"`
	Retracted  []retractionLine `json:"retracted" doc:"to whom a wrong value had been given, who were told that it is wrong and not what is right"`
}

type whyLine struct {
	OutcomeLine
	Purpose bilingue `json:"purpose"`
	Basis   string   `json:"basis" enum:"consent,statute"`
	Law     string   `json:"law,omitempty" doc:"the statute"`
	Explain bilingue `json:"explain" doc:"the decision as a sentence"`
}

// searchRequest is a search as it was read.
type searchRequest struct {
	look   audit.Look
	who    audit.Who
	filter audit.Filter
}

// person says whether the search is for one person.
func (q *searchRequest) person() bool { return q.who.Reference != "" || q.who.Receipt != "" }

// search is POST /v1/audit/searches.
func (s *server) search(ctx context.Context, _ *struct{}) (*searchOutput, error) {
	q, err := s.readSearch(ctx)
	if err != nil {
		return nil, err
	}
	if q.person() {
		session, err := s.Audit.OpenPerson(ctx, caller(ctx), journal.IssuerAPI, q.look, q.who)
		if err != nil {
			return nil, err
		}
		out := &searchOutput{Body: found{Look: session.Position}}
		return out, s.timeline(ctx, session, q.filter.From, &out.Body)
	}
	session, err := s.Audit.Open(ctx, caller(ctx), journal.IssuerAPI, q.look)
	if err != nil {
		return nil, err
	}
	out := &searchOutput{Body: found{Look: session.Position}}
	return out, somePage(ctx, session, q.filter, &out.Body)
}

func (s *server) readSearch(ctx context.Context) (searchRequest, error) {
	var q searchRequest
	o, err := s.parseBody(ctx)
	if err != nil {
		return q, err
	}
	q.look.Reason = o.text("reason", true, anyText, "")
	q.look.Case = o.text("case", false, isReference, referenceDetail)
	q.look.HiddenUntil = o.text("hidden_until", false, schemas.ValidDate, "must be a date, YYYY-MM-DD")
	q.look.HiddenWhy = o.text("hidden_why", false, anyText, "")
	q.who = readWho(ctx, o)
	q.filter.Stream = o.text("stream", false, isReference, referenceDetail)
	q.filter.From = o.position("from")
	if several(q.who.Reference, q.who.Receipt, q.filter.Stream) {
		o.wrong("", "name one of person, receipt and stream")
	}
	o.done()
	q.look.Kind, q.look.Shown = audit.KindSearch, fmt.Sprintf("decisions from position %d", q.filter.From)
	if q.person() {
		q.look.Shown = "changes and decisions of one person, without values"
	}
	return q, o.err()
}

// readWho reads whom a look is about: by a source's reference, or by the receipt number of a change.
func readWho(ctx context.Context, o *object) (who audit.Who) {
	if person := o.object("person", false); person != nil {
		who.Sources, who.Reference = []string{readSource(ctx, person)}, person.text("reference", true, isReference, referenceDetail)
		person.done()
	}
	who.Receipt = o.text("receipt", false, func(s string) bool { return len(s) == 12 }, "must be 12 characters")
	return who
}

func several(texts ...string) bool {
	n := 0
	for _, text := range texts {
		if text != "" {
			n++
		}
	}
	return n > 1
}

// timeline shows a page of a person's changes, from a position downwards.
func (s *server) timeline(ctx context.Context, session *audit.Session, from int64, out *found) error {
	changes, err := session.Timeline(ctx)
	if err != nil {
		return err
	}
	out.Changes = []changeLine{}
	for i := range changes {
		c := &changes[i]
		if from > 0 && c.Position > from {
			continue
		}
		if len(out.Changes) == searchPage {
			out.Next = &c.Position
			return nil
		}
		line := changeLine{
			Position: c.Position, RecordedAt: c.RecordedAt, Receipt: c.Receipt, Type: c.Type, Told: c.Told, Corrects: c.Corrects, Effective: c.Effective,
			Decisions: []whyLine{}, Retracted: retractionsOf(c.Retracted),
		}
		for k := range c.Decisions {
			line.Decisions = append(line.Decisions, s.why(c.Type, &c.Decisions[k]))
		}
		out.Changes = append(out.Changes, line)
	}
	return nil
}

func (s *server) why(eventType string, w *audit.Why) whyLine {
	a := &w.Agreement
	line := whyLine{
		OutcomeLine: OutcomeLine{VerdictLine: decided(a, w.Line.Stream, w.Line.Fields, w.Reason)}, Purpose: bilingue(a.Purpose),
		Basis: a.Basis.Kind, Law: a.Basis.Reference,
	}
	line.Explain.EN = consent.Explain(a, eventType, w.Reason, s.labels(eventType, w.Line.Fields, "en"), "en")
	line.Explain.FR = consent.Explain(a, eventType, w.Reason, s.labels(eventType, w.Line.Fields, "fr"), "fr")
	if w.Given != nil {
		line.GivenAt = &w.Given.At
		line.Status, line.StatusAt = statusOf(w.Given)
	}
	return line
}

// labels are what people call an event type's fields.
func (s *server) labels(eventType string, fields []string, language string) []string {
	row, ok := s.Journal.Registry().Row(eventType)
	if !ok {
		return fields
	}
	names := map[string]string{}
	for _, f := range row.Fields {
		names[f.Name] = f.Label.In(language)
	}
	out := make([]string, len(fields))
	for i, field := range fields {
		out[i] = names[field]
	}
	return out
}

var errEnough = errors.New("httpapi: the page is full")

// somePage shows a page of decisions. A change's decisions are never parted.
func somePage(ctx context.Context, session *audit.Session, f audit.Filter, out *found) error {
	out.Decisions = []audit.DecisionLine{}
	err := session.Decisions(ctx, f, func(line audit.DecisionLine) error {
		if n := len(out.Decisions); n >= searchPage && out.Decisions[n-1].Position != line.Position {
			out.Next = &line.Position
			return errEnough
		}
		out.Decisions = append(out.Decisions, line)
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// decisions is GET /v1/audit/decisions.
func (s *server) decisions(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "stream", "from", "to", "reason")
	if err != nil {
		return err
	}
	f := audit.Filter{Stream: q["stream"], Reason: q["reason"]}
	var okFrom, okTo bool
	f.From, okFrom = position(q["from"])
	f.To, okTo = position(q["to"])
	if _, err := consent.ParseReason(f.Reason); err != nil || !okFrom || !okTo {
		return badQuery(fmt.Sprintf("from and to are positions, reason is one of %v", consent.Reasons()))
	}
	return look(s, w, r, audit.KindDecisions, func(session *audit.Session, show func(audit.DecisionLine) error) error {
		return session.Decisions(r.Context(), f, show)
	})
}

// auditConsents is GET /v1/audit/consents.
func (s *server) auditConsents(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	return look(s, w, r, audit.KindConsents, func(session *audit.Session, show func(audit.ConsentLine) error) error {
		return session.Consents(r.Context(), show)
	})
}

// look opens a look and streams what it shows: one object a line, or one array. A list that breaks off ends its connection, so that it
// can't be taken for a whole one.
func look[T any](s *server, w http.ResponseWriter, r *http.Request, kind string, list func(*audit.Session, func(T) error) error) error {
	reason, err := accessReason(r.Header)
	if err != nil {
		return err
	}
	session, err := s.Audit.Open(r.Context(), caller(r.Context()), journal.IssuerAPI, audit.Look{
		Reason: reason, Case: r.Header.Get("X-Access-Case"), Kind: kind, Shown: kind + " over all",
	})
	if err != nil {
		return err
	}
	out := newLines(w, r)
	if err := list(session, func(line T) error { return out.write(line) }); err != nil {
		_ = s.failed(r.Context(), err) // it logs; the status has left
		panic(http.ErrAbortHandler)
	}
	if err := out.end(); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// accessReason reads why somebody looks from a header: a URL would end in logs along the way.
func accessReason(h http.Header) (string, error) {
	values := h.Values("X-Access-Reason")
	if len(values) != 1 || !isReferenceOrNone(h.Get("X-Access-Case")) {
		return "", newProblem(codeAccessReason)
	}
	reason, err := url.PathUnescape(values[0])
	reason = strings.TrimSpace(reason)
	if err != nil || reason == "" || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > 500 {
		return "", newProblem(codeAccessReason)
	}
	return reason, nil
}

// accessHeaders are those of a look whose answer is JSON.
type accessHeaders struct {
	Reason string `header:"X-Access-Reason" required:"true" doc:"why you look: 1 to 500 characters, percent-encoded UTF-8" example:"Complaint%202026-118"`
	Case   string `header:"X-Access-Case" doc:"a case number" example:"2026-118"`
}

// look is a look of a kind, for the reason that the headers give.
func (in *accessHeaders) look(kind string) (audit.Look, error) {
	h := http.Header{}
	h.Set("X-Access-Reason", in.Reason)
	h.Set("X-Access-Case", in.Case)
	reason, err := accessReason(h)
	return audit.Look{Kind: kind, Reason: reason, Case: in.Case}, err
}

func isReferenceOrNone(s string) bool { return s == "" || isReference(s) }

// position reads a position of the log; 0 where there is none.
func position(text string) (int64, bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

// position reads a member that is a position of the log.
func (o *object) position(name string) int64 {
	number, ok := member[json.Number](o, name, false, "a position")
	if !ok {
		return 0
	}
	n, ok := position(number.String())
	if !ok {
		o.wrong(name, "must be a position")
	}
	return n
}

func lookParams() []*huma.Param {
	return []*huma.Param{
		{Name: "X-Access-Reason", In: "header", Required: true, Description: "why you look: 1 to 500 characters, percent-encoded UTF-8",
			Schema: &huma.Schema{Type: "string"}, Example: "Complaint%202026-118"},
		{Name: "X-Access-Case", In: "header", Description: "a case number", Schema: &huma.Schema{Type: "string"}, Example: "2026-118"},
	}
}
