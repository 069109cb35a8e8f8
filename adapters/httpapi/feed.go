package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

const (
	maxPage      = 10_000
	defaultPage  = 1000
	maxWait      = 30 * time.Second
	maxLive      = time.Hour // a live feed ends then, so that its token is looked at again
	batchType    = "application/cloudevents-batch+json"
	eventStream  = "text/event-stream"
	writeTimeout = delivery.D // of what is no event: headers, heartbeats
)

func (s *server) feedRoutes() {
	rt := route{
		method: http.MethodGet, path: "/v1/streams/{stream}/events", id: "events", tag: "streams", roles: []journal.Role{journal.RoleMinistry},
		summary: "Read a lane of your stream",
		description: "CloudEvents 1.0 after a cursor, in order, as a batch. A page holds numbers given already, else new ones, and may be " +
			"shorter than `limit`; it is empty only after the wait. Follow `Link: rel=\"next\"`, which is always there. With `Accept: " +
			"text/event-stream` the same events come live; `Last-Event-ID` is honoured, a comment is sent every 15 s, and the feed ends " +
			"after an hour: connect again.",
		codes: []string{codeBadQuery, codeUnknownStream, codeOthersStream, codeUnknownCursor, codePaused, codeBusy},
	}
	s.plain(rt, feedParams(), media{
		batchType:   {Schema: eventBatchSchema(), Example: s.examples[rt.id].Answer},
		eventStream: {Schema: &huma.Schema{Type: "string"}, Example: "id: 1.0.42\ndata: {\"specversion\":\"1.0\",\"id\":\"1.0.42\",…}\n\n"},
	}, s.events)
	op := s.api.OpenAPI().Paths[rt.path].Get
	op.Responses["200"].Headers = map[string]*huma.Param{"Link": {
		Description: "where to read on", Schema: &huma.Schema{Type: "string"},
		Example: `</v1/streams/moh.health-card/events?after=1.0.42&limit=1000&wait=20s>; rel="next"`,
	}}
	s.mux.HandleFunc("HEAD "+rt.path, func(w http.ResponseWriter, _ *http.Request) { // a HEAD would give numbers, and show nothing
		p := newProblem(codeMethodNotAllowed)
		p.allow = http.MethodGet
		p.write(w)
	})
	s.public["HEAD "+rt.path] = true
}

// feedRequest is what a reader asks for.
type feedRequest struct {
	stream string
	lane   int
	after  int64
	cursor string // after, as it was sent
	limit  int
	wait   time.Duration
	query  map[string]string
}

// events is GET /v1/streams/{stream}/events.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	open, err := s.mayOpen(r)
	if err != nil {
		return err
	}
	f, err := s.feedRequest(r, open)
	if err != nil {
		return err
	}
	ctx, cancel := s.untilDrain(r.Context())
	defer cancel()
	if wantsLive(r) {
		return s.live(ctx, w, f)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(f.wait + answerTime))
	ctx, stop := context.WithTimeout(ctx, f.wait+workTime)
	defer stop()
	page, err := s.Delivery.Next(ctx, f.stream, f.lane, f.after, f.limit, f.wait)
	if err != nil && !s.draining(r.Context(), err) {
		return err
	}
	return s.writePage(w, r, f, page)
}

// untilDrain is a request's context, which also ends when the hub begins to stop.
func (s *server) untilDrain(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.Drain, cancel)
	return ctx, func() { stop(); cancel() }
}

// draining says whether a read ended because the hub stops: its reader gets an empty page and asks again, elsewhere.
func (s *server) draining(request context.Context, err error) bool {
	return errors.Is(err, context.Canceled) && request.Err() == nil && s.Drain.Err() != nil
}

func (s *server) feedRequest(r *http.Request, open journal.StreamOpened) (feedRequest, error) {
	q, err := query(r, "after", "limit", "wait", "lane")
	if err != nil {
		return feedRequest{}, err
	}
	f := feedRequest{stream: open.Stream, query: q}
	var ok bool
	if f.limit, ok = number(q["limit"], defaultPage, 1, maxPage); !ok {
		return f, badQuery(fmt.Sprintf("limit is 1 to %d", maxPage))
	}
	if f.lane, ok = number(q["lane"], 0, 0, open.Lanes-1); !ok {
		return f, badQuery(fmt.Sprintf("this stream's lanes are 0 to %d", open.Lanes-1))
	}
	if q["wait"] != "" {
		if f.wait, err = time.ParseDuration(q["wait"]); err != nil || f.wait < 0 || f.wait > maxWait {
			return f, badQuery("wait is a time such as 20s, of at most 30s")
		}
	}
	after, given := q["after"]
	if last := r.Header.Get("Last-Event-ID"); last != "" && wantsLive(r) {
		after, given = last, true
	}
	if given && after == "" { // a client whose stored cursor got lost must not start from the beginning unawares
		return f, delivery.ErrUnknownCursor
	}
	f.cursor = after
	f.after, err = s.Delivery.After(after, f.lane)
	return f, err
}

// next is where to read on, in the request's own words.
func (f *feedRequest) next(page delivery.Page) string {
	cursor := f.cursor
	if n := len(page.Messages); n > 0 {
		cursor = page.Messages[n-1].Cursor.String()
	}
	values := url.Values{}
	for name, value := range f.query {
		values.Set(name, value)
	}
	values.Del("after")
	if cursor != "" {
		values.Set("after", cursor)
	}
	link := "/v1/streams/" + url.PathEscape(f.stream) + "/events"
	if encoded := values.Encode(); encoded != "" {
		link += "?" + encoded
	}
	return "<" + link + `>; rel="next"`
}

