package httpapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

const feed = "/v1/streams/moh.health-card/events"

// serve runs the API on a real connection. started gets a token for each request that has reached it.
func (b *bundle) serve(change func(*http.Server, net.Listener) net.Listener) (url string, client *http.Client, started chan struct{}) {
	b.t.Helper()
	started = make(chan struct{}, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		b.handler.ServeHTTP(w, r)
	}))
	if change != nil {
		server.Listener = change(server.Config, server.Listener)
	}
	server.Start()
	b.t.Cleanup(server.Close)
	client = server.Client()
	client.Timeout = 20 * time.Second
	return server.URL, client, started
}

func asMinistry(ctx context.Context, t testing.TB, url string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer moh")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// next is where a page's Link leads.
func next(t *testing.T, header http.Header) string {
	t.Helper()
	require.Len(t, header.Values("Link"), 1)
	link, ok := strings.CutPrefix(header.Get("Link"), "<")
	require.True(t, ok)
	link, ok = strings.CutSuffix(link, `>; rel="next"`)
	require.True(t, ok)
	return link
}

func ids(t *testing.T, text string) (out []string) {
	t.Helper()
	var events []struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(text), &events))
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

func TestAFeedIsReadPageByPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 5 {
		b.told("ann", move(fmt.Sprint(i, " First St")))
	}
	var seen []string
	place := feed + "?limit=2&lane=0&wait=0s"
	for range 3 {
		page := b.call("GET", place, "moh", nil)
		require.Equal(t, http.StatusOK, page.status, page.text)
		require.Equal(t, "application/cloudevents-batch+json", page.header.Get("Content-Type"))
		require.Equal(t, "no-store", page.header.Get("Cache-Control"))
		require.Empty(t, page.header.Get("ETag"))
		seen = append(seen, ids(t, page.text)...)
		place = next(t, page.header)
		require.Equal(t, fmt.Sprintf("%s?after=%s&lane=0&limit=2&wait=0s", feed, seen[len(seen)-1]), place)
	}
	require.Equal(t, []string{"1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5"}, seen)
	head := b.head()
	empty := b.call("GET", place, "moh", nil)
	require.Equal(t, "[]", empty.text)
	require.Equal(t, place, next(t, empty.header), "there is always a next")
	require.Equal(t, head, b.head(), "an empty page appends nothing")

	first := b.call("GET", feed+"?limit=2", "moh", nil)
	again := b.call("GET", feed+"?limit=2", "moh", nil)
	require.Equal(t, first.text, again.text, "a number always has the same bytes")
	require.Equal(t, head+2, b.head(), "each further reading is redelivered first")
	var events []object
	require.NoError(t, json.Unmarshal([]byte(first.text), &events))
	require.Equal(t, "fact", events[0]["kind"])
	require.Equal(t, "moh-ann", events[0]["data"].(object)["client_reference"])
	require.NotContains(t, first.text, b.people["ann"].String())
	const unread = "/v1/streams/library.membership/events"
	require.Equal(t, unread, next(t, b.call("GET", unread, "library", nil).header), "nothing read, nothing to name")
}

// Who takes gzip gets it, where it is worth it; the events are the same.
func TestALargePageIsCompressed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 20 {
		b.told("ann", move(fmt.Sprint(i, " First St")))
	}
	url, client, _ := b.serve(nil)
	read := func(query, accept string) (header http.Header, body []byte) {
		answer, err := client.Do(asMinistry(t.Context(), t, url+feed+query, "Accept-Encoding", accept))
		require.NoError(t, err)
		defer func() { require.NoError(t, answer.Body.Close()) }()
		body, err = io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.Header, body
	}
	_, plain := read("", "identity")
	header, packed := read("", "br;q=1.0, gzip;q=0.8")
	require.Equal(t, "gzip", header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", header.Get("Vary"))
	require.Less(t, len(packed), len(plain)/4)
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	unpacked, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, string(plain), string(unpacked))

	header, _ = read("", "gzip;q=0")
	require.Empty(t, header.Get("Content-Encoding"))
	header, _ = read("?limit=1", "gzip")
	require.Empty(t, header.Get("Content-Encoding"), "a small page is sent as it is")
}

func TestBadReadsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.told("ann", move("1 First St"))
	require.Equal(t, http.StatusOK, b.call("GET", feed, "moh", nil).status)
	b.told("ann", move("2 Second St"))
	head := b.head()
	for query, want := range map[string]string{
		"limit=0": "bad-query", "limit=10001": "bad-query", "limit=-1": "bad-query", "limit=x": "bad-query", "limit=1e3": "bad-query", "limit=01": "bad-query",
		"limit=99999999999999999999": "bad-query", "wait=31s": "bad-query", "wait=-1s": "bad-query", "wait=20": "bad-query", "wait=x": "bad-query",
		"lane=1": "bad-query", "lane=-1": "bad-query", "lane=x": "bad-query", "after=1.0.1&after=1.0.1": "bad-query", "aftr=1.0.1": "bad-query", canary: "bad-query",
		"after=%zz": "bad-query", "after=1.0.2": "unknown-cursor", "after=1.0.0": "unknown-cursor", "after=2.0.1": "unknown-cursor", "after=1.1.1": "unknown-cursor",
		"after=1.0.01": "unknown-cursor", "after=" + canary: "unknown-cursor", "after=": "unknown-cursor", "after": "unknown-cursor",
	} {
		for _, accept := range []string{"*/*", "text/event-stream"} {
			got := b.call("GET", feed+"?"+query, "moh", nil, "Accept", accept)
			require.Equal(t, want, got.code(), query)
			require.Equal(t, map[string]int{"bad-query": 400, "unknown-cursor": 409}[want], got.status)
		}
	}
	require.Equal(t, "unknown-cursor", b.call("GET", feed, "moh", nil, "Accept", "text/event-stream", "Last-Event-ID", "1.0.9").code())
	require.Equal(t, head, b.head(), "never a silent start from zero")

	headed := b.call("HEAD", feed, "moh", nil)
	require.Equal(t, http.StatusMethodNotAllowed, headed.status)
	require.Equal(t, "GET", headed.header.Get("Allow"))
	require.Equal(t, http.StatusMethodNotAllowed, b.call("POST", feed, "moh", object{}).status)
	require.Equal(t, head, b.head())
}

// answered is what a request that runs beside the test came to.
type answered struct {
	status int
	link   string
	text   string
	err    error
}

func begin(client *http.Client, r *http.Request) chan answered {
	out := make(chan answered, 1)
	go func() {
		response, err := client.Do(r)
		if err != nil {
			out <- answered{err: err}
			return
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		out <- answered{status: response.StatusCode, link: response.Header.Get("Link"), text: string(text), err: err}
	}()
	return out
}

func TestALongPollWakesWithAChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, client, started := b.serve(nil)
	for i := range 3 {
		after := ""
		if i > 0 {
			after = fmt.Sprintf("&after=1.0.%d", i)
		}
		began := time.Now()
		waiting := begin(client, asMinistry(context.Background(), t, url+feed+"?wait=30s"+after))
		<-started
		b.told("ann", move("1 First St"))
		got := <-waiting
		require.NoError(t, got.err)
		require.Equal(t, []string{fmt.Sprintf("1.0.%d", i+1)}, ids(t, got.text))
		require.Less(t, time.Since(began), 10*time.Second, "it must not wait its time out")
	}
}

func TestWaitingReadersShareOnePage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, client, started := b.serve(nil)
	var all []chan answered
	for range 8 {
		all = append(all, begin(client, asMinistry(context.Background(), t, url+feed+"?wait=30s")))
		<-started
	}
	b.told("ann", move("1 First St"))
	for _, waiting := range all {
		got := <-waiting
		require.NoError(t, got.err)
		require.Equal(t, []string{"1.0.1"}, ids(t, got.text))
	}
	require.Len(t, b.events(journal.TypeDisclosed), 1)
}

func TestADrainEndsLongPollsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, client, started := b.serve(nil)
	waiting := begin(client, asMinistry(context.Background(), t, url+feed+"?wait=30s"))
	<-started
	began := time.Now()
	b.drain()
	got := <-waiting
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "[]", got.text)
	require.Contains(t, got.link, `rel="next"`)
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestAReaderThatGoesCostsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, client, started := b.serve(nil)
	ctx, cancel := context.WithCancel(context.Background())
	head := b.head()
	waiting := begin(client, asMinistry(ctx, t, url+feed+"?wait=30s"))
	<-started
	cancel()
	require.ErrorIs(t, (<-waiting).err, context.Canceled)
	require.Eventually(t, func() bool { return strings.Contains(b.logs.String(), `"status":499`) }, 10*time.Second, time.Millisecond)
	require.Equal(t, head, b.head())
}

func TestALongPollOutlivesTheServersTimeouts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, client, _ := b.serve(func(s *http.Server, l net.Listener) net.Listener {
		s.ReadTimeout, s.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
		return l
	})
	got := <-begin(client, asMinistry(context.Background(), t, url+feed+"?wait=500ms"))
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "[]", got.text)
}

// narrow makes socket buffers so small that an unread page fills them.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return c, err
}

