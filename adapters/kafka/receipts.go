package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/schemas"
)

// ReceiptsConfig of Receipts. Client and Record must be set.
type ReceiptsConfig struct {
	Client *Client
	// Record is delivery's: it returns nil once the log has the receipts.
	Record func(context.Context, journal.Actor, journal.CommandID, string, []delivery.Receipt) error
	// Logger is told of what can't be recorded: by topic, partition and offset, never by what it says. nil is slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// FirstRetry is the pause after a try that failed, doubled up to ten times that; 0 is 100 ms.
	FirstRetry time.Duration
}

// Receipts reads ministries' answers from the topics beside their streams. Who may write a stream's topic of receipts is its ministry: the
// broker's rights say so, and a message there speaks for that stream alone. A message is acknowledged only once the log has it; if the process
// dies between the two, it comes again and says nothing new.
//
// A message that can never be recorded is set aside: counted, and named in the log by its place in the topic, which keeps it. Everything else
// that fails is tried until it works, and holds back its partition meanwhile.
type Receipts struct {
	ReceiptsConfig
	results *prometheus.CounterVec
}

// NewReceipts registers the metrics. Run starts the work.
func NewReceipts(config ReceiptsConfig) (*Receipts, error) {
	if config.Client == nil || config.Record == nil {
		return nil, errors.New("kafka: receipts need a client and who records them")
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.FirstRetry <= 0 {
		config.FirstRetry = 100 * time.Millisecond
	}
	r := &Receipts{ReceiptsConfig: config, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tellonce_kafka_receipts_total",
		Help: "Messages of ministries' receipts, by what they came to: recorded, aside (it can never be), or failed and to be tried again.",
	}, []string{"stream", "result"})}
	if config.Registerer == nil {
		return r, nil
	}
	return r, config.Registerer.Register(r.results)
}

// receiptsGroup names the hub's readers of receipts; all processes of a hub share the work.
const receiptsGroup = hubPrefix + "receipts"

// again is how long to wait when a topic can't be read: nothing tells when it can.
const again = 10 * time.Second

