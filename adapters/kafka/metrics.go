package kafka

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all lanes of a client. Labels are topic, partition and an error's category: no personal data, bounded in number.
type metrics struct {
	acknowledged *prometheus.CounterVec
	retries      *prometheus.CounterVec
	takeovers    *prometheus.CounterVec
	stuck        *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	lane := []string{"topic", "partition"}
	m := &metrics{
		acknowledged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_kafka_records_acknowledged_total",
			Help: "Records that the broker has acknowledged, markers not counted.",
		}, lane),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_kafka_retries_total",
			Help: "Tries to send a batch that failed and were, or could be, repeated; by the error's category.",
		}, append([]string{"category"}, lane...)),
		takeovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_kafka_takeovers_total",
			Help: "Lanes taken over: fenced, and their tail read.",
		}, lane),
		stuck: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tellonce_kafka_lane_stuck",
			Help: "1 while a lane has something to send and can't: a try failed and nothing was acknowledged since, or the lane has stopped.",
		}, lane),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.acknowledged, m.retries, m.takeovers, m.stuck} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// laneMetrics are the metrics of one lane, looked up once: a lookup by label costs more than the increment.
type laneMetrics struct {
	acknowledged prometheus.Counter
	retries      *prometheus.CounterVec
	takeovers    prometheus.Counter
	stuck        prometheus.Gauge
}

func (m *metrics) lane(topic string, partition int) laneMetrics {
	labels := prometheus.Labels{"topic": topic, "partition": strconv.Itoa(partition)}
	return laneMetrics{
		acknowledged: m.acknowledged.With(labels),
		retries:      m.retries.MustCurryWith(labels),
		takeovers:    m.takeovers.With(labels),
		stuck:        m.stuck.With(labels),
	}
}
