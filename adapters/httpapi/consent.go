package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
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
		description: "From the answer on nothing is sent under it, but what was on its way, for at most 10 seconds. The answer says what had been " +
			"handed over before.",
		codes: append([]string{citizen.CodeNoSuchGrant}, changed...),
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
func (s *server) withdraw(ctx context.Context, in *agreementInput) (*withdrawnOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	c := s.command(ctx, id, journal.ChannelWeb, []byte("DELETE /v1/me/consents/"+in.Agreement))
	result, err := s.Command.Withdraw(ctx, c, subject(ctx), in.Agreement)
	if err != nil {
		return nil, relocate(err)
	}
	out := &withdrawnOutput{}
	out.Body.Position = result.Position
	if out.Body.InFlightUntil, err = s.inFlightUntil(ctx, result.Position); err != nil {
		return nil, err
	}
	out.Body.HandedOver, err = s.handedOver(ctx, subject(ctx), in.Agreement, result.Position)
	return out, err
}

// inFlightUntil is when all has arrived, or never will, that had been let out before a position.
func (s *server) inFlightUntil(ctx context.Context, position int64) (time.Time, error) {
	recs, err := s.Journal.Store().Read(ctx, position)
	if err != nil {
		return time.Time{}, err
	}
	return recs[0].RecordedAt.Add(delivery.D), nil
}

// handedOver is what of a citizen had been let out before a position, under an agreement or, if it is empty, under any.
func (s *server) handedOver(ctx context.Context, id citizen.ID, agreement string, before int64) ([]handedOver, error) {
	handed, err := s.Delivery.HandedOver(ctx, id, agreement, before)
	out := make([]handedOver, len(handed))
	for i, h := range handed {
		out[i] = handedOver{Ministry: h.Ministry, Stream: h.Stream, Events: h.Events, First: h.First, Last: h.Last}
	}
	return out, err
}

// withdrawnOutput is what a withdrawal can still say of what is outside.
type withdrawnOutput struct {
	Body struct {
		Position      int64        `json:"position" example:"4711" doc:"where it stands in the log"`
		InFlightUntil time.Time    `json:"in_flight_until" doc:"what had been let out before may arrive until then; nothing after it"`
		HandedOver    []handedOver `json:"handed_over" doc:"what had been handed over under this consent, by stream"`
	}
}

type handedOver struct {
	Ministry string    `json:"ministry" example:"mnr"`
	Stream   string    `json:"stream" example:"mnr.outdoors-card"`
	Events   int       `json:"events" example:"2" doc:"how many events held something of yours"`
	First    time.Time `json:"first" doc:"when the first of them was given"`
	Last     time.Time `json:"last" doc:"when the last of them was given"`
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
