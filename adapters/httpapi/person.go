package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/schemas"
)

func (s *server) personRoutes() {
	register(s, route{
		method: http.MethodPost, path: "/v1/persons", id: "register", tag: "persons", status: http.StatusCreated,
		roles:       []journal.Role{journal.RoleClerk, journal.RoleRegistrar},
		summary:     "Register a person",
		description: "Gives a source's reference to a new citizen. By a registrar the registration is `verified`, by a clerk `asserted`.",
		body:        personBody{},
		codes:       slices.Concat(repeatCodes, []string{citizen.CodePersonExists, citizen.CodeEffectiveTooFar}),
	}, s.register)
	register(s, route{
		method: http.MethodPost, path: "/v1/persons/details", id: "details", tag: "persons",
		roles:   []journal.Role{journal.RoleClerk, journal.RoleRegistrar, journal.RoleProtector},
		summary: "See a person's current details, to help them tell a change", description: lookNotice,
		body: detailsBody{}, codes: []string{codeAccessReason, citizen.CodeUnknownPerson, codeUnknownOutcome, codeBusy},
	}, s.details)
}

type personRef struct {
	_         struct{} `additionalProperties:"false"`
	Source    string   `json:"source,omitempty" doc:"whose reference it is; left out: the token's source"`
	Reference string   `json:"reference" example:"person-000000" doc:"1 to 64 printable ASCII characters"`
}

// personBody is the body of a registration, for the document; register reads it.
type personBody struct {
	_         struct{}       `additionalProperties:"false"`
	Source    string         `json:"source,omitempty" doc:"whose reference it is; left out: the token's source"`
	Reference string         `json:"reference" example:"person-000000" doc:"1 to 64 printable ASCII characters"`
	Effective string         `json:"effective,omitempty" format:"date" doc:"left out: today"`
	Channel   string         `json:"channel,omitempty" enum:"counter,phone,post" default:"counter"`
	Data      map[string]any `json:"data"`
}

// Repeatable is the optional Idempotency-Key of a request. It is exported because huma fills in nothing else.
type Repeatable struct {
	Key string `header:"Idempotency-Key" format:"uuid" doc:"optional: the command's id, the same for every repeat of this request"`
}

type registerOutput struct{ Body accepted }

// register is POST /v1/persons. If the process dies between reference and event, the reference leads to nobody, and a repeat goes on
// with it.
func (s *server) register(ctx context.Context, in *Repeatable) (*registerOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	change := command.Change{Type: citizen.PersonRegistered}
	source, reference := readSource(ctx, o), o.text("reference", true, isReference, referenceDetail)
	change.Effective = o.text("effective", false, schemas.ValidDate, "must be a date, YYYY-MM-DD")
	if change.Effective == "" {
		change.Effective = s.Journal.DayOf(s.Journal.Now(journal.Timing{Told: true})).Date.String()
	}
	channel := readChannel(o)
	s.readData(o, change.Type, &change)
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	content, err := canonical("POST /v1/persons", o.members)
	if err != nil {
		return nil, err
	}
	who, err := s.protection.RegisterFor(ctx, caller(ctx), source, reference)
	if err != nil {
		return nil, err
	}
	result, err := s.Command.Tell(ctx, s.command(ctx, id, channel, content), who, change)
	if err != nil {
		return nil, relocate(err, "/person", "/reference", "/data", "/data", "/effective", "/effective")
	}
	return &registerOutput{Body: accepted{Receipt: result.Receipt, Position: result.Position}}, nil
}

// readPerson reads whom a clerk or registrar speaks about.
func readPerson(ctx context.Context, o *object) (source, reference string) {
	person := o.object("person", true)
	if person == nil {
		return "", ""
	}
	defer person.done()
	return readSource(ctx, person), person.text("reference", true, isReference, referenceDetail)
}

// readSource reads whose reference a reference is: named, or the token's own.
func readSource(ctx context.Context, o *object) string {
	own := caller(ctx).Source
	if source := o.text("source", own == "", isReference, referenceDetail); source != "" {
		return source
	}
	return own
}

func readChannel(o *object) journal.Channel {
	if name := o.oneOf("channel", "counter", "phone", "post"); name != "" {
		return journal.ParseChannel(name)
	}
	return journal.ChannelCounter
}

