package httpapi

import (
	"context"
	"slices"
	"strings"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

const lagDescription = "A ministry sees its own, the operator all. Each given event counts once, by its strongest answer: rejected, then applied, " +
	"then received. An event is answered for good once it is applied or rejected."

type streamsOutput struct {
	Body struct {
		Streams []streamLine `json:"streams"`
	}
}

type streamLine struct {
	Stream   string     `json:"stream" example:"moh.health-card"`
	Ministry string     `json:"ministry" example:"moh"`
	Lanes    []laneLine `json:"lanes"`
}

type laneLine struct {
	Lane              int    `json:"lane" example:"0"`
	Last              string `json:"last,omitempty" example:"1.0.42" doc:"cursor of the last event given out; left out: none yet"`
	Due               int64  `json:"due" example:"3" doc:"events that may leave and have no cursor yet; 10000 stands for that many or more"`
	DueSeconds        int64  `json:"oldest_due_seconds" example:"12" doc:"age of the oldest of them; 0: there is none"`
	Received          int64  `json:"received" example:"2" doc:"events that you received, and no more"`
	Applied           int64  `json:"applied" example:"37"`
	Rejected          int64  `json:"rejected" example:"1"`
	Unanswered        int64  `json:"unanswered" example:"4" doc:"events given out that are not answered for good"`
	UnansweredSeconds int64  `json:"oldest_unanswered_seconds" example:"60" doc:"how long ago the first of them was given out; 0: there is none"`
	Settled           string `json:"settled,omitempty" example:"1.0.38" doc:"cursor up to which every event is answered for good; left out: none"`
}

// streams is GET /v1/streams.
func (s *server) streams(ctx context.Context, _ *struct{}) (*streamsOutput, error) {
	law, err := s.Journal.FreshLaw(ctx)
	if err != nil {
		return nil, err
	}
	out := &streamsOutput{}
	out.Body.Streams = []streamLine{}
	for name, stream := range law.Streams {
		if actor := caller(ctx); actor.Kind == journal.ActorMinistry && actor.Ministry != stream.Ministry {
			continue
		}
		lags, err := s.Delivery.Lag(ctx, name)
		if err != nil {
			return nil, err
		}
		line := streamLine{Stream: name, Ministry: stream.Ministry, Lanes: make([]laneLine, len(lags))}
		for i := range lags {
			line.Lanes[i] = s.laneLine(&lags[i])
		}
		out.Body.Streams = append(out.Body.Streams, line)
	}
	slices.SortFunc(out.Body.Streams, func(a, b streamLine) int { return strings.Compare(a.Stream, b.Stream) })
	return out, nil
}

func (s *server) laneLine(l *delivery.Lag) laneLine {
	cursor := func(number int64) string {
		if number == 0 {
			return ""
		}
		return s.cursor(l.Lane, number)
	}
	now := s.Delivery.LagTime()
	return laneLine{
		Lane: l.Lane, Last: cursor(l.Last), Due: l.Due, DueSeconds: int64(delivery.AgeOf(l.DueSince, now).Seconds()), Received: l.Received, Applied: l.Applied,
		Rejected: l.Rejected, Unanswered: l.Unanswered(), UnansweredSeconds: int64(delivery.AgeOf(l.UnansweredSince, now).Seconds()), Settled: cursor(l.Settled),
	}
}
