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
	"github.com/tellonce/hub/schemas"
)

var protectors = []journal.Role{journal.RoleProtector}

const twoNotice = "It takes two protectors: one asks, and another one does it within 24 hours. Both are on the log."

func (s *server) protectorRoutes() {
	changed := slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson})
	protect := func(rt route) route {
		rt.method, rt.tag, rt.roles = http.MethodPost, "protection", protectors
		return rt
	}
	register(s, protect(route{
		path: "/v1/protection/restrictions", id: "restrict", summary: "Protect a person",
		description: "From then on the person does not exist for anyone but themself, the proxies that are kept, protectors, and the streams whose " +
			"agreements receive protected people. Minor children are covered, and the person goes on acting for them; all other proxies are suspended.",
		body: restrictionBody{}, codes: append([]string{citizen.CodeNoCapacity}, changed...),
	}), s.restrict)
	register(s, protect(route{
		path: "/v1/protection/lifts", id: "liftRestriction", summary: "End a person's protection",
		description: "Also that of the children who were covered through them.",
		body:        liftRestrictionBody{}, codes: append([]string{citizen.CodeNoRestriction}, changed...),
	}), s.liftRestriction)
	register(s, protect(route{
		path: "/v1/protection/changes", id: "tellProtected", summary: "Tell a change for a protected person", status: http.StatusAccepted,
		description: "What they can't bring to a counter, and births and deaths, of which the registrar may not know. It has the registrar's authority.",
		body:        changeBody{}, codes: tellCodes,
	}), s.tellProtected)
	register(s, protect(route{
		path: "/v1/protection/replacements", id: "askReplacement", summary: "Ask for a person's identity to be replaced",
		description: twoNotice + " The references that are named lead to the new identity; whoever knows one of them finds it.",
		body:        replacementBody{}, codes: changed,
	}), s.askReplacement)
	register(s, protect(route{
		path: "/v1/protection/replacements/{request}", id: "replaceIdentity", summary: "Replace a person's identity, as another protector asked",
		description: twoNotice + " Send what was asked for. The new identity is registered like anybody's; the old one is hidden for ever.",
		body:        replaceBody{}, codes: append([]string{citizen.CodeNoRequest, citizen.CodeSamePerson}, changed...),
	}), s.replaceIdentity)
	register(s, protect(route{
		path: "/v1/protection/ties", id: "askTie", summary: "Ask to read which new identity a person has", description: twoNotice,
		body: tieBody{}, codes: []string{codeReason, codeNotFound, codeUnknownOutcome, codeBusy},
	}), s.askTie)
	register(s, protect(route{
		path: "/v1/protection/ties/{request}", id: "openTie", summary: "Read which new identity a person has, as another protector asked",
		description: twoNotice, body: openTieBody{},
		codes: []string{codeReason, codeNotFound, citizen.CodeNoRequest, citizen.CodeSamePerson, codeUnknownOutcome, codeBusy},
	}), s.openTie)
}

// restrictionBody is the body of a restriction, for the document.
type restrictionBody struct {
	_      struct{}    `additionalProperties:"false"`
	Person personRef   `json:"person"`
	Kind   string      `json:"kind" enum:"violence,adoption,witness-protection,gender-history"`
	Until  string      `json:"until,omitempty" format:"date" doc:"the last day; left out: until it is lifted"`
	Keeps  []personRef `json:"keeps,omitempty" doc:"proxies who go on acting for the person"`
	Reason string      `json:"reason" doc:"1 to 500 characters"`
}

// restrict is POST /v1/protection/restrictions.
func (s *server) restrict(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	var r command.Restricting
	var keeps []journal.SourceReference
	c, id, err := s.aboutPerson(ctx, in.Key, "POST /v1/protection/restrictions", func(o *object) {
		r.Kind = o.text("kind", true, anyText, "")
		r.Until = o.text("until", false, schemas.ValidDate, "must be a date, YYYY-MM-DD")
		r.Reason = o.text("reason", true, anyText, "")
		keeps = readReferences(ctx, o, "keeps")
	})
	if err != nil {
		return nil, err
	}
	for i, keep := range keeps {
		who, err := s.person(ctx, keep.Source, keep.Reference)
		if err != nil {
			return nil, citizen.RejectAt(citizen.CodeUnknownPerson, "/keeps/"+strconv.Itoa(i)+"/reference")
		}
		r.Keeps = append(r.Keeps, who)
	}
	out, err := positioned(s.Command.Restrict(ctx, c, id, r))
	return out, relocate(err, "/data", "", "/person", "/person/reference")
}

// liftRestrictionBody is the body that ends a restriction, for the document.
type liftRestrictionBody struct {
	_      struct{}  `additionalProperties:"false"`
	Person personRef `json:"person"`
	Reason string    `json:"reason" doc:"1 to 500 characters"`
}

// liftRestriction is POST /v1/protection/lifts.
func (s *server) liftRestriction(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	var reason string
	c, id, err := s.aboutPerson(ctx, in.Key, "POST /v1/protection/lifts", func(o *object) { reason = o.text("reason", true, anyText, "") })
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.Lift(ctx, c, id, reason))
	return out, relocate(err, "/data", "", "/person", "/person/reference")
}

// tellProtected is POST /v1/protection/changes.
func (s *server) tellProtected(ctx context.Context, in *tellInput) (*tellOutput, error) {
	id, err := commandID(in.Key)
	if err != nil {
		return nil, err
	}
	t, err := s.readChange(ctx)
	if err != nil {
		return nil, err
	}
	result, err := s.Command.TellProtected(ctx, s.command(ctx, id, t.channel, t.content), t.citizen, t.change)
	if err != nil {
		return nil, s.refusedChange(ctx, err)
	}
	return &tellOutput{Location: "/v1/me/receipts/" + result.Receipt, Body: accepted{Receipt: result.Receipt, Position: result.Position}}, nil
}

