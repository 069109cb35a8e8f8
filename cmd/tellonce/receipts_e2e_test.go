package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
)

// TestReceiptsThroughTheProgram: a ministry answers by command and by Kafka, and everybody sees how far it is.
func TestReceiptsThroughTheProgram(t *testing.T) {
	t.Parallel()
	broker := strings.Split(server(t, "KAFKA_BROKERS"), ",")[0]
	places(t, func(t *testing.T, p *place) {
		p.sandbox()
		stream := p.ownStream()
		p.run("import", "--clock", "told", absolute(t, samples+"small/changes.ndjson"))
		lane := func(args ...string) map[string]any {
			t.Helper()
			return objects(t, p.run(append([]string{"stream", "receipts", stream}, args...)...))[0]
		}
		require.Zero(t, lane()["last"])
		require.Positive(t, lane()["due"])
		hub := p.serve("--kafka", broker, "--kafka-streams", stream)
		consume(t, broker, "tellonce."+stream, func(seen []record) bool { return len(seen) >= 10 })

		got := lane("--send", "1.0.1..1.0.4=received", "--send", "1.0.1..1.0.2=applied", "--send", "1.0.3=rejected", "--reason", "Unknown client")
		require.Equal(t, []any{1.0, 2.0, 1.0, 3.0}, []any{got["received"], got["applied"], got["rejected"], got["settled"]})
		require.Contains(t, p.run("--output", "text", "stream", "receipts", stream), "received 1  applied 2  rejected 1")
		for _, wrong := range [][]string{{"--send", "1.0.1"}, {"--reason", "x"}, {"--send", "1.0.1=applied", "--reason", "x"}} {
			_, errs, code := p.try(nil, append([]string{"stream", "receipts", stream}, wrong...)...)
			require.Equal(t, 2, code, errs)
		}
		_, errs, code := p.try(nil, "stream", "receipts", stream, "--send", "1.0.999999=applied")
		require.Equal(t, 1, code)
		require.Contains(t, errs, "was never given out")

		writer := &kafka.Writer{Addr: kafka.TCP(broker), Topic: "tellonce." + stream + ".receipts", BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
		defer writer.Close() //nolint:errcheck // a test's
		say := func(text string) {
			require.Eventually(t, func() bool { // the hub makes the topic
				return writer.WriteMessages(context.Background(), kafka.Message{Value: []byte(text)}) == nil
			}, time.Minute, 50*time.Millisecond)
		}
		say("no receipts at all: Canary")
		say(`[{"from":"1.0.1","to":"1.0.10","status":"applied"}]`)
		require.Eventually(t, func() bool { return lane()["settled"] == 10.0 }, time.Minute, 100*time.Millisecond)
		require.InDelta(t, 9, lane()["applied"], 0, "and one stays rejected")

		response, err := http.Get(hub.operatorURL + "/metrics")
		require.NoError(t, err)
		defer response.Body.Close() //nolint:errcheck // a test's
		metrics, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Contains(t, string(metrics), fmt.Sprintf(`tellonce_delivery_stopped{stream=%q} 0`, stream))
		require.Contains(t, string(metrics), fmt.Sprintf(`tellonce_kafka_receipts_total{result="aside",stream=%q} 1`, stream))
		require.Equal(t, 0, hub.stop(t))
		require.NotContains(t, hub.stderr.String(), "Canary")
	})
}
