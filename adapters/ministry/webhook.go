package ministry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// ChallengeType is the type of the one event by which the hub asks whether an endpoint wants a stream: it is answered with the text that it
// holds, and belongs to no lane.
const ChallengeType = "tellonce.challenge.v1"

const (
	eventMedia  = "application/cloudevents+json"
	maxDelivery = 16 << 20        // bytes of a request
	handleTime  = 9 * time.Second // the hub hangs up after 10 s
)

// Delivered is what a request of the hub's holds.
type Delivered struct {
	Challenge string // of a challenge: answer with this text. Empty: there are events
	Stream    string
	Events    []Event
}

// ParseDelivery reads the body of a webhook's request, by its Content-Type: one event, a batch, or a challenge. Errors: ErrEvent.
func ParseDelivery(contentType string, body []byte) (Delivered, error) {
	media, _, _ := mime.ParseMediaType(contentType)
	var events []Event
	switch media {
	case eventMedia:
		if challenge, stream, ok := challengeOf(body); ok {
			return Delivered{Challenge: challenge, Stream: stream}, nil
		}
		e, err := ParseEvent(body)
		if err != nil {
			return Delivered{}, err
		}
		events = []Event{e}
	case batchMedia:
		var err error
		if events, err = ParseBatch(body); err != nil {
			return Delivered{}, err
		}
	default:
		return Delivered{}, ErrEvent
	}
	d := Delivered{Events: events}
	if len(events) > 0 {
		d.Stream = events[0].Stream
	}
	return d, nil
}

// challengeOf reads a challenge's text and the stream that it is about.
func challengeOf(body []byte) (text, stream string, ok bool) {
	var c struct {
		Type   string `json:"type"`
		Source string `json:"source"`
		Data   struct {
			Challenge string `json:"challenge"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &c) != nil || c.Type != ChallengeType || c.Data.Challenge == "" || len(c.Data.Challenge) > 256 {
		return "", "", false
	}
	_, stream, _ = cutLast(c.Source, "/streams/")
	return c.Data.Challenge, stream, true
}

// WebhookConfig of a Webhook.
type WebhookConfig struct {
	Verifier *Verifier        // must be set
	Clock    func() time.Time // nil: time.Now
}

// Webhook is the endpoint for the consumer's stream. It refuses what the hub has not signed (401), answers the challenge, and says 204 only once
// every event of the request is dealt with. The hub sends an event again after any other answer: 500 if the handler failed, 503 if events before
// it are missing (those about one person that are tried again or parked don't hold back what is about others; give the consumer a Client, which
// fetches them). Run sends the receipts.
func (c *Consumer) Webhook(config WebhookConfig) (http.Handler, error) {
	if config.Verifier == nil {
		return nil, errors.New("ministry: a webhook needs a verifier")
	}
	if config.Clock == nil {
		config.Clock = time.Now
	}
	return &webhook{consumer: c, config: config}, nil
}

type webhook struct {
	consumer *Consumer
	config   WebhookConfig
}

func (w *webhook) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		out.Header().Set("Allow", http.MethodPost)
		out.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxDelivery))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		out.WriteHeader(status)
		return
	}
	if err := w.config.Verifier.Verify(r.Header, body, w.config.Clock()); err != nil {
		out.WriteHeader(http.StatusUnauthorized)
		return
	}
	delivered, err := ParseDelivery(r.Header.Get("Content-Type"), body)
	switch {
	case err != nil:
		out.WriteHeader(http.StatusBadRequest)
	case delivered.Challenge != "":
		w.answerChallenge(out, delivered)
	default:
		w.deliver(r.Context(), out, delivered.Events)
	}
}

// answerChallenge says yes for the consumer's own stream alone.
func (w *webhook) answerChallenge(out http.ResponseWriter, d Delivered) {
	if d.Stream != w.consumer.config.Stream {
		out.WriteHeader(http.StatusForbidden)
		return
	}
	WriteChallenge(out, d.Challenge)
}

// WriteChallenge answers a challenge: with its text and nothing else.
func WriteChallenge(out http.ResponseWriter, challenge string) {
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(out, challenge)
}

func (w *webhook) deliver(ctx context.Context, out http.ResponseWriter, events []Event) {
	ctx, cancel := context.WithTimeout(ctx, handleTime)
	defer cancel()
	err := w.consumer.Deliver(ctx, events...)
	if err == nil {
		out.WriteHeader(http.StatusNoContent)
		return
	}
	w.consumer.config.Logger.WarnContext(ctx, "a webhook's events were not dealt with; they come again", "error", err)
	status := http.StatusInternalServerError
	if halts(err) || errors.Is(err, ErrMoved) || ctx.Err() != nil {
		status = http.StatusServiceUnavailable // it says nothing about the event itself
	}
	if wait := waitOf(err); wait > 0 {
		out.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	}
	out.WriteHeader(status)
}