// replacementBody is the body of the first half of an identity replacement, for the document.
type replacementBody struct {
	_          struct{}       `additionalProperties:"false"`
	Person     personRef      `json:"person"`
	Data       map[string]any `json:"data" doc:"of the new identity"`
	References []personRef    `json:"references,omitempty" doc:"the person's references that lead to the new identity; all others lead nowhere"`
	Reason     string         `json:"reason" doc:"1 to 500 characters"`
	Case       string         `json:"case,omitempty" doc:"a case number"`
}

type requestOutput struct {
	Body struct {
		Request int64 `json:"request" example:"4711" doc:"names the request to the second protector"`
	}
}

// readReplacement reads what both halves must say alike.
func (s *server) readReplacement(ctx context.Context, o *object, r *command.Replacement) {
	change := command.Change{}
	s.readData(o, citizen.PersonRegistered, &change)
	r.Data, r.Canonical, r.References = change.Data, change.Canonical, readReferences(ctx, o, "references")
}

// askReplacement is POST /v1/protection/replacements.
func (s *server) askReplacement(ctx context.Context, in *Repeatable) (*requestOutput, error) {
	var r command.Replacement
	c, id, err := s.aboutPerson(ctx, in.Key, "POST /v1/protection/replacements", func(o *object) {
		s.readReplacement(ctx, o, &r)
		r.Reason = o.text("reason", true, anyText, "")
		r.Case = o.text("case", false, isReference, referenceDetail)
	})
	if err != nil {
		return nil, err
	}
	result, err := s.Command.AskReplacement(ctx, c, id, r)
	if err != nil {
		return nil, relocate(err, "/data/references", "/references", "/data/reason", "/reason", "/person", "/person/reference")
	}
	out := &requestOutput{}
	out.Body.Request = result.Position
	return out, nil
}

type requestInput struct {
	Repeatable
	Request string `path:"request" doc:"request of the first protector's answer" example:"4711"`
}

// number is the request's; -1, which names none, where it is no number.
func (in *requestInput) number() int64 {
	n, ok := position(in.Request)
	if !ok || in.Request == "" {
		return -1
	}
	return n
}

// replaceBody is the body of the second half, for the document.
type replaceBody struct {
	_          struct{}       `additionalProperties:"false"`
	Data       map[string]any `json:"data" doc:"as it was asked for"`
	References []personRef    `json:"references,omitempty" doc:"as they were asked for"`
}

// replaceIdentity is POST /v1/protection/replacements/{request}.
func (s *server) replaceIdentity(ctx context.Context, in *requestInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	var r command.Replacement
	s.readReplacement(ctx, o, &r)
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("POST /v1/protection/replacements/"+in.Request, o.members)
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.Replace(ctx, s.command(ctx, id, journal.ChannelNone, content), in.number(), r))
	return out, relocate(err, "/data", "/data")
}

// tieBody is the body of the first half of reading a tie, for the document.
type tieBody struct {
	_       struct{}   `additionalProperties:"false"`
	Person  *personRef `json:"person,omitempty" doc:"the old identity"`
	Receipt string     `json:"receipt,omitempty" doc:"or: the receipt number of a change that was told under it"`
	Reason  string     `json:"reason" doc:"1 to 500 characters"`
	Case    string     `json:"case,omitempty" doc:"a case number"`
}

// askTie is POST /v1/protection/ties.
func (s *server) askTie(ctx context.Context, _ *struct{}) (*requestOutput, error) {
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	look := audit.Look{Reason: o.text("reason", true, anyText, ""), Case: o.text("case", false, isReference, referenceDetail)}
	who := readWho(ctx, o)
	if (who.Reference == "") == (who.Receipt == "") {
		o.wrong("", "name one of person and receipt")
	}
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	session, err := s.Audit.AskTie(ctx, caller(ctx), journal.IssuerAPI, look, who)
	if err != nil {
		return nil, err
	}
	out := &requestOutput{}
	out.Body.Request = session.Position
	return out, nil
}

// openTieBody is the body of the second half, for the document.
type openTieBody struct {
	_      struct{} `additionalProperties:"false"`
	Reason string   `json:"reason" doc:"1 to 500 characters"`
}

type tieOutput struct {
	Body struct {
		Old        string    `json:"old" format:"uuid" doc:"the hub's own id of the old identity"`
		New        string    `json:"new" format:"uuid" doc:"and of the new one"`
		Position   int64     `json:"position" doc:"of the replacement"`
		RecordedAt time.Time `json:"recorded_at"`
	}
}

// openTie is POST /v1/protection/ties/{request}.
func (s *server) openTie(ctx context.Context, in *requestInput) (*tieOutput, error) {
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	reason := o.text("reason", true, anyText, "")
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	tie, err := s.Audit.OpenTie(ctx, caller(ctx), journal.IssuerAPI, in.number(), reason)
	if err != nil {
		return nil, err
	}
	out := &tieOutput{}
	out.Body.Old, out.Body.New, out.Body.Position, out.Body.RecordedAt = tie.Old.String(), tie.New.String(), tie.Position, tie.At
	return out, nil
}

// readReferences reads a list of references.
func readReferences(ctx context.Context, o *object, name string) (out []journal.SourceReference) {
	o.each(name, func(line *object) {
		out = append(out, journal.SourceReference{Source: readSource(ctx, line), Reference: line.text("reference", true, isReference, referenceDetail)})
	})
	return out
}
