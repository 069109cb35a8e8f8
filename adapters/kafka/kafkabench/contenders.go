package kafkabench

import (
	"context"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	hub "github.com/tellonce/hub/adapters/kafka"
)

// lanes are the hub's own, one a partition.
type lanes struct {
	lanes [partitions]*hub.Lane
	value []byte
}

func openLanes(ctx context.Context, client *hub.Client, _ []string, topic string) (contender, error) {
	l := &lanes{value: make([]byte, valueSize)}
	for i := range l.lanes {
		l.lanes[i] = client.Lane(topic, i, &state{})
		if _, err := l.lanes[i].TakeOver(ctx); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lanes) send(ctx context.Context, n int) error {
	var group errgroup.Group
	for i, lane := range l.lanes {
		batch := make([]hub.Message, share(n, i))
		for k := range batch {
			batch[k] = hub.Message{Number: int64(k + 1), Value: l.value}
		}
		group.Go(func() error { return lane.Send(ctx, batch) })
	}
	return group.Wait()
}

func (*lanes) close() error { return nil } // the client is closed by whoever opened it

// state keeps a lane's producer in memory: nobody takes it over.
type state struct {
	state hub.State
	saved bool
}

func (s *state) Load(context.Context) (hub.State, bool, error) { return s.state, s.saved, nil }

func (s *state) Save(_ context.Context, next hub.State) error {
	s.state, s.saved = next, true
	return nil
}

// writer is kafka.Writer, tuned: it waits for acknowledgements, and not for more to come. By itself it would wait for a second, and for nobody.
type writer struct {
	writer *kafka.Writer
	value  []byte
}

func openWriter(_ context.Context, _ *hub.Client, brokers []string, topic string) (contender, error) {
	balance := func(message kafka.Message, of ...int) int {
		n, _ := strconv.Atoi(string(message.Key))
		return of[n%len(of)]
	}
	return &writer{value: make([]byte, valueSize), writer: &kafka.Writer{
		Addr: kafka.TCP(brokers...), Topic: topic, Balancer: kafka.BalancerFunc(balance), RequiredAcks: kafka.RequireAll,
		BatchSize: 1000, BatchBytes: 1 << 20, BatchTimeout: time.Millisecond, Transport: &kafka.Transport{MetadataTTL: time.Second},
	}}, nil
}

func (w *writer) send(ctx context.Context, n int) error {
	batch := make([]kafka.Message, 0, n)
	for i := range partitions {
		key := []byte{'0' + byte(i)}
		for range share(n, i) {
			batch = append(batch, kafka.Message{Key: key, Value: w.value})
		}
	}
	return w.writer.WriteMessages(ctx, batch...)
}

func (w *writer) close() error {
	transport, _ := w.writer.Transport.(*kafka.Transport)
	err := w.writer.Close()
	transport.CloseIdleConnections()
	return err
}

// franz is franz-go's synchronous call, idempotent as the lanes are.
type franz struct {
	client *kgo.Client
	topic  string
	value  []byte
}

func openSync(_ context.Context, _ *hub.Client, brokers []string, topic string) (contender, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	return &franz{client: client, topic: topic, value: make([]byte, valueSize)}, err
}

func (f *franz) send(ctx context.Context, n int) error {
	batch := make([]*kgo.Record, 0, n)
	for i := range partitions {
		for range share(n, i) {
			batch = append(batch, &kgo.Record{Topic: f.topic, Partition: int32(i), Value: f.value}) // #nosec G115 -- six
		}
	}
	return f.client.ProduceSync(ctx, batch...).FirstErr()
}

func (f *franz) close() error {
	f.client.Close()
	return nil
}
