package httpapi

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// Endpoints are where streams are pushed to. What a stream's ministry verifies with is a text: whsec_… for v1, whpk_… for v1a.
type Endpoints interface {
	// Set pushes endpoint.Stream to an address once that has answered a challenge. secret is the ministry's own; empty: the hub makes one.
	// verifier is empty where it is what the ministry has already.
	Set(ctx context.Context, actor journal.Actor, command journal.CommandID, endpoint journal.EndpointSet, secret string, challenge bool) (verifier string, err error)
	// Rotate gives it another secret. The one before stays valid until a time, zero where it ended at once.
	Rotate(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, keep time.Duration, secret string) (verifier string, until time.Time, err error)
	// Show returns a stream's endpoint, nil for none, and the public keys of v1a.
	Show(ctx context.Context, actor journal.Actor, stream string) (endpoint *journal.EndpointSet, public []string, err error)
	// Remove ends the push.
	Remove(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string) error
}

const (
	codeEndpoint     = "endpoint"
	defaultKeepHours = 24
)

func (s *server) endpointRoutes() {
	path := "/v1/streams/{stream}/endpoint"
	codes := []string{codeUnknownStream, codeOthersStream}
	changing := slices.Concat(repeatCodes, codes)
	register(s, route{
		method: http.MethodPut, path: path, id: "setEndpoint", tag: "streams", roles: streamOwners,
		summary: "Push a stream to an HTTPS address",
		description: "The address first gets a challenge, an event of type tellonce.challenge.v1: it must answer with a 2xx whose body is " +
			"`data.challenge`, as text or as {\"challenge\": text}, within 10 s. From then on it gets the stream's events from the first on, as " +
			"CloudEvents signed by Standard Webhooks. The secret that the hub made stands in this answer, and in that of a repeat with the same " +
			"Idempotency-Key, and nowhere else. Who only changes the batch keeps the secret.",
		body: endpointBody{}, codes: append(changing, codeEndpoint),
	}, s.setEndpoint)
	register(s, route{
		method: http.MethodGet, path: path, id: "endpoint", tag: "streams", roles: streamOwners,
		summary: "Where a stream is pushed to", description: "Without an endpoint the answer names the stream alone.", codes: codes,
	}, s.endpoint)
	register(s, route{
		method: http.MethodDelete, path: path, id: "removeEndpoint", tag: "streams", roles: streamOwners, status: http.StatusNoContent,
		summary: "End the push of a stream", description: "What had left before may still arrive for 10 s. The stream can be read as before.",
		codes: changing,
	}, s.removeEndpoint)
	register(s, route{
		method: http.MethodPost, path: path + "/secret", id: "rotateSecret", tag: "streams", roles: streamOwners,
		summary: "Change the secret by which an endpoint's events are signed",
		description: "Until the former one ends, every request carries a signature of both: verify with either. A body can be left out: then the " +
			"hub makes the secret, and the former one stays valid for 24 hours.",
		body: rotationBody{}, optionalBody: true, codes: append(changing, codeEndpoint),
	}, s.rotateSecret)
}

// endpointBody is the body of setEndpoint, for the document; readEndpoint reads it.
type endpointBody struct {
	_         struct{} `additionalProperties:"false"`
	URL       string   `json:"url" maxLength:"2048" example:"https://hooks.example.ca/tellonce" doc:"It stands on the log: put no secret into it"`
	Batch     int      `json:"batch,omitempty" minimum:"1" maximum:"1000" default:"1" doc:"most events of a request; 1: one event, no batch"`
	Signature string   `json:"signature,omitempty" enum:"v1,v1a" default:"v1" doc:"v1: HMAC-SHA256; v1a: Ed25519"`
	Secret    string   `json:"secret,omitempty" doc:"of v1, your own: whsec_ and the base64 of 24 to 64 random bytes; without it the hub makes one"`
	Challenge *bool    `json:"challenge,omitempty" default:"true" doc:"false leaves the challenge out, in a sandbox only"`
}

// rotationBody is the body of rotateSecret, for the document.
type rotationBody struct {
	_         struct{} `additionalProperties:"false"`
	Secret    string   `json:"secret,omitempty" doc:"of v1, your own; without it the hub makes one"`
	KeepHours *int     `json:"keep_hours,omitempty" minimum:"0" maximum:"720" default:"24" doc:"how long the former secret stays valid"`
}

type endpointLine struct {
	Stream     string   `json:"stream" example:"moh.health-card"`
	URL        string   `json:"url,omitempty" example:"https://hooks.example.ca/tellonce"`
	Batch      int      `json:"batch,omitempty" example:"1"`
	Signature  string   `json:"signature,omitempty" enum:"v1,v1a"`
	PublicKeys []string `json:"public_keys,omitempty" doc:"of v1a: what verifies now, the current one first"`
}

