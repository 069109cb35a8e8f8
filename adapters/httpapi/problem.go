package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// The codes of the API's own answers; those of an import line (domain/citizen) stand beside them.
const (
	codeBadQuery         = "bad-query"
	codeIdempotencyKey   = "idempotency-key"
	codeAccessReason     = "access-reason"
	codeOnBehalf         = "on-behalf-of"
	codeUnauthenticated  = "unauthenticated"
	codeWeakLogin        = "insufficient-user-authentication"
	codeForbidden        = "forbidden"
	codeOthersStream     = "not-your-stream"
	codeNotFound         = "not-found"
	codeUnknownStream    = "unknown-stream"
	codeMethodNotAllowed = "method-not-allowed"
	codeBodyTimeout      = "body-timeout"
	codeUnknownCursor    = "unknown-cursor"
	codePaused           = "stream-paused"
	codeTooLarge         = "too-large"
	codeMediaType        = "media-type"
	codeReceipt          = "receipt"
	codeNoLinks          = "no-links"
	codeReason           = "reason"
	codeHidden           = "hidden"
	codeCancelled        = "cancelled"
	codeInternal         = "internal"
	codeBusy             = "busy"
	codeUnknownOutcome   = "unknown-outcome"
	codeUnavailable      = "unavailable"
)

// statusCancelled is what the log and the metrics show for a caller that went away before the answer; nobody reads it.
const statusCancelled = 499

// answer is how a code is answered: its status and what it says to a person, who learns what to do.
type answer struct {
	status int
	detail string
}

// answers are the API's own codes. Those of an import line have their sentences in domain/citizen.
var answers = map[string]answer{
	codeBadQuery:       {http.StatusBadRequest, "A query parameter is not known here, stands twice, or has a value that it can't have."},
	codeIdempotencyKey: {http.StatusBadRequest, "Send one Idempotency-Key header that holds a UUID: the same one when you repeat the request."},
	codeAccessReason:   {http.StatusBadRequest, "Send one X-Access-Reason header that says why you look: 1 to 500 characters, percent-encoded UTF-8."},
	codeOnBehalf: {http.StatusBadRequest, "Send one X-On-Behalf-Of header that holds the id of a person for whom you act: " +
		"GET /v1/me/acting-for lists them. Only residents act for others, and not in everything."},
	codeUnauthenticated: {http.StatusUnauthorized, "This needs a token: send it as Authorization: Bearer TOKEN."},
	codeWeakLogin: {http.StatusUnauthorized, "The person has to log in with a second factor for this: send a token from such a log-in. The " +
		"WWW-Authenticate header names the acr_values to ask for (RFC 9470)."},
	codeForbidden:        {http.StatusForbidden, "The role of your token may not do this."},
	codeOthersStream:     {http.StatusForbidden, "This stream is another ministry's."},
	codeNotFound:         {http.StatusNotFound, "There is nothing here for you."},
	codeUnknownStream:    {http.StatusNotFound, "There is no such stream. GET /v1/streams lists yours."},
	codeMethodNotAllowed: {http.StatusMethodNotAllowed, "This method can't be used here; the Allow header lists those that can."},
	codeBodyTimeout:      {http.StatusRequestTimeout, "The request's body took too long to arrive."},
	codeUnknownCursor: {http.StatusConflict, "This cursor was never given out by this lane of this log. Read on from the last cursor that " +
		"you stored, or leave `after` out to read from the first event; ask the operator if the log was restored."},
	codePaused: {http.StatusConflict, "This stream is paused: nothing of it leaves until it is resumed, by its ministry or the operator. " +
		"Nothing is lost meanwhile."},
	codeOtherContent: {http.StatusConflict, "This version was proposed with other content. Give it a new version number."},
	codeTooLarge:     {http.StatusRequestEntityTooLarge, "The request's body is too large."},
	codeMediaType:    {http.StatusUnsupportedMediaType, "Send the body as Content-Type: application/json in UTF-8, without Content-Encoding."},
	codeReceipt:      {http.StatusUnprocessableEntity, "One of the receipts is wrong; none was recorded."},
	codeEndpoint:     {http.StatusUnprocessableEntity, "This endpoint can't be set."},
	codeNotParked:    {http.StatusUnprocessableEntity, "None of these events is parked. GET …/undelivered lists what is."},
	codeReplay:       {http.StatusUnprocessableEntity, "A replay begins at a cursor (`from`), at a time (`since`), or so many events before the last (`last`): name one of them."},
	codeNothing:      {http.StatusUnprocessableEntity, "Nothing was given out there, so there is nothing to send again."},
	codeNoEndpoint: {http.StatusUnprocessableEntity, "This stream is pushed to no endpoint. Read it again after an earlier cursor, or send the replay to " +
		"the side (`side`), for a consumer of Kafka."},
	codeNoLinks:        {http.StatusUnprocessableEntity, "No agreement of this stream asks for links: it gets what it may get without them."},
	codeReason:         {http.StatusUnprocessableEntity, "A look needs a reason, of 1 to 500 characters."},
	codeHidden:         {http.StatusUnprocessableEntity, "A look is hidden from the person only with a case, a legal reason, and a day at most 180 days ahead."},
	codeCancelled:      {statusCancelled, "The caller went away."},
	codeInternal:       {http.StatusInternalServerError, "Something went wrong in the hub. It has been logged."},
	codeBusy:           {http.StatusServiceUnavailable, "Too many changes at the same time. Repeat the request, with the same Idempotency-Key."},
	codeUnknownOutcome: {http.StatusServiceUnavailable, "Maybe this was accepted. Repeat it with the same Idempotency-Key: it counts once."},
	codeUnavailable:    {http.StatusServiceUnavailable, "The hub is starting or stopping, or its database is away. Repeat the request in a moment, with the same Idempotency-Key."},
}

