package web

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// endpointView is where a stream is pushed to.
type endpointView struct {
	Stream   string
	Can      bool // endpoints can be set here
	Loopback bool
	Endpoint *journal.EndpointSet
	Public   []string // keys of v1a

	URL, Batch, Signature, Keep textField
	V1a                         bool
	Detail                      string // of what is wrong, in English

	Notice  string
	Secret  *shellLine // shown this once
	Key     string     // of v1a, shown with what was done
	Until   time.Time  // of the former secret
	Command string
	Lines   map[string]equivalent
}

const (
	defaultKeepHours = 24
	maxKeepHours     = 720
)

func (s *server) endpointPage(r *request) error {
	v, err := s.endpointView(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("done") == "removed" {
		v.Notice = r.say("ministry.endpoint.removed")
	}
	return s.showEndpoint(r, http.StatusOK, v, nil)
}

func (s *server) showEndpoint(r *request, status int, v endpointView, problems []problem) error {
	page := view{
		Title: r.say("ministry.endpoint.title", "Stream", v.Stream), Back: "/" + r.lang() + streamPath(v.Stream, ""), Problems: problems,
	}
	for _, field := range []*textField{&v.URL, &v.Batch, &v.Keep} {
		field.Error = page.Of(field.ID)
	}
	page.Data = v
	return s.show(r, status, "ministry-endpoint", page)
}

func (s *server) endpointView(r *request) (endpointView, error) {
	stream, err := s.ownStream(r)
	if err != nil {
		return endpointView{}, err
	}
	name := stream.Stream
	v := endpointView{
		Stream: name, Can: s.Console.Endpoints != nil, Loopback: s.Console.Loopback, Command: newCommand(),
		URL:   textField{ID: "url", Label: r.say("ministry.endpoint.url"), Hint: r.say("ministry.endpoint.url.hint"), Size: "wide", Max: 2048, Mode: "url"},
		Batch: textField{ID: "batch", Label: r.say("ministry.endpoint.batch"), Hint: r.say("ministry.endpoint.batch.hint"), Value: "1", Size: "two", Mode: "numeric", Max: 4},
		Keep:  textField{ID: "keep", Label: r.say("ministry.endpoint.keep"), Hint: r.say("ministry.endpoint.keep.hint"), Value: "24", Size: "two", Mode: "numeric", Max: 3},
		Lines: map[string]equivalent{
			"set": s.setLines(r, name),
			"rotate": {
				Curl: s.post(r, name, "/endpoint/secret", `{"keep_hours":24}`), CLI: "tellonce stream endpoint rotate-secret " + name + " --keep 24h",
			},
			"remove": {
				Curl: strings.Replace(s.post(r, name, "/endpoint", ""), "-X POST", "-X DELETE", 1), CLI: "tellonce stream endpoint remove " + name,
			},
		},
	}
	if !v.Can {
		return v, nil
	}
	if v.Endpoint, v.Public, err = s.Console.Endpoints.Show(r.Context(), r.actor, name); err != nil {
		return v, err
	}
	if e := v.Endpoint; e != nil {
		v.URL.Value, v.Batch.Value, v.V1a = e.URL, strconv.Itoa(e.Batch), e.Signature == journal.SignatureEd25519
	}
	return v, nil
}

// setLines set a stream's endpoint from a terminal.
func (s *server) setLines(r *request, stream string) equivalent {
	const example = "https://hooks.example.ca/tellonce"
	curl := s.post(r, stream, "/endpoint", `{"url":"`+example+`","batch":1,"signature":"v1"}`)
	return equivalent{
		Curl: strings.Replace(curl, "-X POST", "-X PUT", 1), CLI: "tellonce stream endpoint set " + stream + " --url " + example + " --batch 1 --signature v1",
	}
}

// endpointPost sets the endpoint, changes its secret, or removes it. A secret stands in this answer, and nowhere else: so it is no redirect.
func (s *server) endpointPost(r *request) error {
	v, err := s.endpointView(r)
	if err != nil {
		return err
	}
	if !v.Can {
		return errForm
	}
	switch r.form("do") {
	case "set":
		return s.endpointSet(r, v)
	case "rotate":
		return s.endpointRotate(r, v)
	case "remove":
		command, err := ministryCommand(r, "remove endpoint "+v.Stream)
		if err != nil {
			return err
		}
		if err := s.Console.Endpoints.Remove(r.Context(), r.actor, command, v.Stream); err != nil {
			return err
		}
		return r.redirect(streamPath(v.Stream, "/endpoint") + "?done=removed")
	}
	return errForm
}

func (s *server) endpointSet(r *request, v endpointView) error {
	v.URL.Value, v.Batch.Value, v.V1a = r.form("url"), r.form("batch"), r.form("signature") == journal.SignatureEd25519
	batch, ok := wholeNumber(v.Batch.Value, 1, delivery.MaxBatch)
	if !ok {
		return s.showEndpoint(r, http.StatusUnprocessableEntity, v, []problem{{"batch", r.say("ministry.endpoint.error.batch")}})
	}
	e := journal.EndpointSet{Stream: v.Stream, URL: v.URL.Value, Batch: int(batch), Signature: journal.SignatureHMAC}
	if v.V1a {
		e.Signature = journal.SignatureEd25519
	}
	verifier, fault, err := s.setEndpoint(r, e, "")
	if err != nil {
		return err
	}
	if fault != nil {
		v.Detail = fault.Detail
		return s.showEndpoint(r, http.StatusUnprocessableEntity, v, []problem{endpointProblem(r, fault)})
	}
	typed := v
	if v, err = s.endpointView(r); err != nil {
		return err
	}
	v.Notice = r.say("ministry.endpoint.set-done")
	v.verified(r, verifier, typed.V1a)
	return s.showEndpoint(r, http.StatusOK, v, nil)
}

func (s *server) endpointRotate(r *request, v endpointView) error {
	v.Keep.Value = r.form("keep")
	hours, ok := wholeNumber(v.Keep.Value, 0, maxKeepHours)
	if !ok || v.Endpoint == nil {
		return s.showEndpoint(r, http.StatusUnprocessableEntity, v, []problem{{"keep", r.say("ministry.endpoint.error.keep")}})
	}
	command, err := ministryCommand(r, "rotate secret "+v.Stream+" "+v.Keep.Value)
	if err != nil {
		return err
	}
	verifier, until, err := s.Console.Endpoints.Rotate(r.Context(), r.actor, command, v.Stream, time.Duration(hours)*time.Hour, "")
	var fault *delivery.EndpointError
	if errors.As(err, &fault) {
		return errForm // another request removed it meanwhile
	}
	if err != nil {
		return err
	}
	v1a := v.V1a
	if v, err = s.endpointView(r); err != nil {
		return err
	}
	v.Notice, v.Until = r.say("ministry.endpoint.rotated"), until
	v.verified(r, verifier, v1a)
	return s.showEndpoint(r, http.StatusOK, v, nil)
}

// verified shows what the ministry verifies with from now on.
func (v *endpointView) verified(r *request, verifier string, v1a bool) {
	if v.Key = verifier; verifier != "" && !v1a {
		v.Secret = &shellLine{"save", r.say("ministry.line.save"), "(umask 077; echo '" + verifier + "' > secret)"}
	}
}

// setEndpoint sets a stream's endpoint once it has answered its challenge. fault is what is wrong with it.
func (s *server) setEndpoint(r *request, e journal.EndpointSet, secret string) (verifier string, fault *delivery.EndpointError, err error) {
	if s.Console.Endpoints == nil {
		return "", nil, errForm
	}
	command, err := ministryCommand(r, "set endpoint "+e.Stream+" "+e.URL+" "+strconv.Itoa(e.Batch)+" "+e.Signature)
	if err != nil {
		return "", nil, err
	}
	verifier, err = s.Console.Endpoints.Set(r.Context(), r.actor, command, e, secret, true)
	if errors.As(err, &fault) {
		return "", fault, nil
	}
	return verifier, nil, err
}

// unanswered finds the code of a challenge that was not answered.
var unanswered = regexp.MustCompile(`\(([a-z0-9-]+)\)$`)

// endpointProblem says what is wrong with an endpoint, at its field.
func endpointProblem(r *request, fault *delivery.EndpointError) problem {
	p := problem{Field: fault.Member, Text: r.say("ministry.endpoint.error.url")}
	switch {
	case fault.Member == "batch":
		p.Text = r.say("ministry.endpoint.error.batch")
	case fault.Member != "url":
		p.Field = ""
	default:
		if code := unanswered.FindStringSubmatch(fault.Detail); code != nil {
			p.Text = r.say("ministry.endpoint.error.challenge", "Why", codeWords(r.words, code[1]))
		}
	}
	return p
}

// codes are the words for why an endpoint did not take something, but for the statuses of HTTP.
var codes = []string{
	"timeout", "refused", "reset", "dns", "network", "tls", "redirect", "gone", "address-forbidden", "secret-missing", "busy", "stopped", "not-echoed",
}

// codeWords says why an endpoint did not take something.
func codeWords(w *words, code string) string {
	if status, ok := strings.CutPrefix(code, "http-"); ok {
		return w.say("ministry.code-http", "Status", status)
	}
	if contains(codes, code) {
		return w.say("ministry.code." + code)
	}
	return w.say("ministry.code-other", "Code", code)
}
