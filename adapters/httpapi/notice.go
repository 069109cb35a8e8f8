package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

func (s *server) noticeRoutes() {
	register(s, me(route{
		method: http.MethodGet, path: "/v1/me/notices", id: "notices", summary: "What notices you were sent, and whether changes in your name are stopped",
		description: "How notices reach you is a change like any other: tell `notice-preference-changed` with the channel email, text or letter. Letters go only to " +
			"whoever asked for them.",
		codes: []string{codeNotFound},
	}), s.notices)
	register(s, me(route{
		method: http.MethodGet, path: "/v1/me/disputes", id: "myDisputes", summary: "What you objected to, and the answers", codes: []string{codeNotFound},
	}), s.myDisputes)
	register(s, me(route{
		method: http.MethodPost, path: "/v1/me/disputes", id: "dispute", summary: "Object to a change, or to its disclosure", status: http.StatusCreated,
		description: "By the receipt number of a change in your name; with `stream`, to that stream having been given it. An officer answers. It is possible also while " +
			"changes in your name are stopped.",
		body: disputeBody{}, codes: slices.Concat(repeatCodes, []string{codeNotFound, citizen.CodeUnknownPerson, citizen.CodeNotYourChange}),
	}), s.dispute)
	answerers := []journal.Role{journal.RoleOfficer, journal.RoleProtector}
	register(s, route{
		method: http.MethodGet, path: "/v1/disputes", id: "disputes", tag: "audit", roles: answerers, summary: "Objections that wait for an answer, the oldest first",
		description: lookNotice + " A page shows 200 at most.", codes: []string{codeAccessReason, codeUnknownOutcome, codeBusy},
	}, s.disputes)
	register(s, route{
		method: http.MethodPost, path: "/v1/disputes/{dispute}/answer", id: "answerDispute", tag: "audit", roles: answerers, summary: "Answer an objection",
		description: lookNotice + " The answer undoes nothing by itself: a registrar puts a change right, and POST /v1/freezes/lift lets changes go on.",
		body:        answerBody{}, codes: slices.Concat(repeatCodes, []string{codeAccessReason, codeNotFound, citizen.CodeNoDispute}),
	}, s.answerDispute)
	freezers := []journal.Role{journal.RoleOfficer, journal.RoleRegistrar, journal.RoleProtector}
	register(s, route{
		method: http.MethodPost, path: "/v1/freezes", id: "freeze", tag: "audit", roles: freezers, summary: "Stop all changes in a person's name",
		description: "At their own word, or for a reason of yours. Until it is lifted nothing is told, agreed to or linked in their name, by anybody; consents can still be " +
			"withdrawn, and registrars and officers act as before.",
		body: freezeBody{}, codes: slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeFrozen}),
	}, s.freeze)
	register(s, route{
		method: http.MethodPost, path: "/v1/freezes/lift", id: "unfreeze", tag: "audit", roles: freezers, summary: "Let changes in a person's name go on",
		body: freezeBody{}, codes: slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeNotFrozen}),
	}, s.unfreeze)
}

// mayBeFrozen says whether a route may be refused because changes in the person's name are stopped.
func mayBeFrozen(rt route) bool {
	return rt.method != http.MethodGet && slices.ContainsFunc(rt.roles, func(r journal.Role) bool { return r == journal.RoleCitizen || r == journal.RoleClerk })
}

type noticesOutput struct {
	Body struct {
		FrozenSince *time.Time   `json:"frozen_since,omitempty" doc:"since when changes in your name are stopped; left out: they are not"`
		Notices     []noticeLine `json:"notices" doc:"newest first"`
	}
}

type noticeLine struct {
	At       time.Time `json:"at"`
	Channel  string    `json:"channel" enum:"email,text,letter"`
	Template string    `json:"template" example:"changed"`
	Language string    `json:"language" enum:"en,fr"`
	Outcome  string    `json:"outcome" enum:"delivered,failed" doc:"delivered: its carrier took it"`
	Receipt  string    `json:"receipt,omitempty" example:"7ZK3M9QX2B4D" doc:"of the change that it was about"`
}

