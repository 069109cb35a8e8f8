package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// excerptPlace is where the excerpt of a number stands.
func excerptPlace(stream string, lane int, number int64) string {
	return fmt.Sprintf("%s/%d", courierName(stream, lane), number)
}

// quotes closes what an endpoint said about messages of a page, each under the key of whom its message is about: what the endpoint itself knows
// of somebody may be in its words, and must not outlive their erasure. Of who is erased nothing is kept, nor where the keys are out of reach:
// words are no reason to send a page again.
func (c *courier) quotes(ctx context.Context, messages []Message, fates map[int64]Outcome) map[int64][]byte {
	out := map[int64][]byte{}
	first := messages[0].Cursor.Number
	var subjects []citizen.ID
	for i := range messages {
		number := messages[i].Cursor.Number
		excerpt := fates[number].Excerpt
		if excerpt == "" {
			continue
		}
		var err error
		if subjects == nil {
			subjects, err = c.subjects(ctx, first, messages[len(messages)-1].Cursor.Number)
		}
		if err == nil {
			note := journal.Note{Place: excerptPlace(c.stream.Stream, c.lane, number), Subject: subjects[number-first], Text: excerpt}
			out[number], err = c.delivery.journal.SealNote(ctx, note)
		}
		if err != nil && !errors.Is(err, seal.ErrDestroyed) {
			c.Logger.Warn("what an endpoint said is not kept", "stream", c.stream.Stream, "lane", c.lane, "number", number, "error", err)
			return out
		}
	}
	return out
}

// subjects are whom numbers are about that were perhaps given just now.
func (c *courier) subjects(ctx context.Context, from, to int64) ([]citizen.ID, error) {
	if _, err := c.delivery.state(ctx, c.stream.Stream, c.lane); err != nil {
		return nil, err
	}
	return c.delivery.subjects(ctx, c.stream.Stream, c.lane, from, to)
}

// excerpts are what an endpoint said last about numbers of a lane, in their order; empty for people who are erased.
func (d *Delivery) excerpts(ctx context.Context, stream string, lane int, numbers []int64) ([]string, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	keys, places := make([][]byte, len(numbers)), make([]string, len(numbers))
	for i, number := range numbers {
		keys[i], places[i] = numberKey('x', number), excerptPlace(stream, lane, number)
	}
	values, err := d.journal.Store().Get(ctx, courierName(stream, lane), keys...)
	if err != nil {
		return nil, err
	}
	return d.journal.OpenNotes(ctx, places, values)
}
