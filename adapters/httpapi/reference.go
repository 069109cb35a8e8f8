package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
)

func (s *server) referenceRoutes() {
	register(s, route{
		method: http.MethodPost, path: "/v1/persons/references", id: "refer", tag: "persons",
		roles:   []journal.Role{journal.RoleClerk, journal.RoleRegistrar, journal.RoleProtector},
		summary: "Give a reference to a child that was registered with its birth",
		description: "A child is registered by its parent's telling of the birth, and has no reference of its own yet. With one, every route that " +
			"names a person names the child. The same again does no harm. " + lookNotice,
		body: referBody{}, codes: []string{codeAccessReason, citizen.CodeUnknownPerson, citizen.CodeReferenceTaken, codeUnknownOutcome, codeBusy},
	}, s.refer)
}

// referBody is the body that gives a child a reference, for the document.
type referBody struct {
	_         struct{} `additionalProperties:"false"`
	Child     childRef `json:"child"`
	Source    string   `json:"source,omitempty" doc:"whose reference it is; left out: the token's source"`
	Reference string   `json:"reference" example:"person-000001" doc:"1 to 64 printable ASCII characters"`
}

type childRef struct {
	_      struct{}  `additionalProperties:"false"`
	Parent personRef `json:"parent" doc:"about whom the birth was told"`
	Birth  int64     `json:"birth" example:"4711" doc:"the birth's position, as it was answered when it was told"`
}

type referOutput struct {
	Body struct {
		Look int64 `json:"look" example:"4712" doc:"position of the look at the child"`
	}
}

// refer is POST /v1/persons/references. If the process dies between the look and the reference, a repeat looks again and gives it.
func (s *server) refer(ctx context.Context, in *accessHeaders) (*referOutput, error) {
	look, err := in.look(audit.KindReference)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	who := readChild(ctx, o)
	ref := journal.SourceReference{Source: readSource(ctx, o), Reference: o.text("reference", true, isReference, referenceDetail)}
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	look.Shown = "a reference is given"
	session, err := s.Audit.OpenPerson(ctx, caller(ctx), journal.IssuerAPI, look, who)
	if errors.Is(err, audit.ErrNotFound) {
		return nil, citizen.RejectAt(citizen.CodeUnknownPerson, "/child")
	}
	if err != nil {
		return nil, err
	}
	if err := s.Command.Refer(ctx, caller(ctx), session.Look().Subject, ref); err != nil {
		return nil, err
	}
	out := &referOutput{}
	out.Body.Look = session.Position
	return out, nil
}

// readChild reads which child a body means: by a reference of its parent, and by its birth.
func readChild(ctx context.Context, o *object) audit.Who {
	child := o.object("child", true)
	if child == nil {
		return audit.Who{}
	}
	defer child.done()
	parent := readNamed(ctx, child, "parent")
	who := audit.Who{Sources: []string{parent.source}, Reference: parent.reference}
	if number, ok := member[json.Number](child, "birth", true, "a position"); ok {
		if who.Birth, ok = position(number.String()); !ok || who.Birth == 0 { // nothing is told at the log's first position
			child.wrong("birth", "must be a position")
		}
	}
	return who
}
