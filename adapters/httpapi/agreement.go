package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// proposers may propose and end agreements; approvers only approve what another proposed.
var (
	proposers = []journal.Role{journal.RoleOfficer, journal.RoleOperator}
	approvers = []journal.Role{journal.RoleOfficer}
)

// codeOtherContent refuses other content under a version's number.
const codeOtherContent = "other-content"

// agreementRoutes are the officers' side of the agreements. What they read is public data: to read it is no look.
func (s *server) agreementRoutes() {
	register(s, route{
		method: http.MethodGet, path: "/v1/agreements/versions", id: "agreementVersions", tag: "agreements", roles: lookers,
		summary: "Every version of every agreement, with its state and what it changes",
	}, s.agreementVersions)
	register(s, route{
		method: http.MethodPost, path: "/v1/agreements/proposals", id: "propose", tag: "agreements", roles: proposers,
		summary: "Propose a version of an agreement",
		description: "The body is the agreement's document, as JSON or as YAML. A proposal shares nothing: another officer approves it. The same " +
			"again changes nothing. What is wrong with a document stands in `errors`, each with line and column.",
		body: agreementBody{}, yaml: true,
		codes: slices.Concat(repeatCodes, []string{codeOtherContent, citizen.CodeOlderVersion, citizen.CodeAgreementEnded, citizen.CodeStreamKept}),
	}, s.propose)
	register(s, route{
		method: http.MethodPost, path: "/v1/agreements/approvals", id: "approve", tag: "agreements", roles: approvers,
		summary: "Approve a proposed version, as another officer than the one who proposed it",
		description: "It replaces the version in force at once. What is narrower applies at once; under consent, who agreed to a former version " +
			"shares only what that version shared until they agree anew. If its validity begins later, nothing is shared until then.",
		body: approvalBody{},
		codes: slices.Concat(repeatCodes, []string{
			citizen.CodeUnknownVersion, citizen.CodeSamePerson, citizen.CodeAlreadyApproved, citizen.CodeOlderVersion, citizen.CodeAgreementEnded,
			citizen.CodeStalePreview, citizen.CodeStreamKept,
		}),
	}, s.approve)
	register(s, route{
		method: http.MethodPost, path: "/v1/agreements/endings", id: "endAgreement", tag: "agreements", roles: proposers,
		summary:     "End an agreement, with all its versions and proposals",
		description: "From the answer on nothing is shared under it. It can come back under a higher version number only.",
		body:        endingBody{},
		codes:       slices.Concat(repeatCodes, []string{citizen.CodeUnknownVersion, citizen.CodeAgreementEnded, citizen.CodeEndDate}),
	}, s.endAgreement)
	document := s.schema(reflect.TypeFor[agreementBody]())
	s.api.OpenAPI().Components.Schemas.Map()["VersionBody"].Properties["document"] = document
}

// versionBody is one version of an agreement.
type versionBody struct {
	Document   json.RawMessage `json:"document"`
	State      string          `json:"state" enum:"proposed,approved,replaced,ended"`
	ProposedAt time.Time       `json:"proposed_at"`
	ApprovedAt *time.Time      `json:"approved_at,omitempty"`
	EndedAt    *time.Time      `json:"ended_at,omitempty"`
	EndedOn    string          `json:"ended_on,omitempty" format:"date" doc:"the day that the end names"`
	MayApprove bool            `json:"may_approve" doc:"it waits for an approval, and you may give it"`
	Rules      []bilingue      `json:"rules" doc:"the agreement read aloud"`
	Replaces   int             `json:"replaces,omitempty" doc:"the version that it replaced, or would replace"`
	Wider      bool            `json:"wider,omitempty" doc:"it may share what that version did not"`
	Narrower   bool            `json:"narrower,omitempty" doc:"it no longer shares something that that version did"`
	AsksAnew   bool            `json:"asks_anew,omitempty" doc:"people who agreed are asked again for what is wider"`
	Changes    []bilingue      `json:"changes,omitempty" doc:"what differs from that version, in words"`
}

type versionOutput struct{ Body versionBody }

type versionsOutput struct {
	Body struct {
		Agreements []versionBody `json:"agreements"`
	}
}

func (s *server) version(ctx context.Context, v *command.AgreementVersion) versionBody {
	actor := caller(ctx)
	body := versionBody{
		Document: schemas.MarshalDocument(v.Agreement), State: string(v.State), ProposedAt: v.ProposedAt, ApprovedAt: given(v.ApprovedAt),
		EndedAt: given(v.EndedAt), EndedOn: v.EndedOn.String(), Rules: s.bilingual(v.Agreement.Aloud),
		MayApprove: v.State == consent.StateProposed && mayCall(actor, approvers) && !s.Command.SamePerson(v, actor),
	}
	if v.Former != nil {
		d := v.Difference()
		body.Replaces, body.Wider, body.Narrower, body.AsksAnew = v.Former.Version, d.Wider(), d.Narrower(), v.AsksAnew()
		body.Changes = s.bilingual(d.Sentences)
	}
	return body
}

// bilingual says sentences in both languages.
func (s *server) bilingual(say func(lang string, labels consent.Labels) []string) []bilingue {
	en, fr := say("en", s.Command.Labels("en")), say("fr", s.Command.Labels("fr"))
	out := make([]bilingue, len(en))
	for i := range en {
		out[i] = bilingue{EN: en[i], FR: fr[i]}
	}
	return out
}