// minCompressed is from where on a page is worth compressing, in bytes.
const minCompressed = 2048

// newCompressor compresses what a handler writes for a caller who takes gzip.
func newCompressor() (func(http.Handler) http.HandlerFunc, error) {
	return gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.MinSize(1))
}

// writePage writes a batch. What has not left at page.Until is cut off with its connection: later, it would need a new covering append.
func (s *server) writePage(w http.ResponseWriter, r *http.Request, f feedRequest, page delivery.Page) error {
	bodies := make([][]byte, len(page.Messages))
	length := len("[]") + max(len(bodies)-1, 0)
	for i := range page.Messages {
		bodies[i] = page.Messages[i].Structured()
		length += len(bodies[i])
	}
	h := w.Header()
	h.Set("Content-Type", batchType)
	h.Set("Content-Length", strconv.Itoa(length)) // the compressor takes it away
	h.Set("Link", f.next(page))
	write := func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		if len(bodies) > 0 {
			_ = controller.SetWriteDeadline(page.Until)
		}
		w.WriteHeader(http.StatusOK)
		if errors.Join(writeAll(w, bodies), flush(controller)) != nil {
			panic(http.ErrAbortHandler) // the status has left, so nothing more can be said
		}
		_ = controller.SetWriteDeadline(time.Now().Add(answerTime)) // the connection may serve the next request
	}
	if length < minCompressed { // the compressor would hold it back beyond the deadline
		write(w, r)
		return nil
	}
	s.compress(http.HandlerFunc(write)).ServeHTTP(w, r)
	return nil
}

func writeAll(w http.ResponseWriter, bodies [][]byte) error {
	separator := []byte("[")
	for _, body := range bodies {
		if _, err := w.Write(separator); err != nil {
			return err
		}
		if _, err := w.Write(body); err != nil {
			return err
		}
		separator = []byte(",")
	}
	end := []byte("]")
	if len(bodies) == 0 {
		end = []byte("[]")
	}
	_, err := w.Write(end)
	return err
}

// flush sends what is written; a writer that can't (a test's) is no error.
func flush(c *http.ResponseController) error {
	if err := c.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// wantsLive says whether the caller asks for server-sent events.
func wantsLive(r *http.Request) bool {
	return slices.ContainsFunc(r.Header.Values("Accept"), func(accept string) bool {
		for media := range strings.SplitSeq(accept, ",") {
			name, _, _ := strings.Cut(media, ";")
			if strings.EqualFold(strings.TrimSpace(name), eventStream) {
				return true
			}
		}
		return false
	})
}

// live sends events as they come, until the caller goes, the hub stops, or an hour has passed. An error after the first page ends the feed:
// the caller connects again with Last-Event-ID.
func (s *server) live(ctx context.Context, w http.ResponseWriter, f feedRequest) error {
	ctx, cancel := context.WithTimeout(ctx, maxLive)
	defer cancel()
	soon, stop := context.WithTimeout(ctx, workTime)
	page, err := s.Delivery.Next(soon, f.stream, f.lane, f.after, f.limit, 0)
	stop()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", eventStream)
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	controller := http.NewResponseController(w)
	for {
		if err := writeLive(w, controller, page); err != nil {
			return nil //nolint:nilerr // the caller is gone, or too slow: cut off
		}
		if n := len(page.Messages); n > 0 {
			f.after = page.Messages[n-1].Cursor.Number
		}
		if page, err = s.Delivery.Next(ctx, f.stream, f.lane, f.after, f.limit, s.Heartbeat); err != nil {
			if ctx.Err() == nil {
				s.Logger.ErrorContext(ctx, "a live feed ended", "stream", f.stream, "lane", f.lane, "error", err)
			}
			return nil
		}
	}
}

// writeLive writes a page, or a heartbeat where there is none. Every page leaves within D of its covering append, or is cut off.
func writeLive(w http.ResponseWriter, controller *http.ResponseController, page delivery.Page) error {
	until := page.Until
	if len(page.Messages) == 0 {
		until = time.Now().Add(writeTimeout)
	}
	_ = controller.SetWriteDeadline(until)
	if len(page.Messages) == 0 {
		if _, err := w.Write([]byte(": waiting\n\n")); err != nil {
			return err
		}
	}
	for i := range page.Messages {
		m := &page.Messages[i]
		if _, err := fmt.Fprintf(w, "id: %s\ndata: %s\n\n", m.Cursor, m.Structured()); err != nil {
			return err
		}
	}
	return controller.Flush()
}

func feedParams() []*huma.Param {
	text := &huma.Schema{Type: "string"}
	zero, one, most := 0.0, 1.0, float64(maxPage)
	return []*huma.Param{
		{Name: "stream", In: "path", Required: true, Description: "a stream's name", Schema: text, Example: "moh.health-card"},
		{Name: "after", In: "query", Description: "the last cursor that you have; left out: from the first event", Schema: text, Example: "1.0.42"},
		{Name: "limit", In: "query", Description: "most events of a page",
			Schema: &huma.Schema{Type: "integer", Minimum: &one, Maximum: &most, Default: defaultPage}},
		{Name: "wait", In: "query", Description: "how long to wait while there is nothing, at most 30s", Schema: text, Example: "20s"},
		{Name: "lane", In: "query", Description: "the lane", Schema: &huma.Schema{Type: "integer", Minimum: &zero, Default: 0}},
		{Name: "Last-Event-ID", In: "header", Description: "of a live feed: the last cursor that came", Schema: text, Example: "1.0.42"},
	}
}
