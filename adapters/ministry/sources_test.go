package ministry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/ministry"
)

// disturbances are what may stand between a consumer and its hub for a while.
var disturbances = map[string]func(w http.ResponseWriter){
	"busy":           func(w http.ResponseWriter) { problem(w, http.StatusServiceUnavailable, "busy") },
	"paused":         func(w http.ResponseWriter) { problem(w, http.StatusConflict, "stream-paused") },
	"too many":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
	"token":          func(w http.ResponseWriter) { problem(w, http.StatusUnauthorized, "unauthenticated") },
	"not the hub":    func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>maintenance</html>") },
	"a proxy's page": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
	"cut off":        func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	"cut off within": func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/cloudevents-batch+json")
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(fact(1))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	},
	"half a feed": func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "id: 1.0.1\ndata: %s\n\nid: 1.0.2\ndata: %s", fact(1), fact(2)[:20])
	},
	"spoilt events": func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\n\n")
	},
}

func TestSourcesOutliveDisturbances(t *testing.T) {
	t.Parallel()
	for source, start := range map[string]ministry.Source{"pull": ministry.Pull(ministry.PullConfig{Limit: 3}), "live": ministry.Live()} {
		for name, disturb := range disturbances {
			t.Run(source+", "+name, func(t *testing.T) {
				t.Parallel()
				hub := newFakeHub(t, facts(1, 5), [][]byte{given(1, 1, ministry.KindFact, nil)}, nil)
				hub.disturb = func(w http.ResponseWriter, _ *http.Request, nth int) bool {
					if nth%3 == 0 {
						disturb(w)
					}
					return nth%3 == 0
				}
				b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
				hub.Config.ErrorLog = nil
				b.until(t, func() bool {
					if len(hub.answers(0)) == 5 {
						hub.grow(0, fact(6))
					}
					return len(hub.answers(0)) == 6 && len(hub.answers(1)) == 1
				}, start)
				require.Equal(t, map[string][]int64{"0": numbers(1, 6), "1": {1}}, b.ledger.Applied)
			})
		}
	}
}

// TestWhatOnlyAPersonCanChange ends a source, and says what it is.
func TestWhatOnlyAPersonCanChange(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]ministry.Source{"pull": ministry.Pull(ministry.PullConfig{}), "live": ministry.Live()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := newFakeHub(t, facts(1, 2))
			b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
			require.NoError(t, b.Deliver(context.Background(), parse(t, facts(1, 2)...)...))
			hub.lanes[0] = facts(1, 1) // restored from a backup
			err := b.Run(context.Background(), start)
			require.ErrorIs(t, err, ministry.ErrUnknownCursor)
			require.ErrorContains(t, err, "What to do.")

			hub.disturb = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
				problem(w, http.StatusForbidden, "not-your-stream")
				return true
			}
			var answer *ministry.APIError
			require.ErrorAs(t, b.Run(context.Background(), start), &answer)
			require.Equal(t, http.StatusForbidden, answer.Status)
		})
	}
	b := setup(t, func(c *ministry.Config) { c.Client, c.Stream = newFakeHub(t).client(t), "unknown" })
	var answer *ministry.APIError
	require.ErrorAs(t, b.Run(context.Background(), ministry.Pull(ministry.PullConfig{})), &answer)
	require.Equal(t, "unknown-stream", answer.Code)
}

