package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// The ways to take a stream. They stand in paths.
const (
	wayPull    = "pull"
	wayWebhook = "webhook"
	wayKafka   = "kafka"
)

var ways = []string{wayPull, wayWebhook, wayKafka}

// tryView is the page on which a ministry's developer gets a first event.
type tryView struct {
	Stream, Way, Self string
	Paused            bool
	Ways              []string
	Address           string // of the hub

	CanToken  bool
	Token     *shellLine // shown this once
	Until     time.Time
	IssueLine shellLine

	Push    tryPush
	Brokers bool
	Lines   map[string]shellLine

	Command string // of the forms
	Last    int64  // the last number of lane 0
	Asked   bool
	Send    equivalent
	Live    string // where the page's lists come from
	Trial   trialView
}

// tryPush is what the page about a webhook has beside.
type tryPush struct {
	Can      bool // endpoints can be set here
	Loopback bool
	Endpoint *journal.EndpointSet
	URL      string     // as typed
	Detail   string     // of what is wrong with it, in English
	Save     *shellLine // the secret, shown this once
	Set      equivalent
}

// trialView is how far the synthetic event is; it is what keeps itself up to date.
type trialView struct {
	Way                  string
	Cursor               string
	Given, Over          bool
	GivenAt, AnsweredAt  time.Time
	Apply                shellLine
	Attempts             int
	Code, Fault, Excerpt string
}

// tryChoice is where a ministry chooses the way.
func (s *server) tryChoice(r *request) error {
	stream, err := s.ownStream(r)
	if err != nil {
		return err
	}
	return s.show(r, http.StatusOK, "ministry-try-choice", view{
		Title: r.say("ministry.try.title", "Stream", stream.Stream), Back: "/" + r.lang() + streamPath(stream.Stream, ""),
		Data: tryView{Stream: stream.Stream, Ways: ways, Self: streamPath(stream.Stream, "/try")},
	})
}

// tryPage is the way that the path names, step by step. after, of the query, is the last number before an event was asked for.
func (s *server) tryPage(r *request) error {
	v, err := s.tryView(r)
	if err != nil {
		return err
	}
	return s.showTry(r, http.StatusOK, v, nil)
}

func (s *server) showTry(r *request, status int, v tryView, problems []problem) error {
	return s.show(r, status, "ministry-try", view{
		Title: r.say("ministry.try-title."+v.Way, "Stream", v.Stream), Back: "/" + r.lang() + streamPath(v.Stream, "/try"), Problems: problems, Data: v,
	})
}

func (s *server) tryView(r *request) (tryView, error) {
	stream, err := s.ownStream(r)
	if err != nil {
		return tryView{}, err
	}
	way := r.PathValue("way")
	if !contains(ways, way) {
		return tryView{}, errNoPage
	}
	settings, err := s.Delivery.Settings(r.Context(), stream.Stream)
	if err != nil {
		return tryView{}, err
	}
	lags, err := s.Delivery.Lag(r.Context(), stream.Stream)
	if err != nil {
		return tryView{}, err
	}
	name := stream.Stream
	path := streamPath(name, "/try/"+way)
	v := tryView{
		Stream: name, Way: way, Self: "/" + r.lang() + path, Paused: settings.Paused, Address: s.address(r), CanToken: s.Console.Token != nil,
		IssueLine: shellLine{"issue", r.say("ministry.line.token"), "tellonce token issue --role ministry --ministry " + r.actor.Ministry},
		Command:   newCommand(), Last: lags[0].Last,
		Send: equivalent{Curl: s.post(r, name, "/synthetic", `{"count":1}`), CLI: "tellonce stream synth " + name},
		Push: tryPush{Can: s.Console.Endpoints != nil, Loopback: s.Console.Loopback, Endpoint: settings.Endpoint},
	}
	after := v.Last
	if text := r.URL.Query().Get("after"); text != "" {
		if after, v.Asked = wholeNumber(text, 0, 1<<53); !v.Asked {
			return v, errNoPage
		}
		query := "?" + url.Values{"after": {text}}.Encode()
		v.Live, v.Self = v.Self+"/live"+query, v.Self+query
		if v.Trial, err = s.trial(r, name, way, after); err != nil {
			return v, err
		}
	}
	v.Push.Set = s.setLines(r, name)
	v.Lines, v.Brokers = s.tryLines(r, name, after)
	return v, nil
}