func TestAnUnfinishedWriteIsCutOffAtD(t *testing.T) {
	t.Parallel()
	// A clock that goes behind the connection's by almost D: what is covered now must have left within half a second.
	b := setupWith(t, options{journal: journaltest.Options{Clock: func() time.Time { return time.Now().Add(-9500 * time.Millisecond) }}})
	for range 150 {
		b.told("ann", move(strings.Repeat("x", 150)))
	}
	url, _, _ := b.serve(func(_ *http.Server, l net.Listener) net.Listener { return narrow{l} })
	for _, accept := range []string{"*/*", "text/event-stream"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
		_, err = fmt.Fprintf(conn, "GET %s?limit=10000 HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer moh\r\nAccept: %s\r\n\r\n", feed, accept)
		require.NoError(t, err)
		count := func() int { return strings.Count(b.logs.String(), `"route":"GET /v1/streams/{stream}/events"`) }
		before := count()
		require.Eventually(t, func() bool { return count() > before }, 8*time.Second, 5*time.Millisecond, "the hub still holds on to a reader that does not read")
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		text, err := io.ReadAll(conn)
		if err == nil { // closed: then not everything has arrived
			require.NotContains(t, string(text), `"id":"1.0.150"`)
		}
		require.NoError(t, conn.Close())
	}
}

// live is a live feed as a browser reads it.
type live struct {
	t      testing.TB
	lines  *bufio.Scanner
	cancel context.CancelFunc
	body   io.Closer
}

func (b *bundle) live(client *http.Client, url string, headers ...string) *live {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	response, err := client.Do(asMinistry(ctx, b.t, url, append(headers, "Accept", "text/event-stream")...))
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, response.StatusCode)
	require.Equal(b.t, "text/event-stream", response.Header.Get("Content-Type"))
	l := &live{t: b.t, lines: bufio.NewScanner(response.Body), cancel: cancel, body: response.Body}
	b.t.Cleanup(func() { cancel(); _ = response.Body.Close() })
	return l
}

// event is the next event's id and data; comments are counted.
func (l *live) event() (id, data string, comments int) {
	l.t.Helper()
	for l.lines.Scan() {
		line := l.lines.Text()
		switch {
		case strings.HasPrefix(line, ":"):
			comments++
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && data != "":
			return id, data, comments
		}
	}
	return "", "", comments
}

func TestALiveFeedGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url, client, _ := b.serve(nil)
	b.told("ann", move("1 First St"))
	first := b.live(client, url+feed)
	id, data, _ := first.event()
	require.Equal(t, "1.0.1", id)
	var batch []json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(b.call("GET", feed, "moh", nil).text), &batch))
	require.Equal(t, string(batch[0]), data, "the same event as in a batch")
	b.told("ann", move("2 Second St"))
	id, _, _ = first.event()
	require.Equal(t, "1.0.2", id)
	first.cancel()
	b.told("ann", move("3 Third St"))

	for _, resumed := range []*live{
		b.live(client, url+feed, "Last-Event-ID", "1.0.2"),
		b.live(client, url+feed+"?after=1.0.2"),
		b.live(client, url+feed+"?after=1.0.1", "Last-Event-ID", "1.0.2"), // the browser's own memory is the newer one
	} {
		id, _, _ = resumed.event()
		require.Equal(t, "1.0.3", id)
		resumed.cancel()
	}
}

func TestALiveFeedIsAliveAndEndsWithTheHub(t *testing.T) {
	t.Parallel()
	b := setupWith(t, options{heartbeat: 5 * time.Millisecond})
	url, client, _ := b.serve(nil)
	l := b.live(client, url+feed)
	for range 4 {
		require.True(t, l.lines.Scan())
		require.Equal(t, ": waiting", l.lines.Text())
		require.True(t, l.lines.Scan())
	}
	b.told("ann", move("1 First St"))
	id, _, _ := l.event()
	require.Equal(t, "1.0.1", id)
	began := time.Now()
	b.drain()
	id, _, _ = l.event()
	require.Empty(t, id)
	require.NoError(t, l.lines.Err(), "the feed ends cleanly")
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestAWithdrawnFactIsRecalledForEveryReader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := move("1 First St")
	body["consents"] = []any{object{"agreement": "outdoors-card"}}
	b.told("ann", body)
	const cards = "/v1/streams/mnr.outdoors-card/events"
	require.Contains(t, b.call("GET", cards, "mnr", nil).text, "First St")
	require.Equal(t, http.StatusOK, b.call("DELETE", "/v1/me/consents/outdoors-card", "ann", nil).status)
	for _, accept := range []string{"*/*", "application/json"} {
		got := b.call("GET", cards, "mnr", nil, "Accept", accept)
		require.Equal(t, []string{"1.0.1"}, ids(t, got.text))
		require.NotContains(t, got.text, "First St")
		require.True(t, slices.Contains(strings.Split(got.text, `"`), "tellonce.recalled.v1"), got.text)
	}
}
