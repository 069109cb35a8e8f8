package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/adapters/ministry/sqlitestore"
	"github.com/tellonce/hub/domain/delivery"
)

// tape is every byte that a ministry received, by number, and what was wrong with it. It shares no rule with the hub or the client.
type tape struct {
	apart bool // events of different people may overtake each other
	once  bool // nothing may come again

	mu       sync.Mutex
	first    map[int]string // as it came first
	last     map[int]string
	subjects map[string]int // the highest number of each person
	highest  int
	came     int
	again    int // of them with the bytes of before
	recalled int // of them that had a content before: it was withdrawn meanwhile
	wrong    []string
}

func newTape() *tape {
	return &tape{first: map[int]string{}, last: map[int]string{}, subjects: map[string]int{}}
}

func (k *tape) take(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var e wireEvent
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		k.wrong = append(k.wrong, "no event: "+text)
		return
	}
	n := numberOf(e.ID)
	before, known := k.last[n]
	k.came++
	k.last[n] = text
	switch {
	case known && k.once:
		k.wrong = append(k.wrong, e.ID+" came again")
		return
	case known && before == text:
		k.again++
		return
	case known && e.Kind == "recalled" && !strings.Contains(before, `"kind":"recalled"`):
		k.recalled++
		return
	case known:
		k.wrong = append(k.wrong, e.ID+" has two contents")
		return
	}
	k.first[n] = text
	if !k.apart && n != k.highest+1 {
		k.wrong = append(k.wrong, fmt.Sprintf("%s came after number %d", e.ID, k.highest))
	}
	if n < k.subjects[e.Subject] {
		k.wrong = append(k.wrong, fmt.Sprintf("%s came after number %d of the same person", e.ID, k.subjects[e.Subject]))
	}
	k.highest = max(k.highest, n)
	if e.Subject != "" {
		k.subjects[e.Subject] = n
	}
}

func (k *tape) String() string {
	return fmt.Sprintf("%d events in %d deliveries, %d again with the same bytes, %d withdrawn meanwhile", len(k.first), k.came, k.again, k.recalled)
}

// is demands that the tape holds each of the hub's lines, in the bytes that the hub gives now, and nothing else.
func (k *tape) is(t *testing.T, lines []string) {
	t.Helper()
	require.Empty(t, k.wrong)
	var missing []int
	for i := range lines {
		if _, ok := k.first[i+1]; !ok {
			missing = append(missing, i+1)
		}
	}
	require.Empty(t, missing, "did not come")
	require.Equal(t, len(lines), k.highest)
	for i, line := range lines {
		if wired(t, []byte(line)).Kind != "recalled" { // it may have left before it was
			require.Equal(t, line, k.first[i+1])
			require.Equal(t, line, k.last[i+1])
		}
	}
}

// consumer is one ministry's program on a stream of its own, with a table of what stands.
type consumer struct {
	way      string
	stream   string
	file     string
	store    *sqlitestore.Store // the test's own look into the file
	follower *following         // nil: it runs in the test's process
	tape     func() *tape
	events   func() map[string]wireEvent // what it applied
}

// consumers are attached to one hub.
type consumers struct {
	*mover
	url   string // of the hub, behind which it may be killed
	token string // file
	all   []*consumer
}

func attach(m *mover, url string) *consumers {
	m.Helper()
	c := &consumers{mover: m, url: url, token: filepath.Join(m.place.dir, "token")}
	require.NoError(m, os.WriteFile(c.token, []byte(m.as("ministry")), 0o600))
	return c
}

func (c *consumers) add(way string) *consumer {
	c.Helper()
	one := &consumer{way: way, stream: c.id + "." + way, file: filepath.Join(c.place.dir, way+".sqlite")}
	store, err := sqlitestore.Open(context.Background(), one.file, one.stream)
	require.NoError(c, err)
	c.Cleanup(func() { _ = store.Close() })
	one.store = store
	c.all = append(c.all, one)
	return one
}

// reads attaches a program that reads over the API: by pull, or live.
func (c *consumers) reads(way string, more ...string) {
	c.Helper()
	one, wire := c.add(way), tap(c.T, c.url)
	one.follower = c.follow(append([]string{"stream", "follow", one.stream, "--apply", one.file, "--url", wire.URL, "--token-file", c.token}, more...)...)
	one.events = func() map[string]wireEvent { return wire.events(c.T) }
	one.tape = func() *tape {
		k := newTape()
		wire.each(func(text []byte) { k.take(string(text)) })
		return k
	}
}

