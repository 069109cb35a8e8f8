package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// canaryRoot stands in every text that a person or somebody in office says, each time with another ending: it must not be found, in any
// spelling of its letters, where no personal data may be.
const canaryRoot = "Zqxcanary"

// canaryDigits are those that can't hold letters: a phone number and dates that nothing else holds.
var canaryDigits = []string{"15553130717", "1913-07-17", "1897-03-04"}

// canaries are a production log with a hub that has done everything once, canaries in every text.
type canaries struct {
	*scene
	stream, topic string
	output        bytes.Buffer // stderr of every command
	problems      []string     // bodies of refusals
}

// TestNoCanaryLeavesTheSeal plants a canary in every personal field and in every sealed text, does everything once, and looks for it in every
// byte of the store, in Kafka's topics, keys and headers, in what every process logged, in metrics and in problems. After the erasure it is
// nowhere in what the hub can read. The search is shown to find what it looks for.
func TestNoCanaryLeavesTheSeal(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	places(t, func(t *testing.T, p *place) {
		c := startCanaries(t, p, broker)
		c.live()
		c.office()
		c.refusedWithCanaries()
		c.pages(http.StatusOK)
		records := consume(t, broker, c.topic, func(seen []record) bool { return len(seen) >= 4 })
		c.clean(records)

		before := c.readable()
		never := slices.DeleteFunc(slices.Concat(factCanaries, otherCanaries), func(planted string) bool {
			return strings.Contains(strings.Join(before, "\n"), planted)
		})
		require.Empty(t, never, "never told")
		require.Contains(t, records[2].value, "ZqxcanaryRight", "who may know got it")
		c.call("ann", "POST", "/v1/me/erasure", "").ok()
		c.call("kid", "POST", "/v1/me/erasure", "").ok()
		c.delivered("card", `5 erased {"cursors":["1.0.1","1.0.2","1.0.3","1.0.4"]}`)
		after := c.readable()
		require.Contains(t, strings.Join(after, "\n"), "ZqxcanaryFriend", "of everybody else everything can be read")
		for _, text := range after {
			for _, planted := range factCanaries {
				require.NotContains(t, text, planted, "the hub can still read it")
			}
		}
		require.Equal(t, 0, c.hub.stop(t), c.hub.stderr.String())
		c.clean(consume(t, broker, c.topic, func(seen []record) bool { return len(seen) >= 5 }))
		c.control()
	})
}

// factCanaries are what ann told: gone with her erasure. What people in office wrote of her is evidence and stays for its time, sealed.
var factCanaries = []string{
	"ZqxcanaryGiven", "ZqxcanaryFamily", "ZqxcanaryUnit", "ZqxcanaryStreet", "ZqxcanaryCity", "ZqxcanaryMailing", "zqxcanarymail",
	"ZqxcanaryNewGiven", "ZqxcanaryNewFamily", "ZqxcanaryRight", "ZqxcanaryKidGiven", "ZqxcanaryKidFamily", "15553130717", "1913-07-17",
}

// otherCanaries stand in what others wrote, of ann and of others.
var otherCanaries = []string{
	"zqxcanary-client", "ZqxcanaryRejected", "ZqxcanarySearch", "zqxcanary-118", "ZqxcanaryLaw", "ZqxcanaryCounter", "ZqxcanaryList", "ZqxcanaryQueue",
	"ZqxcanaryDanger", "ZqxcanaryLifted", "ZqxcanaryReplace", "zqxcanary-119", "ZqxcanaryOther", "ZqxcanaryCourt", "ZqxcanaryMerge", "ZqxcanaryTerminal",
	"Zqxcanaryofficer", "Zqxcanaryclerk",
}

func startCanaries(t *testing.T, p *place, broker string) *canaries {
	t.Helper()
	p.run("init")
	w := &world{place: p, roles: map[string]string{}}
	s := w.scene(t, 0)
	s.id = "test-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] // the broker's topics outlive this log
	c := &canaries{scene: s, stream: s.id + ".card", topic: "tellonce." + s.id + ".card"}
	file := filepath.Join(s.dir(s.text(agreementText("card", "consent", "all", 1, cityOnly+", {event: name-changed, fields: [family_name]}"))), "one.yaml")
	c.command("agreement", "propose", file, "--as", "ZqxcanaryProposer")
	_, errs, code := p.try(nil, "agreement", "approve", s.id+"-card@1", "--as", "ZqxcanaryProposer")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "same-person")
	c.output.WriteString(errs)
	c.command("agreement", "approve", s.id+"-card@1", "--as", "ZqxcanaryApprover")
	w.log = p.open()
	t.Cleanup(w.log.Close)
	for _, role := range []string{"clerk", "registrar", "officer", "protector"} {
		w.roles[role] = p.token(role, "--person", "Zqxcanary"+role)
	}
	w.roles["protector-2"] = p.token("protector", "--person", "ZqxcanarySecond")
	w.hub = p.serve("--kafka", broker, "--kafka-streams", c.stream)
	return c
}