func given(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func (s *server) versions(ctx context.Context, versions []command.AgreementVersion) *versionsOutput {
	out := &versionsOutput{}
	out.Body.Agreements = make([]versionBody, len(versions))
	for i := range versions {
		out.Body.Agreements[i] = s.version(ctx, &versions[i])
	}
	return out
}

// agreementVersions is GET /v1/agreements/versions.
func (s *server) agreementVersions(ctx context.Context, _ *struct{}) (*versionsOutput, error) {
	versions, err := s.Command.AgreementVersions(ctx)
	if err != nil {
		return nil, err
	}
	return s.versions(ctx, versions), nil
}

// propose is POST /v1/agreements/proposals. JSON is YAML, too: one strict reader takes both.
func (s *server) propose(ctx context.Context, in *Repeatable) (*versionOutput, error) {
	id, err := maybeCommandID(in.Key)
	if err != nil {
		return nil, err
	}
	const name = "document"
	agreement, err := schemas.ParseAgreement(name, bodyFrom(ctx), s.Journal.Registry())
	if err != nil {
		return nil, documentFaults(name, err)
	}
	content := append([]byte("POST /v1/agreements/proposals\n"), schemas.MarshalDocument(agreement)...)
	_, err = s.Command.ProposeAgreements(ctx, s.command(ctx, id, journal.ChannelNone, content), agreement)
	if errors.Is(err, command.ErrOtherContent) {
		p := newProblem(codeOtherContent)
		p.Errors = []fault{{Pointer: "/version", Code: codeOtherContent, Detail: p.Detail}}
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	return s.versionAnswer(ctx, agreement.ID, agreement.Version)
}

func (s *server) versionAnswer(ctx context.Context, id string, version int) (*versionOutput, error) {
	v, err := s.Command.AgreementVersion(ctx, id, version)
	if err != nil {
		return nil, err
	}
	return &versionOutput{Body: s.version(ctx, &v)}, nil
}

// documentFaults lists everything that is wrong with a document: line:column: sentence.
func documentFaults(name string, err error) *problem {
	all := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all = several.Unwrap()
	}
	faults := make([]fault, len(all))
	for i := range all {
		faults[i] = schemaFault("", strings.TrimPrefix(strings.TrimPrefix(all[i].Error(), name+":"), " "))
	}
	return newProblem(citizen.CodeSchema, faults...)
}

// approvalBody is the body of an approval, for the document.
type approvalBody struct {
	_        struct{} `additionalProperties:"false"`
	ID       string   `json:"id"`
	Version  int      `json:"version" minimum:"1"`
	Replaces *int     `json:"replaces,omitempty" minimum:"0" doc:"the version in force that you compared it with, 0 for none: refused if it is another by now"`
}

// approve is POST /v1/agreements/approvals.
func (s *server) approve(ctx context.Context, in *Repeatable) (*versionOutput, error) {
	id, o, content, err := s.agreementCommand(ctx, in, "POST /v1/agreements/approvals")
	if err != nil {
		return nil, err
	}
	a := command.Approval{ID: o.agreementID()}
	version, _ := o.whole("version", true, 1)
	a.Version = version
	if replaces, ok := o.whole("replaces", false, 0); ok {
		a.Replaces = &replaces
	}
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	v, err := s.Command.ApproveAgreement(ctx, s.command(ctx, id, journal.ChannelNone, content), a)
	if err != nil {
		return nil, err
	}
	return &versionOutput{Body: s.version(ctx, &v)}, nil
}

// endingBody is the body of an end, for the document.
type endingBody struct {
	_    struct{} `additionalProperties:"false"`
	ID   string   `json:"id"`
	Date string   `json:"date,omitempty" format:"date" doc:"the day of the end for people to read: today (which is meant without it) or earlier"`
}

// endAgreement is POST /v1/agreements/endings.
func (s *server) endAgreement(ctx context.Context, in *Repeatable) (*versionsOutput, error) {
	id, o, content, err := s.agreementCommand(ctx, in, "POST /v1/agreements/endings")
	if err != nil {
		return nil, err
	}
	agreement := o.agreementID()
	isDate := func(text string) bool { _, err := consent.ParseDate(text); return err == nil }
	date := o.text("date", false, isDate, "must be a real date, YYYY-MM-DD")
	o.done()
	if err := o.err(); err != nil {
		return nil, err
	}
	versions, err := s.Command.EndAgreement(ctx, s.command(ctx, id, journal.ChannelNone, content), agreement, date)
	if err != nil {
		return nil, err
	}
	return s.versions(ctx, versions), nil
}

// agreementCommand reads what the commands about agreements have in common: the command id, the body, and what the id stands for.
func (s *server) agreementCommand(ctx context.Context, in *Repeatable, place string) (id string, o *object, content []byte, err error) {
	if id, err = maybeCommandID(in.Key); err != nil {
		return "", nil, nil, err
	}
	if o, err = s.parseBody(ctx); err != nil {
		return "", nil, nil, err
	}
	content, err = canonical(place, o.members)
	return id, o, content, err
}

func (o *object) agreementID() string {
	return o.text("id", true, func(s string) bool { return s != "" }, "must be an agreement's id")
}

// whole reads a whole number from a least one on; ok is false where it is missing or wrong.
func (o *object) whole(name string, required bool, least int64) (n int, ok bool) {
	number, ok := member[json.Number](o, name, required, "a whole number")
	if !ok {
		return 0, false
	}
	value, err := number.Int64()
	if err != nil || value < least || value > math.MaxInt32 {
		o.wrong(name, "must be a whole number")
		return 0, false
	}
	return int(value), true
}
