package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/kafka"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// push starts a Kafka lane for every lane of the chosen streams, also of those that open later.
func (a *app) push(group *errgroup.Group, work context.Context) error {
	if len(a.kafka) == 0 {
		return nil
	}
	client, err := kafka.Open(work, kafka.Config{Brokers: a.kafka, Logger: a.logger, Registerer: a.registry})
	if err != nil {
		return err
	}
	head, err := a.journal.Head(work)
	if err != nil {
		return err
	}
	lanes := &kafkaLanes{app: a, client: client, group: &errgroup.Group{}, running: map[string]bool{}, owner: owner()}
	if err := lanes.start(work); err != nil {
		return errors.Join(err, client.Close())
	}
	group.Go(func() error {
		from := head.Position + 1
		err := a.keep(work, "Kafka streams", func() error {
			return eventstore.Follow(work, a.store, a.store, from, 1000, func(page []eventstore.Recorded) error {
				from = page[len(page)-1].Position + 1
				if slices.ContainsFunc(page, func(r eventstore.Recorded) bool { return r.Type == journal.TypeStreamOpened }) {
					return lanes.start(work)
				}
				return nil
			})
		})
		return errors.Join(err, lanes.group.Wait(), client.Close())
	})
	return nil
}

// kafkaLanes are the pushers of one process.
type kafkaLanes struct {
	app     *app
	client  *kafka.Client
	group   *errgroup.Group
	running map[string]bool // by stream
	owner   string
}

// start runs the pushers of streams that have none yet. One that stops for good is logged and stays stopped: a person must look.
func (k *kafkaLanes) start(work context.Context) error {
	law, err := k.app.journal.FreshLaw(work)
	if err != nil {
		return err
	}
	for name, stream := range law.Streams {
		if k.running[name] || (len(k.app.kafkaStreams) > 0 && !slices.Contains(k.app.kafkaStreams, name)) {
			continue
		}
		k.running[name] = true
		for lane := range stream.Lanes {
			pusher := &delivery.Pusher{
				Delivery: k.app.delivery, Stream: name, Lane: lane, Sender: k.client.NewSender(k.app.store, name, lane, stream.Lanes),
				Owner: k.owner, Logger: k.app.logger,
			}
			k.group.Go(func() error {
				if err := pusher.Run(work); err != nil {
					k.app.logger.Error("a Kafka lane has stopped until a person has looked and the hub is started again", "error", err)
				}
				return nil
			})
		}
	}
	return nil
}

// owner names this process in leases.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}
