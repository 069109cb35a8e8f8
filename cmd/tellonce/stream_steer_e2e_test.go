package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAStreamIsSteeredFromATerminal: synthetic events, a pause, a preview, and a replay to the side topic, beside a running hub.
func TestAStreamIsSteeredFromATerminal(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		stream := p.ownStream()
		side := "tellonce." + stream + ".replay"
		hub := p.serve("--kafka", broker, "--kafka-streams", stream)
		p.run("stream", "synth", stream, "--count", "3", "--type", "address-changed")
		p.run("stream", "synth", stream)
		seen := consume(t, broker, "tellonce."+stream, func(seen []record) bool { return len(seen) >= 4 })
		require.Len(t, seen, 4)
		require.Len(t, objects(t, p.run("stream", "read", stream)), 4, "pull gives the same numbers")

		p.run("stream", "pause", stream)
		_, errs, code := p.try(nil, "stream", "read", stream)
		require.Equal(t, 1, code)
		require.Contains(t, errs, "paused")
		p.run("stream", "resume", stream)

		preview := objects(t, p.run("stream", "replay", stream, "--last", "2", "--side"))
		require.Equal(t, []map[string]any{{"from": "1.0.3", "to": "1.0.4", "events": 2.0, "recalled": 0.0, "preview": true}}, preview)
		require.Empty(t, p.run("stream", "replay", stream, "--status"), "a preview sends nothing")
		for _, wrong := range [][]string{
			{"replay", stream, "--last", "1"},                      // to no endpoint
			{"replay", stream, "--from", "1.0.9", "--side"},        // never given out
			{"redrive", stream, "--all"},                           // nothing is parked
			{"synth", stream, "--type", "death-reported"},          // not carried
			{"replay", stream, "--from", "nine", "--side"},         // no cursor
			{"redrive", stream}, {"redrive", stream, "1.0.1..1.1"}, // names nothing
		} {
			_, errs, code := p.try(nil, append([]string{"stream"}, wrong...)...)
			require.NotZero(t, code, "%v: %s", wrong, errs)
		}
		p.run("stream", "replay", stream, "--from", "1.0.2", "--to", "1.0.3", "--side", "--yes")
		require.Eventually(t, func() bool {
			return strings.Contains(p.run("--output", "text", "stream", "replay", stream, "--status"), "2 of 2 sent")
		}, time.Minute, 100*time.Millisecond)
		t.Cleanup(func() { deleteTopic(t, broker, side) })
		again := consume(t, broker, side, func(seen []record) bool { return len(seen) >= 2 })
		require.Equal(t, []string{"1.0.2", "1.0.3"}, []string{again[0].headers["ce_id"], again[1].headers["ce_id"]})
		require.Equal(t, seen[1].value, again[0].value)
		require.Empty(t, p.run("stream", "undelivered", stream))
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
	})
}

// TestAWebhookIsSteeredFromATerminal: an endpoint gets synthetic events, nothing during a pause, and what is replayed once more, with the same bytes,
// each signed. It is our own `stream listen`, beside a running hub.
func TestAWebhookIsSteeredFromATerminal(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		const stream = "mto.licensing"
		p.env = append(p.env, "TELLONCE_WEBHOOK_ALLOW_LOOPBACK=true")
		p.sandbox()
		hub := p.serve()
		secret := filepath.Join(p.dir, "endpoint-secret")
		l := p.listen(t, "--secret-file", secret)
		set := objects(t, p.run("stream", "endpoint", "set", stream, "--url", l.url, "--batch", "10"))[0]
		require.NoError(t, os.WriteFile(secret, []byte(set["secret"].(string)), 0o600))
		p.run("stream", "synth", stream, "--count", "2", "--type", "address-changed")
		p.run("stream", "synth", stream)
		came := l.until(t, func(came []string) bool { return len(came) == 3 })
		require.Equal(t, p.readUntil(stream, 3), came, "the same bytes as pull")

		p.run("stream", "pause", stream)
		p.run("stream", "synth", stream)
		preview := objects(t, p.run("stream", "replay", stream, "--last", "2"))
		require.Equal(t, []map[string]any{{"from": "1.0.2", "to": "1.0.3", "events": 2.0, "recalled": 0.0, "preview": true}}, preview)
		p.run("stream", "replay", stream, "--last", "2", "--yes")
		require.Equal(t, came, l.lines(), "nothing leaves meanwhile")
		p.run("stream", "resume", stream)
		again := l.until(t, func(came []string) bool { return len(came) >= 6 })
		require.Equal(t, came, again[:3])
		require.ElementsMatch(t, append(slices.Clone(came[1:]), p.readUntil(stream, 4)[3]), again[3:], "two again, and what waited")
		require.Empty(t, p.run("stream", "undelivered", stream))
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
	})
}

// lines are the events that have come.
func (l *listening) lines() []string {
	return strings.Split(strings.TrimSpace(l.printed.String()), "\n")
}

// until waits for events.
func (l *listening) until(t *testing.T, enough func(came []string) bool) (came []string) {
	t.Helper()
	require.Eventually(t, func() bool { came = l.lines(); return enough(came) }, 2*time.Minute, 10*time.Millisecond, "%s", l.stderr)
	return came
}