// answerOf is how a code is answered. malformed-json is 400, a command id with other content and a stale preview 409, all else that is
// refused as input 422.
func answerOf(code string) answer {
	if a, ok := answers[code]; ok {
		return a
	}
	a := answer{http.StatusUnprocessableEntity, citizen.Reject(code).Sentence("en")}
	switch code {
	case citizen.CodeMalformedJSON:
		a.status = http.StatusBadRequest
	case citizen.CodeCommandReused, citizen.CodeStalePreview:
		a.status = http.StatusConflict
	}
	return a
}

// retryAfter is how many seconds a caller should wait after a 503.
const retryAfter = 1

// problem is an RFC 9457 problem with the hub's own members. It never holds a value that was sent.
type problem struct {
	Type    string         `json:"type" example:"about:blank"`
	Title   string         `json:"title" example:"Unprocessable Entity" doc:"the status in words"`
	Status  int            `json:"status" example:"422"`
	Code    string         `json:"code" example:"schema" doc:"for machines: what is wrong"`
	Detail  string         `json:"detail" doc:"for people: what is wrong, and what to do"`
	Errors  []fault        `json:"errors,omitempty" doc:"of an input: everything that is wrong with it"`
	Preview *previewResult `json:"preview,omitempty" doc:"of stale-preview: what holds now"`
	allow   string         // of a 405
	acr     int            // of insufficient-user-authentication: what would do
	cause   error          // of a 500, and of a 503 that is the store's: logged, never sent
}

// fault is one thing that is wrong with an input.
type fault struct {
	Pointer string `json:"pointer" example:"/data/postal_code" doc:"JSON pointer (RFC 6901) into the body; empty: the body itself"`
	Code    string `json:"code" example:"schema"`
	Detail  string `json:"detail" example:"the member street is missing"`
}

// newProblem is the answer of a code.
func newProblem(code string, faults ...fault) *problem {
	a := answerOf(code)
	title := http.StatusText(a.status)
	if a.status == statusCancelled {
		title = "Client Closed Request"
	}
	return &problem{Type: "about:blank", Title: title, Status: a.status, Code: code, Detail: a.detail, Errors: faults}
}

// schemaFault is a fault in the shape of an input.
func schemaFault(pointer, detail string) fault {
	return fault{Pointer: pointer, Code: citizen.CodeSchema, Detail: detail}
}

// Error is the code alone.
func (p *problem) Error() string { return p.Code }

// GetStatus makes the problem an answer of huma's.
func (p *problem) GetStatus() int { return p.Status }

