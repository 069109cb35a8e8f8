package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// fetchBytes bounds what one request brings; a larger batch comes alone.
	fetchBytes = 4 << 20
	// fetchWait is how long the broker waits for a record to arrive before it answers with none.
	fetchWait = 250 * time.Millisecond
)

// reader reads one partition.
type reader struct {
	client    *Client
	topic     string
	partition int
}

// read calls visit for the records with from ≤ offset < to, and for those before them in the same batch. It returns the partition's
// first offset, which moves up as records expire: what has expired meanwhile is left out.
func (r reader) read(ctx context.Context, from, to int64, visit func(*protocol.Record)) (start int64, err error) {
	for next := from; next < to; {
		_, err := r.client.attempt(ctx, nil, func(ctx context.Context) error {
			first, after, err := r.fetch(ctx, next, func(record *protocol.Record) error {
				if record.Offset < to {
					visit(record)
				}
				return nil
			})
			if err == nil && after == next {
				// Acknowledged records are readable once the leader has told its high watermark; soon.
				err = fmt.Errorf("%w: no record at offset %d yet", io.ErrNoProgress, next)
			}
			if err == nil {
				start, next = first, after
			}
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("kafka: reading back %s/%d: %w", r.topic, r.partition, err)
		}
	}
	return start, nil
}

// fetch asks once for records from an offset on and calls visit for each, also for those before it in the same batch. It returns the
// partition's first offset and the offset to go on from, which is from itself if nothing came within fetchWait. An error of visit's
// ends it and is returned; a record is valid only during its visit.
func (r reader) fetch(ctx context.Context, from int64, visit func(*protocol.Record) error) (start, next int64, err error) {
	answer, err := r.client.kafka().Fetch(ctx, &kafka.FetchRequest{
		Topic: r.topic, Partition: r.partition, Offset: from, MinBytes: 1, MaxBytes: fetchBytes, MaxWait: fetchWait,
	})
	if err != nil {
		return 0, from, err
	}
	if errors.Is(answer.Error, kafka.OffsetOutOfRange) {
		if start, err = r.start(ctx); err == nil && start > from {
			return start, start, nil // expired while we read
		}
	}
	if answer.Error != nil {
		return 0, from, answer.Error
	}
	next = from
	for {
		record, err := answer.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return answer.LogStartOffset, next, nil
		}
		if err == nil {
			err = visit(record)
			closeRecord(record)
		}
		if err != nil {
			return 0, next, err
		}
		next = max(next, record.Offset+1)
	}
}

// start asks for the partition's first offset.
func (r reader) start(ctx context.Context) (int64, error) {
	answer, err := r.client.kafka().ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{r.topic: {kafka.FirstOffsetOf(r.partition)}},
	})
	if err != nil {
		return 0, err
	}
	for _, p := range answer.Topics[r.topic] {
		if p.Partition == r.partition {
			return p.FirstOffset, p.Error
		}
	}
	return 0, protocol.ErrNoPartition
}

func closeRecord(r *protocol.Record) {
	if r.Key != nil {
		_ = r.Key.Close()
	}
	if r.Value != nil {
		_ = r.Value.Close()
	}
}

// numberOf reads an event's number from its headers; ok is false for a fence and for what is no event of ours.
func numberOf(r *protocol.Record) (number int64, ok bool) {
	if strings.HasPrefix(header(r, "ce_type"), FencePrefix) {
		return 0, false
	}
	number, err := strconv.ParseInt(header(r, "ce_sequence"), 10, 64)
	return number, err == nil && number > 0
}

func header(r *protocol.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
