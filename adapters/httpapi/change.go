package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// tellers are the roles that may tell a change; who may tell what is command's to say.
var tellers = []journal.Role{journal.RoleCitizen, journal.RoleClerk, journal.RoleRegistrar}

func (s *server) changeRoutes() {
	register(s, mayBehalf(route{
		method: http.MethodPost, path: "/v1/changes", id: "tell", tag: "changes", roles: tellers, status: http.StatusAccepted,
		summary: "Tell a change",
		description: "Told once, it is decided for every agreement that names its type, and given to those ministries that may know. The " +
			"answer comes when it is durable. A repeat with the same Idempotency-Key and body is answered the same and counts once. " +
			"`consents` are given or withdrawn in the same step. A correction (`change-corrected`, with its right effective date), a " +
			"cancellation (`change-cancelled`), a verification (`change-verified`, registrars only), a reported death (`death-reported`: " +
			"held, and shared with nobody) and a death taken back (`death-corrected`, registrars only) are told the same way. Names, marital " +
			"status, births and deaths need a resident who logged in with two factors (`acr` 2).",
		body: changeBody{}, codes: tellCodes,
	}), s.tell)
	register(s, mayBehalf(route{
		method: http.MethodPost, path: "/v1/changes/preview", id: "preview", tag: "changes", roles: tellers,
		summary:     "See who would be told of a change",
		description: "The same judgement as telling it, and nothing is kept. Send `digest` along as `preview` to be refused if the rules change in between.",
		body:        changeBody{}, codes: inputCodes,
	}), s.preview)
}

// inputCodes are what the rules may say of a change and the consents of its form; tellCodes also what an append may come to.
var (
	inputCodes = []string{
		citizen.CodeUnknownType, citizen.CodeUnknownPerson, citizen.CodePersonDeceased, citizen.CodeEffectiveTooFar, citizen.CodePostalCodeProvince,
		citizen.CodeUnknownAgreement, citizen.CodeNotByConsent, citizen.CodeUnknownField, citizen.CodeNoSuchGrant,
		citizen.CodeNotYourChange, citizen.CodeAlreadyCorrected, citizen.CodeAlreadyVerified, citizen.CodeAlreadyErased, citizen.CodeNotDead,
		citizen.CodeNoCapacity, codeWeakLogin,
	}
	tellCodes = slices.Concat(inputCodes, repeatCodes, []string{citizen.CodeStalePreview})
)

// changeBody is the body of a change, for the document; readChange reads it.
type changeBody struct {
	_         struct{}       `additionalProperties:"false"`
	Type      string         `json:"type" example:"address-changed" doc:"the type of the change"`
	Effective string         `json:"effective" format:"date" doc:"from when it holds, at most 365 days ahead"`
	Data      map[string]any `json:"data" doc:"what is told, by the type's schema"`
	Consents  []consentLine  `json:"consents,omitempty" doc:"consents that the same form gives or takes"`
	Preview   string         `json:"preview,omitempty" doc:"digest of the preview that was shown: stale-preview if the rules have changed"`
	Person    *personRef     `json:"person,omitempty" doc:"who it is about: clerks and registrars only, and always"`
	Channel   string         `json:"channel,omitempty" enum:"counter,phone,post" default:"counter" doc:"how the person told it: clerks and registrars only"`
}

type consentLine struct {
	_         struct{} `additionalProperties:"false"`
	Agreement string   `json:"agreement" example:"library-membership"`
	Fields    []string `json:"fields,omitempty" doc:"the fields consented to; left out: all that the agreement shares"`
	Withdraw  bool     `json:"withdraw,omitempty" doc:"true: the consent is withdrawn"`
	Language  string   `json:"language,omitempty" enum:"en,fr" default:"en" doc:"of the notice that was shown"`
}

// told is a change as it was read from a body.
type told struct {
	citizen citizen.ID
	change  command.Change
	channel journal.Channel
	content []byte
}

type tellInput struct {
	Key string `header:"Idempotency-Key" required:"true" format:"uuid" doc:"the command's id: the same for every repeat of this request"`
}

type tellOutput struct {
	Location string `header:"Location" doc:"where the citizen finds what became of it"`
	Body     accepted
}

type accepted struct {
	Receipt  string `json:"receipt" example:"7ZK3M9QX2B4D" doc:"the number that stands for the change"`
	Position int64  `json:"position" example:"4711" doc:"of the change in the log"`
}

