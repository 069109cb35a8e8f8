package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// The codes of what can't be sent again.
const (
	codeNotParked  = "not-parked"
	codeReplay     = "replay"
	codeNothing    = "nothing-to-send"
	codeNoEndpoint = "no-endpoint"
	codeSynthetic  = "synthetic"
)

func (s *server) steerRoutes() {
	path := "/v1/streams/{stream}"
	codes := []string{codeUnknownStream, codeOthersStream}
	changing := slices.Concat(repeatCodes, codes)
	for _, one := range []struct {
		verb, summary, description string
		steer                      func(context.Context, journal.Actor, journal.CommandID, string) error
	}{
		{"pause", "Let nothing of a stream leave", "What had been let out before may still arrive for 10 s. Reads answer 409 `stream-paused`, and pushes wait; nothing is lost.", s.Delivery.Pause},
		{"resume", "End a pause", "Pushes go on where they were, also those that had stopped until a person looked.", s.Delivery.Resume},
	} {
		register(s, route{
			method: http.MethodPost, path: path + "/" + one.verb, id: one.verb + "Stream", tag: "streams", roles: streamOwners, status: http.StatusNoContent,
			summary: one.summary, description: one.description, codes: changing,
		}, func(ctx context.Context, in *endpointInput) (*struct{}, error) {
			command, err := repeatable(ctx, in.Key, "POST /v1/streams/"+in.Stream+"/"+one.verb, nil)
			if err != nil {
				return nil, err
			}
			return nil, one.steer(ctx, caller(ctx), command, in.Stream)
		})
	}
	register(s, route{
		method: http.MethodGet, path: path + "/undelivered", id: "undelivered", tag: "streams", roles: streamOwners,
		summary: "What an endpoint did not take",
		description: "`held` waits for its next attempt, or behind an earlier event about the same person; `parked` was given up after its last attempt, " +
			"until it is redriven. Neither shows what an event holds. `excerpt` is the start of what the endpoint answered, without anything that " +
			"was sent to it.",
		codes: codes,
	}, s.undelivered)
	register(s, route{
		method: http.MethodPost, path: path + "/redrive", id: "redrive", tag: "streams", roles: streamOwners, status: http.StatusNoContent,
		summary: "Try parked events again", description: "From a cursor to a cursor of the same lane, ends included: what of them is parked begins its attempts anew.",
		body: redriveBody{}, codes: append(changing, codeNotParked, codeUnknownCursor),
	}, s.redrive)
	register(s, route{
		method: http.MethodPost, path: path + "/replays", id: "replay", tag: "streams", roles: streamOwners,
		summary: "Send given events again, to the stream's endpoint or to its side topic",
		description: "Name one of `from` (a cursor; `to` ends it), `since` (a time) and `last` (so many of each lane). With `preview` nothing is sent, and the " +
			"answer counts what would be. Every event is judged again before it leaves: what may not leave any more goes as its placeholder, counted " +
			"in `recalled` of a preview. A stream that is only pulled needs no replay: read after an earlier cursor.",
		body: replayBody{}, codes: append(changing, codeReplay, codeNothing, codeNoEndpoint, codeUnknownCursor),
	}, s.replay)
	register(s, route{
		method: http.MethodPost, path: path + "/synthetic", id: "synthesize", tag: "streams", roles: streamOwners, status: http.StatusNoContent,
		summary: "Put events about nobody on a stream, to try things out",
		description: "They are of kind `synthetic` and of subjects that begin with `v0.`, numbered and sent among the others, in turn on the stream's lanes. " +
			"With a `type` they look like facts of it: the fields that the stream carries, with invented values.",
		body: syntheticBody{}, codes: append(changing, codeSynthetic),
	}, s.synthesize)
	register(s, route{
		method: http.MethodGet, path: path + "/replays", id: "replays", tag: "streams", roles: streamOwners,
		summary: "Replays to the side topic, and how far they are", description: "The oldest first.", codes: codes,
	}, s.replays)
}

// redriveBody is the body of redrive, for the document.
type redriveBody struct {
	_    struct{} `additionalProperties:"false"`
	From string   `json:"from" example:"1.0.41" doc:"cursor of the first event"`
	To   string   `json:"to,omitempty" example:"1.0.43" doc:"cursor of the last event, of the same lane; without it, the first alone"`
}