// tryLines are the commands of all ways, by what they do.
func (s *server) tryLines(r *request, stream string, after int64) (lines map[string]shellLine, brokers bool) {
	query := "?wait=20s"
	if after > 0 {
		query = "?after=" + s.cursor(0, after) + "&wait=20s"
	}
	lines = map[string]shellLine{}
	for name, text := range map[string]string{
		"fetch":  `curl -sf ` + bearer + ` "` + s.api(r, stream, "/events") + query + `"`,
		"listen": "tellonce stream listen --addr 127.0.0.1:0 --secret-file secret",
	} {
		lines[name] = shellLine{name, r.say("ministry.line." + name), text}
	}
	var hosts []string
	if s.Console.Kafka != nil {
		hosts = s.Console.Kafka(stream)
	}
	if len(hosts) == 0 {
		return lines, false
	}
	lines["consume"] = shellLine{"consume", r.say("ministry.line.consume"),
		"kcat -b " + strings.Join(hosts, ",") + " -t tellonce." + stream + " -p 0 -C -o end -f '%h\\n%s\\n'"}
	return lines, true
}

// trial is how far the event is that was asked for after a number of lane 0.
func (s *server) trial(r *request, stream, way string, after int64) (trialView, error) {
	t, err := s.Delivery.Trial(r.Context(), stream, 0, after)
	v := trialView{Way: way}
	if err != nil || t.Cursor == (delivery.Cursor{}) {
		return v, err
	}
	v.Given, v.Cursor, v.GivenAt, v.AnsweredAt = true, t.Cursor.String(), t.GivenAt, t.AnsweredAt
	v.Over = t.Answer != journal.StatusSent
	body := `[{"from":"` + v.Cursor + `","to":"` + v.Cursor + `","status":"applied"}]`
	v.Apply = shellLine{"apply", r.say("ministry.line.apply"), s.post(r, stream, "/receipts", body)}
	if way == wayKafka && s.Console.Kafka != nil {
		v.Apply.Text = `echo '` + body + `' | kcat -b ` + strings.Join(s.Console.Kafka(stream), ",") + " -t tellonce." + stream + ".receipts -P"
	}
	if way == wayWebhook {
		v.Over = t.Taken
		v.Attempts, v.Code, v.Excerpt = t.Attempts, t.Code, t.Excerpt
		if t.Code != "" && !t.Taken {
			v.Fault = codeWords(r.words, t.Code)
		}
	}
	return v, nil
}

// tryLive keeps the page up to date. What an endpoint answers does not stand on the log, so it is looked for every second.
func (s *server) tryLive(r *request) error {
	stream, err := s.ownStream(r)
	if err != nil {
		return err
	}
	after, ok := wholeNumber(r.URL.Query().Get("after"), 0, 1<<53)
	way := r.PathValue("way")
	if !ok || !contains(ways, way) {
		return errNoPage
	}
	return s.keepUpToDate(r, "ministry-try", way == wayWebhook, func() (any, bool, error) {
		v, err := s.trial(r, stream.Stream, way, after)
		return v, v.Over, err
	})
}

// tryPost makes a token, sets an endpoint, or sends a synthetic event.
func (s *server) tryPost(r *request) error {
	v, err := s.tryView(r)
	if err != nil {
		return err
	}
	switch r.form("do") {
	case "token":
		return s.tryToken(r, v)
	case "endpoint":
		return s.tryEndpoint(r, v)
	case "send":
		after, ok := wholeNumber(r.form("last"), 0, 1<<53)
		command, err := ministryCommand(r, "synthetic "+v.Stream)
		if err != nil || !ok {
			return errForm
		}
		if err := s.Delivery.Synthesize(r.Context(), r.actor, command, v.Stream, 1, ""); err != nil {
			return err
		}
		return r.redirect(streamPath(v.Stream, "/try/"+v.Way) + "?after=" + strconv.FormatInt(after, 10) + "#seen")
	}
	return errForm
}

// tryToken shows a token once: it is in this answer, and nowhere else.
func (s *server) tryToken(r *request, v tryView) error {
	if s.Console.Token == nil {
		return errForm
	}
	token, until, err := s.Console.Token(r.actor)
	if err != nil {
		return err
	}
	v.Token, v.Until = &shellLine{"token", r.say("ministry.line.token"), "(umask 077; echo '" + token + "' > token)"}, until
	return s.showTry(r, http.StatusOK, v, nil)
}

// tryEndpoint sets the stream's endpoint, and shows its secret once.
func (s *server) tryEndpoint(r *request, v tryView) error {
	v.Push.URL = r.form("url")
	set := journal.EndpointSet{Stream: v.Stream, URL: v.Push.URL, Batch: 1, Signature: journal.SignatureHMAC}
	verifier, fault, err := s.setEndpoint(r, set, "")
	if err != nil {
		return err
	}
	if fault != nil {
		v.Push.Detail = fault.Detail
		return s.showTry(r, http.StatusUnprocessableEntity, v, []problem{endpointProblem(r, fault)})
	}
	settings, err := s.Delivery.Settings(r.Context(), v.Stream)
	if err != nil {
		return err
	}
	v.Push.Endpoint = settings.Endpoint
	if verifier != "" {
		v.Push.Save = &shellLine{"save", r.say("ministry.line.save"), "(umask 077; echo '" + verifier + "' > secret)"}
	}
	return s.showTry(r, http.StatusOK, v, nil)
}
