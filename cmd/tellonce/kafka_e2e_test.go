package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// ownStream loads an agreement like the sample's health card, on a stream that no other test and no earlier run has on the broker.
func (p *place) ownStream() string {
	p.t.Helper()
	text, err := os.ReadFile(samples + "agreements/moh-health-card.yaml")
	require.NoError(p.t, err)
	name := "test-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	own := strings.NewReplacer("id: moh-health-card", "id: "+name, "stream: moh.health-card", "stream: "+name+".card").Replace(string(text))
	dir := p.t.TempDir()
	require.NoError(p.t, os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(own), 0o600))
	p.run("agreement", "load", dir)
	return name + ".card"
}

// record is what a ministry's consumer gets.
type record struct {
	headers map[string]string
	key     string
	value   string
}

// consume reads a topic's partition from its beginning until done says that it has seen enough.
func consume(t *testing.T, broker, topic string, done func([]record) bool) []record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: topic, Partition: 0, MaxWait: 250 * time.Millisecond, MinBytes: 1, MaxBytes: 10e6})
	defer reader.Close() //nolint:errcheck // a test's
	var out []record
	for !done(out) {
		m, err := reader.ReadMessage(ctx)
		require.NoError(t, err, "after %d events", len(out))
		r := record{headers: map[string]string{}, key: string(m.Key), value: string(m.Value)}
		for _, h := range m.Headers {
			r.headers[h.Key] = string(h.Value)
		}
		if !strings.HasPrefix(r.headers["ce_type"], "tellonce.fence.") {
			out = append(out, r)
		}
	}
	return out
}

// TestKafkaThroughKills imports while the hub that pushes to Kafka is killed again and again: the topic holds every number once, in order,
// with the bytes that a pull of the same stream gives.
func TestKafkaThroughKills(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		stream := p.ownStream()
		topic := "tellonce." + stream
		hub := p.serve("--kafka", broker, "--kafka-streams", stream)
		importing := p.command("import", "--clock", "told", absolute(t, samples+"full/changes.ndjson"))
		require.NoError(t, importing.Start())
		for kills := 1; kills <= 4; kills++ {
			consume(t, broker, topic, func(seen []record) bool { return len(seen) >= 50*kills })
			hub.kill()
			hub = p.serve("--kafka", broker, "--kafka-streams", stream)
		}
		require.NoError(t, importing.Wait())

		// Everything that is due is in the topic once the lane's last number is.
		pulled := objects(t, p.run("stream", "read", stream))
		require.Greater(t, len(pulled), 400)
		got := consume(t, broker, topic, func(seen []record) bool { return len(seen) >= len(pulled) })
		require.Equal(t, 0, hub.stop(t), hub.stderr.String())
		require.Len(t, consumeAll(t, broker, topic), len(pulled), "nothing twice")
		for i, want := range pulled {
			require.Equal(t, fmt.Sprintf("1.0.%d", i+1), got[i].headers["ce_id"])
			if want["kind"] == "recalled" { // its link ended between the push and this pull
				continue
			}
			require.Equal(t, want["subject"], got[i].key)
			for name, value := range want {
				switch name {
				case "data":
					var data any
					require.NoError(t, json.Unmarshal([]byte(got[i].value), &data))
					require.Equal(t, value, data)
				case "datacontenttype":
					require.Equal(t, value, got[i].headers["content-type"])
				default:
					require.Equal(t, value, got[i].headers["ce_"+name], name)
				}
			}
			require.Len(t, got[i].headers, len(want)-1)
		}
		kcat(t, broker, topic, len(pulled))
	})
}

// consumeAll reads what is in the topic now: up to the high watermark.
func consumeAll(t *testing.T, broker, topic string) []record {
	t.Helper()
	conn, err := kafka.DialLeader(context.Background(), "tcp", broker, topic, 0)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // a test's
	last, err := conn.ReadLastOffset()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: topic, Partition: 0, MaxWait: 250 * time.Millisecond, MinBytes: 1, MaxBytes: 10e6})
	defer reader.Close() //nolint:errcheck // a test's
	var out []record
	for next := int64(0); next < last; {
		m, err := reader.ReadMessage(ctx)
		require.NoError(t, err)
		next = m.Offset + 1
		fence := false
		for _, h := range m.Headers {
			fence = fence || (h.Key == "ce_type" && strings.HasPrefix(string(h.Value), "tellonce.fence."))
		}
		if !fence {
			out = append(out, record{})
		}
	}
	return out
}

// makeTopic and deleteTopic do so by a connection of the test's own.
func makeTopic(t *testing.T, broker, topic string, partitions int) {
	t.Helper()
	client := &kafka.Client{Addr: kafka.TCP(broker), Timeout: time.Minute}
	answer, err := client.CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	require.NoError(t, err)
	require.NoError(t, answer.Errors[topic])
}

func deleteTopic(t *testing.T, broker, topic string) {
	t.Helper()
	client := &kafka.Client{Addr: kafka.TCP(broker), Timeout: time.Minute}
	answer, err := client.DeleteTopics(context.Background(), &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	require.NoError(t, err)
	require.NoError(t, answer.Errors[topic])
}

// topicExists asks anew: a client of kafka-go's remembers what it was told.
func topicExists(t *testing.T, broker, topic string) bool {
	t.Helper()
	transport := &kafka.Transport{MetadataTopics: []string{topic}}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(broker), Timeout: time.Minute, Transport: transport}
	answer, err := client.Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{topic}})
	require.NoError(t, err)
	return answer.Topics[0].Error == nil
}

// kcat reads the topic with a tool that is not ours.
func kcat(t *testing.T, broker, topic string, events int) {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		require.Empty(t, os.Getenv("TELLONCE_REQUIRE_SERVERS"), "kcat must be installed: deploy/dev/up --tools")
		t.Log("kcat is not installed; that part is left out")
		return
	}
	out, err := exec.Command(path, "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", "%h\n").Output()
	require.NoError(t, err)
	ids := 0
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ce_sequence=") {
			ids++
			require.Contains(t, line, fmt.Sprintf("ce_id=1.0.%d,", ids))
		}
	}
	require.Equal(t, events, ids)
}

// TestATopicOfAnotherLogIsRefused: two logs must never share a topic.
func TestATopicOfAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	p := &place{t: t, dir: t.TempDir()}
	p.sandbox()
	stream := p.ownStream()
	p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
	hub := p.serve("--kafka", broker, "--kafka-streams", stream)
	consume(t, broker, "tellonce."+stream, func(seen []record) bool { return len(seen) >= 10 })
	hub.kill()
	require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "tellonce-data")))
	require.NoError(t, os.RemoveAll(filepath.Join(p.dir, "tellonce-data-keys")))

	p.sandbox()
	text, err := os.ReadFile(samples + "agreements/moh-health-card.yaml")
	require.NoError(t, err)
	name := strings.TrimSuffix(stream, ".card")
	own := strings.NewReplacer("id: moh-health-card", "id: "+name, "stream: moh.health-card", "stream: "+stream).Replace(string(text))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(own), 0o600))
	p.run("agreement", "load", dir)
	p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
	again := p.serve("--kafka", broker, "--kafka-streams", stream)
	require.Eventually(t, func() bool { return strings.Contains(again.stderr.String(), "another log's events") }, time.Minute, 20*time.Millisecond)
	require.Equal(t, 0, again.stop(t))
}
