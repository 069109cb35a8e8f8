package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/delivery"
)

// replayView is the form of a replay, and what it would send.
type replayView struct {
	Stream, How, Command  string
	From, To, Since, Last textField
	Side                  bool
	Endpoint, Kafka       bool // where it can go

	Preview  string // "would send 1,204 events, 3 recalled"; empty before
	Parts    []replayPartLine
	Fields   map[string]string // of the confirmation
	Lines    equivalent
	Replays  []replayLine
	PullOnly bool
}

type replayPartLine struct{ From, To, Events, Recalled string }

type replayLine struct {
	ID, From, To, Sent string
	Done               bool
}

// replayFields are the form's, in their order. None of them is personal: they may stand in an address.
var replayFields = []string{"how", "from", "to", "since", "last", "where"}

// replayPage is the form; with an answer in the query it counts what would be sent, and changes nothing.
func (s *server) replayPage(r *request) error {
	query := r.URL.Query()
	v, err := s.replayView(r, query)
	if err != nil {
		return err
	}
	if query.Get("how") == "" {
		return s.showReplay(r, http.StatusOK, v, nil)
	}
	ask, problems := s.replayAsk(r, query)
	if len(problems) > 0 {
		return s.showReplay(r, http.StatusUnprocessableEntity, v, problems)
	}
	parts, err := s.Delivery.PreviewReplay(r.Context(), r.actor, v.Stream, ask)
	if wrong := replayProblem(r, err); wrong != nil {
		return s.showReplay(r, http.StatusUnprocessableEntity, v, []problem{*wrong})
	}
	if err != nil {
		return err
	}
	s.count(r, &v, parts)
	v.Fields, v.Lines = map[string]string{}, s.replayLines(r, v.Stream, query, ask)
	for _, name := range replayFields {
		if value := query.Get(name); value != "" {
			v.Fields[name] = value
		}
	}
	return s.showReplay(r, http.StatusOK, v, nil)
}

func (s *server) showReplay(r *request, status int, v replayView, problems []problem) error {
	page := view{Title: r.say("ministry.replay.title", "Stream", v.Stream), Back: "/" + r.lang() + streamPath(v.Stream, ""), Problems: problems}
	for _, field := range []*textField{&v.From, &v.To, &v.Since, &v.Last} {
		field.Error = page.Of(field.ID)
	}
	page.Data = v
	return s.show(r, status, "ministry-replay", page)
}

func (s *server) replayView(r *request, typed url.Values) (replayView, error) {
	stream, err := s.ownStream(r)
	if err != nil {
		return replayView{}, err
	}
	settings, err := s.Delivery.Settings(r.Context(), stream.Stream)
	if err != nil {
		return replayView{}, err
	}
	field := func(id, size, hint string) textField {
		return textField{
			ID: id, Label: r.say("ministry.replay.field." + id), Hint: hint, Value: strings.TrimSpace(typed.Get(id)),
			Size: size, Optional: true, Max: 40,
		}
	}
	v := replayView{
		Stream: stream.Stream, How: typed.Get("how"), Command: newCommand(), From: field("from", "short", r.say("ministry.example", "Example", "1.0.41")), To: field("to", "short", r.say("ministry.replay.to-hint")),
		Since: field("since", "medium", r.say("ministry.replay.since-hint", "Example", "2026-11-25 14:05")),
		Last:  field("last", "short", r.say("ministry.example", "Example", "100")), Endpoint: settings.Endpoint != nil,
		Kafka: s.Console.Kafka != nil && len(s.Console.Kafka(stream.Stream)) > 0,
	}
	v.PullOnly = !v.Endpoint && !v.Kafka
	v.Side = typed.Get("where") == "side" || !v.Endpoint
	if !contains([]string{"cursor", "time", "count"}, v.How) {
		v.How = "cursor"
	}
	replays, err := s.Delivery.Replays(r.Context(), stream.Stream)
	if err != nil {
		return v, err
	}
	for i := range replays {
		p := &replays[i]
		v.Replays = append(v.Replays, replayLine{
			ID: p.Name(), From: s.cursor(p.Lane, p.From), To: s.cursor(p.Lane, p.To), Done: p.Done(),
			Sent: r.say("ministry.replay.sent", "Sent", r.words.number(int(p.Last-p.From+1)), "All", r.words.number(int(p.To-p.From+1))),
		})
	}
	return v, nil
}

// replayTime is how a time is typed, in the log's time zone.
const replayTime = "2006-01-02 15:04"

