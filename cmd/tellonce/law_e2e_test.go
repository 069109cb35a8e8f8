package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// A scenario is one rule of the law, seen from outside: what is on the log (given), a call or command (when), and then the answer, the
// events that came onto the person's log and the bytes that left. Many scenarios share one running hub, so each has people, ministries,
// agreements and streams of its own, all under its name.
type scenario struct {
	name       string
	agreements []string // made with agreementText
	play       func(s *scene)
}

// world is one running hub on one store.
type world struct {
	place *place
	hub   *hubProcess
	roles map[string]string // tokens

	mu     sync.Mutex
	log    *hub // the same log opened in the test's own process: what is on it, and tokens for residents
	scenes []*scene
}

// scene is a scenario under way.
type scene struct {
	*testing.T
	*world
	id     string              // a short prefix of everything that is its own
	people map[string]resident // by the name that the scenario gives them
	after  map[string]int      // by stream: the last number that was seen
	bytes  map[string]string   // by stream and number: what was given first
	who    map[string]string   // by stream and subject: a, b, c in order of appearance
}

type resident struct {
	id        citizen.ID
	token     string
	reference string
	seen      int32 // the version up to which the person's log was compared
}

// startWorld makes a sandbox's log, loads the agreements of all its scenarios, and serves.
func startWorld(p *place, agreements []string, serve ...string) *world {
	p.t.Helper()
	p.run("init", "--sandbox")
	w := &world{place: p, roles: map[string]string{}}
	w.load(p.t, agreements...)
	w.open(serve...)
	return w
}

// open issues the offices' tokens on a log that is there, and serves.
func (w *world) open(serve ...string) {
	p := w.place
	p.t.Helper()
	w.log = p.open()
	p.t.Cleanup(w.log.Close)
	for _, role := range []string{"clerk", "registrar", "officer", "protector"} {
		w.roles[role] = p.token(role, "--person", "an invented "+role)
	}
	w.roles["protector-2"] = p.token("protector", "--person", "another protector")
	w.hub = p.serve(serve...)
}

// load loads agreements as `agreement load` does: in a sandbox they are in force.
func (w *world) load(t *testing.T, texts ...string) {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(text), 0o600))
	}
	out, errs, code := w.place.try(nil, "agreement", "load", dir)
	require.Equal(t, 0, code, out+errs)
}

// agreementText is an invented agreement. shares are lines under `shares:`; more are lines of the document. In a scenario's text NAME
// stands for its prefix: agreement NAME-card of the ministry NAME on the stream NAME.card.
func agreementText(name, basis, population string, version int, shares string, more ...string) string {
	if basis == "statute" {
		basis = `statute, reference: "Invented Act, section 3"`
	}
	return fmt.Sprintf(`id: NAME-%s
version: %d
ministry: NAME
stream: NAME.%s
title: {en: Invented %s, fr: Invention %s}
purpose: {en: Illustration, fr: Illustration}
basis: {kind: %s}
population: %s
shares: [%s]
valid: {from: 2020-01-01}
`, name, version, name, name, name, basis, population, shares) + strings.Join(more, "\n") + "\n"
}

// How long what a follower of the hub does is waited for, and how often it is looked for.
const (
	waitTime = 30 * time.Second
	pollTime = 5 * time.Millisecond
)

const cityOnly = "{event: address-changed, fields: [city]}"