// TestTheTokenStaysWithTheHub: neither a redirect nor a next link takes it elsewhere.
func TestTheTokenStaysWithTheHub(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked elsewhere") }))
	defer elsewhere.Close()
	hub := newFakeHub(t, facts(1, 3))
	client := hub.client(t)
	hub.disturb = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Query().Get("limit") == "1" {
			w.Header().Set("Content-Type", "application/cloudevents-batch+json")
			w.Header().Set("Link", "<"+elsewhere.URL+`/v1/streams/x/events>; rel="next"`)
			_, _ = w.Write(batch(fact(1)))
			return true
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		return true
	}
	_, err := client.Events(context.Background(), ministry.Query{Stream: stream})
	var answer *ministry.APIError
	require.ErrorAs(t, err, &answer)
	require.Equal(t, http.StatusTemporaryRedirect, answer.Status)
	_, err = client.Events(context.Background(), ministry.Query{Stream: stream, Limit: 1})
	require.ErrorContains(t, err, "leads away from the hub")
	require.NotContains(t, err.Error(), "secret-token")
}

// TestPagesFollowTheLink: the second page is asked for in the hub's own words, compressed, with nothing of ours.
func TestPagesFollowTheLink(t *testing.T) {
	t.Parallel()
	hub := newFakeHub(t, facts(1, 4))
	b := setup(t, func(c *ministry.Config) { c.Client, c.Receipts = hub.client(t), ministry.NoReceipts })
	require.NoError(t, b.Run(context.Background(), ministry.Pull(ministry.PullConfig{Once: true, Limit: 2})))
	require.Equal(t, numbers(1, 4), b.ledger.Applied["0"])
	var asked []string
	for _, r := range hub.asked {
		require.Equal(t, "gzip", r.Header.Get("Accept-Encoding"))
		asked = append(asked, r.URL.RequestURI())
	}
	path := "/v1/streams/" + stream + "/events?"
	require.Equal(t, []string{"/v1/streams", path + "lane=0&limit=2", path + "after=1.0.2&lane=0&limit=2", path + "after=1.0.4&lane=0&limit=2"}, asked)
}

// TestLiveEventsComeAtOnce: an event that is told while a feed waits is applied without another request.
func TestLiveEventsComeAtOnce(t *testing.T) {
	t.Parallel()
	hub := newFakeHub(t, facts(1, 1))
	b := setup(t, func(c *ministry.Config) { c.Client, c.Receipts = hub.client(t), ministry.NoReceipts })
	b.until(t, func() bool {
		last := b.last(t)
		if last > 0 && last < 20 {
			hub.mu.Lock()
			next := int64(len(hub.lanes[0]))
			hub.mu.Unlock()
			if next == last {
				hub.grow(0, fact(next+1))
			}
		}
		return last == 20
	}, ministry.Live())
	hub.mu.Lock()
	defer hub.mu.Unlock()
	require.Len(t, hub.asked, 2, "the list of lanes and one feed")
}

func TestATokenFileIsReadAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	token := ministry.TokenFile(path)
	_, err := token()
	require.Error(t, err)
	for _, text := range []string{"one", "two"} {
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
		got, err := token()
		require.NoError(t, err)
		require.Equal(t, text, got)
	}
}

// binary is an event as a record of the topic, in a Watermill message.
func binary(t *testing.T, text []byte) *message.Message {
	t.Helper()
	var object map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &object))
	m := message.NewMessage(watermill.NewUUID(), message.Payload(object["data"]))
	for name, value := range object {
		var attribute string
		if json.Unmarshal(value, &attribute) == nil && name != "datacontenttype" {
			m.Metadata.Set("ce_"+name, attribute)
		}
	}
	return m
}

func fence() *message.Message {
	m := message.NewMessage(watermill.NewUUID(), nil)
	m.Metadata.Set("ce_type", "tellonce.fence.v1")
	return m
}

func topic(t *testing.T, messages ...*message.Message) *gochannel.GoChannel {
	t.Helper()
	channel := gochannel.NewGoChannel(gochannel.Config{Persistent: true, BlockPublishUntilSubscriberAck: false}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, channel.Close()) })
	for _, m := range messages {
		require.NoError(t, channel.Publish("tellonce."+stream, m))
	}
	return channel
}

// inOrder is a subscriber that delivers one message after the other, and again what was refused, as a Kafka consumer does.
type inOrder struct {
	messages []*message.Message
	taken    chan struct{} // closed when all are acknowledged
}

