package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// badLink is a link that can be spoilt.
type badLink struct{ *toxiproxy.Proxy }

func newBadLink(t *testing.T, name, to string) *badLink {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // a toxic logs to the global one
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	l := &badLink{toxiproxy.NewProxy(server, name, "127.0.0.1:0", to)}
	require.NoError(t, l.Start())
	t.Cleanup(l.Stop)
	return l
}

// spoil adds a toxic, or cuts the link where there is none.
func (l *badLink) spoil(t *testing.T, toxic string) {
	t.Helper()
	if toxic == "" {
		l.Stop()
		return
	}
	_, err := l.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(t, err)
}

func (l *badLink) heal(t *testing.T) {
	t.Helper()
	l.Toxics.ResetToxics(t.Context())
	if !l.Enabled {
		require.NoError(t, l.Start())
	}
}

// spoilt are the ways in which a link is bad. Over some of them things flow, slowly; over the others they don't.
var spoilt = []struct {
	name, toxic string
	flows       bool
}{
	{"latency", `{"type":"latency","stream":"downstream","attributes":{"latency":40,"jitter":30}}`, true},
	{"little of a band", `{"type":"bandwidth","stream":"downstream","attributes":{"rate":200}}`, true},
	{"slow close", `{"type":"slow_close","stream":"downstream","attributes":{"delay":500}}`, true},
	{"reset", `{"type":"reset_peer","stream":"downstream","attributes":{"timeout":50}}`, false},
	{"nothing comes back", `{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`, false},
	{"cut", "", false},
}

// TestDeliveryOverABadLink spoils the link between a running hub and its database, under people who live their lives and ministries that pull,
// listen and have an endpoint. While the database is away, the hub says so to whoever asks: it does not hang. When it is back everything goes on,
// without a hand: nothing is lost, doubled or out of order.
func TestDeliveryOverABadLink(t *testing.T) {
	t.Parallel()
	near := postgresPlace(t)
	seed := rand.Uint64() // #nosec G404 -- a test's
	t.Log("seed", seed)
	w := startWorld(near, equalShares(9, "pull", "live", "webhook"))
	require.Equal(t, 0, w.hub.stop(t))
	address, err := url.Parse(strings.TrimPrefix(near.env[0], "TELLONCE_STORE="))
	require.NoError(t, err)
	link := newBadLink(t, "postgres", address.Host)
	address.Host = link.Listen
	far := &place{t: t, dir: near.dir, env: []string{"TELLONCE_STORE=" + address.String()}}
	hub := far.serve("--webhook-allow-loopback")

	w.hub = &hubProcess{url: newPatient(t, hub.url).URL}
	c := attach(newMover(w.scene(t, 9), seed, "pull", "live", "webhook"), hub.url)
	c.receives("webhook", 20)
	c.reads("pull")
	c.reads("live", "--live")
	for i := range 9 {
		c.mover.add(fmt.Sprintf("p%d", i))
	}
	asker := c.register("asker").token // who is not among those who live, and agrees to nothing
	c.flow("at first", func() {})
	for _, bad := range spoilt {
		began, change := time.Now(), fmt.Sprintf(`{"type":"address-changed","effective":%q,"data":%s}`, c.day("asker"), c.address())
		c.flow(bad.name, func() {
			link.spoil(t, bad.toxic)
			if bad.flows {
				return
			}
			c.away(hub, bad.name, asker, change)
			link.heal(t)
		})
		link.heal(t)
		require.Eventually(t, func() bool { return hub.ready(t) == http.StatusOK }, waitTime, pollTime, "ready again after %s", bad.name)
		c.flow("after "+bad.name, func() {})
		t.Logf("%s: over after %s", bad.name, time.Since(began).Round(time.Second))
	}
	c.drain()
	require.Equal(t, 0, hub.stop(t), hub.stderr.String())
}

// flow demands that what people tell, before something happens and while it does, comes to every consumer.
func (c *consumers) flow(what string, happens func()) {
	c.Helper()
	before, err := c.applied(c.Context())
	require.NoError(c, err)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for range 6 {
			c.step()
		}
		c.news()
	}()
	happens()
	<-told
	require.NoError(c, c.moved(c.Context(), before), what)
}

// away demands that a hub without its database says so, whatever it is asked: also by a person with a change.
func (c *consumers) away(hub *hubProcess, why, person, change string) {
	c.Helper()
	require.Eventually(c, func() bool { return hub.ready(c.T) == http.StatusServiceUnavailable }, waitTime, pollTime, "not ready: %s", why)
	ministry := c.as("ministry")
	var group errgroup.Group // each may take its time
	for _, request := range []struct{ token, method, path, body string }{
		{ministry, "GET", "/v1/streams", ""},
		{ministry, "GET", "/v1/streams/NAME.pull/events", ""},
		{ministry, "GET", "/v1/streams/NAME.pull/events?wait=1s&after=1.0.1", ""},
		{person, "GET", "/v1/me", ""},
		{person, "POST", "/v1/changes", change},
	} {
		path := strings.ReplaceAll(request.path, "NAME", c.id)
		group.Go(func() error {
			for range 100 { // what was under way before may still succeed
				status, text := hub.call(c.T, request.token, request.method, path, request.body, "Idempotency-Key", uuid.NewString())
				var problem struct{ Code string }
				_ = json.Unmarshal([]byte(text), &problem)
				switch {
				case status == http.StatusServiceUnavailable && (problem.Code == "unavailable" || problem.Code == "unknown-outcome"):
					return nil
				case status != http.StatusOK && status != http.StatusAccepted:
					return fmt.Errorf("%s: %d %s", path, status, text)
				}
			}
			return fmt.Errorf("%s is answered", path)
		})
	}
	require.NoError(c, group.Wait(), why)
}

// ready is the status of /readyz.
func (h *hubProcess) ready(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.operatorURL+"/readyz", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
