package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
)

var deliveryKills = flag.Int("delivery.kills", 10, "how often the hub is killed under its consumers, on each store")

// TestDeliveryThroughHubKills: people live their lives while the hub is killed at random moments, under four ministries' programs that stay:
// one on Kafka, one with an endpoint, one that pulls, one that listens. In the end each one's table is what came over its wire, folded by
// somebody else, and what it holds of each person is what the hub holds. What came twice had the same bytes; nothing is missing, nothing
// overtook anything.
func TestDeliveryThroughHubKills(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	places(t, func(t *testing.T, p *place) {
		p.long = commandTime + time.Duration(*deliveryKills)*20*time.Second
		seed := rand.Uint64()                    // #nosec G404 -- a test's
		random := rand.New(rand.NewPCG(seed, 8)) // #nosec G404 -- a test's
		number := random.IntN(1e9)
		t.Log("seed", seed)
		ways := []string{"kafka", "webhook", "pull", "live"}
		serve := []string{"--listen", ownPort(t), "--webhook-allow-loopback", "--kafka", broker, "--kafka-streams", fmt.Sprintf("s%02d.kafka", number)}
		w := startWorld(p, equalShares(number, ways...), serve...)
		front := newPatient(t, w.hub.url)
		c := attach(newMover(w.scene(t, number), seed, ways...), w.hub.url)
		c.consumes("kafka", broker)
		c.receives("webhook", []int{1, 20}[random.IntN(2)])
		c.reads("pull")
		c.reads("live", "--live")

		r := &reaper{consumers: c, hub: w.hub, serve: serve, random: random, done: make(chan struct{})}
		w.hub = &hubProcess{url: front.URL} // people ask until they are answered
		for i := range 9 {
			c.mover.add(fmt.Sprintf("p%d", i))
		}
		require.NoError(t, p.crowd(random, citizen.PersonRegistered))
		began := time.Now()
		go r.run()
		steps := 0
		for ; steps < 1000**deliveryKills && !r.over(); steps++ {
			if c.step(); steps%10 == 0 {
				c.mover.add(fmt.Sprintf("q%d", steps))
			}
		}
		<-r.done
		require.NoError(t, r.err)
		for i := 0; i < 1000 && (!c.merged || c.erased == 0); i++ {
			c.step()
		}
		t.Logf("%d kills in %s, %d of them before the hub was ready; %d changes and more were told, %d calls were made again", r.kills,
			time.Since(began).Round(time.Second), r.early, steps, front.again.Load())
		c.drain()
		require.True(t, c.merged)
		require.Positive(t, c.erased)
		require.Equal(t, 0, r.hub.stop(t), r.hub.stderr.String())
	})
}

// equalShares are two agreements for each stream of one ministry: by one, people agree that it gets addresses and languages; by a statute, it
// gets everybody's e-mail address.
func equalShares(number int, ways ...string) (texts []string) {
	told := "{event: address-changed, fields: [kind, street, city]}, {event: language-changed, fields: [language]}"
	for _, way := range ways {
		agreed := agreementText(way, "consent", "all", 1, told, "lanes: 1")
		law := strings.Replace(agreementText(way, "statute", "all", 1, "{event: contact-changed, fields: [email]}", "lanes: 1"), "NAME-"+way, "NAME-law-"+way, 1)
		texts = append(texts, strings.ReplaceAll(agreed, "NAME", fmt.Sprintf("s%02d", number)), strings.ReplaceAll(law, "NAME", fmt.Sprintf("s%02d", number)))
	}
	return texts
}

const crowdSize = 40

// crowd imports something of many people at once.
func (p *place) crowd(random *rand.Rand, eventType string) error {
	var lines bytes.Buffer
	for i := range crowdSize {
		data := map[string]any{"email": fmt.Sprintf("resident-%d@example.ca", random.IntN(1e9))}
		if eventType == citizen.PersonRegistered {
			data = map[string]any{"given_names": "Invented", "family_name": "Person", "birth_date": "1980-05-17", "language": "en"}
		}
		lines.Write(append(invented(fmt.Sprintf("crowd-%d", i), eventType, data), '\n'))
	}
	cmd := p.command("import", "-")
	cmd.Stdin = &lines
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Count(out, []byte(`"accepted"`)) != crowdSize {
		return fmt.Errorf("import: %w\n%s", err, out)
	}
	return nil
}

