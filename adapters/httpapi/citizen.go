package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
)

var citizens = []journal.Role{journal.RoleCitizen}

// me marks a route as a citizen's own.
func me(rt route) route {
	rt.tag, rt.roles = "me", citizens
	return rt
}

func (s *server) citizenRoutes() {
	register(s, mayBehalf(me(route{
		method: http.MethodGet, path: "/v1/me", id: "me", summary: "What the hub holds on you", codes: []string{codeNotFound},
	})), s.me)
	register(s, me(route{
		method: http.MethodGet, path: "/v1/me/disclosures", id: "disclosures", summary: "Who saw your data",
		description: "Every fact that was given to a ministry, with its answer, and every look by a person in office, newest first.",
	}), s.disclosures)
	register(s, mayBehalf(me(route{
		method: http.MethodGet, path: "/v1/me/consents", id: "consents", summary: "The agreements that need your consent, and what you said",
	})), s.consents)
	register(s, mayBehalf(me(route{
		method: http.MethodGet, path: "/v1/me/receipts/{number}", id: "receipt", summary: "What became of a change that you told",
		codes: []string{codeNotFound},
	})), s.receipt)
}

type meOutput struct{ Body profile }

type profile struct {
	Facts     []factLine `json:"facts" doc:"what holds today, of each kind one"`
	Announced []factLine `json:"announced" doc:"what holds only from a later day on"`
	Links     []linkLine `json:"links" doc:"the ministries that know you as a client"`
}

type factLine struct {
	Type       string         `json:"type" example:"address-changed"`
	Key        string         `json:"key,omitempty" example:"home" doc:"tells facts of one type apart"`
	Effective  string         `json:"effective" format:"date"`
	Data       map[string]any `json:"data"`
	Assurance  string         `json:"assurance" enum:"asserted,verified"`
	Position   int64          `json:"position"`
	RecordedAt time.Time      `json:"recorded_at"`
}

type linkLine struct {
	Ministry        string `json:"ministry" example:"moh"`
	ClientReference string `json:"client_reference" example:"8805-222-127-CL"`
	Since           int64  `json:"since" doc:"position since which it holds"`
}

// me is GET /v1/me.
func (s *server) me(ctx context.Context, _ *struct{}) (*meOutput, error) {
	id, err := s.shown(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Projection.Profile(ctx, id)
	if err != nil {
		return nil, err
	}
	links, err := s.Projection.Links(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &meOutput{Body: profile{Facts: factLines(p), Announced: announced(p), Links: make([]linkLine, len(links))}}
	for i, l := range links {
		out.Body.Links[i] = linkLine{Ministry: l.Ministry, ClientReference: l.Reference, Since: l.Since}
	}
	return out, nil
}

// factLines are a profile's facts, by type, then key.
func factLines(p *citizen.Profile) []factLine {
	out := make([]factLine, 0, len(p.Facts))
	for _, f := range p.Facts {
		out = append(out, factOf(&f))
	}
	slices.SortFunc(out, func(a, b factLine) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Key, b.Key)) })
	return out
}

type disclosuresOutput struct {
	Body struct {
		Disclosures []seenLine `json:"disclosures"`
	}
}

type seenLine struct {
	At         time.Time       `json:"at"`
	Disclosure *disclosureLine `json:"disclosure,omitempty" doc:"a fact that was given to a ministry"`
	Look       *lookLine       `json:"look,omitempty" doc:"or a look by a person in office"`
}

type disclosureLine struct {
	Type      string     `json:"type" example:"address-changed"`
	Agreement string     `json:"agreement" example:"moh-health-card"`
	Version   int        `json:"version" example:"1"`
	Stream    string     `json:"stream" example:"moh.health-card"`
	Ministry  string     `json:"ministry" example:"moh"`
	Title     bilingue   `json:"title"`
	Fields    []string   `json:"fields"`
	Kind      string     `json:"kind" example:"fact" doc:"fact, snapshot, correction; or, without values, retracted, ended, left-scope, erased, rekeyed"`
	Status    string     `json:"status" enum:"sent,received,applied,rejected,recalled"`
	StatusAt  *time.Time `json:"status_at,omitempty" doc:"of the ministry's answer"`
}

