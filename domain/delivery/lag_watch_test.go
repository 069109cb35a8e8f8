package delivery_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/journal/journaltest"
)

// onWatch is a world with somebody on watch.
type onWatch struct {
	*world
	watch    *delivery.LagWatch
	registry *prometheus.Registry
	logs     *bytes.Buffer
}

func newOnWatch(t *testing.T, j *journal.Journal) *onWatch {
	t.Helper()
	w := &onWatch{world: newWorld(t, j), registry: prometheus.NewRegistry(), logs: &bytes.Buffer{}}
	w.start()
	return w
}

// start is another process, which watches with metrics of its own.
func (w *onWatch) start() {
	w.Helper()
	w.registry = prometheus.NewRegistry()
	var err error
	w.watch, err = delivery.NewLagWatch(delivery.LagWatchConfig{
		Delivery: w.delivery, Logger: slog.New(slog.NewTextHandler(w.logs, nil)), Registerer: w.registry,
	})
	require.NoError(w, err)
	w.watch.Look(w.T)
}

// later lets time go by on the log, and takes a look.
func (w *onWatch) later(wait time.Duration) {
	w.Helper()
	w.now = w.now.Add(wait)
	w.tell("language-changed", map[string]any{"language": map[bool]string{true: "en", false: "fr"}[w.now.Minute()%2 == 0]})
	w.watch.Look(w.T)
}

// stops requires how often a ministry was said to have stopped, and to have moved again, and whether it is stopped now.
func (w *onWatch) stops(stopped, moved int, now string) {
	w.Helper()
	said := map[string]int{}
	for line := range strings.Lines(w.logs.String()) {
		if strings.Contains(line, "stream=s.statute") {
			said[line[strings.Index(line, "level="):strings.Index(line, " msg")]]++
		}
	}
	require.Equal(w, []int{stopped, moved}, []int{said["level=WARN"], said["level=INFO"]}, w.logs)
	w.shows("tellonce_delivery_stopped", `{stream="s.statute"} `+now)
}

// shows requires one series of the metrics: its name with labels, and its value.
func (w *onWatch) shows(name, series string) {
	w.Helper()
	families, err := w.registry.Gather()
	require.NoError(w, err)
	var all []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			all = append(all, fmt.Sprintf("%s{%s} %v", family.GetName(), strings.Join(labels, ","), m.GetGauge().GetValue()))
		}
	}
	require.Contains(w, all, name+series)
}

// TestAMinistryThatStops is said to once, and once to move again.
func TestAMinistryThatStops(t *testing.T) {
	t.Parallel()
	journaltest.OnBothStores(t, journaltest.Options{}, func(t *testing.T, j *journal.Journal) {
		w := newOnWatch(t, j)
		w.stops(0, 0, "0")
		w.move("Kenora")
		w.move("Dryden")
		w.gets("shelter", "1 fact Kenora", "2 fact Dryden")
		w.says("s.shelter", receipt(1, 2, delivery.Applied)) // others move
		w.gets("statute", "1 fact Kenora", "2 fact Dryden")
		w.later(59 * time.Minute)
		w.stops(0, 0, "0")
		w.later(time.Minute)
		w.stops(1, 0, "1")
		require.Contains(t, w.logs.String(), "it answers nothing")
		w.later(time.Hour)
		w.stops(1, 0, "1")
		w.shows("tellonce_delivery_unanswered_age_seconds", `{lane="0",stream="s.statute"} 7200`)
		w.shows("tellonce_delivery_unanswered", `{lane="0",stream="s.statute"} 2`)
		w.shows("tellonce_delivery_stopped", `{stream="s.shelter"} 0`)

		w.says(statute, receipt(1, 1, delivery.Received))
		w.later(time.Minute)
		w.stops(1, 0, "1") // received is no answer for good
		w.says(statute, receipt(1, 1, delivery.Applied))
		w.later(time.Minute)
		w.stops(1, 1, "0")
		w.shows("tellonce_delivery_settled", `{lane="0",stream="s.statute"} 1`)
		w.shows("tellonce_delivery_answered", `{lane="0",status="applied",stream="s.statute"} 1`)
		w.later(time.Hour)
		w.stops(2, 1, "1") // the second number still waits, for hours, and nothing moved since
		require.NoError(t, w.delivery.Pause(w.ctx, operator, journal.CommandID{}, statute))
		w.later(2 * time.Hour)
		w.stops(2, 2, "0")
		require.NoError(t, w.delivery.Resume(w.ctx, operator, journal.CommandID{}, statute))
		w.later(59 * time.Minute)
		w.stops(2, 2, "0")

		w.start() // what was owed while this process did not run is owed since it started
		w.later(59 * time.Minute)
		w.stops(2, 2, "0")
		w.later(time.Minute)
		w.stops(3, 2, "1")
		w.says(statute, receipt(1, 2, delivery.StatusRejected))
		w.later(time.Minute)
		w.stops(3, 3, "0")
		for _, personal := range []string{"Kenora", "Dryden", w.citizen.String()} {
			require.NotContains(t, w.logs.String(), personal)
		}
	})
}

// TestAMinistryThatTakesNothing has stopped as well.
func TestAMinistryThatTakesNothing(t *testing.T) {
	t.Parallel()
	w := newOnWatch(t, journaltest.New(t, journaltest.Options{}))
	w.move("Kenora")
	w.move("Dryden")
	w.later(time.Hour)
	w.stops(1, 0, "1")
	require.Contains(t, w.logs.String(), "it takes nothing")
	w.shows("tellonce_delivery_due", `{lane="0",stream="s.statute"} 2`)
	w.shows("tellonce_delivery_due_age_seconds", `{lane="0",stream="s.statute"} 3600`)
	page, err := w.delivery.Next(w.ctx, statute, 0, 0, 1, 0)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	w.later(time.Minute)
	w.stops(1, 1, "0")
	problems, err := testutil.CollectAndLint(w.watch)
	require.NoError(t, err)
	require.Empty(t, problems)
}
