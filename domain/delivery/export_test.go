package delivery

import (
	"context"
	"time"

	"github.com/tellonce/hub/consent"
)

// Arrived is how many readers have come to a lane so far.
func (d *Delivery) Arrived(stream string, lane int) int64 { return d.desk(stream, lane).arrived.Load() }

// Unseen is the first position of which a lane's readers don't know that nothing was due.
func (d *Delivery) Unseen(stream string, lane int) int64 { return d.desk(stream, lane).unseen() }

// Wake does what a reader does on a day, but for giving numbers.
func (d *Delivery) Wake(ctx context.Context, stream string, lane int, today consent.Date) error {
	return d.wake(ctx, stream, lane, today)
}

// DropGuard makes disclosing blind for what restricts people while it goes on: the negative control of the guard.
func (d *Delivery) DropGuard() { d.unguarded = true }

// RetrySchedule is the schedule of couriers that are given none.
func RetrySchedule() []time.Duration { return retrySchedule }

// ParkedOf lists what is parked of a lane's numbers, also of a stream that no agreement has opened.
func (d *Delivery) ParkedOf(ctx context.Context, stream string, lane int, from, to int64) ([]ParkedRange, error) {
	if err := d.catchUpStreams(ctx); err != nil {
		return nil, err
	}
	return d.parkedOf(ctx, stream, lane, from, to)
}

// Excerpts are what an endpoint said last about numbers.
func (d *Delivery) Excerpts(ctx context.Context, stream string, lane int, numbers []int64) ([]string, error) {
	return d.excerpts(ctx, stream, lane, numbers)
}