type secretLine struct {
	Secret      string     `json:"secret,omitempty" doc:"of v1; left out where you have it already"`
	PublicKey   string     `json:"public_key,omitempty" doc:"of v1a"`
	FormerUntil *time.Time `json:"former_until,omitempty" doc:"until when the former secret stays valid; left out where there is none"`
}

type (
	endpointOutput struct{ Body endpointLine }
	secretOutput   struct{ Body secretLine }

	endpointInput struct {
		Repeatable
		Stream string `path:"stream" doc:"a stream's name" example:"moh.health-card"`
	}
	streamInput struct {
		Stream string `path:"stream" doc:"a stream's name" example:"moh.health-card"`
	}
)

// setEndpoint is PUT /v1/streams/{stream}/endpoint.
func (s *server) setEndpoint(ctx context.Context, in *endpointInput) (*secretOutput, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	body, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	e := journal.EndpointSet{Stream: in.Stream, URL: body.text("url", true, anyText, "")}
	if _, given := body.members["batch"]; given {
		e.Batch, _ = body.whole("batch", false, 1)
	}
	e.Signature = body.oneOf("signature", journal.SignatureHMAC, journal.SignatureEd25519)
	secret := body.text("secret", false, anyText, "")
	challenge := true
	if _, given := body.members["challenge"]; given {
		challenge = body.flag("challenge")
	}
	body.done()
	if err := body.err(); err != nil {
		return nil, err
	}
	command, err := secretCommand(ctx, in.Key, "PUT /v1/streams/"+in.Stream+"/endpoint", body)
	if err != nil {
		return nil, err
	}
	verifier, err := s.Endpoints.Set(ctx, caller(ctx), command, e, secret, challenge)
	return secretOf(verifier, e.Signature, time.Time{}), err
}

// rotateSecret is POST /v1/streams/{stream}/endpoint/secret.
func (s *server) rotateSecret(ctx context.Context, in *endpointInput) (*secretOutput, error) {
	e, _, err := s.Endpoints.Show(ctx, caller(ctx), in.Stream)
	if err != nil {
		return nil, err
	}
	body := newObject(map[string]any{})
	if bodyFrom(ctx) != nil {
		if body, err = s.parseBody(ctx); err != nil {
			return nil, err
		}
	}
	secret, hours := body.text("secret", false, anyText, ""), defaultKeepHours
	if _, given := body.members["keep_hours"]; given {
		hours, _ = body.whole("keep_hours", false, 0)
	}
	body.done()
	if err := body.err(); err != nil {
		return nil, err
	}
	command, err := secretCommand(ctx, in.Key, "POST /v1/streams/"+in.Stream+"/endpoint/secret", body)
	if err != nil {
		return nil, err
	}
	verifier, until, err := s.Endpoints.Rotate(ctx, caller(ctx), command, in.Stream, time.Duration(hours)*time.Hour, secret)
	if err != nil {
		return nil, err
	}
	return secretOf(verifier, e.Signature, until), nil
}

// secretOf is what a ministry verifies with from now on.
func secretOf(verifier, signature string, until time.Time) *secretOutput {
	out := &secretOutput{Body: secretLine{Secret: verifier, FormerUntil: given(until)}}
	if signature == journal.SignatureEd25519 {
		out.Body.Secret, out.Body.PublicKey = "", verifier
	}
	return out
}

// secretCommand is the command of a request whose secret, if it gives one, no hash on the log may be made of.
func secretCommand(ctx context.Context, key, place string, body *object) (journal.CommandID, error) {
	members := maps.Clone(body.members)
	if _, given := members["secret"]; given {
		members["secret"] = true
	}
	return repeatable(ctx, key, place, members)
}

// endpoint is GET /v1/streams/{stream}/endpoint.
func (s *server) endpoint(ctx context.Context, in *streamInput) (*endpointOutput, error) {
	e, public, err := s.Endpoints.Show(ctx, caller(ctx), in.Stream)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return &endpointOutput{Body: endpointLine{Stream: in.Stream}}, nil
	}
	return &endpointOutput{Body: endpointLine{Stream: e.Stream, URL: e.URL, Batch: e.Batch, Signature: e.Signature, PublicKeys: public}}, nil
}

// removeEndpoint is DELETE /v1/streams/{stream}/endpoint.
func (s *server) removeEndpoint(ctx context.Context, in *endpointInput) (*struct{}, error) {
	command, err := repeatable(ctx, in.Key, "DELETE /v1/streams/"+in.Stream+"/endpoint", nil)
	if err != nil {
		return nil, err
	}
	return nil, s.Endpoints.Remove(ctx, caller(ctx), command, in.Stream)
}

// endpointFault is the answer to an endpoint that can't be.
func endpointFault(e *delivery.EndpointError) *problem {
	return newProblem(codeEndpoint, fault{Pointer: "/" + e.Member, Code: codeEndpoint, Detail: e.Detail})
}