// command runs one that must succeed, and keeps what it logged.
func (c *canaries) command(args ...string) string {
	c.Helper()
	out, errs, code := c.place.try(nil, args...)
	require.Equal(c, 0, code, errs)
	c.output.WriteString(errs)
	return out
}

// enrol registers somebody with canaries for names and reference.
func (c *canaries) enrol(name, given, family, born string) {
	c.Helper()
	reference := "zqxcanary-" + name
	c.call("registrar", "POST", "/v1/persons", fmt.Sprintf(`{"source":"import","reference":%q,"data":{"given_names":%q,"family_name":%q,"birth_date":%q,"language":"en"}}`,
		reference, given, family, born)).ok()
	c.find(name, reference)
}

const canaryHome = `{"kind":"home","unit":"ZqxcanaryUnit","street":"ZqxcanaryStreet","city":"ZqxcanaryCity","province":"ON","postal_code":"P9N 3X9","country":"CA"}`

// live is what residents do.
func (c *canaries) live() {
	c.Helper()
	c.enrol("ann", "ZqxcanaryGiven", "ZqxcanaryFamily", "1913-07-17")
	c.enrol("friend", "ZqxcanaryFriend", "ZqxcanaryFriend", "1980-05-17")
	c.call("ann", "PUT", "/v1/me/consents/NAME-card", "").ok()
	c.call("ann", "PUT", "/v1/me/links/NAME", `{"client_reference":"zqxcanary-client"}`).ok()
	home := c.tell("ann", "address-changed", canaryHome)
	c.delivered("card", `1 fact address-changed a {"city":"ZqxcanaryCity"} asserted card@1`)
	c.tell("ann", "name-changed", `{"given_names":"ZqxcanaryNewGiven","family_name":"ZqxcanaryNewFamily","reason":"court"}`)
	c.tell("ann", "change-corrected", correction(home, strings.Replace(canaryHome, "ZqxcanaryCity", "ZqxcanaryRight", 1)))
	c.delivered("card", `2 fact name-changed a {"family_name":"ZqxcanaryNewFamily"} asserted card@1`,
		`3 correction address-changed a {"city":"ZqxcanaryRight"} asserted corrects 1 card@1`)
	c.call("ministry", "POST", "/v1/streams/NAME.card/receipts", `[{"from":"1.0.2","to":"1.0.2","status":"rejected","reason":"ZqxcanaryRejected"}]`).ok()
	mailing := strings.Replace(strings.Replace(canaryHome, `"home"`, `"mailing"`, 1), "ZqxcanaryStreet", "ZqxcanaryMailing", 1)
	c.tell("ann", "address-changed", mailing)
	c.delivered("card", `4 fact address-changed a {"city":"ZqxcanaryCity"} asserted card@1`)
	c.tell("ann", "contact-changed", `{"email":"zqxcanarymail@example.org","phone":"+15553130717"}`)
	c.tell("ann", "marital-status-changed", `{"status":"widowed"}`)
	c.told("registrar for ann", "birth-registered", fmt.Sprintf(`{"child_given_names":"ZqxcanaryKidGiven","child_family_name":"ZqxcanaryKidFamily","child_birth_date":%q}`,
		daysAhead(-4))).ok()
	ward := c.call("ann", "GET", "/v1/me/acting-for", "").ok().body["people"].([]any)[0].(map[string]any)
	require.Equal(c, "ZqxcanaryKidGiven ZqxcanaryKidFamily", ward["name"])
	c.known("kid", "", citizen.ID(uuid.MustParse(ward["id"].(string))))
	c.call("ann", "PUT", "/v1/me/proxies", fmt.Sprintf(`{"proxy":%q}`, c.people["friend"].id)).ok()
	c.tell("friend for ann", "contact-changed", `{"email":"zqxcanarymail@example.com"}`)
	c.call("friend", "POST", "/v1/deaths", fmt.Sprintf(`{"given_names":"ZqxcanaryNobody","family_name":"ZqxcanaryNobody","birth_date":"1897-03-04",`+
		`"death_date":%q,"reported_by":"spouse"}`, today())).ok()
}

