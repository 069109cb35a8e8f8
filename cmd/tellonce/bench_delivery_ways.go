package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tellonce/hub/adapters/kafka/kafkabench"
	"github.com/tellonce/hub/adapters/ministry"
	"github.com/tellonce/hub/eventstore"
)

// The ways to a consumer; the log's is none: it shows how soon a follower in the hub sees what is appended.
const (
	wayLog     = "log"
	wayPull    = "pull"
	waySSE     = "sse"
	wayWebhook = "webhook"
	wayKafka   = "kafka"
)

// consume starts a consumer of a stream, which ends with the server.
func (s *benchServer) consume(way, name string, to *sink) error {
	var follow func(token string) error
	switch way {
	case wayLog:
		head, err := s.hub.journal.Head(s.context) // here, so that the first change comes after it
		if err != nil {
			return err
		}
		follow = func(string) error { return s.followLog(head.Position+1, to) }
	case wayPull:
		follow = func(token string) error { return s.pull(name, token, to) }
	case waySSE:
		follow = func(token string) error { return s.live(name, token, to) }
	case wayKafka:
		follow = func(string) error {
			return kafkabench.Follow(s.context, s.brokers, s.stream(name), s.hub.logger, to.take)
		}
	default:
		_, err := s.endpoint(name, to)
		return err
	}
	token, err := s.token(name)
	if err != nil {
		return err
	}
	s.work.Go(func() error {
		err := follow(token)
		if s.context.Err() != nil {
			return nil
		}
		s.stop() // without a consumer there is nothing to measure
		return fmt.Errorf("a consumer of %s: %w", way, err)
	})
	return nil
}

// followLog opens every change of the log as it comes.
func (s *benchServer) followLog(from int64, to *sink) error {
	store := s.hub.store
	return eventstore.Follow(s.context, store, store, from, 1000, func(page []eventstore.Recorded) error {
		entries, err := s.hub.journal.Open(s.context, page)
		if err != nil {
			return err
		}
		told, err := s.hub.journal.Told(s.context, entries)
		if err != nil {
			return err
		}
		for i := range told {
			if street, ok := told[i].Data["street"].(string); ok {
				to.take([]byte(`"street":"` + street))
			}
		}
		return nil
	})
}

// pull reads page after page by long poll, as the pages' links say.
func (s *benchServer) pull(name, token string, to *sink) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for url := s.eventsURL(name, "limit=1000&wait=20s"); ; {
		answer, err := s.get(client, url, token, "application/cloudevents-batch+json")
		if err != nil {
			return err
		}
		var events []json.RawMessage
		err = json.NewDecoder(answer.Body).Decode(&events)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			return err
		}
		for _, event := range events {
			to.take(event)
		}
		next, _, ok := strings.Cut(strings.TrimPrefix(answer.Header.Get("Link"), "<"), ">")
		if !ok {
			return errors.New("a page without a link")
		}
		url = s.url + next
	}
}

// live reads server-sent events.
func (s *benchServer) live(name, token string, to *sink) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	answer, err := s.get(client, s.eventsURL(name, "limit=1000"), token, "text/event-stream")
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			to.take(data)
		}
	}
	return errors.Join(lines.Err(), io.ErrUnexpectedEOF)
}

func (s *benchServer) get(client *http.Client, url, token, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(s.context, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", accept)
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("the hub answered %s", answer.Status), answer.Body.Close())
	}
	return answer, nil
}

// benchEndpoint is a ministry's endpoint: it answers the challenge, verifies each request and takes its events, until it is made to hang or to die.
type benchEndpoint struct {
	to      *sink
	secret  atomic.Pointer[ministry.Verifier]
	hanging atomic.Bool
	url     string
	server  *http.Server
}

// endpoint opens an endpoint and makes the stream be pushed to it.
func (s *benchServer) endpoint(name string, to *sink) (*benchEndpoint, error) {
	e := &benchEndpoint{to: to}
	if err := e.open(s.context, "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.work.Go(func() error { <-s.context.Done(); return e.server.Close() })
	verifier, err := s.setEndpoint(name, e.url)
	if err != nil {
		return nil, err
	}
	return e, e.verifyWith(verifier)
}

// open listens.
func (e *benchEndpoint) open(ctx context.Context, address string) error {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	e.url = "http://" + socket.Addr().String()
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = e.server.Serve(socket) }() // until it is closed
	return nil
}

func (e *benchEndpoint) verifyWith(secret string) error {
	verifier, err := ministry.NewVerifier(secret)
	if err == nil {
		e.secret.Store(verifier)
	}
	return err
}

func (e *benchEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, status := ministry.ReadDelivery(w, r)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	delivered, err := ministry.ParseDelivery(r.Header.Get("Content-Type"), body)
	verifier := e.secret.Load()
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	case delivered.Challenge != "":
		ministry.WriteChallenge(w, delivered.Challenge)
	case e.hanging.Load():
		<-r.Context().Done()
	case verifier == nil || verifier.Verify(r.Header, body, time.Now()) != nil: // the secret is on its way: the hub tries again
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		for i := range delivered.Events {
			e.to.take(delivered.Events[i].Data)
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
