// Package kafkabench measures the lanes beside other clients of Kafka, on one broker in one run, and reads a stream's topic as a plain consumer.
package kafkabench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	hub "github.com/tellonce/hub/adapters/kafka"
)

// Config of a comparison.
type Config struct {
	Brokers []string
	Calls   []int // how many messages a call has
	Rounds  int   // of each contender, in turns; medians count
	Round   time.Duration
	Logger  *slog.Logger
}

// Line is how fast the contenders were at calls of one size, in messages a second; Lane is the hub's.
type Line struct {
	Messages           int
	Lane, Writer, Sync float64
}

const (
	partitions = 6
	valueSize  = 600
)

// contender sends one call of n messages, spread over the partitions, and returns when all are acknowledged.
type contender interface {
	send(ctx context.Context, n int) error
	close() error
}

// Compare lets the lanes, kafka.Writer and franz-go's synchronous call take turns at one broker: calls of each size, messages of 600 bytes,
// six partitions, every replica's acknowledgement. Each has a topic of its own, which is deleted afterwards.
func Compare(ctx context.Context, config Config, report func(Line)) (err error) {
	client, err := hub.Open(ctx, hub.Config{Brokers: config.Brokers, Logger: config.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	var contenders []contender
	var topics []string
	defer func() {
		for _, one := range contenders {
			err = errors.Join(err, one.close())
		}
		err = errors.Join(err, Delete(context.WithoutCancel(ctx), config.Brokers, topics...))
	}()
	for i, open := range []func(context.Context, *hub.Client, []string, string) (contender, error){openLanes, openWriter, openSync} {
		topic := fmt.Sprintf("bench.%s.%d", strings.ToLower(rand.Text()), i)
		if err := client.EnsureTopic(ctx, topic, partitions); err != nil {
			return err
		}
		topics = append(topics, topic)
		one, err := open(ctx, client, config.Brokers, topic)
		if err != nil {
			return err
		}
		contenders = append(contenders, one)
	}
	for _, messages := range config.Calls {
		rates := make([][]float64, len(contenders))
		for round := range config.Rounds + 1 {
			for i, one := range contenders {
				rate, err := measure(ctx, one, messages, config.Round)
				if err != nil {
					return err
				}
				if round > 0 { // the first opens connections
					rates[i] = append(rates[i], rate)
				}
			}
		}
		report(Line{Messages: messages, Lane: median(rates[0]), Writer: median(rates[1]), Sync: median(rates[2])})
	}
	return nil
}

func measure(ctx context.Context, one contender, messages int, round time.Duration) (perSecond float64, err error) {
	sent, began := 0, time.Now()
	for time.Since(began) < round {
		if err := one.send(ctx, messages); err != nil {
			return 0, err
		}
		sent += messages
	}
	return float64(sent) / time.Since(began).Seconds(), nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// share is how many of n messages go to a partition.
func share(n, partition int) int { return n/partitions + min(1, max(0, n%partitions-partition)) }

// Delete removes topics.
func Delete(ctx context.Context, brokers []string, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	client := kafka.Client{Addr: kafka.TCP(brokers...), Timeout: 10 * time.Second}
	_, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: topics})
	if err != nil {
		return fmt.Errorf("delete a bench's topics: %w", err)
	}
	return nil
}

// Follow reads the first partition of a stream's topic from its beginning until ctx ends, as a plain consumer: fences
// are visited, too.
func Follow(ctx context.Context, brokers []string, stream string, logger *slog.Logger, visit func(value []byte)) (err error) {
	client, err := hub.Open(ctx, hub.Config{Brokers: brokers, Logger: logger})
	if err != nil {
		return err
	}
	err = client.EnsureTopic(ctx, hub.Topic(stream), 1) // a reader of a topic that is not there yet would wait long
	if err = errors.Join(err, client.Close()); err != nil {
		return err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: brokers, Topic: hub.Topic(stream), MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 250 * time.Millisecond, ReadBackoffMin: time.Millisecond,
	})
	defer func() { err = errors.Join(err, reader.Close()) }()
	for {
		message, err := reader.ReadMessage(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		visit(message.Value)
	}
}