// ownPort is an address that no other process gets by chance while the hub is dead: below those that systems give out.
func ownPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(15_000)) // #nosec G404 -- a test's
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
	require.FailNow(t, "no free port")
	return ""
}

// reaper kills a hub again and again, and starts it again at once, on the same port.
type reaper struct {
	*consumers
	hub    *hubProcess // of now
	serve  []string
	random *rand.Rand

	kills, early int
	done         chan struct{} // closed when the last hub is ready; then err is written
	err          error
}

func (r *reaper) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// run kills. Every second hub lives until each consumer has got something from it; the others die at any moment, also before they are ready.
func (r *reaper) run() {
	defer close(r.done)
	ready := make(chan error)
	close(ready)
	for r.kills < *deliveryKills && r.err == nil {
		r.err = r.life(ready, r.kills%2 == 0)
		r.kills++
		if r.err == nil {
			r.hub, ready, r.err = r.start()
		}
	}
	if r.err == nil {
		r.err = within(<-ready, r.hub)
	}
}

// life is one hub's, to its end, while another process imports. Its leases are given back, as time would do: everybody knows that it is dead.
func (r *reaper) life(ready <-chan error, long bool) (err error) {
	ctx := context.Background()
	before, err := r.applied(ctx)
	if err != nil {
		return err
	}
	moment := time.Duration(r.random.Int64N(int64(1500 * time.Millisecond)))
	imported := make(chan error, 1)
	go func() { imported <- r.place.crowd(r.random, "contact-changed") }()
	defer func() { err = errors.Join(err, <-imported) }()
	if long {
		if err := <-ready; err != nil {
			return within(err, r.hub)
		}
		if err := r.moved(ctx, before); err != nil {
			return within(err, r.hub)
		}
		moment /= 5
	}
	<-time.After(moment)
	select {
	case err = <-ready:
	default:
		r.early++
	}
	pid := r.hub.cmd.Process.Pid
	r.hub.kill()
	if status, ok := r.hub.cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil || !ok || !status.Signaled() {
		return within(fmt.Errorf("the hub ended before it was killed: %s: %w", r.hub.cmd.ProcessState, err), r.hub)
	}
	host, err := os.Hostname()
	for _, one := range r.all {
		for _, work := range []string{"push", "courier"} {
			err = errors.Join(err, r.log.store.Release(ctx, fmt.Sprintf("%s/%s/0", work, one.stream), host+"/"+strconv.Itoa(pid)))
		}
	}
	return err
}

// within adds what a hub said.
func within(err error, hub *hubProcess) error {
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, hub.stderr)
	}
	return err
}

// start starts a hub and does not wait for it: ready is closed when it serves, or says what kept it.
func (r *reaper) start() (*hubProcess, chan error, error) {
	h := &hubProcess{stderr: &lockedBuffer{}}
	h.cmd = r.place.command(append([]string{"serve", "--operator-listen", "127.0.0.1:0"}, r.serve...)...)
	h.cmd.Stderr = h.stderr
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	h.cmd.Stdout = out
	if err := errors.Join(h.cmd.Start(), out.Close()); err != nil {
		return nil, nil, err
	}
	r.Cleanup(h.kill)
	ready := make(chan error, 1)
	go func() {
		defer stdout.Close()
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		if err != nil || !bytes.Contains(line, []byte(`"ready":true`)) {
			ready <- fmt.Errorf("the hub did not get ready: %q: %w", line, err)
			return
		}
		close(ready)
	}()
	return h, ready, nil
}

// patient stands between people and a hub that is killed. What got no answer is asked again, as the same command, until the hub is back.
type patient struct {
	*httptest.Server
	again atomic.Int64
}

const patience = 2 * time.Minute

func newPatient(t *testing.T, hub string) *patient {
	t.Helper()
	p := &patient{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		body, err := io.ReadAll(r.Body)
		for err == nil && ctx.Err() == nil {
			if status, header, text, asked := ask(ctx, hub, r, body); asked == nil && status != http.StatusServiceUnavailable {
				w.Header().Set("Content-Type", header)
				w.WriteHeader(status)
				_, _ = w.Write(text)
				return
			}
			p.again.Add(1)
			<-time.After(20 * time.Millisecond) // nothing tells when it is back
		}
		w.WriteHeader(http.StatusGatewayTimeout)
	}))
	t.Cleanup(p.Close)
	return p
}

// ask makes a request once.
func ask(ctx context.Context, hub string, r *http.Request, body []byte) (status int, contentType string, text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, r.Method, hub+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header.Get("Content-Type"), text, err
}
