package ministry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
)

const stream = "moh.health-card"

// given is an event as a hub gives it; its people are invented.
func given(lane int, number int64, kind string, members map[string]any) []byte {
	object := map[string]any{
		"specversion": "1.0", "id": fmt.Sprintf("1.%d.%d", lane, number), "source": "https://tellonce.example/streams/" + stream,
		"type": "tellonce." + kind + ".v1", "kind": kind, "sequence": fmt.Sprintf("%012d", number),
	}
	if kind != ministry.KindRecalled {
		object["subject"], object["time"], object["agreement"] = "v1.person", "2026-03-08T02:59:59Z", "moh-health-card@1"
		object["datacontenttype"], object["data"] = "application/json", map[string]any{}
	}
	switch kind {
	case ministry.KindFact, ministry.KindSnapshot, ministry.KindCorrection:
		object["type"], object["effective"], object["assurance"] = "tellonce.address-changed.v1", "2026-04-01", ministry.Asserted
		object["dataschema"] = "https://tellonce.example/schemas/address-changed/1"
		object["data"] = map[string]any{"city": fmt.Sprintf("City %d", number), "kind": "home"}
	}
	for name, value := range members {
		object[name] = value
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return text
}

func fact(number int64) []byte { return given(0, number, ministry.KindFact, nil) }

func facts(from, to int64) (out [][]byte) {
	for n := from; n <= to; n++ {
		out = append(out, fact(n))
	}
	return out
}

func parse(t require.TestingT, texts ...[]byte) []ministry.Event {
	out := make([]ministry.Event, len(texts))
	for i, text := range texts {
		var err error
		out[i], err = ministry.ParseEvent(text)
		require.NoError(t, err)
	}
	return out
}

func batch(texts ...[]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(texts, []byte(","))...), ']')
}

// fakeHub gives the events of one stream, as far as its API goes, and takes receipts.
type fakeHub struct {
	*httptest.Server
	mu       sync.Mutex
	lanes    [][][]byte
	receipts []ministry.Receipt
	keys     map[string]string // body by Idempotency-Key
	asked    []*http.Request
	grown    chan struct{} // closed when a lane grows
	// disturb may answer a request instead of the hub.
	disturb func(w http.ResponseWriter, r *http.Request, nth int) (done bool)
}

func newFakeHub(t testing.TB, lanes ...[][]byte) *fakeHub {
	h := startFakeHub(lanes...)
	t.Cleanup(h.Close)
	return h
}

func startFakeHub(lanes ...[][]byte) *fakeHub {
	h := &fakeHub{lanes: lanes, keys: map[string]string{}, grown: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/streams", h.list)
	mux.HandleFunc("GET /v1/streams/{stream}/events", h.events)
	mux.HandleFunc("POST /v1/streams/{stream}/receipts", h.take)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r.Clone(context.Background()))
		disturb, nth := h.disturb, len(h.asked)
		h.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer secret-token" {
			problem(w, http.StatusUnauthorized, "unauthenticated")
			return
		}
		if disturb == nil || !disturb(w, r, nth) {
			mux.ServeHTTP(w, r)
		}
	}))
	return h
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": "What to do."})
}

func (h *fakeHub) list(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"streams": []any{
		map[string]any{"stream": "other", "lanes": []any{}}, map[string]any{"stream": stream, "lanes": make([]struct{}, len(h.lanes))},
	}})
}

// grow adds events to a lane.
func (h *fakeHub) grow(lane int, texts ...[]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lanes[lane] = append(h.lanes[lane], texts...)
	close(h.grown)
	h.grown = make(chan struct{})
}

// after waits for events after a number.
func (h *fakeHub) after(ctx context.Context, lane int, number int64, wait time.Duration) [][]byte {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		h.mu.Lock()
		rest, grown := h.lanes[lane][min(number, int64(len(h.lanes[lane]))):], h.grown
		h.mu.Unlock()
		select {
		case <-grown:
			continue
		default:
		}
		if len(rest) > 0 || ctx.Err() != nil {
			return rest
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}

func (h *fakeHub) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	lane, _ := strconv.Atoi(q.Get("lane"))
	after := q.Get("after")
	live := strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	if live {
		after = r.Header.Get("Last-Event-ID")
	}
	var number int64
	if after != "" {
		c, err := ministry.ParseCursor(after)
		h.mu.Lock()
		unknown := err != nil || c.Generation != 1 || c.Lane != lane || c.Number > int64(len(h.lanes[lane]))
		h.mu.Unlock()
		if unknown {
			problem(w, http.StatusConflict, "unknown-cursor")
			return
		}
		number = c.Number
	}
	if live {
		h.live(w, r, lane, number)
		return
	}
	wait, _ := time.ParseDuration(q.Get("wait"))
	page := h.after(r.Context(), lane, number, wait)
	if limit, err := strconv.Atoi(q.Get("limit")); err == nil {
		page = page[:min(limit, len(page))]
	}
	if len(page) > 0 {
		q.Set("after", fmt.Sprintf("1.%d.%d", lane, number+int64(len(page))))
	}
	w.Header().Set("Content-Type", "application/cloudevents-batch+json")
	w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	_, _ = w.Write(batch(page...))
}