// ContentType is that of every error of the API.
func (*problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders are what the status asks for.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="tellonce"`
		if p.acr > 0 {
			challenge += fmt.Sprintf(`, error="insufficient_user_authentication", acr_values="%d"`, p.acr)
		}
		h.Set("WWW-Authenticate", challenge)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", p.allow)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		h.Set("Connection", "close") // the rest of the body is not read
	}
	return h
}

// write sends the problem. What a caller that is gone does not read is no error.
func (p *problem) write(w http.ResponseWriter) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p)
}

// sentinels are the errors of the domain rooms that mean one code.
var sentinels = []struct {
	err  error
	code string
}{
	{command.ErrForbidden, codeForbidden},
	{audit.ErrForbidden, codeForbidden},
	{delivery.ErrNotYours, codeOthersStream},
	{delivery.ErrUnknownStream, codeUnknownStream},
	{delivery.ErrUnknownCursor, codeUnknownCursor},
	{delivery.ErrCursor, codeUnknownCursor},
	{delivery.ErrPaused, codePaused},
	{delivery.ErrNotParked, codeNotParked},
	{delivery.ErrReplayAsk, codeReplay},
	{delivery.ErrNothing, codeNothing},
	{delivery.ErrNoEndpoint, codeNoEndpoint},
	{delivery.ErrUnknownLane, codeBadQuery},
	{command.ErrNoLinks, codeNoLinks},
	{projection.ErrNotFound, codeNotFound},
	{command.ErrNoReport, codeNotFound},
	{audit.ErrNotFound, codeNotFound},
	{audit.ErrReason, codeReason},
	{audit.ErrHidden, codeHidden},
	{audit.ErrNoRequest, citizen.CodeNoRequest},
	{audit.ErrSameOfficer, citizen.CodeSamePerson},
	{eventstore.ErrCommandReused, citizen.CodeCommandReused},
	{eventstore.ErrUnknownOutcome, codeUnknownOutcome},
	{eventstore.ErrConflict, codeBusy},
	{command.ErrBusy, codeBusy},
	{delivery.ErrBusy, codeBusy},
	{eventstore.ErrClosed, codeUnavailable},
	{eventstore.ErrUnavailable, codeUnavailable},
	{context.DeadlineExceeded, codeUnavailable},
	{context.Canceled, codeUnavailable}, // by the hub's own stop: a caller's going away is looked at first
}

// problemOf says how an error is answered: the one place where errors become statuses.
func problemOf(ctx context.Context, err error) *problem {
	var p *problem
	var rejection *citizen.Rejection
	var receipt *delivery.ReceiptError
	var endpoint *delivery.EndpointError
	var synthetic *delivery.SyntheticError
	var weak *command.WeakLogin
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &rejection):
		return rejected(rejection)
	case errors.As(err, &weak):
		p = newProblem(codeWeakLogin)
		p.acr = weak.ACR
		return p
	case errors.As(err, &receipt):
		at := fmt.Sprintf("/%d/%s", receipt.Index, receipt.Member)
		return newProblem(codeReceipt, fault{Pointer: at, Code: codeReceipt, Detail: receipt.Detail})
	case errors.As(err, &endpoint):
		return endpointFault(endpoint)
	case errors.As(err, &synthetic):
		return newProblem(codeSynthetic, fault{Pointer: "/" + synthetic.Member, Code: codeSynthetic, Detail: synthetic.Detail})
	case ctx.Err() != nil && errors.Is(err, ctx.Err()): // the caller's context, without a deadline of ours
		return newProblem(codeCancelled)
	}
	if errors.Is(err, command.ErrForbidden) && isProxy(ctx) { // as about somebody who does not exist
		return newProblem(codeNotFound)
	}
	for _, known := range sentinels {
		if errors.Is(err, known.err) {
			p = newProblem(known.code)
			if errors.Is(err, eventstore.ErrUnavailable) {
				p.cause = err
			}
			return p
		}
	}
	p = newProblem(codeInternal)
	p.cause = err
	return p
}

// rejected is the answer to what the rules refuse. The command id is a header here and has no pointer.
func rejected(r *citizen.Rejection) *problem {
	p := newProblem(r.Code)
	if r.Pointer != nil && r.Code != citizen.CodeCommandReused {
		p.Errors = []fault{{Pointer: *r.Pointer, Code: r.Code, Detail: r.Sentence("en")}}
	}
	return p
}

// schemaProblems are the answer to an input of the wrong shape. at is where in the body the judged value stands.
func schemaProblems(at string, problems []schemas.Problem) []fault {
	faults := make([]fault, 0, len(problems))
	for _, p := range problems {
		f := fault{Pointer: at, Code: p.Code, Detail: p.Detail}
		if p.Pointer != nil {
			f.Pointer += *p.Pointer
		}
		faults = append(faults, f)
	}
	return faults
}

// relocate turns a rejection's pointer, which is into an import line, into one into this route's body. moves are pairs of prefixes; a
// pointer that none of them begins has no place in the body and is left out.
func relocate(err error, moves ...string) error {
	var r *citizen.Rejection
	if !errors.As(err, &r) || r.Pointer == nil {
		return err
	}
	for i := 0; i+1 < len(moves); i += 2 {
		if rest, ok := strings.CutPrefix(*r.Pointer, moves[i]); ok {
			return citizen.RejectAt(r.Code, moves[i+1]+rest)
		}
	}
	return &citizen.Rejection{Code: r.Code}
}
