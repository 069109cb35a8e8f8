package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// streamLine is one stream of a ministry, in a list.
type streamLine struct {
	Stream, Title, Path string
	Tag, Tone           string
	Waiting, Oldest     string // events that wait for the ministry, and since when the oldest does; empty for none
}

// streamsPage lists the ministry's streams, and how each stands.
func (s *server) streamsPage(r *request) error {
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	var lines []streamLine
	for name, stream := range law.Streams {
		if stream.Ministry != r.actor.Ministry {
			continue
		}
		state, err := s.streamState(r, name)
		if err != nil {
			return err
		}
		line := streamLine{
			Stream: name, Title: s.streamTitle(r.words, law, name), Path: "/" + r.lang() + streamPath(name, ""), Tag: state.Tag, Tone: state.Tone,
		}
		if n := state.waiting(); n > 0 {
			line.Waiting, line.Oldest = r.words.number(int(n)), state.Oldest
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b streamLine) int { return strings.Compare(a.Stream, b.Stream) })
	return s.show(r, http.StatusOK, "streams", view{Title: r.say("streams.title"), Data: lines})
}

// laneState is how one lane stands, in words.
type laneState struct {
	Lane                                       int
	Path                                       string
	Last, Due, Received, Applied, Rejected     string
	Unanswered, DueAge, UnansweredAge, Settled string // ages and Settled are empty for none
	LastAnswer                                 time.Time
}

// streamState is how a stream stands.
type streamState struct {
	Tag, Tone        string
	Settings         delivery.Settings
	Alert            bool
	Lanes            []laneState
	Due, Unanswered  int64
	Oldest           string // age of the oldest of them
	Held             []delivery.HeldEvent
	Parked           []delivery.ParkedRange
	ParkedN          int64
	Kafka            bool
	LastAnswer       time.Time
	Given, Settled   int64
	Applied, Refused int64
}

func (s *streamState) waiting() int64 { return s.Due + s.Unanswered }

// streamState looks at a stream as whoever is on watch would.
func (s *server) streamState(r *request, stream string) (v streamState, err error) {
	if v.Settings, err = s.Delivery.Settings(r.Context(), stream); err != nil {
		return v, err
	}
	lags, err := s.Delivery.Lag(r.Context(), stream)
	if err != nil {
		return v, err
	}
	if v.Held, err = s.Delivery.Held(r.Context(), stream); err != nil {
		return v, err
	}
	if v.Parked, err = s.Delivery.Parked(r.Context(), stream); err != nil {
		return v, err
	}
	for _, p := range v.Parked {
		v.ParkedN += p.To - p.From + 1
	}
	now, oldest := s.Delivery.LagTime(), time.Duration(0)
	for i := range lags {
		l := &lags[i]
		v.Lanes = append(v.Lanes, s.laneState(r, l, now))
		v.Due, v.Unanswered, v.Given = v.Due+l.Due, v.Unanswered+l.Unanswered(), v.Given+l.Last
		v.Applied, v.Refused = v.Applied+l.Applied, v.Refused+l.Rejected
		oldest = max(oldest, delivery.AgeOf(l.DueSince, now), delivery.AgeOf(l.UnansweredSince, now))
		if l.SettledAt.After(v.LastAnswer) {
			v.LastAnswer = l.SettledAt
		}
	}
	v.Oldest = r.words.age(oldest)
	v.Alert = s.Console.Stopped != nil && s.Console.Stopped(stream)
	v.Kafka = s.Console.Kafka != nil && len(s.Console.Kafka(stream)) > 0
	v.Tag, v.Tone = r.say("ministry.state.flows"), "good"
	switch {
	case v.Settings.Paused:
		v.Tag, v.Tone = r.say("ministry.state.paused"), "none"
	case v.Alert:
		v.Tag, v.Tone = r.say("ministry.state.stopped"), "bad"
	case v.ParkedN > 0:
		v.Tag, v.Tone = r.say("ministry.state.parked"), "bad"
	case v.waiting() > 0:
		v.Tag, v.Tone = r.say("ministry.state.waiting"), "waiting"
	}
	return v, nil
}

func (s *server) laneState(r *request, l *delivery.Lag, now time.Time) laneState {
	number := func(n int64) string { return r.words.number(int(n)) }
	age := func(since time.Time) string {
		if since.IsZero() {
			return ""
		}
		return r.words.age(delivery.AgeOf(since, now))
	}
	v := laneState{
		Lane: l.Lane, Path: lanePath(r.lang(), l.Stream, l.Lane), Last: number(l.Last), Due: number(l.Due), Received: number(l.Received),
		Applied: number(l.Applied), Rejected: number(l.Rejected), Unanswered: number(l.Unanswered()), DueAge: age(l.DueSince),
		UnansweredAge: age(l.UnansweredSince), LastAnswer: l.SettledAt,
	}
	if l.Due >= delivery.MaxDue {
		v.Due = r.say("ministry.or-more", "Number", v.Due)
	}
	if l.Settled > 0 {
		v.Settled = s.cursor(l.Lane, l.Settled)
	}
	return v
}

