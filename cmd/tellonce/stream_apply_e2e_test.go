package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/sqlitestore"
	"github.com/tellonce/hub/domain/journal"
)

// wireEvent is an event as it comes over the wire.
type wireEvent struct {
	ID, Type, Kind, Subject, Time, Assurance, Corrects, Agreement, Effective string
	Data                                                                     map[string]any
}

// wiretap stands between a ministry and its hub and keeps every event that came by.
type wiretap struct {
	*httptest.Server
	mu   sync.Mutex
	runs []*bytes.Buffer // of answers, in the order in which they began
}

func tap(t *testing.T, hub string) *wiretap {
	t.Helper()
	w := &wiretap{}
	to, err := url.Parse(hub)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Accept-Encoding")
		},
	}
	proxy.ModifyResponse = func(r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, "/events") || r.StatusCode != 200 {
			return nil
		}
		run := &bytes.Buffer{}
		w.mu.Lock()
		w.runs = append(w.runs, run)
		w.mu.Unlock()
		r.Body = &tapped{ReadCloser: r.Body, tap: w, run: run}
		return nil
	}
	w.Server = httptest.NewServer(proxy)
	w.Config.ErrorLog = nil
	t.Cleanup(w.Close)
	return w
}

type tapped struct {
	io.ReadCloser
	tap *wiretap
	run *bytes.Buffer
}

func (b *tapped) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.tap.mu.Lock()
	b.run.Write(p[:n])
	b.tap.mu.Unlock()
	return n, err
}

// events are what came by, by cursor. What came again came because the ministry had not stored it, so the last one counts.
func (w *wiretap) events(t *testing.T) map[string]wireEvent {
	t.Helper()
	out := map[string]wireEvent{}
	w.each(func(text []byte) {
		e := wired(t, text)
		out[e.ID] = e
	})
	return out
}

// wired is an event's JSON.
func wired(t *testing.T, text []byte) (e wireEvent) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &e))
	return e
}

