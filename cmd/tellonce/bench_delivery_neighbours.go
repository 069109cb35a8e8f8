package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The streams of the neighbours' bench: each is another ministry's.
var (
	goodNeighbours = []string{"good1", "good2"}
	badNeighbours  = []string{"hangs", "dead"}
)

// benchNeighbours measures good endpoints alone and beside bad ones, in turns. Bad ones answer their challenge, and nothing after it.
func (c *cli) benchNeighbours(ctx context.Context, b deliveryBench) (err error) {
	s, err := c.benchServe(ctx, b, slices.Concat(goodNeighbours, badNeighbours))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	sinks := []*sink{{}, {}}
	for i, name := range goodNeighbours {
		if _, err := s.endpoint(name, sinks[i]); err != nil {
			return err
		}
	}
	if err := s.warm(ctx, sinks); err != nil {
		return err
	}
	bad := make([]*benchEndpoint, len(badNeighbours))
	var alone, beside []time.Duration
	var ratios []float64
	for round := range b.rounds {
		quiet, err := s.worst(ctx, b, sinks)
		if err != nil {
			return err
		}
		if err := s.spoil(bad, round == 0); err != nil {
			return err
		}
		spoilt, err := s.worst(ctx, b, sinks)
		if err != nil {
			return err
		}
		for _, name := range badNeighbours {
			if err := s.removeEndpoint(name); err != nil {
				return err
			}
		}
		alone, beside, ratios = append(alone, quiet), append(beside, spoilt), append(ratios, spoilt.Seconds()/quiet.Seconds())
	}
	slices.Sort(ratios)
	ratio := ratios[len(ratios)/2]
	object := map[string]any{
		"name": "neighbours", "rate": b.rates[0], "p99_ms": milliseconds(quantile(alone, 50)), "beside_p99_ms": milliseconds(quantile(beside, 50)), "ratio": ratio,
	}
	text := fmt.Sprintf("webhooks, %5d/s       p99 %7.1f ms alone, %7.1f ms beside endpoints that are bad (%s): %.2f x (medians of %d rounds)",
		b.rates[0], milliseconds(quantile(alone, 50)), milliseconds(quantile(beside, 50)), strings.Join(badNeighbours, ", "), ratio, b.rounds)
	return c.emitNow(object, text)
}

// worst is the p99 of the good endpoint that fared worst.
func (s *benchServer) worst(ctx context.Context, b deliveryBench, sinks []*sink) (worst time.Duration, err error) {
	run, err := s.tellAt(ctx, b.rates[0], b.seconds, sinks)
	if err != nil {
		return 0, err
	}
	for _, one := range sinks {
		l := run.measure(one)
		worst, err = max(worst, l.p99), errors.Join(err, l.whole())
	}
	return worst, err
}

// spoil sets the bad endpoints, and then makes them bad.
func (s *benchServer) spoil(bad []*benchEndpoint, first bool) (err error) {
	for i, name := range badNeighbours {
		if first {
			bad[i], err = s.endpoint(name, &sink{})
		} else if err = bad[i].revive(s.context); err == nil {
			_, err = s.setEndpoint(name, bad[i].url)
		}
		if err != nil {
			return err
		}
		bad[i].hanging.Store(true)
	}
	return bad[len(bad)-1].server.Close()
}

// revive listens again where it was closed, so that the next challenge is answered.
func (e *benchEndpoint) revive(ctx context.Context) error {
	_ = e.server.Close()
	return e.open(ctx, strings.TrimPrefix(e.url, "http://"))
}
