package delivery

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// courierMetrics of all couriers of a process. Labels are stream, lane and a code of ours.
type courierMetrics struct {
	attempts *prometheus.CounterVec
	parked   *prometheus.CounterVec
	held     *prometheus.GaugeVec
	breaker  *prometheus.GaugeVec
}

func newCourierMetrics(registerer prometheus.Registerer) (*courierMetrics, error) {
	lane := []string{"stream", "lane"}
	m := &courierMetrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_delivery_courier_requests_total",
			Help: "Requests to endpoints, by what they came to: accepted, or the code of what failed.",
		}, []string{"stream", "code"}),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_delivery_parked_total",
			Help: "Events given up after their last attempt.",
		}, lane),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tellonce_delivery_held",
			Help: "Events that wait for their next attempt, or behind one that does.",
		}, lane),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tellonce_delivery_breaker_open",
			Help: "1 while an endpoint as a whole does not serve and is only probed.",
		}, []string{"stream"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.attempts, m.parked, m.held, m.breaker} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// laneGauges are the metrics of one lane, looked up once.
type laneGauges struct {
	attempts *prometheus.CounterVec
	parked   prometheus.Counter
	held     prometheus.Gauge
	breaker  prometheus.Gauge
}

func (m *courierMetrics) lane(stream string, lane int) laneGauges {
	labels := prometheus.Labels{"stream": stream, "lane": strconv.Itoa(lane)}
	return laneGauges{
		attempts: m.attempts.MustCurryWith(prometheus.Labels{"stream": stream}),
		parked:   m.parked.With(labels),
		held:     m.held.With(labels),
		breaker:  m.breaker.WithLabelValues(stream),
	}
}

// request counts a request by what it came to.
func (g *laneGauges) request(o Outcome) {
	code := o.Code
	if code == "" {
		code = "accepted"
	}
	g.attempts.WithLabelValues(code).Inc()
}