func (h *fakeHub) live(w http.ResponseWriter, r *http.Request, lane int, number int64) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, ": waiting\n\n")
	for r.Context().Err() == nil {
		_ = http.NewResponseController(w).Flush()
		for _, text := range h.after(r.Context(), lane, number, time.Minute) {
			number++
			_, _ = fmt.Fprintf(w, "id: 1.%d.%d\ndata: %s\n\n", lane, number, text)
		}
	}
}

func (h *fakeHub) take(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var receipts []ministry.Receipt
	if json.Unmarshal(body, &receipts) != nil {
		problem(w, http.StatusBadRequest, "malformed-json")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if former, ok := h.keys[key]; ok && former != string(body) {
		problem(w, http.StatusConflict, "command-reused")
		return
	}
	h.keys[key] = string(body)
	h.receipts = append(h.receipts, receipts...)
	w.WriteHeader(http.StatusNoContent)
}

// answers are what the receipts say of each number of a lane; the last word counts.
func (h *fakeHub) answers(lane int) map[int64]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[int64]string{}
	for _, r := range h.receipts {
		for n := r.From.Number; n <= r.To.Number && r.From.Lane == lane; n++ {
			out[n] = r.Status + r.Reason
		}
	}
	return out
}

func (h *fakeHub) client(t testing.TB) *ministry.Client {
	c, err := ministry.NewClient(ministry.ClientConfig{URL: h.URL, Token: func() (string, error) { return "secret-token", nil }})
	require.NoError(t, err)
	return c
}

// ledger is a handler that notes what it applied, in the state of a file.
type ledger struct {
	Applied map[string][]int64 // numbers by lane
	refuse  func(e ministry.Event) error
}

func (l *ledger) Handle(_ context.Context, e ministry.Event) error {
	if l.Applied == nil {
		l.Applied = map[string][]int64{}
	}
	lane := strconv.Itoa(e.Cursor.Lane)
	l.Applied[lane] = append(l.Applied[lane], e.Cursor.Number)
	if l.refuse != nil {
		return l.refuse(e)
	}
	return nil
}

// bundle is a consumer on a file, with a ledger.
type bundle struct {
	*ministry.Consumer
	ledger *ledger
	store  *ministry.File
	path   string
}

func setup(t *testing.T, change func(*ministry.Config)) *bundle {
	t.Helper()
	b := &bundle{ledger: &ledger{}, path: filepath.Join(memory(t), "numbers.json")}
	b.open(t, change)
	return b
}

// open opens the file anew, as after a crash.
func (b *bundle) open(t *testing.T, change func(*ministry.Config)) {
	t.Helper()
	var err error
	b.store, err = ministry.OpenFile(b.path, b.ledger)
	require.NoError(t, err)
	config := ministry.Config{
		Stream: stream, Store: b.store, Handler: b.ledger, Logger: slog.New(slog.DiscardHandler), RetryWait: time.Microsecond, RetryMost: time.Millisecond,
		ReceiptPause: time.Microsecond,
	}
	if change != nil {
		change(&config)
	}
	b.Consumer, err = ministry.New(config)
	require.NoError(t, err)
}

// until runs a consumer until something holds.
func (b *bundle) until(t *testing.T, holds func() bool, sources ...ministry.Source) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, sources...) }()
	require.Eventually(t, holds, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

// last is the last number of lane 0.
func (b *bundle) last(t *testing.T) int64 {
	t.Helper()
	c, err := b.Last(context.Background(), 0)
	require.NoError(t, err)
	return c.Number
}

// memory is a folder in memory where there is one: what these tests judge does not hang on a disk.
func memory(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "tellonce-ministry-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func numbers(from, to int64) (out []int64) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}