// replayAsk reads the form.
func (s *server) replayAsk(r *request, typed url.Values) (ask delivery.ReplayAsk, problems []problem) {
	text := func(name string) string { return strings.TrimSpace(typed.Get(name)) }
	wrong := func(field string) {
		problems = append(problems, problem{field, r.say("ministry.replay.error." + field)})
	}
	ask.Side = typed.Get("where") == "side"
	if ask.Side && (s.Console.Kafka == nil || len(s.Console.Kafka(r.PathValue("stream"))) == 0) { // nobody would ever carry it
		problems = append(problems, problem{"", r.say("ministry.try.kafka.none")})
	}
	var err error
	switch typed.Get("how") {
	case "cursor":
		if ask.From, err = delivery.ParseCursor(text("from")); err != nil || ask.From.Number < 1 {
			wrong("from")
		}
		if text("to") != "" {
			if _, to, ok := s.cursors(text("from"), text("to")); ok {
				ask.To = to
			} else if len(problems) == 0 {
				wrong("to")
			}
		}
	case "time":
		if ask.Since, err = time.ParseInLocation(replayTime, text("since"), s.zone); err != nil {
			wrong("since")
		}
	case "count":
		var ok bool
		if ask.Last, ok = wholeNumber(text("last"), 1, 1_000_000); !ok {
			wrong("last")
		}
	default:
		wrong("how")
	}
	return ask, problems
}

// replayProblem is a refusal of the rules, at its field.
func replayProblem(r *request, err error) *problem {
	switch {
	case errors.Is(err, delivery.ErrUnknownCursor):
		return &problem{"from", r.say("ministry.replay.error.unknown")}
	case errors.Is(err, delivery.ErrNothing):
		return &problem{"", r.say("ministry.replay.error.nothing")}
	case errors.Is(err, delivery.ErrNoEndpoint):
		return &problem{"", r.say("ministry.replay.error.no-endpoint")}
	}
	return nil
}

// count says what would be sent.
func (s *server) count(r *request, v *replayView, parts []delivery.ReplayPart) {
	var events, recalled int64
	for _, p := range parts {
		n := p.To - p.From + 1
		events, recalled = events+n, recalled+p.Recalled
		v.Parts = append(v.Parts, replayPartLine{
			From: s.cursor(p.Lane, p.From), To: s.cursor(p.Lane, p.To), Events: r.words.number(int(n)), Recalled: r.words.number(int(p.Recalled)),
		})
	}
	v.Preview = r.say("ministry.replay.would", "Count", int(events), "Recalled", r.words.number(int(recalled)))
}

// replayLines are the same replay from a terminal. They are made of what was read, not of what was typed.
func (s *server) replayLines(r *request, stream string, typed url.Values, ask delivery.ReplayAsk) equivalent {
	body, flags := "", ""
	switch typed.Get("how") {
	case "cursor":
		body, flags = `"from":"`+ask.From.String()+`"`, " --from "+ask.From.String()
		if ask.To != (delivery.Cursor{}) {
			body, flags = body+`,"to":"`+ask.To.String()+`"`, flags+" --to "+ask.To.String()
		}
	case "time":
		body, flags = `"since":"`+ask.Since.UTC().Format(time.RFC3339)+`"`, " --since "+ask.Since.UTC().Format(time.RFC3339)
	default:
		body, flags = `"last":`+strconv.FormatInt(ask.Last, 10), " --last "+strconv.FormatInt(ask.Last, 10)
	}
	if ask.Side {
		body, flags = body+`,"side":true`, flags+" --side"
	}
	return equivalent{Curl: s.post(r, stream, "/replays", "{"+body+"}"), CLI: "tellonce stream replay " + stream + flags + " --yes"}
}

// replayPost sends what the preview counted.
func (s *server) replayPost(r *request) error {
	v, err := s.replayView(r, r.PostForm)
	if err != nil {
		return err
	}
	ask, problems := s.replayAsk(r, r.PostForm)
	content := ""
	for _, name := range replayFields {
		content += r.form(name) + "\n"
	}
	command, err := ministryCommand(r, "replay "+v.Stream+"\n"+content)
	if err != nil || len(problems) > 0 {
		return errForm
	}
	_, err = s.Delivery.Replay(r.Context(), r.actor, command, v.Stream, ask)
	if wrong := replayProblem(r, err); wrong != nil {
		return s.showReplay(r, http.StatusUnprocessableEntity, v, []problem{*wrong})
	}
	if err != nil {
		return err
	}
	return r.redirect(streamPath(v.Stream, "") + "?done=replayed")
}