// consumes attaches a program that has Kafka. The topic holds each number once: nothing comes again.
func (c *consumers) consumes(way, broker string) {
	c.Helper()
	one := c.add(way)
	one.follower = c.follow("stream", "follow", one.stream, "--apply", one.file, "--kafka", broker)
	var whole []string
	records := sync.OnceFunc(func() {
		topic := "tellonce." + one.stream
		n := len(consumeAll(c.T, broker, topic))
		for _, r := range consume(c.T, broker, topic, func(seen []record) bool { return len(seen) >= n }) {
			whole = append(whole, r.structured(c.T))
		}
	})
	one.events = func() map[string]wireEvent {
		records()
		out := map[string]wireEvent{}
		for _, text := range whole {
			e := wired(c.T, []byte(text))
			out[e.ID] = e
		}
		return out
	}
	one.tape = func() *tape {
		records()
		k := newTape()
		k.once = true
		for _, text := range whole {
			k.take(text)
		}
		return k
	}
}

// structured is a record in the bytes of the API: its attributes in their order, then data.
func (r record) structured(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for i, name := range []string{"specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype", "kind", "sequence",
		"effective", "agreement", "assurance", "corrects"} {
		value := r.headers["ce_"+name]
		if name == "datacontenttype" {
			value = r.headers["content-type"]
		}
		if value != "" {
			text, err := json.Marshal(value)
			require.NoError(t, err)
			fmt.Fprintf(&out, "%s%q:%s", []string{"{", ","}[min(i, 1)], name, text)
		}
	}
	if r.value != "" {
		out.WriteString(`,"data":` + r.value)
	}
	return out.String() + "}"
}

// receives attaches an endpoint, made of the client's handler, at most so many events a request.
func (c *consumers) receives(way string, batch int) {
	c.Helper()
	one := c.add(way)
	k, applied := newTape(), map[string]wireEvent{}
	k.apart = true
	var mu sync.Mutex
	table := ministry.Table{Records: one.store}
	client, err := ministry.NewClient(ministry.ClientConfig{URL: c.url, Token: ministry.TokenFile(c.token)})
	require.NoError(c, err)
	var errs lockedBuffer
	consumer, err := ministry.New(ministry.Config{
		Stream: one.stream, Store: one.store, Client: client, Logger: slog.New(slog.NewTextHandler(&errs, nil)),
		Handler: ministry.HandlerFunc(func(ctx context.Context, e ministry.Event) error {
			mu.Lock()
			applied[e.Cursor.String()] = unparsed(e) // what is taken back is applied again
			mu.Unlock()
			return table.Handle(ctx, e)
		}),
	})
	require.NoError(c, err)
	secret := filepath.Join(c.place.dir, way+".secret")
	handler, err := consumer.Webhook(ministry.WebhookConfig{Secrets: ministry.SecretsFile(secret)})
	require.NoError(c, err)
	server := httptest.NewServer(recording(k, handler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = consumer.Run(ctx) // sends the receipts
	}()
	c.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		<-ended
		if c.Failed() {
			c.Log(errs.String())
		}
	})
	set := objects(c.T, c.place.run("stream", "endpoint", "set", one.stream, "--url", server.URL+"/hook", "--batch", fmt.Sprint(batch), "--webhook-allow-loopback"))
	require.NoError(c, os.WriteFile(secret, []byte(set[0]["secret"].(string)), 0o600))
	one.tape = func() *tape { return k }
	one.events = func() map[string]wireEvent {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(applied)
	}
}

// recording keeps the events of every request that came whole.
func recording(k *tape, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // its sender was killed
		}
		var batch []json.RawMessage
		switch {
		case bytes.Contains(body, []byte(ministry.ChallengeType)):
		case json.Unmarshal(body, &batch) == nil:
			for _, text := range batch {
				k.take(string(text))
			}
		default:
			k.take(string(body))
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// unparsed is an event as it came over the wire.
func unparsed(e ministry.Event) wireEvent {
	w := wireEvent{
		ID: e.Cursor.String(), Type: e.Type, Kind: e.Kind, Subject: e.Subject, Time: e.Time.Format(time.RFC3339), Assurance: e.Assurance,
		Corrects: e.Corrects.String(), Agreement: e.Agreement, Effective: e.Effective,
	}
	_ = json.Unmarshal(e.Data, &w.Data) // the client has looked at it
	return w
}

// applied is how many numbers each has applied.
func (c *consumers) applied(ctx context.Context) ([]int64, error) {
	out := make([]int64, len(c.all))
	for i, one := range c.all {
		last, _, err := one.store.Status(ctx)
		if err != nil {
			return nil, err
		}
		for _, cursor := range last {
			out[i] += cursor.Number
		}
	}
	return out, nil
}

// moved waits until each has applied more than before.
func (c *consumers) moved(ctx context.Context, before []int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond) // nothing tells what another process has committed
	defer tick.Stop()
	for {
		now, err := c.applied(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(c.all, func(one *consumer) bool { i := slices.Index(c.all, one); return now[i] <= before[i] }) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not all consumers went on: %v, before %v: %w", now, before, ctx.Err())
		}
	}
}

