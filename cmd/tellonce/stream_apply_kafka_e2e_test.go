package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFollowKafkaThroughKills: the program of a ministry that has Kafka is killed while the hub pushes an import. Its table is what the topic
// holds, folded by somebody else.
func TestFollowKafkaThroughKills(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	stream := p.ownStream()
	hub := p.serve("--kafka", broker, "--kafka-streams", stream)
	file := filepath.Join(p.dir, "table.sqlite")
	s := &scene{T: t, world: &world{place: p, hub: hub}}
	args := []string{"stream", "follow", stream, "--apply", file, "--kafka", broker}
	importing := p.command("import", "--clock", "told", absolute(t, samples+"full/changes.ndjson"))
	require.NoError(t, importing.Start())
	for kills := range 3 {
		before := applied(t, file, stream)
		follower := s.follow(args...)
		follower.until(t, "something was applied", func() bool { return applied(t, file, stream) > before+int64(20*kills) })
		follower.kill()
	}
	require.NoError(t, importing.Wait())
	pulled := objects(t, p.run("stream", "read", stream))
	got := consume(t, broker, "tellonce."+stream, func(seen []record) bool { return len(seen) >= len(pulled) })

	follower := s.follow(args...)
	follower.until(t, "all was applied", func() bool { return applied(t, file, stream) == int64(len(pulled)) })
	require.NoError(t, follower.Process.Signal(os.Interrupt))
	<-follower.ended
	require.Zero(t, follower.ProcessState.ExitCode(), "it ends well when it is asked to")
	events := map[string]wireEvent{}
	for _, r := range got {
		h := func(name string) string { return r.headers["ce_"+name] }
		e := wireEvent{
			ID: h("id"), Type: h("type"), Kind: h("kind"), Subject: h("subject"), Time: h("time"), Assurance: h("assurance"), Corrects: h("corrects"),
			Agreement: h("agreement"), Effective: h("effective"),
		}
		if r.value != "" {
			require.NoError(t, json.Unmarshal([]byte(r.value), &e.Data))
		}
		events[e.ID] = e
	}
	require.Equal(t, naive(events), kept(t, file, stream))
	require.Equal(t, 0, hub.stop(t), hub.stderr.String())
}

// TestListen: the endpoint to try answers the challenge, prints what is signed and refuses what is not.
func TestListen(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	_, errs, code := p.try(nil, "stream", "listen")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "--allow-unsigned")
	for _, wrong := range [][]string{
		{"stream", "follow", "x"}, {"stream", "follow", "x", "--apply", "f"}, {"stream", "follow", "x", "--apply", "f", "--url", "http://x"},
		{"stream", "follow", "x", "--apply", "f", "--kafka", "x:1", "--once"}, {"stream", "listen", "--allow-unsigned", "--status", "99"},
		{"stream", "follow", "x", "--apply", "f", "--url", "x", "--token-file", "t"},
	} {
		_, _, code := p.try(nil, wrong...)
		require.Equal(t, exitUsage, code, "%v", wrong)
	}

	secret := filepath.Join(p.dir, "secret")
	l := p.listen(t, "--secret-file", secret)
	challenge := `{"specversion":"1.0","type":"tellonce.challenge.v1","source":"https://tellonce.example/streams/x","data":{"challenge":"0a1b"}}`
	status, body := l.call(t, "", http.MethodPost, "/", challenge, "Content-Type", "application/cloudevents+json")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "0a1b", body)
	event := `{"specversion":"1.0","id":"1.0.1","source":"https://tellonce.example/streams/x","type":"tellonce.recalled.v1","kind":"recalled","sequence":"000000000001"}`
	status, _ = l.call(t, "", http.MethodPost, "/", event, "Content-Type", "application/cloudevents+json")
	require.Equal(t, http.StatusUnauthorized, status)

	open := p.listen(t, "--allow-unsigned", "--status", "500")
	status, _ = open.call(t, "", http.MethodPost, "/", "["+event+","+event+"]", "Content-Type", "application/cloudevents-batch+json")
	require.Equal(t, http.StatusInternalServerError, status)
	require.Eventually(t, func() bool { return open.printed.String() == event+"\n"+event+"\n" }, time.Minute, 5*time.Millisecond, "%s", open.printed)
	status, _ = open.call(t, "", http.MethodPost, "/", "{}", "Content-Type", "application/cloudevents+json")
	require.Equal(t, http.StatusBadRequest, status)
	require.Empty(t, l.printed.String())
}

// listening is a running `stream listen`.
type listening struct {
	hubProcess
	printed *lockedBuffer
}

func (p *place) listen(t *testing.T, args ...string) *listening {
	t.Helper()
	l := &listening{hubProcess: hubProcess{stderr: &lockedBuffer{}}, printed: &lockedBuffer{}}
	l.cmd = p.command(append([]string{"stream", "listen", "--addr", "127.0.0.1:0"}, args...)...)
	l.cmd.Stderr, l.cmd.Stdout = l.stderr, l.printed
	require.NoError(t, l.cmd.Start())
	t.Cleanup(l.kill)
	require.Eventually(t, func() bool {
		for line := range strings.Lines(l.stderr.String()) {
			var said struct{ URL string }
			if json.Unmarshal([]byte(line), &said) == nil && said.URL != "" {
				l.url = said.URL
			}
		}
		return l.url != ""
	}, time.Minute, 5*time.Millisecond, "%s", l.stderr)
	return l
}