func (w *world) scene(t *testing.T, n int) *scene {
	s := &scene{
		T: t, world: w, id: fmt.Sprintf("s%02d", n), people: map[string]resident{}, after: map[string]int{}, bytes: map[string]string{}, who: map[string]string{},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scenes = append(w.scenes, s)
	w.roles[s.id] = ""
	return s
}

// as is a token by a name: of the scene's people, of an office, or of the scene's ministry.
func (s *scene) as(who string) string {
	s.Helper()
	if p, ok := s.people[who]; ok {
		return p.token
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if who == "ministry" {
		if s.roles[s.id] == "" {
			s.roles[s.id] = s.issue(journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, Ministry: s.id, ID: s.id})
		}
		return s.roles[s.id]
	}
	require.NotEmpty(s, s.roles[who], who)
	return s.roles[who]
}

func (s *scene) issue(actor journal.Actor) string {
	s.Helper()
	token, err := s.log.token(actor, time.Hour)
	require.NoError(s, err)
	return token
}

// reply is what a call came to.
type reply struct {
	s      *scene
	what   string
	status int
	text   string
	body   map[string]any
}

// call makes one request. NAME in path and body is the scene's prefix.
func (s *scene) call(who, method, path, body string, headers ...string) reply {
	s.Helper()
	body, path = strings.ReplaceAll(body, "NAME", s.id), strings.ReplaceAll(path, "NAME", s.id)
	headers = append([]string{"Idempotency-Key", uuid.NewString(), "X-Access-Reason", "a scenario"}, headers...)
	status, text := s.hub.call(s.T, s.as(who), method, path, body, headers...)
	a := reply{s: s, what: who + " " + method + " " + path, status: status, text: text}
	_ = json.Unmarshal([]byte(text), &a.body)
	return a
}

// ok demands that a call succeeded.
func (a reply) ok() reply {
	a.s.Helper()
	require.Less(a.s, a.status, 300, "%s: %s", a.what, a.text)
	return a
}

// refused demands a problem with this code and, where it is given, this pointer.
func (a reply) refused(code string, pointer ...string) reply {
	a.s.Helper()
	require.GreaterOrEqual(a.s, a.status, 400, "%s: %s", a.what, a.text)
	require.Equal(a.s, code, a.body["code"], "%s: %s", a.what, a.text)
	var got []string
	faults, _ := a.body["errors"].([]any)
	for _, f := range faults {
		at, _ := f.(map[string]any)["pointer"].(string)
		got = append(got, at)
	}
	require.Equal(a.s, pointer, got, "%s: %s", a.what, a.text)
	return a
}

// at is the position that an answer names.
func (a reply) at() int64 {
	a.s.Helper()
	a.ok()
	n, ok := a.body["position"].(float64)
	require.True(a.s, ok, a.text)
	return int64(n)
}

// has demands that the answer holds all the texts.
func (a reply) has(texts ...string) reply {
	a.s.Helper()
	for _, text := range texts {
		require.Contains(a.s, a.text, strings.ReplaceAll(text, "NAME", a.s.id), a.what)
	}
	return a
}

// register gives somebody an id. Everybody's family name is the scene's prefix.
func (s *scene) register(name string, born ...string) resident {
	s.Helper()
	birth := append(born, "1980-05-17")[0]
	reference := s.id + "-" + name
	s.call("registrar", "POST", "/v1/persons", fmt.Sprintf(`{"source":"import","reference":%q,"data":{"given_names":%q,"family_name":"Of %s",`+
		`"birth_date":%q,"language":"en"}}`, reference, name, s.id, birth)).ok()
	return s.find(name, reference)
}

// find makes somebody who is registered one of the scene's people.
func (s *scene) find(name, reference string) resident {
	s.Helper()
	ids, err := s.log.journal.Reference(context.Background(), "import", reference)
	require.NoError(s, err)
	require.False(s, ids[0].IsZero(), reference)
	return s.known(name, reference, ids[0])
}

func (s *scene) known(name, reference string, id citizen.ID) resident {
	s.Helper()
	p := resident{id: id, reference: reference, token: s.issue(journal.Actor{
		Kind: journal.ActorResident, Role: journal.RoleCitizen, Citizen: uuid.UUID(id), ID: id.String(), Source: "import",
	})}
	s.people[name] = p
	s.onLog(name) // what came before is no matter of the scenario
	return s.people[name]
}

// onLog demands exactly these events, in order, on somebody's log since the last look at it, but for snapshots, which a follower takes in
// its own time (waitLog waits for them). Without types it only looks.
func (s *scene) onLog(name string, types ...string) {
	s.Helper()
	got := withoutSnapshots(s.unseen(name))
	if len(types) > 0 {
		require.Equal(s, types, got, name)
	}
}

func withoutSnapshots(types []string) []string {
	return slices.DeleteFunc(types, func(t string) bool { return t == journal.TypeSnapshotTaken })
}

// nothing demands that nothing was written about somebody since.
func (s *scene) nothing(names ...string) {
	s.Helper()
	for _, name := range names {
		require.Empty(s, withoutSnapshots(s.unseen(name)), name)
	}
}

func (s *scene) unseen(name string) (types []string) {
	s.Helper()
	p := s.people[name]
	recs, err := s.log.store.ReadAggregate(context.Background(), eventstore.Aggregate{Category: eventstore.Citizen, ID: uuid.UUID(p.id)}, p.seen+1, 1000)
	require.NoError(s, err)
	for i := range recs {
		types = append(types, recs[i].Type)
		p.seen = recs[i].Version
	}
	s.people[name] = p
	return types
}

// waitLog waits until somebody's log has so many new events, which a follower of the hub writes.
func (s *scene) waitLog(name string, types ...string) {
	s.Helper()
	var got []string
	require.Eventually(s, func() bool { got = append(got, s.unseen(name)...); return len(got) >= len(types) }, waitTime, pollTime, "%v", types)
	require.Equal(s, types, got, name)
}

// tell tells a change and returns its position. who is a resident; "who for whom" in office or as a proxy.
func (s *scene) tell(who, eventType, data string, more ...string) int64 {
	s.Helper()
	return s.told(who, eventType, data, more...).at()
}

func (s *scene) told(who, eventType, data string, more ...string) reply {
	s.Helper()
	effective, extra := today(), ""
	if len(more) > 0 && more[0] != "" {
		effective = more[0]
	}
	teller, whom, office := strings.Cut(who, " for ")
	var headers []string
	if office {
		if _, resident := s.people[teller]; resident {
			headers = []string{"X-On-Behalf-Of", s.people[whom].id.String()}
		} else {
			extra = fmt.Sprintf(`,"person":{"source":"import","reference":%q}`, s.people[whom].reference)
		}
	}
	if len(more) > 1 {
		extra += "," + more[1]
	}
	return s.call(teller, "POST", "/v1/changes", fmt.Sprintf(`{"type":%q,"effective":%q,"data":%s%s}`, eventType, effective, data, extra), headers...)
}

// today is the civil day by which a hub counts that is told something now.
func today() string { return daysAhead(0) }

func daysAhead(n int) string {
	zone, err := time.LoadLocation("America/Toronto")
	if err != nil {
		panic(err)
	}
	return time.Now().In(zone).AddDate(0, 0, n).Format(time.DateOnly)
}

// inOntario is an address in Ontario.
func inOntario(city string) string {
	return fmt.Sprintf(`{"kind":"home","street":"1 First St","city":%q,"province":"ON","postal_code":"P9N 3X9","country":"CA"}`, city)
}

// named is a body that names somebody of the scene.
func (s *scene) named(who, more string) string {
	return fmt.Sprintf(`{"person":{"source":"import","reference":%q}%s}`, s.people[who].reference, more)
}

// delivered demands exactly these events, in order, that the stream gives since the last look: number, kind, type of a fact, subject (a, b,
// c in order of appearance), data, assurance, what it corrects, agreement. The same bytes are demanded again of every later reading.
func (s *scene) delivered(stream string, want ...string) {
	s.Helper()
	var got []string
	for _, e := range s.pull(stream, len(want)) {
		got = append(got, s.line(stream, e))
	}
	require.Equal(s, want, got, stream)
}

type cloudEvent struct {
	ID, Type, Kind, Subject, Assurance, Corrects, Agreement, Effective string
	Data                                                               json.RawMessage
}

// pull reads what the stream gives after the last look, and waits until so many events have come.
func (s *scene) pull(stream string, atLeast int) (out []cloudEvent) {
	s.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for first := true; first || (len(out) < atLeast && time.Now().Before(deadline)); first = false {
		wait := "0s"
		if atLeast > 0 {
			wait = "5s"
		}
		after := ""
		if s.after[stream] > 0 {
			after = fmt.Sprintf("&after=1.0.%d", s.after[stream])
		}
		page := s.call("ministry", "GET", "/v1/streams/NAME."+stream+"/events?wait="+wait+after, "")
		require.Equal(s, http.StatusOK, page.status, page.text)
		var raw []json.RawMessage
		require.NoError(s, json.Unmarshal([]byte(page.text), &raw))
		for _, text := range raw {
			var e cloudEvent
			require.NoError(s, json.Unmarshal(text, &e))
			s.after[stream]++
			require.Equal(s, fmt.Sprintf("1.0.%d", s.after[stream]), e.ID)
			s.bytes[stream+" "+e.ID] = string(text)
			out = append(out, e)
		}
	}
	return out
}

func (s *scene) line(stream string, e cloudEvent) string {
	parts := []string{strings.TrimPrefix(e.ID, "1.0."), e.Kind}
	if fact := strings.TrimSuffix(strings.TrimPrefix(e.Type, "tellonce."), ".v1"); fact != e.Kind {
		parts = append(parts, fact)
	}
	if e.Subject != "" {
		key := stream + " " + e.Subject
		if s.who[key] == "" {
			n := 0
			for known := range s.who {
				if strings.HasPrefix(known, stream+" ") {
					n++
				}
			}
			s.who[key] = string(rune('a' + n))
		}
		parts = append(parts, s.who[key])
	}
	if len(e.Data) > 0 {
		data := string(e.Data)
		for key, letter := range s.who {
			if at, subject, _ := strings.Cut(key, " "); at == stream {
				data = strings.ReplaceAll(data, subject, letter)
			}
		}
		parts = append(parts, data)
	}
	for _, part := range []string{e.Assurance, strings.Replace(e.Corrects, "1.0.", "corrects ", 1), strings.TrimPrefix(e.Agreement, s.id+"-")} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}

// recalled demands that a second reading of the stream gives these numbers as placeholders and all others as they were.
func (s *scene) recalled(stream string, numbers ...int) {
	s.Helper()
	page := s.call("ministry", "GET", "/v1/streams/NAME."+stream+"/events?limit=10000", "").ok()
	var raw []json.RawMessage
	require.NoError(s, json.Unmarshal([]byte(page.text), &raw))
	require.GreaterOrEqual(s, len(raw), s.after[stream])
	gone := map[int]bool{}
	for _, n := range numbers {
		gone[n] = true
	}
	for i, text := range raw[:s.after[stream]] {
		var e cloudEvent
		require.NoError(s, json.Unmarshal(text, &e))
		if gone[i+1] {
			require.Equal(s, "recalled", e.Kind, "%s %d", stream, i+1)
			require.Empty(s, e.Subject)
			require.Empty(s, e.Data)
			s.bytes[stream+" "+e.ID] = string(text) // and it stays so for ever
			continue
		}
		require.Equal(s, s.bytes[stream+" "+e.ID], string(text), "%s %d", stream, i+1)
	}
}

// decisions are what was decided of a change for the scene's own agreements: agreement → "field,field" or "!reason".
func (s *scene) decisions(who string, told reply) map[string]string {
	s.Helper()
	told.ok()
	receipt := s.call(who, "GET", "/v1/me/receipts/"+told.body["receipt"].(string), "").ok()
	out := map[string]string{}
	lines, _ := receipt.body["decisions"].([]any)
	for _, l := range lines {
		line, _ := l.(map[string]any)
		name, own := strings.CutPrefix(line["agreement"].(string), s.id+"-")
		if !own {
			continue
		}
		if reason, withheld := line["reason"].(string); withheld {
			out[name] = "!" + reason
			continue
		}
		var fields []string
		for _, f := range line["fields"].([]any) {
			fields = append(fields, f.(string))
		}
		out[name] = strings.Join(fields, ",")
	}
	return out
}

// link makes somebody the scene's ministry's client.
func (s *scene) link(who string, reference ...string) {
	s.Helper()
	s.call(who, "PUT", "/v1/me/links/NAME", fmt.Sprintf(`{"client_reference":%q}`, append(reference, "client-"+who)[0])).ok()
	s.onLog(who, "ministry-linked")
}

// settled reads every stream of every scene again: nothing more has come than the scenario said.
func (w *world) settled(t *testing.T) {
	t.Helper()
	out := w.place.run("snapshot", "run")
	require.JSONEq(t, `{"taken":0}`, out, "the hub's followers have left none")
	for _, s := range w.scenes {
		s.T = t
		for stream := range s.after {
			require.Empty(t, s.pull(stream, 0), "%s %s: nobody said that more would come", s.id, stream)
		}
	}
	for _, report := range []string{w.place.run("audit", "rederive"), w.place.run("audit", "verify")} {
		require.NotEmpty(t, report)
	}
	require.NotContains(t, w.hub.stderr.String(), `"level":"ERROR"`)
	require.Equal(t, 0, w.hub.stop(t), w.hub.stderr.String())
}

// TestTheLawThroughTheBinary plays every scenario on both stores.
func TestTheLawThroughTheBinary(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		all := scenarios()
		var agreements []string
		for n, one := range all {
			for _, text := range one.agreements {
				agreements = append(agreements, strings.ReplaceAll(text, "NAME", fmt.Sprintf("s%02d", n)))
			}
		}
		w := startWorld(p, agreements)
		t.Run("scenarios", func(t *testing.T) {
			for n, one := range all {
				t.Run(one.name, func(t *testing.T) {
					t.Parallel()
					one.play(w.scene(t, n))
				})
			}
		})
		w.settled(t)
	})
}

// text is a scenario's text with its prefix.
func (s *scene) text(text string) string { return strings.ReplaceAll(text, "NAME", s.id) }

// dir is a folder with one agreement.
func (s *scene) dir(agreement string) string {
	s.Helper()
	dir := s.TempDir()
	require.NoError(s, os.WriteFile(filepath.Join(dir, "one.yaml"), []byte(agreement), 0o600))
	return dir
}

// only is the one line of some JSON text's array that holds a text.
func only(t *testing.T, lines []any, text string) map[string]any {
	t.Helper()
	var found []map[string]any
	for _, line := range lines {
		encoded, err := json.Marshal(line)
		require.NoError(t, err)
		if bytes.Contains(encoded, []byte(text)) {
			one, _ := line.(map[string]any)
			found = append(found, one)
		}
	}
	require.Len(t, found, 1, text)
	return found[0]
}