// drain waits until each consumer has applied all that there is, ends those that run by a signal, and compares what they received, what they
// keep and what the hub holds.
func (c *consumers) drain() {
	c.Helper()
	c.place.run("snapshot", "run")
	whole := map[string][]string{}
	for _, one := range c.all {
		whole[one.stream] = c.whole(one)
	}
	for _, one := range c.all {
		if one.follower != nil {
			require.NoError(c, one.follower.Process.Signal(os.Interrupt))
			<-one.follower.ended
			require.Zero(c, one.follower.ProcessState.ExitCode(), "%s ends well when it is asked to", one.way)
		}
	}
	for _, one := range c.all {
		k := one.tape()
		c.Logf("%s: %s", one.way, k)
		k.is(c.T, whole[one.stream])
		require.Equal(c, naive(one.events()), kept(c.T, one.file, one.stream), one.way)
		c.asTheHubHolds(one.file, one.stream)
	}
}

// whole waits until a consumer has applied all that its stream holds, and returns that. A read that meets the push may be told to try again.
func (c *consumers) whole(one *consumer) []string {
	c.Helper()
	for range 20 { // a follower of the hub may still give something to it
		require.Eventually(c, func() bool { return applied(c.T, one.file, one.stream) >= c.given(one) }, 3*time.Minute, 20*time.Millisecond, one.way)
		out, errs, code := c.place.try(nil, "stream", "read", one.stream)
		if code != 0 {
			require.Contains(c, errs, delivery.ErrBusy.Error())
			continue
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if last := c.given(one); last == int64(len(lines)) && applied(c.T, one.file, one.stream) == last {
			return lines
		}
	}
	require.Fail(c, "it grows and grows", one.stream)
	return nil
}

// given is the last number of a consumer's stream.
func (c *consumers) given(one *consumer) int64 {
	c.Helper()
	statuses, err := c.log.delivery.Status(context.Background())
	require.NoError(c, err)
	i := slices.IndexFunc(statuses, func(s delivery.LaneStatus) bool { return s.Stream == one.stream })
	require.GreaterOrEqual(c, i, 0, one.stream)
	return statuses[i].Last
}

// TestTheFoldOfTwoWhoBecomeOne: what ended for one of them before, did not end for the other. The client and the fold by somebody else agree.
func TestTheFoldOfTwoWhoBecomeOne(t *testing.T) {
	t.Parallel()
	const stream = "moh.invented"
	file := filepath.Join(t.TempDir(), "table.sqlite")
	store, err := sqlitestore.Open(t.Context(), file, stream)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	c, err := ministry.New(ministry.Config{Stream: stream, Store: store, Handler: ministry.Table{Records: store}})
	require.NoError(t, err)
	events := map[string]wireEvent{}
	for i, rest := range []string{
		`"type":"tellonce.language-changed.v1","kind":"fact","subject":"a","effective":"2026-01-02","agreement":"card@1","data":{"language":"en"}`,
		`"type":"tellonce.language-changed.v1","kind":"fact","subject":"b","effective":"2026-01-03","agreement":"card@1","data":{"language":"fr"}`,
		`"type":"tellonce.ended.v1","kind":"ended","subject":"a","agreement":"card@1","data":{}`,
		`"type":"tellonce.rekeyed.v1","kind":"rekeyed","subject":"b","agreement":"card@1","data":{"subject":"a"}`,
	} {
		text := fmt.Sprintf(`{"specversion":"1.0","id":"1.0.%d","sequence":"%012d","source":"https://hub.example/streams/%s","time":"2026-02-01T00:00:00Z",%s}`,
			i+1, i+1, stream, rest)
		e, err := ministry.ParseEvent([]byte(text))
		require.NoError(t, err)
		require.NoError(t, c.Deliver(t.Context(), e))
		w := wired(t, []byte(text))
		events[w.ID] = w
	}
	require.Equal(t, naive(events), kept(t, file, stream))
	require.Len(t, naive(events), 2)
}