// office is what people in office do, each with a reason.
func (c *canaries) office() {
	c.Helper()
	for _, name := range []string{"hidden", "held", "twin", "kept"} {
		c.enrol(name, "Zqxcanary"+name, "Zqxcanary"+name, "1980-05-17")
	}
	c.call("officer", "POST", "/v1/audit/searches", c.named("ann", `,"reason":"ZqxcanarySearch","case":"zqxcanary-118","hidden_until":"`+daysAhead(9)+
		`","hidden_why":"ZqxcanaryLaw"`)).ok()
	c.call("clerk", "POST", "/v1/persons/details", c.named("ann", ""), "X-Access-Reason", "ZqxcanaryCounter").ok()
	c.call("officer", "GET", "/v1/audit/decisions", "", "X-Access-Reason", "ZqxcanaryList").ok()
	c.call("registrar", "GET", "/v1/deaths", "", "X-Access-Reason", "ZqxcanaryQueue").ok()
	c.call("protector", "POST", "/v1/protection/restrictions", c.named("hidden", `,"kind":"violence","reason":"ZqxcanaryDanger"`)).ok()
	c.call("protector", "POST", "/v1/protection/lifts", c.named("hidden", `,"reason":"ZqxcanaryLifted"`)).ok()
	data := `"data":{"given_names":"ZqxcanaryOther","family_name":"ZqxcanaryOther","birth_date":"1981-06-18","language":"en"},"references":[{"source":"import","reference":"zqxcanary-hidden"}]`
	asked := c.call("protector", "POST", "/v1/protection/replacements", c.named("hidden", `,"reason":"ZqxcanaryReplace","case":"zqxcanary-119",`+data)).ok()
	c.call("protector-2", "POST", fmt.Sprintf("/v1/protection/replacements/%v", asked.body["request"]), "{"+data+"}").ok()
	c.call("officer", "PUT", "/v1/holds", c.named("held", `,"authority":"ZqxcanaryCourt","classes":["evidence"]`)).ok()
	c.call("ministry", "POST", "/v1/streams/NAME.card/links", `[{"client_reference":"zqxcanary-c1","given_names":"ZqxcanaryHeld","family_name":"ZqxcanaryListed",`+
		`"birth_date":"1980-05-17","postal_code":"P9N 3X9"}]`)
	c.call("officer", "POST", "/v1/merges", `{"going":{"source":"import","reference":"zqxcanary-twin"},"kept":{"source":"import","reference":"zqxcanary-kept"},`+
		`"reason":"ZqxcanaryMerge"}`).ok()
	c.command("audit", "consents", "--look-reason", "ZqxcanaryTerminal")
	c.command("stream", "read", c.stream)
	c.command("audit", "rederive")
	c.command("audit", "verify")
}

// refusedWithCanaries are requests that are refused, with canaries wherever they take a text: in body, path, query and header.
func (c *canaries) refusedWithCanaries() {
	c.Helper()
	refused := func(r reply) {
		c.Helper()
		require.GreaterOrEqual(c, r.status, 400, "%s: %s", r.what, r.text)
		c.problems = append(c.problems, r.text)
	}
	refused(c.told("ann", "address-changed", strings.Replace(canaryHome, "P9N", "H9N", 1)))
	refused(c.told("ann", "address-changed", strings.Replace(canaryHome, "ZqxcanaryUnit", `Zqxcanary\u202e`, 1)))
	refused(c.told("ann", "address-changed", canaryHome, "", `"ZqxcanaryMember":1`))
	refused(c.told("ann", "ZqxcanaryType", canaryHome))
	refused(c.told("ann", "address-changed", canaryHome, "ZqxcanaryDate"))
	refused(c.told("ann", "contact-changed", `{"email":"zqxcanary","phone":"zqxcanary","ZqxcanaryMember":1}`))
	refused(c.told("ann", "address-changed", `"Zqxcanary`))
	refused(c.call("ann", "PUT", "/v1/me/consents/zqxcanary", `{"fields":["zqxcanary"]}`))
	refused(c.call("ann", "PUT", "/v1/me/links/zqxcanary", `{"client_reference":"zqxcanary\u00e9"}`))
	refused(c.call("ann", "GET", "/v1/me/receipts/ZQXCANARY000", ""))
	refused(c.call("ann", "GET", "/v1/zqxcanary?zqxcanary=zqxcanary", ""))
	refused(c.call("ann", "GET", "/v1/me", "", "X-On-Behalf-Of", "zqxcanary"))
	refused(c.call("ministry", "GET", "/v1/streams/zqxcanary/events?after=zqxcanary", ""))
	refused(c.call("ministry", "GET", "/v1/streams/NAME.card/events?zqxcanary=1&after=zqxcanary", ""))
	refused(c.call("ministry", "POST", "/v1/streams/NAME.card/receipts", `[{"from":"zqxcanary","status":"zqxcanary"}]`))
	refused(c.call("ministry", "POST", "/v1/streams/NAME.card/links", `[{"client_reference":"zqxcanary","given_names":"\u202eZqxcanary","family_name":1}]`))
	refused(c.call("clerk", "POST", "/v1/persons/details", `{"person":{"source":"zqxcanary","reference":"zqxcanary"}}`))
	refused(c.call("registrar", "POST", "/v1/persons", c.named("ann", `,"data":{"given_names":"Zqxcanary"}`)))
	refused(c.call("officer", "POST", "/v1/audit/searches", `{"reason":"","receipt":"zqxcanary"}`))
	refused(c.call("officer", "POST", "/v1/agreements/approvals", `{"id":"zqxcanary","version":1}`))
	refused(c.call("friend", "POST", "/v1/deaths", `{"given_names":"Zqxcanary","family_name":"\u202eZqxcanary","birth_date":"zqxcanary"}`))
	input := `{"id":"zqxcanary","person":"zqxcanary","channel":"zqxcanary","zqxcanary":1}` + "\nZqxcanary\n"
	out, errs, _ := c.place.try(strings.NewReader(input), "import", "-")
	c.problems = append(c.problems, out)
	c.output.WriteString(errs)
	_, errs, _ = c.place.try(nil, "token", "issue", "--role", "citizen", "--person", "zqxcanary-never")
	c.output.WriteString(errs)
}

