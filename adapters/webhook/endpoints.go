package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// DefaultKeep is how long a secret stays valid beside the one that takes its place, MaxKeep the longest that may be asked for.
const (
	DefaultKeep = 24 * time.Hour
	MaxKeep     = 30 * 24 * time.Hour
)

// abandoned is after what time a secret that no endpoint uses was left behind by a set that failed or died.
const abandoned = time.Hour

// Vault is where secrets are kept. A text never changes under its name.
type Vault interface {
	Secrets
	// Create keeps a text under a name, for good when it returns. What stands there already stays. It returns what stands.
	Create(name string, text []byte) ([]byte, error)
	// Sweep removes the texts whose names begin with a prefix and that were made before a time, but one. None is no error.
	Sweep(prefix, keep string, before time.Time) error
}

// Endpoints sets, shows and removes endpoints. The event endpoint-set is what makes a secret count: a process that dies before it leaves a
// secret that nobody uses, and the same command again goes on with it.
type Endpoints struct {
	Delivery *delivery.Delivery
	Client   *Client
	Vault    Vault
	// BaseURL is the hub's own, from genesis.
	BaseURL string
	// Sandbox allows a challenge to be left out.
	Sandbox bool
	// Clock is what ends of secrets are counted from; nil: time.Now.
	Clock func() time.Time
}

// Set makes a stream be pushed to an endpoint, after the endpoint has answered a challenge. given is the ministry's own secret (v1 only);
// without one the hub makes it. An endpoint that only changes its batch keeps its secret; one that changes its secret or its signature has
// both for DefaultKeep; another address gets a secret of its own. verifier is what the ministry verifies with, empty where that is the
// secret it has already: it is given to this command and its repeats, and never again. Errors: *delivery.EndpointError, and those of
// delivery.SetEndpoint.
func (s *Endpoints) Set(
	ctx context.Context, actor journal.Actor, command journal.CommandID, e journal.EndpointSet, given string, challenged bool,
) (verifier string, err error) {
	now, err := s.open(ctx, actor, e.Stream)
	if err != nil {
		return "", err
	}
	if err := s.judge(&e, given, challenged); err != nil {
		return "", err
	}
	if command.ID == "" {
		command.ID = uuid.NewString()
	}
	secrets, made, err := s.secretsFor(now, &e, nameOf(e.Stream, command), given)
	if err != nil {
		return "", err
	}
	if challenged {
		if err := s.challenge(ctx, e, secrets); err != nil {
			return "", err
		}
	}
	if err := s.Delivery.SetEndpoint(ctx, actor, command, e); err != nil {
		return "", err
	}
	return s.settle(ctx, e, secrets[0], made)
}

// Rotate gives a stream's endpoint another secret. The one before signs beside it until until, keep from now on.
func (s *Endpoints) Rotate(
	ctx context.Context, actor journal.Actor, command journal.CommandID, stream string, keep time.Duration, given string,
) (verifier string, until time.Time, err error) {
	e, err := s.open(ctx, actor, stream)
	switch {
	case err != nil:
		return "", until, err
	case e == nil:
		return "", until, &delivery.EndpointError{Member: "url", Detail: "there is none: set one first"}
	case keep < 0 || keep > MaxKeep:
		return "", until, &delivery.EndpointError{Member: "keep", Detail: fmt.Sprintf("must be 0 to %d hours", int(MaxKeep.Hours()))}
	}
	if err := judgeSecret(e.Signature, given); err != nil {
		return "", until, err
	}
	if command.ID == "" {
		command.ID = uuid.NewString()
	}
	former, next := *e, *e
	next.Secret = nameOf(stream, command)
	secrets, err := s.make(next, &former, keep, given)
	if err != nil {
		return "", until, err
	}
	if err := s.Delivery.SetEndpoint(ctx, actor, command, next); err != nil {
		return "", until, err
	}
	if len(secrets) > 1 {
		until = secrets[1].until
	}
	verifier, err = s.settle(ctx, next, secrets[0], true)
	return verifier, until, err
}

// Show returns a stream's endpoint, nil for none, and for v1a the public keys that verify now, the current one first.
func (s *Endpoints) Show(ctx context.Context, actor journal.Actor, stream string) (e *journal.EndpointSet, public []string, err error) {
	e, err = s.open(ctx, actor, stream)
	if err != nil || e == nil || e.Signature != journal.SignatureEd25519 {
		return e, nil, err
	}
	secrets, err := s.Client.secrets(e.Secret)
	if lost(err) {
		return e, nil, nil
	}
	for _, one := range valid(secrets, s.now()) {
		if one.private != nil {
			public = append(public, one.verifier())
		}
	}
	return e, public, err
}

// Remove ends the push to a stream's endpoint, and its secrets, also those that another process is just making for it: that one's set fails, and
// works when it is repeated. What was let out before may still arrive for delivery.D.
func (s *Endpoints) Remove(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string) error {
	if err := s.Delivery.SetEndpoint(ctx, actor, command, journal.EndpointSet{Stream: stream}); err != nil {
		return err
	}
	// If we die before it, secrets of nothing stay until the next set or removal.
	return s.Vault.Sweep(prefixOf(stream), "", s.now().Add(abandoned))
}

// open is the endpoint of a stream that the actor may steer; nil for none.
func (s *Endpoints) open(ctx context.Context, actor journal.Actor, stream string) (*journal.EndpointSet, error) {
	if _, err := s.Delivery.Open(ctx, actor, stream); err != nil {
		return nil, err
	}
	now, err := s.Delivery.Settings(ctx, stream)
	return now.Endpoint, err
}

