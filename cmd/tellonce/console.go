package main

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/journal"
)

// pageTokenTime is how long a token is valid that a sandbox's page gives.
const pageTokenTime = time.Hour

// console is what ministries' pages need beside the rooms.
func (a *app) console() web.Console {
	c := web.Console{
		Endpoints: a.endpoints(a.webhooks), Loopback: a.webhook.loopback, Stopped: a.lags.Stopped,
		Kafka: func(stream string) []string {
			if len(a.kafkaStreams) > 0 && !slices.Contains(a.kafkaStreams, stream) {
				return nil
			}
			return a.kafka.brokers
		},
	}
	if a.sandbox() {
		c.Token = func(actor journal.Actor) (string, time.Time, error) {
			token, err := a.token(actor, pageTokenTime)
			return token, time.Now().Add(pageTokenTime), err
		}
	}
	return c
}

// onLoopback says whether an address to listen on is this machine's alone.
func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
