package delivery_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// counted is an endpoint that takes everything at once.
type counted struct {
	left atomic.Int64
	done chan struct{}
}

func (c *counted) Post(_ context.Context, _ journal.EndpointSet, messages []delivery.Message) delivery.Outcome {
	if c.left.Add(-int64(len(messages))) == 0 {
		close(c.done)
	}
	return delivery.Outcome{}
}

// BenchmarkCourier is what a push costs per change: the due changes stand on the log, the view is behind.
func BenchmarkCourier(b *testing.B) {
	for _, batch := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			j := journaltest.New(b, journaltest.Options{})
			d, people := delivery.New(j), populate(b, j, 500)
			tellAll(b, j, people, b.N)
			require.NoError(b, d.SetEndpoint(b.Context(), operator, journal.CommandID{}, journal.EndpointSet{
				Batch: batch, Kind: journal.EndpointWebhook, Secret: "first", Signature: journal.SignatureHMAC, Stream: "test.bench", URL: "https://hook.example/in",
			}))
			poster := &counted{done: make(chan struct{})}
			poster.left.Store(int64(b.N))
			couriers, err := delivery.NewCouriers(delivery.CourierConfig{Delivery: d, Poster: poster, Owner: "bench", Logger: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			b.ResetTimer()
			go func() { ended <- couriers.Run(ctx) }()
			<-poster.done
			b.StopTimer()
			cancel()
			require.NoError(b, <-ended)
		})
	}
}
