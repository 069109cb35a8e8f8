package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// ErrPaused is the answer while a stream is paused: nothing of it leaves, new or again, until it is resumed.
var ErrPaused = errors.New("delivery: the stream is paused")

// Settings are how a stream is steered.
type Settings struct {
	Paused   bool
	Why      string               // of a pause: journal.PausedAsked or PausedGone
	Endpoint *journal.EndpointSet // where the stream is pushed to; nil for nowhere
}

// EndpointError says what is wrong with an endpoint.
type EndpointError struct {
	Member string // kind, url, secret, signature or batch
	Detail string
}

// Error holds nothing of the endpoint's own text.
func (e *EndpointError) Error() string { return fmt.Sprintf("endpoint: %s: %s", e.Member, e.Detail) }

// MaxBatch is how many events one request to an endpoint may hold.
const MaxBatch = 1000

// Settings returns how a stream is steered now.
func (d *Delivery) Settings(ctx context.Context, stream string) (Settings, error) {
	if _, err := d.Stream(ctx, stream); err != nil {
		return Settings{}, err
	}
	s, err := d.settings(ctx, stream)
	return s.Settings, err
}

// Pause lets nothing of a stream leave until it is resumed. What had been let out before may still arrive for D. It may be asked by the
// stream's ministry or an operator; pausing what is paused changes nothing. Errors: ErrUnknownStream, ErrNotYours.
func (d *Delivery) Pause(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string) error {
	if _, err := d.Open(ctx, actor, stream); err != nil {
		return err
	}
	return d.steer(ctx, commandStep(actor, command), stream, func(now Settings) any {
		if now.Paused {
			return nil
		}
		return journal.StreamPaused{Stream: stream, Why: journal.PausedAsked}
	})
}

// pauseGone pauses a stream whose endpoint is no more, unless it has another one by now.
func (d *Delivery) pauseGone(ctx context.Context, gone journal.EndpointSet) error {
	step := journal.Step{Origin: journal.Origin{Issuer: journal.IssuerHub, Actor: journal.ActorHub}}
	return d.steer(ctx, step, gone.Stream, func(now Settings) any {
		if now.Paused || now.Endpoint == nil || *now.Endpoint != gone {
			return nil
		}
		return journal.StreamPaused{Stream: gone.Stream, Why: journal.PausedGone}
	})
}

// Resume ends a pause, whatever its reason. Who may, and the errors, are those of Pause.
func (d *Delivery) Resume(ctx context.Context, actor journal.Actor, command journal.CommandID, stream string) error {
	if _, err := d.Open(ctx, actor, stream); err != nil {
		return err
	}
	return d.steer(ctx, commandStep(actor, command), stream, func(now Settings) any {
		if !now.Paused {
			return nil
		}
		return journal.StreamResumed{Stream: stream}
	})
}

// SetEndpoint says where endpoint.Stream is pushed to from now on; an empty Kind ends the push. That the endpoint has answered its challenge is
// the caller's to make sure before. Who may, and the errors, are those of Pause, and *EndpointError.
func (d *Delivery) SetEndpoint(ctx context.Context, actor journal.Actor, command journal.CommandID, endpoint journal.EndpointSet) error {
	if _, err := d.Open(ctx, actor, endpoint.Stream); err != nil {
		return err
	}
	if err := checkEndpoint(&endpoint); err != nil {
		return err
	}
	return d.steer(ctx, commandStep(actor, command), endpoint.Stream, func(now Settings) any {
		switch {
		case now.Endpoint == nil && endpoint.Kind == "", now.Endpoint != nil && *now.Endpoint == endpoint:
			return nil
		}
		return endpoint
	})
}

func checkEndpoint(e *journal.EndpointSet) error {
	switch e.Kind {
	case "":
		*e = journal.EndpointSet{Stream: e.Stream}
		return nil
	case journal.EndpointWebhook:
	default:
		return &EndpointError{"kind", "must be webhook, or empty to end the push"}
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return &EndpointError{"url", "must be a URL such as https://host.example/path"}
	case u.User != nil || u.Fragment != "":
		return &EndpointError{"url", "must have no user and no fragment"}
	case e.Secret == "":
		return &EndpointError{"secret", "must name the secret that signs"}
	case e.Signature != journal.SignatureHMAC && e.Signature != journal.SignatureEd25519:
		return &EndpointError{"signature", "must be v1 or v1a"}
	case e.Batch < 1 || e.Batch > MaxBatch:
		return &EndpointError{"batch", fmt.Sprintf("must be 1 to %d", MaxBatch)}
	}
	return nil
}

