package ministry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
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

// First is the cursor of the first event; empty for none.
func (d Delivered) First() string {
	if len(d.Events) == 0 {
		return ""
	}
	return d.Events[0].Cursor.String()
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

// challengeText is all that is ever echoed.
var challengeText = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)

// challengeOf reads a challenge's text and the stream that it is about.
func challengeOf(body []byte) (text, stream string, ok bool) {
	var c struct {
		Type   string `json:"type"`
		Source string `json:"source"`
		Data   struct {
			Challenge string `json:"challenge"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &c) != nil || c.Type != ChallengeType || !challengeText.MatchString(c.Data.Challenge) {
		return "", "", false
	}
	_, stream, _ = cutLast(c.Source, "/streams/")
	return c.Data.Challenge, stream, true
}

// WebhookConfig of a Webhook.
type WebhookConfig struct {
	// Secrets are what the hub gave out for the endpoint; see NewVerifier. They are asked for at each request, so one may be replaced while the
	// program runs. While there is none, only challenges are answered. Must be set.
	Secrets func() ([]string, error)
	Clock   func() time.Time // nil: time.Now
}

// SecretsFile reads secrets from a file, one a line, anew each time. A file that is not there holds none yet.
func SecretsFile(path string) func() ([]string, error) {
	return func() ([]string, error) {
		text, err := os.ReadFile(path) // #nosec G304 -- the caller's own file
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("ministry: the webhook's secrets can't be read: %w", err)
		}
		return strings.Fields(string(text)), nil
	}
}

// Webhook is the endpoint for the consumer's stream. It answers the hub's challenge, whose secret nobody can have yet; everything else must be
// signed (401). It says 204 only once every event of the request is dealt with. After any other answer the hub sends them again: 500 if the
// handler failed, 503 if events before them are missing. The hub lets what it tries again or has parked hold back only what is about the same
// person, so there will be holes: give the consumer a Client, which fetches what is missing. Run sends the receipts.
func (c *Consumer) Webhook(config WebhookConfig) (http.Handler, error) {
	if config.Secrets == nil {
		return nil, errors.New("ministry: a webhook needs secrets")
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
	body, status := ReadDelivery(out, r)
	if status != 0 {
		out.WriteHeader(status)
		return
	}
	delivered, err := ParseDelivery(r.Header.Get("Content-Type"), body)
	if err == nil && delivered.Challenge != "" {
		w.answerChallenge(out, delivered)
		return
	}
	switch refused := w.verify(r, body); {
	case refused != 0:
		out.WriteHeader(refused)
	case err != nil:
		out.WriteHeader(http.StatusBadRequest)
	default:
		w.deliver(r.Context(), out, delivered.Events)
	}
}

// ReadDelivery reads the body of a webhook's request. The status is 0, or that of a request that can't be one of the hub's: not POST, too large,
// cut off.
func ReadDelivery(out http.ResponseWriter, r *http.Request) (body []byte, status int) {
	if r.Method != http.MethodPost {
		out.Header().Set("Allow", http.MethodPost)
		return nil, http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxDelivery))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, http.StatusBadRequest
	}
	return body, 0
}

// verify is the status of a request that the hub did not sign; 0 for one that it did.
func (w *webhook) verify(r *http.Request, body []byte) int {
	secrets, err := w.config.Secrets()
	if err == nil && len(secrets) == 0 {
		return http.StatusUnauthorized
	}
	var v *Verifier
	if err == nil {
		v, err = NewVerifier(secrets...)
	}
	if err != nil {
		w.consumer.config.Logger.ErrorContext(r.Context(), "a webhook's request can't be verified", "error", err)
		return http.StatusServiceUnavailable
	}
	if v.Verify(r.Header, body, w.config.Clock()) != nil {
		return http.StatusUnauthorized
	}
	return 0
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
