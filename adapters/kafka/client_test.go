package kafka

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// Requests race with new topics (each replaces the transport) and with Close: none may leave a connection behind, since kafka-go opens a
// pool of its own for a request that comes too late.
func TestNoConnectionOutlivesTheClient(t *testing.T) {
	before := goleak.IgnoreCurrent()
	c, err := Open(t.Context(), Config{Brokers: brokers(t), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for c.ctx.Err() == nil {
				_, _ = c.kafka().ApiVersions(c.ctx, new(kafka.ApiVersionsRequest))
			}
		})
	}
	for n := range 200 {
		_, err := c.kafka().ApiVersions(t.Context(), new(kafka.ApiVersionsRequest))
		require.NoError(t, err)
		c.know(fmt.Sprintf("test.never-made-%d", n))
	}
	require.NoError(t, c.Close())
	_, err = c.kafka().ApiVersions(t.Context(), new(kafka.ApiVersionsRequest))
	require.ErrorIs(t, err, errClosed)
	senders.Wait()
	goleak.VerifyNone(t, before)
}