// pages asks for every page that shows something of ann, which must be answered with one of the statuses, and for some that there are not.
func (c *canaries) pages(wanted ...int) (texts []string) {
	c.Helper()
	for who, paths := range map[string][]string{
		"ann":      {"/me", "/my-data", "/my-data/file", "/erasure", "/consents", "/address/home", "/receipts/ZQXCANARY000", "/zqxcanary?zqxcanary=1"},
		"ministry": {"/streams", "/streams/" + c.stream + "/0", "/streams/zqxcanary/0"},
		"officer":  {"/looks", "/agreements", "/looks/zqxcanary"},
	} {
		for _, path := range paths {
			for _, lang := range []string{"/en", "/fr"} {
				status, text := c.hub.call(c.T, "", "GET", lang+path, "", "Cookie", "tellonce-session="+c.as(who))
				if !strings.Contains(strings.ToLower(path), "zqxcanary") {
					require.Contains(c, wanted, status, "%s: %s", path, text)
				}
				require.NotEqual(c, http.StatusInternalServerError, status, path)
				texts = append(texts, text)
			}
		}
	}
	status, text := c.hub.call(c.T, "", "POST", "/en/looks", url.Values{"reason": {"Zqxcanary"}, "reference": {"zqxcanary"}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Cookie", "tellonce-session="+c.as("officer"))
	require.Less(c, status, 500, text)
	return texts
}

// readable is everything that the hub can read of these people, by every role, page and command, and straight from the log.
func (c *canaries) readable() []string {
	c.Helper()
	texts := c.pages(http.StatusOK, http.StatusSeeOther, http.StatusNotFound)
	add := func(r reply) { texts = append(texts, r.text) }
	for _, who := range []string{"ann", "kid", "friend"} {
		for _, path := range []string{"", "/export", "/disclosures", "/consents", "/proxies", "/acting-for"} {
			add(c.call(who, "GET", "/v1/me"+path, ""))
		}
	}
	for _, who := range []string{"ann", "friend"} {
		add(c.call("clerk", "POST", "/v1/persons/details", c.named(who, "")))
		add(c.call("protector", "POST", "/v1/persons/details", c.named(who, "")))
		add(c.call("officer", "POST", "/v1/audit/searches", c.named(who, `,"reason":"again"`)))
	}
	add(c.call("registrar", "GET", "/v1/deaths", ""))
	add(c.call("officer", "GET", "/v1/audit/decisions", ""))
	add(c.call("officer", "GET", "/v1/audit/consents", ""))
	add(c.call("officer", "GET", "/v1/retention", ""))
	add(c.call("ministry", "GET", "/v1/streams/NAME.card/events?limit=10000", ""))
	for _, args := range [][]string{{"audit", "decisions"}, {"audit", "consents"}, {"stream", "read", c.stream}, {"snapshot", "list"}} {
		texts = append(texts, c.command(args...))
	}
	return append(texts, c.opened()...)
}

// opened are all records of the log, as far as their keys still open them.
func (c *canaries) opened() (texts []string) {
	c.Helper()
	ctx := context.Background()
	log := c.place.open() // afresh: nothing cached
	defer log.Close()
	head, err := log.journal.Head(ctx)
	require.NoError(c, err)
	recs, err := log.store.ReadAll(ctx, 0, int(head.Position)+1)
	require.NoError(c, err)
	require.Less(c, len(recs), 2000)
	entries, err := log.journal.Open(ctx, recs)
	require.NoError(c, err)
	for i := range entries {
		e := &entries[i]
		gone := e.Class == eventstore.Facts && slices.ContainsFunc(recs, func(r eventstore.Recorded) bool {
			return r.Type == journal.TypeErased && r.Aggregate.ID == e.Subject
		})
		require.False(c, gone && e.Event != nil, "a fact of who was erased opens: %s at %d", e.Type, e.Position)
		text, err := json.Marshal([]any{e.Event, e.Meta})
		require.NoError(c, err)
		texts = append(texts, string(text))
	}
	return texts
}

// clean demands that no canary is anywhere outside the seal.
func (c *canaries) clean(records []record) {
	c.Helper()
	for where, found := range c.search(records) {
		require.Empty(c, found, where)
	}
}

// search looks for canaries in every byte outside the seal: place → the canaries that are there.
func (c *canaries) search(records []record) map[string][]string {
	c.Helper()
	out := map[string][]string{}
	look := func(where, text string) {
		if found := canariesIn(text); len(found) > 0 {
			out[where] = found
		}
	}
	files := 0
	require.NoError(c, filepath.WalkDir(c.place.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // a file that went away between listing and reading
		}
		content, err := os.ReadFile(path)
		if err == nil {
			files++
			look(filepath.Base(path), string(content))
			look("a file's name", path)
		}
		return nil
	}))
	require.Positive(c, files)
	if len(c.place.env) > 0 {
		look("the database", dump(c.T, c.place))
	}
	for _, r := range records {
		look("a record's key", r.key)
		for name, value := range r.headers {
			look("a record's header "+name, value)
		}
	}
	look("the topic's name", c.topic)
	look("the hub's log", c.hub.stderr.String())
	look("the commands' logs", c.output.String())
	look("problems", strings.Join(c.problems, "\n"))
	look("metrics", c.metrics())
	return out
}

