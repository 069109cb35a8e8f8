package delivery

import (
	"context"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

// Trial is how far a synthetic event is with which somebody tries a stream.
type Trial struct {
	Cursor     Cursor         // zero: it has no number yet
	GivenAt    time.Time      // when it got its number
	Answer     journal.Status // what the ministry said of it; journal.StatusSent: nothing yet
	AnsweredAt time.Time
	Taken      bool   // the stream's endpoint took it
	Attempts   int    // that failed so far, at an endpoint
	Code       string // of the last of them, as Outcome.Code
	Excerpt    string // of the last of them, as Outcome.Excerpt
}

// maxTrial is how many numbers are looked at for a synthetic event: who has more than that between has no use for a trial.
const maxTrial = 2000

// Trial finds the first synthetic event of a lane that was given after a number, and says how far it is. Errors: ErrUnknownStream,
// ErrUnknownLane.
func (d *Delivery) Trial(ctx context.Context, stream string, lane int, after int64) (Trial, error) {
	open, err := d.Stream(ctx, stream)
	if err != nil {
		return Trial{}, err
	}
	if lane < 0 || lane >= open.Lanes {
		return Trial{}, ErrUnknownLane
	}
	row, err := d.state(ctx, stream, lane)
	if err != nil {
		return Trial{}, err
	}
	last := min(row.next-1, after+maxTrial)
	for from := after + 1; from <= last; from += replayPage {
		numbers, err := d.given(ctx, stream, lane, from, min(from+replayPage-1, last))
		if err != nil {
			return Trial{}, err
		}
		for i := range numbers {
			if numbers[i].item.Kind == KindSynthetic {
				return d.trial(ctx, stream, lane, &numbers[i])
			}
		}
	}
	return Trial{}, nil
}

func (d *Delivery) trial(ctx context.Context, stream string, lane int, n *given) (Trial, error) {
	out := Trial{Cursor: Cursor{Generation: d.journal.Genesis().Generation, Lane: lane, Number: n.number}, GivenAt: n.at}
	var err error
	if out.Answer, out.AnsweredAt, err = journal.NewTrail(d.journal).Answer(ctx, stream, lane, n.number); err != nil {
		return Trial{}, err
	}
	if err := d.catchUpStreams(ctx); err != nil {
		return Trial{}, err
	}
	parked, err := d.parkedOf(ctx, stream, lane, n.number, n.number)
	if err != nil {
		return Trial{}, err
	}
	l, err := openLedger(ctx, d.journal.Store(), courierName(stream, lane), d.journal.Genesis().Generation)
	if err != nil {
		return Trial{}, err
	}
	held := l.held[n.number]
	out.Taken = l.taken >= n.number && held == nil && len(parked) == 0
	if len(parked) > 0 {
		out.Attempts, out.Code = parked[0].Attempts, parked[0].Code
	}
	if held != nil {
		out.Attempts, out.Code = held.attempts, held.code
	}
	if out.Code == "" {
		return out, nil
	}
	excerpts, err := d.excerpts(ctx, stream, lane, []int64{n.number})
	if err == nil {
		out.Excerpt = excerpts[0]
	}
	return out, err
}
