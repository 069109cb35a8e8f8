package delivery

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// LagWatchConfig is what a LagWatch needs.
type LagWatchConfig struct {
	Delivery     *Delivery
	Logger       *slog.Logger
	Registerer   prometheus.Registerer // nil: no metrics
	StoppedAfter time.Duration         // after how long without a move a ministry that owes one counts as stopped; 0: DefaultStopped
	Every        time.Duration         // between two looks; 0: 15 s
}

// DefaultStopped is LagWatchConfig.StoppedAfter where nothing else is set.
const DefaultStopped = time.Hour

// LagWatch looks at every lane's lag from time to time, for metrics and for whoever is on watch. A scrape gets what the last look saw, with ages
// as of now; it asks the store nothing.
//
// A ministry has stopped when something has waited for so long, for its answer or to be taken, and nothing was answered, or taken, for as long.
// Time when this process did not run doesn't count, nor does a paused stream: then nobody could move.
type LagWatch struct {
	LagWatchConfig
	started time.Time
	moves   map[laneID]moves // of the loop alone

	mu      sync.Mutex
	lags    []Lag
	stopped map[string]bool // by stream
}

type laneID struct {
	stream string
	lane   int
}

// moves are how far a lane was, and when it was first seen there.
type moves struct {
	answered, last     int64
	answeredAt, lastAt time.Time
}

// NewLagWatch registers the metrics. Run starts the work.
func NewLagWatch(config LagWatchConfig) (*LagWatch, error) {
	if config.StoppedAfter <= 0 {
		config.StoppedAfter = DefaultStopped
	}
	if config.Every <= 0 {
		config.Every = 15 * time.Second
	}
	w := &LagWatch{LagWatchConfig: config, started: config.Delivery.LagTime(), moves: map[laneID]moves{}}
	if config.Registerer == nil {
		return w, nil
	}
	return w, config.Registerer.Register(w)
}