// judge completes what was left out, and refuses what can't be.
func (s *Endpoints) judge(e *journal.EndpointSet, given string, challenged bool) error {
	e.Kind = journal.EndpointWebhook
	if e.Batch == 0 {
		e.Batch = 1
	}
	if e.Signature == "" {
		e.Signature = journal.SignatureHMAC
	}
	if _, err := s.Client.guard.check(e.URL); err != nil {
		return &delivery.EndpointError{Member: "url", Detail: err.Error()}
	}
	if e.Batch < 1 || e.Batch > delivery.MaxBatch {
		return &delivery.EndpointError{Member: "batch", Detail: fmt.Sprintf("must be 1 to %d", delivery.MaxBatch)}
	}
	if !challenged && !s.Sandbox {
		return &delivery.EndpointError{Member: "challenge", Detail: "can be left out in a sandbox only"}
	}
	return judgeSecret(e.Signature, given)
}

func judgeSecret(signature, given string) error {
	if signature != journal.SignatureHMAC && signature != journal.SignatureEd25519 {
		return &delivery.EndpointError{Member: "signature", Detail: "must be v1 or v1a"}
	}
	if given == "" {
		return nil
	}
	s, err := parseSecret(given)
	if signature == journal.SignatureEd25519 {
		return &delivery.EndpointError{Member: "secret", Detail: "belongs to v1: the hub makes the key pair of v1a, and its private half stays here"}
	}
	if err != nil || s.hmac == nil {
		return &delivery.EndpointError{Member: "secret", Detail: errSecret.Error()}
	}
	return nil
}

// secretsFor finds or makes the secrets of an endpoint, and names them in it. made: they are this command's.
func (s *Endpoints) secretsFor(now, e *journal.EndpointSet, name, given string) (secrets []secret, made bool, err error) {
	former := now
	if now != nil && now.URL != e.URL {
		former = nil
	}
	if former != nil && given == "" && former.Signature == e.Signature && former.Secret != name {
		e.Secret = former.Secret
		if secrets, err = s.Client.secrets(e.Secret); !lost(err) {
			return secrets, false, err
		}
	}
	e.Secret = name
	secrets, err = s.make(*e, former, DefaultKeep, given)
	return secrets, true, err
}

// make keeps secrets under e.Secret: a fresh one, and those of a former endpoint for a while. If the command was given before, what it made
// stands.
func (s *Endpoints) make(e journal.EndpointSet, former *journal.EndpointSet, keep time.Duration, given string) ([]secret, error) {
	fresh, err := newSecret(e.Signature)
	if given != "" {
		fresh, err = parseSecret(given)
	}
	if err != nil {
		return nil, err
	}
	secrets := []secret{fresh}
	if former != nil && former.Secret != e.Secret {
		old, err := s.Client.secrets(former.Secret)
		if err != nil && !lost(err) {
			return nil, err
		}
		secrets = append(secrets, endBy(old, s.now(), keep)...)
	}
	text, err := s.Vault.Create(e.Secret, formatSecrets(secrets))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if secrets, err = parseSecrets(text); err != nil {
		return nil, err
	}
	if given != "" && secrets[0].text() != given {
		return nil, eventstore.ErrCommandReused
	}
	return secrets, nil
}

// endBy are the secrets that still sign, none of them for longer than keep.
func endBy(secrets []secret, now time.Time, keep time.Duration) []secret {
	end := now.Add(keep)
	var out []secret
	for _, one := range valid(secrets, now) {
		if one.until.IsZero() || end.Before(one.until) {
			one.until = end
		}
		out = append(out, one)
	}
	return valid(out, now)
}

func (s *Endpoints) challenge(ctx context.Context, e journal.EndpointSet, secrets []secret) error {
	code, err := s.Client.challenge(ctx, e.Stream, e.URL, s.BaseURL+"/streams/"+e.Stream, secrets)
	if err != nil {
		return err
	}
	if code != "" {
		if err := ctx.Err(); err != nil {
			return err
		}
		return &delivery.EndpointError{Member: "url", Detail: "did not answer the challenge with its text (" + code + ")"}
	}
	return nil
}

// settle tidies up after an endpoint was set. If it was this command's repeat and another has come since, it has nothing to show.
func (s *Endpoints) settle(ctx context.Context, e journal.EndpointSet, current secret, made bool) (verifier string, err error) {
	now, err := s.Delivery.Settings(ctx, e.Stream)
	if err != nil {
		return "", err
	}
	if now.Endpoint == nil || now.Endpoint.Secret != e.Secret {
		return "", nil
	}
	if _, err := s.Client.secrets(e.Secret); lost(err) { // a removal at the same moment took it: a repeat makes another
		return "", delivery.ErrBusy
	}
	if err := s.Vault.Sweep(prefixOf(e.Stream), e.Secret, s.now().Add(-abandoned)); err != nil {
		return "", err
	}
	if made || current.private != nil {
		return current.verifier(), nil
	}
	return "", nil
}

func (s *Endpoints) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}

// lost says whether secrets are not there any more, as after a restore of older keys: new ones take their place.
func lost(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) }

// nameOf is the name of the secrets that a command makes: its repeats find them again.
func nameOf(stream string, command journal.CommandID) string {
	sum := sha256.Sum256(slices.Concat([]byte(command.Issuer), []byte{0}, []byte(command.ID)))
	return prefixOf(stream) + hex.EncodeToString(sum[:8])
}

// prefixOf begins the names of a stream's secrets. No stream's name holds an @.
func prefixOf(stream string) string { return stream + "@" }
