package webhook

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tellonce/hub/domain/delivery"
)

// BenchmarkNeighbours prints the p99 of a request to a healthy endpoint, alone and while other ministries' endpoints hang, are dead or
// never end their answers, and the ratio of the two. No ministry should feel another's endpoint: 1.2 is the most that it may be.
func BenchmarkNeighbours(b *testing.B) {
	quiet := func(*tls.Config, *authority) {}
	healthy := setupWith(b, answer(http.StatusNoContent), func(c *Config) { c.Timeout = 500 * time.Millisecond }, quiet)
	hanging := setup(b, func(_ http.ResponseWriter, r *http.Request) { until(r) })
	endless := setup(b, func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 64<<10); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	healthy.roots.pool.AddCert(hanging.roots.certificate)
	healthy.roots.pool.AddCert(endless.roots.certificate)
	dead := endpoint("https://127.0.0.1:1/hook")
	one := []delivery.Message{message(1)}
	p99 := func() time.Duration {
		took := make([]time.Duration, max(b.N, 500))
		for i := range took {
			started := time.Now()
			if code := healthy.client.Post(context.Background(), healthy.endpoint, one).Code; code != "" {
				b.Fatal(code)
			}
			took[i] = time.Since(started)
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	p99() // connections, caches
	b.ResetTimer()
	// In turns, and the median: a machine that does other things, too, is quick at one time and slow at another.
	var alone, among, ratio []float64
	for range 7 {
		quietly := p99().Seconds()
		stop := healthy.disturb([]string{hanging.endpoint.URL, endless.endpoint.URL, dead.URL})
		disturbed := p99().Seconds()
		stop()
		alone, among, ratio = append(alone, quietly), append(among, disturbed), append(ratio, disturbed/quietly)
	}
	b.ReportMetric(1e6*median(alone), "p99-alone-us")
	b.ReportMetric(1e6*median(among), "p99-among-us")
	b.ReportMetric(median(ratio), "p99-ratio")
}

// disturb posts to bad endpoints, four streams each, until it is stopped.
func (b *bundle) disturb(urls []string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, url := range slices.Repeat(urls, 4) {
		e := endpoint(url)
		e.Stream = string(rune('a'+i)) + ".stream"
		wg.Go(func() {
			for ctx.Err() == nil {
				b.client.Post(ctx, e, []delivery.Message{message(1)})
				select { // a courier leaves such an endpoint alone for 5 s and more
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
