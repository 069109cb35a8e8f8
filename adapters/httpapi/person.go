package httpapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
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
	ids, err := s.Journal.Register(ctx, source, reference)
	if err != nil {
		return nil, err
	}
	result, err := s.Command.Tell(ctx, s.command(ctx, id, channel, content), ids[0], change)
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

// person finds who stands behind a source's reference.
func (s *server) person(ctx context.Context, source, reference string) (citizen.ID, error) {
	ids, err := s.Journal.Reference(ctx, source, reference)
	if err != nil {
		return citizen.ID{}, err
	}
	if ids[0].IsZero() {
		return citizen.ID{}, citizen.Reject(citizen.CodeUnknownPerson)
	}
	return ids[0], nil
}
