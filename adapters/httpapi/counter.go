package httpapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// counterRoutes link and unlink a person who shows at a counter that they are a ministry's client.
func (s *server) counterRoutes() {
	clerks := []journal.Role{journal.RoleClerk, journal.RoleRegistrar}
	codes := slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodePersonDeceased})
	register(s, route{
		method: http.MethodPost, path: "/v1/links", id: "linkFor", tag: "persons", roles: clerks, summary: "Link a person to a ministry",
		description: "With the person present, who shows the ministry's own reference. Linking again ends the former link.",
		body:        linkForBody{}, codes: append([]string{citizen.CodeUnknownMinistry}, codes...),
	}, s.linkFor)
	register(s, route{
		method: http.MethodPost, path: "/v1/links/end", id: "unlinkFor", tag: "persons", roles: clerks,
		summary: "End a person's link to a ministry", body: unlinkForBody{}, codes: append([]string{citizen.CodeNotLinked}, codes...),
	}, s.unlinkFor)
}

// linkForBody is the body of a link at the counter, for the document.
type linkForBody struct {
	_               struct{}  `additionalProperties:"false"`
	Person          personRef `json:"person"`
	Ministry        string    `json:"ministry" example:"moh"`
	ClientReference string    `json:"client_reference" example:"8805-222-127-CL" doc:"the ministry's own number for the person"`
	Channel         string    `json:"channel,omitempty" enum:"counter,phone,post" default:"counter"`
}

// linkFor is POST /v1/links.
func (s *server) linkFor(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	linking, channel := command.Linking{Means: "counter"}, journal.ChannelNone
	c, id, err := s.aboutPerson(ctx, in.Key, "POST /v1/links", func(o *object) {
		linking.Ministry = o.text("ministry", true, isReference, referenceDetail)
		linking.ClientReference = o.text("client_reference", true, isReference, referenceDetail)
		channel = readChannel(o)
	})
	if err != nil {
		return nil, err
	}
	c.Channel = channel
	out, err := positioned(s.Command.Link(ctx, c, id, linking))
	return out, relocate(err, "/data/ministry", "/ministry", "/person", "/person/reference")
}

// unlinkForBody is the body of the end of a link at the counter, for the document.
type unlinkForBody struct {
	_        struct{}  `additionalProperties:"false"`
	Person   personRef `json:"person"`
	Ministry string    `json:"ministry" example:"moh"`
	Channel  string    `json:"channel,omitempty" enum:"counter,phone,post" default:"counter"`
}

// unlinkFor is POST /v1/links/end.
func (s *server) unlinkFor(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	ministry, channel := "", journal.ChannelNone
	c, id, err := s.aboutPerson(ctx, in.Key, "POST /v1/links/end", func(o *object) {
		ministry, channel = o.text("ministry", true, isReference, referenceDetail), readChannel(o)
	})
	if err != nil {
		return nil, err
	}
	c.Channel = channel
	out, err := positioned(s.Command.Unlink(ctx, c, id, ministry))
	return out, relocate(err, "/data/ministry", "/ministry", "/person", "/person/reference")
}