// tell is POST /v1/changes, step 1 of a change's life.
func (s *server) tell(ctx context.Context, in *tellInput) (*tellOutput, error) {
	id, err := commandID(in.Key)
	if err != nil {
		return nil, err
	}
	t, err := s.readChange(ctx)
	if err != nil {
		return nil, err
	}
	result, err := s.Command.Tell(ctx, s.command(ctx, id, t.channel, t.content), t.citizen, t.change)
	if err != nil {
		return nil, s.refusedChange(ctx, err)
	}
	return &tellOutput{Location: "/v1/me/receipts/" + result.Receipt, Body: accepted{Receipt: result.Receipt, Position: result.Position}}, nil
}

type previewOutput struct{ Body previewResult }

// preview is POST /v1/changes/preview.
func (s *server) preview(ctx context.Context, _ *struct{}) (*previewOutput, error) {
	t, err := s.readChange(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Command.Preview(ctx, caller(ctx), t.citizen, t.change)
	if err != nil {
		return nil, s.refusedChange(ctx, err)
	}
	result, err := s.previewResult(ctx, p)
	if err != nil {
		return nil, err
	}
	return &previewOutput{Body: *result}, nil
}

// refusedChange points a refusal into this route's body, and gives a stale preview what holds now.
func (s *server) refusedChange(ctx context.Context, err error) error {
	var stale *command.StalePreview
	if !errors.As(err, &stale) {
		moves := []string{"/data", "/data", "/effective", "/effective", "/consents", "/consents", "/type", "/type"}
		if caller(ctx).Kind != journal.ActorResident {
			moves = append(moves, "/person", "/person")
		}
		return relocate(err, moves...)
	}
	now, err := s.previewResult(ctx, stale.New)
	if err != nil {
		return err
	}
	p := newProblem(citizen.CodeStalePreview)
	p.Preview = now
	return p
}

// command is what stands around what a caller asks. Its scope keeps the ids of different callers apart.
func (s *server) command(ctx context.Context, id string, channel journal.Channel, content []byte) command.Command {
	actor := caller(ctx)
	return command.Command{
		ID: id, Scope: scope(actor), Content: forWhom(ctx, content), Actor: actor, Issuer: journal.IssuerAPI, Channel: channel, ToldAt: s.Journal.Clock(),
	}
}

func scope(actor journal.Actor) string {
	return "api:" + strconv.Itoa(int(actor.Kind)) + ":" + actor.ID
}

// commandID reads a mandatory Idempotency-Key: a UUID, in either case, bare or quoted as the header's draft standard has it.
func commandID(key string) (string, error) {
	if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if !schemas.ValidUUID(key) {
		return "", newProblem(codeIdempotencyKey)
	}
	return strings.ToLower(key), nil
}

// repeatable is the command of a request that may be repeated by its Idempotency-Key: without one it can't be.
func repeatable(ctx context.Context, key, place string, body any) (journal.CommandID, error) {
	if key == "" {
		return journal.CommandID{}, nil
	}
	id, err := commandID(key)
	if err != nil {
		return journal.CommandID{}, err
	}
	content, err := canonical(place, body)
	return journal.CommandID{Issuer: scope(caller(ctx)), ID: id, Content: content}, err
}

// maybeCommandID reads an optional Idempotency-Key; without one the command gets an id that nobody can repeat.
func maybeCommandID(key string) (string, error) {
	if key == "" {
		return uuid.NewString(), nil
	}
	return commandID(key)
}

// readChange reads and judges the shape of a change's body, all of it: everything that is wrong is listed.
func (s *server) readChange(ctx context.Context) (told, error) {
	o, err := s.parseBody(ctx)
	if err != nil {
		return told{}, err
	}
	t := told{citizen: subject(ctx), channel: journal.ChannelWeb}
	if t.change.Type, err = s.changeType(o); err != nil {
		return told{}, err
	}
	t.change.Effective = o.text("effective", true, schemas.ValidDate, "must be a date, YYYY-MM-DD")
	t.change.Preview = o.text("preview", false, func(s string) bool { return s != "" }, "must be the digest of a preview")
	o.each("consents", func(line *object) { t.change.Consents = append(t.change.Consents, readChoice(line)) })
	var source, reference string
	if caller(ctx).Kind != journal.ActorResident {
		source, reference = readPerson(ctx, o)
		t.channel = readChannel(o)
	}
	s.readData(o, t.change.Type, &t.change)
	o.done()
	if err := o.err(); err != nil {
		return told{}, err
	}
	if reference != "" {
		if t.citizen, err = s.person(ctx, source, reference); err != nil {
			return told{}, err
		}
	}
	t.content, err = canonical("POST /v1/changes", o.members)
	return t, err
}

// changeType reads the type: one of the facts that a change can tell, or of what can be told about one. Registering a person has a route of
// its own.
func (s *server) changeType(o *object) (string, error) {
	eventType := o.text("type", true, func(string) bool { return true }, "")
	if err := o.err(); err != nil {
		return "", err
	}
	if row, ok := s.Journal.Registry().Row(eventType); !ok || !(row.Fact || row.About) || eventType == citizen.PersonRegistered {
		return "", citizen.Reject(citizen.CodeUnknownType)
	}
	return eventType, nil
}

// readData reads the data by its type's schema.
func (s *server) readData(o *object, eventType string, change *command.Change) {
	data, ok := member[map[string]any](o, "data", true, "an object")
	if !ok {
		return
	}
	normalised, bytes, problems := s.Journal.Registry().Validate(eventType, data)
	*o.faults = append(*o.faults, schemaProblems("/data", problems)...)
	change.Data, change.Canonical = normalised, bytes
}

func readChoice(line *object) command.Choice {
	choice := command.Choice{
		Agreement: line.text("agreement", true, func(s string) bool { return s != "" }, "must be an agreement's id"),
		Fields:    line.texts("fields"),
		Withdraw:  line.flag("withdraw"),
		Language:  readLanguage(line),
	}
	if choice.Withdraw && choice.Fields != nil {
		line.wrong("fields", "a withdrawal is of the whole consent")
	}
	return choice
}

func readLanguage(o *object) string {
	if language := o.oneOf("language", "en", "fr"); language != "" {
		return language
	}
	return "en"
}

// previewResult is who would be told.
type previewResult struct {
	Digest    string        `json:"digest" doc:"send it back as preview"`
	Decisions []VerdictLine `json:"decisions"`
	Retracted []wrongLine   `json:"retracted" doc:"of a correction or a cancellation: who was given the wrong value, and would be told that it is wrong, but not what is right"`
}

// wrongLine is a stream that was given a wrong value under an agreement.
type wrongLine struct {
	Agreement string   `json:"agreement" example:"library-membership"`
	Version   int      `json:"version" example:"1"`
	Stream    string   `json:"stream" example:"library.membership"`
	Ministry  string   `json:"ministry" example:"library"`
	Title     bilingue `json:"title"`
}

// VerdictLine is one agreement's line under a change. It is exported because huma describes no embedded members else.
type VerdictLine struct {
	Agreement string   `json:"agreement" example:"moh-health-card"`
	Version   int      `json:"version" example:"1"`
	Stream    string   `json:"stream" example:"moh.health-card"`
	Ministry  string   `json:"ministry" example:"moh"`
	Title     bilingue `json:"title"`
	Result    string   `json:"result" enum:"shared,withheld"`
	Fields    []string `json:"fields" doc:"that are shared, sorted"`
	Reason    string   `json:"reason,omitempty" doc:"why withheld" example:"no-grant"`
}

type bilingue struct {
	EN string `json:"en" example:"Health card"`
	FR string `json:"fr" example:"Carte Santé"`
}

func (s *server) previewResult(ctx context.Context, p command.Preview) (*previewResult, error) {
	out := &previewResult{Digest: p.Digest, Decisions: make([]VerdictLine, len(p.Decisions)), Retracted: make([]wrongLine, len(p.Retracted))}
	law, err := s.Journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	find := func(id string, version int) consent.Agreement {
		if found, ok := law.Agreement(id, version); ok {
			return *found
		}
		return consent.Agreement{ID: id, Version: version}
	}
	for i, d := range p.Decisions {
		a := find(d.Agreement, d.Version)
		out.Decisions[i] = decided(&a, law.StreamOf[d.Agreement], s.Journal.FieldNames(p.Type, d.Fields), d.Reason)
	}
	for i, g := range p.Retracted {
		a := find(g.Item.Agreement, g.Item.Version)
		out.Retracted[i] = wrongLine{Agreement: a.ID, Version: a.Version, Stream: g.Stream, Ministry: law.Streams[g.Stream].Ministry, Title: bilingue(a.Title)}
	}
	return out, nil
}

// decided is a decision's line. stream is the agreement's, also where its version has ended.
func decided(a *consent.Agreement, stream string, fields []string, reason consent.Reason) VerdictLine {
	line := VerdictLine{
		Agreement: a.ID, Version: a.Version, Stream: stream, Ministry: a.Ministry, Title: bilingue(a.Title), Result: "withheld", Fields: []string{},
		Reason: reason.String(),
	}
	if reason == consent.None {
		line.Result, line.Fields = "shared", append(line.Fields, fields...)
		slices.Sort(line.Fields)
	}
	return line
}
