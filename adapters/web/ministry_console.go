package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// Console is what ministries' pages need beside the rooms. Each part may be left out: the pages then say who can help.
type Console struct {
	Endpoints Endpoints
	// Token gives a token of the actor's for the API, and until when it is valid. It exists in a sandbox only.
	Token func(actor journal.Actor) (token string, until time.Time, err error)
	// Kafka lists the brokers to which a stream is pushed; none: it is not.
	Kafka func(stream string) (brokers []string)
	// Loopback says that endpoints may be on this very machine, in a sandbox.
	Loopback bool
	// Stopped says whether an alert stands: the ministry owes a move, and makes none.
	Stopped func(stream string) bool
}

// Endpoints are where streams are pushed to. What a ministry verifies with is a text: whsec_… for v1, whpk_… for v1a.
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

// ownStream is the stream that the path names, if it is the ministry's own.
func (s *server) ownStream(r *request) (journal.StreamOpened, error) {
	stream, err := s.Delivery.Stream(r.Context(), r.PathValue("stream"))
	if err != nil {
		return stream, err
	}
	if stream.Ministry != r.actor.Ministry {
		if err := s.Audit.Refused(r.Context(), r.actor, r.route, http.StatusForbidden); err != nil {
			return stream, err
		}
		return stream, delivery.ErrNotYours
	}
	return stream, nil
}

// streamPath is the page of a stream, or one below it, without the language.
func streamPath(stream, below string) string { return "/streams/" + url.PathEscape(stream) + below }

// ministryCommand is the command of a ministry's form, under the id that the form brought: sent twice, it counts once.
func ministryCommand(r *request, content string) (journal.CommandID, error) {
	id, err := uuid.Parse(r.form("command"))
	if err != nil {
		return journal.CommandID{}, errForm
	}
	return journal.CommandID{Issuer: "pages/ministry/" + r.actor.Ministry, ID: id.String(), Content: []byte(content)}, nil
}

// address is where this hub's API is, as whoever reads the page can reach it: a sandbox is where they found it.
func (s *server) address(r *request) string {
	genesis := s.Journal.Genesis()
	if genesis.Mode != journal.ModeSandbox || !loopback(r.Host) {
		return genesis.BaseURL
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// shellLine is a command to copy. What names it for who can't see where it stands.
type shellLine struct{ ID, What, Text string }

// equivalent is what a button does, from a terminal: as its ministry over the API, and as an operator on the hub's machine.
type equivalent struct{ Curl, CLI string }

const bearer = `-H "Authorization: Bearer $(cat token)"` // #nosec G101 -- a line of a shell: the token stands in the reader's own file

// post is a curl line of the API, with a body if there is one.
func (s *server) post(r *request, stream, below, body string) string {
	line := `curl -sf -X POST ` + bearer + ` -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)"`
	if body != "" {
		line += ` -H "Content-Type: application/json" -d '` + body + `'`
	}
	return line + " " + s.api(r, stream, below)
}

// api is an address of the API, below a stream.
func (s *server) api(r *request, stream, below string) string {
	return s.address(r) + "/v1" + streamPath(stream, below)
}

func (s *server) cursor(lane int, number int64) string {
	return delivery.Cursor{Generation: s.Journal.Genesis().Generation, Lane: lane, Number: number}.String()
}

// age says how long ago something was, in its largest unit.
func (w *words) age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return w.say("ministry.age.seconds", "Count", int(d.Seconds()))
	case d < time.Hour:
		return w.say("ministry.age.minutes", "Count", int(d.Minutes()))
	case d < 48*time.Hour:
		return w.say("ministry.age.hours", "Count", int(d.Hours()))
	}
	return w.say("ministry.age.days", "Count", int(d.Hours()/24))
}

// wholeNumber reads a number of a query or a form within bounds.
func wholeNumber(text string, low, high int64) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= low && n <= high && strconv.FormatInt(n, 10) == text
}