// metrics are the operator's, or nothing once the hub has stopped.
func (c *canaries) metrics() string {
	c.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(c.hub.operatorURL + "/metrics")
	if err != nil {
		require.NotNil(c, c.hub.cmd.ProcessState, "it runs, and does not answer")
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(c, err)
	require.Contains(c, string(text), "go_goroutines")
	return string(text)
}

// canariesIn are the spellings of canaries that a text holds.
func canariesIn(text string) (found []string) {
	lower := strings.ToLower(text)
	for _, spelling := range canarySpellings() {
		if strings.Contains(lower, strings.ToLower(spelling)) {
			found = append(found, spelling)
		}
	}
	return found
}

// canarySpellings are the root and the digits as they stand, in hexadecimal, and in base64 at each of its three alignments.
func canarySpellings() []string {
	out := append([]string{canaryRoot, hex.EncodeToString([]byte(canaryRoot)), hex.EncodeToString([]byte(strings.ToLower(canaryRoot)))}, canaryDigits...)
	for _, root := range []string{canaryRoot, strings.ToLower(canaryRoot)} {
		for skip := range 3 {
			inner := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + root))
			out = append(out, inner[skip+1:len(inner)-4])
		}
	}
	return out
}

// control is the negative control: one row that is not sealed, a log line, a key, a problem, and the search finds each.
func (c *canaries) control() {
	c.Helper()
	ctx := context.Background()
	require.NoError(c, c.log.store.Commit(ctx, "control", 0, 0, []eventstore.Row{{View: "control", Key: []byte("k"), Value: []byte(`{"street":"ZqxcanaryStreet"}`)}}))
	c.output.WriteString("refused: ZQXCANARY")
	c.problems = append(c.problems, base64.StdEncoding.EncodeToString([]byte("a zqxcanary b")))
	found := c.search([]record{{key: "+15553130717", headers: map[string]string{"ce_subject": hex.EncodeToString([]byte("Zqxcanary"))}}})
	places := []string{"the commands' logs", "problems", "a record's key", "a record's header ce_subject"}
	if len(c.place.env) > 0 {
		places = append(places, "the database")
	}
	for _, where := range places {
		require.NotEmpty(c, found[where], where)
	}
	if len(c.place.env) == 0 {
		stored := 0
		for where := range found {
			if !slices.Contains(places, where) {
				stored++
			}
		}
		require.Positive(c, stored, "no file of the store holds the row that was planted: %v", found)
	}
}
