package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/adapters/httpapi"
	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/adapters/webhook"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// serveConfig is what `serve` alone takes.
type serveConfig struct {
	listen         string
	operatorListen string
	kafka          kafkaFlags
	kafkaStreams   []string
	notices        noticeFlags
	webhook        webhookFlags
	signInFlags    signInFlags
	stoppedAfter   time.Duration
	contact        string
	personas       []web.Persona                   // of a sandbox
	around         func(http.Handler) http.Handler // measures what is served; nil: nothing does
}

func (c *cli) serveCommand() *cobra.Command {
	var s serveConfig
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the hub: API, pages, feeds, Kafka lanes, followers",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(s.kafkaStreams) > 0 && len(s.kafka.brokers) == 0 {
				return usageError{errors.New("--kafka-streams needs --kafka HOST:PORT")}
			}
			if err := s.signInFlags.check(); err != nil {
				return usageError{err}
			}
			logger := c.logger()
			h, err := openHub(cmd.Context(), &c.config, logger)
			if err != nil {
				return err
			}
			defer h.Close()
			if h.journal.Genesis().Mode == journal.ModeSandbox {
				if s.personas, err = h.personas(cmd.Context()); err != nil {
					return err
				}
			}
			return h.serve(cmd.Context(), s, c.announce)
		},
	}
	s.flags(cmd)
	return cmd
}

func (s *serveConfig) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.listen, "listen", "127.0.0.1:8080", "address of the API and the pages; port 0 takes any")
	cmd.Flags().StringVar(&s.operatorListen, "operator-listen", "127.0.0.1:9090", "address of /healthz, /readyz and /metrics")
	s.kafka.flags(cmd)
	cmd.Flags().StringSliceVar(&s.kafkaStreams, "kafka-streams", nil, "the streams to push to Kafka (default: all)")
	s.notices.flags(cmd)
	s.webhook.flags(cmd)
	s.signInFlags.flags(cmd)
	cmd.Flags().StringVar(&s.contact, "contact", "", "where people write or call when something on the pages is in their way")
	cmd.Flags().DurationVar(&s.stoppedAfter, "stopped-after", delivery.DefaultStopped, "say so when a ministry has answered or taken nothing for so long, though something waits")
}

// announce says that the hub is ready.
func (c *cli) announce(url, operatorURL string) error {
	out := c.lines()
	object := map[string]any{"ready": true, "url": url, "operator_url": operatorURL}
	if err := out.emit(object, fmt.Sprintf("Ready: %s (operator: %s)", url, operatorURL)); err != nil {
		return err
	}
	return out.flush()
}

// app is a running hub: its listeners and the work that follows the log.
type app struct {
	*hub
	serveConfig
	registry *prometheus.Registry
	drain    context.Context // ends when the hub begins to stop
	public   net.Listener
	operator net.Listener
	webhooks *webhook.Client
	lags     *delivery.LagWatch
}

// serve runs the hub until ctx ends, then stops gracefully: no new requests, waiting reads end at once, what is under way is finished.
func (h *hub) serve(ctx context.Context, s serveConfig, ready func(url, operatorURL string) error) error {
	release, err := h.claim(ctx)
	if err != nil {
		return err
	}
	defer release()
	drain, stop := context.WithCancel(ctx)
	defer stop()
	a := &app{hub: h, serveConfig: s, registry: prometheus.NewRegistry(), drain: drain}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if a.webhooks, err = h.openWebhooks(s.webhook, a.registry); err != nil {
		return err
	}
	if a.lags, err = a.openLags(); err != nil {
		return err
	}
	if err := a.listen(); err != nil {
		return err
	}
	public, operator, err := a.handlers()
	if err != nil {
		return err
	}
	group, work := errgroup.WithContext(drain)
	a.serveHTTP(group, work, a.public, public)
	a.serveHTTP(group, work, a.operator, operator)
	a.follow(group, work)
	group.Go(func() error { return a.keep(work, "lag", func() error { return a.lags.Run(work) }) })
	if err := errors.Join(a.tell(group, work), a.push(group, work), a.carry(group, work)); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	if err := ready("http://"+a.public.Addr().String(), "http://"+a.operator.Addr().String()); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	return group.Wait()
}

