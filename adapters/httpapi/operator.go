package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// OperatorConfig is what the operator's endpoints need.
type OperatorConfig struct {
	Gatherer prometheus.Gatherer
	// Ready says whether the hub can serve: its store answers, its followers are alive, and it is not stopping. Nil: always.
	Ready  func(context.Context) error
	Logger *slog.Logger
}

// readyTime bounds one check of readiness.
const readyTime = 5 * time.Second

// Operator returns /healthz, /readyz and /metrics, for a listener of their own that the public can't reach.
func Operator(c OperatorConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { state(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTime)
		defer cancel()
		if c.Ready != nil {
			if err := c.Ready(ctx); err != nil {
				c.Logger.Warn("not ready", "error", err) // its text may name hosts: the operator's log is the place for it
				state(w, http.StatusServiceUnavailable, "not ready")
				return
			}
		}
		state(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(c.Logger.Handler(), slog.LevelError)}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range securityHeaders {
			w.Header().Set(name, value)
		}
		if handler, pattern := mux.Handler(r); pattern == "" {
			unmatched(w, r, handler)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func state(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": text}) // a probe that is gone needs no answer
}
