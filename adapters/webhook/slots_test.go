package webhook

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
)

// TestAMinistrysBound: at most so many requests are under way to one ministry, and what another ministry gets does not wait for them.
func TestAMinistrysBound(t *testing.T) {
	t.Parallel()
	const slots = 3
	var now, most atomic.Int64
	release := make(chan struct{})
	b := setupWith(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("webhook-id") == "1.0.2" {
			return
		}
		for n := now.Add(1); ; {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		<-release
		now.Add(-1)
	}, func(c *Config) {
		c.Concurrency, c.Ministry = slots, func(stream string) string { return stream[:3] }
	}, func(*tls.Config, *authority) {})
	var wg sync.WaitGroup
	for i := range 4 * slots {
		e := b.endpoint
		e.Stream = []string{"moh.health-card", "moh.drugs"}[i%2]
		wg.Go(func() {
			if code := b.client.Post(context.Background(), e, []delivery.Message{message(1)}).Code; code != "" {
				t.Error(code)
			}
		})
	}
	require.Eventually(t, func() bool { return now.Load() == slots }, 10*time.Second, time.Millisecond)
	other := b.endpoint
	other.Stream = "library.membership"
	require.Empty(t, b.client.Post(context.Background(), other, []delivery.Message{message(2)}).Code)
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.Equal(t, delivery.Outcome{Code: "busy", Down: true}, b.client.Post(short, b.endpoint, []delivery.Message{message(1)}))
	close(release)
	wg.Wait()
	require.EqualValues(t, slots, most.Load())
}
