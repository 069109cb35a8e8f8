package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSend publishes records of 600 B to one lane of a real broker: calls of n messages by a number of callers. Read msgs/s.
func BenchmarkSend(b *testing.B) {
	for _, c := range []struct{ callers, messages int }{{1, 1}, {64, 1}, {1, 100}, {1, 1000}, {16, 1000}, {1, 6000}} {
		b.Run(fmt.Sprintf("callers=%d/messages=%d", c.callers, c.messages), func(b *testing.B) {
			topic := topicName(b)
			client := open(b, Config{Brokers: brokers(b)})
			require.NoError(b, client.EnsureTopic(deadline(b), topic, 1))
			l := client.Lane(topic, 0, &memoryState{shared: &stored{}})
			takeOver(b, l)
			batch := events(1, int64(c.messages))
			for i := range batch {
				batch[i].Value = make([]byte, 600)
			}
			var failed atomic.Pointer[error]
			b.ReportAllocs()
			b.SetParallelism(c.callers)
			b.ResetTimer()
			if c.callers == 1 {
				for b.Loop() {
					require.NoError(b, l.Send(context.Background(), batch))
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := l.Send(context.Background(), batch); err != nil {
							failed.Store(&err)
						}
					}
				})
			}
			require.Nil(b, failed.Load())
			b.ReportMetric(float64(b.N*c.messages)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkEncode makes the bytes of a batch, without a broker.
func BenchmarkEncode(b *testing.B) {
	messages := events(1, 1000)
	var batch []*Message
	for i := range messages {
		messages[i].Value = make([]byte, 600)
		batch = append(batch, &messages[i])
	}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		buffer, err = encode(buffer, batch, stamp{})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "msgs/s")
}
