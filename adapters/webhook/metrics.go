package webhook

import "github.com/prometheus/client_golang/prometheus"

// newDuration is how long requests take. How they end the couriers count. The label is the stream: no address, no personal data.
func newDuration(registerer prometheus.Registerer) (*prometheus.HistogramVec, error) {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tellonce_webhook_post_seconds",
		Help:    "How long a request to an endpoint took, waiting for its turn included.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"stream"})
	if registerer == nil {
		return duration, nil
	}
	return duration, registerer.Register(duration)
}