// replayBody is the body of replay, for the document.
type replayBody struct {
	_       struct{} `additionalProperties:"false"`
	From    string   `json:"from,omitempty" example:"1.0.41" doc:"cursor of the first event"`
	To      string   `json:"to,omitempty" example:"1.0.90" doc:"with from: cursor of the last event"`
	Since   string   `json:"since,omitempty" format:"date-time" doc:"events that were given out at or after it"`
	Last    int      `json:"last,omitempty" minimum:"1" doc:"so many of each lane"`
	Side    bool     `json:"side,omitempty" doc:"to the topic tellonce.<stream>.replay, which a consumer of its own can read beside the stream"`
	Preview bool     `json:"preview,omitempty" doc:"only count"`
}

// syntheticBody is the body of synthesize, for the document.
type syntheticBody struct {
	_     struct{} `additionalProperties:"false"`
	Count int      `json:"count,omitempty" minimum:"1" maximum:"1000" default:"1"`
	Type  string   `json:"type,omitempty" example:"address-changed" doc:"a type that the stream carries; without it tellonce.synthetic.v1"`
}

type (
	heldLine struct {
		Cursor   string     `json:"cursor" example:"1.0.44"`
		Attempts int        `json:"attempts" doc:"so far; 0: it waits behind another event, or for an endpoint that is down"`
		Next     *time.Time `json:"next,omitempty" doc:"not tried before"`
		Code     string     `json:"code,omitempty" example:"http-500" doc:"why the last attempt failed"`
		Excerpt  string     `json:"excerpt,omitempty" example:"upstream is busy"`
	}
	parkedLine struct {
		From     string `json:"from" example:"1.0.41"`
		To       string `json:"to" example:"1.0.41"`
		Attempts int    `json:"attempts" example:"10"`
		Code     string `json:"code" example:"http-400" doc:"why the last attempt failed"`
	}
	undeliveredOutput struct {
		Body struct {
			Held   []heldLine   `json:"held"`
			Parked []parkedLine `json:"parked"`
		}
	}
	partLine struct {
		From     string `json:"from" example:"1.0.41"`
		To       string `json:"to" example:"1.0.90"`
		Events   int64  `json:"events" example:"50"`
		Recalled *int64 `json:"recalled,omitempty" doc:"of a preview: so many of them may not leave any more"`
	}
	replayOutput struct {
		Body struct {
			Preview bool       `json:"preview"`
			Parts   []partLine `json:"parts" doc:"one of each lane"`
		}
	}
	replayLine struct {
		ID   string `json:"id" example:"4711" doc:"the value of the attribute replay of its events"`
		From string `json:"from" example:"1.0.41"`
		To   string `json:"to" example:"1.0.90"`
		Sent int64  `json:"sent" example:"50"`
		Done bool   `json:"done"`
	}
	replaysOutput struct {
		Body struct {
			Replays []replayLine `json:"replays"`
		}
	}
)

func (s *server) cursor(lane int, number int64) string {
	return delivery.Cursor{Generation: s.Journal.Genesis().Generation, Lane: lane, Number: number}.String()
}

// undelivered is GET /v1/streams/{stream}/undelivered.
func (s *server) undelivered(ctx context.Context, in *streamInput) (*undeliveredOutput, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	held, err := s.Delivery.Held(ctx, in.Stream)
	if err != nil {
		return nil, err
	}
	parked, err := s.Delivery.Parked(ctx, in.Stream)
	if err != nil {
		return nil, err
	}
	out := &undeliveredOutput{}
	out.Body.Held, out.Body.Parked = make([]heldLine, len(held)), make([]parkedLine, len(parked))
	for i, h := range held {
		out.Body.Held[i] = heldLine{Cursor: s.cursor(h.Lane, h.Number), Attempts: h.Attempts, Next: given(h.Next), Code: h.Code, Excerpt: h.Excerpt}
	}
	for i, p := range parked {
		out.Body.Parked[i] = parkedLine{From: s.cursor(p.Lane, p.From), To: s.cursor(p.Lane, p.To), Attempts: p.Attempts, Code: p.Code}
	}
	return out, nil
}

