package httpapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

func (s *server) consentRoutes() {
	changed := slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodePersonDeceased})
	register(s, mayBehalf(me(route{
		method: http.MethodPut, path: "/v1/me/consents/{agreement}", id: "grant", summary: "Consent to an agreement",
		description: "Replaces a consent given before. Without `fields`, to all that the agreement shares. Nothing told earlier is shared by it.",
		body:        grantBody{}, optionalBody: true,
		codes: append([]string{citizen.CodeUnknownAgreement, citizen.CodeNotByConsent, citizen.CodeUnknownField}, changed...),
	})), s.grant)
	register(s, mayBehalf(me(route{
		method: http.MethodDelete, path: "/v1/me/consents/{agreement}", id: "withdraw", summary: "Withdraw a consent",
		description: "From the answer on nothing is sent under it, but what was on its way, for at most 10 seconds.",
		codes:       append([]string{citizen.CodeNoSuchGrant}, changed...),
	})), s.withdraw)
	register(s, mayBehalf(me(route{
		method: http.MethodPut, path: "/v1/me/links/{ministry}", id: "link", summary: "Say that you are a ministry's client",
		description: "Linking again ends the former link.",
		body:        linkBody{},
		codes:       append([]string{citizen.CodeUnknownMinistry}, changed...),
	})), s.link)
	register(s, mayBehalf(me(route{
		method: http.MethodDelete, path: "/v1/me/links/{ministry}", id: "unlink", summary: "End a link to a ministry",
		codes: append([]string{citizen.CodeNotLinked}, changed...),
	})), s.unlink)
}

type agreementInput struct {
	Repeatable
	Agreement string `path:"agreement" doc:"an agreement's id" example:"library-membership"`
}

type positionOutput struct {
	Body struct {
		Position int64 `json:"position" example:"4711" doc:"where it stands in the log"`
	}
}

func positioned(result command.Result, err error) (*positionOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &positionOutput{}
	out.Body.Position = result.Position
	return out, nil
}

// grantBody is the body of a grant, for the document.
type grantBody struct {
	_        struct{} `additionalProperties:"false"`
	Fields   []string `json:"fields,omitempty" doc:"left out: all that the agreement shares"`
	Language string   `json:"language,omitempty" enum:"en,fr" default:"en" doc:"of the notice that was shown"`
}

// grant is PUT /v1/me/consents/{agreement}.
func (s *server) grant(ctx context.Context, in *agreementInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o := newObject(nil)
	if bodyFrom(ctx) != nil {
		if o, err = s.parseBody(ctx); err != nil {
			return nil, err
		}
	}
	choice := command.Choice{Agreement: in.Agreement, Fields: o.texts("fields"), Language: readLanguage(o)}
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("PUT /v1/me/consents/"+in.Agreement, o.members)
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.Grant(ctx, s.command(ctx, id, journal.ChannelWeb, content), subject(ctx), choice))
	return out, relocate(err, "/data/fields", "/fields")
}

// withdraw is DELETE /v1/me/consents/{agreement}.
func (s *server) withdraw(ctx context.Context, in *agreementInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	c := s.command(ctx, id, journal.ChannelWeb, []byte("DELETE /v1/me/consents/"+in.Agreement))
	out, err := positioned(s.Command.Withdraw(ctx, c, subject(ctx), in.Agreement))
	return out, relocate(err)
}

type ministryInput struct {
	Repeatable
	Ministry string `path:"ministry" doc:"a ministry's id" example:"moh"`
}

// linkBody is the body of a link, for the document.
type linkBody struct {
	_               struct{} `additionalProperties:"false"`
	ClientReference string   `json:"client_reference" doc:"the ministry's own number for you: 1 to 64 printable ASCII characters"`
}

// link is PUT /v1/me/links/{ministry}.
func (s *server) link(ctx context.Context, in *ministryInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	linking := command.Linking{Ministry: in.Ministry, Means: "sign-in"}
	linking.ClientReference = o.text("client_reference", true, isReference, referenceDetail)
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("PUT /v1/me/links/"+in.Ministry, o.members)
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.Link(ctx, s.command(ctx, id, journal.ChannelWeb, content), subject(ctx), linking))
	return out, relocate(err)
}

// unlink is DELETE /v1/me/links/{ministry}.
func (s *server) unlink(ctx context.Context, in *ministryInput) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	c := s.command(ctx, id, journal.ChannelWeb, []byte("DELETE /v1/me/links/"+in.Ministry))
	out, err := positioned(s.Command.Unlink(ctx, c, subject(ctx), in.Ministry))
	return out, relocate(err)
}