// streamView is the page of one stream.
type streamView struct {
	streamState
	Stream, Title, Self string
	Gone                bool // it was paused since its endpoint is gone for good
	ParkedText          string
	HeldText            string
	Success             string // per cent of what was answered for good; empty before the first
	Lately              []lateLine
	DueN, UnansweredN   int
	Waits               bool
	Pause, Look         equivalent
	Command             string
	Notice              string
	Links               bool // an agreement of the stream asks for links
}

// lateLine is one thing that happened to a stream.
type lateLine struct {
	At   time.Time
	By   string
	Text string
}

// shownLately is how much of what happened lately a page lists.
const shownLately = 15

func (s *server) streamPage(r *request) error {
	stream, err := s.ownStream(r)
	if err != nil {
		return err
	}
	state, err := s.streamState(r, stream.Stream)
	if err != nil {
		return err
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	lately, err := s.Delivery.Lately(r.Context(), stream.Stream, shownLately)
	if err != nil {
		return err
	}
	v := streamView{
		streamState: state, Stream: stream.Stream, Title: s.streamTitle(r.words, law, stream.Stream), Command: newCommand(),
		Self: "/" + r.lang() + streamPath(stream.Stream, ""), Gone: state.Settings.Why == journal.PausedGone,
		ParkedText: r.say("ministry.parked.count", "Count", int(state.ParkedN)), HeldText: r.say("ministry.held.count", "Count", len(state.Held)),
		Links: asksForLinks(law, stream.Stream), DueN: int(state.Due), UnansweredN: int(state.Unanswered), Waits: state.waiting() > 0,
		Look: equivalent{
			Curl: "curl -sf " + bearer + " " + s.address(r) + "/v1/streams", CLI: "tellonce stream receipts " + stream.Stream,
		},
	}
	verb := "pause"
	if state.Settings.Paused {
		verb = "resume"
	}
	v.Pause = equivalent{Curl: s.post(r, v.Stream, "/"+verb, ""), CLI: "tellonce stream " + verb + " " + v.Stream}
	if answered := state.Applied + state.Refused; answered > 0 {
		v.Success = strconv.FormatInt(100*state.Applied/answered, 10) + noBreak + "%"
		if r.lang() == "en" {
			v.Success = strconv.FormatInt(100*state.Applied/answered, 10) + "%"
		}
	}
	for i := range lately {
		v.Lately = append(v.Lately, s.lateLine(r, &lately[i]))
	}
	switch done := r.URL.Query().Get("done"); done {
	case "paused", "resumed", "replayed":
		v.Notice = r.say("ministry.done." + done)
	}
	return s.show(r, http.StatusOK, "ministry-stream", view{
		Title: r.say("lane.title", "Stream", v.Stream), Back: "/" + r.lang() + "/streams", Data: v,
	})
}

func (s *server) lateLine(r *request, h *delivery.Happening) lateLine {
	line := lateLine{At: h.At, By: r.say("ministry.by.hub")}
	switch h.By {
	case journal.ActorMinistry:
		line.By = r.say("ministry.by.ministry")
	case journal.ActorOperator:
		line.By = r.say("ministry.by.operator")
	default:
	}
	span := func(lane int, from, to int64) string {
		if from == to {
			return s.cursor(lane, from)
		}
		return s.cursor(lane, from) + "–" + s.cursor(lane, to)
	}
	switch e := h.Event.(type) {
	case journal.StreamPaused:
		line.Text = r.say("ministry.lately.paused")
	case journal.StreamResumed:
		line.Text = r.say("ministry.lately.resumed")
	case journal.EndpointSet:
		if line.Text = r.say("ministry.lately.endpoint"); e.Kind == "" {
			line.Text = r.say("ministry.lately.endpoint-removed")
		}
	case journal.ReceiptsRecorded:
		line.Text = r.say("ministry.lately.receipt", "Events", span(e.Lane, e.From, e.To), "Status", r.say(statusKeys[journal.Status(e.Status)]))
	case journal.ReplayAsked:
		line.Text = r.say("ministry.lately.replay", "Events", span(e.Lane, e.From, e.To))
	case journal.SyntheticAsked:
		line.Text = r.say("ministry.lately.synthetic", "Count", e.Count)
	}
	return line
}

// streamPost pauses or resumes a stream.
func (s *server) streamPost(r *request) error {
	stream, err := s.ownStream(r)
	if err != nil {
		return err
	}
	do, done := r.form("do"), map[string]string{"pause": "paused", "resume": "resumed"}
	command, err := ministryCommand(r, do+" "+stream.Stream)
	if err != nil {
		return err
	}
	switch do {
	case "pause":
		err = s.Delivery.Pause(r.Context(), r.actor, command, stream.Stream)
	case "resume":
		err = s.Delivery.Resume(r.Context(), r.actor, command, stream.Stream)
	default:
		return errForm
	}
	if err != nil && !errors.Is(err, delivery.ErrPaused) {
		return err
	}
	return r.redirect(streamPath(stream.Stream, "") + "?done=" + done[do])
}
