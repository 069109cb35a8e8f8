package web

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/delivery"
)

// parkedGroup is what was given up for one reason.
type parkedGroup struct {
	Code, Why, Count string
	Ranges           []parkedLine
}

type parkedLine struct {
	From, To, Excerpt string
	Attempts          int
	Events            string
	Again             equivalent
}

type heldLine struct {
	Cursor, Why, Excerpt string
	Attempts             int
	Next                 time.Time
}

// shownHeld is how many events that wait for another attempt a page lists.
const shownHeld = 100

type undeliveredView struct {
	Stream, Notice, Command string
	Groups                  []parkedGroup
	Held                    []heldLine
	More                    string // how many more wait; empty for none
	All, Look               equivalent
	Paused, Endpoint        bool
}

// undeliveredPage lists what an endpoint did not take: what was given up, by reason, and what waits for another attempt. It shows nothing of
// what an event holds.
func (s *server) undeliveredPage(r *request) error {
	stream, err := s.ownStream(r)
	if err != nil {
		return err
	}
	state, err := s.streamState(r, stream.Stream)
	if err != nil {
		return err
	}
	v := undeliveredView{
		Stream: stream.Stream, Command: newCommand(), Groups: s.parkedGroups(r, stream.Stream, state.Parked), Paused: state.Settings.Paused,
		Endpoint: state.Settings.Endpoint != nil, All: equivalent{CLI: "tellonce stream redrive " + stream.Stream + " --all"},
		Look: equivalent{
			Curl: "curl -sf " + bearer + " " + s.api(r, stream.Stream, "/undelivered"), CLI: "tellonce stream undelivered " + stream.Stream,
		},
	}
	for _, h := range state.Held[:min(len(state.Held), shownHeld)] {
		line := heldLine{Cursor: s.cursor(h.Lane, h.Number), Attempts: h.Attempts, Next: h.Next, Excerpt: h.Excerpt, Why: r.say("ministry.held.behind")}
		if h.Code != "" {
			line.Why = codeWords(r.words, h.Code)
		}
		v.Held = append(v.Held, line)
	}
	if n := len(state.Held) - shownHeld; n > 0 {
		v.More = r.say("ministry.held.more", "Count", n)
	}
	switch r.URL.Query().Get("done") {
	case "redriven":
		v.Notice = r.say("ministry.redriven")
	case "nothing":
		v.Notice = r.say("ministry.redriven.nothing")
	}
	return s.show(r, http.StatusOK, "ministry-undelivered", view{
		Title: r.say("ministry.undelivered.title", "Stream", stream.Stream), Back: "/" + r.lang() + streamPath(stream.Stream, ""), Data: v,
	})
}

// parkedGroups sorts what was given up by why, what is most first.
func (s *server) parkedGroups(r *request, stream string, parked []delivery.ParkedRange) []parkedGroup {
	events, at := map[string]int64{}, map[string]*parkedGroup{}
	for _, p := range parked {
		group := at[p.Code]
		if group == nil {
			group = &parkedGroup{Code: p.Code, Why: codeWords(r.words, p.Code)}
			at[p.Code] = group
		}
		from, to := s.cursor(p.Lane, p.From), s.cursor(p.Lane, p.To)
		n := p.To - p.From + 1
		events[p.Code] += n
		group.Ranges = append(group.Ranges, parkedLine{
			From: from, To: to, Attempts: p.Attempts, Excerpt: p.Excerpt, Events: r.words.number(int(n)),
			Again: equivalent{
				Curl: s.post(r, stream, "/redrive", `{"from":"`+from+`","to":"`+to+`"}`), CLI: "tellonce stream redrive " + stream + " " + from + ".." + to,
			},
		})
	}
	out := make([]parkedGroup, 0, len(at))
	for code, group := range at {
		group.Count = r.say("ministry.events", "Count", int(events[code]))
		out = append(out, *group)
	}
	slices.SortFunc(out, func(a, b parkedGroup) int {
		return cmp.Or(cmp.Compare(events[b.Code], events[a.Code]), cmp.Compare(a.Code, b.Code))
	})
	return out
}

// undeliveredPost tries parked events again: a range, or all. All of them are as many commands as there are ranges, each of which counts once.
func (s *server) undeliveredPost(r *request) error {
	stream, err := s.ownStream(r)
	if err != nil {
		return err
	}
	var ranges []delivery.ParkedRange
	switch r.form("do") {
	case "all":
		if ranges, err = s.Delivery.Parked(r.Context(), stream.Stream); err != nil {
			return err
		}
	case "one":
		from, to, ok := s.cursors(r.form("from"), r.form("to"))
		if !ok {
			return errForm
		}
		ranges = []delivery.ParkedRange{{Lane: from.Lane, From: from.Number, To: to.Number}}
	default:
		return errForm
	}
	done := "nothing"
	for _, p := range ranges {
		command, err := ministryCommand(r, "redrive "+s.cursor(p.Lane, p.From)+" "+s.cursor(p.Lane, p.To))
		if err != nil {
			return err
		}
		command.ID += "/" + s.cursor(p.Lane, p.From)
		err = s.Delivery.Redrive(r.Context(), r.actor, command, stream.Stream, p.Lane, p.From, p.To)
		switch {
		case err == nil:
			done = "redriven"
		case !errors.Is(err, delivery.ErrNotParked): // somebody else was first
			return err
		}
	}
	return r.redirect(streamPath(stream.Stream, "/undelivered") + "?done=" + done)
}

// cursors reads two cursors of this log and of one lane, in order.
func (s *server) cursors(first, last string) (from, to delivery.Cursor, ok bool) {
	from, err1 := delivery.ParseCursor(first)
	to, err2 := delivery.ParseCursor(last)
	generation := s.Journal.Genesis().Generation
	ok = errors.Join(err1, err2) == nil && from.Generation == generation && to.Generation == generation && from.Lane == to.Lane && from.Number <= to.Number
	return from, to, ok
}