// notices is GET /v1/me/notices.
func (s *server) notices(ctx context.Context, _ *struct{}) (*noticesOutput, error) {
	c, err := s.Projection.Contacted(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	out := &noticesOutput{}
	if !c.Frozen.IsZero() {
		out.Body.FrozenSince = &c.Frozen
	}
	out.Body.Notices = make([]noticeLine, len(c.Notices))
	for i, n := range c.Notices {
		out.Body.Notices[i] = noticeLine(n)
	}
	return out, nil
}

type myDisputesOutput struct {
	Body struct {
		Disputes []myDisputeLine `json:"disputes" doc:"newest first"`
	}
}

type myDisputeLine struct {
	Position   int64      `json:"position" example:"4720"`
	OpenedAt   time.Time  `json:"opened_at"`
	Receipt    string     `json:"receipt,omitempty" example:"7ZK3M9QX2B4D" doc:"of the change that it is about"`
	Stream     string     `json:"stream,omitempty" doc:"of a disclosure: to whom"`
	Text       string     `json:"text,omitempty"`
	ByLink     bool       `json:"by_link,omitempty" doc:"by the link in a notice"`
	Outcome    string     `json:"outcome,omitempty" enum:"upheld,refused" doc:"left out: it waits"`
	Answer     string     `json:"answer,omitempty"`
	AnsweredAt *time.Time `json:"answered_at,omitempty"`
}

// myDisputes is GET /v1/me/disputes.
func (s *server) myDisputes(ctx context.Context, _ *struct{}) (*myDisputesOutput, error) {
	c, err := s.Projection.Contacted(ctx, self(ctx))
	if err != nil {
		return nil, err
	}
	out := &myDisputesOutput{}
	out.Body.Disputes = make([]myDisputeLine, len(c.Disputes))
	for i := range c.Disputes {
		d := &c.Disputes[i]
		out.Body.Disputes[i] = myDisputeLine{
			Position: d.Position, OpenedAt: d.OpenedAt, Receipt: d.Receipt, Stream: d.Stream, Text: d.Text, ByLink: d.ByLink, Outcome: d.Outcome, Answer: d.Answer,
		}
		if d.Outcome != "" {
			out.Body.Disputes[i].AnsweredAt = &d.At
		}
	}
	return out, nil
}

// disputeBody is the body of an objection, for the document.
type disputeBody struct {
	_       struct{} `additionalProperties:"false"`
	Receipt string   `json:"receipt" doc:"of the change"`
	Stream  string   `json:"stream,omitempty" doc:"the stream that was given it, to object to that"`
	Text    string   `json:"text,omitempty" doc:"in your own words: at most 500 characters"`
}

// dispute is POST /v1/me/disputes.
func (s *server) dispute(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	receipt := o.text("receipt", true, func(s string) bool { return len(s) == 12 }, "must be 12 characters")
	d := command.Disputing{Stream: o.text("stream", false, isReference, referenceDetail), Text: o.text("text", false, anyText, "")}
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("POST /v1/me/disputes", o.members)
	if err != nil {
		return nil, err
	}
	told, err := s.Projection.Receipt(ctx, self(ctx), receipt)
	if err != nil {
		return nil, err
	}
	d.About = told.Position
	if d.Stream != "" {
		for i := range told.Outcomes {
			if g := told.Outcomes[i].Given; g != nil && g.Stream == d.Stream {
				d.Cursor = s.cursor(g.Lane, g.Number)
			}
		}
		if d.Cursor == "" {
			return nil, newProblem(codeNotFound)
		}
	}
	out, err := positioned(s.Command.OpenDispute(ctx, s.command(ctx, id, journal.ChannelWeb, content), self(ctx), d))
	return out, relocate(err, "/data/about", "/receipt", "/data", "")
}

type disputesOutput struct {
	Body struct {
		Disputes []disputeLine `json:"disputes" doc:"the oldest first"`
	}
}

type disputeLine struct {
	Position int64     `json:"position" example:"4720" doc:"names the objection when you answer it"`
	OpenedAt time.Time `json:"opened_at"`
	Citizen  string    `json:"citizen" format:"uuid"`
	Receipt  string    `json:"receipt,omitempty" example:"7ZK3M9QX2B4D" doc:"of the change that it is about, by which its timeline is found"`
	Type     string    `json:"type,omitempty" example:"contact-changed" doc:"of the change"`
	Stream   string    `json:"stream,omitempty" doc:"of a disclosure: to whom"`
	Cursor   string    `json:"cursor,omitempty" doc:"of a disclosure"`
	Text     string    `json:"text,omitempty"`
	ByLink   bool      `json:"by_link,omitempty" doc:"by the link in a notice, which stopped changes in the person's name"`
	Frozen   bool      `json:"frozen,omitempty" doc:"changes in the person's name are stopped now"`
}

// disputes is GET /v1/disputes.
func (s *server) disputes(ctx context.Context, in *accessHeaders) (*disputesOutput, error) {
	look, err := in.look(audit.KindDisputes)
	if err != nil {
		return nil, err
	}
	open, err := s.Audit.OpenDisputes(ctx, caller(ctx), journal.IssuerAPI, look)
	if err != nil {
		return nil, err
	}
	out := &disputesOutput{}
	out.Body.Disputes = make([]disputeLine, len(open))
	for i := range open {
		d := &open[i]
		out.Body.Disputes[i] = disputeLine{
			Position: d.Position, OpenedAt: d.OpenedAt, Citizen: d.Citizen.String(), Receipt: d.AboutReceipt, Type: d.AboutType, Stream: d.Stream, Cursor: d.Cursor,
			Text: d.Text, ByLink: d.ByLink, Frozen: d.Frozen,
		}
	}
	return out, nil
}

// answerBody is the body of an answer, for the document.
type answerBody struct {
	_       struct{} `additionalProperties:"false"`
	Outcome string   `json:"outcome" enum:"upheld,refused"`
	Text    string   `json:"text" doc:"why, for the person to read: 1 to 500 characters"`
}

type answerInput struct {
	Repeatable
	Reason  string `header:"X-Access-Reason" required:"true" doc:"why you look: 1 to 500 characters, percent-encoded UTF-8" example:"Complaint%202026-118"`
	Case    string `header:"X-Access-Case" doc:"a case number" example:"2026-118"`
	Dispute string `path:"dispute" doc:"position of the objection" example:"4720"`
}

// answerDispute is POST /v1/disputes/{dispute}/answer.
func (s *server) answerDispute(ctx context.Context, in *answerInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	look, err := (&accessHeaders{Reason: in.Reason, Case: in.Case}).look(audit.KindDisputes)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	outcome, text := o.text("outcome", true, anyText, ""), o.text("text", true, anyText, "")
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	dispute, err := strconv.ParseInt(in.Dispute, 10, 64)
	if err != nil || dispute < 0 {
		return nil, newProblem(codeNotFound)
	}
	content, err := canonical("POST /v1/disputes/"+strconv.FormatInt(dispute, 10)+"/answer", o.members)
	if err != nil {
		return nil, err
	}
	if err := s.Audit.LookAtDispute(ctx, caller(ctx), journal.IssuerAPI, look, dispute); err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.AnswerDispute(ctx, s.command(ctx, id, journal.ChannelNone, content), dispute, outcome, text))
	return out, relocate(err, "/data", "")
}

// freezeBody is the body that stops changes in a person's name, or lets them go on, for the document.
type freezeBody struct {
	_       struct{}   `additionalProperties:"false"`
	Person  *personRef `json:"person,omitempty"`
	Receipt string     `json:"receipt,omitempty" doc:"or: the receipt number of a change of theirs"`
	Reason  string     `json:"reason" doc:"1 to 500 characters"`
}

// freeze is POST /v1/freezes.
func (s *server) freeze(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	return s.freezing(ctx, in.Key, "POST /v1/freezes", s.Command.Freeze)
}

// unfreeze is POST /v1/freezes/lift.
func (s *server) unfreeze(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	return s.freezing(ctx, in.Key, "POST /v1/freezes/lift", s.Command.Unfreeze)
}

func (s *server) freezing(
	ctx context.Context, key, place string, ask func(context.Context, command.Command, citizen.ID, string) (command.Result, error),
) (*positionOutput, error) {
	var reason string
	c, id, err := s.about(ctx, key, place, readAnyone, func(o *object) { reason = o.text("reason", true, anyText, "") })
	if err != nil {
		return nil, err
	}
	out, err := positioned(ask(ctx, c, id, reason))
	return out, relocate(err, "/data", "", "/person", "/person/reference")
}
