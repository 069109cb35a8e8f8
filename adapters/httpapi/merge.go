package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

func (s *server) mergeRoutes() {
	register(s, route{
		method: http.MethodPost, path: "/v1/merges", id: "merge", tag: "persons", roles: []journal.Role{journal.RoleOfficer, journal.RoleProtector},
		summary: "Merge two ids of one person",
		description: "Nobody is served under the going id any more: its references, links and history are the kept one's. Consents are not carried " +
			"over, and the person sees which. It can't be undone. Only a protector may merge somebody who is protected.",
		body: mergeBody{}, codes: slices.Concat(repeatCodes, []string{citizen.CodeUnknownPerson, citizen.CodeSamePerson, citizen.CodePersonDeceased}),
	}, s.merge)
}

// mergeBody is the body of a merge, for the document.
type mergeBody struct {
	_      struct{}  `additionalProperties:"false"`
	Going  personRef `json:"going" doc:"whose id ends"`
	Kept   personRef `json:"kept" doc:"whose id stays"`
	Reason string    `json:"reason" doc:"why they are one person, for people to read: 1 to 500 characters" example:"the same birth certificate"`
}

// merge is POST /v1/merges.
func (s *server) merge(ctx context.Context, in *Repeatable) (*positionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	going, kept := readNamed(ctx, o, "going"), readNamed(ctx, o, "kept")
	reason := o.text("reason", true, func(s string) bool { return strings.TrimSpace(s) != "" }, "must say why, in 1 to 500 characters")
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("POST /v1/merges", o.members)
	if err != nil {
		return nil, err
	}
	c := s.command(ctx, id, journal.ChannelNone, content)
	from, err := s.named(ctx, going, "/going")
	if err != nil {
		return nil, err
	}
	to, err := s.named(ctx, kept, "/kept")
	if err != nil {
		return nil, err
	}
	out, err := positioned(s.Command.Merge(ctx, c, from, to, reason))
	return out, relocate(err, "/data", "")
}
