package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/adapters/webhook"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

// webhookFlags are how endpoints are reached. They are the same for who pushes and for who sets an endpoint, which is tried then.
type webhookFlags struct {
	access   webhook.Access
	loopback bool
	networks []string
}

func (w *webhookFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&w.access.CA, "webhook-ca", "", "the PEM file of who signs endpoints' certificates (default: whom this machine trusts)")
	f.StringVar(&w.access.Cert, "webhook-cert", "", "the PEM file of our own certificate, for endpoints that ask for one")
	f.StringVar(&w.access.Key, "webhook-key", "", "the PEM file of that certificate's key, which nobody else may read")
	f.StringSliceVar(&w.networks, "webhook-allow-network", nil, "a private network in which endpoints may be, such as 10.20.0.0/16")
	f.BoolVar(&w.loopback, "webhook-allow-loopback", false, "endpoints may be on this machine, on any port, without TLS; in a sandbox only")
}

// openWebhooks returns a client for endpoints.
func (h *hub) openWebhooks(w webhookFlags, registerer prometheus.Registerer) (*webhook.Client, error) {
	if w.loopback && !h.sandbox() {
		return nil, usageError{errors.New("--webhook-allow-loopback is for a sandbox: this log is none")}
	}
	config := webhook.Config{Secrets: keys.Endpoints(h.config.keysDir()), Ministry: h.ministryOf, Loopback: w.loopback, Registerer: registerer}
	for _, text := range w.networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("--webhook-allow-network: %q is no network such as 10.20.0.0/16", text)}
		}
		config.Networks = append(config.Networks, network)
	}
	if err := w.access.Use(&config); err != nil {
		return nil, fmt.Errorf("--webhook-ca, --webhook-cert, --webhook-key: %w", err)
	}
	return webhook.New(config)
}

// ministryOf is whose stream it is; the stream itself where that can't be read.
func (h *hub) ministryOf(stream string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	open, err := h.delivery.Stream(ctx, stream)
	if err != nil {
		return stream
	}
	return open.Ministry
}

func (h *hub) sandbox() bool { return h.journal.Genesis().Mode == journal.ModeSandbox }

// endpoints set, show and remove endpoints with a client.
func (h *hub) endpoints(client *webhook.Client) *webhook.Endpoints {
	return &webhook.Endpoints{
		Delivery: h.delivery, Client: client, Vault: keys.Endpoints(h.config.keysDir()), BaseURL: h.journal.Genesis().BaseURL, Sandbox: h.sandbox(),
	}
}

// carry pushes the streams that have an endpoint, also those that get one later.
func (a *app) carry(group *errgroup.Group, work context.Context) error {
	couriers, err := delivery.NewCouriers(delivery.CourierConfig{
		Delivery: a.delivery, Poster: a.webhooks, Owner: owner(), Logger: a.logger, Registerer: a.registry,
	})
	if err != nil {
		return err
	}
	group.Go(func() error {
		defer a.webhooks.Close()
		return a.keep(work, "couriers", func() error { return couriers.Run(work) })
	})
	return nil
}
