package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

func lanePath(lang, stream string, lane int) string {
	return "/" + lang + "/streams/" + url.PathEscape(stream) + "/" + strconv.Itoa(lane)
}

// streamTitle is what a stream is for: the titles of its agreements in force.
func (s *server) streamTitle(w *words, law *journal.Law, stream string) string {
	var titles []string
	for _, a := range law.Book.Approved() {
		if a.Stream == stream {
			titles = append(titles, w.in(a.Title))
		}
	}
	return w.list(titles)
}

// eventLine is one numbered event, as its ministry reads it.
type eventLine struct {
	Cursor    string
	What      string
	Time      time.Time
	Effective string
	Subject   string // shortened
	Recalled  bool
	Tag, Tone string
	Open      bool   // the ministry has not answered for good
	Whole     string // the event as a pull would give it
}

type laneView struct {
	Stream, Title string
	Lane, Lanes   int
	Last          string
	Events        []eventLine
	From, To      string // cursors of what is listed
	Open          bool   // some of it has no final answer
	Notice        string
}

const (
	// shownEvents is how many of the latest given events the page lists; readEvents how many new ones it reads at once.
	shownEvents = 20
	readEvents  = 100
)

// lane is the lane that the path names, if it is the ministry's own.
func (s *server) lane(r *request) (delivery.LaneStatus, error) {
	stream, err := s.ownStream(r)
	if err != nil {
		return delivery.LaneStatus{}, err
	}
	status, err := s.Delivery.Status(r.Context())
	if err != nil {
		return delivery.LaneStatus{}, err
	}
	for _, lane := range status {
		if lane.Stream == stream.Stream && strconv.Itoa(lane.Lane) == r.PathValue("lane") {
			return lane, nil
		}
	}
	return delivery.LaneStatus{}, delivery.ErrUnknownLane
}

// lanePage lists the latest given events. They leave the hub again, so this is a redelivery as any other: on the log first, and judged by
// the law of now.
func (s *server) lanePage(r *request) error {
	lane, err := s.lane(r)
	if err != nil {
		return err
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return err
	}
	v := laneView{
		Stream: lane.Stream, Title: s.streamTitle(r.words, law, lane.Stream), Lane: lane.Lane, Lanes: law.Streams[lane.Stream].Lanes,
		Last: r.words.number(int(lane.Last)), Notice: notice(r),
	}
	if lane.Last > 0 {
		page, err := s.Delivery.Next(r.Context(), lane.Stream, lane.Lane, max(lane.Last-shownEvents, 0), shownEvents, 0)
		if err != nil {
			return err
		}
		if err := s.listEvents(r, &v, lane, page.Messages); err != nil {
			return err
		}
	}
	return s.show(r, http.StatusOK, "lane", view{
		Title: r.say("ministry.lane.title", "Stream", lane.Stream), Back: "/" + r.lang() + streamPath(lane.Stream, ""), Data: v,
	})
}

// notice says what the button did that led here.
func notice(r *request) string {
	query := r.URL.Query()
	if n, err := strconv.Atoi(query.Get("read")); err == nil && n >= 0 && n <= readEvents {
		if n == 0 {
			return r.say("lane.read.none")
		}
		return r.say("lane.read.some", "Count", n)
	}
	if n, err := strconv.Atoi(query.Get("applied")); err == nil && n > 0 && n <= shownEvents {
		return r.say("lane.applied", "Count", n)
	}
	return ""
}

func (s *server) listEvents(r *request, v *laneView, lane delivery.LaneStatus, messages []delivery.Message) error {
	trail := journal.NewTrail(s.Journal)
	for i := len(messages) - 1; i >= 0; i-- { // the newest first
		m := &messages[i]
		status, _, err := trail.Answer(r.Context(), lane.Stream, lane.Lane, m.Cursor.Number)
		if err != nil {
			return err
		}
		e := s.eventLine(r.words, m)
		e.Tag, e.Tone = r.say(statusKeys[status]), statusTones[status]
		if status == journal.StatusSent {
			e.Tag = r.say("lane.unanswered")
		}
		e.Open = status == journal.StatusSent || status == journal.StatusReceived
		v.Open = v.Open || e.Open
		v.Events = append(v.Events, e)
	}
	if len(messages) > 0 {
		v.From, v.To = messages[0].Cursor.String(), messages[len(messages)-1].Cursor.String()
	}
	return nil
}