// each gives the bytes of every event that came by whole, in order.
func (w *wiretap) each(keep func(text []byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, run := range w.runs {
		if bytes.HasPrefix(run.Bytes(), []byte("[")) { // a page; of one that is cut off, what came before
			page := json.NewDecoder(bytes.NewReader(run.Bytes()))
			_, _ = page.Token()
			for page.More() {
				var text json.RawMessage
				if page.Decode(&text) != nil {
					break
				}
				keep(text)
			}
			continue
		}
		for part := range strings.SplitSeq(run.String(), "\n\n") { // a feed; what is cut off at its end did not come
			_, data, ok := strings.Cut(part, "\ndata: ")
			if ok && json.Valid([]byte(data)) {
				keep([]byte(data))
			}
		}
	}
}

// thread is one thing that a ministry was told, and what has taken its place since.
type thread struct {
	lane, first int
	last        wireEvent // of an empty id: there is none any more
	standing    string
}

// naive folds what came by into what stands, one line a value: by words alone, and with nothing of the client's.
func naive(events map[string]wireEvent) []string {
	ordered := make([]wireEvent, 0, len(events))
	for _, e := range events {
		ordered = append(ordered, e)
	}
	slices.SortFunc(ordered, func(a, b wireEvent) int {
		return cmp.Or(cmp.Compare(laneOf(a.ID), laneOf(b.ID)), cmp.Compare(numberOf(a.ID), numberOf(b.ID)))
	})
	known := map[string]string{} // who is known as whom, by now: what ended for one of two before they were one did not end for the other
	who := func(subject string) string {
		for known[subject] != "" {
			subject = known[subject]
		}
		return subject
	}
	var threads []*thread
	of := map[string]*thread{}
	for _, e := range ordered {
		under, _, _ := strings.Cut(e.Agreement, "@")
		switch e.Kind {
		case "fact", "snapshot", "correction":
			th := of[e.Corrects]
			if e.Kind == "snapshot" {
				for _, o := range threads {
					l := o.last
					if l.ID != "" && laneOf(l.ID) == laneOf(e.ID) && who(l.Subject) == who(e.Subject) && l.Type == e.Type && l.Data["kind"] == e.Data["kind"] &&
						strings.HasPrefix(l.Agreement, under+"@") && l.Effective == e.Effective && l.Time == e.Time {
						th = o // the last that fits
					}
				}
			}
			if th == nil || th.last.ID == "" {
				th = &thread{lane: laneOf(e.ID), first: numberOf(cmp.Or(e.Corrects, e.ID))}
				threads = append(threads, th)
			}
			th.last, th.standing = e, "stands"
			of[e.ID] = th
		case "rekeyed":
			known[e.Subject] = e.Data["subject"].(string)
		case "retracted":
			if th := of[e.Corrects]; th != nil && th.last.ID == e.Corrects {
				th.last = wireEvent{}
			}
		case "erased":
			for _, cursor := range e.Data["cursors"].([]any) {
				if th := of[cursor.(string)]; th != nil && th.last.ID == cursor {
					th.last = wireEvent{}
				}
			}
		case "ended", "left-scope":
			for _, th := range threads {
				if th.last.ID != "" && who(th.last.Subject) == who(e.Subject) && strings.HasPrefix(th.last.Agreement, under+"@") && th.standing != "ended" {
					th.standing = e.Kind
				}
			}
		}
	}
	var out []string
	for _, th := range threads {
		if th.last.ID != "" {
			data, _ := json.Marshal(th.last.Data)
			under, _, _ := strings.Cut(th.last.Agreement, "@")
			out = append(out, fmt.Sprintf("%s first %d %s %s %s %v from %s %s %s %s", th.last.ID, th.first, who(th.last.Subject), under, th.last.Type,
				th.last.Data["kind"], th.last.Effective, th.last.Assurance, th.standing, data))
		}
	}
	slices.Sort(out)
	return out
}

func laneOf(cursor string) int   { return partOf(cursor, 1) }
func numberOf(cursor string) int { return partOf(cursor, 2) }

func partOf(cursor string, i int) int {
	n, err := strconv.Atoi(strings.Split(cursor, ".")[i])
	if err != nil {
		panic(err)
	}
	return n
}

// kept is what stands in a follower's file, one line a value.
func kept(t *testing.T, file, stream string) []string {
	t.Helper()
	store, err := sqlitestore.Open(context.Background(), file, stream)
	require.NoError(t, err)
	defer store.Close() //nolint:errcheck // a test's
	all, err := store.All(context.Background())
	require.NoError(t, err)
	var out []string
	for _, v := range all {
		var data map[string]any
		require.NoError(t, json.Unmarshal(v.Fields, &data))
		text, err := json.Marshal(data)
		require.NoError(t, err)
		out = append(out, fmt.Sprintf("%s first %d %s %s tellonce.%s.v1 %v from %s %s %s %s", v.Cursor, v.First.Number, v.Subject, v.Agreement, v.Type,
			data["kind"], v.Effective, v.Assurance, v.Standing, text))
	}
	slices.Sort(out)
	return out
}

// mover makes people's lives: they agree, tell, correct, cancel and withdraw, are merged and erased.
type mover struct {
	*scene
	random *rand.Rand
	under  []string // the agreements that they agree to or not, by what follows NAME-
	names  []string
	told   map[string][]int64 // that can be put right
	agreed map[string]bool
	used   map[string]bool // days by person
	merged bool
	erased int
}

func newMover(s *scene, seed uint64, under ...string) *mover {
	return &mover{
		scene: s, random: rand.New(rand.NewPCG(seed, 7)), under: under, // #nosec G404 -- a test's
		told: map[string][]int64{}, agreed: map[string]bool{}, used: map[string]bool{},
	}
}

func (m *mover) add(name string) {
	m.register(name)
	m.names = append(m.names, name)
	m.agree(name, true)
}

func (m *mover) agree(name string, yes bool) {
	method := map[bool]string{true: "PUT", false: "DELETE"}[yes]
	for _, agreement := range m.under {
		m.call(name, method, "/v1/me/consents/NAME-"+agreement, "").ok()
	}
	m.agreed[name] = yes
}

func (m *mover) address() string {
	kind := []string{"home", "mailing"}[m.random.IntN(2)]
	return fmt.Sprintf(`{"kind":%q,"street":"%d First St","city":"Kenora","province":"ON","postal_code":"P9N 3X9","country":"CA"}`, kind, m.random.IntN(1000))
}

// stay is how many people who are here agree.
func (m *mover) stay() (n int) {
	for _, name := range m.names {
		if m.agreed[name] {
			n++
		}
	}
	return n
}

// day is one from which nothing of a person holds yet. Of two facts from one day the hub knows which was told first also where one corrects
// what the ministry never got; the ministry can't.
func (m *mover) day(name string) string {
	for range 100_000 {
		day := daysAhead(m.random.IntN(300) - 280)
		if key := name + day; !m.used[key] {
			m.used[key] = true
			return day
		}
	}
	require.Fail(m, "a person has used up the days")
	return ""
}

// news is something that the ministry is told whatever happened before.
func (m *mover) news() {
	for _, name := range m.names {
		if m.agreed[name] {
			m.told[name] = append(m.told[name], m.tell(name, "address-changed", m.address(), m.day(name)))
			return
		}
	}
	require.Fail(m, "nobody agrees any more")
}

func (m *mover) step() {
	name := m.names[m.random.IntN(len(m.names))]
	told := m.told[name]
	switch n := m.random.IntN(20); {
	case n < 9:
		m.told[name] = append(told, m.tell(name, "address-changed", m.address(), m.day(name)))
	case n < 12:
		m.tell(name, "language-changed", fmt.Sprintf(`{"language":%q}`, []string{"en", "fr"}[m.random.IntN(2)]), m.day(name))
	case n < 17 && len(told) > 0:
		i := m.random.IntN(len(told))
		at := told[i]
		m.told[name] = slices.Delete(told, i, i+1)
		if n == 16 {
			m.scene.told(name, "change-cancelled", fmt.Sprintf(`{"corrects":%d}`, at)).ok()
			return
		}
		m.tell(name, "change-corrected", correction(at, m.address()), m.day(name))
	case n < 19:
		if m.agreed[name] && m.stay() > 6 { // for good: who agrees anew gets what holds then, and a ministry can't know what a later correction uncovers below it
			m.agree(name, false)
		}
	case !m.merged:
		m.merged = true
		m.call("officer", "POST", "/v1/merges", fmt.Sprintf(`{"going":{"source":"import","reference":"NAME-%s"},"kept":{"source":"import","reference":"NAME-%s"},`+
			`"reason":"invented"}`, m.names[0], m.names[1])).ok()
		m.names = m.names[2:] // the hub's own fold of the two is one history; the ministry's is of two
	case m.erased < 2:
		m.erased++
		m.call(name, "POST", "/v1/me/erasure", "").ok()
		m.names = slices.DeleteFunc(m.names, func(other string) bool { return other == name })
	}
}

// following is a ministry's program under way.
type following struct {
	*exec.Cmd
	ended chan struct{}
}

func (s *scene) follow(args ...string) *following {
	s.Helper()
	f := &following{s.place.command(args...), make(chan struct{})}
	var errs lockedBuffer
	f.Stderr = &errs
	require.NoError(s, f.Start())
	go func() {
		_ = f.Wait()
		close(f.ended)
	}()
	s.Cleanup(func() {
		f.kill()
		if s.Failed() {
			s.Log(errs.String())
		}
	})
	return f
}

func (f *following) kill() {
	_ = f.Process.Kill()
	<-f.ended
}

// until waits for the program to have come to something, and fails if it ends before.
func (f *following) until(t *testing.T, what string, come func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		select {
		case <-f.ended:
			return true
		default:
			return come()
		}
	}, 3*time.Minute, 20*time.Millisecond, what)
	require.True(t, come(), "it ended before: %s", what)
}