// commandStep is the step of a caller's command.
func commandStep(actor journal.Actor, command journal.CommandID) journal.Step {
	return journal.Step{Command: command, Origin: journal.Origin{Issuer: journal.IssuerAPI, Actor: actor.Kind}}
}

// steer appends to a stream what decide makes of its settings, if anything. Of two who steer at once one conflicts, and decides again.
func (d *Delivery) steer(ctx context.Context, step journal.Step, stream string, decide func(now Settings) any) error {
	if repeated, err := d.repeated(ctx, step.Command); err != nil || repeated {
		return err
	}
	aggregate := journal.StreamAggregate(stream)
	for range maxAttempts {
		now, err := d.settings(ctx, stream)
		if err != nil {
			return err
		}
		event := decide(now.Settings)
		if event == nil {
			return nil
		}
		step.Expect = []eventstore.Expect{{Aggregate: aggregate, Version: now.version}}
		step.Events = []journal.New{{Event: event, Aggregate: aggregate, Cause: eventstore.NoCause}}
		if _, err = d.journal.Append(ctx, step); !errors.Is(err, eventstore.ErrConflict) {
			return err
		}
	}
	return ErrBusy
}

// settingsAt are a stream's settings as of a version of its aggregate.
type settingsAt struct {
	Settings
	version int32
}

// settings reads on from what this process knows, which costs a query of a few records: a stream is looked at whenever something leaves. The
// first time it starts from the view, so that it need not read years of receipts.
func (d *Delivery) settings(ctx context.Context, stream string) (settingsAt, error) {
	d.mu.Lock()
	known, ok := d.steered[stream]
	d.mu.Unlock()
	if !ok {
		var err error
		if known, err = d.viewedSettings(ctx, stream); err != nil {
			return settingsAt{}, err
		}
	}
	recs, err := d.journal.Store().ReadAggregate(ctx, journal.StreamAggregate(stream), known.version+1, 0)
	if err != nil {
		return settingsAt{}, err
	}
	for i := range recs {
		known.version = recs[i].Version
		if !steers(recs[i].Type) {
			continue
		}
		entries, err := d.journal.Open(ctx, recs[i:i+1])
		if err != nil {
			return settingsAt{}, err
		}
		known.apply(entries[0].Event)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known.version >= d.steered[stream].version {
		d.steered[stream] = known
	}
	return known, nil
}

// paused is ErrPaused if a stream is. What this process remembers is enough to begin with: letOut has the last word.
func (d *Delivery) paused(ctx context.Context, stream string, remember bool) error {
	d.mu.Lock()
	known, ok := d.steered[stream]
	d.mu.Unlock()
	if !remember || !ok || known.Paused {
		var err error
		if known, err = d.settings(ctx, stream); err != nil {
			return err
		}
	}
	if known.Paused {
		return ErrPaused
	}
	return nil
}

// resumed waits until a stream is not paused.
func (d *Delivery) resumed(ctx context.Context, stream string) error {
	for {
		head, err := d.journal.Head(ctx) // before the look: what is appended after it can't be missed
		if err != nil {
			return err
		}
		if now, err := d.settings(ctx, stream); err != nil || !now.Paused {
			return err
		}
		if err := d.await(ctx, head.Position+1); err != nil {
			return err
		}
	}
}

// viewedSettings are a stream's settings as of the view, after catching up with the log.
func (d *Delivery) viewedSettings(ctx context.Context, stream string) (out settingsAt, err error) {
	if err := d.catchUpStreams(ctx); err != nil {
		return out, err
	}
	values, err := d.journal.Store().Get(ctx, streams{}.Name(), settingsKey(stream))
	if err != nil {
		return out, err
	}
	row, err := decodeSettings(values[0])
	if err != nil {
		return out, err
	}
	for _, position := range []int64{row.endpoint, row.pause} {
		if position == 0 {
			continue
		}
		entries, err := d.journal.Read(ctx, position)
		if err != nil {
			return out, err
		}
		out.apply(entries[0].Event)
	}
	out.version = row.version
	return out, nil
}

func steers(eventType string) bool {
	switch eventType {
	case journal.TypeStreamPaused, journal.TypeStreamResumed, journal.TypeEndpointSet:
		return true
	}
	return false
}

func (s *Settings) apply(event any) {
	switch event := event.(type) {
	case journal.StreamPaused:
		s.Paused, s.Why = true, event.Why
	case journal.StreamResumed:
		s.Paused, s.Why = false, ""
	case journal.EndpointSet:
		if s.Endpoint = nil; event.Kind != "" {
			s.Endpoint = &event
		}
	}
}