// claim refuses a second serve on one embedded store.
func (h *hub) claim(ctx context.Context) (release func(), err error) {
	if s, ok := h.store.(interface {
		Serve(context.Context) (func(), error)
	}); ok {
		return s.Serve(ctx)
	}
	return func() {}, nil
}

func (a *app) listen() (err error) {
	var listener net.ListenConfig
	if a.public, err = listener.Listen(a.drain, "tcp", a.serveConfig.listen); err != nil {
		return fmt.Errorf("--listen: %w; choose another address, or port 0 for any free one", err)
	}
	if a.operator, err = listener.Listen(a.drain, "tcp", a.operatorListen); err != nil {
		_ = a.public.Close()
		return fmt.Errorf("--operator-listen: %w; choose another address, or port 0 for any free one", err)
	}
	return nil
}

// handlers builds the API with the pages beside it, and the operator's endpoints.
func (a *app) handlers() (public, operator http.Handler, err error) {
	api, err := httpapi.New(httpapi.Config{
		Journal: a.journal, Command: a.command, Delivery: a.delivery, Projection: a.projection, Audit: a.audit,
		Endpoints: a.endpoints(a.webhooks), Logger: a.logger, Registerer: a.registry, Drain: a.drain,
	})
	if err != nil {
		return nil, nil, err
	}
	config := web.Config{
		Journal: a.journal, Command: a.command, Delivery: a.delivery, Projection: a.projection, Audit: a.audit,
		Ministries: ministries, Sources: []string{"demo", "import"}, Logger: a.logger, Clock: time.Now, Drain: a.drain, Console: a.console(), Contact: a.contact,
	}
	sandboxIDP, err := a.signIn(&config)
	if err != nil {
		return nil, nil, err
	}
	pages, err := web.New(config)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	for _, pattern := range web.Patterns() {
		mux.Handle(pattern, pages)
	}
	operator = httpapi.Operator(httpapi.OperatorConfig{Gatherer: a.registry, Ready: a.ready, Logger: a.logger})
	public = auth.Middleware(a.verifier, time.Now)(mux)
	if sandboxIDP != nil { // its clients have credentials of their own
		outer := http.NewServeMux()
		outer.Handle("/", public)
		outer.Handle(auth.SandboxPath+"/", sandboxIDP)
		public = outer
	}
	if a.around != nil {
		public = a.around(public)
	}
	return public, operator, nil
}

// ready says whether the store answers.
func (a *app) ready(ctx context.Context) error {
	if a.drain.Err() != nil {
		return errors.New("stopping")
	}
	_, err := a.journal.Head(ctx)
	return err
}

// shutdownTime bounds how long requests under way may take once the hub stops.
const shutdownTime = 10 * time.Second

func (a *app) serveHTTP(group *errgroup.Group, work context.Context, listener net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelWarn),
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-work.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(work), shutdownTime)
		defer cancel()
		return server.Shutdown(ctx)
	})
}

// follow keeps the views at the head.
func (a *app) follow(group *errgroup.Group, work context.Context) {
	for _, view := range a.views() {
		group.Go(func() error {
			return a.keep(work, "view "+view.Name(), func() error { return a.journal.Run(work, view) })
		})
	}
	snapshots := a.command.Snapshots()
	group.Go(func() error { return a.keep(work, "snapshots", func() error { return snapshots.Run(work) }) })
	group.Go(func() error {
		return a.keep(work, "retention", func() error { return a.command.Retention().Run(work) })
	})
	group.Go(func() error { return a.keep(work, "eviction", func() error { return a.journal.EvictErased(work) }) })
}

// keep runs a follower until the hub stops. A database that is away for a while must not end it.
func (a *app) keep(work context.Context, name string, follow func() error) error {
	for {
		err := follow()
		if work.Err() != nil {
			return nil
		}
		a.logger.Error("a follower stopped; it goes on in a second", "follower", name, "error", err)
		select { // nothing tells when the store is back
		case <-time.After(time.Second):
		case <-work.Done():
			return nil
		}
	}
}