// applied is how many numbers a follower's file has taken.
func applied(t *testing.T, file, stream string) (n int64) {
	t.Helper()
	store, err := sqlitestore.Open(context.Background(), file, stream)
	require.NoError(t, err)
	defer store.Close() //nolint:errcheck // a test's
	last, _, err := store.Status(context.Background())
	require.NoError(t, err)
	for _, c := range last {
		n += c.Number
	}
	return n
}

// TestFollowThroughKills: people live their lives while the ministry's program is killed ten times. In the end its table is what came over the
// wire, folded by somebody else, and what it holds of each person is what the hub holds. There is one lane: between lanes nothing orders what is
// told of two people who become one.
func TestFollowThroughKills(t *testing.T) {
	t.Parallel()
	for name, live := range map[string][]string{"pull": nil, "live": {"--live"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			places(t, func(t *testing.T, p *place) {
				shares := "{event: address-changed, fields: [kind, street, city]}, {event: language-changed, fields: [language]}"
				text := strings.ReplaceAll(agreementText("card", "consent", "all", 1, shares, "lanes: 1"), "NAME", "s07")
				w := startWorld(p, []string{text})
				seed := rand.Uint64() // #nosec G404 -- a test's
				t.Log("seed", seed)
				m := newMover(w.scene(t, 7), seed, "card")
				for i := range 9 {
					m.add(fmt.Sprintf("p%d", i))
				}
				stream := m.id + ".card"
				token, file, wire := filepath.Join(p.dir, "token"), filepath.Join(p.dir, "table.sqlite"), tap(t, w.hub.url)
				require.NoError(t, os.WriteFile(token, []byte(m.as("ministry")), 0o600))
				args := []string{"stream", "follow", stream, "--apply", file, "--url", wire.URL, "--token-file", token}
				for range 10 {
					before := applied(t, file, stream)
					follower := m.follow(append(args, live...)...)
					for range m.random.IntN(12) + 3 {
						m.step()
					}
					m.news()
					follower.until(t, "something was applied", func() bool { return applied(t, file, stream) > before })
					follower.kill()
				}
				for !m.merged || m.erased == 0 {
					m.step()
				}
				p.run("snapshot", "run")
				once := objects(t, p.run(append(args, "--once")...))
				require.Equal(t, stream, once[0]["stream"])
				require.NotEmpty(t, once[0]["last"])

				require.Equal(t, naive(wire.events(t)), kept(t, file, stream))
				require.True(t, m.merged)
				require.Positive(t, m.erased)
				m.asTheHubHolds(file, stream)
				require.Equal(t, once, objects(t, p.run(append(args, "--once")...)), "again: nothing new")
				m.answered(stream)
			})
		})
	}
}