// Run records the receipts of one stream until ctx ends. It makes the topic if it is missing.
func (r *Receipts) Run(ctx context.Context, stream journal.StreamOpened) {
	for ctx.Err() == nil {
		if err := r.session(ctx, stream); err != nil && ctx.Err() == nil {
			r.Logger.Error("receipts can't be read; that is tried again", "stream", stream.Stream, "error", err)
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}

func (r *Receipts) session(ctx context.Context, stream journal.StreamOpened) error {
	topic := ReceiptsTopic(stream.Stream)
	// Whoever made the topic chose its partitions: any number will do, for a receipt names its lane.
	if err := r.Client.EnsureTopic(ctx, topic, stream.Lanes); err != nil && !errors.Is(err, ErrPartitions) {
		return err
	}
	subscriber, err := NewSubscriber(SubscriberConfig{Client: r.Client, Group: receiptsGroup, NackPause: 10 * r.FirstRetry})
	if err != nil {
		return err
	}
	defer func() { _ = subscriber.Close() }()
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	salvage, err := middleware.PoisonQueueWithFilter(aside{r, stream.Stream}, topic, hopeless)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	retry := middleware.Retry{
		MaxRetries: 3, InitialInterval: r.FirstRetry, MaxInterval: 10 * r.FirstRetry, Multiplier: 2, RandomizationFactor: 0.5,
		ShouldRetry: func(p middleware.RetryParams) bool { return !hopeless(p.Err) },
	}
	handler := router.AddConsumerHandler(topic, topic, subscriber, func(m *message.Message) error { return r.handle(m, stream) })
	handler.AddMiddleware(salvage, retry.Middleware)
	return router.Run(ctx)
}

// handle records one message. It is called again with the same one until it returns nil or an error that is hopeless.
func (r *Receipts) handle(m *message.Message, stream journal.StreamOpened) error {
	receipts, err := readReceipts(m.Payload)
	if err != nil {
		return err
	}
	ministry := journal.Actor{Kind: journal.ActorMinistry, Role: journal.RoleMinistry, ID: stream.Ministry, Ministry: stream.Ministry}
	err = r.Record(m.Context(), ministry, receiptCommand(m, stream.Stream), stream.Stream, receipts)
	switch {
	case err == nil:
		r.results.WithLabelValues(stream.Stream, "recorded").Inc()
	case !hopeless(err) && m.Context().Err() == nil:
		r.results.WithLabelValues(stream.Stream, "failed").Inc()
		r.Logger.Warn("receipts could not be recorded; they are tried again", append(placeOf(m, stream.Stream), "error", err)...)
	}
	return err
}

// receiptCommand makes a message repeatable: by its place in the topic and by what it says, for in a topic that was made anew another message
// may have the same place.
func receiptCommand(m *message.Message, stream string) journal.CommandID {
	hash := sha256.Sum256(m.Payload)
	return journal.CommandID{
		Issuer:  "kafka/" + ReceiptsTopic(stream),
		ID:      m.Metadata.Get(MetadataPartition) + "/" + m.Metadata.Get(MetadataOffset) + "/" + hex.EncodeToString(hash[:16]),
		Content: m.Payload,
	}
}

// placeOf is where a message stands, for the log.
func placeOf(m *message.Message, stream string) []any {
	return []any{"stream", stream, "partition", m.Metadata.Get(MetadataPartition), "offset", m.Metadata.Get(MetadataOffset)}
}

// errMalformed refuses a message that is no list of receipts.
var errMalformed = errors.New("kafka: no list of receipts")

// hopeless says whether an error will be the same whenever it is tried again.
func hopeless(err error) bool {
	var wrong *delivery.ReceiptError
	return errors.Is(err, errMalformed) || errors.As(err, &wrong) || errors.Is(err, eventstore.ErrCommandReused)
}

// aside is the poison queue of a stream's receipts. It keeps nothing: the topic does.
type aside struct {
	*Receipts
	stream string
}

// Publish is message.Publisher's.
func (a aside) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		a.results.WithLabelValues(a.stream, "aside").Inc()
		a.Logger.Error("a ministry's receipts can't be recorded and are set aside: correct and send them again",
			append(placeOf(m, a.stream), "error", m.Metadata.Get(middleware.ReasonForPoisonedKey))...)
	}
	return nil
}

// Close is message.Publisher's.
func (aside) Close() error { return nil }

// maxReceipts is how many bytes a message of receipts may have; brokers take no larger ones, unless they are told to.
const maxReceipts = 1 << 20

// readReceipts reads the shape of a list of receipts, as strictly as the API does; what they may say is delivery's to judge. Its errors hold
// nothing of the message.
func readReceipts(text []byte) ([]delivery.Receipt, error) {
	const open, end = `{"list":`, `}`
	members, problem := schemas.ParseObject(slices.Concat([]byte(open), text, []byte(end)), maxReceipts+len(open)+len(end))
	if problem != nil {
		return nil, fmt.Errorf("%w: %s", errMalformed, problem.Detail)
	}
	list, ok := members["list"].([]any)
	if !ok || len(members) != 1 {
		return nil, fmt.Errorf("%w: not one JSON array", errMalformed)
	}
	out := make([]delivery.Receipt, len(list))
	for i, item := range list {
		object, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%w: item %d is no object", errMalformed, i)
		}
		places := map[string]*string{"from": &out[i].From, "to": &out[i].To, "status": &out[i].Status, "reason": &out[i].Reason}
		for name, value := range object {
			place, known := places[name]
			text, ok := value.(string)
			if !known || !ok {
				return nil, fmt.Errorf("%w: item %d has an unknown member, or one that is no text", errMalformed, i)
			}
			*place = text
		}
	}
	return out, nil
}