// Run looks until ctx ends. It returns an error only if the log can't be read: run it again.
func (w *LagWatch) Run(ctx context.Context) error {
	ticker := time.NewTicker(w.Every) // lag grows older while the log stands still: nothing tells
	defer ticker.Stop()
	for {
		if err := w.look(ctx); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes one look, and says which ministries have stopped or moved again since the one before: once for each time that they stop.
func (w *LagWatch) look(ctx context.Context) error {
	lags, err := w.Delivery.Lags(ctx)
	if err != nil {
		return err
	}
	now, stopped := w.Delivery.LagTime(), map[string]bool{}
	for i := range lags {
		l := &lags[i]
		settings, err := w.Delivery.settings(ctx, l.Stream)
		if err != nil {
			return err
		}
		owed := w.owed(l, now, settings.Paused)
		if len(owed) > 0 && !stopped[l.Stream] && !w.stopped[l.Stream] {
			w.Logger.Warn("a ministry has stopped: it "+owed[0].what, "stream", l.Stream, "lane", l.Lane, "waits", now.Sub(owed[0].since).String(),
				"unanswered", l.Unanswered(), "due", l.Due)
		}
		stopped[l.Stream] = stopped[l.Stream] || len(owed) > 0
	}
	for stream, was := range w.stopped {
		if was && !stopped[stream] {
			w.Logger.Info("a ministry that had stopped moves again", "stream", stream)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lags, w.stopped = lags, stopped
	return nil
}

// Stopped says whether a stream's ministry had stopped at the last look.
func (w *LagWatch) Stopped(stream string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped[stream]
}

// owed is something that a ministry has left for too long.
type owed struct {
	what  string
	since time.Time
}

// owed lists what the ministry of a lane has left for too long. It notes how far the lane is.
func (w *LagWatch) owed(l *Lag, now time.Time, paused bool) (out []owed) {
	id := laneID{l.Stream, l.Lane}
	m, known := w.moves[id]
	if !known {
		m = moves{answered: l.Applied + l.Rejected, last: l.Last, answeredAt: w.started, lastAt: w.started}
	}
	if answered := l.Applied + l.Rejected; paused || m.answered != answered {
		m.answered, m.answeredAt = answered, now
	}
	if paused || m.last != l.Last {
		m.last, m.lastAt = l.Last, now
	}
	w.moves[id] = m
	late := func(what string, since, moved time.Time) {
		if !since.IsZero() && now.Sub(since) >= w.StoppedAfter && now.Sub(moved) >= w.StoppedAfter {
			out = append(out, owed{what, since})
		}
	}
	late("answers nothing", l.UnansweredSince, m.answeredAt)
	late("takes nothing", l.DueSince, m.lastAt)
	return out
}

var (
	lagLabels  = []string{"stream", "lane"}
	lagDue     = prometheus.NewDesc("tellonce_delivery_due", "Events that may leave and have no number yet; 10000 stands for that many or more.", lagLabels, nil)
	lagDueAge  = prometheus.NewDesc("tellonce_delivery_due_age_seconds", "Age of the oldest event that may leave and has no number yet; 0 for none.", lagLabels, nil)
	lagGiven   = prometheus.NewDesc("tellonce_delivery_given", "The last number given.", lagLabels, nil)
	lagAnswers = prometheus.NewDesc("tellonce_delivery_answered", "Given numbers by the ministry's strongest answer.",
		[]string{"stream", "lane", "status"}, nil)
	lagSettled    = prometheus.NewDesc("tellonce_delivery_settled", "Every number up to this one is applied or rejected.", lagLabels, nil)
	lagUnanswered = prometheus.NewDesc("tellonce_delivery_unanswered", "Given numbers that are neither applied nor rejected.", lagLabels, nil)
	lagAnswerAge  = prometheus.NewDesc("tellonce_delivery_unanswered_age_seconds",
		"Age of the lowest number that is neither applied nor rejected; 0 for none.", lagLabels, nil)
	lagStopped = prometheus.NewDesc("tellonce_delivery_stopped", "1 while a ministry has stopped: what it owes waits, and nothing moves.",
		[]string{"stream"}, nil)
)

var _ prometheus.Collector = (*LagWatch)(nil)

// Describe is prometheus.Collector's.
func (w *LagWatch) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagDue, lagDueAge, lagGiven, lagAnswers, lagSettled, lagUnanswered, lagAnswerAge, lagStopped} {
		out <- d
	}
}

// Collect is prometheus.Collector's.
func (w *LagWatch) Collect(out chan<- prometheus.Metric) {
	now := w.Delivery.LagTime()
	w.mu.Lock()
	defer w.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for i := range w.lags {
		l, lane := &w.lags[i], strconv.Itoa(w.lags[i].Lane)
		gauge(lagDue, float64(l.Due), l.Stream, lane)
		gauge(lagDueAge, AgeOf(l.DueSince, now).Seconds(), l.Stream, lane)
		gauge(lagGiven, float64(l.Last), l.Stream, lane)
		gauge(lagAnswers, float64(l.Received), l.Stream, lane, Received)
		gauge(lagAnswers, float64(l.Applied), l.Stream, lane, Applied)
		gauge(lagAnswers, float64(l.Rejected), l.Stream, lane, StatusRejected)
		gauge(lagSettled, float64(l.Settled), l.Stream, lane)
		gauge(lagUnanswered, float64(l.Unanswered()), l.Stream, lane)
		gauge(lagAnswerAge, AgeOf(l.UnansweredSince, now).Seconds(), l.Stream, lane)
	}
	for stream, stopped := range w.stopped {
		value := 0.0
		if stopped {
			value = 1
		}
		gauge(lagStopped, value, stream)
	}
}

// AgeOf is how long ago a time is: 0 for the zero time and for what lies ahead.
func AgeOf(since, now time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since))
}