// person finds who stands behind a source's reference. Somebody who is hidden from the caller is nobody, after the same work.
func (s *server) person(ctx context.Context, source, reference string) (citizen.ID, error) {
	ids, err := s.protection.Reference(ctx, caller(ctx), source, reference)
	if err != nil {
		return citizen.ID{}, err
	}
	if ids[0].IsZero() {
		return citizen.ID{}, citizen.Reject(citizen.CodeUnknownPerson)
	}
	return ids[0], nil
}

// aboutPerson reads a body that names a person by reference, and what else read takes from it.
func (s *server) aboutPerson(ctx context.Context, key, place string, read func(*object)) (c command.Command, id citizen.ID, err error) {
	return s.about(ctx, key, place, readNamedPerson, read)
}

// readNamedPerson reads whom a body names by reference.
func readNamedPerson(ctx context.Context, o *object) audit.Who {
	source, reference := readPerson(ctx, o)
	return audit.Who{Sources: []string{source}, Reference: reference}
}

// readAnyone reads whom a body names by reference or by a receipt number: one of the two. A receipt number leads also to who was erased.
func readAnyone(ctx context.Context, o *object) audit.Who {
	who := readWho(ctx, o)
	if (who.Reference == "") == (who.Receipt == "") {
		o.wrong("", "name one of person and receipt")
	}
	return who
}

// about reads a body that names somebody, and what else read takes from it.
func (s *server) about(
	ctx context.Context, key, place string, whom func(context.Context, *object) audit.Who, read func(*object),
) (c command.Command, id citizen.ID, err error) {
	commandID, err := maybeCommandID(key)
	if err != nil {
		return c, id, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return c, id, err
	}
	who := whom(ctx, o)
	read(o)
	o.done()
	if err := o.err(); err != nil {
		return c, id, err
	}
	content, err := canonical(place, o.members)
	if err != nil {
		return c, id, err
	}
	if id, err = s.behind(ctx, who); err != nil {
		return c, id, err
	}
	return s.command(ctx, commandID, journal.ChannelNone, content), id, nil
}

// behind finds whom a body names. Somebody who is hidden from the caller is nobody, after the same work.
func (s *server) behind(ctx context.Context, who audit.Who) (citizen.ID, error) {
	if who.Receipt == "" {
		id, err := s.person(ctx, who.Sources[0], who.Reference)
		return id, relocate(err, "/person", "/person/reference")
	}
	id, err := s.Audit.Person(ctx, caller(ctx), who)
	if err == nil && id.IsZero() {
		err = citizen.RejectAt(citizen.CodeUnknownPerson, "/receipt")
	}
	return id, err
}

// detailsBody is the body of a look at somebody's details, for the document.
type detailsBody struct {
	_      struct{}  `additionalProperties:"false"`
	Person personRef `json:"person"`
}

type detailsOutput struct{ Body details }

type details struct {
	Look  int64      `json:"look" doc:"position of the look itself"`
	Facts []factLine `json:"facts" doc:"the latest of each kind"`
}

// details is POST /v1/persons/details: the person's reference is in the body, for a URL would end in logs along the way.
func (s *server) details(ctx context.Context, in *accessHeaders) (*detailsOutput, error) {
	look, err := in.look(audit.KindDetails)
	if err != nil {
		return nil, err
	}
	o, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	source, reference := readPerson(ctx, o)
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	look.Shown = "current details"
	session, err := s.Audit.OpenPerson(ctx, caller(ctx), journal.IssuerAPI, look, audit.Who{Sources: []string{source}, Reference: reference})
	if errors.Is(err, audit.ErrNotFound) {
		return nil, citizen.RejectAt(citizen.CodeUnknownPerson, "/person/reference")
	}
	if err != nil {
		return nil, err
	}
	p, err := s.Projection.Profile(ctx, session.Look().Subject)
	if errors.Is(err, projection.ErrNotFound) { // registered by nobody yet
		return nil, citizen.RejectAt(citizen.CodeUnknownPerson, "/person/reference")
	}
	if err != nil {
		return nil, err
	}
	return &detailsOutput{Body: details{Look: session.Position, Facts: factLines(p)}}, nil
}
