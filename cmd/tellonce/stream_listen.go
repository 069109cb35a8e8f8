package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/ministry"
)

// listener is what `stream listen` takes: an endpoint to try a stream's webhook with. It keeps nothing.
type listener struct {
	addr       string
	secretFile string
	unsigned   bool
	status     int
}

func (c *cli) streamListen() *cobra.Command {
	var l listener
	cmd := &cobra.Command{
		Use:   "listen [--addr HOST:PORT] [--secret-file FILE]",
		Short: "Be a webhook's endpoint, to try it: verify, print each event, answer the challenge",
		Long: `Listens as a ministry's endpoint would: it answers the hub's challenge, verifies each request's signature, and prints the events, structured
mode, one a line. What it thought of each request goes to stderr. The secret's file is read at each request, so it may be written once the hub
has given the secret out.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if l.secretFile == "" && !l.unsigned {
				return usageError{errors.New("whose signatures? --secret-file FILE holds what the hub gave out; --allow-unsigned asks for none")}
			}
			if l.status < 200 || l.status > 599 {
				return usageError{errors.New("--status is 200 to 599")}
			}
			return c.listen(cmd.Context(), l)
		},
	}
	f := cmd.Flags()
	f.StringVar(&l.addr, "addr", "127.0.0.1:9099", "address to listen on; port 0 takes any")
	f.StringVar(&l.secretFile, "secret-file", "", "the file of the endpoint's secrets, one a line: whsec_… or whpk_…")
	f.BoolVar(&l.unsigned, "allow-unsigned", false, "print also what is not signed")
	f.IntVar(&l.status, "status", http.StatusNoContent, "how to answer events, to see what the hub does then")
	return cmd
}

// listen serves until ctx ends.
func (c *cli) listen(ctx context.Context, l listener) error {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	out := c.lines()
	url := "http://" + socket.Addr().String()
	c.logger().Info("listening; give this address to the hub", "url", url, "command", "tellonce stream endpoint set STREAM --url "+url)
	server := &http.Server{
		Handler: &receiver{listener: l, out: out, logger: c.logger(), secrets: ministry.SecretsFile(l.secretFile)}, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(c.logger().Handler(), slog.LevelWarn),
	}
	stopped := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(late)
	})
	defer stopped()
	if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// receiver is the endpoint.
type receiver struct {
	listener
	out     *lines
	logger  *slog.Logger
	secrets func() ([]string, error)
	mu      sync.Mutex // one request prints at a time
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, status := ministry.ReadDelivery(w, request)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	verdict := r.verdict(request, body)
	delivered, err := ministry.ParseDelivery(request.Header.Get("Content-Type"), body)
	logger := r.logger.With("signature", verdict, "events", len(delivered.Events))
	switch {
	case err != nil:
		logger.Warn("a request that is none of the hub's", "error", err)
		w.WriteHeader(http.StatusBadRequest)
	case delivered.Challenge != "":
		logger.Info("a challenge is answered", "stream", delivered.Stream)
		ministry.WriteChallenge(w, delivered.Challenge)
	case verdict != verdictGood && !r.unsigned:
		logger.Warn("a request is refused")
		w.WriteHeader(http.StatusUnauthorized)
	default:
		if err := r.print(body); err != nil {
			logger.Error("events can't be printed", "error", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		logger.Info("events are printed", "first", delivered.First(), "status", r.status)
		w.WriteHeader(r.status)
	}
}

// What is thought of a signature.
const (
	verdictGood   = "good"
	verdictNone   = "no secret to verify it with"
	verdictBroken = "the secret's file can't be used"
	verdictBad    = "missing, wrong or too old"
)

func (r *receiver) verdict(request *http.Request, body []byte) string {
	if r.secretFile == "" {
		return verdictNone
	}
	secrets, err := r.secrets()
	if err == nil && len(secrets) == 0 {
		return verdictNone
	}
	if err != nil {
		return verdictBroken
	}
	v, err := ministry.NewVerifier(secrets...)
	switch {
	case err != nil:
		return verdictBroken
	case v.Verify(request.Header, body, time.Now()) != nil:
		return verdictBad
	}
	return verdictGood
}

// print writes events as they came, one a line.
func (r *receiver) print(body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []json.RawMessage
	if json.Unmarshal(body, &events) != nil {
		events = []json.RawMessage{body}
	}
	for _, e := range events {
		if _, err := r.out.out.Write(append(bytes.TrimSpace(e), '\n')); err != nil {
			return err
		}
	}
	return r.out.flush()
}