type lookLine struct {
	Role   string `json:"role" example:"officer"`
	Kind   string `json:"kind" example:"search"`
	Reason string `json:"reason"`
	Case   string `json:"case,omitempty"`
	// HiddenUntil and HiddenWhy are of a look that was not shown before: until when, and by which law.
	HiddenUntil string `json:"hidden_until,omitempty" format:"date" doc:"it was not shown before this day"`
	HiddenWhy   string `json:"hidden_why,omitempty" doc:"the law for that"`
	Refused     bool   `json:"refused,omitempty" doc:"you are protected: who asked was answered as if you did not exist"`
}

// disclosures is GET /v1/me/disclosures.
func (s *server) disclosures(ctx context.Context, _ *struct{}) (*disclosuresOutput, error) {
	seen, err := s.Projection.WhoSaw(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	out := &disclosuresOutput{}
	out.Body.Disclosures = make([]seenLine, len(seen))
	for i := range seen {
		out.Body.Disclosures[i] = seenOf(&seen[i])
	}
	return out, nil
}

func seenOf(seen *projection.Seen) seenLine {
	line := seenLine{At: seen.At}
	if a := seen.Access; a != nil {
		line.Look = &lookLine{
			Role: roleName(a.Actor), Kind: a.Kind, Reason: a.Reason, Case: a.Case, HiddenUntil: a.HiddenUntil, HiddenWhy: a.HiddenWhy,
			Refused: a.Refused,
		}
	}
	if g := seen.Given; g != nil {
		status, at := statusOf(g)
		line.Disclosure = &disclosureLine{
			Type: seen.Type, Agreement: seen.Law.ID, Version: seen.Law.Version, Stream: g.Stream, Ministry: seen.Law.Ministry,
			Title: bilingue(seen.Law.Title), Fields: append([]string{}, seen.Fields...), Kind: g.Item.Kind, Status: status, StatusAt: at,
		}
	}
	return line
}

// statusOf is how far a disclosed fact is, and when the ministry answered.
func statusOf(g *journal.Given) (status string, at *time.Time) {
	if !g.StatusAt.IsZero() {
		at = &g.StatusAt
	}
	return string(g.Status), at
}

// roleName names an actor kind as tokens do; what no token names is the hub itself.
func roleName(kind journal.ActorKind) string {
	if kind == journal.ActorSource {
		kind = journal.ActorHub
	}
	return kind.String()
}

type consentsOutput struct {
	Body struct {
		Consents []consentState `json:"consents"`
	}
}

type consentState struct {
	Agreement string   `json:"agreement" example:"library-membership"`
	Version   int      `json:"version" example:"1"`
	Ministry  string   `json:"ministry" example:"library"`
	Stream    string   `json:"stream" example:"library.membership"`
	Title     bilingue `json:"title"`
	Purpose   bilingue `json:"purpose"`
	Shares    []string `json:"shares" doc:"all fields that the agreement shares"`
	Granted   bool     `json:"granted"`
	Fields    []string `json:"fields,omitempty" doc:"consented to, and still shared"`
	Since     int64    `json:"since,omitempty" doc:"position since which it holds unbroken"`
	AgreedTo  int      `json:"agreed_to,omitempty" doc:"the version that the consent names"`
	// Asks says what the newest version shares beyond that one.
	Asks []bilingue `json:"asks,omitempty" doc:"what a newer version asks for, in words: it is shared only after a new consent"`
}

// consents is GET /v1/me/consents.
func (s *server) consents(ctx context.Context, _ *struct{}) (*consentsOutput, error) {
	id, err := s.shown(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.Projection.Consents(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &consentsOutput{}
	out.Body.Consents = make([]consentState, len(list))
	for i, c := range list {
		a := c.Agreement
		out.Body.Consents[i] = consentState{
			Agreement: a.ID, Version: a.Version, Ministry: a.Ministry, Stream: a.Stream, Title: bilingue(a.Title), Purpose: bilingue(a.Purpose),
			Shares: projection.AllFields(&a), Granted: c.Granted, Fields: c.Fields, Since: c.Since,
			AgreedTo: c.Version, Asks: s.bilingual(c.Asks.Sentences),
		}
	}
	return out, nil
}

type receiptInput struct {
	Number string `path:"number" doc:"a receipt number: 12 characters" example:"7ZK3M9QX2B4D"`
}

type receiptOutput struct{ Body receiptBody }

type receiptBody struct {
	Receipt    string           `json:"receipt" example:"7ZK3M9QX2B4D"`
	Position   int64            `json:"position" example:"4711"`
	RecordedAt time.Time        `json:"recorded_at"`
	Type       string           `json:"type" example:"address-changed"`
	Told       string           `json:"told" example:"address-changed" doc:"its own type: that of the fact, or change-corrected, change-cancelled, change-verified, death-corrected"`
	Effective  string           `json:"effective" format:"date"`
	Data       map[string]any   `json:"data" doc:"of the fact that holds by it; of a cancellation, of what it takes back"`
	Assurance  string           `json:"assurance" enum:"asserted,verified"`
	Stands     bool             `json:"stands" doc:"it still holds: it was neither corrected nor cancelled since"`
	About      *mentionLine     `json:"about,omitempty" doc:"the change that it corrects, cancels or verifies"`
	Since      []mentionLine    `json:"since" doc:"what was told about it later"`
	Decisions  []toldLine       `json:"decisions" doc:"one for each agreement that names the type"`
	Retracted  []retractionLine `json:"retracted" doc:"to whom a wrong value had been given, who were told that it is wrong and not what is right"`
}

// toldLine is one agreement's line of a receipt, explained to the citizen.
type toldLine struct {
	OutcomeLine
	Explain bilingue `json:"explain" doc:"the decision as a sentence"`
	Answer  string   `json:"answer,omitempty" doc:"of a rejection: the ministry's own words"`
}

// OutcomeLine is one agreement's line under a change that was told. Exported as VerdictLine is.
type OutcomeLine struct {
	VerdictLine
	Status   string     `json:"status,omitempty" enum:"sent,received,applied,rejected,recalled" doc:"once it was given to the ministry"`
	GivenAt  *time.Time `json:"given_at,omitempty"`
	StatusAt *time.Time `json:"status_at,omitempty" doc:"of the ministry's answer"`
}

// receipt is GET /v1/me/receipts/{number}. Another's number and one that stands for nothing are answered alike.
func (s *server) receipt(ctx context.Context, in *receiptInput) (*receiptOutput, error) {
	id, err := s.shown(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.Projection.Receipt(ctx, id, in.Number)
	if err != nil {
		return nil, err
	}
	law, err := s.Journal.CurrentLaw(ctx)
	if err != nil {
		return nil, err
	}
	out := &receiptOutput{Body: receiptBody{
		Receipt: t.Receipt, Position: t.Position, RecordedAt: t.RecordedAt, Type: t.Change.Type, Effective: t.Change.Effective, Data: t.Change.Data,
		Assurance: t.Change.Assurance(), Told: t.Type, Stands: t.Stands(), Decisions: make([]toldLine, len(t.Outcomes)),
	}}
	out.Body.About, out.Body.Since, out.Body.Retracted = rightOf(&t)
	for i := range t.Outcomes {
		o := &t.Outcomes[i]
		line := toldLine{Explain: bilingue(o.Explain), Answer: o.Refusal}
		line.VerdictLine = decided(&o.Agreement, law.StreamOf[o.Agreement.ID], o.Fields, o.Reason)
		if o.Given != nil {
			line.GivenAt = &o.Given.At
			line.Status, line.StatusAt = statusOf(o.Given)
		}
		out.Body.Decisions[i] = line
	}
	return out, nil
}