// cursorOf reads a member that is a cursor of this log; the zero one where it is left out.
func (s *server) cursorOf(body *object, name string, required bool) delivery.Cursor {
	text := body.text(name, required, func(text string) bool { _, err := delivery.ParseCursor(text); return err == nil }, "must be a cursor, such as 1.0.42")
	cursor, _ := delivery.ParseCursor(text)
	return cursor
}

// redrive is POST /v1/streams/{stream}/redrive.
func (s *server) redrive(ctx context.Context, in *endpointInput) (*struct{}, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	body, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	from := s.cursorOf(body, "from", true)
	to := s.cursorOf(body, "to", false)
	body.done()
	if err := body.err(); err != nil {
		return nil, err
	}
	if to == (delivery.Cursor{}) {
		to = from
	}
	if generation := s.Journal.Genesis().Generation; from.Generation != generation || to.Generation != generation || from.Lane != to.Lane {
		return nil, delivery.ErrUnknownCursor
	}
	command, err := repeatable(ctx, in.Key, "POST /v1/streams/"+in.Stream+"/redrive", body.members)
	if err != nil {
		return nil, err
	}
	return nil, s.Delivery.Redrive(ctx, caller(ctx), command, in.Stream, from.Lane, from.Number, to.Number)
}

// replay is POST /v1/streams/{stream}/replays.
func (s *server) replay(ctx context.Context, in *endpointInput) (*replayOutput, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	body, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	ask := delivery.ReplayAsk{From: s.cursorOf(body, "from", false), To: s.cursorOf(body, "to", false), Side: body.flag("side")}
	since := body.text("since", false, func(text string) bool { _, err := time.Parse(time.RFC3339, text); return err == nil },
		"must be a time, such as 2026-11-25T14:05:00Z")
	ask.Since, _ = time.Parse(time.RFC3339, since)
	if _, given := body.members["last"]; given {
		last, _ := body.whole("last", false, 1)
		ask.Last = int64(last)
	}
	preview := body.flag("preview")
	body.done()
	if err := body.err(); err != nil {
		return nil, err
	}
	out := &replayOutput{}
	var parts []delivery.ReplayPart
	if out.Body.Preview = preview; preview {
		parts, err = s.Delivery.PreviewReplay(ctx, caller(ctx), in.Stream, ask)
	} else {
		var command journal.CommandID
		if command, err = repeatable(ctx, in.Key, "POST /v1/streams/"+in.Stream+"/replays", body.members); err != nil {
			return nil, err
		}
		parts, err = s.Delivery.Replay(ctx, caller(ctx), command, in.Stream, ask)
	}
	if err != nil {
		return nil, err
	}
	out.Body.Parts = make([]partLine, len(parts))
	for i, p := range parts {
		out.Body.Parts[i] = partLine{From: s.cursor(p.Lane, p.From), To: s.cursor(p.Lane, p.To), Events: p.To - p.From + 1}
		if preview {
			out.Body.Parts[i].Recalled = &parts[i].Recalled
		}
	}
	return out, nil
}

// replays is GET /v1/streams/{stream}/replays.
func (s *server) replays(ctx context.Context, in *streamInput) (*replaysOutput, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	replays, err := s.Delivery.Replays(ctx, in.Stream)
	if err != nil {
		return nil, err
	}
	out := &replaysOutput{}
	out.Body.Replays = make([]replayLine, len(replays))
	for i, r := range replays {
		out.Body.Replays[i] = replayLine{
			ID: strconv.FormatInt(r.ID, 10), From: s.cursor(r.Lane, r.From), To: s.cursor(r.Lane, r.To), Sent: r.Last - r.From + 1, Done: r.Done(),
		}
	}
	return out, nil
}

// synthesize is POST /v1/streams/{stream}/synthetic.
func (s *server) synthesize(ctx context.Context, in *endpointInput) (*struct{}, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	body, err := s.parseBody(ctx)
	if err != nil {
		return nil, err
	}
	count, factType := 1, body.text("type", false, anyText, "")
	if _, given := body.members["count"]; given {
		count, _ = body.whole("count", false, 1)
	}
	body.done()
	if err := body.err(); err != nil {
		return nil, err
	}
	command, err := repeatable(ctx, in.Key, "POST /v1/streams/"+in.Stream+"/synthetic", body.members)
	if err != nil {
		return nil, err
	}
	return nil, s.Delivery.Synthesize(ctx, caller(ctx), command, in.Stream, count, factType)
}
