package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all endpoints. Labels are stream and code: no address, no personal data, bounded in number.
type metrics struct {
	posts    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	open     *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_webhook_posts_total",
			Help: "Requests to endpoints, by how they ended: ok, or what failed.",
		}, []string{"stream", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tellonce_webhook_post_seconds",
			Help:    "How long a request to an endpoint took, waiting for its turn included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"stream"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tellonce_webhook_circuit_open",
			Help: "1 while an endpoint is left alone because it did not serve several times in a row.",
		}, []string{"stream"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.posts, m.duration, m.open} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(stream, code string, took time.Duration) {
	if code == "" {
		code = "ok"
	}
	m.posts.WithLabelValues(stream, code).Inc()
	m.duration.WithLabelValues(stream).Observe(took.Seconds())
}