// eventKind says what an event is: what it is about, or what it says of that without values.
func eventKind(w *words, kind, what string) string {
	switch kind {
	case delivery.KindSnapshot:
		return w.say("lane.event.snapshot", "What", what)
	case delivery.KindCorrection:
		return w.say("lane.event.correction", "What", what)
	case delivery.KindRetracted:
		return w.say("lane.event.retracted")
	case delivery.KindEnded:
		return w.say("lane.event.ended")
	case delivery.KindLeftScope:
		return w.say("lane.event.left")
	case delivery.KindErased:
		return w.say("lane.event.erased")
	case delivery.KindRekeyed:
		return w.say("lane.event.rekeyed")
	case delivery.KindRecalled:
		return w.say("lane.recalled")
	}
	return what
}

func (s *server) eventLine(w *words, m *delivery.Message) eventLine {
	e := eventLine{Cursor: m.Cursor.String(), Recalled: m.Recalled(), Whole: indented(m.Structured())}
	for _, a := range m.Attributes {
		switch a.Name {
		case "type": // tellonce.<fact type>.v<schema>
			name := strings.TrimPrefix(a.Value, "tellonce.")
			if at := strings.LastIndex(name, ".v"); at > 0 {
				name = name[:at]
			}
			e.What = s.typeLabel(w, name)
		case "kind":
			e.What = eventKind(w, a.Value, e.What)
		case "time":
			e.Time, _ = time.Parse(time.RFC3339, a.Value)
		case "effective":
			e.Effective = a.Value
		case "subject":
			e.Subject = shortened(a.Value)
		}
	}
	return e
}

// shortened is the beginning of a pairwise id: enough to tell two people of one page apart.
func shortened(subject string) string {
	const length = 11 // "v1." and eight characters
	if len(subject) <= length {
		return subject
	}
	return subject[:length] + "…"
}

// indented is JSON for people; what is none stays as it is.
func indented(text []byte) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(json.RawMessage(text)); err != nil {
		return string(text)
	}
	return strings.TrimSpace(b.String())
}

// lanePost reads new events, or records that listed ones were applied.
func (s *server) lanePost(r *request) error {
	lane, err := s.lane(r)
	if err != nil {
		return err
	}
	path := strings.TrimPrefix(lanePath(r.lang(), lane.Stream, lane.Lane), "/"+r.lang())
	switch r.form("do") {
	case "read":
		page, err := s.Delivery.Next(r.Context(), lane.Stream, lane.Lane, lane.Last, readEvents, 0)
		if err != nil {
			return err
		}
		return r.redirect(path + "?read=" + strconv.Itoa(len(page.Messages)))
	case "apply":
		from, err := delivery.ParseCursor(r.form("from"))
		if err != nil {
			return errForm
		}
		to, err := delivery.ParseCursor(r.form("to"))
		if err != nil || to.Number < from.Number || to.Number-from.Number >= shownEvents {
			return errForm
		}
		receipt := delivery.Receipt{From: from.String(), To: to.String(), Status: delivery.Applied}
		if err := s.Delivery.Record(r.Context(), r.actor, journal.CommandID{}, lane.Stream, []delivery.Receipt{receipt}); err != nil {
			return recordError(err)
		}
		return r.redirect(path + "?applied=" + strconv.FormatInt(to.Number-from.Number+1, 10))
	}
	return errForm
}

// recordError: a receipt that the form made up is a form that can't be read.
func recordError(err error) error {
	var wrong *delivery.ReceiptError
	if errors.As(err, &wrong) {
		return errForm
	}
	return err
}
