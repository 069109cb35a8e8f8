package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// kafkaFlags are how a command reaches Kafka.
type kafkaFlags struct {
	brokers []string
	access  kafka.Access
}

func (k *kafkaFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&k.brokers, "kafka", nil, "Kafka brokers, host:port")
	f.StringVar(&k.access.User, "kafka-user", "", "log in to Kafka as this user, by SCRAM-SHA-512")
	f.StringVar(&k.access.PasswordFile, "kafka-password-file", "", "the file of that user's password, which nobody else may read")
	f.StringVar(&k.access.CA, "kafka-ca", "", "TLS: the PEM file of who signs the brokers' certificates, or `system`")
	f.StringVar(&k.access.Cert, "kafka-cert", "", "the PEM file of our own certificate, where the brokers want one")
	f.StringVar(&k.access.Key, "kafka-key", "", "the PEM file of that certificate's key, which nobody else may read")
}

// open returns a client; it does not wait for a broker.
func (k *kafkaFlags) open(ctx context.Context, logger *slog.Logger, registerer prometheus.Registerer) (*kafka.Client, error) {
	config := kafka.Config{Brokers: k.brokers, Logger: logger, Registerer: registerer}
	if err := k.access.Use(&config); err != nil {
		return nil, fmt.Errorf("--kafka-user, --kafka-password-file, --kafka-ca, --kafka-cert, --kafka-key: %w", err)
	}
	return kafka.Open(ctx, config)
}

// push starts a Kafka lane for every lane of the chosen streams, also of those that open later.
func (a *app) push(group *errgroup.Group, work context.Context) error {
	if len(a.kafka.brokers) == 0 {
		return nil
	}
	client, err := a.kafka.open(work, a.logger, a.registry)
	if err != nil {
		return err
	}
	head, err := a.journal.Head(work)
	if err != nil {
		return err
	}
	receipts, err := a.receipts(client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	lanes := &kafkaLanes{
		app: a, client: client, receipts: receipts, group: &errgroup.Group{}, lanes: map[laneName]bool{}, answers: map[string]bool{}, owner: owner(),
	}
	if err := lanes.start(work); err != nil {
		return errors.Join(err, client.Close())
	}
	lanes.replay(work)
	group.Go(func() error {
		from := head.Position + 1
		err := a.keep(work, "Kafka streams", func() error {
			return eventstore.Follow(work, a.store, a.store, from, 1000, func(page []eventstore.Recorded) error {
				if err := lanes.steer(work, page); err != nil {
					return err
				}
				from = page[len(page)-1].Position + 1
				return nil
			})
		})
		return errors.Join(err, lanes.group.Wait(), client.Close())
	})
	return nil
}

type laneName struct {
	stream string
	lane   int
}

// kafkaLanes are the pushers of one process.
type kafkaLanes struct {
	app      *app
	client   *kafka.Client
	receipts *kafka.Receipts
	group    *errgroup.Group
	owner    string

	mu      sync.Mutex
	lanes   map[laneName]bool // whether it runs; false after it stopped for good
	answers map[string]bool   // the streams whose receipts are read
}

// steer starts what a page of the log asks for: streams that open, and the stopped lanes of those that are resumed.
func (k *kafkaLanes) steer(work context.Context, page []eventstore.Recorded) error {
	var asks []eventstore.Recorded
	for i := range page {
		if page[i].Type == journal.TypeStreamResumed || page[i].Type == journal.TypeStreamOpened {
			asks = append(asks, page[i])
		}
	}
	if len(asks) == 0 {
		return nil
	}
	entries, err := k.app.journal.Open(work, asks)
	if err != nil {
		return err
	}
	for i := range entries {
		if resumed, ok := entries[i].Event.(journal.StreamResumed); ok {
			k.forget(resumed.Stream)
		}
	}
	return k.start(work)
}

// forget lets a stream's lanes that have stopped for good start again: a person has looked.
func (k *kafkaLanes) forget(stream string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, runs := range k.lanes {
		if name.stream == stream && !runs {
			delete(k.lanes, name)
		}
	}
}

// start runs the pushers of lanes that have none yet. One that stops for good is logged and stays stopped until its stream is resumed.
func (k *kafkaLanes) start(work context.Context) error {
	law, err := k.app.journal.FreshLaw(work)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, stream := range law.Streams {
		if len(k.app.kafkaStreams) > 0 && !slices.Contains(k.app.kafkaStreams, name) {
			continue
		}
		k.answer(work, stream)
		for lane := range stream.Lanes {
			key := laneName{name, lane}
			if _, known := k.lanes[key]; known {
				continue
			}
			k.lanes[key] = true
			pusher := &delivery.Pusher{
				Delivery: k.app.delivery, Stream: name, Lane: lane, Sender: k.client.NewSender(k.app.store, name, lane, stream.Lanes),
				Owner: k.owner, Logger: k.app.logger,
			}
			k.group.Go(func() error {
				if err := pusher.Run(work); err != nil {
					k.app.logger.Error("a Kafka lane has stopped until a person has looked and the stream is resumed", "error", err)
				}
				k.mu.Lock()
				defer k.mu.Unlock()
				k.lanes[key] = false
				return nil
			})
		}
	}
	return nil
}

// replay sends what is asked for to side topics.
func (k *kafkaLanes) replay(work context.Context) {
	replayer := &delivery.Replayer{
		Delivery: k.app.delivery, Owner: k.owner, Logger: k.app.logger,
		Side: func(stream journal.StreamOpened, lane int, replay string) delivery.Sender {
			return k.client.NewSideSender(k.app.store, stream.Stream, replay, lane, stream.Lanes)
		},
	}
	k.group.Go(func() error {
		return k.app.keep(work, "replays", func() error { return replayer.Run(work) })
	})
}

// owner names this process in leases.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}
