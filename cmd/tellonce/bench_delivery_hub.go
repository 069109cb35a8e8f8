package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/adapters/kafka/kafkabench"
	"github.com/tellonce/hub/adapters/webhook"
	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// benchServer is a hub that serves in this process, with a stream for each name that gets everybody's address.
type benchServer struct {
	hub      *hub
	name     string // of the run, in streams and topics
	url      string
	people   []citizen.ID
	told     int // number of the next change
	brokers  []string
	webhooks *webhook.Client
	pushed   []string        // streams that are pushed to Kafka
	context  context.Context //nolint:containedctx // the server's own: consumers end with it
	stop     context.CancelFunc
	work     *errgroup.Group // the server and its consumers
	closeHub func()
}

// firstNumber is beyond the numbers of the built-in residents' streets.
const firstNumber = 1_000_000

// benchAgreement shares what a change is known by.
const benchAgreement = `id: %[1]s
version: 1
ministry: %[1]s
stream: %[1]s.bench
title: {en: Measured, fr: Mesure}
purpose: {en: Measure, fr: Mesurer}
basis: {kind: statute, reference: "Illustration only"}
population: all
shares: [{event: address-changed, fields: [street, city, postal_code]}]
`

// warnings is a logger that leaves out each request and what else goes well.
func (c *cli) warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// benchServe opens a hub of its own with people, serves it, and opens a stream for each name.
func (c *cli) benchServe(ctx context.Context, b deliveryBench, names []string) (s *benchServer, err error) {
	h, closeHub, err := c.benchHub(ctx, b.citizens+1000)
	if err != nil {
		return nil, err
	}
	h.logger = c.warnings()
	id := uuid.New()
	s = &benchServer{hub: h, name: fmt.Sprintf("bench-%x", id[:4]), brokers: b.kafka, told: firstNumber, closeHub: closeHub}
	s.context, s.stop = context.WithCancel(ctx)
	s.work = &errgroup.Group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.populate(ctx, b.citizens, names); err != nil {
		return s, err
	}
	if s.webhooks, err = h.openWebhooks(webhookFlags{loopback: true}, nil); err != nil {
		return s, err
	}
	config := serveConfig{listen: "127.0.0.1:0", operatorListen: "127.0.0.1:0", webhook: webhookFlags{loopback: true}}
	for _, name := range names {
		if name == wayKafka {
			s.pushed = append(s.pushed, s.stream(name))
			config.kafka, config.kafkaStreams = kafkaFlags{brokers: b.kafka}, s.pushed
		}
	}
	ready := make(chan string, 1)
	s.work.Go(func() error {
		defer close(ready)
		return h.serve(s.context, config, func(url, _ string) error { ready <- url; return nil })
	})
	if s.url = <-ready; s.url == "" {
		return s, errors.New("the hub did not start")
	}
	return s, nil
}

func (s *benchServer) ministry(name string) string { return s.name + "-" + name }

func (s *benchServer) stream(name string) string { return s.ministry(name) + ".bench" }

func (s *benchServer) populate(ctx context.Context, citizens int, names []string) error {
	var agreements []consent.Agreement
	for _, name := range names {
		text := fmt.Appendf(nil, benchAgreement, s.ministry(name))
		agreement, err := schemas.ParseAgreement(name+".yaml", text, s.hub.registry)
		if err != nil {
			return err
		}
		agreements = append(agreements, agreement)
	}
	if _, err := s.hub.command.LoadAgreements(ctx, commandLine(), agreements); err != nil {
		return err
	}
	if err := importAll(ctx, s.hub, inventedPeople(citizens)); err != nil {
		return err
	}
	references := make([]string, citizens)
	for i := range references {
		references[i] = fmt.Sprintf("bench-%d", i)
	}
	var err error
	s.people, err = s.hub.journal.Reference(ctx, "bench", references...)
	return err
}

// close ends the consumers and the server, and removes what was made.
func (s *benchServer) close() error {
	s.stop()
	err := s.work.Wait()
	if s.webhooks != nil {
		s.webhooks.Close()
	}
	s.closeHub()
	topics := make([]string, len(s.pushed))
	for i, stream := range s.pushed {
		topics[i] = kafka.Topic(stream)
	}
	return errors.Join(err, kafkabench.Delete(context.WithoutCancel(s.context), s.brokers, topics...))
}

// token lets a consumer read its stream.
func (s *benchServer) token(name string) (string, error) {
	actor := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, Ministry: s.ministry(name), ID: s.ministry(name)}
	return s.hub.token(actor, time.Hour)
}

// tellNumber tells a change that is known by its number.
func (h *hub) tellNumber(ctx context.Context, person citizen.ID, number int) error {
	line, problem := h.registry.ParseLine(fmt.Appendf(nil, benchAddress, uuid.New(), number))
	if problem != nil {
		return fmt.Errorf("the bench's own line: %s", problem.Code)
	}
	_, err := h.command.Tell(ctx, command.Command{
		ID: line.ID, Scope: "bench", Content: line.Content, Issuer: journal.IssuerAPI, Channel: journal.ChannelWeb, ToldAt: line.ToldAt,
		Actor: journal.Actor{Kind: journal.ActorSource, ID: "bench"},
	}, person, command.Change{Type: line.Type, Effective: line.Effective, Data: line.Data, Canonical: line.Canonical})
	return err
}

// setEndpoint makes a stream be pushed to an address, after its challenge, and returns what its signatures are verified with.
func (s *benchServer) setEndpoint(name, url string) (verifier string, err error) {
	set := journal.EndpointSet{Stream: s.stream(name), URL: url, Batch: 100, Signature: journal.SignatureHMAC}
	return s.hub.endpoints(s.webhooks).Set(s.context, terminalActor, journal.CommandID{}, set, "", true)
}

func (s *benchServer) removeEndpoint(name string) error {
	return s.hub.endpoints(s.webhooks).Remove(s.context, terminalActor, journal.CommandID{}, s.stream(name))
}

// eventsURL is where a stream is read.
func (s *benchServer) eventsURL(name, query string) string {
	return strings.Join([]string{s.url, "v1/streams", s.stream(name), "events?" + query}, "/")
}