// asTheHubHolds compares what the file holds of each person who agrees now with what the person sees at the hub.
func (m *mover) asTheHubHolds(file, stream string) {
	m.Helper()
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, file, stream)
	require.NoError(m, err)
	defer store.Close() //nolint:errcheck // a test's
	compared := 0
	for _, name := range m.names {
		if !m.agreed[name] {
			continue
		}
		ids, err := m.log.journal.Pairwise(ctx, m.id, 1, m.people[name].id)
		require.NoError(m, err)
		values, err := store.Values(ctx, ids[0])
		require.NoError(m, err)
		got := map[string]string{}
		for _, v := range ministry.Current(values, today()) {
			var data map[string]any
			require.NoError(m, json.Unmarshal(v.Fields, &data))
			got[v.Type+" "+v.Key] = fmt.Sprint(data["street"], data["language"])
		}
		want := map[string]string{}
		for _, one := range m.call(name, "GET", "/v1/me", "").ok().body["facts"].([]any) {
			f := one.(map[string]any)
			data, _ := f["data"].(map[string]any)
			if kind, _ := data["kind"].(string); f["type"] == "address-changed" || f["type"] == "language-changed" {
				want[fmt.Sprint(f["type"], " ", kind)] = fmt.Sprint(data["street"], data["language"])
			}
		}
		require.Equal(m, want, got, name)
		compared += len(want)
	}
	require.Positive(m, compared)
}

// answered: the ministry has answered for every number.
func (m *mover) answered(stream string) {
	m.Helper()
	answered := map[int]map[int64]bool{}
	entries, err := m.log.journal.ReadAggregate(context.Background(), journal.StreamAggregate(stream), 1, 10_000)
	require.NoError(m, err)
	for i := range entries {
		r, ok := entries[i].Event.(journal.ReceiptsRecorded)
		if !ok {
			continue
		}
		if answered[r.Lane] == nil {
			answered[r.Lane] = map[int64]bool{}
		}
		for n := r.From; n <= r.To; n++ {
			answered[r.Lane][n] = true
		}
	}
	statuses, err := m.log.delivery.Status(context.Background())
	require.NoError(m, err)
	for _, lane := range statuses {
		require.Len(m, answered[lane.Lane], int(lane.Last), "lane %d", lane.Lane)
	}
}