func (s *inOrder) Subscribe(ctx context.Context, name string) (<-chan *message.Message, error) {
	if name != "tellonce."+stream {
		return nil, errors.New("another topic")
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for _, original := range s.messages {
			for acked := false; !acked; {
				m := original.Copy()
				m.SetContext(ctx)
				select {
				case out <- m:
				case <-ctx.Done():
					return
				}
				select {
				case <-m.Acked():
					acked = true
				case <-m.Nacked():
				case <-ctx.Done():
					return
				}
			}
		}
		close(s.taken)
		<-ctx.Done()
	}()
	return out, nil
}

func (s *inOrder) Close() error { return nil }

func TestATopic(t *testing.T) {
	t.Parallel()
	subscriber := &inOrder{taken: make(chan struct{}), messages: []*message.Message{
		fence(), binary(t, fact(1)), binary(t, given(0, 2, ministry.KindRecalled, nil)), binary(t, given(1, 1, ministry.KindFact, nil)), fence(),
		binary(t, fact(2)), binary(t, given(0, 3, ministry.KindErased, map[string]any{"subject": "", "data": map[string]any{"cursors": []string{"1.0.1"}}})),
	}}
	receipts := topic(t)
	b := setup(t, func(c *ministry.Config) { c.Receipts = ministry.PublishReceipts(receipts) })
	failures := 0
	b.ledger.refuse = func(ministry.Event) error {
		if failures < 5 {
			failures++
			return errors.New("not now")
		}
		return nil
	}
	answers, err := receipts.Subscribe(context.Background(), "tellonce."+stream+".receipts")
	require.NoError(t, err)
	got := map[string]string{}
	b.until(t, func() bool {
		select {
		case m := <-answers:
			var list []ministry.Receipt
			require.NoError(t, json.Unmarshal(m.Payload, &list))
			for _, r := range list {
				got[r.To.String()] = r.Status
			}
			m.Ack()
		default:
		}
		return got["1.0.3"] != "" && got["1.1.1"] != ""
	}, ministry.Subscribe(subscriber))
	<-subscriber.taken
	require.Equal(t, map[string][]int64{"0": {1, 2, 3}, "1": {1}}, b.ledger.Applied)
}

func TestAHoleInATopic(t *testing.T) {
	t.Parallel()
	messages := []*message.Message{binary(t, fact(1)), binary(t, fact(4))}
	b := setup(t, nil)
	err := b.Run(context.Background(), ministry.Subscribe(&inOrder{messages: messages, taken: make(chan struct{})}))
	require.ErrorIs(t, err, ministry.ErrHole)

	hub := newFakeHub(t, facts(1, 4))
	b = setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	b.until(t, func() bool { return len(hub.answers(0)) == 4 }, ministry.Subscribe(&inOrder{messages: messages, taken: make(chan struct{})}))
	require.Equal(t, numbers(1, 4), b.ledger.Applied["0"])
}

// TestSourcesSideBySide: pull, live and a topic bring the same numbers, each of which counts once.
func TestSourcesSideBySide(t *testing.T) {
	t.Parallel()
	var messages []*message.Message
	for _, text := range facts(1, 30) {
		messages = append(messages, binary(t, text))
	}
	hub := newFakeHub(t, facts(1, 30))
	b := setup(t, func(c *ministry.Config) { c.Client = hub.client(t) })
	b.until(t, func() bool { return len(hub.answers(0)) == 30 },
		ministry.Pull(ministry.PullConfig{Limit: 4, Wait: time.Millisecond}), ministry.Live(), ministry.Subscribe(&inOrder{messages: messages, taken: make(chan struct{})}))
	require.Equal(t, numbers(1, 30), b.ledger.Applied["0"])
	require.False(t, strings.Contains(fmt.Sprint(hub.answers(0)), "rejected"))
}
