package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/tellonce/hub/domain/journal"
)

// Happening is an event that steers a stream, asks something of it or answers for it.
type Happening struct {
	At    time.Time
	By    journal.ActorKind
	Event any // journal's StreamPaused, StreamResumed, EndpointSet, ReceiptsRecorded, ReplayAsked or SyntheticAsked
}

// Lately lists the last n things that happened to a stream, the newest first. It reads so many records, however long the log is. Errors:
// ErrUnknownStream.
func (d *Delivery) Lately(ctx context.Context, stream string, n int) ([]Happening, error) {
	if _, err := d.Stream(ctx, stream); err != nil {
		return nil, err
	}
	now, err := d.settings(ctx, stream)
	if err != nil {
		return nil, err
	}
	entries, err := d.journal.ReadAggregate(ctx, journal.StreamAggregate(stream), max(now.version-int32(n)+1, 1), n)
	if err != nil {
		return nil, err
	}
	var out []Happening
	for i := range entries {
		switch entries[i].Event.(type) {
		case journal.StreamPaused, journal.StreamResumed, journal.EndpointSet, journal.ReceiptsRecorded, journal.ReplayAsked, journal.SyntheticAsked:
			out = append(out, Happening{At: entries[i].RecordedAt, By: journal.ActorKind(entries[i].ActorKind), Event: entries[i].Event})
		}
	}
	slices.Reverse(out)
	return out, nil
}
